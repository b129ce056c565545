"""How a network learns: kernels drawn anew, the rate by step, the optimizer, the loss."""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

import keras_archs
from applications.console import one_line
from applications.options import Plan
from applications.recipes.schema import Recipe
from applications.training.growth import Growth
from applications.training.muon import Muon
from applications.training.stochastic_depth import with_stochastic_depth
from applications.training.teaching import hinted, taught
from keras_archs.graph import at_size, calls, deep_graphs, without_values
from keras_archs.kinds import DEPTHWISE, relu_bound
from keras_archs.weights import load_weights

AUXILIARY_WEIGHT = 0.3  # of an auxiliary classifier's loss: Szegedy et al. 2014, section 5


def prepare(network: keras.Model, plan: Plan) -> None:
    """What the recipe says of the network itself: how it is drawn, and BatchNorm's momentum."""
    recipe, options = plan.recipe, plan.options
    if recipe.norm_momentum is not None:
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = recipe.norm_momentum
    if recipe.pretrained_from and options.weights is not None:
        draw(network, recipe, options.seed)
        load_weights(network, options.weights, recipe.pretrained_layers)
    elif options.weights is None:
        draw(network, recipe, options.seed)


@contextmanager
def short_memory(network: keras.Model, steps: int) -> Iterator[None]:
    """In here BatchNorm's running statistics forget what is older than a tenth of the training.

    In a short one, kernels change by more in the time that Keras' momentum remembers than the
    statistics bear (`benchmarks/running_statistics.py`).

    Args:
        steps: of the training.
    """
    layers = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = _memory(layer.momentum, steps)
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


def draw(network: keras.Model, recipe: Recipe, seed: int) -> None:
    """Draw the kernels anew, as the recipe's initializers say."""
    random = np.random.default_rng(seed)
    kernels = list(kernels_of(network))
    for kernel, depthwise in kernels:
        initializer = recipe.initializer
        if kernel is kernels[-1][0]:
            initializer = recipe.last_initializer or initializer
        if initializer is None or (initializer.power and depthwise):
            continue
        shape = tuple(kernel.shape)
        width = initializer.scale / math.prod(shape[:-1]) ** initializer.power
        values = _standard(random, initializer.distribution, shape) * width
        if recipe.last_positive and kernel is kernels[-1][0] and _feeds_a_relu(network, kernel):
            values = np.abs(values)
        kernel.assign(values)


def _feeds_a_relu(network: keras.Model, kernel: keras.Variable) -> bool:
    """Whether nothing but a ReLU reads what the kernel's layer computes before its activation."""
    order = calls(network)
    (call,) = [c for c in order if any(v is kernel for v in getattr(c.operation, "weights", ()))]
    if relu_bound(call.operation) is not None:
        return True
    readers = [c for c in order if any(t is call.outputs[0] for t in c.inputs)]
    return bool(readers) and all(relu_bound(reader.operation) is not None for reader in readers)


def _standard(random: np.random.Generator, distribution: str, shape: tuple[int, ...]) -> np.ndarray:
    """Normal of deviation 1, the same without what is beyond 2, or uniform in [-1, 1): float32."""
    if distribution == "uniform":
        return random.uniform(-1, 1, shape).astype(np.float32)
    values = random.standard_normal(shape, np.float32)
    while distribution == "truncated" and (far := np.abs(values) > 2).any():
        values[far] = random.standard_normal(np.count_nonzero(far), np.float32)
    return values


def kernels_of(network: keras.Model) -> Iterator[tuple[keras.Variable, bool]]:
    """The trainable kernels, those of a separable convolution too; whether each is depthwise."""
    for layer in network.layers:
        depthwise = isinstance(layer, DEPTHWISE)
        for variable in layer.trainable_variables:
            if variable.name.endswith("kernel"):
                yield variable, depthwise or variable.name == "depthwise_kernel"


