"""Model folders: what is in them, what comes back, and one clear error for whatever is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from little_models import GPT2, QWEN3, TOKENIZER, ids, lively, saved, with_attention

from clearhead import hub, machine
from clearhead.attend import watch
from clearhead.errors import FolderError, MemoryNeededError, OptionError
from clearhead.hub import folder as folder_module
from clearhead.tensorfile import read_tensors, write_tensors
from clearhead.text import Tokenizer

NATIVE = with_attention(QWEN3, softcap=9.0)
CONFIGS = {"qwen3": QWEN3, "gpt2": GPT2, "clearhead": NATIVE}
FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture(params=CONFIGS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of each family."""
    saved(tmp_path / "run", CONFIGS[request.param])
    return tmp_path / "run"


class TestSavedAndLoaded:
    def test_the_same_model(self, made: Path) -> None:
        loaded = hub.load(made)
        model = lively(loaded.config)
        state = loaded.transformer.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
        assert torch.equal(loaded(ids()), model(ids()))
        assert loaded.tokenizer.encode("a cab 你") == TOKENIZER.encode("a cab 你")
        assert loaded.folder == made
        assert not loaded.transformer.training
        assert torch.equal(hub.load(str(made))(ids()), model(ids()))

    def test_it_can_be_trained(self, made: Path) -> None:
        loaded = hub.load(made)
        loaded(ids()).sum().backward()
        assert all(parameter.grad is not None for parameter in loaded.transformer.parameters())

    def test_saved_again_not_a_byte_differs(self, made: Path, tmp_path: Path) -> None:
        loaded = hub.load(made)
        hub.save(tmp_path / "again", loaded.transformer, loaded.tokenizer)
        assert sorted(path.name for path in made.iterdir()) == FILES
        for name in FILES:
            assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()

    def test_the_face_of_a_loaded_model(self, made: Path) -> None:
        loaded = hub.load(made)
        cache = loaded.cache(2, 20)
        with torch.no_grad(), watch(loaded) as record:
            first = loaded(ids()[:, :5], cache=cache)
            last = loaded(ids()[:, 5:9], cache=cache, last=True)
        assert (first.shape, last.shape) == ((2, 5, 31), (2, 1, 31))
        assert {site for site, _ in record} == loaded.sites().keys()
        assert hub.read_config(made) == loaded.config
        assert hub.family(loaded.config) == json.loads((made / "config.json").read_text())["model_type"]

    def test_weights_alone(self, made: Path) -> None:
        """As a run does when it gets better: the rest of the folder stays."""
        before = {name: (made / name).read_bytes() for name in FILES}
        model = hub.load(made).transformer
        with torch.no_grad():
            model.norm.weight.mul_(2.0)
        hub.save_weights(made, model)
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
        for path in (tmp_path / "none", tmp_path / "file"):
            with pytest.raises(FolderError, match=rf"^{path}: there is no such folder; a run is made by `clearhead"):
                hub.load(path)

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
    def test_a_file(self, made: Path, name: str) -> None:
        (made / name).unlink()
        with pytest.raises(FolderError, match=rf"^{made / name}: "):
            hub.load(made)
        (made / name).mkdir()  # and a folder of its name is no better
        with pytest.raises(FolderError, match=rf"^{made / name}: "):
            hub.load(made)

    def test_everything(self, tmp_path: Path) -> None:
        with pytest.raises(FolderError, match=rf"^{tmp_path / 'config.json'}: .*is not a whole model folder"):
            hub.load(tmp_path)


