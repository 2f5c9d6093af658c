"""Names on a hub: the real code of huggingface_hub against a small hub on loopback, with a cache of its own."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import huggingface_hub.constants
import pytest
import torch
from hub_server import Hub, serving
from little_models import GPT2, QWEN3, TOKENIZER, ids, lively, saved
from transformers import AutoModel, AutoModelForCausalLM, BertConfig, BertModel

import clearhead
import little_pieces
from clearhead import hub
from clearhead.errors import FolderError, OptionError, TextError
from clearhead.hub import names
from clearhead.hub.names import find, pinned
from clearhead.language_model import LanguageModel
from clearhead.text import Tokenizer

OTHERS = {"README.md": b"# a model", "pytorch_model.bin": b"a pickle", "onnx/model.onnx": b"x", "64.tflite": b"x"}
NEEDED = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model in one file and one in several, each with what nobody needs beside it, one without its weights, an
    encoder with the files of sentence-transformers, one without a tokenizer that is read, one without any, one of an
    unknown family."""
    folder = tmp_path_factory.mktemp("models")
    saved(folder / "little", QWEN3)
    saved(folder / "whole", GPT2)
    AutoModelForCausalLM.from_pretrained(folder / "whole").save_pretrained(folder / "split", max_shard_size=4000)
    TOKENIZER.save(folder / "split")
    saved(folder / "pickled", QWEN3)
    (folder / "pickled" / "model.safetensors").unlink()
    sentence_model(folder / "sentences")
    for name in ("pieces", "unknown", "alone"):
        saved(folder / name, QWEN3)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "alone" / name).unlink()
    (folder / "pieces" / "tokenizer.json").rename(folder / "pieces" / "tokenizer.model")
    (folder / "unknown" / "config.json").write_text(json.dumps({"model_type": "rwkv"}))
    for name in ("little", "split", "pickled", "sentences"):
        for other, content in OTHERS.items():
            (folder / name / other).parent.mkdir(exist_ok=True)
            (folder / name / other).write_bytes(content)
    return {"little": folder / "little"} | {
        f"people/{name}": folder / name for name in ("split", "pickled", "sentences", "pieces", "alone", "unknown")
    }


def sentence_model(folder: Path) -> None:
    """As transformers and sentence-transformers write one: the vector of a text is its first, of length 1."""
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=31,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=14,
        max_position_embeddings=23,
        initializer_range=0.5,
    )
    BertModel(shape).save_pretrained(folder)
    TOKENIZER.save(folder)
    places = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": n, "name": str(n), "path": place, "type": f"sentence_transformers.models.{name}"}
        for n, (name, place) in enumerate(places.items())
    ]
    (folder / "1_Pooling").mkdir()
    files = {"modules.json": modules, "1_Pooling/config.json": {"pooling_mode_cls_token": True}}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


