# Made by `python docs/stubs.py`: change the code that it describes.

from applications import cli as cli
from applications import comparison as comparison
from applications import console as console
from applications import data as data
from applications import evaluation as evaluation
from applications import files as files
from applications import logs as logs
from applications import recipes as recipes
from applications import runs as runs
from applications import searching as searching
from applications import training as training
from applications.comparison.benching import bench as bench
from applications.comparison.comparing import compare as compare
from applications.comparison.drawing import plot_architecture as plot_architecture
from applications.comparison.inspecting import lint as lint
from applications.comparison.inspecting import summary as summary
from applications.evaluation.evaluating import evaluate as evaluate
from applications.evaluation.evaluating import predict as predict
from applications.evaluation.explaining import explain as explain
from applications.logs.dashboards import dashboard as dashboard
from applications.recipes import list_recipes as list_recipes
from applications.recipes import recipe as recipe
from applications.runs import Run as Run
from applications.runs import load as load
from applications.searching.studies import search as search
from applications.training.training import train as train

__all__ = [
    "Run",
    "load",
    "summary",
    "lint",
    "bench",
    "train",
    "evaluate",
    "predict",
    "explain",
    "plot_architecture",
    "compare",
    "search",
    "dashboard",
    "recipe",
    "list_recipes",
]
