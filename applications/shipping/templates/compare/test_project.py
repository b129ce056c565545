"""`python -m pytest`: the rule of the choice, and a short comparison from start to end."""

import compare
import pandas as pd
import pytest
import yaml

ROWS = pd.DataFrame(
    {
        "arch": ["large", "small", "poor"],
        "alpha": 1.0,
        "rho": 1.0,
        "params": [900, 90, 9],
        "macs": [9000, 900, 90],
        "test_accuracy": [0.97, 0.96, 0.7],
    }
)


def test_the_most_accurate_within_the_limits_is_taken():
    assert compare.choice(ROWS, {}, test_images=10_000).arch == "large"
    assert compare.choice(ROWS, {"params": 500}, test_images=10_000).arch == "small"


def test_of_equals_the_cheapest_is_taken():
    assert compare.choice(ROWS, {}, test_images=100).arch == "small"


def test_limits_that_nothing_keeps_name_the_smallest():
    with pytest.raises(ValueError, match="params 9"):
        compare.choice(ROWS, {"params": 5}, test_images=100)


def test_networks_are_trained_and_one_is_taken(tmp_path):
    options = {"data": "digits", "epochs": 1}
    config = {"archs": ["lenet5"], "seeds": [0], "limits": {"macs": 1e6}, "options": options}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    best = compare.main(
        ["--config", str(tmp_path / "config.yaml"), "--run-dir", str(tmp_path / "runs")]
    )
    assert best.arch == "lenet5"
    assert (tmp_path / "runs" / "report.html").exists()
