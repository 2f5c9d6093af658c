"""Model folders: what is in them, what comes back, and one clear error for what is missing or cannot be written."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from little_models import FILES, GPT2, QWEN3, TOKENIZER, content_of, ids, lively, saved

from clearhead import hub, machine
from clearhead.errors import FolderError, MemoryNeededError, OptionError
from clearhead.hub import folder as folder_module
from clearhead.language_model import LanguageModel
from clearhead.watching import watch


class TestSavedAndLoaded:
    def test_the_same_model(self, made: Path) -> None:
        loaded = hub.load(made)
        model = lively(loaded.config)
        state = loaded.network.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
        assert torch.equal(loaded(ids()), model(ids()))
        assert loaded.tokenizer.encode("a cab 你") == TOKENIZER.encode("a cab 你")
        assert loaded.folder == made
        assert not loaded.network.training
        assert torch.equal(hub.load(str(made))(ids()), model(ids()))

    def test_it_can_be_trained(self, made: Path) -> None:
        loaded = hub.load(made)
        loaded(ids()).sum().backward()
        assert all(parameter.grad is not None for parameter in loaded.network.parameters())

    def test_saved_again_not_a_byte_differs(self, made: Path, tmp_path: Path) -> None:
        loaded = hub.load(made)
        hub.save(tmp_path / "again", LanguageModel(loaded.network, loaded.tokenizer))
        assert sorted(path.name for path in made.iterdir()) == FILES
        for name in FILES:
            assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()

    def test_the_face_of_a_loaded_model(self, made: Path) -> None:
        loaded = hub.load(made)
        cache = loaded.state(2, 20)
        with torch.no_grad(), watch(loaded) as record:
            first = loaded(ids()[:, :5], state=cache)
            last = loaded(ids()[:, 5:9], state=cache, last=True)
        assert (first.shape, last.shape) == ((2, 5, 31), (2, 1, 31))
        assert {site for site, _ in record} == {site for site in loaded.sites() if site.attends}
        assert hub.read_config(made) == loaded.config
        assert hub.family(loaded.config) == json.loads((made / "config.json").read_text())["model_type"]

    def test_weights_alone(self, made: Path) -> None:
        """As a run does after a better evaluation: the rest of the folder stays."""
        before = {name: (made / name).read_bytes() for name in FILES}
        model = hub.load(made).network
        with torch.no_grad():
            model.norm.weight.mul_(2.0)
        hub.save_weights(made, LanguageModel(model, TOKENIZER))
        assert [name for name in FILES if (made / name).read_bytes() != before[name]] == ["model.safetensors"]
        assert torch.equal(hub.load(made)(ids()), model.eval()(ids()))

    def test_over_another_model(self, tmp_path: Path) -> None:
        for config in (QWEN3, GPT2):
            model = saved(tmp_path, config)
        assert hub.load(tmp_path).config == GPT2
        assert torch.equal(hub.load(tmp_path)(ids()), model(ids()))

    def test_the_ends_are_the_separator(self, made: Path) -> None:
        for name in ("config.json", "generation_config.json"):
            written = json.loads((made / name).read_text())
            assert written["bos_token_id"] == written["eos_token_id"] == TOKENIZER.separator == 30

    def test_what_says_nothing_about_the_numbers_may_be_edited(self, made: Path) -> None:
        config = json.loads((made / "config.json").read_text())
        del config["dtype"]
        config["eos_token_id"] = 7
        (made / "config.json").write_text(json.dumps(config))
        (made / "generation_config.json").unlink()
        hub.load(made)


class TestMissing:
    def test_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for name, said in {
            "none": "there is no such folder; `clearhead train` makes a run",
            "file": "is a file",
        }.items():
            with pytest.raises(FolderError, match=rf"^{tmp_path / name}: {said}"):
                hub.load(tmp_path / name)

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
    def test_a_file(self, made: Path, name: str) -> None:
        (made / name).unlink()
        with pytest.raises(FolderError, match=rf"^{made / name}: "):
            hub.load(made)
        (made / name).mkdir()  # and a folder of its name is no better
        with pytest.raises(FolderError, match=rf"^{made / name}: "):
            hub.load(made)

    def test_everything(self, tmp_path: Path) -> None:
        with pytest.raises(
            FolderError, match=rf"^{tmp_path / 'config.json'}: .*is not a complete model folder; give a run"
        ):
            hub.load(tmp_path)

    def test_a_folder_of_models_names_them(self, tmp_path: Path) -> None:
        for name in "gfedcba":
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").touch()
        first = ", ".join(str(tmp_path / name) for name in "abcde")
        with pytest.raises(FolderError, match=f"; give one that it contains: {first} and 2 more$"):
            hub.load(tmp_path)


class TestMemory:
    def test_too_little(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        size = 4 * hub.read_config(made).parameters()
        monkeypatch.setattr(machine, "free_memory", lambda device: size)
        hub.load(made)
        monkeypatch.setattr(machine, "free_memory", lambda device: size - 1)
        monkeypatch.setattr("clearhead.hub.loading.to_ours", None)  # nothing is read first
        message = rf"^{made}: the weights need 0.0 GB in float32; 0.0 GB are free; bfloat16 needs half of it"
        with pytest.raises(MemoryNeededError, match=message):
            hub.load(made)
        with pytest.raises(TypeError):  # half of it there is
            hub.load(made, dtype="bfloat16")

    def test_it_must_be_free_where_weights_are_read_and_where_they_go(
        self, made: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        monkeypatch.setattr(machine, "free_memory", lambda device: asked.append(device) or 10**9)
        hub.load(made)
        hub.load(made, device="meta")
        assert asked == ["cpu", "cpu", "meta"]


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    saved(tmp_path, QWEN3)
    for device in ("cdua", "cuda:99"):
        with pytest.raises(OptionError, match=rf"^device '{device}': "):
            hub.load(tmp_path, device=device)


Limit = Callable[[int], AbstractContextManager[None]]


class TestAFullDisk:
    """Each file in turn is the one that no longer fits: one error, and the old folder is still whole."""

    def test_saving_over_a_model(self, made: Path, file_limit: Limit) -> None:
        model, before = lively(hub.read_config(made)), content_of(made)
        faults = set[str]()
        for size in sorted({len(held) - 1 for held in before.values()}):
            message = r": cannot be written: .*; the old file is unchanged"
            with pytest.raises(FolderError, match=message) as raised, file_limit(size):
                hub.save(made, LanguageModel(model, TOKENIZER))
            faults.add(str(raised.value).split(":")[0])
            assert content_of(made) == before
        assert faults <= {str(made / name) for name in FILES}
        assert str(made / "model.safetensors") in faults
        hub.load(made)

    def test_saving_again(self, tmp_path: Path, file_limit: Limit) -> None:
        with (
            pytest.raises(FolderError, match=r"model.safetensors: cannot be written: .*large.*; free"),
            file_limit(10_000),
        ):
            saved(tmp_path / "run", QWEN3)
        assert sorted(content_of(tmp_path / "run")) == [name for name in FILES if name != "model.safetensors"]

    def test_under_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for path in (tmp_path / "file", tmp_path / "file" / "run"):
            with pytest.raises(FolderError, match=r"cannot be written: Not a directory; choose a place that can"):
                saved(path, QWEN3)
        with pytest.raises(FolderError, match=r"config.json: cannot be read: No such file"):
            hub.save_weights(tmp_path / "none", LanguageModel(lively(QWEN3), TOKENIZER))


def test_a_crash_between_the_files_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model of the same shape is being saved over this one; the process dies before the weights are."""
    saved(tmp_path, QWEN3)
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "save_weights", lambda *_, **options: None)
        hub.save(tmp_path, LanguageModel(lively(replace(QWEN3, norm=replace(QWEN3.norm, eps=0.5))), TOKENIZER))
    with pytest.raises(FolderError, match=r"config.json and .* were not saved together: one was altered"):
        hub.load(tmp_path)
