"""Chat templates: transformers' text for templates in the style of released ones, and errors for bad ones."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models
from transformers import PreTrainedTokenizerFast

from clearhead.errors import TextError
from clearhead.text import Tokenizer
from clearhead.text.chat.templates import check, render

CHATML = """{%- for message in messages %}
    {%- if loop.first and message['role'] != 'system' %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
HEADERS = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%Y") %}{%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message + eos_token }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
        {{- message['content'] | trim + eos_token }}
    {%- elif 'tool_calls' in message %}
        {{- message.tool_calls[0].function | tojson(indent=2) }}
    {%- else %}
        {{- message.content | tojson }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
INST = """{{ bos_token }}{% for message in messages %}
  {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
    {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
  {% endif %}
  {% if message['role'] == 'user' %}
{{ '[INST] ' + message['content'] + ' [/INST]' }}
  {% elif message['role'] == 'assistant' %}
    {% generation %}
{{ message['content'] + eos_token}}
    {% endgeneration %}
  {% endif %}
{% endfor %}"""
LAST_TURN = """{% set ns = namespace(last=-1, count=0) %}
{% for message in messages[::-1] %}
{% if message.role != 'user' %}{% continue %}{% endif %}
{% set ns.last = messages|length - 1 - loop.index0 %}
{% break %}
{% endfor %}
{% macro turn(message) %}<{{ message.role|upper }}>
{{ message.content.split('</think>')[-1].lstrip('\\n') }}{% endmacro %}
{% for message in messages %}
{% set ns.count = ns.count + 1 %}
{{ turn(message) }}{{ '*' if loop.index0 == ns.last else '' }}
{% endfor %}
{{ ns.count }} {{ dict(a=1, **{'b': messages|length}) }} {{ messages | map(attribute='role') | join(', ') }}
{% if tools %}{{ tools | tojson }}{% endif %}{{ undefined_name }}"""
TEMPLATES = {"ChatML": CHATML, "headers": HEADERS, "INST": INST, "last turn": LAST_TURN}
CHATS: dict[str, list[dict[str, Any]]] = {
    "one": [{"role": "user", "content": "Hi  <there> & 'you' 你好🦙\n"}],
    "three": [
        {"role": "user", "content": "Is 2 < 3?"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes.", "tool_calls": None},
        {"role": "user", "content": " Why?\n\n{{ not a template }}"},
    ],
}
SYSTEM = {"role": "system", "content": "  Be brief. "}


def library() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.WordLevel({"a": 0, "<s>": 1, "</s>": 2}, unk_token="a"))
    made.add_special_tokens(["<s>", "</s>"])
    return made


ROLES = {"bos_token": "<s>", "eos_token": "</s>"}


def theirs(template: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=library(), chat_template=template, **ROLES)


@pytest.mark.parametrize("chat", [*CHATS, "system"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_text_is_that_of_transformers(template: str, chat: str) -> None:
    messages = [SYSTEM, *CHATS["one"]] if chat == "system" else CHATS[chat]
    ours = Tokenizer(library(), {**ROLES, "chat_template": TEMPLATES[template]})
    for prompt, others in ((True, {}), (False, {"tools": [{"name": "f"}], "enable_thinking": False})):
        options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": prompt, **others}
        if (template, chat) == ("INST", "system"):
            with pytest.raises(Exception, match="roles must alternate"):
                theirs(TEMPLATES[template]).apply_chat_template(messages, **options)
            with pytest.raises(TextError, match="chat template: Conversation roles must alternate"):
                ours.chat(messages, prompt=prompt, **others)
            continue
        expected = theirs(TEMPLATES[template]).apply_chat_template(messages, **options)
        assert ours.chat(messages, prompt=prompt, **others) == expected


def test_tool_calls_are_written_as_json() -> None:
    call = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"function": {"name": "f", "arguments": {"x": "<é>"}}}],
    }
    messages = [*CHATS["one"], call, {"role": "tool", "content": ["é", 1]}]
    expected = theirs(HEADERS).apply_chat_template(messages, tokenize=False)
    assert render(HEADERS, messages, prompt=False, **ROLES) == expected


def test_templates_in_files_go_before_those_in_the_config(tmp_path: Path) -> None:
    library().save(str(tmp_path / "tokenizer.json"))
    config: dict[str, Any] = {**ROLES, "tokenizer_class": "PreTrainedTokenizerFast"}
    named = [{"name": "default", "template": "config {{ bos_token }}"}, {"name": "tool_use", "template": "tools"}]
    for value in ("config {{ bos_token }}", named):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": value}))
        assert Tokenizer.load(tmp_path).chat(CHATS["one"]) == "config <s>"
    (tmp_path / "chat_template.jinja").write_bytes("file\r\n你{{ eos_token }}".encode())
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "rag.jinja").write_text("rag")
    ours = Tokenizer.load(tmp_path)
    ours.save(tmp_path / "saved")
    for folder in (tmp_path, tmp_path / "saved"):
        expected = PreTrainedTokenizerFast.from_pretrained(folder).apply_chat_template(CHATS["one"], tokenize=False)
        assert Tokenizer.load(folder).chat(CHATS["one"]) == expected == "file\n你</s>"
        assert Tokenizer.load(folder).templates == {"default": "file\n你{{ eos_token }}", "rag": "rag"}


