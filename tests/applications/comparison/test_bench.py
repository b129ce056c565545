"""`keras-archs bench`: what it measures, what it refuses, and the table."""

import keras
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import applications
import keras_archs
from applications.cli.commands import app
from applications.comparison import benching
from applications.comparison.benching import COLUMNS, bench, kernel_sizes
from keras_archs.runtimes import available

JOB = {"batch": [2, 3], "threads": None, "runtimes": None, "precision": ["fp32"], "seconds": 0}
LENET5 = {"name": "lenet5", "arch": "lenet5", "alpha": 1.0, "rho": 1.0, "size": None, "args": {}}


def cli(*args):
    return CliRunner().invoke(app, ["bench", *map(str, args)])


@pytest.fixture
def measured(monkeypatch):
    """The jobs that the measuring processes would get; each answers with two rows."""
    jobs = []

    def answers(job, threads):
        jobs.append((job, threads))
        row = {"network": "lenet5", "params": 61_706, "macs": 416_520, "precision": "fp32"}
        row |= {"batch": 1, "chunk": 1, "p95_ms": 3.0, "images_per_second": 500.0}
        for name, gflops, peak in (("predict", 10.0, 80.0), ("litert", 50.0, 100.0)):
            rates = {"p50_ms": 2.0, "gflops": gflops, "peak_gflops": peak, "agreement": None}
            yield {**row, **rates, "runtime": name}

    monkeypatch.setattr(benching, "_answers", answers)
    return jobs


# ------------------------------------------------------------------------------- what is measured


@pytest.mark.slow
def test_each_runtime_and_both_baselines_are_measured_at_each_batch_size():
    told = []
    job = {**JOB, "runtimes": None if len(available()) < 3 else ["predict", "function", "litert"]}
    rows = pd.DataFrame(benching.measure(LENET5, job, told.append))
    names = job["runtimes"] or ["predict", "function", *available()]
    assert list(zip(rows["batch"], rows["runtime"], strict=True)) == [
        (batch, name) for batch in (2, 3) for name in names
    ]
    assert [text.split(", threads")[0] for text in told] == ["lenet5, batch 2", "lenet5, batch 3"]
    assert set(rows["macs"]) == {keras_archs.profile("lenet5").macs}
    seconds = rows["p50_ms"] / 1000
    np.testing.assert_allclose(rows["images_per_second"], rows["batch"] / seconds)
    np.testing.assert_allclose(rows["gflops"], 2e-9 * rows["macs"] * rows["batch"] / seconds)
    assert (rows["p50_ms"] <= rows["p95_ms"]).all()
    assert (rows["chunk"] <= rows["batch"]).all()
    assert (rows["peak_gflops"] > 0).all()


def test_kernels_of_each_size_have_the_same_parameters():
    costs = {
        kernel: keras_archs.profile("simpnet", rows=rows) for kernel, rows in kernel_sizes().items()
    }
    paper = keras_archs.profile("simpnet")
    assert (costs[3].params, costs[3].macs) == (paper.params, paper.macs)
    for cost in costs.values():
        assert 0.999 * paper.params <= cost.params <= paper.params
    assert [len(rows) for rows in kernel_sizes().values()] == [14] * 4
    assert list(kernel_sizes()) == [1, 3, 5, 7]


# -------------------------------------------------------------------------------------- the table


def test_shares_are_of_the_best_product_with_so_many_threads(measured, tmp_path, capsys):
    table = bench("LeNet5", batch=(1,), threads=(1, 2), csv=tmp_path / "bench.csv")
    assert tuple(table.columns) == COLUMNS
    assert table["threads"].tolist() == [1, 1, 2, 2]
    assert table["peak_share"].tolist() == [0.1, 0.5, 0.1, 0.5]
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "bench.csv"), table, check_dtype=False, check_exact=False
    )
    shown = capsys.readouterr().out
    assert "litert" in shown and "50.0" in shown and "61,706" in shown


