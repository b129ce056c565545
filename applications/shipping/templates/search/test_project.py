"""`python -m pytest`: a short search from start to end."""

import search
import yaml

import tuning

BUDGET = tuning.Budget(params=8_000)


def test_every_network_keeps_the_budget(tmp_path):
    config = {
        **{"data": "digits", "size": 8, "trials": 1, "epochs": 1, "algorithm": "random"},
        **{"budget_params": BUDGET.params, "budget_macs": None},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    folder = tmp_path / "runs"
    winner = search.main(
        ["--config", str(tmp_path / "config.yaml"), "--run-dir", str(folder), "--final-epochs", "1"]
    )
    assert winner.metrics["params"] <= BUDGET.params
    assert (folder / "default" / "metrics.json").exists()
    assert (folder / "report.html").exists()
