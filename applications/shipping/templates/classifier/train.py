"""Trains {{name}}, and says how far its answers can be trusted."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

import applications

HERE = Path(__file__).parent
RIGHT = 0.99  # of the answers that are given


def main(arguments: list[str] | None = None) -> Path:
    """The folder of the trained network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml")
    parser.add_argument("--data", help="instead of the config's")
    parser.add_argument("--run-dir", type=Path, default=HERE / "runs" / "model")
    given = parser.parse_args(arguments)

    options = yaml.safe_load(given.config.read_text())
    if given.data:
        options["data"] = given.data
    run = applications.train(**options, run_dir=given.run_dir, resume=True)

    threshold = confidence_for(run, RIGHT)
    (run.path / "threshold.json").write_text(json.dumps({"threshold": threshold}))
    table = mistakes(run)
    table.to_csv(run.path / "mistakes.csv", index=False)
    print(f"{len(table)} mistakes on test images, in {run.path / 'mistakes.csv'}; the worst:")
    print(table.head(5).to_string(index=False))
    print(f"below a confidence of {threshold:.2f}, classify.py says that it is not sure")
    return run.path


def confidence_for(run: applications.Run, right: float) -> float:
    """The lowest confidence from which on this share of answers on validation images is right."""
    source = applications.data.open_source(run.config["data"], seed=run.config["seed"])
    *size, channels = run.model.input_shape[1:]
    images = source.split_at("validation", tuple(size), channels, run.config["resize"])
    parts = np.array_split(np.arange(len(images)), 1 + len(images) // 256)
    probabilities = np.concatenate([run.predict(images.batch(rows)) for rows in parts])
    confidence, answers = probabilities.max(axis=1), probabilities.argmax(axis=1)
    order = np.argsort(-confidence)
    share = np.cumsum((answers == images.labels)[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share >= right)
    return float(confidence[order][good[-1]]) if len(good) else 1.0


def mistakes(run: applications.Run) -> pd.DataFrame:
    """The test images with a wrong answer, the surest first."""
    found = run.predictions
    answers = found["probabilities"].argmax(axis=1)
    wrong = np.flatnonzero(answers != found["labels"])
    table = pd.DataFrame(
        {
            "image": found["ids"][wrong],
            "is": [run.labels[label] for label in found["labels"][wrong]],
            "was taken for": [run.labels[label] for label in answers[wrong]],
            "confidence": found["probabilities"][wrong].max(axis=1).round(3),
        }
    )
    return table.sort_values("confidence", ascending=False)


if __name__ == "__main__":
    main()
