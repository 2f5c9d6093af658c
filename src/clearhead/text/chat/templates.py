"""Chat templates: a conversation as the one text that a model was trained to go on from."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clearhead.errors import TextError

Message = Mapping[str, Any]  # "role" and "content" at least

SECONDS = 2  # of processor time; the slowest templates in use take 0.01 on a conversation of 100,000 characters
CLOCK = 2 * SECONDS  # seconds, for the process gets its time late where others use the processors too
LONGEST = 4 << 20  # characters of text; a context of a million tokens
LARGEST_TEMPLATE = 1 << 20  # characters; the longest in use have 30,000

WORKER = Path(__file__).with_name("rendering.py")


def render(template: str, messages: Sequence[Message], *, prompt: bool = True, **variables: Any) -> str:
    """The text that a jinja2 template makes of messages, as transformers' apply_chat_template does.

    prompt: the beginning of the answer is added (add_generation_prompt). variables: what else the template may read;
    tools and documents are None unless given. Entries of a message that are None are left out.

    Raises TextError when the template refuses the messages, is wrong, reaches for what is not allowed, or takes more
    than 2 seconds (4 by the clock), 512 MB or 4 million characters.
    """
    stated = [{name: value for name, value in message.items() if value is not None} for message in messages]
    given = {"tools": None, "documents": None, **variables, "messages": stated, "add_generation_prompt": prompt}
    return _answer(template, given)


def check(template: str) -> None:
    """Raises TextError when a template is no jinja2; what it does with messages is known only when it has some."""
    _answer(template, None)


def _answer(template: str, variables: Mapping[str, Any] | None) -> str:
    """What the worker makes of a template; without variables it only compiles it. Raises TextError."""
    if len(template) > LARGEST_TEMPLATE:
        raise TextError(f"chat template: it has more than {LARGEST_TEMPLATE:,} characters, and is not run")
    request = json.dumps({"template": template, "variables": variables, "most": LONGEST, "seconds": SECONDS})
    late = f"chat template: it took more than {SECONDS} seconds, and was stopped"
    try:
        # A process of its own: nothing else can end one long operation. -P: modules beside the worker are not imported
        # in the place of Python's. Its own session: Ctrl-C in a terminal is for this process.
        done = subprocess.run(
            [sys.executable, "-P", str(WORKER)],
            input=request.encode(),
            capture_output=True,
            timeout=CLOCK,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise TextError(late) from None
    if done.returncode == -signal.SIGXCPU:
        raise TextError(late)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise TextError(f"chat template: its process ended early: {reason[0][:200]}") from None
    if "error" in answer:
        raise TextError(f"chat template: {answer['error']}")
    return answer["text"]