def test_without_a_template_the_error_says_what_to_do() -> None:
    with pytest.raises(TextError, match=r"no chat template: it was not trained to chat.*`clearhead generate`"):
        Tokenizer.bytes().chat(CHATS["one"])
    with pytest.raises(TextError, match="it has templates named rag"):
        Tokenizer(library(), templates={"rag": "x"}).chat(CHATS["one"])


BAD = {
    "syntax": ("{% for %}", "line 1: "),
    "unknown tag": ("a\n{% include 'x' %}", "no loader"),
    "unknown filter": ("{{ 1 | shell }}", "No filter named 'shell'"),
    "loops": ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "more than 2 seconds"),
    "large range": ("{% for a in range(10**9) %}{% endfor %}", "Range too big"),
    "long power": ("{% set n = 9**9 %}{{ n**n }}", "more than 2 seconds"),
    "recursion": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
    "deep": ("(" * 3 + "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", ""),
    "memory": ("{% set n = namespace(x='xx') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "MB"),
    "constant": ("{{ 'x' * 10**10 }}", "MB"),
    "long text": ("{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "more than 4,194,304 characters"),
    "width": ("{{ '%1000000000d' | format(1) }}", "MB"),
    "class": ("{{ ''.__class__.__mro__ }}", "unsafe"),
    "globals": ("{{ raise_exception.__globals__ }}", "unsafe"),
    "format": ("{{ '{0.__class__}'.format('') }}", "unsafe"),
    "attr filter": ("{{ '' | attr('__class__') | list }}", "unsafe"),
    "mutation": ("{{ messages.append(1) }}", "unsafe"),
    "namespace": ("{% set ns = namespace() %}{% set ns.__class__ = 1 %}", "underscore"),
    "namespace made": ("{{ namespace(**{'__init__': 1}) }}", "underscore"),
    "undefined": ("{{ messages[0].nothing.more }}", "'dict object' has no attribute 'nothing'"),
    "not a table": ("{{ messages | tojson(indent='x' * 3) }}{{ messages + 1 }}", "TypeError"),
    "import": ("{% import 'os' as os %}", "no loader"),
    "much": ("x" * (1 << 20) + "x", "more than 1,048,576 characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_template_ends_in_one_error_within_five_seconds(name: str) -> None:
    template, message = BAD[name]
    began = time.monotonic()
    with pytest.raises(TextError, match=r"^chat template: ") as caught:
        render(template, CHATS["one"], **ROLES)
    assert time.monotonic() - began < 5
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_busy_machine_gets_the_same_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the two limits comes first, that of the processor's time or that of the clock, is the machine's."""
    worker = tmp_path / "worker.py"
    worker.write_text("import time; time.sleep(60)")
    monkeypatch.setattr("clearhead.text.chat.templates.WORKER", worker)
    monkeypatch.setattr("clearhead.text.chat.templates.SECONDS", 0.1)
    with pytest.raises(TextError, match=r"^chat template: it took more than 0.1 seconds and was stopped$"):
        render(CHATML, CHATS["one"])


@pytest.mark.parametrize("name", ["syntax", "unknown filter", "deep", "much"])
def test_an_invalid_template_is_found_without_messages(name: str) -> None:
    template, message = BAD[name]
    with pytest.raises(TextError, match=r"^chat template: ") as caught:
        check(template)
    assert message in str(caught.value)


@pytest.mark.parametrize("template", [*TEMPLATES.values(), "{{ raise_exception('no') }}", "{% include 'x' %}"])
def test_a_template_that_only_refuses_is_one(template: str) -> None:
    check(template)


def test_nothing_is_written_to_the_disk(tmp_path: Path) -> None:
    """Past the sandbox the kernel's limits still hold: not even the worker itself can fill a file."""
    from clearhead.text.chat import rendering

    code = (
        Path(rendering.__file__).read_text().replace("render(**request)", 'open(request["template"], "w").write("x")')
    )
    worker = tmp_path / "worker.py"
    worker.write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clearhead.text.chat.templates.WORKER", worker)
        render(str(tmp_path / "out"), [])
    assert (tmp_path / "out").read_text() == ""
