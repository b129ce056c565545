"""A run with a smaller network of another run: pruned, trained on, shared, trained on, packed.

Channels that go (`channels`) are gone before the training, which repairs the network.

Deep Compression (Han, Mao & Dally 2016, arXiv:1510.00149) in one training with one schedule of the
learning rate. Weights are pruned by magnitude, ever more of them, in its first half
(`pruning.py`), of which a network without some of its channels has the first half to itself; those
that are left learn until three quarters are done; then each kernel's weights are shared, and in the
last quarter its few values learn (`sharing.py`). BatchNorm's running statistics remember a tenth of
a training, so in the end they are those of the shared weights. `quantising.py` trains for int8.
"""

import functools
import itertools
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import applications
import keras_archs
from applications.data.sources import Dataset
from applications.files import write_atomic
from applications.options import (
    OPTIONS,
    Compression,
    Group,
    Options,
    Plan,
    Running,
    retrained,
    takes,
)
from applications.shipping.compressing.measuring import (
    FILE,
    Int8,
    can_convert,
    check_int8,
    latencies,
)
from applications.shipping.compressing.pruning import pruned, sparsity_at
from applications.shipping.compressing.quantising import put_on_grid, quantised_learner
from applications.shipping.compressing.reporting import arrays_table, section, summary
from applications.shipping.compressing.sharing import rounded, shared
from applications.shipping.exporting.exporting import ranges
from applications.training.deriving import (
    Derivation,
    opened_parent,
    parent_figures,
    parent_network,
)
from applications.training.optimizing import kernels_of
from applications.training.progress import Progress
from applications.training.training import derive
from keras_archs.weights.compressed import Compressed, coder, packed

SPARSITY = 0.67  # SqueezeNet's with Deep Compression: a third of the weights is left
PRUNED, SHARED = 0.5, 0.75  # of the steps, after which all are pruned, and shared
REPAIRED = 0.25  # of the steps, in which a network without some of its channels learns alone
_UPDATES = 100  # of the masks
_MOST_FOR_A_TARGET = 0.95  # sparsity, beyond which fewer bits cost less accuracy
_MARGIN = 0.97  # of a target: what is found before the training must still fit after it
_STEP = 0.01
# What makes a training regular or long is left out of one that repairs a network.
_PLAIN = {
    **{"averaging": 0.0, "progressive": 1.0, "stochastic_depth": 0.0},
    **{"freeze_until": None, "adapt": False, "keep": "last", "patience": None, "time_limit": None},
    **{"devices": None, "cache": None},
}


@takes(Group(Compression), *retrained("compressed"))
def compress(
    compression: Compression, retrained: dict[str, Any], running: Running
) -> applications.Run:
    """Make a run with a smaller network of a finished one.

    It is trained on the run's own data, by its recipe, without averages of weights, images that
    grow or stochastic depth. The new run's folder has, beside what every run has, `model.kac`,
    which `keras_archs.load_compressed` reads, and compression.csv, a row for each array in it; the
    weights of model.keras are the same, bit for bit. card.md has the figures of both runs. Without
    some of its channels (`channels`) the network is a narrower one of plain layers: model.keras,
    profile.csv and everything that is made of the run have its parameters and multiply-adds. With
    `int8` there is also model.tflite, as `export` makes it, and what it makes of the test images.

    Args:

    Returns:
        The new run.

    Raises:
        ValueError, TypeError: an argument is wrong or contradicts another, the run is not finished,
            damaged or untested, its data are others now, no sparsity reaches the target, a layer
            stands in the way of channels that shall go, LiteRT cannot convert the network, or the
            libraries for what is asked are not installed.
        FileExistsError: `run_dir` exists, and `resume` was not asked for.
        OSError: a file cannot be read or written.
    """
    coder()
    check_int8(compression.int8)
    parent = opened_parent(compression.run)
    config = {name: parent.config[name] for name in OPTIONS}
    own = {name: value for name, value in retrained.items() if value is not None}
    own["threads"] = retrained["threads"]
    weights = str(parent.path / "model.keras")
    options = Options.made_of({**config, **_PLAIN, "weights": weights, **own})
    run = derive(options, running, _Compressing(parent, compression, bool(running.verbose)))
    if running.verbose:
        print(summary(run.metrics))
    return run


class _Setting(NamedTuple):
    """What a network is made smaller by."""

    sparsity: float
    bits: int


