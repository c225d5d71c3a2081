"""Filters one by one: alternatives within one, all of several, a folder and what lies under it, dates half-open."""

from dataclasses import replace

import pytest

from core.types import Scope
from retrieval.records import DocumentRecord
from retrieval.scope import lets_through

RECORD = DocumentRecord(
    "id1", "/work/reports/2024/q1.pdf", "Q1", "h", "application/pdf", "zh", ("finance", "2024"), "ready", 0.0, 500.0, 3
)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(), True),
        (Scope(document_ids=("id0", "id1")), True),
        (Scope(document_ids=("id0",)), False),
        (Scope(folders=("/work/reports",)), True),
        (Scope(folders=("/work/report",)), False),
        (Scope(folders=("/work/reports/2024/q1.pdf",)), False),
        (Scope(folders=("/elsewhere", "/work")), True),
        (Scope(tags=("finance",)), True),
        (Scope(tags=("Finance",)), False),
        (Scope(tags=("legal", "2024")), True),
        (Scope(media_types=("application/pdf",)), True),
        (Scope(media_types=("text/plain",)), False),
        (Scope(languages=("en", "zh")), True),
        (Scope(languages=("en",)), False),
        (Scope(modified_after=500.0), True),
        (Scope(modified_after=500.1), False),
        (Scope(modified_before=500.0), False),
        (Scope(modified_after=400.0, modified_before=600.0), True),
        (Scope(tags=("finance",), languages=("en",)), False),
        (Scope(tags=("finance",), languages=("zh",), folders=("/work",)), True),
    ],
)
def test_each_filter(scope: Scope, expected: bool):
    assert lets_through(scope, RECORD) is expected


def test_a_document_without_a_date_is_older_than_any():
    undated = replace(RECORD, modified_at=None)
    assert not lets_through(Scope(modified_after=1.0), undated)
    assert lets_through(Scope(modified_before=1.0), undated)


def test_only_what_narrows_is_a_filter():
    assert not Scope("any collection").is_filtered
    assert Scope("any", modified_before=0.0).is_filtered
    assert Scope("any", languages=("zh",)).is_filtered
