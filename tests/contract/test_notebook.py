"""The notebook runs from top to bottom, and what its cells show is HTML that requests nothing."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from pages import ROOT

NOTEBOOK = ROOT / "docs" / "seeing.ipynb"

# Runs the cells of a JSON list, as a kernel does: the value of a last expression is shown. Prints each as JSON.
PROGRAM = """
import ast, json, sys
names = {"__name__": "__main__"}
shown = []
for cell in json.load(sys.stdin):
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, cell.splitlines()[0], "exec"), names)
    value = None if last is None else eval(compile(ast.Expression(last.value), cell.splitlines()[-1], "eval"), names)
    html = value._repr_html_() if hasattr(value, "_repr_html_") else None
    shown.append([type(value).__name__, html, repr(value)])
json.dump(shown, sys.stdout)
"""


def cells(kind: str) -> list[dict[str, Any]]:
    whole = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    return [cell for cell in whole["cells"] if cell["cell_type"] == kind]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str | None, str]]:
    """Type, HTML and text of what each cell shows."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path_factory.mktemp("notebook"),
        input=json.dumps(["".join(cell["source"]) for cell in cells("code")]),
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [tuple(each) for each in json.loads(done.stdout)]


def test_every_cell_runs_and_results_are_pictures(shown: list[tuple[str, str | None, str]]) -> None:
    drawn = {name for name, html, _ in shown if html}
    assert drawn >= {
        "TextRecord", "Atlas", "Lens", "LogitParts", "NextWords", "Attribution", "Effect", "Sweep", "FoundHeads",
        "History", "Change",
    }  # fmt: skip
    for name, html, _ in shown:
        if html and name not in ("TextRecord", "Lens"):
            assert not re.search(r"<script|<img|<link|https?:|url\(", html), name


def test_it_is_committed_without_outputs_and_in_both_languages() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells("code"))
    assert len({cell["id"] for kind in ("code", "markdown") for cell in cells(kind)}) == len(
        cells("code") + cells("markdown")
    )
    for cell in cells("markdown"):
        text = "".join(cell["source"])
        assert re.search("[a-z]{3}", text)
        assert re.search("[\u4e00-\u9fff]{2}", text), text
    for cell in cells("code"):
        ast.parse("".join(cell["source"]))
