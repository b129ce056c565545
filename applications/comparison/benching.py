"""How fast networks run on this machine, in each runtime, for each batch size and thread count.

The networks are built and timed in a process of its own for each number of threads, as TensorFlow
and NumPy take theirs when they start: `python -m applications.comparison.benching JOB` reads a job
in JSON and answers with a line for each measurement. Everything that is compared takes turns.
"""

import functools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import applications
import keras_archs
from applications import children
from applications.console import plain_console
from applications.data.sources import open_source
from applications.files import write_atomic
from applications.runs import load
from keras_archs import runtimes as fast
from keras_archs.checks import check_alpha, check_rho, nearest
from keras_archs.registry import check_arch
from keras_archs.runtimes import INT8, check_names, processors
from tuning.budget import Budget, Skeleton, fitted

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

COLUMNS = (
    *("network", "params", "macs", "runtime", "precision", "batch", "threads", "chunk"),
    *("p50_ms", "p95_ms", "images_per_second", "gflops", "peak_share", "agreement"),
)
# Beside the runtimes: `Model.predict`, and the model as it is, compiled once and called.
BASELINES = ("predict", "function")
_INT8 = (*INT8, "auto")
PRESETS = ("kernel-size",)
_MOST = {"batch": 4096, "threads": 1024}
_KERNELS = (1, 3, 5, 7)  # sides in pixels
_REPRESENTATIVE = 128  # images
_MATRIX = 2048  # side of the matrices whose product is the peak
PRODUCT_FLOPS = 2 * _MATRIX**3


def bench(
    model: str | os.PathLike[str] | None = None,
    *,
    preset: str | None = None,
    batch: Sequence[int] = (1, 32),
    threads: Sequence[int] | None = None,
    runtimes: Sequence[str] | None = None,
    precision: Sequence[str] = ("fp32",),
    alpha: float = 1.0,
    rho: float = 1.0,
    size: int | tuple[int, int] | None = None,
    args: Mapping[str, Any] | None = None,
    seconds: float = 2.0,
    csv: str | os.PathLike[str] | None = None,
) -> "pd.DataFrame":
    """Latency and throughput of a network, as a table that is printed, too.

    Args:
        model: name of an architecture, whose weights are then random, or a run folder.
        preset: instead of a model `"kernel-size"`: SimpNet with kernels of 1, 3, 5 and 7 pixels,
            its widths such that each has the parameters of the paper's network.
        batch: numbers of images predicted at a time, each 1..4096.
        threads: numbers of CPU threads, each 1..1024. None: all processors.
        runtimes: names of `keras_archs.runtimes`, `"auto"`, and `"predict"` and `"function"`:
            `Model.predict` and a compiled function that is called. None: those two and all that
            are installed.
        precision: `"fp32"`, `"int8"` or both. int8 is set by training images of the run, or by
            random ones.
        alpha: width multiplier of an architecture, > 0.
        rho: resolution multiplier of an architecture, in (0, 1].
        size: side of the input in pixels, or (height, width). None: the paper's.
        args: the architecture's own arguments, by name.
        seconds: of measuring for each batch size, >= 0; every runtime has three turns at least.
        csv: a file to write the table to.

    Returns:
        One row a network, thread count, batch size, runtime and precision. `chunk` is how many
        images go through the network at a time, `p50_ms` and `p95_ms` are times of a batch,
        `gflops` are two a multiply-add at the median, `peak_share` is their share of the best
        float32 matrix product measured in between (int8 may exceed 1), `agreement` the fraction of
        images that int8 classifies as float32 does, for a run.

    Raises:
        ValueError: an argument is out of range, or a runtime is not installed.
    """
    import pandas as pd

    networks = _networks(model, preset, alpha, rho, size, args)
    runtimes = None if runtimes is None else list(runtimes)
    check_bench(batch=batch, threads=threads, runtimes=runtimes, precision=precision)
    rows = []
    for count in threads or (processors(),):
        job = {
            "networks": networks,
            "batch": list(batch),
            "threads": None if threads is None else count,
            "runtimes": runtimes,
            "precision": list(precision),
            "seconds": seconds,
        }
        measured = list(_answers(job, count))
        peak = max(row.pop("peak_gflops") for row in measured)
        rows += [{**row, "threads": count, "peak_share": row["gflops"] / peak} for row in measured]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"agreement": float})
    _print(table)
    if csv is not None:
        write_atomic(csv, table.to_csv(index=False))
        print(f"{csv} has the table")
    return table


