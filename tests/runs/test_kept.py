"""The models that a run folder keeps."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import clearhead as ch
from clearhead import hub, runs
from clearhead.errors import FolderError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.runs import steps
from clearhead.training import Evaluated, load_state, read_log


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begin(tmp_path_factory.mktemp("kept"), "run")


def begin(place: Path, name: str, origin: Path | None = None) -> Path:
    """Trains a small model for 8 steps with 4 evaluations after the first."""
    (place / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    settings = {"train.batch": 4, "train.evaluations": 4}
    if origin is None:
        settings |= {
            "text.tokenizer": "bytes", "model.layers": 1, "model.width": 16, "model.context": 16,
            "model.attention": {"heads": 2, "kv_heads": 2, "head_width": 8}, "model.feed_forward": {"width": 32},
        }  # fmt: skip
    run = runs.train(place / "text.txt", steps=8, out=place / name, origin=origin, threads=1, settings=settings)
    return run.folder


def test_the_first_model_is_as_initialised_and_the_best_and_last_are_as_saved(folder: Path):
    models, missing = runs.kept(folder)
    evaluated = [each for each in read_log(folder / runs.LOG) if isinstance(each, Evaluated)]
    best, state = [each for each in evaluated if each.best][-1], load_state(folder / runs.STATE)
    assert state is not None
    found = {each.step: each for each in models}
    assert sorted(found) == [each.step for each in models] == sorted({0, best.step, state.progress.step})
    assert missing == sorted({each.step for each in evaluated} - set(found))
    assert missing
    fresh = build(models[0].model.config, seed=0)
    for step, weights in {
        0: fresh.state_dict(), best.step: hub.load(folder).network.state_dict(), state.progress.step: state.weights,
    }.items():  # fmt: skip
        ours = found[step].model.network.state_dict()
        assert all(torch.equal(ours[name], weights[name]) for name in ours)
    assert found[best.step].loss == best.valid_loss


def test_a_model_saved_just_before_a_kill_is_named_by_its_own_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The run ends after it saved the model of step 2 and before it logged that; state and log are of step 0."""
    saved: dict[str, torch.Tensor] = {}
    real = steps.keeper

    def keeper(folder: Path, model: LanguageModel) -> Callable[[int], None]:
        keep = real(folder, model)

        def kept(step: int) -> None:
            keep(step)
            if step:
                saved.update({name: tensor.clone() for name, tensor in model.network.state_dict().items()})
                raise SystemExit

        return kept

    monkeypatch.setattr(steps, "keeper", keeper)
    with pytest.raises(SystemExit):
        begin(tmp_path, "run")
    models, missing = runs.kept(tmp_path / "run")
    assert [(each.step, each.loss is None) for each in models] == [(0, False), (2, True)]
    assert missing == []
    ours = models[1].model.network.state_dict()
    assert all(torch.equal(ours[name], saved[name]) for name in saved)
    assert ch.describe(tmp_path / "run").best is None  # no evaluation of this model was logged


def test_without_its_origin_a_run_has_all_models_but_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    begin(tmp_path, "first")
    begin(tmp_path, "second", origin=tmp_path / "first")
    with_it, _ = runs.kept(tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    without_it, missing = runs.kept(tmp_path / "second")
    assert with_it[0].step == missing[0] == 0
    assert [each.step for each in without_it] == [each.step for each in with_it[1:]]
    assert "the model that the run started from is left out: " in caplog.text
    assert "there is no such folder" in caplog.text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(FolderError, match="not a run folder"):
        runs.kept(tmp_path)


def test_a_recipe_that_was_changed_is_refused(folder: Path, tmp_path: Path):
    """With another seed the first model would be one that the run never had."""
    changed = shutil.copytree(folder, tmp_path / "changed")
    recipe = (changed / "recipe.toml").read_text()
    (changed / "recipe.toml").write_text(recipe.replace("seed = 0", "seed = 1"))
    with pytest.raises(FolderError, match=r"train\.seed was 0 and is now 1"):
        runs.kept(changed)