@pytest.fixture
def server(models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub, and huggingface_hub as the environment variables of its name make it when it is imported."""
    with serving(Hub(models=dict(models))) as hub:
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.chdir(tmp_path)
        yield hub


class TestFetching:
    def test_a_model_in_one_file(self, server: Hub) -> None:
        loaded = clearhead.load("little")
        assert torch.equal(loaded(ids()), lively(QWEN3)(ids()))
        assert sorted(server.fetched()) == NEEDED
        assert loaded.folder.name == server.commit("little")

    def test_a_model_in_several(self, server: Hub) -> None:
        loaded = hub.load("people/split")
        assert torch.equal(loaded(ids()), lively(GPT2)(ids()))
        assert set(server.fetched()) == {path.name for path in server.files("people/split")} - {
            Path(name).name for name in OTHERS
        }

    def test_a_translator(self, server: Hub, tmp_path: Path) -> None:
        """A tokenizer for each language, which stands in three files."""
        little_pieces.marian_model(tmp_path / "opus")
        server.models["people/opus"] = tmp_path / "opus"
        found, local = hub.load("people/opus").tokenizer, Tokenizer.load(tmp_path / "opus")
        assert (found.fingerprint, found.source.encode("one")) == (local.fingerprint, local.source.encode("one"))
        assert {"source.spm", "target.spm", "vocab.json"} <= set(server.fetched())

    def test_a_sentence_model(self, server: Hub) -> None:
        """Its files are links into another folder of the cache."""
        loaded = clearhead.load("people/sentences")
        assert (loaded.folder / "1_Pooling" / "config.json").is_symlink()
        theirs, texts = AutoModel.from_pretrained(server.models["people/sentences"]).eval(), ["a cab", "no 你"]
        for text, vector in zip(texts, clearhead.vectors(loaded, texts), strict=True):
            with torch.no_grad():
                expected_E = theirs(torch.tensor([TOKENIZER.encode_document(text)])).last_hidden_state[0, 0]
            torch.testing.assert_close(vector, expected_E / expected_E.norm(), rtol=0, atol=1e-5)

    def test_the_second_time_nothing_is_fetched(self, server: Hub) -> None:
        for name in ("little", "people/split"):
            hub.load(name)
            server.seen.clear()
            hub.load(name)
            assert server.fetched() == []
            assert len(server.seen) <= 1  # is there a newer commit?

    def test_a_newer_commit(self, server: Hub, tmp_path: Path) -> None:
        first = find("little")
        other = tmp_path / "other"
        model = lively(QWEN3)
        with torch.no_grad():
            model.norm.weight.mul_(2)
        hub.save(other, LanguageModel(model, TOKENIZER))
        server.models["little"] = other
        assert find("little") != first
        assert find(pinned("little", first)) == first  # in the cache, though the hub has it no longer

    def test_a_revision(self, server: Hub) -> None:
        commit = server.commit("little")
        folder = find("little@main")
        assert folder.name == commit
        assert find(f"little@{commit}") == folder
        assert pinned("little@main", folder) == f"little@{commit}"
        with pytest.raises(
            FolderError, match=r"^little@v2: there is no such folder, and .*/little has no revision 'v2';"
        ):
            find("little@v2")

    def test_without_weights(self, server: Hub) -> None:
        folder = find("little", weights=False)
        assert sorted(server.fetched()) == [name for name in NEEDED if name != "model.safetensors"]
        assert hub.read_config(folder) == QWEN3

    def test_an_outline_needs_no_weights(self, server: Hub) -> None:
        """Before they are fetched and after."""
        before = hub.outline("little")
        assert "model.safetensors" not in server.fetched()
        hub.load("little")
        for outline in (before, hub.outline("little"), hub.outline(before.folder)):
            assert outline.config == QWEN3
            assert outline.tokenizer.encode("a cab") == TOKENIZER.encode("a cab")
            assert {(p.device.type, p.dtype) for p in outline.network.parameters()} == {("meta", torch.float32)}

    def test_an_outline_of_several_files(self, server: Hub) -> None:
        """Before they are fetched, after, and with one of them missing."""
        found = [hub.outline("people/split")]
        assert not [name for name in server.fetched() if name.endswith(".safetensors")]
        shard = sorted(hub.load("people/split").folder.glob("*.safetensors"))[0]
        found.append(hub.outline("people/split"))
        shard.unlink()
        found.append(hub.outline("people/split"))
        for outline in found:
            assert outline.config == GPT2
            assert {(p.device.type, p.dtype) for p in outline.network.parameters()} == {("meta", torch.float32)}

    def test_fetching_is_reported(self, server: Hub, caplog: pytest.LogCaptureFixture) -> None:
        for name in ("little", "people/split"):
            with caplog.at_level(logging.INFO, "clearhead"):
                folder = find(name)
                find(name)
            told = [record.getMessage() for record in caplog.records if record.name.startswith("clearhead")]
            assert told == [f"{name}: fetching it into {folder}"]
            caplog.clear()

    def test_a_folder_goes_first(self, server: Hub, tmp_path: Path) -> None:
        saved(tmp_path / "little", GPT2)
        assert hub.load("little").config == GPT2
        assert server.seen == []
        assert pinned("little", Path("little")) == "little"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    @pytest.mark.parametrize("seconds", [0.0, 60.0])
    def test_on_a_terminal_for_what_takes_long(self, seconds: float, server: Hub, monkeypatch: Any) -> None:
        monkeypatch.setattr(names, "SHOWN_AFTER", seconds)
        monkeypatch.setattr(sys, "stderr", Terminal())
        find("little")
        written = cast(Terminal, sys.stderr).getvalue()
        assert ("Fetching" in written) == (not seconds)

    def test_none_in_a_file(self, server: Hub, monkeypatch: Any) -> None:
        monkeypatch.setattr(names, "SHOWN_AFTER", 0.0)
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        find("little")
        assert cast(io.StringIO, sys.stderr).getvalue() == ""


class TestCut:
    @pytest.mark.parametrize("cuts", [[3000], [10, 4000, 10]])
    def test_continues_where_it_was(self, cuts: list[int], server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10)  # 10 MB: what is kept of a cut file
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        server.cut["model.safetensors"] = list(cuts)
        loaded = hub.load("little")
        assert torch.equal(loaded(ids()), lively(QWEN3)(ids()))
        wanted = [each for method, path, each in server.seen if (method, path[-17:]) == ("GET", "model.safetensors")]
        assert wanted == [None] + [f"bytes={sum(cuts[: n + 1])}-" for n in range(len(cuts))]

    def test_given_up_leaves_nothing_half(self, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next command has the whole files already and fetches the rest."""
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        server.cut["model.safetensors"] = [1000] + [0] * 20
        with pytest.raises(
            FolderError, match=r"^little: there is no such folder, and fetching little from .* failed \("
        ):
            hub.load("little")
        server.cut.clear()
        server.seen.clear()
        assert torch.equal(hub.load("little")(ids()), lively(QWEN3)(ids()))
        assert server.fetched() == ["model.safetensors"]


class TestRefusals:
    @pytest.mark.parametrize("name", ["ETag", "X-Linked-ETag", "X-Repo-Commit", "sha", "oid"])
    @pytest.mark.parametrize("value", ["../../../../out", "a/b", "..", "{here}/out"])
    def test_hashes_that_are_paths(self, name: str, value: str, server: Hub, tmp_path: Path) -> None:
        """huggingface_hub names files by them: nothing may appear outside its cache."""
        value = value.format(here=tmp_path)  # a folder of the test's own, should the refusal ever fail
        server.forged[name] = f'"{value}"' if name.endswith("ETag") else value
        with pytest.raises(FolderError, match=rf"127.0.0.1: its answer is not that of a hub: {name} is .*, not a hash"):
            find("little")
        assert [
            path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(tmp_path / "home")
        ] == []
        assert not list(tmp_path.rglob("out*"))

    def test_no_such_name(self, server: Hub) -> None:
        with pytest.raises(
            FolderError,
            match=rf"^people/splot: there is no such folder, and {server.url} has no model 'people/splot' for you; did "
            r"you mean 'people/split'\?; a private one needs HF_TOKEN$",
        ):
            hub.load("people/splot")
        with pytest.raises(FolderError, match=r"has no model 'x' for you; a private"):
            hub.load("x")

    def test_gated(self, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        server.gated["little"] = "hf_right"
        for token in (None, "hf_wrong"):
            if token:
                monkeypatch.setenv("HF_TOKEN", token)
            with pytest.raises(
                FolderError, match=rf"^little: its owner requires an agreement; .* {server.url}/little, then se"
            ):
                hub.load("little")
        monkeypatch.setenv("HF_TOKEN", "hf_right")
        hub.load("little")

    def test_no_weights_that_are_read(self, server: Hub) -> None:
        with pytest.raises(
            FolderError,
            match=r"^people/pickled: there is no model.safetensors; pytorch_model.bin is a pickle, which "
            r"can run .*: AutoModelForCausalLM.from_pretrained\('people/pickled'\)",
        ):
            hub.load("people/pickled")
        assert "pytorch_model.bin" not in server.fetched()

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            (
                "people/pieces",
                r"^people/pieces: there is no tokenizer.json, vocab.json, vocab.txt or spiece.model; tokenizer.model "
                r"is a SentencePiece model, .*: AutoModelForCausalLM.from_pretrained\('people/pieces'\)\.save_"
                r"pretrained\('OUT'\); AutoTokenizer.from_pretrained\('people/pieces'\)\.save",
            ),
            ("people/unknown", r"config.json: there is no model family 'rwkv'"),
        ],
    )
    def test_before_the_weights_are_fetched(self, name: str, why: str, server: Hub) -> None:
        for opened in (hub.load, hub.outline):
            with pytest.raises(FolderError, match=why):
                opened(name)
        assert not {"model.safetensors", "tokenizer.model"} & set(server.fetched())

    def test_no_tokenizer(self, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who needs one is told before the weights are fetched; who needs none gets them, and again from the cache."""
        with pytest.raises(TextError, match=r"^people/alone: the folder has no tokenizer"):
            hub.load("people/alone", text=True)
        assert "model.safetensors" not in server.fetched()
        for _ in range(2):
            model = hub.load("people/alone")
            assert not model.has_tokenizer
            assert torch.equal(model(ids()), lively(QWEN3)(ids()))
            monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def test_offline(self, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.load("little")
        server.seen.clear()
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        assert torch.equal(hub.load("little")(ids()), lively(QWEN3)(ids()))
        with pytest.raises(
            FolderError,
            match=r"^people/split: there is no such folder, the cache .* does not have all of it, and HF_HUB_OFFL",
        ):
            hub.load("people/split")
        assert server.seen == []

    @pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "weights"])
    @pytest.mark.parametrize("offline", [True, False])
    def test_a_cache_that_has_a_part(
        self, missing: str, offline: bool, server: Hub, monkeypatch: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without the list of the commit's files, which older caches lack, huggingface_hub gives what there is."""
        for name in ("little", "people/split"):
            folder = hub.load(name).folder
            each = sorted(folder.glob("*.safetensors"))[-1] if missing == "weights" else folder / missing
            each.unlink()
            shutil.rmtree(folder.parents[1] / "trees")
        if offline:
            monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        else:
            monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
            form = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", form)
            monkeypatch.setattr("time.sleep", lambda seconds: None)
        caplog.clear()
        caplog.set_level(logging.INFO, "clearhead")
        why = r"HF_HUB_OFFLINE is set" if offline else r"http://127.0.0.1:9 cannot be reached \(ConnectError: .*\)"
        way = rf"check the name \(a run is runs/NAME\), or {'unset HF_HUB_OFFLINE' if offline else 'go online'} once"
        for name in ("little", "people/split"):
            with pytest.raises(
                FolderError,
                match=rf"^{name}: there is no such folder, the cache .* does not have all of it, and {why}; {way}",
            ):
                hub.load(name)
        assert not offline or "fetching" not in caplog.text

    def test_no_network(self, server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.load("little")
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        hub.load("little")
        with pytest.raises(
            FolderError, match=r"does not have all of it, and http://127.0.0.1:9 cannot be reached \(ConnectErr"
        ):
            hub.load("people/split")

    @pytest.mark.parametrize(
        "name", ["./little", "/little", "../little", "a/b/c", "", "lit tle", "little@", "x" * 97, "é"]
    )
    def test_what_is_no_name(self, name: str, server: Hub) -> None:
        with pytest.raises(FolderError, match=r": there is no such folder; `clearhead train` makes a run"):
            hub.load(name or "none/at/all")
        assert server.seen == []

    def test_what_is_no_text(self) -> None:
        with pytest.raises(OptionError, match=r"^model: 5 was given; give a folder or a name on the hub$"):
            hub.load(5)  # pyright: ignore[reportArgumentType]

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("m/config.json", "is a file, and a model is a folder; give the one that contains it, m"),
            (
                "book.txt",
                "is a file, and a model is a folder that `clearhead train` made, or a model's name on the hub",
            ),
            ("https://huggingface.co/acme/qwen3", "is a web address; give the model's name, acme/qwen3"),
            ("https://hub.example:80/acme/qwen3/tree/main", "is a web address; give the model's name, acme/qwen3"),
            ("https://huggingface.co/gpt2", "is a web address; give the model's name, gpt2"),
            ("http://huggingface.co/gpt2/blob/main/config.json", "is a web address; give the model's name, gpt2"),
            (
                "elsewhere/none/Qwen3-0.6B",
                "for a released model give its name on the hub (OWNER/NAME) or the folder it was downloaded to",
            ),
        ],
    )
    @pytest.mark.parametrize("kind", [str, Path])
    def test_what_to_give_instead(self, name: str, said: str, kind: Any, server: Hub, tmp_path: Path) -> None:
        saved(tmp_path / "m", QWEN3)
        (tmp_path / "book.txt").write_text("a cab")
        with pytest.raises(FolderError, match=f"{re.escape(said)}$"):
            hub.load(kind(name))
        assert server.seen == []

    def test_a_folder_beside_it(self, server: Hub, tmp_path: Path) -> None:
        (tmp_path / "runs" / "book").mkdir(parents=True)
        with pytest.raises(FolderError, match=r"^runs/bok: there is no such folder; .*; did you mean 'runs/book'\?$"):
            hub.load("runs/bok")
        assert server.seen == []


