"""`python -m pytest`: a short lesson from start to end."""

import distill
import pandas as pd
import yaml


def test_what_is_gained_is_the_mean_over_the_seeds():
    table = pd.DataFrame(
        {"seed": [0, 1], "teacher": 0.95, "alone": [0.8, 0.9], "taught": [0.9, 0.9]}
    )
    assert "+5.0 points, from +0.0 to +10.0 over 2 seeds" in distill.report(table)


def test_one_seed_proves_nothing():
    table = pd.DataFrame({"seed": [0], "teacher": 0.95, "alone": [0.8], "taught": [0.9]})
    assert "may be chance" in distill.report(table)


def test_a_student_is_trained_alone_and_taught(tmp_path):
    network = {"arch": "lenet5", "epochs": 1}
    config = {
        "teacher": network,
        "student": network,
        "distill": {"temperature": 4},
        "both": {"data": "digits"},
        "seeds": [0],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    table = distill.main(
        ["--config", str(tmp_path / "config.yaml"), "--run-dir", str(tmp_path / "runs")]
    )
    assert table.shape == (1, 4)
    assert (tmp_path / "runs" / "report.html").exists()
