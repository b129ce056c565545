# Made by `python docs/stubs.py`: change the code that it describes.

from applications import search as search
from tuning import budget as budget
from tuning import hypermodels as hypermodels
from tuning import linting as linting
from tuning import principles as principles
from tuning import spaces as spaces
from tuning.budget import Budget as Budget
from tuning.hypermodels import HyperArch as HyperArch
from tuning.hypermodels import HyperSimpNet as HyperSimpNet
from tuning.linting import lint as lint
from tuning.spaces import arch_space as arch_space
from tuning.spaces import settings as settings
from tuning.spaces import space as space

__all__ = [
    "principles",
    "space",
    "settings",
    "arch_space",
    "HyperSimpNet",
    "HyperArch",
    "Budget",
    "lint",
    "search",
]
