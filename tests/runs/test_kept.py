"""The models that a run folder keeps."""

import shutil
from pathlib import Path

import pytest
import torch

from clearhead import hub, runs
from clearhead.errors import FolderError
from clearhead.model import build
from clearhead.training import Evaluated, load_state, read_log


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("kept")
    (place / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    settings = {
        "model.layers": 1, "model.width": 16, "model.context": 16, "train.batch": 4, "train.evaluations": 4,
        "model.attention": {"heads": 2, "kv_heads": 2, "head_width": 8}, "model.feed_forward": {"width": 32},
    }  # fmt: skip
    run = runs.train(place / "text.txt", steps=8, out=place / "run", tokenizer="bytes", threads=1, settings=settings)
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