class TestMemory:
    def test_too_little(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        size = 4 * hub.read_config(made).parameters()
        monkeypatch.setattr(machine, "free_memory", lambda device: size)
        hub.load(made)
        monkeypatch.setattr(machine, "free_memory", lambda device: size - 1)
        monkeypatch.setattr(folder_module, "to_ours", None)  # nothing is read first
        message = rf"^{made}: the weights need 0.0 GB in float32; 0.0 GB are free; half of it is enough in bfloat16"
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


class TestAltered:
    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
    def test_empty(self, made: Path, name: str) -> None:
        (made / name).write_bytes(b"")
        with pytest.raises(FolderError, match=rf"^{made / name}(: | and )"):
            hub.load(made)

    @pytest.mark.parametrize(
        "content",
        [
            b"[]",
            b"3",
            b'"qwen3"',
            b"null",
            b'{"model_type": "qwen3"',
            b"\xff\xfe{\x00}\x00",
            b'{"model_type": "\xff"}',
            b'\xef\xbb\xbf{"model_type": "qwen3"}',
            b'{"vocab_size": ' + b"9" * 5000 + b"}",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"model_type": "\\ud800"}',
            b"{}",
            b"\x00" * 10,
        ],
        ids=[
            "list",
            "number",
            "text",
            "null",
            "cut off",
            "UTF-16",
            "not UTF-8",
            "byte order mark",
            "a number of 5,000 digits",
            "deep lists",
            "deep tables",
            "half a character",
            "empty table",
            "zeros",
        ],
    )
    def test_a_config_that_is_none(self, made: Path, content: bytes) -> None:
        (made / "config.json").write_bytes(content)
        for read in (hub.load, hub.read_config):
            with pytest.raises(FolderError, match=rf"^{made / 'config.json'}: ") as raised:
                read(made)
            str(raised.value).encode()  # it can be printed

    def test_a_number_in_the_config(self, tmp_path: Path) -> None:
        """One digit, and every number would be wrong while all shapes fit."""
        saved(tmp_path, QWEN3)
        path = tmp_path / "config.json"
        path.write_text(path.read_text().replace('"rope_theta": 10000.0', '"rope_theta": 70000.0'))
        with pytest.raises(FolderError, match=rf"^{path} and .* were not saved together: one was altered; copy both"):
            hub.load(tmp_path)

    def test_a_token(self, made: Path) -> None:
        """Two characters that have changed places: a whole tokenizer, but not this model's."""
        other = Tokenizer.characters(["abcdefghijklmnopqrstuvwxy .\n你~"])
        assert other.vocab_size == TOKENIZER.vocab_size
        other.save(made)
        with pytest.raises(FolderError, match=rf"^{made / 'tokenizer.json'} and .* were not saved together"):
            hub.load(made)

    def test_an_id_beyond_measure(self, tmp_path: Path) -> None:
        """One digit too many: said at once, where the library would go through all ids below it."""
        TOKENIZER.save(tmp_path)
        path = tmp_path / "tokenizer.json"
        path.write_text(path.read_text().replace('": 29', '": 4000000029'))
        with pytest.raises(
            FolderError, match=rf"^{path}: altered: a token has the id 4000000029; ids lie below 16777216"
        ):
            Tokenizer.load(tmp_path)

    @pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
    def test_another_models_file(self, tmp_path: Path, name: str) -> None:
        """Copied from a model of the same shape: each file is whole, but they do not belong together."""
        saved(tmp_path / "one", QWEN3)
        hub.save(tmp_path / "other", lively(QWEN3), Tokenizer.characters(["abcdefghijklmnopqrstuvwxy .\n你~"]))
        shutil.copy(tmp_path / "other" / name, tmp_path / "one" / name)
        with pytest.raises(FolderError, match=r"tokenizer.json and .* were not saved together: one was altered"):
            hub.load(tmp_path / "one")

    def test_a_pickle_in_place_of_the_weights(self, made: Path) -> None:
        torch.save(lively(QWEN3).state_dict(), made / "model.safetensors")
        with pytest.raises(FolderError, match=r"model.safetensors: truncated or not a safetensors file"):
            hub.load(made)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of a folder of each family, as saved here."""
    folders = {name: tmp_path_factory.mktemp(name) for name in CONFIGS}
    for name, folder in folders.items():
        saved(folder, CONFIGS[name])
    return {name: content_of(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def foreign(
    content: dict[str, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, bytes]]:
    """The same without checksums of what stands beside the weights, as other tools save."""
    path = tmp_path_factory.mktemp("foreign") / "model.safetensors"
    found: dict[str, dict[str, bytes]] = {}
    for name, files in content.items():
        path.write_bytes(files[path.name])
        write_tensors(path, read_tensors(path)[0])
        found[name] = {**files, path.name: path.read_bytes()}
    return found


def flipped(draw: Callable[..., Any], content: bytes) -> bytes:
    place = draw(st.integers(0, len(content) - 1))
    return content[:place] + bytes([content[place] ^ draw(st.integers(1, 255))]) + content[place + 1 :]


def cut_off(draw: Callable[..., Any], content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content) - 1))]


def cut_out(draw: Callable[..., Any], content: bytes) -> bytes:
    start = draw(st.integers(0, len(content) - 1))
    return content[:start] + content[start + draw(st.integers(1, 40)) :]


def put_in(draw: Callable[..., Any], content: bytes) -> bytes:
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(st.binary(min_size=1, max_size=20)) + content[place:]


def a_digit(draw: Callable[..., Any], content: bytes) -> bytes:
    """What breaks no syntax."""
    places = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    if not places:
        return content[:-1]
    place = draw(st.sampled_from(places))
    return content[:place] + str(draw(st.integers(0, 10**20))).encode() + content[place + 1 :]


DAMAGES = st.sampled_from([flipped, cut_off, cut_out, put_in, a_digit])


def loaded_from(folder: Path, content: dict[str, bytes]) -> hub.LanguageModel | str:
    """The model, or what the one error that is allowed says."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, held in content.items():
        (folder / name).write_bytes(held)
    try:
        return hub.load(folder)
    except FolderError as error:
        return str(error)


