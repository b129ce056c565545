"""Names the class of images, or says that {{name}} is not sure: `python classify.py IMAGE...`."""

import argparse
import json
from pathlib import Path

import applications

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> list[str]:
    """One answer for each image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--run-dir", type=Path, default=HERE / "runs" / "model")
    given = parser.parse_args(arguments)

    run = applications.load(given.run_dir)
    threshold = json.loads((run.path / "threshold.json").read_text())["threshold"]
    answers = []
    for image, probabilities in zip(given.images, run.predict(given.images), strict=True):
        best = int(probabilities.argmax())
        sure = probabilities[best] >= threshold
        answers.append(run.labels[best] if sure else "unsure")
        print(f"{image}: {answers[-1]} ({run.labels[best]} {100 * probabilities[best]:.1f} %)")
    return answers


if __name__ == "__main__":
    main()
