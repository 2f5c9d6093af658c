"""Altered folders: the same model comes back, or one error that names the file; never silently another model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from little_models import CONFIGS, FILES, QWEN3, TOKENIZER, content_of, ids, lively, saved

from clearhead import hub
from clearhead.errors import FolderError
from clearhead.language_model import LanguageModel
from clearhead.tensorfile import read_tensors, write_tensors
from clearhead.text import Tokenizer


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
            assert not any(limit in str(raised.value) for limit in ("Exceeds", "recursion")), "a limit of Python's"

    def test_a_number_in_the_config(self, tmp_path: Path) -> None:
        """One digit, and every number would be wrong while all shapes fit."""
        saved(tmp_path, QWEN3)
        path = tmp_path / "config.json"
        path.write_text(path.read_text().replace('"rope_theta": 10000.0', '"rope_theta": 70000.0'))
        with pytest.raises(FolderError, match=rf"^{path} and .* were not saved together: one was altered; copy both"):
            hub.load(tmp_path)

    def test_a_token(self, made: Path) -> None:
        """Two characters swapped: a valid tokenizer, but not this model's."""
        other = Tokenizer.characters(["abcdefghijklmnopqrstuvwxy .\n你~"])
        assert other.vocab_size == TOKENIZER.vocab_size
        other.save(made)
        with pytest.raises(FolderError, match=rf"^{made / 'tokenizer.json'} and .* were not saved together"):
            hub.load(made)

    def test_an_id_too_large(self, tmp_path: Path) -> None:
        """One digit too many: reported at once, where the library would allocate all ids below it."""
        TOKENIZER.save(tmp_path)
        path = tmp_path / "tokenizer.json"
        path.write_text(path.read_text().replace('": 29', '": 4000000029'))
        with pytest.raises(
            FolderError, match=rf"^{path}: altered: a token has the id 4000000029; ids lie below 4194304"
        ):
            Tokenizer.load(tmp_path)

    @pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
    def test_another_models_file(self, tmp_path: Path, name: str) -> None:
        """Copied from a model of the same shape: each file is whole, but they do not belong together."""
        saved(tmp_path / "one", QWEN3)
        hub.save(
            tmp_path / "other", LanguageModel(lively(QWEN3), Tokenizer.characters(["abcdefghijklmnopqrstuvwxy .\n你~"]))
        )
        shutil.copy(tmp_path / "other" / name, tmp_path / "one" / name)
        with pytest.raises(FolderError, match=r"tokenizer.json and .* were not saved together: one was altered"):
            hub.load(tmp_path / "one")

    def test_a_pickle_in_place_of_the_weights(self, made: Path) -> None:
        torch.save(lively(QWEN3).state_dict(), made / "model.safetensors")
        with pytest.raises(FolderError, match=r"model.safetensors: truncated or not a safetensors file"):
            hub.load(made)


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
    """The same without checksums, as other tools save."""
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


def loaded_from(folder: Path, content: dict[str, bytes]) -> LanguageModel | str:
    """The model, or the message of the one allowed error."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, held in content.items():
        (folder / name).write_bytes(held)
    try:
        return hub.load(folder)
    except FolderError as error:
        return str(error)


@settings(max_examples=150)
@given(data=st.data(), family=st.sampled_from(sorted(CONFIGS)), name=st.sampled_from(FILES), damage=DAMAGES)
def test_whatever_is_damaged_it_is_the_same_model_or_one_error(
    data: st.DataObject,
    family: str,
    name: str,
    damage: Callable[[Any, bytes], bytes],
    content: dict[str, dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """No other exception, nothing slow, and never silently another model."""
    run = tmp_path_factory.getbasetemp() / "run"
    loaded = loaded_from(run, {**content[family], name: damage(data.draw, content[family][name])})
    if isinstance(loaded, str):
        assert str(run / name) in loaded
        loaded.encode()  # it can be printed
    else:
        assert loaded.config == CONFIGS[family]
        assert torch.equal(loaded(ids()), lively(loaded.config)(ids()))
        assert loaded.tokenizer.encode("a cab. 你\n") == TOKENIZER.encode("a cab. 你\n")


@settings(max_examples=100)
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
    """Folders from other tools have none: a changed number may pass, but the model then runs."""
    run = tmp_path_factory.getbasetemp() / "run"
    loaded = loaded_from(run, {**foreign[family], name: damage(data.draw, foreign[family][name])})
    if isinstance(loaded, str):
        assert str(run) in loaded
        loaded.encode()
    else:
        places = min(23, loaded.config.context)
        assert loaded(ids()[:, :places]).isfinite().all()
