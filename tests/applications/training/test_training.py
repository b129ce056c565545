"""Training: a flat network that takes raw images, the recipe applied to it, a full run folder."""

import dataclasses
import inspect
import json
import os
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score

import keras_archs
from applications import load
from applications.data import augmentation
from applications.data.sources import open_source
from applications.options import OPTIONS, Options
from applications.recipes import catalog as recipes
from applications.training import optimizing, results, training
from applications.training.building import built_network
from applications.training.growth import Growth
from applications.training.optimizing import prepare
from applications.training.training import train

FILES = {
    *("config.yaml", "model.keras", "labels.json", "metrics.json", "history.csv", "split.json"),
    *("profile.csv", "predictions.npz", "card.md"),
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Runs go to a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_stripes(path):
    """Three classes that are easy to tell apart: rows, columns, squares. 16x16 grey."""
    random = np.random.default_rng(0)
    at = np.arange(16) // 4 % 2
    patterns = np.stack([np.tile(at[:, None], 16), np.tile(at, (16, 1)), at[:, None] ^ at])
    y = np.arange(90) % 3
    x = (patterns[y] * 160 + random.integers(0, 90, (90, 16, 16))).astype(np.uint8)
    np.savez(path, x_train=x, y_train=y, x_test=x[:30], y_test=y[:30])


@pytest.fixture
def quick(here):
    """Options of a training that takes a second."""
    write_stripes(here / "stripes.npz")
    return {"data": "stripes.npz", "epochs": 2, "batch_size": 16, "size": 16, "verbose": 0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that no test changes, and the images it was tested on."""
    folder = tmp_path_factory.mktemp("trained")
    write_stripes(folder / "stripes.npz")
    options = {"epochs": 2, "batch_size": 16, "size": 16, "verbose": 0, "run_dir": folder / "run"}
    run = train("lenet5", data=folder / "stripes.npz", **options)
    return run, np.load(folder / "stripes.npz")["x_test"]


def planned(arch, source=None, recipe="default", **options):
    """The plan of a training, with a recipe that may need what training cannot do yet."""
    plan = Options(arch=arch, **options).planned(source or open_source("digits"))
    return dataclasses.replace(plan, recipe=recipes.recipe(recipe))


# ------------------------------------------------------------------------------------- the input


@pytest.mark.parametrize(
    ("arch", "size", "stem"),
    [
        ("lenet5", 32, None),  # asked for by its paper's recipe
        ("mobilenet", 16, "small"),
        ("squeezenet", 16, "small"),
        ("simpnet_300k", 16, None),
        ("resnet20", 16, None),
    ],
)
def test_digits_are_small_and_families_with_stems_get_the_small_one(arch, size, stem):
    options = planned(arch).options
    assert (options.size, options.args.get("stem")) == (size, stem)


def test_a_stem_that_is_asked_for_stays_and_raises_the_size_to_its_minimum():
    options = planned("mobilenet", args={"stem": "imagenet"}).options
    assert options.args == {"stem": "imagenet"}
    assert options.size == keras_archs.info("mobilenet").min_size


def test_images_above_64_pixels_get_the_papers_stem():
    assert "stem" not in planned("mobilenet", size=96).options.args
    assert planned("mobilenet", size=96, rho=0.5).options.args == {"stem": "small"}


def test_rho_leaves_the_network_its_smallest_input():
    plan = planned("lenet5", rho=0.25)
    assert plan.image_size == (keras_archs.info("lenet5").min_size,) * 2


@pytest.mark.parametrize("rho", [1.0, 0.3, 1e-3, 1e-9])
def test_the_smallest_side_is_found_at_once(rho):
    plan = planned("lenet5", rho=rho)
    side, smallest = plan.options.size, keras_archs.info("lenet5").min_size
    assert plan.image_size == (max(smallest, plan.image_size[0]),) * 2
    assert rho == 1 or round((side - 1) * rho) < smallest


def test_other_data_have_their_median_side_up_to_224(here):
    (here / "photos").mkdir()
    for side, wanted in ((500, 224), (48, 48)):
        source = dataclasses.replace(open_source("digits"), side=side)
        assert planned("mobilenet", source, data="photos").options.size == wanted


# ----------------------------------------------------------------------------------- the network


@pytest.mark.parametrize(
    "arch", ["lenet5", "mobilenet", "squeezenet", "resnet20", "resnet18", "simpnet_300k"]
)
def test_the_network_is_flat_and_computes_what_the_architecture_does(arch):
    plan = planned(arch, alpha=0.25)
    dataset = open_source("digits").at(plan.image_size)
    keras.utils.set_random_seed(3)
    network = built_network(plan, dataset)
    keras.utils.set_random_seed(3)
    shape = dataset.image_shape
    built = keras_archs.build(arch, shape, 10, alpha=0.25, **plan.options.args)

    assert not any(isinstance(layer, keras.Model) for layer in network.layers)
    assert network.input_shape == (None, *shape) and network.inputs[0].dtype == "uint8"
    names = ["images", "rescaling", *(x.name for x in built.layers[1:])]
    assert [layer.name for layer in network.layers] == names
    assert all(len(layer._inbound_nodes) == 1 for layer in network.layers)

    images = dataset.train.batch(range(4))
    everything = dataset.train.batch(range(len(dataset.train))) / 255
    normal = ((images / 255 - everything.mean()) / everything.std()).astype(np.float32)
    np.testing.assert_allclose(network(images), built(normal), rtol=1e-4, atol=1e-6)


def prepared(arch, recipe, **options):
    plan = planned(arch, recipe=recipe, **options)
    network = built_network(plan, open_source("digits").at(plan.image_size))
    prepare(network, plan)
    return network, plan


def test_the_default_recipe_draws_he_kernels_from_the_seed():
    (first, _), (same, _), (other, _) = (
        prepared("mobilenetshallow", "default", alpha=0.25, seed=seed) for seed in (0, 0, 1)
    )
    kernels = [
        keras.ops.convert_to_numpy(model.get_layer("conv_pw_7").kernel)
        for model in (first, same, other)
    ]
    assert kernels[0].std() == pytest.approx((2 / 128) ** 0.5, rel=0.1)
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).any()


def kernel_of(network, layer):
    return keras.ops.convert_to_numpy(network.get_layer(layer).kernel)


def test_initializers_draw_what_they_say():
    network, _ = prepared("squeezenet", "squeezenet", alpha=0.5)
    squeeze = kernel_of(network, "fire9_expand3x3")
    limit = (3 / (9 * squeeze.shape[2])) ** 0.5
    assert 0.95 * limit < abs(squeeze).max() <= limit
    assert squeeze.std() == pytest.approx(limit / 3**0.5, rel=0.05)
    assert kernel_of(network, "conv10").std() == pytest.approx(0.01, rel=0.1)
    network, _ = prepared("mobilenet", "mobilenet", alpha=0.25)
    for layer in ("conv_dw_13", "conv_pw_13"):  # this one does not look at the fan-in
        kernel = kernel_of(network, layer)
        assert 0.15 < abs(kernel).max() <= 0.18 + 1e-6
        assert kernel.std() == pytest.approx(0.88 * 0.09, rel=0.1)


def test_he_leaves_depthwise_kernels_alone():
    keras.utils.set_random_seed(0)
    network, _ = prepared("mobilenet", "mobilenet", alpha=0.25)
    before = kernel_of(network, "conv_dw_13"), kernel_of(network, "conv_pw_13")
    optimizing.draw(network, recipes.recipe("default"), seed=0)
    np.testing.assert_array_equal(kernel_of(network, "conv_dw_13"), before[0])
    assert (kernel_of(network, "conv_pw_13") != before[1]).any()


@pytest.mark.slow
def test_a_separable_convolution_has_a_depthwise_and_a_pointwise_kernel():
    separable = {"separable_stem": True}
    network, _ = prepared("bninception", "googlenet", alpha=1 / 8, args=separable, size=32)
    (layer,) = (x for x in network.layers if isinstance(x, keras.layers.SeparableConv2D))
    before = [keras.ops.convert_to_numpy(weight) for weight in layer.trainable_variables]
    optimizing.draw(network, recipes.recipe("default"), seed=0)
    for weight, values in zip(layer.trainable_variables, before, strict=True):
        drawn = (keras.ops.convert_to_numpy(weight) != values).any()
        assert drawn == (weight.name == "pointwise_kernel")
    optimizer = optimizing.optimizer_of(recipes.recipe("default"), network, 1e-3, 100)
    decayed = [w.name for w in layer.trainable_variables if optimizer._use_weight_decay(w)]
    assert decayed == ["pointwise_kernel"]


def small_vgg(arch, **options):
    return keras_archs.build(arch, (16, 16, 1), 10, alpha=1 / 16, stem="small", **options)


@pytest.mark.parametrize("arch", ["vgg13", "vgg16c", "vgg19"])
def test_deep_vggs_start_from_layers_of_vgg11(arch, here):
    shallow = small_vgg("vgg11")
    shallow.save(here / "vgg11.keras")
    recipe = recipes.recipe(arch)
    options = {"alpha": 1 / 16, "weights": "vgg11.keras", "size": 16}
    deep = small_vgg(arch)
    prepare(deep, planned(arch, recipe=arch, **options))
    for layer in recipe.pretrained_layers:
        theirs = shallow.get_layer(layer).get_weights()
        for ours, given in zip(deep.get_layer(layer).get_weights(), theirs, strict=True):
            np.testing.assert_array_equal(ours, given)
    rest = [
        x
        for x in deep.layers
        if isinstance(x, keras.layers.Conv2D) and x.name not in recipe.pretrained_layers
    ]
    drawn = np.concatenate([kernel_of(deep, layer.name).ravel() for layer in rest])
    assert drawn.std() == pytest.approx(0.01, rel=0.05) and abs(drawn.mean()) < 1e-3


def test_a_vgg_of_another_width_does_not_fit(here):
    small_vgg("vgg11").save(here / "vgg11.keras")
    plan = planned("vgg16", recipe="vgg16", weights="vgg11.keras", size=16)
    wider = keras_archs.VGG16((16, 16, 1), 10, alpha=1 / 8, stem="small")
    with pytest.raises(ValueError, match="layer `block1_conv1` has weights"):
        prepare(wider, plan)


@pytest.mark.slow
def test_a_vgg_is_trained_from_the_run_of_another(quick, here):
    options = {**quick, "alpha": 1 / 16, "epochs": 1}
    with pytest.raises(ValueError, match="`weights` must be the file of a trained vgg11"):
        train("vgg13", recipe="vgg13", **options)
    assert os.listdir(here) == ["stripes.npz"]
    shallow = train("vgg11", recipe="vgg11", run_dir="a", **options)
    weights = shallow.path / "model.keras"
    run = train("vgg13", recipe="vgg13", weights=weights, learning_rate=1e-9, **options)
    for layer in ("block3_conv2", "predictions"):
        np.testing.assert_allclose(
            kernel_of(run.model, layer), kernel_of(shallow.model, layer), rtol=1e-4, atol=1e-7
        )


def test_weights_from_a_file_are_where_training_starts(here):
    given = keras_archs.LeNet5((32, 32, 1), 10)
    given.save(here / "given.keras")
    network, _ = prepared("lenet5", "default", weights="given.keras")
    for ours, theirs in zip(network.get_weights(), given.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_default_recipe_follows_short_trainings_with_its_statistics():
    network, _ = prepared("resnet20", "default")
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert norms and all(layer.momentum == 0.9 for layer in norms)


def test_networks_without_batchnorm_get_the_lower_rate():
    default = recipes.recipe("default")
    assert planned("squeezenet").learning_rate == default.plain_learning_rate
    assert planned("resnet20").learning_rate == default.learning_rate
    assert planned("resnet20", learning_rate=0.5).learning_rate == 0.5


def test_weight_decay_of_adamw_leaves_out_biases_norms_and_depthwise_kernels():
    network, _ = prepared("mobilenet", "default", alpha=0.25)
    optimizer = optimizing.optimizer_of(recipes.recipe("default"), network, 1e-3, 100)
    decayed = [v.path for v in network.trainable_variables if optimizer._use_weight_decay(v)]
    assert "conv1/kernel" in decayed and "conv_pw_1/kernel" in decayed
    assert all(path.endswith("kernel") and "_dw_" not in path for path in decayed)


def test_weight_decay_of_sgd_is_a_penalty_with_the_papers_gradient():
    network, _ = prepared("resnet20", "resnet20")
    optimizing.optimizer_of(recipes.recipe("resnet20"), network, 0.1, 100)
    kernels = [
        keras.ops.convert_to_numpy(v) for v in network.trainable_variables if v.name == "kernel"
    ]
    penalty = float(sum(network.losses))
    assert penalty == pytest.approx(sum(1e-4 / 2 * (k**2).sum() for k in kernels), rel=1e-4)


def rates(recipe, steps, at):
    schedule = optimizing.schedule_of(recipes.recipe(recipe), 1.0, steps)
    return [float(schedule(step)) for step in at]


def test_schedules_are_those_of_the_recipes():
    assert rates("resnet20", 64_000, [0, 31_999, 32_000, 47_999, 48_000]) == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01]
    )
    assert rates("resnet110", 64_000, [0, 399, 400, 32_000]) == pytest.approx([0.1, 0.1, 1, 0.1])
    assert rates("squeezenet", 100, [0, 50, 100]) == pytest.approx([1, 0.5, 0])
    # Many steps in a short training: the last of those that begin at once counts.
    assert rates("mobilenetv2", 2, [0, 1]) == pytest.approx([0.98**102, 0.98**308], rel=0.05)
    assert rates("default", 100, [0, 5, 10, 55, 100]) == pytest.approx(
        [0, 0.5, 1, 0.5, 0], abs=1e-6
    )


# ---------------------------------------------------------------------------------- the run folder


def test_a_run_folder_is_complete_and_tells_all(trained):
    run, _ = trained
    files = {name for name in os.listdir(run.path) if not name.startswith("events.")}
    assert files == FILES and len(os.listdir(run.path)) == len(FILES) + 1

    assert tuple(run.config) == OPTIONS
    assert run.config["size"] == 16 and run.config["learning_rate"] == 2e-3
    assert run.config["precision"] == "float32" and run.config["recipe"] == "default"
    assert run.labels == ("0", "1", "2")
    columns = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds".split(",")
    assert list(run.history) == columns and list(run.history["epoch"]) == [1, 2]

    profile = keras_archs.profile(run.model)
    metrics = run.metrics
    assert (metrics["params"], metrics["macs"]) == (profile.params, profile.macs)
    assert metrics["input_shape"] == [16, 16, 1] and metrics["epochs"] == 2
    assert metrics["validation_accuracy"] == run.history["val_accuracy"].iloc[-1]
    assert 0 < metrics["latency_ms_p50"] <= metrics["latency_ms_p95"]
    assert {"test_accuracy", "macro_f1", "test_loss", "confusion_matrix", "per_class"} < set(
        metrics
    )
    assert len(pd.read_csv(run.path / "profile.csv")) == len(profile.rows)
    assert json.loads((run.path / "split.json").read_text())["test"]["count"] == 30
    card = (run.path / "card.md").read_text()
    assert "lenet5 on stripes" in card and "30 test images" in card and str(run.path) in card


def test_predictions_are_those_of_the_saved_model(trained):
    run, images = trained
    saved = np.load(run.path / "predictions.npz", allow_pickle=False)
    assert list(saved["ids"][:2]) == ["test/0", "test/1"]
    assert saved["probabilities"].dtype == np.float32
    np.testing.assert_allclose(run.predict(images), saved["probabilities"], atol=1e-5)
    accuracy = (saved["probabilities"].argmax(axis=1) == saved["labels"]).mean()
    assert run.metrics["test_accuracy"] == pytest.approx(accuracy)


def test_validation_figures_are_those_of_the_saved_model(trained):
    run, _ = trained
    source = open_source(run.config["data"], seed=run.config["seed"])
    images = source.at((16, 16), 1, resize=run.config["resize"]).validation
    predicted = run.predict(images.batch(np.arange(len(images)))).argmax(axis=1)
    wanted = {"accuracy": accuracy_score, "macro_f1": partial(f1_score, average="macro")}
    for name, score in wanted.items():
        found = run.metrics[f"validation_{name}"]
        assert found == pytest.approx(score(images.labels, predicted)), name


def test_predict_takes_files_and_arrays_of_any_size_and_colour(trained, here):
    run, _ = trained
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(here / "a.png")
    from_file, from_array = run.predict("a.png"), run.predict(pixels[None])
    assert from_file.shape == (1, 3) and from_file.dtype == np.float32
    np.testing.assert_array_equal(from_file, from_array)
    np.testing.assert_allclose(run.predict(["a.png", here / "a.png"])[1:], from_file, rtol=1e-5)


def test_the_saved_network_is_plain_keras_without_an_optimizer(trained):
    model = keras.saving.load_model(trained[0].path / "model.keras", safe_mode=True)
    assert not model.compiled
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def test_rows_of_the_profile_and_the_saved_model_agree(trained):
    run, _ = trained
    assert load(run.path).model.count_params() == run.metrics["params"]


def test_a_training_learns_and_repeats_with_its_seed(quick):
    options = {**quick, "epochs": 6}
    first, again = (train("lenet5", **options) for _ in range(2))
    other = train("lenet5", seed=1, **{**options, "epochs": 1})
    assert [str(run.path) for run in (first, again, other)] == [
        *("runs/lenet5-stripes-s0", "runs/lenet5-stripes-s0-2", "runs/lenet5-stripes-s1")
    ]
    assert first.metrics["test_accuracy"] > 0.9
    drop = {"columns": "seconds"}
    pd.testing.assert_frame_equal(first.history.drop(**drop), again.history.drop(**drop))
    for ours, same in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, same)
    assert first.history["loss"][0] != other.history["loss"][0]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's tracing")
def test_a_training_traces_its_step_once(quick, monkeypatch):
    traced, step = [], keras.Model.train_step
    monkeypatch.setattr(
        keras.Model, "train_step", lambda self, data: traced.append(self.name) or step(self, data)
    )
    train("lenet5", **quick)
    assert traced == ["lenet5"]


def test_a_config_repeats_its_run_in_a_new_folder(quick):
    options = {**quick, "alpha": 0.5, "rho": 0.5, "size": (40, 32), "args": {"dropout": 0.1}}
    run = train("lenet5", **options)
    assert run.config["size"] == [40, 32] and run.metrics["input_shape"] == [20, 16, 1]
    again = train(**run.config, verbose=0)
    assert again.path != run.path and again.config == run.config
    assert again.history["loss"].equals(run.history["loss"])


def test_a_precision_that_a_cpu_is_slow_at_is_said_before_the_start(quick, capsys, monkeypatch):
    class Begun(Exception):
        pass

    def begin(dataset):
        raise Begun

    monkeypatch.setattr(training.Dataset, "check", begin)
    for precision, slow in (("mixed_float16", True), ("mixed_bfloat16", False), (None, False)):
        with pytest.raises(Begun):
            train("lenet5", precision=precision, **{**quick, "verbose": 1})
        assert ("a CPU computes mixed_float16" in capsys.readouterr().err) == slow


def test_mixed_precision_is_the_runs_own(quick):
    run = train("lenet5", precision="mixed_bfloat16", **quick)
    assert run.model.get_layer("c1").compute_dtype == "bfloat16"
    assert run.model.get_layer("rescaling").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_balanced_classes_change_the_loss(quick, here):
    data = dict(np.load(quick["data"]))
    rows = np.flatnonzero((data["y_train"] == 0) | (np.arange(90) < 30))
    np.savez(
        "rare.npz", **{**data, "x_train": data["x_train"][rows], "y_train": data["y_train"][rows]}
    )
    plain, balanced = (
        train("lenet5", **{**quick, "data": "rare.npz"}, class_weight=weight)
        for weight in (None, "balanced")
    )
    assert plain.history["loss"][0] != balanced.history["loss"][0]


def history(run):
    return run.history.drop(columns="seconds")


@pytest.mark.slow
def test_options_take_the_place_of_the_recipes(quick):
    default = recipes.recipe("default")
    plain = train("lenet5", **quick)
    assert (plain.config["weight_decay"], plain.config["shift"]) == (None, None)
    own = {"label_smoothing": 0.0, "averaging": 0.0, "shift": default.shift}
    same = train("lenet5", weight_decay=default.weight_decay, **own, **quick)
    pd.testing.assert_frame_equal(history(same), history(plain))
    assert own.items() <= same.config.items()
    for changed in ({"weight_decay": 1.0}, {"shift": 0.5}, {"label_smoothing": 0.2}):
        assert not history(train("lenet5", **changed, **quick)).equals(history(plain))


@pytest.mark.slow
def test_every_modern_element_takes_part(quick):
    plain = history(train("lenet5", **quick))
    for own in (
        *({"rand_augment": 0.2}, {"random_erasing": 1.0}, {"mixup": 0.4}, {"cutmix": 1.0}),
        *(
            {"mirror": True},
            {"optimizer": "muon"},
            {"optimizer": "nesterov"},
            {"schedule": "one_cycle"},
        ),
    ):
        run = train("lenet5", **own, **quick)
        assert own.items() <= run.config.items()
        assert np.isfinite(run.history["loss"]).all() and not history(run).equals(plain), own


def test_the_accuracy_with_mirrored_images_is_that_of_the_mean_of_both(quick):
    run = train("lenet5", test_mirrored=True, **quick)
    test = open_source("stripes.npz").at(16).test
    images = test.batch(np.arange(len(test)))
    both = run.predict(images) + run.predict(images[:, :, ::-1])
    expected = accuracy_score(test.labels, both.argmax(axis=1))
    assert run.metrics["mirrored_test_accuracy"] == pytest.approx(expected)
    assert "test accuracy with mirrored images" in (run.path / "card.md").read_text()


def test_images_grow_in_four_parts_of_a_training_or_not_at_all():
    plan = planned("resnet20", epochs=8)
    recipe = dataclasses.replace(plan.recipe, progressive=0.5)
    growing = Growth(dataclasses.replace(plan, recipe=recipe))
    assert [growing.at(epoch) for epoch in (0, 2, 4, 7)] == [
        *(((8, 8), 2), ((11, 11), 4), ((13, 13), 6), ((16, 16), 8))
    ]
    assert Growth(plan).at(3) == ((16, 16), 8)


@pytest.mark.slow
def test_images_grow_in_the_course_of_a_training(quick, monkeypatch):
    sizes = []
    resized = augmentation.resized
    monkeypatch.setattr(
        augmentation, "resized", lambda x, size: sizes.append(size) or resized(x, size)
    )
    options = {**quick, "epochs": 8, "progressive": 0.5, "stochastic_depth": 0.2}
    run = train("resnet20", alpha=0.1, **options)
    assert sorted(set(sizes)) == [(8, 8), (11, 11), (13, 13)]  # 16 is as they are
    assert run.model.input_shape == (None, 16, 16, 1) and len(run.history) == 8
    assert not any("stochastic" in layer.name for layer in run.model.layers)


@pytest.mark.slow
def test_strong_weight_decay_shrinks_kernels(quick):
    kernels = [
        np.linalg.norm(kernel_of(train("lenet5", weight_decay=decay, **quick).model, "f6"))
        for decay in (0.0, 30.0)
    ]
    assert kernels[1] < 0.9 * kernels[0]


def test_a_batch_is_never_larger_than_the_data_which_is_said(quick, capsys):
    run = train("lenet5", **{**quick, "batch_size": 1000, "verbose": 1})
    assert run.config["batch_size"] == 81  # 90 less 10 % for validation
    (said,) = (line for line in capsys.readouterr().err.splitlines() if "warning" in line)
    assert said == (
        "warning: a step takes all 81 training images, fewer than the `batch_size` of 1000"
    )


def test_verbose_says_how_it_went_and_where_it_is(quick, capfd):
    train("lenet5", **{**quick, "verbose": 1})
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2 and "loss" in lines[0] and "ETA 0:00:00" in lines[1]
    assert out.startswith("lenet5 on stripes: ") and out.endswith("-> runs/lenet5-stripes-s0\n")
    assert "macro F1" in out and "15K parameters" in out and out.count("\n") == 1


def test_what_is_not_read_is_said_in_one_line_and_named_in_the_split(here, capfd):
    random = np.random.default_rng(0)
    for label in ("a", "b"):
        (here / "mine" / label).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(here / "mine" / label / f"{number}.png")
    (here / "mine" / "a" / "notes.txt").touch()
    (here / "mine" / "b" / "gone.png").symlink_to("nowhere")
    run = train("lenet5", data="mine", epochs=1)
    _, err = capfd.readouterr()
    assert "not read: a/notes.txt: no image (.txt) and 1 more (split.json names all)\n" in err
    split = json.loads((run.path / "split.json").read_text())
    assert split["not_read"] == ["a/notes.txt: no image (.txt)", "b/gone.png: a link to nothing"]


@pytest.mark.parametrize("predicted", [1, 2, 3])
def test_the_last_line_says_it_when_classes_are_never_predicted(trained, predicted):
    path = trained[0].path
    run = load(path)
    run.metrics["confusion_matrix"] = [[10, 5, 5][:predicted] + [0] * (3 - predicted)] * 3
    line = results.last_line(run, "stripes")
    assert (f" % (it predicts {predicted} of 3 classes; " in line) == (predicted < 3)
    assert "10 steps of training are too few to mean anything), " in line


def test_names_are_text_in_the_card(here):
    write_stripes(here / "stripes.npz")
    (here / "stripes.npz").rename(here / "a[b](c)<i>.npz")
    run = train("lenet5", data="a[b](c)<i>.npz", epochs=1, size=16, verbose=0)
    card = (run.path / "card.md").read_text()
    assert r"- data: a\[b\](c)&lt;i&gt;.npz" in card and "<i>" not in card


def test_silence(quick, capfd):
    train("lenet5", **quick)
    assert capfd.readouterr() == ("", "")


def test_a_loss_that_is_not_finite_ends_the_training_with_advice(quick):
    options = {**quick, "recipe": "resnet20", "learning_rate": 1e6, "run_dir": "x"}
    options["weight_decay"] = 1e6  # each step multiplies the weights
    with pytest.raises(ValueError, match="lower `learning_rate`.*Received: loss=.*in epoch 1") as e:
        train("lenet5", **options)
    assert "\n" not in str(e.value)
    assert (os.path.exists("x/config.yaml"), os.path.exists("x/metrics.json")) == (True, False)


# ------------------------------------------------------------------------------ trials of a search


TESTED = {"test_accuracy", "macro_f1", "test_loss", "confusion_matrix", "per_class"}
TESTED |= {"predicted_classes", "balanced_accuracy"}


def test_a_trial_is_scored_on_validation_and_its_test_adds_what_training_would_have(quick, here):
    config = {name: value for name, value in quick.items() if name != "verbose"}
    whole = train("lenet5", **quick)
    trial = training.train_trial(Options(arch="lenet5", **config), "trial")
    assert trial.config == whole.config
    assert set(trial.metrics) == set(whole.metrics) - TESTED
    assert not os.path.exists("trial/predictions.npz") and not os.path.exists("trial/checkpoint")
    assert "not used: this is a trial of a search" in (trial.path / "card.md").read_text()
    tested = training.test_trial("trial")
    for ours, theirs in zip(tested.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert list(tested.metrics) == list(whole.metrics)
    for name in TESTED | {"validation_accuracy", "params", "macs", "epochs"}:
        assert tested.metrics[name] == whole.metrics[name]
    with np.load("trial/predictions.npz") as ours, np.load(whole.path / "predictions.npz") as other:
        assert ours.files == other.files
        assert all((ours[name] == other[name]).all() for name in ours.files)
    assert "used once, after training" in (trial.path / "card.md").read_text()
    before = (trial.path / "predictions.npz").stat().st_mtime_ns
    assert training.test_trial("trial").metrics == tested.metrics
    assert (trial.path / "predictions.npz").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_trial_never_reads_a_test_image(quick, monkeypatch):
    read = lambda *args: pytest.fail("the test images were read")  # noqa: E731
    monkeypatch.setattr(results, "test_network", read)
    training.train_trial(Options(arch="lenet5", data=quick["data"], epochs=1), "trial")


@pytest.mark.slow
def test_a_trial_reports_its_epochs_and_may_stop_early(quick):
    given = {name: value for name, value in quick.items() if name != "verbose"}
    config = Options(arch="lenet5", **{**given, "epochs": 4})
    rows = []
    run = training.train_trial(config, "part", until=2, report=rows.append)
    assert [row["epoch"] for row in rows] == [1, 2] and run.metrics["epochs"] == 2
    assert run.config["epochs"] == 4 and os.path.exists("part/checkpoint/epoch-000002.npz")
    assert training.train_trial(config, "part", until=2, report=rows.append).metrics == run.metrics
    run = training.train_trial(config, "part", report=rows.append)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4] and run.metrics["epochs"] == 4
    assert not os.path.exists("part/checkpoint")
    whole = training.train_trial(config, "whole")
    for ours, theirs in zip(run.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    pd.testing.assert_frame_equal(history(run), history(whole))


@pytest.mark.slow
def test_what_is_planned_is_what_is_trained(quick, here):
    before = sorted(here.rglob("*"))
    options = Options(arch="lenet5", data="stripes.npz", batch_size=1000, size=16, epochs=1)
    plan = options.planned(open_source(options.data))
    assert sorted(here.rglob("*")) == before
    assert plan.build_arguments["input_shape"] == (16, 16, 1)
    assert (plan.build_arguments["classes"], plan.data_name) == (3, "stripes")
    assert plan.batch_size == plan.options.batch_size == 81
    assert plan.epochs == plan.options.epochs == 1
    assert train(**plan.config, verbose=0).config == plan.config


def test_options_and_plans_do_not_change():
    plan = planned("lenet5")
    for frozen, name in ((plan, "epochs"), (plan.options, "epochs")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, name, 1)


def test_the_signature_and_the_documentation_name_every_option():
    parameters = inspect.signature(train).parameters
    assert set(OPTIONS) < set(parameters)
    assert parameters["arch"].default is inspect.Parameter.empty
    assert parameters["shift"].annotation == float | None
    assert all(f"\n    {name}: " in train.__doc__ for name in parameters)
    with pytest.raises(TypeError, match=r"train\(\) got .* 'epoch'. Did you mean 'epochs'?"):
        train("lenet5", epoch=3)


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": "lenet"}, "Did you mean 'lenet5'.*Received: arch='lenet'"),
        ({"alpha": 0}, "`alpha` must be > 0. Received: alpha=0"),
        ({"alpha": float("nan")}, "`alpha` must be > 0"),
        ({"rho": 1.5}, "`rho` must be in"),
        ({"epochs": 0}, r"`epochs` must be an integer in \[1, 1000000\]. Received: epochs=0"),
        ({"epochs": 1.5}, "`epochs` must be an integer"),
        ({"batch_size": -1}, "`batch_size` must be an integer >= 1"),
        ({"learning_rate": 0}, "`learning_rate` must be > 0. Received: learning_rate=0"),
        ({"learning_rate": "1e-3"}, "`learning_rate` must be > 0. Received: learning_rate='1e-3'"),
        ({"weight_decay": -1e-4}, "`weight_decay` must be >= 0. Received: weight_decay="),
        ({"weight_decay": float("inf")}, "`weight_decay` must be >= 0"),
        ({"weight_decay": True}, "`weight_decay` must be >= 0"),
        ({"learning_rate": 1e300}, r"`learning_rate` must be in \(0, 1000000.0\]"),
        ({"weight_decay": 1e300}, r"`weight_decay` must be in \[0, 1000000.0\]"),
        ({"mixup": 1e300}, r"`mixup` must be in \[0, 1000\]. Received: mixup=1e\+300"),
        ({"run_dir": "a\0b"}, r"`run_dir` must be a name in UTF-8. Received: run_dir='a\\x00b'"),
        ({"run_dir": "a\udcff"}, "`run_dir` must be a name in UTF-8"),
        ({"shift": 1}, r"`shift` must be in \[0, 1\). Received: shift=1"),
        ({"shift": -0.1}, r"`shift` must be in \[0, 1\)"),
        ({"shift": "0.1"}, r"`shift` must be in \[0, 1\)"),
        ({"label_smoothing": 1}, r"`label_smoothing` must be in \[0, 1\). Received: label_smoo"),
        ({"averaging": 1.0}, r"`averaging` must be in \[0, 1\). Received: averaging=1.0"),
        ({"averaging": -0.5}, r"`averaging` must be in \[0, 1\)"),
        ({"optimizer": "sdg"}, "`optimizer` must be one of None, 'adam'.*Did you mean 'sgd'"),
        ({"schedule": "cosin"}, "`schedule` must be one of .*Did you mean 'cosine'"),
        ({"rand_augment": 1.5}, r"`rand_augment` must be in \[0, 1\]. Received: rand_augment=1.5"),
        ({"random_erasing": -1}, r"`random_erasing` must be in \[0, 1\]"),
        ({"mixup": -0.1}, "`mixup` must be >= 0. Received: mixup=-0.1"),
        ({"cutmix": 2}, r"`cutmix` must be in \[0, 1\]"),
        ({"stochastic_depth": 1}, r"`stochastic_depth` must be in \[0, 1\)"),
        ({"stochastic_depth": 0.1}, "must be 0 for a network without residual sums. .*lenet5"),
        ({"progressive": 0}, r"`progressive` must be in \(0, 1\]"),
        ({"progressive": 0.75}, "`progressive` must be 1 for a network that takes images of one"),
        ({"progressive": 0.1}, "`progressive` must leave images of 16x16 or more for lenet5"),
        ({"mirror": "yes"}, "`mirror` must be a bool. Received: mirror='yes'"),
        ({"test_mirrored": 1}, "`test_mirrored` must be a bool"),
        ({"recipe": "fitnet19"}, "`teacher` must be the run folder or the .keras file"),
        ({"teacher": "runs/a"}, "`teacher` must be None unless the recipe learns from one"),
        ({"seed": -1}, r"`seed` must be an integer in \[0, 4294967295\]"),
        ({"size": 0}, "`size` must be a side"),
        ({"size": (16, 16, 1)}, "`size` must be a side"),
        ({"size": 8}, "at least 16x16"),
        ({"recipe": "defualt"}, "Did you mean 'default'"),
        ({"resize": "squash"}, "`resize` must be one of 'stretch'"),
        ({"cache": "ram"}, "`cache` must be one of None, 'memory', 'disk', 'none'"),
        ({"class_weight": "even"}, "`class_weight` must be one of None, 'balanced'"),
        ({"precision": "float8"}, "`precision` must be one of"),
        ({"weights": "none.keras"}, "none.keras"),
        ({"data": "digit"}, "Did you mean 'digits'"),
        ({"threads": 0}, r"`threads` must be an integer in \[1, 1024\]"),
    ],
)
def test_wrong_arguments_leave_nothing_behind(options, message, here):
    with pytest.raises((ValueError, OSError), match=message) as error:
        train(**{"arch": "lenet5", **options})
    assert "\n" not in str(error.value)
    assert os.listdir(here) == []


@pytest.mark.parametrize("name", ["stemm", "include_top", "alpha"])
@pytest.mark.parametrize("size", [None, 16])
def test_an_argument_that_is_not_the_familys_own_is_a_type_error(name, size, here):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        train("mobilenet", size=size, args={name: "small"})
    assert os.listdir(here) == []


def test_a_folder_that_exists_is_left_alone(here, quick):
    (here / "mine").mkdir()
    with pytest.raises(FileExistsError, match="`run_dir` must not exist"):
        train("lenet5", run_dir="mine", **quick)
    assert os.listdir("mine") == []


def test_threads_are_set_before_tensorflow_starts_or_not_at_all(quick):
    keras.ops.zeros(1)
    with pytest.raises(ValueError, match="`threads` must be .*Received: threads=3"):
        train("lenet5", threads=3, **quick)


SEVERAL = """
import numpy as np
from pathlib import Path
import applications
from keras_archs import runtimes

folders = [Path(f"run{seed}") for seed in range(6)]
for seed, folder in enumerate(folders):
    applications.train("mlp", alpha=0.02, epochs=1, seed=seed, run_dir=folder, verbose=0)
for folder in folders:
    applications.evaluate(folder)
    runtimes.compiled(applications.load(folder).model)(np.zeros((2, 16, 16, 1), "uint8"))
"""


@pytest.mark.slow
def test_tensorflow_warns_of_nothing_where_a_process_trains_several_networks(here):
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL], cwd=here, capture_output=True, text=True, check=True
    )
    assert "WARNING:tensorflow" not in done.stderr
