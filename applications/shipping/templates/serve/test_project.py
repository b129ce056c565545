"""`python -m pytest`: a network is served and the client asks it."""

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import client
import numpy as np
import pytest
import yaml
from PIL import Image

import applications

HERE = Path(__file__).parent


@pytest.fixture
def address(tmp_path):
    """Of a server with a network of two epochs."""
    applications.train("lenet5", data="digits", epochs=2, run_dir=tmp_path / "run", verbose=0)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"runs": {"model": "run"}, "max_batch": 16}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "server.py", "--config", str(config), "--port", str(port)]
    server = subprocess.Popen(command, cwd=HERE)
    try:
        yield ready(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        assert server.wait(60) == 0


def ready(address, server):
    """The address, when it answers."""
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/v2/health/ready", timeout=5)
            return address
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server ended")


def test_more_images_than_a_request_takes_are_answered_in_order(address, tmp_path):
    images = [tmp_path / f"{number}.png" for number in range(client.A_REQUEST + 3)]
    for number, image in enumerate(images):
        Image.fromarray(np.full((8, 8), 12 * number, np.uint8)).save(image)
    answers = client.main([*map(str, images), "--address", address])
    run = applications.load(tmp_path / "run")
    assert answers == [run.labels[best] for best in run.predict(images).argmax(axis=1)]


def test_an_error_is_one_line(address, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(SystemExit, match="answers 4"):
        client.main([str(tmp_path / "text.png"), "--address", address])