class _Compressing(Derivation):
    """The compression of a run, as `training.derive` wants it.

    Args:
        parent: the run.
        asked: what is to be done with it.
        verbose: whether it says what it finds for a target.
    """

    def __init__(self, parent: applications.Run, asked: Compression, verbose: bool = False):
        self.parent, self.asked, self.verbose = parent, asked, verbose
        self.setting: _Setting | None = None
        self.learner = quantised_learner if asked.int8 == "aware" else None
        self._int8_before: dict[str, Any] = {}

    @property
    def recorded(self) -> dict[str, Any]:
        return {"parent": os.fspath(self.parent.path), "compress": self.asked.recorded}

    def network(self, plan: Plan, dataset: Dataset) -> keras.Model:
        """The parent's, without the channels that go."""
        self._dataset = dataset
        network = parent_network(self.parent, dataset)
        if not list(kernels_of(network)):
            raise ValueError(
                f"`run` must have kernels that learn. Received: run={self.parent.path}"
            )
        if self._converts:  # before the training: what cannot be converted is found out now
            self._int8_before = Int8(network, self._ranges).figures(dataset)
        if self.asked.channels is not None:
            network = keras_archs.prune_channels(network, self.asked.channels, per=self.asked.per)
        self.setting = self._found(network) if self.asked.shares else None
        return network

    def _found(self, network: keras.Model) -> _Setting:
        """What is asked for, or what a target of bytes needs."""
        asked = self.asked
        bits = asked.bits or 0  # which has a number where weights are shared
        if asked.target_bytes is None:
            return _Setting(SPARSITY if asked.sparsity is None else asked.sparsity, bits)
        setting = self._fitting(network, asked.target_bytes)
        if self.verbose:
            zeros = f"{100 * setting.sparsity:.0f} % zeros"
            print(f"{asked.target_bytes:,} bytes: {zeros}, {setting.bits} bits", file=sys.stderr)
        return setting

    def _fitting(self, network: keras.Model, most: int) -> _Setting:
        """The most bits and the least sparsity with which the network, as it is, has the bytes."""
        before = network.get_weights()

        def size(setting: _Setting) -> int:
            self._apply(network, setting)
            found = len(packed(network).data)
            network.set_weights(before)
            return found

        least = 0
        for bits in range(self.asked.bits or 0, 1, -1):
            low, high = 0.0, _MOST_FOR_A_TARGET
            least = size(_Setting(high, bits))
            if least > _MARGIN * most:
                continue
            while high - low > _STEP:
                middle = (low + high) / 2
                fits = size(_Setting(middle, bits)) <= _MARGIN * most
                low, high = (low, middle) if fits else (middle, high)
            return _Setting(high, bits)
        raise ValueError(
            f"`target_bytes` must be at least {math.ceil(least / _MARGIN)} for this network, which "
            f"then has 95 % zeros and codes of 2 bits. Received: target_bytes={most}"
        )

    def _apply(self, network: keras.Model, setting: _Setting) -> None:
        """Prune, share and round all at once."""
        prune(network, setting.sparsity, self.asked.per)
        share(network, self._bits(network, setting))
        round_off(network)

    def _bits(self, network: keras.Model, setting: _Setting) -> list[int]:
        """Of each kernel."""
        bits = [setting.bits for _ in kernels_of(network)]
        if self.asked.first_last_bits is not None:
            bits[0] = bits[-1] = self.asked.first_last_bits
        return bits

    def callbacks(
        self, network: keras.Model, progress: Progress, steps: int
    ) -> list[keras.callbacks.Callback]:
        if self.setting is None:
            return []
        bits = self._bits(network, self.setting)
        first = 0.0 if self.asked.channels is None else REPAIRED
        held = PruneThenShare(
            *(network, progress, steps, self.setting.sparsity, self.asked.per, bits), first=first
        )
        return [held]

    @functools.cached_property
    def _ranges(self) -> np.ndarray:
        """Images that set the ranges of int8."""
        return ranges(self.parent)

    @property
    def _converts(self) -> bool:
        """Whether there is a file in int8."""
        return self.asked.int8 is not None and can_convert()

    def finish(self, network: keras.Model, path: Path) -> dict[str, Any]:
        """Round what is left, and write model.kac, compression.csv and model.tflite."""
        if self.asked.int8 == "aware":
            put_on_grid(network)
        made = self._packed(network)
        write_atomic(path / "model.kac", made.data)
        write_atomic(path / "compression.csv", arrays_table(made))
        kernels = [_array(k) for k, _ in kernels_of(network)]
        zeros = sum(int(np.count_nonzero(kernel == 0)) for kernel in kernels)
        return {
            "compressed_bytes": len(made.data),
            "float32_bytes": 4 * self.parent.metrics["params"],
            "sparsity": zeros / sum(kernel.size for kernel in kernels),
            "bits": None if self.setting is None else self.setting.bits,
            "parent": parent_figures(self.parent),
            **self._measured(network, path),
        }

    def _measured(self, network: keras.Model, path: Path) -> dict[str, Any]:
        """How fast both networks are, and what int8 makes of them: nothing where it cannot be."""
        networks = {"parent": opened_parent(self.parent).model, "this": network}
        if not self._converts:
            unseen = {} if self.asked.int8 is None else {"int8": {}}
            return {"fastest": latencies(networks), **unseen}
        int8 = {name: Int8(each, self._ranges) for name, each in networks.items()}
        write_atomic(path / FILE, int8["this"].file)
        figures = {"parent": self._int8_before, "this": int8["this"].figures(self._dataset)}
        timed = latencies({**networks, **{f"{name} in int8": each for name, each in int8.items()}})
        return {"fastest": timed, "int8": figures}

    def _packed(self, network: keras.Model) -> Compressed:
        """Pruned further where training has made it larger than it may be."""
        setting = self.setting
        if setting is None:
            return packed(network)
        round_off(network)
        made, most = packed(network), self.asked.target_bytes or math.inf
        while len(made.data) > most and setting.sparsity < 1:
            setting = _Setting(min(1.0, setting.sparsity + _STEP), setting.bits)
            self._apply(network, setting)
            made = packed(network)
        return made

    def section(self, metrics: Mapping[str, Any]) -> str:
        return section(self.parent.path, self.asked, metrics)


