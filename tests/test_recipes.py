"""Recipes: plain data that says what the papers say, found by architecture."""

import dataclasses
import subprocess
import sys

import pytest

import keras_archs
from applications.recipes import list_recipes, recipe, wanted_size

PAPERS = {  # batch, rate, optimizer, weight decay
    "lenet5": (1, 0.025, "SGD", 0.0),
    "mobilenet": (64, 0.045, "RMSprop", 4e-5),
    "squeezenet": (512, 0.04, "SGD", 2e-4),
    "resnet50": (256, 0.1, "SGD", 1e-4),
    "resnet20": (128, 0.1, "SGD", 1e-4),
    "simpnet": (100, 0.1, "Adadelta", 5e-3),
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_figures(name):
    r = recipe(name)
    assert (r.batch_size, r.learning_rate, r.optimizer, r.weight_decay) == PAPERS[name]
    assert r.source


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("mobilenetshallow", "mobilenet"),
        ("MobileNetConv", "mobilenet"),
        ("squeezenet1_1", "squeezenet"),
        ("resnet18", "resnet50"),
        ("plainnet34", "resnet50"),
        ("resnet56", "resnet20"),
        ("plainnet20", "resnet20"),
        ("resnet1202", "resnet110"),
        ("simpnet_300k", "simpnet"),
        ("default", "default"),
    ],
)
def test_an_architecture_has_the_recipe_of_its_paper(arch, expected):
    assert recipe(arch).name == expected


def test_every_architecture_has_a_recipe_and_every_recipe_is_found_by_name():
    assert {recipe(arch).name for arch in keras_archs.list_archs()} | {"default"} == set(
        list_recipes()
    )
    assert [recipe(name).name for name in list_recipes()] == list_recipes()


def test_an_unknown_recipe_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'mobilenet'.*recipe='mobilnet'"):
        recipe("mobilnet")


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe("default").epochs = 1


@pytest.mark.parametrize("name", list_recipes())
def test_steps_of_a_schedule_are_ascending_fractions(name):
    schedule = recipe(name).schedule
    if isinstance(schedule, tuple):
        starts = [start for start, _ in schedule]
        assert starts == sorted(starts) and 0 <= starts[0] and starts[-1] < 1
        assert all(0 < factor <= 1 for _, factor in schedule)


def test_lenet5_goes_through_the_rates_of_its_appendix():
    r = recipe("lenet5")
    global_rates = [0.0005] * 2 + [0.0002] * 3 + [0.0001] * 3 + [0.00005] * 4 + [0.00001] * 8
    assert r.epochs == len(global_rates)
    for epoch, expected in enumerate(global_rates):
        factor = [1.0, *(f for start, f in r.schedule if start <= epoch / r.epochs)][-1]
        assert r.learning_rate * factor * 0.02 == pytest.approx(expected)


def test_resnet110_warms_up_at_a_tenth_and_resnet20_does_not():
    assert recipe("resnet110").schedule[:2] == ((0.0, 0.1), (400 / 64_000, 1.0))
    assert recipe("resnet110").schedule[2:] == recipe("resnet20").schedule


def test_depthwise_kernels_of_mobilenet_do_not_decay():
    assert not recipe("mobilenet").decay_depthwise
    assert not recipe("default").decay_depthwise


def test_few_images_get_more_epochs_in_the_default_recipe():
    r = recipe("default")
    assert r.epochs_for(images=1_000_000, batch_size=64) == r.epochs
    few = r.epochs_for(images=100, batch_size=50)
    assert few * 2 >= r.min_steps and few > r.epochs
    assert r.epochs_for(images=1, batch_size=64) >= r.min_steps


def test_lenet5_alone_asks_for_a_size():
    assert wanted_size("lenet5") == 32
    assert wanted_size("mobilenet") is None


def test_recipes_are_read_without_keras():
    code = (
        "import sys; from applications.recipes import recipe; recipe('resnet50'); "
        "sys.exit('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