def schedule_of(recipe: Recipe, rate: float, steps: int) -> Any:
    """The learning rate by step: a Keras schedule."""
    schedules = keras.optimizers.schedules
    if recipe.schedule == "one_cycle":
        # Smith & Topin 2017, arXiv:1708.07120, with the figures of fastai and PyTorch. Departures:
        # it rises along a line, and the momentum stays.
        rising = round(0.3 * steps)
        return schedules.CosineDecay(
            rate / 25, max(1, steps - rising), 4e-6, warmup_target=rate, warmup_steps=rising
        )
    if recipe.schedule == "cosine":
        warmup = round(recipe.warmup * steps)
        return schedules.CosineDecay(
            0.0 if warmup else rate,
            max(1, steps - warmup),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if recipe.schedule == "linear":
        return schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)
    if recipe.schedule == "constant":
        return schedules.PiecewiseConstantDecay([steps], [rate, rate])
    # Of steps that a short training begins at once the last one counts.
    factors = {round(start * steps): factor for start, factor in recipe.schedule}
    rates = [rate, *(rate * factor for factor in factors.values())]
    # Keras changes the rate after a boundary, and so one step later.
    return schedules.PiecewiseConstantDecay([start - 1 for start in factors], rates)


def optimizer_of(
    recipe: Recipe, network: keras.Model, rate: float, steps: int
) -> keras.optimizers.Optimizer:
    """The recipe's optimizer; attaches its weight decay and limits of norms to the network."""
    kernels = list(kernels_of(network))
    decayed = {
        id(kernel): kernel
        for kernel, depthwise in kernels
        if recipe.decay_depthwise or not depthwise
    }
    decoupled = recipe.optimizer in ("AdamW", "Muon")
    options: dict[str, Any] = {**recipe.optimizer_options, "clipnorm": recipe.clipnorm}
    kind: Any = getattr(keras.optimizers, recipe.optimizer)
    if recipe.optimizer == "Muon":
        kind, last = Muon, kernels[-1][0]
        options["exclude"] = [k for k, depthwise in kernels if depthwise or k is last]
    if decoupled:
        options["weight_decay"] = recipe.weight_decay
    if recipe.averaging:
        options |= {"use_ema": True, "ema_momentum": _memory(recipe.averaging, steps)}
    optimizer = kind(schedule_of(recipe, rate, steps), **options)
    if recipe.layer_rates:
        slower = {
            f"{re.escape(start)}.*": kind(schedule_of(recipe, factor * rate, steps), **options)
            for start, factor in recipe.layer_rates.items()
        }
        optimizer = keras.optimizers.MultiOptimizer(
            keras.optimizers.OptimizerMap(optimizer, slower)
        )
    _limit_norms(network, recipe.max_norm)
    if decoupled:
        rest = [v for v in network.trainable_variables if id(v) not in decayed]
        optimizer.exclude_from_weight_decay(var_list=rest)
    elif recipe.weight_decay:
        for kernel in decayed.values():
            kernel.regularizer = keras.regularizers.L2(recipe.weight_decay / 2)
    return optimizer


def _memory(momentum: float, steps: int) -> float:
    """The momentum of a moving average, or less: it remembers a tenth of the steps at most."""
    return min(momentum, max(0.0, 1 - 10 / steps))


@contextmanager
def averaged_at_the_end(model: Any) -> Iterator[None]:
    """A `fit` that ends in here leaves the weights as they are, as if it went on.

    Where the block ends, averages take the place of the weights that are averaged.
    """
    optimizer = model.optimizer
    finalize = optimizer.finalize_variable_values
    optimizer.finalize_variable_values = lambda variables: None
    try:
        yield
    finally:
        del optimizer.finalize_variable_values
    finalize(model.trainable_variables)


def _limit_norms(network: keras.Model, limits: Mapping[str, float]) -> None:
    """After each step a unit's kernel is scaled down to this norm, by the start of layers' names.

    Hinton et al. 2012, arXiv:1207.0580, section 2; pylearn2's `max_kernel_norm`, `max_col_norm`.
    """
    for start, most in limits.items():
        for layer in network.layers:
            for variable in layer.trainable_variables:
                if layer.name.startswith(start) and variable.name.endswith("kernel"):
                    limit: Any = keras.constraints.MaxNorm
                    variable.constraint = limit(most, axis=list(range(len(variable.shape) - 1)))


