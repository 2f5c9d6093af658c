"""Renders one chat template, in a worker process (child.py) that can be killed at any time.

Templates are as untrusted as the models they come with. They run in jinja2's immutable sandbox, which keeps them from
Python's internals; kernel limits bound time and memory, even inside one long operation such as 9**9**9. The
environment is that of transformers' chat templates, so the same template gives the same text.

The request has template, variables (null: compile only) and most (characters). The answer has text or error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import jinja2
import jinja2.ext
from jinja2 import nodes, utils
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    """{% generation %} ... {% endgeneration %} marks the model's words for training; it does not change the text."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's own form)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller: Callable[[], str]) -> str:
        return caller()


class Sandbox(ImmutableSandboxedEnvironment):
    """transformers' sandbox, but a forbidden attribute is an error at once instead of an empty string."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> jinja2.Undefined:
        raise jinja2.exceptions.SecurityError(f"access to attribute {attribute!r} of {type(obj).__name__!r} is unsafe")


class Dictionary:
    """``dict`` in a template: callable, without attributes that lead to Python's internals."""

    def __call__(self, *parts: Any, **named: Any) -> dict[Any, Any]:
        return dict(*parts, **named)

    def fromkeys(self, *parts: Any) -> dict[Any, Any]:
        return dict.fromkeys(*parts)


class Namespace(utils.Namespace):
    """``namespace`` in a template; rejects names that begin with an underscore."""

    def __init__(self, /, *parts: Any, **named: Any) -> None:
        for name in dict(*parts, **named):
            _check_name(name)
        super().__init__(*parts, **named)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def environment() -> Sandbox:
    """transformers' environment for chat templates."""
    made = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = _to_json
    offered: dict[str, Any] = {
        "raise_exception": _raise,
        "strftime_now": _now,
        "dict": Dictionary(),
        "namespace": Namespace,
    }
    cast(dict[str, Any], made.globals).update(offered)
    return made


def render(template: str, variables: dict[str, Any] | None, most: int) -> str:
    """The text of a template. Raises what jinja2 raises, and ValueError above ``most`` characters."""
    parts: list[str] = []
    room = most
    made = environment().from_string(template)
    for part in made.generate(**variables) if variables is not None else ():
        room -= len(part)
        if room < 0:
            raise ValueError(f"it produced more than {most:,} characters")
        parts.append(part)
    return "".join(parts)


def answer(request: dict[str, Any], note: Callable[[Any], None]) -> dict[str, str]:
    """Renders the template of the request; returns its text, or the error."""
    try:
        return {"text": render(**request)}
    except jinja2.TemplateSyntaxError as error:
        return {"error": f"line {error.lineno}: {error.message}"}
    except MemoryError:
        raise
    except Exception as error:  # a template can raise anything
        kind = "" if isinstance(error, jinja2.TemplateError | ValueError) else f"{type(error).__name__}: "
        return {"error": (kind + str(error))[:500]}


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a name in a namespace must not begin with an underscore: {name!r}")


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """jinja2's own filter escapes < and > for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