def check_bench(
    *,
    batch: Sequence[int] = (),
    threads: Sequence[int] | None = None,
    runtimes: Sequence[str] | None = None,
    precision: Sequence[str] = ("fp32",),
) -> None:
    """Raise ValueError unless `bench` takes these arguments; imports no Keras."""
    for name, counts in (("batch", batch), ("threads", threads or ())):
        if len(set(counts)) < len(counts) or any(not 1 <= n <= _MOST[name] for n in counts):
            wanted = f"distinct integers in [1, {_MOST[name]}]"
            raise ValueError(f"`{name}` must be {wanted}. Received: {name}={list(counts)}")
    if not precision or len(set(precision)) < len(precision):
        raise ValueError(f"`precision` must be distinct. Received: precision={list(precision)}")
    chosen = [name for name in runtimes or () if name not in BASELINES]
    reduced = [name for name in chosen if name in _INT8]
    if runtimes is not None and not runtimes:
        raise ValueError("`runtimes` must name at least one. Received: runtimes=[]")
    for each in precision:
        check_names(set(chosen if each == "fp32" else reduced) - {"auto"}, each)
    if "fp32" not in precision and runtimes is not None and not reduced:
        raise ValueError(
            f"`runtimes` must name one of {', '.join(_INT8)} for int8. "
            f"Received: runtimes={list(runtimes)}"
        )


def _networks(model, preset, alpha, rho, size, args) -> list[dict[str, Any]]:
    """What the measuring process is to build or load: `name`, and a `run` or arguments."""
    if (model is None) == (preset is None):
        raise ValueError(
            "`model` or `preset` must say what to measure, and not both. "
            f"Received: model={model!r}, preset={preset!r}"
        )
    check_alpha(alpha)
    check_rho(rho)
    options = {"alpha": alpha, "rho": rho, "size": size, "args": dict(args or {})}
    plain = {"alpha": 1.0, "rho": 1.0, "size": None, "args": {}}
    if model is not None and str(model).lower() in keras_archs.list_archs():
        label = check_arch(str(model)).lower()
        label += "".join(f"-{o[0]}{options[o]:g}" for o in ("alpha", "rho") if options[o] != 1)
        return [{"name": label, "arch": str(model).lower(), **options}]
    if options != plain:
        raise ValueError(
            "`alpha`, `rho`, `size` and `args` are for architectures: a trained network has its "
            f"own. Received: {options}"
        )
    if preset is not None:
        if preset not in PRESETS:
            raise ValueError(
                f"`preset` must be one of {', '.join(PRESETS)}. Received: preset={preset!r}"
            )
        return [
            {"name": f"{kernel}x{kernel}", "arch": "simpnet", **plain, "args": {"rows": rows}}
            for kernel, rows in kernel_sizes().items()
        ]
    if not Path(str(model)).is_dir():
        raise ValueError(
            "`model` must be an architecture or a run folder."
            f"{nearest(str(model), keras_archs.list_archs())} Received: model={str(model)!r}"
        )
    return [{"name": Path(str(model)).name, "run": str(load(str(model)).path)}]


