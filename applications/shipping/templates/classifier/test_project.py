"""`python -m pytest`: a short training from start to end."""

import classify
import numpy as np
import pandas as pd
import train
import yaml
from PIL import Image

import applications


def test_a_training_is_reported_and_its_network_answers(tmp_path):
    config, folder = tmp_path / "config.yaml", tmp_path / "model"
    config.write_text(yaml.safe_dump({"data": "digits", "arch": "lenet5", "epochs": 2}))
    train.main(["--config", str(config), "--run-dir", str(folder)])

    run = applications.load(folder)
    table = pd.read_csv(folder / "mistakes.csv")
    right = run.metrics["test_accuracy"]
    assert len(table) == round((1 - right) * len(run.predictions["labels"]))
    assert table.confidence.is_monotonic_decreasing
    assert train.confidence_for(run, 0.0) <= train.confidence_for(run, 0.9) <= 1

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "black.png")
    (answer,) = classify.main([str(tmp_path / "black.png"), "--run-dir", str(folder)])
    assert answer in (*run.labels, "unsure")
