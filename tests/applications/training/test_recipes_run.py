"""Every recipe trains its own architecture."""

import numpy as np
import pytest

from applications import list_recipes, train

ARCHS = {"default": "mobilenet"}
OTHERS = {"vgg16": {"weights": "vgg11/model.keras"}, "fitnet19": {"teacher": "simpnet"}}


@pytest.mark.slow
def test_every_recipe_trains_its_own_architecture_for_two_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random, labels = np.random.default_rng(0), np.arange(24) % 3
    images = {
        f"x_{s}": random.integers(0, 256, (24, 32, 32, 3), np.uint8) for s in ("train", "val")
    }
    arrays = {**images, "y_train": labels, "y_val": labels}
    np.savez("few.npz", **arrays, x_test=images["x_val"], y_test=labels)
    names = sorted(list_recipes(), key=list(OTHERS).__contains__)  # these start from another's run
    for name in names:
        options = {"recipe": name, "data": "few.npz", "epochs": 2, "batch_size": 24, "verbose": 0}
        if name != "lenet5":  # which has one width
            options["alpha"] = 0.25
        run = train(ARCHS.get(name, name), **options, **OTHERS.get(name, {}), run_dir=name)
        assert run.metrics["steps"] == 2
        losses = run.history[["loss", "val_loss"]].to_numpy()
        assert np.isfinite(losses).all(), name
