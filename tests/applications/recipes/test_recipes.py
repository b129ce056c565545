"""Recipes: plain data that says what the papers say, found by architecture."""

import dataclasses
import math
import subprocess
import sys

import pytest

import keras_archs
from applications.recipes.catalog import (
    check_teacher,
    check_weights,
    list_recipes,
    recipe,
    wanted_size,
)
from applications.recipes.schema import Affine, ColourJitter, Initializer, Teaching

PAPERS = {  # batch, rate, optimizer, weight decay, passes
    "lenet5": (1, 0.025, "SGD", 0.0, 20),
    "alexnet": (128, 0.01, "SGD", 5e-4, 90),
    "alexnetonetower": (128, 0.01, "SGD", 5e-4, 90),
    "nin": (64, 0.01, "SGD", 5e-4, 22),
    "nincifar": (128, 0.1, "SGD", 1e-4, 307),
    "vgg11": (256, 0.01, "SGD", 5e-4, 74),
    "vgg16": (256, 0.01, "SGD", 5e-4, 74),
    "googlenet": (32, 0.01, "SGD", 2e-4, 250),
    "bninception": (32, 0.045, "SGD", 4e-5, 150),
    "inceptionv3": (32, 0.045, "RMSprop", 4e-5, 100),
    "inceptionv4": (32, 0.045, "RMSprop", 4e-5, 160),
    "resnet50": (256, 0.1, "SGD", 1e-4, 120),
    "resnet50v2": (256, 0.1, "SGD", 1e-4, 90),
    "resnet20": (128, 0.1, "SGD", 1e-4, 182),
    "resnet110": (128, 0.1, "SGD", 1e-4, 182),
    "resnet110v2": (128, 0.1, "SGD", 1e-4, 182),
    "wrn_28_10": (128, 0.1, "SGD", 5e-4, 200),
    "wideresnet50_2": (256, 0.1, "SGD", 1e-4, 90),
    "resnext50_32x4d": (256, 0.1, "SGD", 1e-4, 100),
    "resnext29_8x64d": (128, 0.1, "SGD", 5e-4, 300),
    "densenet121": (256, 0.1, "SGD", 1e-4, 90),
    "densenet40_12": (64, 0.1, "SGD", 1e-4, 300),
    "mobilenet": (64, 0.045, "RMSprop", 4e-5, 200),
    "mobilenetv2": (96, 0.045, "RMSprop", 4e-5, 412),
    "squeezenet": (512, 0.04, "SGD", 2e-4, 68),
    "allcnn_c": (128, 0.05, "SGD", 1e-3, 350),
    "simplenet": (100, 0.1, "Adadelta", 5e-3, 800),
    "simpnet": (100, 0.1, "Adadelta", 5e-3, 800),
    "highway19": (100, 0.025, "SGD", 1e-3, 400),
    "fitnet19": (128, 0.005, "RMSprop", 0.0, 288),
    "mlp": (100, 0.1, "SGD", 0.0, 3000),
}
# Epochs at which the rate falls, as the papers print them.
FALLS = {
    "resnet50v2": (30, 60),
    "wrn_28_10": (60, 120, 160),
    "resnext50_32x4d": (30, 60, 90),
    "resnext29_8x64d": (150, 225),
    "densenet121": (30, 60),
    "densenet40_12": (150, 225),
    "allcnn_c": (200, 250, 300),
    "highway19": (200, 300, 350),
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_figures(name):
    r = recipe(name)
    figures = (r.batch_size, r.learning_rate, r.optimizer, r.weight_decay, r.epochs)
    assert figures == pytest.approx(PAPERS[name]) and r.source


def test_every_paper_is_listed_here():
    assert ["default", *PAPERS] == list_recipes()


@pytest.mark.parametrize("name", FALLS)
def test_the_rate_falls_when_the_papers_say(name):
    r = recipe(name)
    assert [start * r.epochs for start, _ in r.schedule] == pytest.approx(FALLS[name])


@pytest.mark.parametrize(
    ("name", "factor", "every"),
    [
        ("googlenet", 0.96, 8),
        ("bninception", 0.96, 8 / 6),
        ("inceptionv3", 0.94, 2),
        ("mobilenet", 0.94, 2.5),
        ("mobilenetv2", 0.98, 1),
        ("mlp", 0.998**50, 50),
    ],
)
def test_the_rate_falls_in_stairs(name, factor, every):
    r = recipe(name)
    starts, factors = zip(*r.schedule, strict=True)
    assert [start * r.epochs for start in starts[:2]] == pytest.approx([every, 2 * every])
    assert factors[:2] == pytest.approx((factor, factor**2))
    assert 1 - starts[-1] <= every / r.epochs + 1e-9


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
        ("resnet20v2", "resnet110v2"),
        ("resnet200v2", "resnet50v2"),
        ("simpnet_300k", "simpnet"),
        ("vgg11lrn", "vgg11"),
        ("VGG16C", "vgg16"),
        ("inceptionresnetv2", "inceptionv4"),
        ("wrn_40_4", "wrn_28_10"),
        ("wideresnet101_2", "wideresnet50_2"),
        ("densenetbc_100_12", "densenet40_12"),
        ("densenet264", "densenet121"),
        ("allcnn_a", "allcnn_c"),
        ("highway32", "highway19"),
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
    assert not recipe("mobilenetv2").decay_depthwise
    assert not recipe("default").decay_depthwise


# Initializers of the papers and of their authors' files.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet5", Initializer("uniform", 2.4, 1)),
        ("alexnet", Initializer("normal", 0.01)),
        ("vgg16", Initializer("normal", 0.01)),
        ("nincifar", Initializer("normal", 0.05)),
        ("googlenet", Initializer("uniform", math.sqrt(3), 0.5)),
        ("squeezenet", Initializer("uniform", math.sqrt(3), 0.5)),
        ("resnet50", Initializer("normal", math.sqrt(2), 0.5)),
        ("wrn_28_10", Initializer("normal", math.sqrt(2), 0.5)),
        ("mobilenet", Initializer("truncated", 0.09)),
        ("fitnet19", Initializer("uniform", 0.005)),
        ("mlp", Initializer("normal", 0.01)),
    ],
)
def test_initializers_are_those_of_the_papers(name, expected):
    assert recipe(name).initializer == expected


