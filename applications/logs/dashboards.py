"""TensorBoard, to look at what trainings wrote. Imports neither Keras nor TensorFlow."""

import logging
import os
import sys
import time
import types
import webbrowser
from pathlib import Path

HOST = "127.0.0.1"


def dashboard(
    runs: str | os.PathLike[str] = "runs", port: int | None = None, open_browser: bool = False
) -> None:
    """Serves TensorBoard on this machine alone, prints its address and waits for Ctrl-C.

    Args:
        runs: a run folder or a folder of run folders.
        port: 1..65535, or 0 for any free one. None takes 6006 or the next free one.
        open_browser: whether to open the address in the browser.

    Raises:
        FileNotFoundError: `runs` does not exist or holds no event file.
        ValueError: the port is out of range or taken.
    """
    folder = Path(runs)
    if not folder.is_dir():
        raise FileNotFoundError(f"`runs` must be an existing folder. Received: runs={str(folder)}")
    if next(folder.rglob("events.out.tfevents.*"), None) is None:
        raise FileNotFoundError(
            "`runs` must hold event files, which `keras-archs train` writes. "
            f"Received: runs={str(folder)}"
        )
    if port is not None and not 0 <= port <= 65535:
        raise ValueError(f"`port` must be in 0..65535. Received: port={port}")
    address = _start(folder, port)
    try:
        print(f"TensorBoard on {folder} at {address} (Ctrl-C ends it)", flush=True)
        if open_browser:
            webbrowser.open(address)
        while True:  # a wait without end sleeps through a Ctrl-C that comes as it begins
            time.sleep(1)
    except KeyboardInterrupt:
        print()


def _start(folder: Path, port: int | None) -> str:
    """Starts TensorBoard in a thread that ends with the process; returns its address."""
    # TensorBoard imports TensorFlow where it is installed (10 s) unless this module exists.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    from tensorboard import program

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    # The fast loader is a process of its own, and an end right after the start was seen to hang.
    arguments = ["--logdir", str(folder), "--host", HOST, "--load_fast", "false"]
    if port is not None:
        arguments += ["--port", str(port)]
    board = program.TensorBoard()
    board.configure(argv=["tensorboard", *arguments])
    try:
        return board.launch()
    except program.TensorBoardServerException as error:
        raise ValueError(f"`port` must be free. Received: port={port} ({error.msg})") from None
