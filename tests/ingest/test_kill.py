"""`kill -9` at random moments, a few here; `python -m evaluation kills --count 200` does it at length."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.config import Settings
from core.types import DEFAULT_COLLECTION
from evaluation.kills import Tally, Trial, ingest
from ingest.samples import sample_folder

KILLS = 5


@pytest.mark.slow
def test_kills_never_leave_half_a_file(tmp_path: Path):
    trial, tally = Trial(tmp_path, sample_folder(), 3, Settings()), Tally()
    for _ in range(KILLS):
        trial.kill_once(tally)
    assert (tally.broken, tally.duplicates, tally.halves) == ([], [], [])
    assert tally.kills == len(tally.files) == KILLS
    assert trial.finish()


def test_a_half_file_and_a_broken_collection_would_be_noticed(tmp_path: Path):
    trial, tally = Trial(tmp_path, sample_folder(), 3, Settings()), Tally()
    ingest(trial.killed.settings.home, tmp_path / "files")
    trial.inspect(tally)
    assert tally.is_clean
    assert tally.files == [36]
    with closing(trial.killed.reader(DEFAULT_COLLECTION)) as store:
        path = store.folder / "collection.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM chunks WHERE number = (SELECT min(number) FROM chunks)")
        connection.commit()
    trial.inspect(tally)
    assert len(tally.halves) == 1
    assert tally.duplicates == tally.broken == []