def test_the_command_and_its_environment(tmp_path: Path) -> None:
    """HF_HOME, HF_ENDPOINT, HF_TOKEN as a user sets them, the transfer cut on the way; then HF_HUB_OFFLINE."""
    saved(tmp_path / "there", replace(QWEN3, vocabulary=150_000))  # 12 MB: of a cut file whole pieces of 10 MB are kept
    call = ["generate", "little", "a cab", "--max-tokens", "5", "--temperature", "0", "--threads", "1"]
    program = [sys.executable, "-c", "from clearhead.cli import main; main()", *call]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_right", "OMP_NUM_THREADS": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    there = {"little": tmp_path / "there"}
    with serving(Hub(there, gated={"little": "hf_right"}, cut={"model.safetensors": [11 * 2**20]})) as server:
        environment["HF_ENDPOINT"] = server.url
        first = subprocess.run(program, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert first.returncode == 0, first.stderr
    commit = server.commit("little")
    assert ("GET", f"/little/resolve/{commit}/model.safetensors", f"bytes={10 * 2**20}-") in server.seen
    assert f"note: little: fetching it into {tmp_path / 'home'}" in first.stderr
    offline = {**environment, "HF_HUB_OFFLINE": "1"}
    second = subprocess.run(program, capture_output=True, text=True, env=offline, cwd=tmp_path, timeout=120)
    assert second.stdout == first.stdout != ""
    assert (tmp_path / "home" / "hub" / "models--little" / "snapshots" / commit / "model.safetensors").exists()