def kernel_sizes() -> dict[int, list[str]]:
    """The rows of SimpNet with kernels of each size and as many parameters as with 3 x 3."""
    widths, pools, areas, side = [], [], [], 32
    for filters, repeat, pool, _ in keras_archs.families.simpnet.SIMPNET_5M:
        for at in range(1, repeat + 1):
            widths.append(filters)
            areas.append(side * side)
            pools.append(pool and at == repeat)
            side //= 1 + pools[-1]

    def skeleton(kernel):
        return Skeleton([kernel] * len(widths), areas, channels=3, classes=10)

    budget = Budget(params=skeleton(3).cost(widths).params)
    found = {}
    for kernel in _KERNELS:
        chosen = widths if kernel == 3 else fitted(skeleton(kernel), widths, budget)
        found[kernel] = [
            f"{width} {kernel}/1/{kernel // 2} bn relu{' max2/2/0' * pool}"
            for width, pool in zip(chosen, pools, strict=True)
        ] + ["gmp dense"]
    return found


def _print(table: "pd.DataFrame") -> None:
    import pandas as pd
    from rich import box
    from rich.table import Table

    headings = {"batch": "batch", "chunk": "at a\ntime", "p50_ms": "p50\nms", "p95_ms": "p95\nms"}
    headings |= {
        "images_per_second": "images\n/s",
        "gflops": "GFLOP\n/s",
        "peak_share": "% of\npeak",
    }
    output = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("network", "runtime", "precision"):
        output.add_column(column, overflow="fold")
    for column in ("params", "MACs", "threads", *headings.values(), "agree\n%"):
        output.add_column(column, justify="right")
    for row in table.to_dict("records"):
        output.add_row(
            *(row["network"], row["runtime"], row["precision"]),
            *(f"{row['params']:,}", f"{row['macs'] / 1e6:,.1f}M", str(row["threads"])),
            *(str(row["batch"]), str(row["chunk"])),
            *(f"{row['p50_ms']:.3g}", f"{row['p95_ms']:.3g}", f"{row['images_per_second']:,.0f}"),
            *(f"{row['gflops']:.1f}", f"{100 * row['peak_share']:.0f}"),
            "" if pd.isna(row["agreement"]) else f"{100 * row['agreement']:.1f}",
        )
    console = plain_console()
    # A file has no edge to fold lines at.
    console.width = console.width if console.is_terminal else 160
    console.print(output)


# -------------------------------------------------------------------------- the measuring process


def _answers(job: Mapping[str, Any], threads: int) -> Iterator[dict[str, Any]]:
    """The rows that a process with this many threads measures."""
    counted = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(counted, str(threads))
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as notes:
        module, text = "applications.comparison.benching", json.dumps(job)
        with children.start(module, text, errors=notes, environment=environment) as process:
            try:
                for answer in children.answers(process.stdout or ()):
                    if "error" in answer:
                        raise ValueError(answer["error"])
                    if "doing" in answer:
                        print(answer["doing"], file=sys.stderr, flush=True)
                    else:
                        yield answer
            except BaseException:
                process.kill()
                raise
            if process.wait():
                notes.seek(0)
                raise RuntimeError(f"measuring failed:\n{notes.read()[-4000:]}")


def main() -> None:
    answer = children.answering()
    job = json.loads(sys.argv[1])
    try:
        applications.training.training.set_threads(job["threads"])
        for network in job["networks"]:
            for row in measure(network, job, lambda text: answer(doing=text)):
                answer(**row)
    except (ValueError, TypeError, OSError) as error:
        answer(error=str(error))


