"""The messages in the code: what it may show a reader, as templates whose fields are numbered.

A message is a string of more than one word: an f-string becomes a template, ``{0} is missing; it must be {1!r}``. One
word alone counts where ``spoken`` takes it, as a name in a table of names and values, as the noun of ``many`` and as
the rule of ``OptionError.of``. No messages are docstrings (those of the verbs are collected as help), what code
compares, splits or parses, and the strings in NO_MESSAGES.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from clearhead import corpora
from clearhead.lab.facts import FACT_KINDS

ROOT = Path(__file__).parents[1] / "src" / "clearhead"

# What these are given is read by programs, or has its Chinese beside it.
PARSED = {
    *("both", "cast", "compile", "fullmatch", "match", "search", "sub", "finditer", "split", "startswith", "endswith"),
    *("partition", "rpartition", "removeprefix", "removesuffix", "replace", "count", "find", "index", "getattr"),
    *("setattr", "page_file", "legend"),
}
# Folders and files whose strings are text for models, not for readers.
TEXTS = ("corpora/english/", "corpora/chinese/", "lab/note/texts.py")
# Strings of several words that no reader sees, by file: code, names of fonts and styles, first lines of formats.
NO_MESSAGES: dict[str, tuple[str, ...]] = {
    "__init__.py": ("module 'clearhead' has no attribute {0!r}",),
    "cli/__init__.py": ("error: {0}",),
    "cli/talking.py": ("error: {0}",),
    "analysis/parts.py": ("heads parts residual",),
    "cli/demo.py": ('"Server, may I have the check?" she asked.', "The king"),
    "cli/usage.py": ("Got unexpected extra argument(s) ", "Option {0!r} "),
    "corpora/grammar.py": ("tuple[str | Choice | Rule, ...]",),
    "drawing/export.py": ('{0},\n "heads": [',),
    "drawing/lens_table.py": ("{0} on {1}",),
    "drawing/sweep_table.py": ("{0} on {1}",),
    "hub/gguf/vocabulary.py": ("<|endoftext|> <|endoftext|>",),
    "hub/folder.py": ("clearhead.config", "clearhead.tokenizer"),
    "drawing/fonts.py": ("*",),
    "drawing/gradient.py": ("{0} on {1}", "#{0} { background: {1}; color: {2}; }"),
    "drawing/inline.py": ("default-src 'none'; {0}style-src '{1}'; base-uri 'none'",),
    "drawing/saving.py": ("Glyph .* missing from font",),
    "drawing/senses_figure.py": ("outside lower center",),
    "drawing/steps_page.py": ("*",),
    "drawing/steps_table.py": ("*",),
    "drawing/terminal.py": ("bold reverse",),
    "lab/note/qkv.py": ("A = softmax(S + mask)",),
    "lab/speeds.py": ("from clearhead.lab.speeds import main; main()",),
    "runs/killing.py": ("from clearhead.runs import killing; killing.serve(killing.train)",),
    "text/child.py": ("memory allocation of ", "note: "),
    "text/data/learn.py": ("clearhead tokenizer 3",),
    "text/data/pairs.py": ("pairs 1 {0} {1}", "parallel 1 {0}"),
    "text/data/store.py": ("clearhead tokens 1",),
}
# What typer, pydantic and the system say, where it is passed on.
FOREIGN = (
    "{0}: it requires an argument",
    "{0}: it does not take a value",
    "{0!r} is not one of {1}",
    "Input should be greater than or equal to {0}",
    "Input should be less than or equal to {0}",
    "missing command",
    "No such file or directory",
    "Permission denied",
    "Is a directory",
    "Not a directory",
    "File exists",
    "File too large",
    "No space left on device",
    "Read-only file system",
    "Too many open files",
    "Input/output error",
    "Broken pipe",
    "invalid start byte",
    "invalid continuation byte",
    "unexpected end of data",
    "truncated data",
    "illegal multibyte sequence",
    "incomplete multibyte sequence",
)
# Tables whose keys are headings: single words that code passes to ``spoken``.
KEYED = ("COLUMNS", "CHANGES", "HEAD_KINDS", "ENCODER_KINDS")
# Words and phrases that code puts together, or that data holds: parts of a model, kinds of facts, groups of uses.
WORDS = (
    *("none", "pairs", "input", "output", "encoder", "decoder", "sentence", "story", "scene", *FACT_KINDS),
    *("causal", "documents", "sinks", "{0}: unknown{1}", "{0} or {1}"),
    *("all", "bias", "bias {0}", "{0} tokens/s", "{0}: {1} tokens/s", "feed-forward {0}", "feed-\nforward", "biases"),
    "cross-head {0}",
    *(relation for language in ("en", "zh") for relation in corpora.analogies(language)),
)
# Commands, markup, Chinese, regular expressions, code.
MARKUP = re.compile(
    r"^clearhead [a-z{]|<[a-zA-Z!/][^0U]|[\w-]+=\"|[\u3000-\u9fff]|\\p\{|^from \w+ import|^[\w.\[\]\"]+ = *\{?0?\}?$"
)
WORD = re.compile(r"(?<![\w./=<-])[A-Za-z][a-z]+(?![\w/=(-])")
LETTERS = re.compile(r"[A-Za-z]{2}")
FIELD = re.compile(r"\{\d+(?:![rt])?\}")
PERCENT = re.compile(r"%(?:\.\d)?([sdrf])(?!\w)")


@cache
def messages() -> dict[str, list[str]]:
    """Every message, with the files it is in."""
    found = {text: ["said by libraries"] for text in FOREIGN} | {text: ["words"] for text in WORDS}
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        ignored = NO_MESSAGES.get(name, ())
        if name.startswith(TEXTS) or ignored == ("*",):
            continue
        for text in _Reader(ast.parse(file.read_text(encoding="utf-8"))).messages():
            if text not in ignored and name not in found.setdefault(text, []):
                found[text].append(name)
    return found


def is_prose(text: str) -> bool:
    """Whether a template has a word and a space, outside its fields."""
    bare = FIELD.sub("0", text)
    return " " in bare and WORD.search(bare) is not None and not MARKUP.search(text)


class _Reader:
    """The messages of one file."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._skipped, self._always, self._counted = set[int](), set[int](), set[int]()
        for node in ast.walk(tree):
            self._mark(node)

    def _mark(self, node: ast.AST) -> None:
        """Notes which strings below this node are messages, or none, because of where they stand."""
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            self._skipped.add(id(node.value))  # a docstring
        elif isinstance(node, ast.Assert):
            self._skip(node)
        elif (
            isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and ast.unparse(node.targets[0]) in KEYED
        ):
            self._always.update(map(id, node.value.keys))
        elif isinstance(node, ast.Compare):
            self._skip(node.left, *node.comparators)
        elif isinstance(node, ast.Subscript):
            self._skip(node.slice)
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            if "Annotated" not in ast.unparse(node.annotation):
                self._skip(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            if node.name in ("__repr__", "__getattr__"):
                self._skip(*node.body)
            elif _gives_rows(node):
                self._names(node)
        elif isinstance(node, ast.Call):
            self._call(node, _name(node.func))
        elif isinstance(node, ast.ListComp | ast.GeneratorExp) and _speaks(node.elt):
            self._always.update(id(each) for each in ast.walk(node.generators[0].iter))

    def _call(self, node: ast.Call, name: str) -> None:
        if name in PARSED:
            self._skip(*node.args)
        elif name == "spoken":
            self._always.update(id(each) for each in ast.walk(node))
        elif name == "map" and _name(node.args[0]) == "spoken":
            self._always.update(id(each) for given in node.args[1:] for each in ast.walk(given))
        elif name == "of" and len(node.args) == 3:
            self._always.add(id(node.args[2]))
        elif name == "many" and len(node.args) == 2:
            self._counted.update(id(each) for each in ast.walk(node.args[1]))
        self._skip(*(each.value for each in node.keywords if each.arg in ("metavar", "style", "loc")))

    def _names(self, function: ast.FunctionDef) -> None:
        """The names of what a table of names and values holds."""
        for node in ast.walk(function):
            if isinstance(node, ast.Dict):
                self._always.update(map(id, node.keys))
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                self._always.add(id(node.slice))

    def _skip(self, *nodes: ast.AST) -> None:
        self._skipped.update(id(each) for node in nodes for each in ast.walk(node))

    def messages(self) -> Iterator[str]:
        """The messages, in the order of the code."""
        skipped = self._skipped - self._always
        for node in _in_order(self._tree):
            parts = None if id(node) in skipped else _parts(node)
            if parts is None:
                continue
            skipped |= set(_inside(node))
            text = _template(parts)
            if id(node) in self._counted and text and not FIELD.search(text):
                yield from (text, f"{{0}} {text}s")
            elif PERCENT.search(text) and is_prose(PERCENT.sub("0", text)):
                yield _numbered(text)
            elif is_prose(text) or (id(node) in self._always and LETTERS.search(text)):
                yield text


def _gives_rows(function: ast.FunctionDef) -> bool:
    """Whether a function makes or prints a table of names and values."""
    calls = (_name(node.func) for node in ast.walk(function) if isinstance(node, ast.Call))
    return "rows" in calls or (function.returns is not None and ast.unparse(function.returns) == "dict[str, str]")


def _speaks(node: ast.expr) -> bool:
    """Whether it is a call of ``spoken``."""
    return isinstance(node, ast.Call) and _name(node.func) == "spoken"


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


def _parts(node: ast.AST) -> list[str | None] | None:
    """What a string is put together of: its own text, None for a field, "!r" for a quoted one. None for no string."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return [part for value in node.values for part in _piece(value)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _parts(node.left), _parts(node.right)
        return None if left is None and right is None else [*(left or [None]), *(right or [None])]
    return None


def _piece(value: ast.expr) -> list[str | None]:
    if isinstance(value, ast.FormattedValue):
        return ["!r" if value.conversion == ord("r") else None]
    return [str(value.value)] if isinstance(value, ast.Constant) else [None]


def _inside(node: ast.AST) -> Iterator[int]:
    """The nodes that this string is put together of. What is in its fields may be messages of their own."""
    if isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            if _parts(side) is not None:
                yield id(side)
                yield from _inside(side)
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield id(value)
            if isinstance(value, ast.FormattedValue) and value.format_spec is not None:
                yield from (id(each) for each in ast.walk(value.format_spec))


def _template(parts: list[str | None]) -> str:
    """The parts with numbered fields; fields side by side are one, unless one is quoted."""
    text, number, beside = "", 0, False
    for part in filter(lambda part: part != "", parts):
        field = part in (None, "!r")
        if not field:
            text += part or ""
        elif part or not beside:
            text += f"{{{number}{part or ''}}}"
            number += 1
        beside = part is None
    return text


def _numbered(text: str) -> str:
    """A message of logging with numbered fields."""
    pieces = PERCENT.split(text)
    fields = [f"{{{number}{'!r' if kind == 'r' else ''}}}" for number, kind in enumerate(pieces[1::2])]
    return "".join(piece + field for piece, field in zip(pieces[::2], [*fields, ""], strict=True)).replace("%%", "%")
