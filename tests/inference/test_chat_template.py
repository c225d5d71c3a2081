"""Our rendering against Hugging Face's, on the same GGUF and on templates in the style of larger models."""

from pathlib import Path
from typing import Any

import pytest
from jinja2.exceptions import SecurityError

from core.errors import ModelLoadError
from core.types import Message, ToolCall
from inference.chat_template import ChatTemplate, as_dict
from inference.local_engine import LocalEngine

CHAT = [
    Message("system", "Answer briefly."),
    Message("user", "What is 2+2? 你好 <|im_end|>"),
    Message("assistant", "4"),
    Message("user", "  And 3+3?\n"),
]

TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "Adds <numbers>.", "parameters": {"type": "object", "properties": {}}},
}

# The constructs that real tool templates use: tojson, macros, namespace, loop controls, white space control.
TOOL_TEMPLATE = """\
{%- macro shown(tool) -%}{{ tool | tojson }}{%- endmacro -%}
{%- if tools %}
<tools>
{%- for tool in tools %}
{{ shown(tool) }}
{%- endfor %}
</tools>
{%- endif %}
{%- set ns = namespace(last='none') %}
{%- for message in messages %}
    {%- if message.role == 'skip' %}{% continue %}{% endif %}
    {%- set ns.last = message.role %}
[{{ message.role }}] {{ message.content | trim }}
    {%- for call in message.tool_calls or [] %}
<call>{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson(indent=2) }}</call>
    {%- endfor %}
{%- endfor %}
{% if add_generation_prompt %}[assistant] {{ bos_token }}{{ ns.last }}{% endif %}
"""


@pytest.fixture(scope="module")
def tokenizer(model_path: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(model_path.parent), gguf_file=model_path.name)


def test_the_default_model_is_rendered_as_hugging_face_renders_it(engine: LocalEngine, tokenizer: Any):
    for messages in (CHAT, CHAT[1:2], CHAT[:2]):
        plain = [as_dict(message) for message in messages]
        expected = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
        assert engine.render(messages) == expected


def test_the_rendered_prompt_has_the_token_ids_of_hugging_face(engine: LocalEngine, tokenizer: Any):
    prompt = engine.render(CHAT)
    assert engine.tokenize(prompt) == tokenizer(prompt, add_special_tokens=False)["input_ids"]


def test_tools_and_calls_are_rendered_as_hugging_face_renders_them(tokenizer: Any):
    messages = [
        Message("user", "Add 1 and 2 & 3"),
        Message("assistant", "", tool_calls=(ToolCall("1", "add", {"a": 1, "b": "二<3"}),)),
        Message("tool", "3", tool_call_id="1", name="add"),
    ]
    ours = ChatTemplate(TOOL_TEMPLATE, tokenizer.bos_token, tokenizer.eos_token).render(messages, [TOOL])
    theirs = tokenizer.apply_chat_template(
        [as_dict(message) for message in messages],
        chat_template=TOOL_TEMPLATE,
        tools=[TOOL],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert ours == theirs
    assert '"二<3"' in ours


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ messages.append(1) }}",
        "{{ range(10**9) | list }}",
    ],
)
def test_a_hostile_template_reaches_nothing(attack: str):
    with pytest.raises(ModelLoadError) as caught:
        ChatTemplate(attack).render(CHAT)
    assert isinstance(caught.value.__cause__, SecurityError | OverflowError | TypeError)


def test_a_template_that_refuses_a_role_says_so():
    with pytest.raises(ModelLoadError, match="no system role"):
        ChatTemplate("{{ raise_exception('no system role') }}").render(CHAT)
