"""Chat templates: turn a conversation into the text that the model was trained to continue."""

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
CLOCK = 2 * SECONDS  # wall-clock seconds: on a busy machine the process gets its time late
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
    request = json.dumps({"template": template, "variables": variables, "most": LONGEST, "seconds": SECONDS})
    late = f"chat template: it took more than {SECONDS} seconds and was stopped"
    try:
        # A separate process: nothing else can stop one long operation. -P: modules beside the worker must not shadow
        # Python's. Its own session: Ctrl-C in a terminal must reach this process only.
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
        raise TextError(f"chat template: its process died: {reason[0][:200]}") from None
    if "error" in answer:
        raise TextError(f"chat template: {answer['error']}")
    return answer["text"]
