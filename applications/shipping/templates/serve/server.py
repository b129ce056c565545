"""Serves the networks of {{name}} that config.yaml names."""

import argparse
from pathlib import Path

import yaml

import applications

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> None:
    """Answers until the process is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml")
    parser.add_argument("--host", default="127.0.0.1", help="any other wants KERAS_ARCHS_TOKEN")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args(arguments)

    options = yaml.safe_load(given.config.read_text())
    runs = {name: given.config.parent / path for name, path in options.pop("runs").items()}
    applications.serve(runs, host=given.host, port=given.port, **options)


if __name__ == "__main__":
    main()
