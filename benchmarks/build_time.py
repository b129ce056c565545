"""How long building takes: our twins against keras.applications, and importing against Keras alone.

    python benchmarks/build_time.py [--rounds 7]

Each round builds both in turn, the order changing, and the ratio is taken within the round, so that
a machine that slows down slows both. Prints a Markdown table: the median ratio and the rounds'
spread; below 1 ours is the faster.

Recorded on two cores with little else running, 7 rounds, TensorFlow 2.21, Keras 3.15.1: median over
the networks 1.00, medians of the networks from 0.96 to 1.10 (MobileNet, whose rounds went from 0.90
to 1.26); `import keras_archs` 0.001 s.
"""

import argparse
import gc
import statistics
import subprocess
import sys
import time

import keras

import keras_archs

TWINS = [
    *("MobileNet", "MobileNetV2", "VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152"),
    *("ResNet50V2", "ResNet101V2", "ResNet152V2", "DenseNet121", "DenseNet169", "DenseNet201"),
    *("InceptionV3", "InceptionResNetV2"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--twins", default=",".join(TWINS), help="default: all")
    options = parser.parse_args()
    print("| network | ours / keras.applications, median (min to max) |\n|---|---|")
    medians = []
    for title in options.twins.split(","):
        ours, theirs = getattr(keras_archs, title), getattr(keras.applications, title)
        found = ratios(lambda ours=ours: seconds(ours), lambda t=theirs: seconds(t), options.rounds)
        medians.append(statistics.median(found))
        print(f"| {title} | {spread(found)} |", flush=True)
    print(f"\nmedian over the networks: {statistics.median(medians):.2f}")

    found = [import_seconds() for _ in range(options.rounds)]
    print(f"`import keras_archs` after `import keras`, in seconds: {spread(found, 4)}")


def seconds(build) -> float:
    """To build with random weights at the paper's size."""
    keras.backend.clear_session()
    gc.collect()
    start = time.perf_counter()
    build(weights=None)
    return time.perf_counter() - start


def ratios(ours, theirs, rounds: int) -> list[float]:
    """Of `ours()` to `theirs()`, one a round, after a round that warms up."""
    found = []
    for round_ in range(rounds + 1):
        if round_ % 2:
            mine, other = ours(), theirs()
        else:
            other, mine = theirs(), ours()
        found.append(mine / other)
    return found[1:]


def spread(values: list[float], digits: int = 2) -> str:
    middle, low, high = (
        f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({low} to {high})"


def import_seconds() -> float:
    """In a process of its own that has imported Keras."""
    program = """
import time, keras
start = time.perf_counter()
import keras_archs
print(time.perf_counter() - start)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