@settings(max_examples=300)
@given(data=st.data(), family=st.sampled_from(sorted(CONFIGS)), name=st.sampled_from(FILES), damage=DAMAGES)
def test_whatever_is_damaged_it_is_the_same_model_or_one_error(
    data: st.DataObject,
    family: str,
    name: str,
    damage: Callable[[Any, bytes], bytes],
    content: dict[str, dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """No other exception, nothing that takes long, and never another model without a word."""
    run = tmp_path_factory.getbasetemp() / "run"
    loaded = loaded_from(run, {**content[family], name: damage(data.draw, content[family][name])})
    if isinstance(loaded, str):
        assert str(run / name) in loaded
        loaded.encode()  # it can be printed
    else:
        assert loaded.config == CONFIGS[family]
        assert torch.equal(loaded(ids()), lively(loaded.config)(ids()))
        assert loaded.tokenizer.encode("a cab. 你\n") == TOKENIZER.encode("a cab. 你\n")


@settings(max_examples=200)
@given(
    data=st.data(),
    family=st.sampled_from(sorted(CONFIGS)),
    name=st.sampled_from(["config.json", "tokenizer.json", "tokenizer_config.json"]),
    damage=DAMAGES,
)
def test_without_checksums_too_there_is_one_error_if_any(
    data: st.DataObject,
    family: str,
    name: str,
    damage: Callable[[Any, bytes], bytes],
    foreign: dict[str, dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A folder from elsewhere carries none: a changed number may pass, but what is read then runs."""
    run = tmp_path_factory.getbasetemp() / "run"
    loaded = loaded_from(run, {**foreign[family], name: damage(data.draw, foreign[family][name])})
    if isinstance(loaded, str):
        assert str(run) in loaded
        loaded.encode()
    else:
        places = min(23, loaded.config.context)
        assert loaded(ids()[:, :places]).isfinite().all()


Limit = Callable[[int], AbstractContextManager[None]]


class TestAFullDisk:
    """Each file in turn is the one that no longer fits: one error, and what stood there is still whole."""

    def test_saving_over_a_model(self, made: Path, file_limit: Limit) -> None:
        model, before = lively(hub.read_config(made)), content_of(made)
        faults = set[str]()
        for size in sorted({len(held) - 1 for held in before.values()}):
            message = r": cannot be written: .*; the file that stood there is unchanged"
            with pytest.raises(FolderError, match=message) as raised, file_limit(size):
                hub.save(made, model, TOKENIZER)
            faults.add(str(raised.value).split(":")[0])
            assert content_of(made) == before
        assert faults <= {str(made / name) for name in FILES}
        assert str(made / "model.safetensors") in faults
        hub.load(made)

    def test_saving_anew(self, tmp_path: Path, file_limit: Limit) -> None:
        with (
            pytest.raises(FolderError, match=r"model.safetensors: cannot be written: .*large.*; free"),
            file_limit(10_000),
        ):
            saved(tmp_path / "run", QWEN3)
        assert sorted(content_of(tmp_path / "run")) == [name for name in FILES if name != "model.safetensors"]

    def test_under_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for path in (tmp_path / "file", tmp_path / "file" / "run"):
            with pytest.raises(FolderError, match=r"cannot be written: Not a directory; free some space or choose"):
                saved(path, QWEN3)
        with pytest.raises(FolderError, match=r"config.json: cannot be read: No such file"):
            hub.save_weights(tmp_path / "none", lively(QWEN3))


def test_a_crash_between_the_files_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model of the same shape is being saved over this one; the process dies before the weights are."""
    saved(tmp_path, QWEN3)
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "save_weights", lambda *_: None)
        hub.save(tmp_path, lively(replace(QWEN3, norm=replace(QWEN3.norm, eps=0.5))), TOKENIZER)
    with pytest.raises(FolderError, match=r"config.json and .* were not saved together: one was altered"):
        hub.load(tmp_path)
