"""What `lint` says: more on the network that was worse than on the better one."""

import functools
import itertools

import keras
import pytest
from keras import layers
from reference.figures import ACCURACIES

import keras_archs
from keras_archs.families.simpnet import experiments
from keras_archs.graph import without_values
from tuning import lint, principles
from tuning.principles import PRINCIPLES


def build(name="simpnet", **kwargs):
    with without_values():
        return keras_archs.build(name, **kwargs)


def named(model, **kwargs):
    return {finding.principle for finding in lint(model, **kwargs) if not finding.advice}


def chain(*rows, shape=(32, 32, 3)):
    return build(input_shape=shape, rows=[*rows, "gmp dense"])


def convolutions(widths, kernels=None, pools=(), late="bn relu"):
    kernels = kernels or [3] * len(widths)
    return [
        f"{width} {kernel}/1/{kernel // 2} {late}{' max2/2/0' * (at in pools)}"
        for at, (width, kernel) in enumerate(zip(widths, kernels, strict=True), start=1)
    ]


# ----------------------------------------------------------------------------- the paper's networks


def quoted_pairs():
    """What speaks against the worse network of each pair that evidence quotes, and the pair."""
    for principle in PRINCIPLES.values():
        for evidence in principle.evidence:
            networks = [result for result in evidence.results if result.experiment is not None]
            networks.sort(key=lambda result: result.accuracy)
            for worse, better in itertools.combinations(networks, 2):
                if principle.name != "isolation":
                    yield principle.name, worse.experiment, better.experiment
                elif "misleads" in evidence.compared:  # the worse kernels had more parameters
                    yield "maximum_performance", better.experiment, worse.experiment
                else:
                    yield "maximum_performance", worse.experiment, better.experiment


@functools.cache
def published(experiment):
    return build(experiment=experiment)


def severity(model, principle):
    return sum(finding.severity for finding in lint(model, principle))


@pytest.mark.parametrize("principle, worse, better", list(quoted_pairs()))
def test_findings_speak_against_the_worse_of_every_pair_that_is_quoted(principle, worse, better):
    worse, better = published(worse), published(better)
    assert severity(worse, principle) > severity(better, principle) >= 0
    said = [{finding.message for finding in lint(model, principle)} for model in (worse, better)]
    assert said[0] - said[1]


def test_the_quoted_pair_of_residual_networks_is_told_apart():
    worse, better = (build("resnet32", downsample=kind) for kind in ("stride", "maxpool"))
    assert severity(worse, "pooling") > severity(better, "pooling")


@pytest.mark.parametrize(
    "principle, worse, better",
    [
        ("maximum_information", 31, 30),
        ("balanced_distribution", 22, 23),
        ("balanced_distribution", 24, 25),
        ("pooling", 36, 35),
        ("pooling", 39, 38),
        ("correlation_preservation", 47, 48),
        ("correlation_preservation", 49, 50),
        ("maximum_performance", 42, 41),
        ("maximum_performance", 45, 40),
        ("dropout", 59, 58),
    ],
)
def test_a_bound_that_is_no_mere_advice_lies_between_a_pair(principle, worse, better):
    assert principle in named(published(worse))
    assert principle not in named(published(better))


@pytest.mark.parametrize(
    "name", ["simpnet", "simpnet_9m", "simpnet_1m", "simpnet_600k", "simpnet_300k"]
)
def test_the_paper_s_own_networks_break_none(name):
    assert named(build(name)) == set()


def test_every_figure_is_that_of_its_experiment():
    results = [r for p in PRINCIPLES.values() for e in p.evidence for r in e.results]
    with_id = [result for result in results if result.experiment is not None]
    assert len(with_id) > 30
    for result in with_id:
        assert result.accuracy == experiments()[result.experiment]["accuracy"], result


def test_every_figure_without_an_experiment_is_published():
    results = [r for p in PRINCIPLES.values() for e in p.evidence for r in e.results]
    quoted = {result.accuracy for result in results if result.experiment is None}
    assert quoted == {row.top1 for row in ACCURACIES if row.setting}


def test_the_data_set_that_evidence_names_is_that_of_its_experiments():
    spelled = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
    for principle in PRINCIPLES.values():
        for evidence in principle.evidence:
            for result in evidence.results:
                if result.experiment is not None:
                    dataset = spelled[experiments()[result.experiment]["dataset"]]
                    assert evidence.compared.endswith(f", {dataset}")


# --------------------------------------------------------------------------------------- each check


