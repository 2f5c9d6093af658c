"""Usage errors, worded like every other error: the verb or the option, the value, the rule, the way out."""

from __future__ import annotations

import difflib
import re
from typing import Any

import typer

from clearhead.errors import shown

NUMBERS = {  # by how pydantic names a fault
    "int": "a whole number, in digits",
    "int_parsing_size": "a whole number of at most 4,300 digits",
    "float": "a number",
}
EXTRA = "Got unexpected extra argument(s) "
NO_COMMAND = re.compile(r"No such command '(.*?)'\.(?: Did you mean (.*)\?)?", re.DOTALL)


def usage_message(error: typer.TyperException) -> str:
    """The message for an error of the parser; empty if the help was printed instead."""
    context: Any = getattr(error, "ctx", None)
    option: str | None = getattr(error, "option_name", None)
    if option is not None and not hasattr(error, "possibilities"):  # it lacks a value, or has one and takes none
        return f"{option}: it {error.message.removeprefix(f'Option {option!r} ').rstrip('.')}"
    if context is None or not (error.message or hasattr(error, "param")):
        return error.message
    verb = context.info_name if context.parent else context.command_path
    lists = f"{context.command_path} --help lists what it takes"
    parameter: Any = getattr(error, "param", None)
    if parameter is not None:
        name = _typed(parameter)
        return f"{name}: {_fault(error)}" if error.message else f"{verb}: {name} is missing; {lists}"
    if option is not None:
        return f"{verb}: there is no option {option}{_alike(option, context) or f'; {lists}'}"
    if error.message.startswith(EXTRA):
        arguments = [each for each in context.command.params if each.param_type_name == "argument"]
        way = "put the text in quotes" if arguments and arguments[-1].name == "text" else lists
        return f"{verb}: more arguments than it takes: {error.message.removeprefix(EXTRA)[1:-1]}; {way}"
    unknown = NO_COMMAND.fullmatch(error.message)
    if unknown is not None:
        alike = f"; did you mean {unknown[2]}?" if unknown[2] else f"; {lists}"
        return f"{verb}: there is no command {unknown[1]!r}{alike}"
    return f"{verb}: {error.message[0].lower()}{error.message[1:].rstrip('.')}; {lists}"


def _typed(parameter: Any) -> str:
    """An option as it is typed, or an argument as the help calls it."""
    if parameter.param_type_name == "option":
        return max(parameter.opts, key=len)
    return parameter.metavar or parameter.name.upper()


def _fault(error: typer.TyperException) -> str:
    """What is wrong with a value."""
    cause: Any = error.__cause__  # pydantic's ValidationError, by which typer converts
    if not hasattr(cause, "errors"):
        return error.message
    fault: dict[str, Any] = cause.errors()[0]
    rule = NUMBERS.get(fault["type"]) or NUMBERS.get(fault["type"].partition("_")[0])
    if rule is None:
        return str(fault.get("ctx", {}).get("error", error.message)).rstrip(".")
    return f"{shown(fault['input'])} was given; it must be {rule}"


def _alike(unknown: str, context: Any) -> str:
    """``"; did you mean --steps?"``, or nothing. The two hyphens make no options alike."""
    known = [name.lstrip("-") for each in context.command.params for name in each.opts if name.startswith("--")]
    close = difflib.get_close_matches(unknown.lstrip("-"), known, n=1)
    return f"; did you mean --{close[0]}?" if close else ""
