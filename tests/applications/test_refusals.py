"""Bad input is refused as the table says: by the exception, the value and what was wanted."""

from pathlib import Path

import pytest
from refusal_table import refusals
from refusals import answer, is_answer, prepare

ROWS = refusals()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.room}: {row.given}" for row in ROWS])
def test_refuses(row):
    if row.given.startswith("$ "):
        prepare()
        before = sorted(Path().rglob("*"))
    found = answer(row.given)
    assert is_answer(row.answer, found), found
    assert "\n" not in found
    if row.given.startswith("$ "):
        assert sorted(Path().rglob("*")) == before


def test_each_row_is_there_once():
    given = [row.given for row in ROWS]
    assert len(set(given)) == len(given) >= 300
