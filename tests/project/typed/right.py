"""Right uses of every public name but the builders: a type checker finds nothing in them."""

# pyright: strict, reportMissingTypeStubs=false

import math
from pathlib import Path
from typing import Any, Literal, assert_type

import keras
import numpy as np
import pandas as pd

import applications
import keras_archs
import tuning

images = np.zeros((2, 32, 32, 3), "uint8")
Shape = tuple[int, ...]
hp: Any = None  # keras_tuner.HyperParameters


class Scale(keras.layers.Layer): ...


# ----------------------------------------------------------------------------------- keras_archs

assert_type(keras_archs.__version__, str)
assert_type(keras_archs.list_archs("resnet*"), list[str])

model = keras_archs.build("mobilenet", alpha=0.5, stem="small")
assert_type(model, keras.Model)
assert_type(keras_archs.MobileNet(images.shape[1:], 5), keras.Model)
assert_type(keras_archs.MobileNet.__name__, str)
assert_type(keras_archs.ResNet50(weights="imagenet"), keras.Model)

info = keras_archs.info("resnet50")
assert_type(info, keras_archs.ArchInfo)
assert_type(info.input_shape, tuple[int, int, int])
assert_type(info.published["params"].source, str)
if preprocessing := info.weights[0].preprocessing:
    assert_type(preprocessing(images), np.ndarray)
if isinstance(known := info.weights[0], keras_archs.weights.TrainedWeights):
    assert_type(known.card, str)
assert_type(keras_archs.MobileNet.info.min_size, int)

cost = keras_archs.profile(keras_archs.VGG16, batch_size=2, input_shape=(64, 64, 3))
assert_type(cost, keras_archs.Profile)
assert_type(keras_archs.profile(model).macs, int)
deployed: keras_archs.Deployment = keras_archs.deployment("lenet5", "float32", alpha=0.5)
assert_type(deployed.weight_bytes, int)
layer: keras_archs.LayerCost = cost.rows[0]
stage: keras_archs.StageCost = cost.stages[-1]
assert_type(layer.macs + stage.params, int)
assert_type(cost.compare(keras_archs.profile("lenet5")), keras_archs.Comparison)
assert_type(keras_archs.Comparison(cost, cost).to_dataframe(), pd.DataFrame)
assert_type(keras_archs.cost.profile("vgg16").as_text(layers=False), str)


@keras_archs.cost.register(Scale)
def scale(layer: keras.Operation, inputs: list[Shape], outputs: list[Shape]) -> tuple[int, int]:
    macs = inputs[0][-1] * math.prod(outputs[0])
    return macs, macs


norm = keras_archs.LocalResponseNormalization(size=5, alpha=1e-4, name="norm")
assert_type(isinstance(norm, keras.layers.Layer), bool)

predictor = keras_archs.runtime(model, "onnx", precision="int8", representative=images, threads=2)
assert_type(predictor, keras_archs.Predictor)
predictor(images).argmax(axis=1)
assert_type(keras_archs.runtimes.available(), list[str])

assert_type(keras_archs.fold_batch_norm(model), keras.Model)
assert_type(keras_archs.to_fully_convolutional(model), keras.Model)
assert_type(keras_archs.low_rank(model, "conv1", rank=4).error, float)
assert_type(keras_archs.with_classes(model, 5, seed=0), keras.Model)
assert_type(keras_archs.with_channels(model, 1), keras.Model)
assert_type(keras_archs.widen(model, "conv1", 64, noise=0.01, seed=0), keras.Model)
assert_type(keras_archs.widen(model, "conv1", 64, new_channels="random"), keras.Model)
assert_type(keras_archs.deepen(model, "conv1"), keras.Model)
assert_type(keras_archs.grow(model, 1.0, extra_depth=1), keras.Model)
assert_type(keras_archs.shrink(model, 0.5, arch="mobilenet"), keras.Model)
assert_type(keras_archs.prune_channels(model, 0.5, per="layer"), keras.Model)
assert_type(keras_archs.surgery.fold_batch_norm(model), keras.Model)
assert_type(keras_archs.save_compressed(model, "model.kac").arrays[0].size, int)
assert_type(keras_archs.load_compressed("model.kac"), keras.Model)
assert_type(keras_archs.weights.known_weights("vgg16")[0].weights, str)
keras_archs.weights.save_safetensors(model, "model.safetensors")

# ---------------------------------------------------------------------------------------- tuning

