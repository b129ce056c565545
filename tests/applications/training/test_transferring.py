"""Trials of a search that begin with the weights of another one."""

from types import SimpleNamespace

import numpy as np
import pytest

import applications
from applications import runs
from applications.comparison.lineage import lineage
from applications.data.sources import open_source
from applications.options import Options, Search
from applications.searching import studies
from applications.training.transferring import may_grow, transfer

CONFIG = {"arch": "lenet5", "alpha": 0.2, "rho": 1.0, "recipe": "default", "args": {"dropout": 0.1}}


@pytest.mark.parametrize(
    ("change", "grows"),
    [
        ({}, True),
        ({"alpha": 0.5}, True),
        ({"alpha": 0.1}, False),
        ({"args": {"dropout": 0.4}, "learning_rate": 0.1}, True),
        ({"args": None}, True),
        ({"args": {"variant": "1998"}}, False),
        ({"rho": 0.5}, False),
        ({"arch": "nin"}, False),
        ({"recipe": "lenet5"}, False),
    ],
)
def test_a_network_grows_into_a_wider_one_of_its_kind(change, grows):
    assert may_grow(CONFIG, CONFIG | change) is grows


def record(trial, alpha, accuracy, status="completed", epochs=3):
    metrics = {"validation_accuracy": accuracy, "validation_loss": 1.0, "epochs": epochs}
    return {"trial": trial, "status": status, "config": CONFIG | {"alpha": alpha}} | {
        "metrics": metrics
    }


def test_parents_are_the_best_that_may_grow_and_have_their_model(tmp_path):
    records = [
        record(0, 0.1, 0.7),
        record(1, 0.2, 0.9),
        record(2, 0.9, 0.95),  # too wide
        record(3, 0.1, 0.8),
        record(4, 0.1, 0.99, status="failed"),
        record(5, 0.2, 0.6),
        record(6, 0.1, 0.93, epochs=1),  # of a lower rung
    ]
    search = object.__new__(studies._Search)
    search._folder, search._engine = tmp_path, SimpleNamespace(records=lambda: records)
    for each in (0, 1, 2, 3, 4, 6):
        (tmp_path / f"trial-{each:04d}").mkdir()
        (tmp_path / f"trial-{each:04d}" / "model.keras").touch()
    job = SimpleNamespace(number=7, config=CONFIG)
    expected = ["trial-0001", "trial-0003", "trial-0000", "trial-0006"]
    assert search._parents(job) == expected
    job.number = 1
    assert search._parents(job) == expected[1:], "none is its own"


def test_a_trial_that_was_begun_keeps_its_parent_or_that_it_has_none(tmp_path):
    options = Options(arch="lenet5")
    assert transfer(options, tmp_path / "trial-0002", []) is None
    new = transfer(options, tmp_path / "trial-0002", ["trial-0001"])
    assert new.recorded == {} and new._parents == [tmp_path / "trial-0001"]
    for folder, more in (("trial-0003", {}), ("trial-0004", {"parent": "s/trial-0000"})):
        (tmp_path / folder).mkdir()
        runs.write_config(tmp_path / folder / "config.yaml", {**options.as_dict(), **more})
    assert transfer(options, tmp_path / "trial-0003", ["trial-0001"]) is None
    begun = transfer(options, tmp_path / "trial-0004", ["trial-0001"])
    assert begun.recorded == {"parent": "s/trial-0000"}
    assert begun._parents == [tmp_path / "trial-0000"]


def widths(hp, *, input_shape, classes, budget):
    return {"alpha": hp.Choice("alpha", [0.1, 0.2, 0.3])}


widths.arch = "lenet5"


@pytest.mark.slow
def test_trials_begin_with_what_narrower_ones_have_learned(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    options = {"algorithm": "grid", "trials": 3, "epochs": 1, "size": 16, "verbose": 0}
    result = studies.search(widths, digits, **options, transfer=True, run_dir="s", keep=2)
    table = result.trials
    narrow, middle, wide = map(applications.load, table["run"])
    known = [narrow.metrics, middle.metrics]
    figures = [(each["validation_accuracy"], -each["validation_loss"]) for each in known]
    assert list(table["parent"].fillna(-1)) == [-1, 0, figures.index(max(figures))]
    assert "parent" not in narrow.config and middle.config["parent"] == "s/trial-0000"
    steps = lineage(list(table["run"]), [narrow, middle, wide])
    assert [(step["name"], step["parent"]) for step in steps[:2]] == [
        ("s/trial-0000", None),
        ("s/trial-0001", 0),
    ]
    assert "parent" not in (result.path / "best.yaml").read_text()
    kept = [run for run in (narrow, middle, wide) if (run.path / "model.keras").exists()]
    assert len(kept) == 2, "the others were kept as long as a trial might begin with them"

    parent = kept[0]
    new = Options.made_of({name: wide.config[name] for name in Options(arch="lenet5").as_dict()})
    given = transfer(new, "s/trial-9999", [parent.path.name])
    source = given.selected(open_source(str(new.data), seed=new.seed))
    plan = new.planned(source)
    network = given.network(plan, source.at(plan.image_size, resize=new.resize))
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 1)).astype(np.uint8)
    np.testing.assert_allclose(
        *(model.predict(images, verbose=0) for model in (network, parent.model)), atol=1e-5
    )
    assert network.count_params() > parent.model.count_params()


def test_a_search_takes_no_weights_unless_asked():
    assert Search(space="lenet5").transfer is False
    with pytest.raises(ValueError, match="`transfer` must be a bool"):
        Search(space="lenet5", transfer="yes")
