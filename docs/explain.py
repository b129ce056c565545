"""The picture of README.md that shows where trained networks look: docs/explain.png.

    python docs/explain.py                          # trains what is missing, 20 to 30 minutes
    python docs/explain.py --runs RUN... --images IMAGE...   # explains these runs instead

ResNet20, by its class activation maps, and SimpNet_300K, by Grad-CAM, are trained on four classes
of CIFAR-10, 2,500 images each. Shown are the first test images of each class that both give at
least 90 %: none was chosen by its picture. The images are JPEGs of quality 75.
"""

import argparse
from pathlib import Path

import numpy as np

import applications
from applications.evaluation.explaining import explain, save_explanations

ROOT = Path(__file__).resolve().parent.parent
CLASSES = ("automobile", "dog", "frog", "horse")
TRAINING = 2500  # images of a class
TESTING = 250
SHOWN = 2
SURE = 0.9  # least probability of the class
NETWORKS = ("resnet20", "simpnet_300k")


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--runs", type=Path, nargs="+", default=[], metavar="RUN")
    parser.add_argument("--images", type=Path, nargs="+", default=[], metavar="IMAGE")
    parser.add_argument("--epochs", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "explain.png")
    parser.add_argument(
        "--work", type=Path, default=Path("runs", "explain"), help="default: %(default)s"
    )
    parser.add_argument(
        "--shared",
        type=Path,
        default=ROOT.parent / "shared",
        help="holds data/cifar10_*.npz (default: %(default)s)",
    )
    options = parser.parse_args()
    if bool(options.runs) != bool(options.images):
        parser.error("`runs` and `images` must be given together")
    runs = [applications.load(run) for run in options.runs] or trained(options)
    images = options.images or recognised(runs, options.work / "data")
    explanations = [explain(run, image) for run in runs for image in images]
    save_explanations(explanations, options.out)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


def trained(options: argparse.Namespace) -> list[applications.Run]:
    """The runs of `NETWORKS`, trained or resumed where they are missing."""
    data = options.work / "data"
    if not data.exists():
        write_images(options.shared / "data", data)
    return [
        applications.train(
            name,
            data=str(data),
            epochs=options.epochs,
            run_dir=options.work / name,
            resume=True,
        )
        for name in NETWORKS
    ]


def write_images(source: Path, target: Path):
    """CIFAR-10's first images of each of `CLASSES` as files: `SPLIT/CLASS/NUMBER.jpg`."""
    for split, count in (("train", TRAINING), ("test", TESTING)):
        with np.load(source / f"cifar10_{split}.npz") as file:
            header, scans, labels = file["header"].tobytes(), file["scans"], file["labels"]
            ends = np.cumsum(file["lengths"], dtype=np.int64)
            names = file["class_names"].tolist()
        for name in CLASSES:
            folder = target / split / name
            folder.mkdir(parents=True)
            for number in np.flatnonzero(labels == names.index(name))[:count]:
                scan = scans[ends[number - 1] if number else 0 : ends[number]]
                (folder / f"{number:05}.jpg").write_bytes(header + scan.tobytes() + b"\xff\xd9")


def recognised(runs: list[applications.Run], data: Path) -> list[Path]:
    """The first `SHOWN` test images of each class whose class all runs are sure of."""
    chosen = []
    for index, name in enumerate(runs[0].labels):
        files = np.array(sorted((data / "test" / name).iterdir()))
        sure = np.all([run.predict(files.tolist())[:, index] >= SURE for run in runs], axis=0)
        chosen += files[sure][:SHOWN].tolist()
    return chosen


if __name__ == "__main__":
    main()
