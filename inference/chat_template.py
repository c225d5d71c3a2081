"""The model's own chat template, rendered in a sandbox: the file comes from the internet and so does its template."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.errors import ModelLoadError
from core.language import Bilingual
from core.types import Message
from inference.function_calling import in_plain_words
from inference.protocol import JsonSchema

# What a model without a template of its own gets: the form that most small models have seen.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class ChatTemplate:
    """Renders messages as the model was trained to read them; equal to Hugging Face's `apply_chat_template`."""

    def __init__(self, source: str, bos_token: str = "", eos_token: str = "") -> None:
        self.knows_tools = "tools" in source
        self.thinks = "<think>" in source
        self._special = {"bos_token": bos_token, "eos_token": eos_token}
        # The same switches as in transformers, or white space would differ.
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
        try:
            self._template = environment.from_string(source or CHATML)
        except TemplateError as error:
            _refuse(error)

    def render(self, messages: Sequence[Message], tools: Sequence[JsonSchema] = ()) -> str:
        """The prompt, ending where the assistant's answer begins.

        `tools` are function descriptions in OpenAI's form; a template that does not know them
        gets them as text. Raises ModelLoadError where the template refuses the chat.
        """
        told = messages if self.knows_tools else in_plain_words(messages, tools)
        try:
            return self._template.render(
                messages=[as_dict(message) for message in told],
                tools=list(tools) or None,
                add_generation_prompt=True,
                **self._special,
            )
        except Exception as error:  # noqa: BLE001 - a template is foreign code and may fail in any way
            _refuse(error)


def as_dict(message: Message) -> dict[str, Any]:
    """The form in which templates (and OpenAI's API) know a message."""
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        plain["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        plain["tool_call_id"] = message.tool_call_id
    if message.name:
        plain["name"] = message.name
    return plain


def _to_json(value: Any, indent: int | None = None, **_options: Mapping[str, Any]) -> str:
    # Jinja's own filter escapes HTML characters, which a model has never seen.
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _refuse(error: Exception) -> NoReturn:
    raise ModelLoadError(
        Bilingual(
            en=f"The model's chat template refuses this conversation: {error}. Choose another model.",
            zh=f"模型的对话模板无法处理这段对话：{error}。请换一个模型。",
        )
    ) from error
