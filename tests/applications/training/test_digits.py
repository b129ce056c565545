"""Networks of five kinds learn the digits with the default recipe."""

import pytest

import applications

NETWORKS = {
    "lenet5": {},
    "mobilenet-a0.5": {"arch": "mobilenet", "alpha": 0.5},
    "squeezenet": {},
    "resnet20": {},
    "simpnet_300k": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_default_recipe_reaches_95_percent_on_the_digits(name, tmp_path):
    options = {"arch": name, **NETWORKS[name]}
    run = applications.train(data="digits", run_dir=tmp_path / "run", verbose=0, **options)
    assert run.metrics["test_accuracy"] >= 0.95
