"""Requests, events and errors as JSON, for the way between the application and the worker process."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from core import errors
from core.language import Bilingual
from inference.protocol import GeneratedText, GenerationEvent, GenerationFinished, GenerationRequest, WaitingInQueue

_REQUEST = TypeAdapter(GenerationRequest)
_FINISHED = TypeAdapter(GenerationFinished)


def request_to_json(request: GenerationRequest) -> dict[str, Any]:
    """The request as plain values."""
    return asdict(request)


def request_from_json(plain: Mapping[str, Any]) -> GenerationRequest:
    """The inverse of `request_to_json`. Raises pydantic's ValidationError."""
    return _REQUEST.validate_python(dict(plain))


def event_to_json(event: GenerationEvent) -> dict[str, Any]:
    """The event as plain values, its kind under `kind`."""
    if isinstance(event, GeneratedText):
        # The one that comes again and again: `asdict` copies every value on its way.
        values = vars(event)
        return {"kind": "GeneratedText", **values}
    return {"kind": type(event).__name__, **asdict(event)}


def event_from_json(plain: Mapping[str, Any]) -> GenerationEvent:
    """The inverse of `event_to_json`."""
    values = {name: value for name, value in plain.items() if name != "kind"}
    if plain["kind"] == "GeneratedText":
        top = tuple((str(text), float(logprob)) for text, logprob in values["top_logprobs"])
        return GeneratedText(values["text"], tuple(values["token_ids"]), values["logprob"], top)
    if plain["kind"] == "WaitingInQueue":
        return WaitingInQueue(int(values["position"]))
    return _FINISHED.validate_python(values)


def error_to_json(error: errors.FourfoldError) -> dict[str, str]:
    """The error's class and its message in both languages."""
    return {"class": type(error).__name__, "en": error.message.en, "zh": error.message.zh}


def error_from_json(plain: Mapping[str, str]) -> errors.FourfoldError:
    """The inverse of `error_to_json`; a class that is not in our tree becomes ModelError."""
    message = Bilingual(plain["en"], plain["zh"])
    found = getattr(errors, plain["class"], None)
    simple = isinstance(found, type) and issubclass(found, errors.ModelError) and found is not errors.ModelBusyError
    return found(message) if simple and found is not None else errors.ModelError(message)