def test_widths_that_shrink_are_named():
    (finding,) = lint(chain(*convolutions([16, 32, 32, 24, 29, 48])), ["gradual_expansion"])
    assert finding.layers == ("conv4",)
    assert finding.message.startswith("24 filters after layers of up to 32")
    assert named(chain(*convolutions([16, 32, 32, 30, 29]))) == set()  # 2 filters, 10 %
    assert named(build(experiment=0)) == set()  # 150, then a convolution to the 100 classes


def test_a_depth_that_did_worse_at_its_parameters_is_advised_against():
    def advised(depth, width):
        model = build(rows=[*convolutions([width] * depth), "gmp dense"])
        return [finding.message for finding in lint(model, "gradual_expansion") if finding.advice]

    assert advised(9, 60) == []  # 263K: none of that size were compared
    assert advised(10, 62) == []
    assert advised(12, 60)[0].endswith("parameters: 10 did best at 300,000")
    assert advised(8, 70)[0].startswith("8 convolutions in a network of 314,")
    assert advised(12, 72)[0].endswith("parameters: 13 did best at 500,000")
    assert advised(16, 72) == []
    assert lint(build("resnet32"), "gradual_expansion") == []  # 464K, and deep by its shortcuts


def test_large_kernels_are_advised_against_before_smaller_ones():
    (finding,) = lint(chain(*convolutions([16] * 4, [5, 3, 7, 1])), ["homogeneous_groups"])
    assert finding.advice and finding.layers == ("conv1",) and "5x5 in 1 of 4" in finding.message
    assert lint(chain(*convolutions([16] * 4, [3, 3, 5, 5])), ["homogeneous_groups"]) == []
    assert lint(chain(*convolutions([16] * 4, [3, 3, 3, 1])), ["homogeneous_groups"]) == []


def test_a_kernel_or_width_that_returns_at_one_resolution_is_named():
    kernels = [3, 3, 3, 3, 3, 3, 3, 1, 3]
    (finding,) = lint(chain(*convolutions([16] * 9, kernels)), ["homogeneous_groups"])
    assert finding.layers == ("conv9",) and finding.message.startswith("kernels of 3, 3, 3")
    pooled = chain(*convolutions([16] * 9, kernels, pools=(8,)))
    assert lint(pooled, ["homogeneous_groups"]) == []
    (finding,) = lint(chain(*convolutions([16, 32, 16])), ["homogeneous_groups"])
    assert finding.layers == ("conv3",) and "widths of 16, 32, 16" in finding.message
    assert lint(chain(*convolutions([16, 18, 16, 19])), ["homogeneous_groups"]) == []
    assert lint(chain(*convolutions([4, 4, 5, 4, 7])), ["homogeneous_groups"]) == []


def test_pointwise_kernels_are_named_in_the_first_two_thirds():
    rows = convolutions([16] * 6, [3, 3, 3, 1, 1, 1])
    early, late = lint(chain(*rows), ["correlation_preservation"])
    assert early.layers == ("conv4",) and not early.advice
    assert late.layers == ("conv5", "conv6") and late.advice


def test_a_reduction_before_a_quarter_of_the_layers_is_named():
    for position, wanted in ((2, set()), (1, {"maximum_information"})):
        assert named(chain(*convolutions([16] * 8, pools=(position,)))) == wanted
    strided = ["16 3/2/1 bn relu", *convolutions([16] * 7)]
    assert named(chain(*strided)) == {"maximum_information", "pooling"}
    assert named(chain(*convolutions([16] * 8))) == set()
    (finding,) = lint(chain(*convolutions([16] * 8, pools=(3,))), ["maximum_information"])
    assert finding.advice and finding.layers == ("pool3",)
    assert lint(chain(*convolutions([16] * 8, pools=(4,))), ["maximum_information"]) == []


def test_large_kernels_are_named_and_channel_counts_only_advised_on():
    (finding,) = lint(chain(*convolutions([16] * 4, [5, 3, 3, 7])), ["maximum_performance"])
    assert finding.layers == ("conv1", "conv4") and "5x5, 7x7" in finding.message
    (finding,) = lint(build("simpnet"), ["maximum_performance"])
    assert finding.advice and finding.layers == ("conv1", "conv12")  # 66 and 355
    assert lint(build("simpnet_300k"), ["maximum_performance"]) == []


def test_imbalance_names_both_ends():
    (finding,) = lint(build(experiment=22), ["balanced_distribution"])
    assert finding.layers == ("conv1", "conv9")
    assert "8.0 times" in finding.message and "(512 and 64)" in finding.message
    assert named(chain(*convolutions([8] * 6 + [60]))) == set()
    assert named(chain(*convolutions([8] * 6 + [61]))) == {"balanced_distribution"}


