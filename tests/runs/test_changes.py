"""A recipe changed between two sessions of a run: changes are named, and refused unless accepted."""

import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w
from little_runs import TEXT

import clearhead as ch
from clearhead.errors import FolderError
from clearhead.plain import to_dict
from clearhead.recipes import resolved
from clearhead.runs.changes import differing
from clearhead.training import load_state
from clearhead.training.checkpoint import save_state
from clearhead.training.report import Stepped

SETTINGS = {
    "model.layers": 1,
    "model.width": 16,
    "model.context": 16,
    "model.attention": {"heads": 2, "kv_heads": 2, "head_width": 8},
    "model.feed_forward": {"width": 32},
    "train.batch": 4,
    "train.evaluations": 4,
}


class StopError(Exception):
    """Raised by a listener in the middle of a run."""


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps that ended after the 8th; copy it."""
    folder = tmp_path_factory.mktemp("changes")
    (folder / "a.txt").write_text(TEXT)

    def report(report: object) -> None:
        if isinstance(report, Stepped) and report.step == 8:
            raise StopError

    with pytest.raises(StopError):
        ch.train(
            folder / "a.txt",
            steps=12,
            tokenizer="bytes",
            threads=1,
            settings=SETTINGS,
            out=folder / "run",
            report=report,
        )
    return folder / "run"


@pytest.fixture
def run(cut: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut, tmp_path / "run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change(folder: Path, name: str, value: object) -> None:
    table = whole = tomllib.loads((folder / "recipe.toml").read_text())
    *parts, last = name.split(".")
    for part in parts:
        table = table[part]
    table[last] = value
    (folder / "recipe.toml").write_text(tomli_w.dumps(whole))


CHANGES = {
    "train.optimizer.lr": (0.01, 0.02),
    "train.optimizer.clip": (1.0, 2.0),
    "train.optimizer.weight_decay": (0.01, 0.1),
    "train.decay": (0.6, 0.5),
    "train.seed": (0, 1),
    "model.norm.eps": (1e-06, 1e-05),
    "model.dropout": (0.0, 0.25),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_entry_is_named_with_both_values_and_nothing_is_written(run: Path, name: str):
    old, new = CHANGES[name]
    change(run, name, new)
    before = contents(run)
    with pytest.raises(FolderError, match=re.escape(f"{name} was {old!r} and is now {new!r}; a run")) as refusal:
        ch.resume(run)
    assert "--accept-changes" in str(refusal.value)
    assert "accept_changes=True" in str(refusal.value)
    assert contents(run) == before


def test_a_missing_entry_is_called_left_out(run: Path):
    text = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(text.replace("threads = 1\n", ""))
    with pytest.raises(FolderError, match=r"train\.threads was 1 and is now left out; a run"):
        ch.resume(run)


def test_many_changes_are_counted(run: Path):
    for name, (_, new) in CHANGES.items():
        change(run, name, new)
    with pytest.raises(FolderError, match=r"\(and 2 more\); a run"):
        ch.resume(run)


def test_comments_order_and_the_way_a_number_is_written_may_change(run: Path, cut: Path):
    text = (run / "recipe.toml").read_text()
    table = tomllib.loads(text)
    turned = {name: dict(reversed(part.items())) if isinstance(part, dict) else part for name, part in table.items()}
    turned["train"]["optimizer"]["clip"] = 1
    (run / "recipe.toml").write_text("# mine\n" + tomli_w.dumps(dict(sorted(turned.items(), reverse=True))))
    whole = ch.resume(run)
    again = ch.resume(Path(shutil.copytree(cut, run.parent / "other")))
    assert whole.evaluation == again.evaluation
    assert (run / "model.safetensors").read_bytes() == (again.folder / "model.safetensors").read_bytes()


def test_accepted_changes_are_reported_and_saved_with_the_state(run: Path):
    change(run, "train.optimizer.lr", 0.02)
    lines: list[str] = []
    ch.resume(run, accept_changes=True, say=lines.append)
    assert lines[0] == "changed: train.optimizer.lr was 0.01 and is now 0.02"
    state = load_state(run / "state")
    assert state is not None
    assert state.settings["train"]["optimizer"]["lr"] == 0.02
    assert ch.resume(run).recipe.train.optimizer.lr == 0.02  # no longer a change


def test_a_state_with_settings_of_another_kind_is_one_error(run: Path):
    state = load_state(run / "state")
    assert state is not None
    shutil.rmtree(run / "state")
    save_state(run / "state", replace(state, settings={"model": 3}))
    with pytest.raises(FolderError, match="the saved state is from another version: in its recipe, model"):
        ch.resume(run)


@pytest.mark.parametrize("accept", [False, True])
def test_a_state_beyond_the_last_step_is_refused(run: Path, accept: bool):
    state = load_state(run / "state")
    assert state is not None
    save_state(run / "state", replace(state, progress=replace(state.progress, step=100_000)))
    if accept:
        change(run, "train.steps", 200_000)
    with pytest.raises(FolderError, match="state: altered: the state is of step 100,000, and its run has 12 steps;"):
        ch.resume(run, accept_changes=accept)


@pytest.mark.parametrize(("steps", "ends"), [(16, 16), (8, 8), (4, 6)])
def test_a_run_may_be_made_longer_or_shorter_on_purpose(run: Path, steps: int, ends: int):
    change(run, "train.steps", steps)
    assert ch.resume(run, accept_changes=True).reports[-1].step == ends
    again = load_state(run / "state")
    assert again is not None
    assert again.progress.step == ends


def test_a_state_of_a_run_by_minutes_may_have_any_step(run: Path):
    state = load_state(run / "state")
    assert state is not None
    train = {key: value for key, value in state.settings["train"].items() if key != "steps"} | {"minutes": 0.001}
    recipe = {**state.settings, "train": train}
    (run / "recipe.toml").write_text(tomli_w.dumps(recipe))
    progress = replace(state.progress, step=100_000, seconds=1.0)
    save_state(run / "state", replace(state, progress=progress, settings=recipe))
    assert ch.resume(run).reports[-1].step == 6


def test_differing_names_nested_entries_once():
    before = {"a": {"b": 1, "c": [1, 2]}, "d": 0}
    after = {"a": {"b": 1, "c": [1, 3], "e": True}, "f": "new"}
    assert list(differing(before, after)) == [
        ("a.c", [1, 2], [1, 3]),
        ("a.e", None, True),
        ("d", 0, None),
        ("f", None, "new"),
    ]
    assert list(differing(before, before)) == []


def test_the_state_holds_every_value_of_the_recipe(cut: Path):
    state = load_state(cut / "state")
    assert state is not None
    assert state.settings == to_dict(resolved(tomllib.loads((cut / "recipe.toml").read_text())))
