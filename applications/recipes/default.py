"""The recipe that trains any architecture at the scale of CIFAR."""

from applications.recipes.schema import HE, Recipe

DEFAULT = Recipe(
    name="default",
    source="measured on the digits: benchmarks/digits.py",
    optimizer="AdamW",
    learning_rate=3e-3,
    plain_learning_rate=2e-3,
    batch_size=64,
    epochs=15,
    min_steps=480,
    schedule="cosine",
    warmup=0.1,
    weight_decay=1e-3,
    decay_depthwise=False,
    clipnorm=1.0,
    norm_momentum=0.9,  # Keras' 0.99 lags in short trainings: MobileNet then ends at 40 to 60 %
    initializer=HE,
    last_positive=True,  # else NiN ends without half of the classes, SqueezeNet without one
    shift=1 / 16,
    mirror=True,
)
