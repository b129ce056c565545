"""How much faster `keras_archs.runtime` predicts than Keras, and how near to the machine's peak.

    python benchmarks/inference.py [--rounds 9] [--short] [--output benchmarks/results/inference.md]

All that is compared takes turns in every round, the order changing, and the ratios are taken within
the round, so that a machine that slows down slows both sides. Prints, and writes as Markdown, each
goal with the median of its ratio and the rounds' spread. Ends with 1 if a ratio is below half of
its goal. `--short` takes three rounds and leaves out ResNet50.

The networks have random weights; int8 takes random images to set its ranges by: its speed does not
depend on either.
"""

import argparse
import datetime
import functools
import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import keras
import numpy as np

import keras_archs
from applications.comparison.benching import PRODUCT_FLOPS, matrix_product
from keras_archs.runtimes import (
    Converted,
    available,
    compiled,
    interleaved,
    processors,
    runtime,
)

Rounds = list[dict[str, float]]  # for each round the median seconds of an image
PEAK_GOAL = 0.6
BUSY = (
    "**The machine was busy**: other processes wanted more processors than there are. Most of a "
    "measured time is then waiting, which differs from call to call; these figures show that "
    "everything runs, and nothing else. They are to be measured again on a quiet machine."
)
LIMITS = {
    "predict": "The best single runtime bounds it: its row below says how far that is from the "
    "peak, and the row of `predict` how much of its time is the network's own.",
    "function": "TensorFlow's full convolutions are as near to the peak as any: what is to be "
    "gained is depthwise convolutions, normalisations and the dispatch of operations.",
    "best": "Where the rows of two runtimes below overlap, a second of measuring cannot tell them "
    "apart.",
    "int8": "Depthwise convolutions read each number once or twice: the memory and the conversions "
    "around them bound them, not the multiplications, which is what int8 makes cheap.",
    "peak": "Early layers have few channels: their products are too thin to fill the vector units, "
    "and first and last layers, poolings and additions are bound by the memory. The peak itself is "
    "that of one large product whose operands stay in the caches.",
}


class Table(NamedTuple):
    """What was measured of one network at one batch size."""

    title: str
    measured: Rounds
    flops: int  # of an image

    def text(self, peak: float) -> str:
        """Milliseconds and GFLOP/s of each call, beside the peak in FLOP/s."""
        lines = ["| | ms an image | GFLOP/s | share of the peak |", "|---|---|---|---|"]
        for name in (name for name in self.measured[0] if name != "peak"):
            seconds = [found[name] for found in self.measured]
            rate = self.flops / statistics.median(seconds)
            lines.append(
                f"| {name} | {spread([1000 * s for s in seconds], 3)} | {rate / 1e9:.1f} | "
                f"{100 * rate / peak:.0f} % |"
            )
        return "\n".join([f"### {self.title}", "", *lines])


class Goal(NamedTuple):
    """A ratio that is aimed at, higher is better, and what it came to in each round."""

    what: str
    goal: float
    ratios: list[float]
    limit: str  # key of LIMITS

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--short", action="store_true", help="three rounds, without ResNet50")
    parser.add_argument("--output", type=Path, help="the Markdown file to write")
    options = parser.parse_args()
    rounds = 3 if options.short else options.rounds
    tables: list[Table] = []
    goals = []

    mobilenet = keras_archs.MobileNet(alpha=0.5)
    converted = Converted(mobilenet, images_for(mobilenet, 32))
    for batch in (1, 32):
        measured, choices = mobilenet_rounds(mobilenet, converted, batch, rounds)
        goals += mobilenet_goals(measured, batch)
        title = f"MobileNet(alpha=0.5) at 224, batch {batch}; auto took {choices}"
        tables.append(Table(title, measured, keras_archs.profile(mobilenet).flops))
    measured = applications_rounds(rounds)
    title = "keras.applications.MobileNet(alpha=0.5), batch 1"
    tables.append(Table(title, measured, keras_archs.profile(mobilenet).flops))

    networks: list[tuple[str, Callable, Sequence[int]]] = [
        ("SimpNet at 32", keras_archs.SimpNet, (1, 8, 32))
    ]
    if not options.short:
        networks.append(("ResNet50 at 224", keras_archs.ResNet50, (1, 4, 16)))
    for title, build, batches in networks:
        model = build()
        flops = keras_archs.profile(model).flops
        converted = Converted(model)
        for batch in batches:
            measured = peak_rounds(model, converted, batch, rounds)
            tables.append(Table(f"{title}, batch {batch}", measured, flops))
    peak = PRODUCT_FLOPS / min(seconds["peak"] for table in tables for seconds in table.measured)
    for title, _, _ in networks:
        shares = {
            table.title: [table.flops / seconds["auto"] / peak for seconds in table.measured]
            for table in tables
            if table.title.startswith(title)
        }
        best = max(shares, key=lambda name: statistics.median(shares[name]))
        goals.append(Goal(f"{best}: share of the peak", PEAK_GOAL, shares[best], "peak"))

    text = report(goals, tables, peak, rounds)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    failed = [goal.what for goal in goals if goal.median < goal.goal / 2]
    if failed:
        sys.exit(f"below half of the goal: {'; '.join(failed)}")


def images_for(model: keras.Model, count: int) -> np.ndarray:
    """Random float32 images in [0, 1)."""
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(0).random(shape, np.float32)