budget = tuning.Budget(params=300_000)
assert_type(budget, tuning.Budget)
assert_type(tuning.Budget(weight_bytes=10**6, dtype="int8").macs, int | None)
arguments = tuning.space(hp, input_shape=(32, 32, 3), classes=10, budget=budget)
assert_type(arguments, dict[str, Any])
assert_type(keras_archs.SimpNet(**arguments), keras.Model)
assert_type(tuning.settings("pyramid"), list[tuple[str, dict[str, Any]]])
assert_type(tuning.arch_space("mobilenet", stem="small")(hp, classes=10), dict[str, Any])
assert_type(tuning.lint(model)[0].principle, str)
assert_type(tuning.principles.PRINCIPLES["pyramid"].check(model)[0].message, str)
hypermodel = tuning.HyperSimpNet((28, 28, 1), 10, budget=budget)
assert_type(hypermodel.loss, Any)
assert_type(tuning.HyperArch("mobilenet", stem="small").arguments, dict[str, Any])
found = tuning.search("simpnet", "digits", budget=tuning.Budget(macs=10**6), trials=3, seed=1)
if found.best:
    assert_type(found.best.metrics, dict[str, Any])

# ---------------------------------------------------------------------------------- applications

run = applications.train("mobilenet", data="digits", alpha=0.5, size=(16, 16), epochs=3)
assert_type(run, applications.Run)
assert_type(applications.load("runs/a").metrics, dict[str, Any])
assert_type(run.labels, tuple[str, ...])
assert_type(run.model, keras.Model)
assert_type(run.history, pd.DataFrame)
assert_type(run.predict(["one.png", images[0]]), np.ndarray)
assert_type(applications.evaluate(run, batch_size=64), dict[str, Any])
assert_type(applications.evaluate("runs/a", scales=(32, 36), crops="ten"), dict[str, Any])
assert_type(applications.evaluate(run, ensemble=[run, "runs/b"], against=run), dict[str, Any])
assert_type(applications.predict("runs/a", ["one.png"], top=1)[0][1][0][1], float)
assert_type(applications.explain(run, "one.png", class_name="7").map, np.ndarray)
assert_type(applications.compare(["runs/a", run], run_dir="runs/c"), pd.DataFrame)
assert_type(applications.compare(archs="lenet5,nin", data="digits", epochs=3), pd.DataFrame)
assert_type(applications.search("mobilenet", trials=2).trials, pd.DataFrame)
assert_type(applications.distill(run, "lenet5", temperature=2.0, alpha=0.5), applications.Run)
assert_type(applications.distill("runs/a", "lenet5", ensemble=[run]), applications.Run)
assert_type(applications.distill(run, "mlp", transfer_classes=["7", "8"]), applications.Run)
grown = applications.grow(run, alpha=1.0, extra_depth=2, new_channels="copies", noise=0.1)
assert_type(grown, applications.Run)
assert_type(applications.shrink("runs/a", alpha=0.25, temperature=4.0), applications.Run)
found_images = applications.retrieve(run, "images", ["one.png"], top=3, code="binary", bits=32)
assert_type(found_images.answers[0].images, list[str])
assert_type(found_images.precision["raw"][10], float)
assert_type(applications.specialists(run, sets=4, epochs=2, patience=1), applications.Run)
assert_type(applications.compress(run, sparsity=0.9, bits=5, per="layer"), applications.Run)
assert_type(applications.compress("runs/a", target_bytes=9_000, epochs=3), applications.Run)
assert_type(applications.compress("runs/a", channels=0.5, int8="aware"), applications.Run)
assert_type(applications.serve(run, port=0, runtime="litert"), None)
assert_type(applications.serve(["runs/a", "b=runs/b"], host="::1", max_wait_ms=1.5), None)
assert_type(applications.serve({"a": run}, token_file="token", max_batch=8), None)
assert_type(applications.export(run, format="onnx", precision="int8"), dict[str, Any])
assert_type(applications.export("runs/a", format="c", out="c", tolerance=0.1), dict[str, Any])
assert_type(applications.export("a", format="litert", batch="dynamic"), dict[str, Any])
assert_type(applications.bench("lenet5", batch=(1, 8), seconds=0.1), pd.DataFrame)
assert_type(applications.plot_architecture("vgg16", "vgg16.svg").params, int)
assert_type(applications.lint("mobilenet", alpha=0.5)[0].principle, str)
assert_type(applications.summary("vgg16", stages=True).macs, int)
assert_type(applications.summary("vgg16", compare="nin"), keras_archs.Comparison)
applications.dashboard("runs", port=6006)
assert_type(applications.new("classifier", "photos"), Path)

recipe = applications.recipe("resnet50")
assert_type(recipe.epochs_for(images=1000, batch_size=32), int)
assert_type(applications.list_recipes(), list[str])

kinds: list[Literal["avg", "max"]] = ["avg", "max"]
vectors = [keras_archs.NiN(include_top=False, pooling=kind) for kind in kinds]