def test_layers_that_are_starved_are_named_in_networks_that_are_not_large():
    rows = convolutions([6, 6, *[20] * 6])
    (finding,) = lint(chain(*rows), ["balanced_distribution"])
    assert finding.layers == ("conv1", "conv2") and not finding.advice
    assert finding.message.startswith("6 filters where layers have 16.5 on average: in a network")
    assert finding.severity == pytest.approx(1 - 6 / 6.6)
    assert named(chain(*convolutions([7, 7, *[20] * 6]))) == set()
    large = [*convolutions([60, 60, *[200] * 4]), "gmp drop0.2 dense"]
    assert named(build(rows=large)) == set()  # 1.2M parameters


def test_too_much_dropout_is_named_and_its_absence_in_a_large_network():
    rows = convolutions([16, 16, 16], late="bn relu drop0.6")
    (finding,) = lint(chain(*rows), ["dropout"])
    assert finding.layers == ("drop1", "drop2", "drop3") and "0.6" in finding.message
    head = build(rows=[*convolutions([16] * 3), "gmp drop0.6 dense"])
    assert named(head) == set()
    assert named(chain(*convolutions([200] * 4))) == {"dropout"}  # 1.1M parameters
    assert named(build(rows=[*convolutions([200] * 4), "gmp drop0.2 dense"])) == set()
    (finding,) = lint(build("simpnet_300k"), ["dropout"])
    assert finding.advice and finding.layers == ("conv13",)
    assert lint(build(experiment=30), ["dropout"]) == []  # 54K parameters
    assert lint(chain(*convolutions([100] * 5)), ["dropout"]) == []  # 364K, and no poolings


def test_average_pooling_is_named_and_global_average_pooling_only_advised_against():
    rows = [*convolutions([16] * 3), "16 3/1/1 bn relu avg2/2/0"]
    (finding,) = lint(chain(*rows), ["pooling"])
    assert finding.layers == ("pool4",) and not finding.advice
    (finding,) = lint(build(rows=[*convolutions([16] * 3), "gap dense"]), ["pooling"])
    assert finding.layers == ("avg_pool",) and finding.advice


def test_isolation_says_nothing_about_one_network():
    for number in (22, 31, 36, 45, 47):
        assert PRINCIPLES["isolation"].check(build(experiment=number)) == []


# -------------------------------------------------------------------------------------- any network


def test_a_foreign_nested_model_is_read_in_place_and_its_preprocessing_skipped():
    inner = keras.Sequential(
        [
            keras.Input((32, 32, 8)),
            layers.Conv2D(8, 5, padding="same", name="wide"),
            layers.AveragePooling2D(2, name="mean"),
        ],
        name="inner",
    )
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Normalization(mean=0.5, variance=0.1),
            layers.Conv2D(8, 3, padding="same", name="first"),
            inner,
            layers.GlobalMaxPooling2D(),
            layers.Dense(10),
        ]
    )
    found = {finding.principle: finding.layers for finding in lint(model)}
    assert found == {"maximum_performance": ("inner/wide",), "pooling": ("inner/mean",)}


def test_a_depthwise_convolution_counts_with_its_pointwise_one():
    def separable(fused):
        for width in (16, 16, 32, 32):
            if fused:
                yield layers.SeparableConv2D(width, 3, padding="same")
            else:
                yield layers.DepthwiseConv2D(3, padding="same")
                yield layers.BatchNormalization()
                yield layers.Conv2D(width, 1)

    for fused in (True, False):
        with without_values():
            first = layers.Conv2D(16, 3, padding="same")
            head = layers.GlobalMaxPooling2D(), layers.Dense(10)
            model = keras.Sequential([keras.Input((16, 16, 3)), first, *separable(fused), *head])
        assert named(model) == set()
    finding = lint(build("mobilenet"), ["balanced_distribution"])[0]
    assert finding.layers == ("conv1", "conv_dw_12", "conv_pw_12") and "32.0" in finding.message
    assert "correlation_preservation" not in named(build("mobilenet"))


def test_sides_may_be_unknown():
    model = build(input_shape=(None, None, 3), experiment=31)
    assert named(model) == {"maximum_information", "balanced_distribution"}


def test_a_shortcut_is_left_out_and_the_layers_beside_it_are_read():
    def model(shortcuts):
        inputs = x = keras.Input((32, 32, 3))
        for at, width in enumerate((16, 16, 16, 24, 24, 32), start=1):
            before = x
            x = layers.Conv2D(width, 3, padding="same", name=f"conv{at}")(x)
            if shortcuts and before.shape == x.shape:
                x = x + before if at % 2 else layers.Add(name=f"add{at}")([before, x])
            x = layers.ReLU(name=f"relu{at}")(x)
            if width == 24:
                x = layers.AveragePooling2D(2, name=f"pool{at}")(x)
        x = layers.GlobalMaxPooling2D()(x)
        return keras.Model(inputs, layers.Dense(10)(x))

    plain, residual = (lint(model(shortcuts)) for shortcuts in (False, True))
    assert plain == residual and plain[-1].layers == ("pool4", "pool5")