def measure(calls: Mapping[str, Callable], images: np.ndarray, rounds: int) -> Rounds:
    """Median seconds an image of each call, and under `"peak"` of a matrix product, a round."""
    bound: dict[str, Callable] = {
        name: functools.partial(call, images) for name, call in calls.items()
    }
    bound["peak"] = matrix_product()
    found = []
    for number in range(rounds):
        order = list(bound)[:: -1 if number % 2 else 1]
        times = interleaved({name: bound[name] for name in order}, seconds=0, rounds=1)
        medians = {name: statistics.median(times[name]) for name in bound}
        found.append({n: s if n == "peak" else s / len(images) for n, s in medians.items()})
    return found


def keras_predict(model: keras.Model) -> Callable:
    return lambda images: model.predict(images, batch_size=len(images), verbose=0)


def mobilenet_rounds(model, converted: Converted, batch: int, rounds: int) -> tuple[Rounds, str]:
    """Both baselines, every runtime in both precisions, and what `auto` chose; the choices, too."""
    calls = {"predict": keras_predict(model), "function": compiled(model)}
    for name in available():
        calls[name] = runtime(converted, name, batch_size=batch)
    for name in available("int8"):
        calls[f"{name} int8"] = runtime(converted, name, precision="int8", batch_size=batch)
    chosen = {
        "auto": runtime(converted, batch_size=batch),
        "auto int8": runtime(converted, precision="int8", batch_size=batch),
    }
    choices = " and ".join(
        f"{c.runtime} {c.precision}, {c.chunk} at a time" for c in chosen.values()
    )
    return measure({**calls, **chosen}, images_for(model, batch), rounds), choices


def mobilenet_goals(measured: Rounds, batch: int) -> list[Goal]:
    def ratios(slow: str, fast: str) -> list[float]:
        return [seconds[slow] / seconds[fast] for seconds in measured]

    singles = available()
    best = min(singles, key=lambda name: statistics.median(r[name] for r in measured))
    over_predict, over_function = (30, 3) if batch == 1 else (6, 2)
    at = f"at batch {batch}"
    return [
        Goal(
            f"auto over `Model.predict`, {at}", over_predict, ratios("predict", "auto"), "predict"
        ),
        Goal(
            f"auto over a tf.function, {at}", over_function, ratios("function", "auto"), "function"
        ),
        Goal(
            f"auto over the best single runtime, {best}, {at}", 0.95, ratios(best, "auto"), "best"
        ),
        Goal(f"int8 over fp32, {at}", 1.6, ratios("auto", "auto int8"), "int8"),
    ]


def applications_rounds(rounds: int) -> Rounds:
    """keras.applications with `Model.predict` and exported by Keras itself, beside ours."""
    theirs = keras.applications.MobileNet(alpha=0.5, weights=None)
    ours = keras_archs.MobileNet(alpha=0.5)
    theirs.predict(images_for(theirs, 1), verbose=0)  # Keras exports what has been called
    calls = {
        "keras.applications, predict": keras_predict(theirs),
        "keras.applications, exported to ONNX": exported_onnx(theirs),
        "keras.applications, exported to LiteRT": exported_litert(theirs),
        "ours, auto": runtime(ours),
        "keras.applications, auto": runtime(theirs),
    }
    return measure(calls, images_for(ours, 1), rounds)


def exported_onnx(model: keras.Model) -> Callable:
    """`model.export(format="onnx")` in ONNX Runtime with its defaults."""
    import onnxruntime

    with TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        model.export(file, format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(file.read_bytes())
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def exported_litert(model: keras.Model) -> Callable:
    """`model.export(format="litert")` in LiteRT with all processors."""
    from ai_edge_litert.interpreter import Interpreter

    with TemporaryDirectory() as folder:
        file = Path(folder, "model.tflite")
        model.export(file, format="litert", verbose=False)
        interpreter = Interpreter(model_content=file.read_bytes(), num_threads=processors())
    place, result = (
        details[0]["index"]
        for details in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    interpreter.allocate_tensors()

    def predict(images):
        interpreter.set_tensor(place, images)
        interpreter.invoke()
        return interpreter.get_tensor(result)

    return predict


def peak_rounds(model, converted: Converted, batch: int, rounds: int) -> Rounds:
    calls = {"function": compiled(model), "auto": runtime(converted, batch_size=batch)}
    return measure(calls, images_for(model, batch), rounds)


# --------------------------------------------------------------------------------------- the report


def spread(values: Sequence[float], digits: int = 2) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def report(goals: Sequence[Goal], tables: Sequence[Table], peak: float, rounds: int) -> str:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("keras", "tensorflow", "onnxruntime", "openvino", "ai-edge-litert", "numpy")
    )
    load = os.getloadavg()
    lines = [
        "# Predicting: `python benchmarks/inference.py`",
        "",
        f"{datetime.date.today()}. {processor()}, {processors()} processors, load averages at the "
        f"end {', '.join(f'{average:.1f}' for average in load)}. Python "
        f"{platform.python_version()}, {versions}. {rounds} rounds; median (lowest to highest). "
        f"The peak, the best of all matrix products in between, is {peak / 1e9:.1f} GFLOP/s.",
        "",
        *([BUSY, ""] if load[-1] > 1.5 * processors() else []),
        "| ratio | goal | measured | |",
        "|---|---|---|---|",
    ]
    for goal in goals:
        met = "met" if goal.median >= goal.goal else "missed"
        lines.append(f"| {goal.what} | {goal.goal:g} | {spread(goal.ratios)} | {met} |")
    if missed := [goal for goal in goals if goal.median < goal.goal]:
        lines += ["", "What limits those that were missed:", ""]
        for limit in dict.fromkeys(goal.limit for goal in missed):
            names = "; ".join(goal.what for goal in missed if goal.limit == limit)
            lines.append(f"- {names}. {LIMITS[limit]}")
    return "\n".join([*lines, "", "\n\n".join(table.text(peak) for table in tables), ""])


def processor() -> str:
    """Its name, as Linux has it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