# ------------------------------------------------------------------------------ a network's weights


def _array(variable: keras.Variable) -> np.ndarray:
    values: Any = ops.convert_to_numpy(variable)
    return values


def prune(network: keras.Model, sparsity: float, per: str) -> None:
    """Set the smallest weights of its kernels to 0, but for depthwise ones: `pruning.pruned`."""
    kernels = [kernel for kernel, depthwise in kernels_of(network) if not depthwise]
    values = pruned([_array(kernel) for kernel in kernels], sparsity, per)
    for kernel, value in zip(kernels, values, strict=True):
        kernel.assign(value)


def share(network: keras.Model, bits: Sequence[int]) -> None:
    """Give each kernel few values: `sharing.shared`, with the bits of each."""
    for (kernel, _), of_kernel in zip(kernels_of(network), bits, strict=True):
        kernel.assign(shared(_array(kernel), of_kernel))


def round_off(network: keras.Model) -> None:
    """Codebooks, biases and BatchNorm's arrays in float16's precision, where that is enough."""
    kernels = [kernel for kernel, _ in kernels_of(network)]
    small = [w for w in network.weights if len(w.shape) <= 1 and w.dtype == "float32"]
    for variable in itertools.chain(kernels, small):
        variable.assign(rounded(_array(variable)))


class PruneThenShare(keras.callbacks.Callback):
    """Holds a network to its zeros and to its shared values after each step of the optimizer.

    So neither momentum nor decay moves a weight that is pruned, or one away from those that it
    shares its value with. All that it goes by is in the weights and in the number of the step: a
    training that is resumed goes on as it would have.

    Args:
        network: whose kernels it holds.
        progress: of the training.
        steps: of the training.
        sparsity: in the end.
        per: "layer" or "global", as `pruning.pruned`.
        bits: of each kernel.
        first: share of the steps before the first weight is pruned, < 0.5.
    """

    def __init__(
        self,
        network: keras.Model,
        progress: Progress,
        steps: int,
        sparsity: float,
        per: str,
        bits: Sequence[int],
        *,
        first: float = 0.0,
    ):
        super().__init__()
        self.network, self.progress = network, progress
        self.sparsity, self.per, self.bits = sparsity, per, bits
        self.pruned_at, self.shared_at = (math.ceil(s * steps) for s in (PRUNED, SHARED))
        self.first = min(math.ceil(first * steps), self.pruned_at - 1)
        self.every = max(1, (self.pruned_at - self.first) // _UPDATES)
        self._hold: list[Callable[[], None]] = []

    def on_epoch_begin(self, epoch, logs: Any = None):
        _ = self.model  # with JAX this brings the variables up to date
        self._look(self.progress.steps)

    def on_train_batch_end(self, batch, logs: Any = None):
        _ = self.model
        step = self.progress.steps + 1  # which is counted after this
        for hold in self._hold:
            hold()
        since, span = step - self.first, self.pruned_at - self.first
        if 0 < since <= span and (since % self.every == 0 or since == span):
            prune(self.network, sparsity_at(since, span, self.sparsity), self.per)
            self._look(step)
        if step == self.shared_at:
            share(self.network, self.bits)
            self._look(step)

    def _look(self, step: int) -> None:
        """What is to be held follows from the weights as they are after this step."""
        held = _shares if step >= self.shared_at else _zeros
        self._hold = [held(kernel) for kernel, _ in kernels_of(self.network)]


def _zeros(kernel: keras.Variable) -> Callable[[], None]:
    """A function that sets the weights that are 0 now to 0 again."""
    kept = ops.not_equal(kernel, 0)
    return lambda: kernel.assign(ops.where(kept, ops.convert_to_tensor(kernel), 0.0))


def _shares(kernel: keras.Variable) -> Callable[[], None]:
    """A function that gives weights that are equal now their mean; those that are 0 become 0."""
    values, codes, counts = np.unique(_array(kernel), return_inverse=True, return_counts=True)
    share: Any = ops.convert_to_tensor(np.where(values == 0, 0, 1 / counts).astype(np.float32))
    places: Any = ops.convert_to_tensor(codes.reshape(kernel.shape).astype(np.int32))
    means: Any = ops.convert_to_tensor(values)

    def hold() -> None:
        nonlocal means
        # The mean of what has changed: float32 would lose the mean of many equal weights.
        changes: Any = ops.reshape(kernel - ops.take(means, places), (-1,))
        sums: Any = ops.segment_sum(changes, ops.reshape(places, (-1,)), len(values))
        means = means + sums * share
        kernel.assign(ops.take(means, places))

    return hold
