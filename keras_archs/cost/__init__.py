"""What a network costs: parameters, multiply-adds and memory, by arithmetic over its graph."""

from keras_archs.cost.profiling import (
    Comparison,
    LayerCost,
    Profile,
    StageCost,
    profile,
    runs_of,
)
from keras_archs.cost.rules import register

__all__ = ["Comparison", "LayerCost", "Profile", "StageCost", "profile", "register", "runs_of"]
