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


def begin(place: Path, name: str, origin: Path | str | None = None, keep: int | None = None) -> Path:
    """Trains a small model for 8 steps with 4 evaluations after the first."""
    (place / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    settings = {"train.batch": 4, "train.evaluations": 4}
    if origin is None:
        settings |= {
            "text.tokenizer": "bytes", "model.layers": 1, "model.width": 16, "model.context": 16,
            "model.attention": {"heads": 2, "kv_heads": 2, "head_width": 8}, "model.feed_forward": {"width": 32},
        }  # fmt: skip
    run = runs.train(
        place / "text.txt", steps=8, keep=keep, out=place / name, origin=origin, threads=1, settings=settings
    )
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


@pytest.fixture(scope="module")
def steps_kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begin(tmp_path_factory.mktemp("steps"), "run", keep=4)


class TestKeep:
    def test_each_kept_model_opens_by_its_step(self, steps_kept: Path, folder: Path):
        assert hub.steps(steps_kept) == [0, 3, 6, 8]
        first, last = ch.load(f"{steps_kept}@0"), ch.load(f"{steps_kept}@8")
        fresh, state = build(first.config, seed=0).state_dict(), load_state(steps_kept / runs.STATE)
        assert state is not None
        assert all(torch.equal(first.network.state_dict()[name], fresh[name]) for name in fresh)
        assert all(torch.equal(last.network.state_dict()[name], state.weights[name]) for name in fresh)
        assert (last.name, last.folder) == (f"{steps_kept}@8", steps_kept)
        assert ch.generate(ch.load(f"{steps_kept}@6"), "the", max_tokens=3, temperature=0)
        # The run itself is the one without kept models.
        one, other = hub.load(steps_kept).network.state_dict(), hub.load(folder).network.state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)

    def test_they_are_among_the_models_of_the_run_and_described(self, steps_kept: Path):
        models, _ = runs.kept(steps_kept)
        assert {0, 3, 6, 8} <= {each.step for each in models}
        found = ch.describe(f"{steps_kept}@6")
        assert (found.kept, found.final) == ([0, 3, 6, 8], None)
        assert found.best is not None
        assert found.best.step == 6
        assert ch.describe(f"{steps_kept}@3").best is None  # no evaluation
        assert ch.describe(steps_kept).kept == [0, 3, 6, 8]

    def test_another_run_starts_from_one(self, steps_kept: Path, tmp_path: Path):
        second = begin(tmp_path, "second", origin=f"{steps_kept}@3", keep=2)
        ours, theirs = (ch.load(f"{name}").network.state_dict() for name in (f"{second}@0", f"{steps_kept}@3"))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    def test_steps_that_are_not_there_are_refused(self, steps_kept: Path, folder: Path):
        with pytest.raises(FolderError, match=r"no model of step 7; it has those of 0, 3, 6, 8$"):
            ch.load(f"{steps_kept}@7")
        with pytest.raises(FolderError, match=r"keeps no models of its steps, so none of step 3; .*train --keep 20"):
            ch.load(f"{folder}@3")

    def test_a_renamed_file_is_refused(self, steps_kept: Path, tmp_path: Path):
        copied = shutil.copytree(steps_kept, tmp_path / "copied")
        (copied / "steps" / "000000003.safetensors").rename(copied / "steps" / "000000004.safetensors")
        with pytest.raises(FolderError, match="its name says step 4, and its contents do not"):
            ch.load(f"{copied}@4")

    def test_an_at_sign_in_a_folder_is_its_own(self, steps_kept: Path, tmp_path: Path):
        shutil.copytree(steps_kept, tmp_path / "run@6")
        assert ch.load(tmp_path / "run@6").folder == tmp_path / "run@6"
        assert ch.load(f"{tmp_path / 'run@6'}@3").name == f"{tmp_path / 'run@6'}@3"

    def test_models_after_the_state_of_a_resumed_run_are_dropped(self, steps_kept: Path, tmp_path: Path):
        """By minutes, a resumed run may keep other steps than the killed one did."""
        copied = shutil.copytree(steps_kept, tmp_path / "copied")
        hub.forget_after(copied, 5)
        assert hub.steps(copied) == [0, 3]

    def test_a_link_is_not_written_through(self, tmp_path: Path):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "steps").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(FolderError, match="is a link"):
            hub.forget_after(tmp_path / "run", 0)

    def test_the_disk_use_is_said(self, tmp_path: Path):
        lines: list[str] = []
        (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
        settings = {"text.tokenizer": "bytes", "train.batch": 4, "train.evaluations": 1, "model.context": 16}
        run = runs.train(
            tmp_path / "text.txt",
            steps=2,
            keep=3,
            out=tmp_path / "run",
            threads=1,
            settings=settings,
            say=lines.append,
        )
        size = 3 * 4 * run.model.config.parameters() / 1e6
        assert f"3 models on the way will be kept in {tmp_path / 'run' / 'steps'}: {size:,.1f} MB" in lines
        on_disk = sum(path.stat().st_size for path in (tmp_path / "run" / "steps").iterdir())
        assert on_disk == pytest.approx(1e6 * size, rel=0.02)
