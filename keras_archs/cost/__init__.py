"""What a network costs: parameters, multiply-adds and memory, by arithmetic over its graph."""

from keras_archs.cost.deploying import Deployment, deployment
from keras_archs.cost.profiling import (
    Comparison,
    LayerCost,
    Profile,
    StageCost,
    profile,
    runs_of,
)
from keras_archs.cost.rules import register

__all__ = [
    "Comparison",
    "Deployment",
    "LayerCost",
    "Profile",
    "StageCost",
    "deployment",
    "profile",
    "register",
    "runs_of",
]
