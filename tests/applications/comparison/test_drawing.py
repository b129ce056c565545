"""Drawings of architectures: what every one shows, and what a network of known parts looks like."""

import re
import xml.etree.ElementTree as ElementTree

import keras
import pytest
from keras import layers
from networks import DEEP, KINDS, kind

import applications
import keras_archs
from applications.cli.commands import app
from applications.comparison.drawing import units

SVG = "{http://www.w3.org/2000/svg}"


def texts(path):
    """The texts of a drawing, in order."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


@pytest.fixture
def draw(tmp_path):
    def drawn(network, **kwargs):
        profile = applications.plot_architecture(network, tmp_path / "drawing.svg", **kwargs)
        return profile, texts(tmp_path / "drawing.svg")

    return drawn


# One of each family.
TYPICAL = [
    *("lenet5", "alexnet", "vgg16c", "googlenet", "inceptionresnetv2", "resnet152", "resnet50v2"),
    *("resnext50_32x4d", "densenet121", "mobilenet", "mobilenetv2", "squeezenet", "allcnn_c"),
    *("nin", "simpnet", "highway19", "fitnet19", "inceptionv4", "wrn_16_4", "simplenet"),
]
DEEPER = {
    *("googlenet", "inceptionv4", "inceptionresnetv2", "resnet50v2", "densenet121", "wrn_16_4"),
    *("resnext50_32x4d", "alexnet", "mobilenetv2", "simplenet", "nin"),
}
OTHERS = [name for name in KINDS if kind(name) not in map(kind, TYPICAL)]


def check_drawing(draw, name):
    profile, shown = draw(name)
    assert shown[0] == name
    assert shown[1] == f"{profile.params:,} parameters, {profile.macs:,} multiply-adds"
    for stage in profile.stages:
        sides = stage.output_shape[:-1]
        assert (" × ".join(map(str, sides)) if stage.name != "head" else "head") in shown
        assert f"{100 * stage.params / profile.params:.1f} %" in shown
        assert f"{100 * stage.macs / profile.macs:.1f} %" in shown
    return shown


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in DEEPER)) for n in TYPICAL]
)
def test_a_drawing_shows_every_stage_and_the_totals(draw, name):
    check_drawing(draw, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OTHERS, DEEP])
def test_the_other_kinds_and_a_deep_network_are_drawn_as_well(draw, name):
    check_drawing(draw, name)


def test_the_blocks_of_resnet152_are_counted(draw):
    _, shown = draw("resnet152")
    assert [text for text in shown if text.startswith("× ")] == ["× 3", "× 8", "× 36", "× 3"]
    assert shown.count("+ shortcut") == 4
    assert len(shown) < 80


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("densenet121", ["× 6", "× 12", "× 24", "× 16"]),
        ("mobilenet", ["× 2", "× 2", "× 6", "× 2"]),
        ("googlenet", ["× 2", "× 5", "× 2"]),
        ("vgg19", ["× 2", "× 2", "× 4", "× 4", "× 4", "× 2"]),
        ("plainnet20", ["× 7", "× 6", "× 6"]),
    ],
)
def test_layers_and_blocks_that_repeat_are_drawn_once(draw, name, blocks):
    assert [text for text in draw(name)[1] if text.startswith("× ")] == blocks


def test_the_units_of_a_small_network():
    x = given = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    for _ in range(2):
        y = layers.Conv2D(4, 1)(layers.ReLU()(layers.BatchNormalization()(x)))
        y = layers.Conv2D(8, (1, 3), padding="same")(y)
        x = layers.Add()([x, y])
    x = layers.AveragePooling2D(2)(x)
    x = layers.Concatenate()([layers.Conv2D(5, 1)(x), layers.MaxPooling2D(3, 1, "same")(x)])
    x = layers.SeparableConv2D(6, 3, padding="same")(x)
    x = layers.Dense(10)(layers.GlobalAveragePooling2D()(layers.Dropout(0.5)(x)))
    model = keras.Model(given, layers.Softmax()(x))
    found = units(model, keras_archs.profile(model))
    assert [(unit.stage, unit.lines, unit.channels, unit.repeats) for unit in found] == [
        ("stride 1", ("input",), (3, 3), 1),
        ("stride 1", ("3×3 conv 8",), (8, 8), 1),
        ("stride 1", ("1×1 conv 4", "1×3 conv 8", "+ shortcut"), (8, 8), 2),
        ("stride 2", ("2×2 average pooling",), (8, 8), 1),
        ("stride 2", ("2 branches:", "1×1 conv, 3×3 max pooling"), (13, 13), 1),
        ("stride 2", ("3×3 separable 6",), (6, 6), 1),
        ("head", ("global average pooling",), (6, 6), 1),
        ("head", ("dense 10",), (10, 10), 1),
    ]


def test_a_model_inside_a_model_is_one_box(draw):
    inner = keras_archs.ResNet20((32, 32, 3), include_top=False, pooling="avg", name="backbone")
    given = keras.Input((32, 32, 3))
    model = keras.Model(given, layers.Dense(7)(inner(given)), name="transfer")
    profile, shown = draw(model)
    assert "backbone" in shown
    assert "dense 7" in shown
    assert shown[1].startswith(f"{profile.params:,} parameters")


def test_auxiliary_classifiers_are_drawn_and_leave_the_blocks_apart(draw):
    shown = draw("googlenet", aux=True)[1]
    assert [text for text in shown if text.startswith("× ")][:3] == ["× 2", "× 5", "× 2"]
    assert shown.count("auxiliary:") == 4  # pooling, 1x1, two dense layers: twice each
    assert shown.count("dense 1000") == 2  # the classifier's own, and the auxiliary ones'


def test_arguments_are_those_of_the_builder_or_the_profile(draw):
    profile, shown = draw(keras_archs.MobileNet, alpha=0.5, classes=7)
    assert profile.params == keras_archs.profile("mobilenet", alpha=0.5, classes=7).params
    assert "1×1 conv 7" in shown
    open_sides = keras_archs.ResNet20((None, None, 3))
    assert "48 × 64" in draw(open_sides, input_shape=(48, 64, 3))[1]


def test_a_name_is_escaped_and_drawn_as_it_is(draw):
    given = keras.Input((4,))
    model = keras.Model(given, layers.Dense(2)(given), name="a<b>&$c_1$")
    assert draw(model)[1][0] == "a<b>&$c_1$"


def test_the_same_network_gives_the_same_bytes_and_no_date(tmp_path):
    for name in ("a.svg", "b.svg"):
        applications.plot_architecture("lenet5", tmp_path / name)
    first = (tmp_path / "a.svg").read_text()
    assert first == (tmp_path / "b.svg").read_text()
    assert not re.search(r"20\d\d-\d\d-\d\d|dc:date", first)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.svg", "b.svg"]


def test_summary_draws_the_architecture_it_prices(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        arguments = ["--alpha", "0.5", "--size", "96", "--svg", str(tmp_path / "net.svg")]
        app(["summary", "mobilenet", *arguments])
    assert not ended.value.code
    assert "total" in capsys.readouterr().out
    shown = texts(tmp_path / "net.svg")
    profile = keras_archs.profile("mobilenet", alpha=0.5, input_shape=(96, 96, 3))
    assert shown[1] == f"{profile.params:,} parameters, {profile.macs:,} multiply-adds"


def test_a_drawing_is_an_svg_file_in_an_existing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"must be a \.svg file"):
        applications.plot_architecture("lenet5", tmp_path / "net.png")
    with pytest.raises(FileNotFoundError, match="existing folder"):
        applications.plot_architecture("lenet5", tmp_path / "none" / "net.svg")
