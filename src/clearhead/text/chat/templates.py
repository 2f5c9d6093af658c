"""Chat templates: turn a conversation into the text that the model was trained to continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clearhead.errors import TextError
from clearhead.text.child import DiedError, LateError, ShortError, ask

Message = Mapping[str, Any]  # "role" and "content" at least

SECONDS = 2  # of processor time; the slowest templates in use take 0.01 on a conversation of 100,000 characters
MEMORY = 512 << 20  # bytes of address space; Python and jinja2 alone take 60 MB
LONGEST = 4 << 20  # characters of text; about a million tokens
LARGEST_TEMPLATE = 1 << 20  # characters; the longest in use have 30,000

WORKER = Path(__file__).with_name("rendering.py")


def render(template: str, messages: Sequence[Message], *, prompt: bool = True, **variables: Any) -> str:
    """Renders messages with a jinja2 template, as transformers' apply_chat_template does.

    prompt: append the start of the answer (add_generation_prompt). variables: other names the template may use; tools
    and documents are None unless given. Entries of a message that are None are dropped.

    Raises TextError if the template rejects the messages, is invalid, does something forbidden, or needs more than 2
    seconds (4 by the clock), 512 MB or 4 million characters.
    """
    stated = [{name: value for name, value in message.items() if value is not None} for message in messages]
    given = {"tools": None, "documents": None, **variables, "messages": stated, "add_generation_prompt": prompt}
    return _answer(template, given)


def check(template: str) -> None:
    """Raises TextError if a template is not valid jinja2. It is only compiled: without messages it cannot be run."""
    _answer(template, None)


def _answer(template: str, variables: Mapping[str, Any] | None) -> str:
    """Runs a template in the worker; without variables it is only compiled. Raises TextError."""
    if len(template) > LARGEST_TEMPLATE:
        raise TextError(f"chat template: it has more than {LARGEST_TEMPLATE:,} characters, so it is not run")
    request = {"template": template, "variables": variables, "most": LONGEST}
    try:
        answer = ask(WORKER, request, seconds=SECONDS, memory=MEMORY)
    except LateError:
        raise TextError(f"chat template: it took more than {SECONDS} seconds and was stopped") from None
    except ShortError:
        raise TextError(f"chat template: it needs more than {MEMORY >> 20} MB") from None
    except DiedError as reason:
        raise TextError(f"chat template: its process died: {reason}") from None
    if "error" in answer:
        raise TextError(f"chat template: {answer['error']}")
    return answer["text"]
