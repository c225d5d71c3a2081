"""Corrected and liked answers, read from the conversations that the settings lead to.

The database is the chat's; here it is only read, and only its table of feedback with the turns that it is about.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from core.config import Settings
from core.database import open_database
from core.errors import TrainingError
from core.language import Bilingual
from training.labels import Feedback

_QUERY = """
    SELECT feedback.message, feedback.kind, feedback.text, question.text, answer.text
    FROM feedback JOIN messages answer ON answer.id = feedback.message
    JOIN messages question ON question.id = answer.parent ORDER BY feedback.rowid
"""


def read_feedback(settings: Settings) -> list[Feedback]:
    """The answers that people corrected, or liked and did not dislike later, in the order of the first verdict.

    Raises TrainingError where there are no conversations, DatabaseError where their server does not answer.
    """
    return list(_last_verdicts(_on_the_server(settings) if settings.database_url else _in_the_file(settings)))


def _on_the_server(settings: Settings) -> list[Any]:
    tables = open_database(settings.paths.conversations_file, settings.database_url, settings.owner, {})
    with tables.transaction() as db:
        return db.execute(_QUERY).fetchall()


def _in_the_file(settings: Settings) -> list[Any]:
    database = settings.paths.conversations_file
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(_QUERY).fetchall()
    except sqlite3.Error as error:
        raise TrainingError(
            Bilingual(
                en=f"The conversations in {database} cannot be read ({error}). Chat first; mark or correct answers.",
                zh=f"无法读取 {database} 中的对话（{error}）。请先对话，并标记或更正回答。",
            )
        ) from error


def _last_verdicts(rows: Iterable[tuple[str, str, str, str, str]]) -> Iterator[Feedback]:
    verdicts: dict[str, str] = {}
    known: dict[str, Feedback] = {}
    for message, kind, text, question, answer in rows:
        before = known.get(message, Feedback(question, answer))
        known[message] = replace(before, correction=text) if kind == "correction" else before
        verdicts[message] = verdicts.get(message, "") if kind == "correction" else kind
    return (one for message, one in known.items() if one.correction or verdicts[message] == "good")
