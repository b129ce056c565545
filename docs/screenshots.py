"""The screenshots of README.md: `python docs/screenshots.py runs/demo`, after `make demo`.

Needs Chromium (Debian: apt install chromium). Writes docs/report.png and docs/tensorboard.png.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).resolve().parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
WIDTH = 1000  # of a picture in pixels
COLOURS = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="?", default="runs/demo", type=Path)
    runs = parser.parse_args().runs
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto((runs / "report.html").resolve().as_uri())
        page.wait_for_timeout(4000)  # the charts are drawn
        save(page, "report.png")
        board = subprocess.Popen(
            ["keras-archs", "dashboard", str(runs), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            executable=str(Path(sys.executable).with_name("keras-archs")),
        )
        try:
            line = board.stdout.readline() if board.stdout else ""
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            if not found:
                sys.exit(f"error: TensorBoard did not start: {line}")
            page.set_viewport_size({"width": 1600, "height": 900})
            page.goto(f"{found[0]}#custom_scalars")
            page.wait_for_timeout(20_000)  # TensorBoard reads the runs
            save(page, "tensorboard.png")
        finally:
            board.send_signal(signal.SIGINT)
            board.wait()
        browser.close()


def save(page: Page, name: str) -> None:
    """A picture of what is seen, small enough for a repository."""
    path = DOCS / name
    page.screenshot(path=path)
    with Image.open(path) as picture:
        size = WIDTH, round(picture.height * WIDTH / picture.width)
        small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        small.quantize(COLOURS).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