def test_the_classifiers_of_squeezenet_and_highway_start_on_their_own():
    assert recipe("squeezenet").last_initializer == Initializer("normal", 0.01)
    assert recipe("highway19").last_initializer == Initializer("normal", 0.05)


# What else a paper's training has, each with where the paper or its authors' code says so.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet5", {"affine": Affine(2 / 32, 0.1, 0.1, 0.2)}),  # III.B; how much is ours
        ("alexnet", {"lighting": 0.1, "preprocessing": "mean_image"}),  # 4.1 and 2
        ("nincifar", {"preprocessing": "gcn_zca"}),  # 4.2
        ("vgg16", {"lighting": 0.1, "scale": (256 / 224, 512 / 224)}),  # 3.1
        ("googlenet", {"area": (0.08, 1), "averaging": 0.9999}),  # 6
        ("googlenet", {"colour_jitter": ColourJitter(0.5, 0.5, 0.5)}),  # Howard 2013
        ("bninception", {"colour_jitter": ColourJitter(0.25, 0.25, 0.25), "averaging": None}),
        ("inceptionv3", {"label_smoothing": 0.1, "averaging": 0.9999, "area": (0.05, 1)}),
        ("resnet50", {"scale": (256 / 224, 480 / 224), "lighting": 0.1}),  # 3.4
        ("resnet20", {"preprocessing": "mean_image"}),  # 4.2
        ("densenet121", {"colour_jitter": ColourJitter(0.4, 0.4, 0.4), "lighting": 0.1}),
        ("densenet40_12", {"colour_jitter": None, "lighting": 0.0, "area": None}),
        ("mobilenet", {"label_smoothing": 0.0, "averaging": None}),  # 3.2
        ("mobilenetv2", {"label_smoothing": 0.1, "averaging": 0.9999}),  # README
        ("allcnn_c", {"preprocessing": "gcn_zca"}),  # 3.1
        ("highway19", {"preprocessing": "gcn"}),  # file
        ("fitnet19", {"preprocessing": "gcn_zca", "layer_rates": {"conv": 0.05}}),  # file
        ("fitnet19", {"max_norm": {"conv": 0.9, "fc1": 1.9, "predictions": 1.9365}}),  # file
        ("fitnet19", {"teaching": Teaching(3, 4, 1, "conv11", 1 / 3)}),  # 3.1 and file
        ("mlp", {"shift": 2 / 28, "max_norm": {"fc": 15**0.5}, "preprocessing": "unit"}),  # 3, A.1
        ("default", {"preprocessing": "channel", "averaging": None, "label_smoothing": 0.0}),
    ],
)
def test_elements_are_those_of_the_papers(name, expected):
    assert {field: getattr(recipe(name), field) for field in expected} == expected


def test_small_networks_are_distorted_less():
    small, large = recipe("mobilenet"), recipe("inceptionv3")  # MobileNet's paper, section 3.2
    assert small.area[0] > large.area[0]
    assert 0 < small.colour_jitter.saturation < large.colour_jitter.saturation


def test_a_recipe_that_learns_from_a_teacher_needs_one_and_no_other_takes_one():
    with pytest.raises(ValueError, match="`teacher` must be the run folder.*'fitnet19'"):
        check_teacher(recipe("fitnet19"), given=False)
    with pytest.raises(ValueError, match="as fitnet19 does. Received: recipe='default'"):
        check_teacher(recipe("default"), given=True)
    check_teacher(recipe("fitnet19"), given=True)
    check_teacher(recipe("default"), given=False)


def test_deep_vggs_start_from_four_convolutions_and_the_dense_layers_of_net_a():
    r = recipe("vgg19")
    assert r.pretrained_from == "vgg11" and recipe("vgg11").pretrained_from is None
    assert r.pretrained_layers == (
        *("block1_conv1", "block2_conv1", "block3_conv1", "block3_conv2"),
        *("fc1", "fc2", "predictions"),
    )
    with pytest.raises(ValueError, match="trained vgg11.*'vgg16'.*block3_conv2.*weights=None"):
        check_weights(r, None)
    check_weights(r, "runs/vgg11/model.keras")
    check_weights(recipe("vgg11"), None)


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
        "import sys; from applications.recipes.catalog import recipe; recipe('resnet50'); "
        "sys.exit('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
