"""The chat loop: messages and commands, from a terminal or a pipe."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import fields, replace

from clearhead.analysis import edit, observe_ids
from clearhead.cli.printing import Screen, echo, message, write
from clearhead.cli.utf8 import AT_MOST
from clearhead.drawing import table_of_answer, table_of_attention
from clearhead.errors import ClearheadError, OptionError, TextError, many, nearest
from clearhead.generation import Conversation, Sampling
from clearhead.language_model import LanguageModel
from clearhead.watching import Edit, edited
from clearhead.watching.places import placed_by_word

# Default limit for an answer. Its KV cache is allocated up front: 0.5 GB for Qwen 3 0.6B in float32.
TOKENS = 2048

# Settings /set can change; the stop strings are the model's.
NAMES = tuple(field.name for field in fields(Sampling) if field.name != "stop")

HELP = """\
/set temperature 0.7   change a setting; "off" turns it off
/set                   show all settings
/clear                 start over; keeps the system message
/look                  what each head attended to at the last word of the answer
/look 3.1              what layer 3, head 1 (counted from 0) attended to at each token of the answer
/edit ablate 5.1       change the model from now on (docs/seeing.md lists the forms); more edits add up
/edit                  list the edits; /edit off takes them away
/bye                   end the chat (or Ctrl-D)
Ctrl-C stops an answer. To send a message that starts with a slash, type two.
settings: """ + ", ".join(NAMES)

WHY = {"length": "/set max_tokens changes the limit", "context": "/clear starts over"}


class Talk:
    """A chat. An error ends it if the input is a pipe; on a terminal it is printed, and the chat continues."""

    def __init__(self, model: LanguageModel, conversation: Conversation, sampling: Sampling) -> None:
        self._model, self._conversation, self._sampling = model, conversation, sampling
        self._terminal = sys.stdin.isatty()
        self._edits: list[tuple[str, Edit]] = []
        self._untried = False  # edits that no answer was written under yet

    def run(self) -> None:
        """Reads and answers lines until they end. Raises the error of a message or a command that came from a pipe."""
        if self._terminal:
            context = self._model.config.context
            echo(f"{self._model.name}: a context of {context:,} tokens; /help lists the commands", err=True)
        for line in self._lines():
            try:
                if not self._obey(line):
                    return
            except ClearheadError as error:
                if not self._terminal:
                    raise
                message(f"error: {error}")
            except KeyboardInterrupt:
                if not self._terminal:
                    raise
                echo("\nstopped", err=True)

    def _lines(self) -> Iterator[str]:
        if not self._terminal:
            for number, line in enumerate(iter(lambda: sys.stdin.buffer.readline(AT_MOST + 1), b""), start=1):
                if len(line) > AT_MOST:
                    raise TextError(f"standard input: line {number} has more than {AT_MOST:,} bytes; give less at once")
                try:
                    yield line.decode("utf-8").removeprefix("\ufeff" if number == 1 else "").rstrip("\r\n")
                except UnicodeDecodeError:
                    raise TextError(
                        f"standard input: line {number} is not UTF-8; convert it first, e.g. with iconv"
                    ) from None
            return
        with suppress(ImportError):
            import readline  # noqa: F401 (gives input() its editing and history)  # pyright: ignore[reportUnusedImport]
        prompt = ">>> "
        while True:
            try:
                if not sys.stdout.isatty():  # input() would write it into the file with the answers
                    echo(prompt, nl=False, err=True)
                yield input(prompt if sys.stdout.isatty() else "")
            except EOFError:
                echo(err=True)
                return
            except KeyboardInterrupt:
                echo("\n/bye or Ctrl-D ends the chat", err=True)

    def _obey(self, line: str) -> bool:
        """Runs a command or answers a message; False when the chat is over."""
        text = line.strip()
        command = re.fullmatch(r"/(\w+)((?:\s.*)?)", text)
        if command is None:
            if text:
                self._answer(text.removeprefix("/") if text.startswith("//") else line)
            return True
        name, rest = command[1], command[2].split()
        verbs = {"set": self._set, "clear": self._clear, "look": self._look, "help": self._help}
        if name == "edit":
            self._edit(command[2].strip())
            return True
        if name == "bye":
            return False
        if name not in verbs:
            raise OptionError(f"/{name}: no such command{nearest(name, [*verbs, 'edit', 'bye'])}")
        verbs[name](rest)
        return True

    def _answer(self, text: str) -> None:
        began, number = time.perf_counter(), 0
        edits = [edit for _, edit in self._edits]
        under = edited(self._model, edits, checked=self._untried) if edits else nullcontext()
        with under, closing(self._conversation.ask(text, self._sampling)) as chunks:
            for chunk in chunks:
                number += 1
                write(chunk.text)
        write("\n")
        self._untried = False
        seconds, finish = time.perf_counter() - began, self._conversation.finish
        context = self._model.config.context
        if finish == "length":
            echo(f"cut after {many(number, 'token')}; {WHY['length']}", err=True)
        elif finish == "context":
            echo(f"cut: the context of {context:,} tokens is full, and nothing was dropped; {WHY['context']}", err=True)
        elif self._terminal:
            used = len(self._conversation.ids)
            echo(f"[{many(number, 'token')}, {number / seconds:.0f} tokens/s; {used:,} of {context:,}]", err=True)

    def _set(self, words: list[str]) -> None:
        if not words:
            width = max(map(len, NAMES))
            for name in NAMES:
                value = getattr(self._sampling, name)
                echo(f"{name:<{width}}  {'off' if value is None else value}", err=True)
            return
        if len(words) != 2:
            raise OptionError(f"/set {' '.join(words)}: give a name and a value, such as /set temperature 0.7")
        name, text = words
        if name not in NAMES:
            raise OptionError(f"/set {name}: no such setting{nearest(name, NAMES)}")
        self._sampling = replace(self._sampling, **{name: _value(name, text)})
        echo(f"{name}: {text}", err=True)

    def _edit(self, form: str) -> None:
        """Adds an edit, lists them, or takes them away; the cache was computed without it, so it is emptied."""
        if not form:
            for each, _ in self._edits:
                echo(each, err=True)
            if not self._edits:
                echo("no edits", err=True)
            return
        if form == "off":
            self._edits.clear()
        else:
            found = edit(self._model, form)
            if found.text is not None or placed_by_word(found):
                raise OptionError(f"/edit {form}: name places by number, and no text: a conversation is one text")
            with edited(self._model, [found], checked=False):
                pass  # raises if the model lacks the site, or the source does not fit
            self._edits.append((form, found))
        self._conversation.forget()
        self._untried = True
        echo(f"edits: {'; '.join(each for each, _ in self._edits) or 'none'}", err=True)

    def _clear(self, words: list[str]) -> None:
        _nothing("clear", words)
        self._conversation.clear()
        echo("starting over", err=True)

    def _help(self, words: list[str]) -> None:
        _nothing("help", words)
        echo(HELP, err=True)

    def _look(self, words: list[str]) -> None:
        ids, answer = self._conversation.ids, self._conversation.answer
        head = re.fullmatch(r"(\d{1,6})\.(\d{1,6})", words[0]) if len(words) == 1 else None
        if words and head is None:
            raise OptionError(f"/look {' '.join(words)}: name a head as layer.head, such as /look 3.1")
        if len(ids) == answer:
            raise OptionError("/look: there is no answer to look at yet")
        record = observe_ids(self._model, ids[: self._model.config.context], edits=[each for _, each in self._edits])
        if head is None:
            table = table_of_attention(record)
        else:
            table = table_of_answer(record, answer, layer=int(head[1]), head=int(head[2]))
        Screen().print(table)


def _nothing(name: str, words: list[str]) -> None:
    if words:
        raise OptionError(f"/{name} {' '.join(words)}: /{name} takes no arguments")


def _value(name: str, text: str) -> int | float | None:
    """Parses the value of a setting; Sampling checks its range."""
    if text in ("off", "none"):
        return None
    try:
        return int(text) if name in ("max_tokens", "top_k", "seed") else float(text)
    except ValueError:
        raise OptionError(f"/set {name} {text}: {text!r} is not a number; off turns the setting off") from None
