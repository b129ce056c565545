"""A PostgreSQL of its own for tests, on a loopback port, with a password."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "searcher"


def _programs() -> Path:
    """The folder of the newest version's programs: Debian's are not on the path."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    found = shutil.which("pg_ctl")
    folder = max(folders, key=lambda folder: float(folder.parent.name), default=None)
    if folder is None and found is None:
        pytest.skip("needs PostgreSQL (Debian's package postgresql)")
    return folder or Path(str(found)).resolve().parent


class Postgres:
    """A server that runs until `stop`.

    Attributes:
        url: of its database, without the password.
        password: what must not be seen anywhere.
        environment: what clients need in theirs, besides the url.
    """

    def __init__(self, folder: Path):
        self._programs = _programs()
        self._folder = folder
        # The server refuses to run as root.
        self._owner = {}
        if os.geteuid() == 0:
            users = {entry.pw_name: entry for entry in pwd.getpwall()}
            entry = users.get("postgres") or users["nobody"]
            self._owner = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.password = secrets.token_hex(8)
        self.url = f"postgresql://{USER}@127.0.0.1:{self._port}/postgres"
        passwords = folder / "passwords"
        passwords.write_text(f"127.0.0.1:{self._port}:*:{USER}:{self.password}\n")
        passwords.chmod(0o600)
        self.environment = {"PGPASSFILE": str(passwords)}
        word = folder / "word"
        word.write_text(self.password)
        authentication = ["-A", "scram-sha-256", "-U", USER, f"--pwfile={word}"]
        self._run("initdb", *authentication, "-E", "UTF8", "--locale=C", "--no-sync")
        word.unlink()
        self._control("start")

    def restart(self) -> None:
        """End the server as a crash would, and start it again."""
        self._control("restart", "-m", "immediate")

    def stop(self) -> None:
        """End the server, as a crash would."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate")

    def start(self) -> None:
        """Start the server after `stop`."""
        self._control("start")

    def _control(self, *action: str) -> None:
        settings = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -F"
        self._run("pg_ctl", *action, "-w", "-l", str(self._folder / "log"), "-o", settings)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        output = self._folder / "output"
        # Not a pipe: the server would keep it open.
        with output.open("w") as file:
            result = subprocess.run(
                command, stdout=file, stderr=file, cwd=self._folder, **self._owner
            )
        if result.returncode:
            log = self._folder / "log"
            raise RuntimeError(output.read_text() + (log.read_text() if log.exists() else ""))


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server for the time of the block; skips the test where PostgreSQL is not installed."""
    # Not below pytest's folder, which the server's user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