def test_each_number_of_threads_has_a_process_of_its_own(measured):
    bench("lenet5", threads=(1, 4), batch=(8,), runtimes=["litert"], alpha=0.5, size=(40, 48))
    assert [(job["threads"], threads) for job, threads in measured] == [(1, 1), (4, 4)]
    job = measured[0][0]
    assert (job["batch"], job["runtimes"], job["precision"]) == ([8], ["litert"], ["fp32"])
    (network,) = job["networks"]
    assert network == {**LENET5, "name": "lenet5-a0.5", "alpha": 0.5, "size": (40, 48)}


def test_the_preset_measures_a_network_for_each_kernel(measured):
    bench(preset="kernel-size")
    assert [n["name"] for n in measured[0][0]["networks"]] == ["1x1", "3x3", "5x5", "7x7"]


def test_the_command_hands_its_options_on(monkeypatch):
    given = {}
    monkeypatch.setattr(
        applications, "bench", lambda **options: given.update(options), raising=False
    )
    line = ("lenet5", "--batch", "1,8", "--threads", "1,2", "--precision", "fp32,int8")
    assert cli(*line, "--runtimes", "auto,predict", "--size", "32x40").exit_code == 0
    assert given == {
        **dict(model="lenet5", preset=None, batch=(1, 8), threads=(1, 2), seconds=2.0, csv=None),
        **dict(runtimes=("auto", "predict"), precision=("fp32", "int8"), size=[32, 40]),
        **dict(alpha=1.0, rho=1.0, args=None),
    }


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([], "`model` or `preset` must say what to measure"),
        (["lenet5", "--preset", "kernel-size"], "`model` or `preset` must say what to measure"),
        (["lenet"], "must be an architecture or a run folder. Did you mean 'lenet5'"),
        (["lenet5", "--batch", "0"], "`batch` must be distinct integers in [1, 4096]"),
        (["lenet5", "--batch", "1,1"], "`batch` must be distinct integers in [1, 4096]"),
        (["lenet5", "--batch", "1,99999999999"], "Received: batch=[1, 99999999999]"),
        (["lenet5", "--threads", "99999999999"], "Received: threads=[99999999999]"),
        (["lenet5", "--batch", "one"], "`batch` must be integers >= 1 such as 1,8"),
        (["lenet5", "--threads", "2,0"], "`threads` must be distinct integers in [1, 1024]"),
        (["lenet5", "--runtimes", "litrt"], "Did you mean 'litert'"),
        (["lenet5", "--runtimes", "tensorflow", "--precision", "int8"], "for int8"),
        (["lenet5", "--precision", "fp16"], "`precision` must be one of fp32, int8"),
        (["lenet5", "--alpha", "0"], "`alpha` must be > 0"),
        (["--preset", "kernel-size", "--alpha", "0.5"], "are for architectures"),
    ],
)
def test_bad_options_are_refused_at_once_in_one_line(measured, line, message):
    result = cli(*line)
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not measured


# -------------------------------------------------------------------------------- whole processes


@pytest.mark.slow
def test_an_error_of_the_measuring_process_is_one_line():
    result = cli("mobilenet", "--size", "4")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and "must be at least" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    not {"litert", "onnxruntime"} <= set(available()),
    reason=f"needs both runtimes, on TensorFlow; this is {keras.backend.backend()}",
)
def test_a_run_is_measured_in_both_precisions(tmp_path):
    run = applications.train("lenet5", epochs=2, run_dir=tmp_path / "digits", verbose=0)
    csv = tmp_path / "bench.csv"
    line = ("--batch", "1,4", "--threads", "1", "--precision", "fp32,int8", "--seconds", "0.1")
    result = cli(run.path, *line, "--runtimes", "function,litert,onnxruntime", "--csv", csv)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(csv)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * (3 + 2)
    assert set(table["network"]) == {"digits"}
    int8 = table[table["precision"] == "int8"]
    assert set(int8["runtime"]) == {"litert", "onnxruntime"}
    assert (int8["agreement"] >= 0.95).all()  # real digits
    assert table[table["precision"] == "fp32"]["agreement"].isna().all()
    assert (table["gflops"] > 0).all() and (table["peak_share"] > 0).all()
