"""Asks the server of {{name}} what images show: `python client.py IMAGE...`."""

import argparse
import base64
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

A_REQUEST = 16  # images
ATTEMPTS = 5


def main(arguments: list[str] | None = None) -> list[str]:
    """The most probable class of each image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--address", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="model", help="by its name in config.yaml")
    given = parser.parse_args(arguments)

    named = []
    for image, answer in classified(given.address, given.model, given.images):
        named.append(answer["class"])
        print(f"{image}: {answer['class']} ({100 * answer['probability']:.1f} %)")
    return named


def classified(address: str, model: str, images: Sequence[Path]) -> Iterator[tuple[Path, Any]]:
    """Each image with the server's answer, in requests of a few."""
    for start in range(0, len(images), A_REQUEST):
        some = images[start : start + A_REQUEST]
        encoded = [base64.b64encode(image.read_bytes()).decode() for image in some]
        found = asked(f"{address}/predict/{model}", {"images": encoded, "top": 1})
        yield from zip(some, found["predictions"], strict=True)


def asked(url: str, question: Any) -> Any:
    """The server's answer; asks again after the time that a full server names."""
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("KERAS_ARCHS_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(question).encode(), headers)
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code != 429 or attempt == ATTEMPTS - 1:
                said = error.read().decode()
                raise SystemExit(f"error: {url} answers {error.code}: {said}") from None
            time.sleep(float(error.headers.get("Retry-After", 1)))


if __name__ == "__main__":
    main()
