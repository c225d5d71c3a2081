"""Tells a model's chain of thought from its answer while the text streams."""

from dataclasses import dataclass

from orchestrator.events import TextDelta, ThinkingDelta

OPENING, CLOSING = "<think>", "</think>"


@dataclass
class ThinkingSplitter:
    """Cuts a stream at `<think>` and `</think>`; a marker may be split over pieces.

    `inside` begins true where the rendered prompt already ends with the opening marker.
    """

    inside: bool = False
    _held: str = ""
    _answered: bool = False

    def feed(self, text: str) -> list[TextDelta | ThinkingDelta]:
        """Return what can be told for sure after `text`."""
        self._held += text
        deltas: list[TextDelta | ThinkingDelta] = []
        while (cut := self._held.find(self._marker)) >= 0:
            self._emit(deltas, self._held[:cut])
            self._held = self._held[cut + len(self._marker) :]
            self.inside = not self.inside
        keep = _overlap(self._held, self._marker)
        self._emit(deltas, self._held[: len(self._held) - keep])
        self._held = self._held[len(self._held) - keep :]
        return deltas

    def finish(self) -> list[TextDelta | ThinkingDelta]:
        """Return what was held back: it was no marker after all."""
        deltas: list[TextDelta | ThinkingDelta] = []
        self._emit(deltas, self._held)
        self._held = ""
        return deltas

    @property
    def _marker(self) -> str:
        return CLOSING if self.inside else OPENING

    def _emit(self, deltas: list[TextDelta | ThinkingDelta], text: str) -> None:
        if self.inside:
            if text:
                deltas.append(ThinkingDelta(text))
            return
        # The blank lines between the thoughts and the answer belong to neither.
        text = text if self._answered else text.lstrip()
        if text:
            self._answered = True
            deltas.append(TextDelta(text))


def _overlap(text: str, marker: str) -> int:
    """Length of the longest end of `text` that begins `marker`."""
    return next((n for n in range(min(len(text), len(marker) - 1), 0, -1) if text.endswith(marker[:n])), 0)
