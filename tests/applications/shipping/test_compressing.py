"""Compressing a run: pruned, shared, coded, and still a run."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from interrupting import interrupt_after
from keras import layers, ops

import applications
import keras_archs
from applications import runs
from applications.options import Compression
from applications.shipping.compressing import compressing, measuring
from applications.shipping.compressing.compressing import PruneThenShare, compress, prune
from applications.shipping.compressing.pruning import pruned, sparsity_at
from applications.shipping.compressing.reporting import section, summary
from applications.shipping.compressing.sharing import rounded, shared
from applications.training.progress import Progress
from keras_archs.weights.compressed import packed

BEFORE = Path(__file__).parents[2] / "fixtures" / "before"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def one_runtime():
    """Converting a network for each runtime takes seconds: here for one."""
    backend, make = keras.backend.backend(), measuring.runtime

    def runtime(model, name=backend, **options):
        return make(model, name, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "runtime", runtime)
        patch.setattr(measuring, "_SECONDS", 0.0)
        yield


def normal(*shape, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape).astype(np.float32)


# ------------------------------------------------------------------------------------------ pruning


def test_the_sparsity_rises_with_the_cube_of_what_is_left():
    """Zhu & Gupta 2017, equation 1, from 0."""
    assert [sparsity_at(step, 100, 0.8) for step in (0, 100, 250)] == [0, 0.8, 0.8]
    assert sparsity_at(50, 100, 0.8) == pytest.approx(0.8 * (1 - 1 / 8))
    steps = [sparsity_at(step, 100, 0.8) for step in range(101)]
    assert steps == sorted(steps) and np.diff(steps).argmax() == 0
    assert sparsity_at(1, 1, 0.8) == 0.8


@pytest.mark.parametrize("sparsity", [0, 0.3, 0.67, 0.99])
def test_each_layer_loses_its_smallest_weights(sparsity):
    kernels = [normal(3, 3, 8, 16), normal(64, 10, scale=9)]
    for before, after in zip(kernels, pruned(kernels, sparsity, "layer"), strict=True):
        gone = after == 0
        assert np.count_nonzero(gone) == round(sparsity * before.size)
        np.testing.assert_array_equal(after[~gone], before[~gone])
        if gone.any():
            assert np.abs(before[gone]).max() <= np.abs(before[~gone]).min()


def test_of_all_layers_together_the_smallest_weights_go_but_of_none_all():
    kernels = [normal(20, 50), normal(20, 50, scale=100, seed=1), normal(20, 50, scale=1e-3)]
    left = [np.count_nonzero(kernel) for kernel in pruned(kernels, 0.5, "global")]
    assert left[2] == 10 and left[0] + left[1] == 1500 and left[0] < left[1]
    left = [np.count_nonzero(kernel) for kernel in pruned(kernels[:2], 0.5, "global")]
    assert sum(left) == 1000 and left[0] < left[1]


def test_equal_weights_are_pruned_in_their_number():
    (after,) = pruned([np.ones((10, 10), np.float32)], 0.4, "layer")
    assert np.count_nonzero(after == 0) == 40


def test_depthwise_kernels_and_biases_are_not_pruned():
    model = keras_archs.MobileNet((32, 32, 1), 4, alpha=1 / 8, stem="small")
    prune(model, 0.8, "layer")
    density = {w.path: np.count_nonzero(w) / w.numpy().size for w in model.trainable_weights}
    assert density["conv_pw_3/kernel"] == pytest.approx(0.2, abs=0.01)
    assert density["conv_dw_3/kernel"] == density["conv_dw_3_bn/gamma"] == 1


# ------------------------------------------------------------------------------------------ sharing


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_weights_that_are_left_share_few_values_and_zeros_stay(bits):
    (kernel,) = pruned([normal(3, 3, 32, 64)], 0.6, "layer")
    after = shared(kernel, bits)
    np.testing.assert_array_equal(after == 0, kernel == 0)
    values = np.unique(after[after != 0])
    assert 2**bits - 2 <= len(values) <= 2**bits
    for value in values:  # a centroid is the mean of its weights
        assert value == pytest.approx(kernel[after == value].mean(), rel=1e-5)
    kept = kernel != 0
    evenly = np.linspace(kernel.min(), kernel.max(), 2**bits)
    nearest = evenly[np.abs(kernel[kept][:, None] - evenly).argmin(axis=1)]
    assert np.square(after - kernel).sum() < np.square(nearest - kernel[kept]).sum()


def test_the_largest_weights_keep_a_value_of_their_own():
    """Deep Compression, section 3.2: what linear initialisation is for."""
    kernel = normal(100, 100)
    kernel[0, 0], kernel[0, 1] = -30, 30
    after = shared(kernel, 4)
    np.testing.assert_array_equal(after[0, :2], [-30, 30])


def test_sharing_repeats_itself_and_leaves_few_values_alone():
    kernel = normal(300, 300)
    np.testing.assert_array_equal(shared(kernel, 5), shared(kernel, 5))
    few = np.array([[0.0, 1.5], [-2.0, 1.5]], np.float32)
    assert shared(few, 2) is few


def test_arrays_are_rounded_where_little_is_lost():
    values = normal(50, scale=0.1)
    np.testing.assert_array_equal(rounded(values), values.astype(np.float16).astype(np.float32))
    for kept in ([1e5, 1.0], [1e-6, 2e-6]):
        np.testing.assert_array_equal(rounded(np.array(kept, np.float32)), np.float32(kept))
    assert not np.signbit(rounded(np.array([-0.0, 1.0], np.float32))).any()
    assert rounded(np.zeros(0, np.float32)).size == 0


# -------------------------------------------------------------------- what is held through training


def small_model():
    model = keras.Sequential(
        [keras.Input((12,)), layers.Dense(20, activation="relu"), layers.Dense(3)]
    )
    optimizer = keras.optimizers.AdamW(0.05, weight_decay=0.1)
    model.compile(optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Noting(keras.callbacks.Callback):
    """Keeps the kernels after each step."""

    def __init__(self, progress):
        super().__init__()
        self.progress, self.seen = progress, []

    def on_train_batch_end(self, batch, logs=None):
        self.progress.steps += 1
        self.seen.append([ops.convert_to_numpy(layer.kernel) for layer in self.model.layers])


@pytest.fixture(scope="module")
def steps():
    """The kernels after each of 40 steps."""
    keras.utils.set_random_seed(0)
    model, progress = small_model(), Progress()
    images, labels = normal(80, 12), np.arange(80) % 3
    held = PruneThenShare(model, progress, 40, 0.6, "layer", [3, 2])
    noting = Noting(progress)
    model.fit(images, labels, batch_size=8, epochs=4, verbose=0, callbacks=[held, noting])
    return noting.seen


def test_zeros_stay_through_momentum_and_decay_and_become_more_until_half_of_the_steps(steps):
    for before, after in zip(steps, steps[1:], strict=False):
        for one, other in zip(before, after, strict=True):
            assert not other[one == 0].any()
    zeros = [np.count_nonzero(kernels[0] == 0) / 240 for kernels in steps]
    assert zeros[19] == zeros[39] == 0.6 and 0 < zeros[0] < zeros[9] < 0.6
    assert not np.array_equal(steps[20][0], steps[28][0])  # what is left learns


def test_a_network_that_lost_channels_is_repaired_before_weights_are_pruned():
    keras.utils.set_random_seed(0)
    model, progress = small_model(), Progress()
    held = PruneThenShare(model, progress, 40, 0.6, "layer", [3, 2], first=0.25)
    noting = Noting(progress)
    images, labels = normal(80, 12), np.arange(80) % 3
    model.fit(images, labels, batch_size=8, epochs=4, verbose=0, callbacks=[held, noting])
    zeros = [np.count_nonzero(kernels[0] == 0) / 240 for kernels in noting.seen]
    assert zeros[9] == 0 and 0 < zeros[10] < zeros[14] < zeros[19] == zeros[39] == 0.6
    once = PruneThenShare(model, Progress(), 1, 0.6, "layer", [3, 2], first=0.25)
    assert (once.first, once.pruned_at) == (0, 1)  # a single step prunes all


def test_in_the_last_quarter_values_are_shared_and_learn(steps):
    for kernels in steps[29:]:
        for kernel, bits in zip(kernels, (3, 2), strict=True):
            assert len(np.unique(kernel[kernel != 0])) <= 2**bits
    assert len(np.unique(steps[28][0])) > 9
    for at in (0, 1):
        first, last = steps[29][at], steps[39][at]
        for value in np.unique(first):  # those that shared a value still do, another one
            assert len(np.unique(last[first == value])) == 1
        assert not np.array_equal(first, last)


def test_a_centroid_moves_by_the_mean_of_its_weights():
    kernel = keras.Variable(np.array([[0, 2, 2], [-1, 2, -1]], np.float32))
    hold = compressing._shares(kernel)
    kernel.assign_add(np.array([[9, 1, 2], [0, 3, 1]], np.float32))
    hold()
    np.testing.assert_array_equal(kernel.numpy(), [[0, 4, 4], [-0.5, 4, -0.5]])
    kernel.assign_add(np.array([[9, 3, 0], [0, 0, 0]], np.float32))
    hold()
    np.testing.assert_array_equal(kernel.numpy(), [[0, 5, 5], [-0.5, 5, -0.5]])


# ------------------------------------------------------------------------------------------ options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, r"`channels` must be in \(0, 0.9\]. Received: channels=0"),
        ({"channels": 0.95}, "`channels` must be in"),
        ({"sparsity": 1}, r"`sparsity` must be in \[0, 0.99\]. Received: sparsity=1"),
        ({"sparsity": -0.1}, "`sparsity` must be in"),
        ({"bits": 1}, r"`bits` must be an integer in \[2, 8\]. Received: bits=1"),
        ({"bits": 9}, "`bits` must be"),
        ({"first_last_bits": 9}, "`first_last_bits` must be"),
        ({"per": "channel"}, "`per` must be one of 'layer', 'global'"),
        ({"target_bytes": 0}, "`target_bytes` must be"),
        ({"target_bytes": 9, "sparsity": 0.5}, "`sparsity` must be None with `target_bytes`"),
        ({"int8": "before"}, "`int8` must be one of 'after', 'aware'"),
        ({"int8": "aware", "bits": 5}, "`int8` must be None or 'after' where .* with bits"),
    ],
)
def test_options_out_of_their_range_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Compression(run="x", **options)
    with pytest.raises(ValueError, match=message):
        compress("x", **options)


def test_channels_alone_leave_weights_as_they_are_and_with_others_all_is_done():
    def settled(**options):
        made = Compression(run="x", **options)
        return made.shares, made.bits

    assert settled() == (True, 6)  # as before there were channels to remove
    assert settled(channels=0.5) == (False, None)
    assert settled(channels=0.5, sparsity=0.5) == settled(channels=0.5, bits=6) == (True, 6)
    assert settled(channels=0.5, target_bytes=9) == (True, 6)
    assert settled(int8="aware") == settled(int8="aware", channels=0.5) == (False, None)
    assert settled(int8="after") == (True, 6)


def test_what_is_recorded_is_that_of_before_unless_more_is_asked_for():
    """So that a compression that an earlier version began is resumed."""
    before = {"sparsity", "per", "bits", "first_last_bits", "target_bytes"}
    assert set(Compression(run="x").recorded) == before
    assert Compression(run="x", channels=0.5).recorded["channels"] == 0.5
    assert Compression(run="x", int8="aware").recorded["int8"] == "aware"


@pytest.fixture
def parent(here):
    """A run of an earlier version, of LeNet-5 on the digits."""
    shutil.copytree(BEFORE / "finished", here / "parent")
    return here / "parent"


def listing(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def damaged(parent):
    (parent / "model.keras").write_bytes(b"PK\3\4 no model")


def unfinished(parent):
    (parent / "metrics.json").unlink()


def untested(parent):
    metrics = json.loads((parent / "metrics.json").read_text())
    del metrics["test_accuracy"]
    (parent / "metrics.json").write_text(json.dumps(metrics))


def of_others(parent):
    labels = json.loads((parent / "labels.json").read_text())
    (parent / "labels.json").write_text(json.dumps(labels[::-1]))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (unfinished, {}, "`run` must be finished"),
        (untested, {}, "`run` must have been tested"),
        (damaged, {}, "A .keras file must hold a model that Keras can read"),
        (of_others, {}, "`run` must have been trained on what its data are now"),
        (None, {"run_dir": "parent"}, "`run_dir` must not exist"),
        (None, {"target_bytes": 500}, r"`target_bytes` must be at least \d+ for this network"),
        (None, {"epochs": 0}, "`epochs` must be"),
        (None, {"run_dir": "parent", "resume": True}, "`epochs` must be as in the run|`weights`"),
    ],
)
def test_what_cannot_be_compressed_is_an_error_and_leaves_nothing(
    change, options, message, parent, here
):
    if change:
        change(parent)
    before = listing(here)
    with pytest.raises((ValueError, OSError), match=message) as error:
        compress("parent", **{"epochs": 3, **options})
    assert "\n" not in str(error.value)
    assert listing(here) == before


def test_without_constriction_nothing_is_begun(parent, monkeypatch, here):
    monkeypatch.setitem(sys.modules, "constriction", None)
    before = listing(here)
    with pytest.raises(ValueError, match="pip install constriction"):
        compress(parent)
    assert listing(here) == before


def test_int8_without_its_converter_begins_nothing(parent, monkeypatch, here):
    monkeypatch.setattr(measuring, "can_convert", lambda: False)
    before = listing(here)
    with pytest.raises(ValueError, match="`int8` must be None, or 'aware', without TensorFlow"):
        compress(parent, int8="after")
    assert listing(here) == before
    measuring.check_int8("aware")  # which is converted elsewhere


def test_latencies_are_of_the_fastest_runtime_by_the_name_of_each_network(monkeypatch):
    chosen = []

    def runtime(model, *name, **options):
        chosen.append((name, options))
        raise ValueError("no runtime has its layers")

    monkeypatch.setattr(measuring, "runtime", runtime)
    networks = {name: keras_archs.LeNet5(alpha=0.5) for name in ("parent", "this")}
    found = measuring.latencies(networks)
    assert chosen == [((), {})] * 2  # without a name it is the fastest
    assert list(found) == ["parent", "this"]
    assert all(each["runtime"] == "keras" and each["ms"] > 0 for each in found.values())


FIGURES = {
    **{"params": 4218, "macs": 16620, "test_accuracy": 0.9359, "macro_f1": 0.93},
    **{"test_loss": 0.28, "validation_accuracy": 0.931},
}


def test_the_card_has_a_row_for_each_network_as_table_2_of_squeezenet():
    metrics = {
        **{**FIGURES, "params": 1728, "macs": 9400, "test_accuracy": 0.9},
        **{"parent": FIGURES, "compressed_bytes": 6000, "float32_bytes": 24000},
        **{"sparsity": 0.0, "bits": None},
        "fastest": {
            name: {"runtime": "litert", "ms": 0.0123}
            for name in ("parent", "this", "parent in int8", "this in int8")
        },
        "int8": {
            name: {"bytes": 3000, "test_accuracy": 0.8, "macro_f1": 0.75}
            for name in ("parent", "this")
        },
    }
    asked = Compression(run="x", channels=0.4, int8="after")
    page = section(Path("x"), asked, metrics)
    header, _, *rows = [line for line in page.split("\n") if line.startswith("|")]
    rows = [dict(zip(header.split(" | "), row.split(" | "), strict=True)) for row in rows]
    column = {name.strip("| "): [row[name].strip("| ") for row in rows] for name in rows[0]}
    assert column["network"] == ["the parent", "this", "the parent, int8", "this, int8"]
    assert column["weights"] == ["32 bit", "32 bit", "8 bit", "8 bit"]
    assert column["bytes"][:2] == ["24,000", "24,000 -> 6,000"]
    assert column["smaller"] == ["1.0x", "4.0x", "8.0x", "8.0x"]
    assert column["than AlexNet"] == ["10,000x", "40,000x", "80,000x", "80,000x"]
    assert column["parameters"] == ["4,218", "1,728"] * 2
    assert column["test accuracy"] == ["93.59 %", "90.00 %", "80.00 %", "80.00 %"]
    assert column["test loss"] == ["0.2800", "0.2800", "", ""]
    assert column["latency"] == ["0.0123 ms"] * 4 and column["runtime"] == ["litert"] * 4
    assert "1608.08710" in page and "1510.00149" not in page
    assert "4,218 -> 1,728 parameters" in summary(metrics)
    assert summary(metrics).endswith("93.59 -> 90.00 %; int8: 3,000 bytes, 80.00 %")

    elsewhere = {**metrics, "int8": {}}  # as `aware` leaves it without TensorFlow
    page, line = section(Path("x"), asked, elsewhere), summary(elsewhere)
    assert "int8 |" not in page
    said = "There is no model.tflite, which TensorFlow and LiteRT make of these weights"
    assert f" {said}." in page and line.endswith(f"93.59 -> 90.00 %. {said}")


def test_a_target_is_reached_by_sparsity_first_and_then_by_fewer_bits(parent):
    run = runs.load(parent)
    network = run.model
    before = network.get_weights()
    made = compressing._Compressing(run, Compression(run=run, target_bytes=10**6))
    assert made._fitting(network, 10**6) == (pytest.approx(0, abs=0.01), 6)
    sizes = []
    for target in (2400, 2000, 1450):
        setting = made._fitting(network, target)
        made._apply(network, setting)
        sizes.append((len(packed(network).data), setting.sparsity, setting.bits))
        network.set_weights(before)
        assert 0.9 * target < sizes[-1][0] <= target
    assert sizes[0][1] < sizes[1][1] and sizes[0][2] == sizes[1][2] == 6


# -------------------------------------------------------------------------------------- a whole run


SETTINGS = {"sparsity": 0.5, "bits": 4, "first_last_bits": 6, "epochs": 8, "verbose": 0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("trained")
    options = {"data": digits, "size": 16, "epochs": 30, "batch_size": 32, "verbose": 0}
    return applications.train("lenet5", alpha=0.5, run_dir=folder / "parent", **options)


@pytest.fixture(scope="module")
def small(trained):
    return compress(trained, run_dir=trained.path.parent / "small", **SETTINGS)


@pytest.mark.slow
def test_a_compressed_run_is_a_run_with_its_parent_beside_it(trained, small):
    config = yaml.safe_load((small.path / "config.yaml").read_text())
    assert config["parent"] == str(trained.path)
    assert config["compress"] == {
        **{"sparsity": 0.5, "per": "global", "bits": 4},
        **{"first_last_bits": 6, "target_bytes": None},
    }
    packed_model = keras_archs.load_compressed(small.path / "model.kac")
    for ours, theirs in zip(small.model.weights, packed_model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    kernels = [w.numpy() for w in small.model.trainable_weights if len(w.shape) > 1]
    zeros = sum(np.count_nonzero(kernel == 0) for kernel in kernels)
    assert zeros / sum(kernel.size for kernel in kernels) == pytest.approx(0.5, abs=1e-3)
    distinct = [len(np.unique(kernel[kernel != 0])) for kernel in kernels]
    assert distinct[0] <= 64 and distinct[-1] <= 64 and max(distinct[1:-1]) <= 16
    metrics = small.metrics
    assert metrics["compressed_bytes"] == (small.path / "model.kac").stat().st_size
    assert metrics["float32_bytes"] / metrics["compressed_bytes"] > 5
    assert metrics["parent"]["test_accuracy"] == trained.metrics["test_accuracy"]
    assert metrics["test_accuracy"] > 0.5  # 10 % is chance
    card = (small.path / "card.md").read_text()
    for run in (trained, small):
        assert f"| {100 * run.metrics['test_accuracy']:.2f} % |" in card.split("## Compression")[1]
    with open(small.path / "compression.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [w.path for w in small.model.weights]
    assert applications.evaluate(small)["test_accuracy"] == metrics["test_accuracy"]
    table = applications.compare([trained, small], run_dir=small.path.parent / "compared")
    assert len(table) == 2
    assert trained.path.name == "parent" and (trained.path / "model.keras").exists()


@pytest.mark.slow
def test_a_compression_that_was_interrupted_ends_with_the_same_bytes(
    trained, small, monkeypatch, here
):
    again = {"run_dir": here / "again", "resume": True, **SETTINGS}
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3, 7)  # while it prunes, and while values are shared
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                compress(trained, **again)
    with pytest.raises(ValueError, match="`compress` must be as in the run that is resumed"):
        compress(trained, **{**again, "bits": 5})
    resumed = compress(trained, **again)
    for name in ("model.kac", "compression.csv"):
        assert (resumed.path / name).read_bytes() == (small.path / name).read_bytes()
    kept = os.listdir(resumed.path)
    compress(trained, **again)  # finished already
    assert sorted(os.listdir(resumed.path)) == sorted(kept)


@pytest.mark.slow
def test_channels_go_for_good_and_an_interrupted_repair_ends_with_the_same_weights(
    trained, monkeypatch, here
):
    options = {"channels": 0.4, "epochs": 4, "verbose": 0}
    narrow = compress(trained, run_dir=here / "narrow", **options)
    metrics, before = narrow.metrics, trained.metrics
    assert metrics["params"] == narrow.model.count_params() < 0.7 * before["params"]
    assert metrics["macs"] < 0.7 * before["macs"]
    assert metrics["sparsity"] == 0 and metrics["bits"] is None
    assert metrics["parent"]["params"] == before["params"]
    assert metrics["test_accuracy"] > 0.5  # 10 % is chance
    assert len(narrow.model.layers) == len(trained.model.layers)
    with open(narrow.path / "profile.csv") as file:
        assert sum(int(row["params"]) for row in csv.DictReader(file)) == metrics["params"]
    card = (narrow.path / "card.md").read_text().split("## Compression")[1]
    for run in (before, metrics):
        assert f"| {run['params']:,} | {run['macs']:,} |" in card
    assert "40 % of the channels removed" in card and "shared" not in card
    packed_model = keras_archs.load_compressed(narrow.path / "model.kac")
    for ours, theirs in zip(narrow.model.weights, packed_model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    again = {"run_dir": here / "again", "resume": True, **options}
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            compress(trained, **again)
    with pytest.raises(ValueError, match="`compress` must be as in the run that is resumed"):
        compress(trained, **{**again, "channels": 0.5})
    resumed = compress(trained, **again)
    assert (resumed.path / "model.kac").read_bytes() == (narrow.path / "model.kac").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT's converter")
def test_a_network_trained_for_int8_is_on_its_grid_and_resumes_with_the_same_weights(
    trained, monkeypatch, here
):
    options = {"int8": "aware", "epochs": 2, "verbose": 0}
    run = compress(trained, run_dir=here / "aware", **options)
    for layer in run.model.layers:
        if getattr(layer, "kernel", None) is not None:
            kernel = layer.kernel.numpy()
            kernel = kernel.reshape(-1, kernel.shape[-1])
            codes = kernel / np.abs(kernel).max(axis=0) * 127
            np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
    figures = run.metrics["int8"]
    assert figures["this"]["bytes"] == (run.path / "model.tflite").stat().st_size
    assert abs(figures["this"]["test_accuracy"] - run.metrics["test_accuracy"]) < 0.02
    assert abs(figures["parent"]["test_accuracy"] - trained.metrics["test_accuracy"]) < 0.05
    assert set(run.metrics["fastest"]) == {"parent", "this", "parent in int8", "this in int8"}

    again = {"run_dir": here / "again", "resume": True, **options}
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)  # what the ranges of activations are is in the checkpoint
        with pytest.raises(KeyboardInterrupt):
            compress(trained, **again)
    resumed = compress(trained, **again)
    assert (resumed.path / "model.kac").read_bytes() == (run.path / "model.kac").read_bytes()
    for name in ("parent", "this"):  # the file's size follows names in it, which count on
        again_ = resumed.metrics["int8"][name]
        assert again_["test_accuracy"] == figures[name]["test_accuracy"]


@pytest.mark.slow
def test_channels_go_first_and_then_weights_are_pruned_and_shared(trained, here):
    options = {"channels": 0.3, "per": "layer", "sparsity": 0.5, "bits": 4, "epochs": 4}
    run = compress(trained, run_dir=here / "both", verbose=0, **options)
    assert run.metrics["params"] < 0.75 * trained.metrics["params"]
    assert run.metrics["sparsity"] == pytest.approx(0.5, abs=0.02)
    kernels = [w.numpy() for w in run.model.trainable_weights if len(w.shape) > 1]
    assert max(len(np.unique(kernel[kernel != 0])) for kernel in kernels) <= 16
    assert applications.evaluate(run)["test_accuracy"] == run.metrics["test_accuracy"]


@pytest.mark.slow
def test_a_target_of_bytes_is_kept_to(trained, here):
    options = {"target_bytes": 6_000, "epochs": 1, "verbose": 0, "run_dir": here / "target"}
    run = compress(trained.path, **options)
    assert 4_000 < run.metrics["compressed_bytes"] <= 6_000
    assert run.config["compress"]["sparsity"] is None and 0 < run.metrics["sparsity"] < 1
