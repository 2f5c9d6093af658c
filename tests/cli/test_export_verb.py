"""The verb export: a folder that transformers opens, whole or not at all."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from calling import Command
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, MistralConfig, MistralForCausalLM

import clearhead as ch
from clearhead import hub
from clearhead.errors import OptionError, TextError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from little_configs import QWEN3

FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
TEXT = "The quick brown fox"


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """As somebody else made it: an own layout, several ends, settings for generation, a chat template."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=257,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        max_position_embeddings=32,
        sliding_window=None,
        bos_token_id=256,
        eos_token_id=[256, 0],
        pad_token_id=3,
    )
    MistralForCausalLM(config).save_pretrained(tmp_path / "released", max_shard_size=5000)
    Tokenizer.bytes().save(tmp_path / "released")
    (tmp_path / "released" / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    GenerationConfig(temperature=0.3, top_k=7, do_sample=True, eos_token_id=[256, 0]).save_pretrained(
        tmp_path / "released"
    )
    return tmp_path / "released"


def logits(folder: Path, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Of transformers and ours, for the same folder and text."""
    ids_BT = torch.tensor([AutoTokenizer.from_pretrained(folder)(TEXT, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)(ids_BT[:, :12]).logits
        return theirs, hub.load(folder, dtype="stored")(ids_BT[:, :12])


@pytest.mark.parametrize(("dtype", "tolerance"), [("stored", 1e-5), ("float64", 3e-6), ("bfloat16", 0.05)])
def test_a_run_opens_in_transformers(command: Command, tmp_path, trained, dtype, tolerance):
    done = command("export", trained[0], "out", "--dtype", dtype)
    assert done.code == 0, done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    kind = "float32" if dtype == "stored" else dtype
    assert done.out.startswith(f"out: qwen3, {kind}, ")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == kind
    theirs, ours = logits(tmp_path / "out", getattr(torch, kind))
    assert ours.dtype == getattr(torch, kind)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=tolerance)
    whole = hub.load(trained[0]).network.state_dict()
    there = hub.load(tmp_path / "out", dtype="stored").network.state_dict()
    assert all(torch.equal(there[name], tensor.to(there[name].dtype)) for name, tensor in whole.items())


def test_a_released_model_keeps_its_metadata(command: Command, tmp_path, released):
    done = command("export", released, "out")
    assert done.code == 0, done.err
    assert done.out.startswith("out: mistral, float32, ")
    theirs, ours = logits(tmp_path / "out", torch.float32)
    before, _ = logits(released, torch.float32)
    assert torch.equal(theirs, before)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert type(model).__name__ == "MistralForCausalLM"
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (256, [256, 0], 3)
    assert (model.generation_config.temperature, model.generation_config.top_k) == (0.3, 7)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False) == "hello"


def test_what_a_killed_export_left_is_removed_by_the_next(command: Command, tmp_path, trained):
    for name in (".out.0123456789abcdef.tmp", ".other.0123456789abcdef.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{")
    assert command("export", trained[0], "out").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.0123456789abcdef.tmp", "out", "text.txt"]


def test_nothing_is_overwritten(command: Command, tmp_path, trained):
    (tmp_path / "out").mkdir()
    assert command("export", trained[0], "out").code == 0  # empty: as if it were not there
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "file").write_text("x")
    for name in ("out", "file", trained[0]):
        done = command("export", trained[0], name)
        assert (done.code, done.err) == (1, f"error: {name}: exists already; choose another name, or remove it\n")
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_not_in_the_place_of_the_working_folder(command: Command, tmp_path, trained):
    here = tmp_path / "empty"
    here.mkdir()
    for name in (".", str(here), "../empty"):
        done = command("export", trained[0], name, folder=here)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(f"error: {name}: is the current folder, which cannot be replaced; ")
    for name in ("/", ".."):
        done = command("export", trained[0], name, folder=here)
        assert (done.code, done.err) == (1, f"error: {name}: exists already; choose another name, or remove it\n")
    assert list(here.iterdir()) == []
    assert command("export", trained[0], "../other", folder=here).code == 0
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == FILES


def test_a_full_disk_leaves_nothing(command: Command, tmp_path, trained, file_limit):
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    with file_limit(9000):
        done = command("export", trained[0], "out")
    assert done.code == 1
    assert "cannot be written" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.txt"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == soft


def test_a_file_for_llama_cpp(command: Command, tmp_path, trained):
    done = command("export", trained[0], "--gguf", "model.gguf", "--bits", "8")
    assert done.code == 0, done.err
    size = (tmp_path / "model.gguf").stat().st_size / 1e6
    assert done.out == f"model.gguf: qwen3, 8 bits, {size:,.1f} MB\n"
    whole, back = hub.load(trained[0], bits=8), hub.load(tmp_path / "model.gguf")
    assert back.encode(TEXT[:8]) == whole.encode(TEXT[:8])
    assert torch.equal(back(TEXT[:8]), whole(TEXT[:8]))
    for words in (["show"], ["eval", "text.txt"], ["generate", "The", "--max-tokens", "3"], ["next", "The"]):
        verb, *rest = words
        done = command(verb, "model.gguf", *rest)
        assert (done.code, done.err.count("error")) == (0, 0), done.err
    done = command("export", "model.gguf", "out", "--dtype", "float32")
    assert done.code == 0, done.err
    torch.testing.assert_close(hub.load(tmp_path / "out")(TEXT[:8]), whole(TEXT[:8]), rtol=1e-5, atol=1e-5)
    done = command("train", "--from", "model.gguf", "text.txt")
    assert (done.code, "is not trained further" in done.err) == (1, True)


def test_a_packed_folder_is_shown_and_trained_further(command: Command, tmp_path, trained):
    done = command("export", trained[0], "out", "--bits", "8")
    assert (done.code, "8 bits" in done.out) == (0, True), done.err
    assert "MB in 8 bits" in command("show", "out").out
    (tmp_path / "more.txt").write_text("a quick brown fox\n" * 200)
    done = command("train", "--from", "out", "more.txt", "--steps", "1", "--threads", "1", "--out", "further")
    assert done.code == 0, done.err
    assert hub.load(tmp_path / "further").dtype == torch.float32


def test_a_calibrated_folder_holds_what_was_calibrated(command: Command, tmp_path: Path):
    out, config = tmp_path / "out", replace(QWEN3, vocabulary=257, width=64, context=32)
    hub.save(tmp_path / "wide", LanguageModel(build(config, seed=0), Tokenizer.bytes()))
    done = command("export", "wide", "out", "--bits", "4", "--calibrate", "text.txt")
    assert (done.code, "4 bits" in done.out) == (0, True), done.err
    model = hub.load(tmp_path / "wide")
    ch.calibrate(model, tmp_path / "text.txt", bits=4)
    opened, ids = hub.load(out), model.ids("The lazy dog")
    assert torch.equal(opened(ids), model(ids))
    command("export", "wide", "nearest", "--bits", "4")
    assert not torch.equal(opened(ids), hub.load(tmp_path / "nearest")(ids))
    with pytest.raises(OptionError, match="calibrate: the model is in 4 bits already"):
        ch.calibrate(model, tmp_path / "text.txt", bits=4)
    with pytest.raises(OptionError, match="a model in 4 bits cannot be saved as a folder"):
        hub.export(tmp_path / "again", model)
    (tmp_path / "short.txt").write_text("dog")
    with pytest.raises(TextError, match="calibrate: the text has 4 tokens; a row needs 32; give more text"):
        ch.calibrate(hub.load(tmp_path / "wide"), tmp_path / "short.txt", bits=4)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none/at/all", "out"], 1, "error: none/at/all: there is no such folder"),
        (["RUN", "text.txt/out"], 1, "error: text.txt/"),
        (["RUN", "out", "--dtype", "int8"], 2, "error: dtype: there is no 'int8'"),
        (["RUN"], 2, "error: export: give a folder to create, or --gguf and a file; one of the two"),
        (["RUN", "out", "--gguf", "a.gguf"], 2, "one of the two"),
        (["RUN", "out", "--bits", "5"], 2, "error: bits 5: weights can be rounded to 8 or 4 bits"),
        (["RUN", "out", "--calibrate", "text.txt"], 2, "error: --calibrate is for rounding to --bits in a folder"),
        (
            ["RUN", "--gguf", "a.gguf", "--bits", "4", "--calibrate", "text.txt"],
            2,
            "error: --calibrate is for rounding",
        ),
        (["RUN", "out", "--bits", "4", "--calibrate", "none.txt"], 1, "error: none.txt"),
        (["RUN", "--gguf", "a.bin"], 2, "error: a.bin: the file of a model for llama.cpp ends in .gguf; name it so"),
    ],
)
def test_bad_input(command: Command, tmp_path, trained, arguments, code, message):
    done = command("export", *(trained[0] if word == "RUN" else word for word in arguments))
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