def measure(
    network: Mapping[str, Any], job: Mapping[str, Any], tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """The rows of one network, with the peak in GFLOP/s for a share of it."""
    import numpy as np

    model, representative = _built(network, with_images="int8" in job["precision"])
    converted = fast.Converted(model, representative)
    profile = keras_archs.profile(model)
    plain, product = fast.compiled(model), matrix_product()
    for batch in job["batch"]:
        tell(f"{network['name']}, batch {batch}, threads {job['threads'] or processors()}")
        images = _random(model, batch)
        calls: dict[tuple[str, str], Callable] = {}
        predictors: dict[tuple[str, str], keras_archs.Predictor] = {}
        for name, precision in _wanted(job):
            if name in BASELINES:
                call = plain if name == "function" else _keras_predict(model)
            else:
                call = predictors[name, precision] = fast.runtime(
                    converted,
                    name,
                    precision=precision,
                    batch_size=batch,
                    threads=job["threads"],
                )
            calls[name, precision] = functools.partial(call, images)
        times = fast.interleaved({**calls, "peak": product}, seconds=job["seconds"])
        peak = PRODUCT_FLOPS / min(times.pop("peak")) / 1e9
        for (name, precision), found in times.items():
            predictor = predictors.get((name, precision))
            p50, p95 = np.percentile(found, (50, 95))
            yield {
                "network": network["name"],
                "params": profile.params,
                "macs": profile.macs,
                "runtime": name,
                "precision": precision,
                "batch": batch,
                "chunk": predictor.chunk if predictor else batch,
                "p50_ms": 1000 * float(p50),
                "p95_ms": 1000 * float(p95),
                "images_per_second": float(batch / p50),
                "gflops": float(batch * profile.flops / p50 / 1e9),
                "peak_gflops": peak,
                "agreement": predictor.agreement if predictor and "run" in network else None,
            }


def matrix_product() -> Callable[[], object]:
    """A function that multiplies two float32 matrices of 2048 x 2048: 17.2 GFLOP."""
    import numpy as np

    left, right = np.random.default_rng(0).random((2, _MATRIX, _MATRIX), np.float32)
    result = np.empty_like(left)
    return lambda: np.matmul(left, right, out=result)


def _wanted(job: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The runtimes with their precisions, those that are asked for or all that there are."""
    wanted = []
    for precision in job["precision"]:
        if job["runtimes"] is None:
            names = fast.available(precision, job["threads"])
            names = names if precision == "int8" else [*BASELINES, *names]
        else:
            names = [n for n in job["runtimes"] if precision == "fp32" or n in _INT8]
        for name in names:
            if name not in (*BASELINES, "auto"):
                fast.check_runtime(name, precision, job["threads"])
            wanted.append((name, precision))
    return wanted


def _built(
    network: Mapping[str, Any], with_images: bool
) -> "tuple[keras.Model, np.ndarray | None]":
    """The model, and the images that set its ranges of int8 if they are needed."""
    if "run" in network:
        run = load(network["run"])
        return run.model, representative_images(run) if with_images else None
    shape = keras_archs.info(network["arch"]).input_shape
    if network["size"] is not None:
        size = network["size"]
        shape = (*((size, size) if isinstance(size, int) else size), shape[-1])
    model = keras_archs.build(
        network["arch"], shape, alpha=network["alpha"], rho=network["rho"], **network["args"]
    )
    return model, _random(model, _REPRESENTATIVE) if with_images else None


def representative_images(run: "applications.Run") -> "np.ndarray":
    """Training images of all parts of the run's data, which set the ranges of int8.

    Returns:
        uint8 (N, H, W, C), as its network takes them, N <= 128.
    """
    import numpy as np

    source = open_source(run.config["data"], seed=run.config["seed"])
    *size, channels = run.model.input_shape[1:]
    train = source.at(tuple(size), channels, run.config["resize"], keep=()).train
    count = min(_REPRESENTATIVE, len(train))
    return train.batch(np.arange(count) * len(train) // count)


def _random(model, count: int) -> "np.ndarray":
    """Images of the dtype that the model takes: floats in [0, 1), else uint8."""
    import numpy as np

    random, shape = np.random.default_rng(0), (count, *model.input_shape[1:])
    if "float" in model.inputs[0].dtype:
        return random.random(shape, np.float32)
    return random.integers(0, 256, shape, np.uint8)


def _keras_predict(model) -> Callable:
    return lambda images: model.predict(images, batch_size=len(images), verbose=0)


if __name__ == "__main__":
    main()