def test_two_poolings_of_one_map_are_one_reduction_by_the_maxima():
    rows = convolutions([16] * 8, pools=(4, 6))
    plain = lint(chain(*rows))
    for both in ("max+avg", "max|avg"):
        assert lint(chain(*[row.replace("max", both) for row in rows])) == plain
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", name="conv1")(inputs)
    both = [layers.AveragePooling2D(2, name="mean")(x), layers.MaxPooling2D(2, name="largest")(x)]
    x = layers.Conv2D(16, 3, padding="same", name="conv2")(layers.Concatenate()(both))
    model = keras.Model(inputs, layers.Dense(10)(layers.GlobalMaxPooling2D()(x)))
    assert lint(model, ["pooling"]) == []


def test_added_poolings_are_no_shortcuts_and_what_is_added_to_a_layer_is():
    rows = convolutions([60] * 12, pools=(8,))  # 10 layers did best, in plain chains
    pooled = [row.replace("max", "max+avg") for row in rows]
    assert [len(lint(chain(*each), "gradual_expansion")) for each in (rows, pooled)] == [1, 1]
    residual = [row.replace("bn", "bn add1") if at else row for at, row in enumerate(rows)]
    assert lint(chain(*residual), "gradual_expansion") == []


def test_what_stands_beside_the_map_of_a_layer_is_a_shortcut():
    """Both have 300,000 to 500,000 parameters: 10 layers did best, in plain chains."""
    plain, rows = (convolutions([width] * 12, pools=(8,)) for width in (60, 30))
    dense = [row.replace("relu", "relu cat1") if 0 < at < 8 else row for at, row in enumerate(rows)]
    assert [len(lint(chain(*each), "gradual_expansion")) for each in (plain, dense)] == [1, 0]
    assert lint(build("densenet40_12", alpha=0.25), "homogeneous_groups") == []


def test_kernels_on_both_ways_are_branches():
    with pytest.raises(ValueError, match="chain of layers: layer `.*` merges branches"):
        lint(build("squeezenet", alpha=0.25))


def test_the_pooling_of_a_shortcut_is_none_of_the_chain():
    (finding,) = lint(build("resnet20"), ["pooling"])[:1]
    assert finding.layers == ("conv3_block1_1_conv", "conv4_block1_1_conv")
    assert lint(build("resnet20"), ["maximum_information"]) == lint(
        build("plainnet20"), ["maximum_information"]
    )


@pytest.mark.parametrize(
    "name, layer", [("resnet18", "conv3_block1_add"), ("squeezenet", "fire2_concat")]
)
def test_a_model_with_branches_is_refused_by_the_layer_that_merges_them(name, layer):
    with pytest.raises(ValueError, match=f"^`model` must be a chain of layers: layer `{layer}`"):
        lint(build(name))


def test_what_has_no_graph_or_several_ends_is_refused():
    with pytest.raises(ValueError, match="^`model` must be a functional keras.Model or a built"):
        lint(keras.Sequential([layers.Conv2D(8, 3)]))
    inputs = keras.Input((8, 8, 3))
    two = keras.Model(inputs, [layers.Conv2D(8, 3)(inputs), layers.Conv2D(8, 3)(inputs)])
    with pytest.raises(ValueError, match="with one input and one output"):
        lint(two)


def test_only_the_principles_asked_for_are_checked():
    model = build(experiment=24)
    assert named(model) == {"gradual_expansion", "balanced_distribution"}
    assert named(model, principles=["balanced_distribution"]) == {"balanced_distribution"}
    assert lint(model, principles=[]) == []
    with pytest.raises(ValueError, match="Did you mean 'dropout'"):
        lint(model, principles=["dropuot"])


def test_a_finding_reads_as_one_line_and_carries_the_evidence():
    finding, starved = lint(build(experiment=31))
    assert starved.principle == "balanced_distribution"
    assert str(finding) == (
        "maximum_information: pool3: the map is reduced after 3 of 13 convolutions: before a "
        "quarter of them"
    )
    assert str(finding.evidence[0]) == (
        "Table V, layer after which the map is first pooled, 13 layers and 53K parameters, "
        "CIFAR-10: layer 3 77.34 %, layer 5 79.09 %, layer 7 79.44 %"
    )
    assert principles.PRINCIPLES[finding.principle].evidence == finding.evidence
