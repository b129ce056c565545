"""Networks of several kinds learn the digits with the default recipe."""

import pytest

import applications

NETWORKS = {
    "lenet5": 1,
    "mobilenet": 0.25,
    "squeezenet": 0.5,
    "resnet20": 0.5,
    "simpnet_300k": 0.5,
    "nin": 0.25,  # a ReLU ends it: half of its classes would be 0 everywhere from the start
}


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "alpha"), NETWORKS.items())
def test_the_default_recipe_reaches_95_percent_on_the_digits(arch, alpha, tmp_path):
    run = applications.train(arch, data="digits", alpha=alpha, run_dir=tmp_path / "run", verbose=0)
    assert run.metrics["test_accuracy"] >= 0.95
