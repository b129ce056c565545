"""Finds a network for the device of {{name}}, trains it and writes it as C."""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

import applications
import tuning

HERE = Path(__file__).parent
UNITS = {"k": 2**10, "M": 2**20}
STRUCTURES = 12 * 2**10  # bytes of SRAM that the interpreter takes beside the activations
OPERATORS = 16 * 2**10  # bytes of flash that names and operators take beside the weights


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """What is to be known of the firmware: bytes, accuracies, and whether it fits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml")
    parser.add_argument("--data", help="instead of the config's")
    parser.add_argument("--run-dir", type=Path, default=HERE / "runs")
    given = parser.parse_args(arguments)

    config, folder = yaml.safe_load(given.config.read_text()), given.run_dir
    options = config["search"] | ({"data": given.data} if given.data else {})
    sram, flash = bytes_of(config["sram"]), bytes_of(config["flash"])
    budget = tuning.Budget(
        peak_activation_bytes=sram - STRUCTURES,
        weight_bytes=flash - OPERATORS,
        dtype="int8",
    )
    found = tuning.search(budget=budget, run_dir=folder / "search", resume=True, **options)

    winner = yaml.safe_load((found.path / "best.yaml").read_text())
    winner["epochs"] = config["final_epochs"]
    run = applications.train(**winner, run_dir=folder / "network", resume=True)
    firmware = exported(run, folder / "firmware", config["tolerance"])
    update = applications.compress(
        run, epochs=max(4, config["final_epochs"] // 4), run_dir=folder / "update", resume=True
    )
    figures = {
        "flash": firmware["bytes"],
        "sram": firmware["arena_bytes"],
        "fits": firmware["arena_bytes"] <= sram and firmware["bytes"] <= flash,
        "accuracy": firmware["parity"]["accuracy"],
        "update": (update.path / "model.kac").stat().st_size,
        "update accuracy": update.metrics["test_accuracy"],
    }
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    return figures


def exported(run: applications.Run, folder: Path, tolerance: float) -> dict[str, Any]:
    """What the export reports; it is made once, and only if int8 changes few answers."""
    if not folder.exists():
        applications.export(run, format="c", out=folder, tolerance=tolerance)
    return json.loads((folder / "export.json").read_text())


def bytes_of(text: str | int) -> int:
    """Of a size such as 64k or 1M."""
    digits, unit = str(text)[:-1], str(text)[-1]
    return int(digits) * UNITS[unit] if unit in UNITS else int(text)


if __name__ == "__main__":
    main()