class _WithAuxiliary(keras.Model):
    """A model that learns from its auxiliary predictions too; its metrics are of its own alone."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        predictions: Any = y_pred
        loss: Any = super().compute_loss(x, y, predictions["predictions"], sample_weight, training)
        if training:
            loss_of: Any = keras.losses.get(self.loss)
            for name in sorted(predictions.keys() - {"predictions"}):
                each: Any = loss_of(y, predictions[name])
                if sample_weight is not None:
                    each = each * keras.ops.cast(sample_weight, each.dtype)
                mean: Any = keras.ops.mean(each)
                loss += AUXILIARY_WEIGHT * mean
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, y_pred["predictions"], sample_weight)


def soft_targets(recipe: Recipe) -> bool:
    """Whether the targets are rows of probabilities, not labels."""
    return bool(recipe.label_smoothing or recipe.mixup or recipe.cutmix)


def varied(
    network: keras.Model, recipe: Recipe, seed: int, sizes: Collection[tuple[int, int]]
) -> keras.Model:
    """The network's own layers as they are trained: with stochastic depth, on images that grow.

    Args:
        network: as `built_network` made it.
        recipe: whose training it is.
        seed: of the branches that are left out.
        sizes: height and width of images that come before those of the network's own size.

    Raises:
        ValueError: there is stochastic depth and the network has no residual sums, or there are
            sizes and it takes images of one alone.
    """
    if recipe.stochastic_depth:
        network = with_stochastic_depth(network, recipe.stochastic_depth, seed)
    if not sizes:
        return network
    try:
        for height, width in sizes:
            at_size(network, height, width)
        return at_size(network, None, None)
    except ValueError as error:
        raise ValueError(
            "`progressive` must be 1 for a network that takes images of one size alone. "
            f"Received: {network.name}, of which Keras says: {one_line(error)}"
        ) from error


def check_varied(plan: Plan) -> None:
    """Raise ValueError where the network cannot be trained as `varied` makes it."""
    with without_values(), deep_graphs():
        network = keras_archs.build(plan.options.arch, **plan.build_arguments)
        varied(network, plan.recipe, plan.options.seed, Growth(plan).smaller)


def compiled_model(
    network: keras.Model,
    recipe: Recipe,
    rate: float,
    steps: int,
    *,
    teacher: keras.Model | None = None,
    hints: bool = False,
    learner: Callable[[keras.Model], keras.Model] | None = None,
) -> keras.Model:
    """The network's layers with the recipe's optimizer and loss.

    A model of its own: that of the run folder stays free of optimizer and training.

    Args:
        network: as `varied` made it.
        recipe: whose training it is.
        rate: base rate.
        steps: of the training, or of this part of it.
        teacher: the network that this one learns from.
        hints: whether it learns from the teacher's hints alone.
        learner: makes the model that learns, from rows of probabilities; None: as the recipe says.
    """
    if learner is not None:
        model = learner(network)
    elif teacher is None or recipe.teaching is None:
        kind = _WithAuxiliary if isinstance(network.output, dict) else keras.Model
        model = kind(network.inputs, network.output, name=network.name)
    else:
        taught_by = hinted if hints else taught
        model = taught_by(network, teacher, recipe.teaching)
    optimizer = optimizer_of(recipe, network, rate, steps)
    if learner is not None or soft_targets(recipe):
        accuracy = keras.metrics.CategoricalAccuracy("accuracy")
        model.compile(optimizer, loss="categorical_crossentropy", metrics=[accuracy])
    else:
        accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
        model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=[accuracy])
    # TensorFlow traces a step twice if the first run makes variables, as an optimizer that is not
    # built does, and a metric that is given by name.
    model.optimizer.build(model.trainable_variables)
    return model
