"""Networks compiled for this machine, in the runtime that is fastest."""

from keras_archs.runtimes.conversion import Converted, compiled, planned_arena, processors
from keras_archs.runtimes.predictors import (
    INT8,
    PRECISIONS,
    RUNTIMES,
    Predictor,
    available,
    check_names,
    check_runtime,
    interleaved,
    runtime,
)

__all__ = [
    "INT8",
    "PRECISIONS",
    "RUNTIMES",
    "Converted",
    "Predictor",
    "available",
    "check_names",
    "check_runtime",
    "compiled",
    "interleaved",
    "planned_arena",
    "processors",
    "runtime",
]
