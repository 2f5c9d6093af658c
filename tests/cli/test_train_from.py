"""train --from: training an existing model further, with its own shape and tokenizer."""

import json
import re
import tomllib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from calling import SHAPE, TEXT, Command
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from clearhead import hub
from clearhead.cli import progress
from clearhead.errors import FolderError
from clearhead.generation import generate
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.recipes import read_file, resolved
from clearhead.runs.begin import begun
from clearhead.text import Tokenizer
from clearhead.training import Evaluated, TrainConfig, memory_needed, read_log
from clearhead.training.further import beginning
from little_configs import QWEN3
from little_tokenizers import BOS, EOS, llama_like, save

STEPS = ["--steps", 10, "--threads", 1, "--set", "train.batch=4", "--set", "train.evaluations=2"]


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """As somebody else made it: bfloat16, two ends, settings for generation, a context longer than the windows."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=300, n_positions=500, n_embd=16, n_layer=2, n_head=2, eos_token_id=[256, 0])
    model = GPT2LMHeadModel(config).to(torch.bfloat16)
    model.generation_config.update(do_sample=True, top_k=7)
    model.save_pretrained(tmp_path / "released")
    Tokenizer.bytes().save(tmp_path / "released")
    return tmp_path / "released"


def nats(command: Command, model: object) -> float:
    done = command("eval", model, "text.txt", "--json", "--threads", 1, "--dtype", "float32")
    return json.loads(done.out)["nats_per_token"]


def test_a_released_model_learns_and_stays_what_it_is(command: Command, tmp_path, released):
    done = command("train", "text.txt", "--from", "released", *STEPS, "--set", "train.optimizer.adamw_lr=0.01")
    assert done.code == 0, done.err
    run = tmp_path / "runs" / "text"
    assert nats(command, run) < nats(command, "released") - 0.1
    assert re.search(r"^started from +released$", command("show", run).out, re.MULTILINE)
    recipe = resolved(tomllib.loads((run / "recipe.toml").read_text()))
    assert recipe.origin == "released"
    assert recipe.model == hub.read_config(released)
    assert recipe.train.window == beginning(recipe.model).window == 256
    assert (recipe.train.optimizer.kind, recipe.train.optimizer.adamw_lr) == ("adamw", 0.01)
    model = AutoModelForCausalLM.from_pretrained(run)
    assert type(model).__name__ == "GPT2LMHeadModel"
    assert model.config.eos_token_id == [256, 0]
    assert model.generation_config.top_k == 7
    assert model.dtype == torch.float32  # what is trained is not rounded


def test_a_long_context_asks_for_no_more_memory_than_the_windows_that_are_trained(command: Command, tmp_path):
    """A text of the whole context would take 20 TB and more."""
    config = replace(QWEN3, vocabulary=257, context=2**33)
    assert memory_needed(config, TrainConfig(steps=1, batch=1)) > 2e13
    hub.save(tmp_path / "long", LanguageModel(build(config, seed=0), Tokenizer.bytes()))
    done = command("train", "text.txt", "--from", "long", *STEPS)
    assert done.code == 0, done.err


def test_it_begins_with_the_models_own_weights(command: Command, tmp_path, trained):
    """A learning rate that changes nothing: the model at the end is the one at the beginning."""
    rate = ["--set", "train.optimizer.adamw_lr=1e-30", "--set", "train.optimizer.weight_decay=0"]
    done = command("train", "text.txt", "--from", trained[0], *STEPS, *rate, "--out", "run")
    assert done.code == 0, done.err
    before, after = (hub.load(folder).network.state_dict() for folder in (trained[0], tmp_path / "run"))
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())
    first = next(report for report in read_log(tmp_path / "run" / "log.jsonl") if isinstance(report, Evaluated))
    assert first.step == 0


def test_stopped_and_resumed_it_ends_with_the_same_bits(command: Command, tmp_path, released, monkeypatch):
    assert command("train", "text.txt", "--from", "released", *STEPS, "--out", "whole").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(progress, "interruptible", stopping_after(4))
        stopped = command("train", "text.txt", "--from", "released", *STEPS, "--out", "parts")
        assert stopped.code == 130
        assert "saved after step 4" in stopped.err
    released.rename(tmp_path / "elsewhere")  # the run has all it needs
    done = command("train", "--resume", "parts")
    assert done.code == 0, done.err
    one, other = (hub.load(tmp_path / name).network.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
    for name in ("config.json", "generation_config.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def stopping_after(steps: int):
    @contextmanager
    def interruptible(*signals: int, notice: bytes):
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return asked >= steps

        yield stop

    return interruptible


def test_the_dial_measures_that_model(command: Command, tmp_path, released):
    done = command("train", "text.txt", "--from", "released", "--minutes", 0.08, "--threads", 1)
    assert done.code == 0, done.err
    recipe = resolved(read_file(tmp_path / "runs" / "text" / "recipe.toml"))
    assert recipe.train.minutes == 0.08
    assert recipe.train.window == 256
    assert recipe.train.threads == 1
    assert recipe.train.optimizer.adamw_lr == pytest.approx(0.05 / 16, rel=0.1)
    assert "1 thread: " in done.err
    assert f"chosen: windows of 256 tokens, {recipe.train.batch} a step: about " in done.err
    assert "chosen: AdamW with a learning rate of 0.0031, set by the model's width of 16" in done.err


def test_capped_logits_are_learned_as_they_are(command: Command, tmp_path):
    """Gemma 2's soft cap on the logits: the loss in the log is that of transformers."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=257,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=16,
        sliding_window=16,
        final_logit_softcapping=0.5,
        initializer_range=0.5,
    )
    model = Gemma2ForCausalLM(config).eval()
    model.save_pretrained(tmp_path / "gemma")
    Tokenizer.bytes().save(tmp_path / "gemma")
    (tmp_path / "few.txt").write_text(TEXT[:16])
    done = command("eval", "gemma", "few.txt", "--json", "--threads", 1)
    ids_BT = torch.tensor([[256, *TEXT[:15].encode()]])
    with torch.no_grad():
        logits_TV = model(ids_BT).logits[0].double()
    targets_T = torch.tensor(list(TEXT[:16].encode()))
    expected = torch.nn.functional.cross_entropy(logits_TV, targets_T)
    assert json.loads(done.out)["nats_per_token"] == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--set", "model.layers=6"],
            2,
            "error: --from released: model.layers = 6 was set, but the model has 2, which cannot change",
        ),
        (["--set", "model.attention.heads=4"], 2, "model.attention.heads = 4 was set, but the model has 2"),
        (["--recipe", "small"], 2, "model.context = 512 was set, but the model has 500"),
        (["--tokenizer", "bytes"], 2, "tokenizer 'bytes' was given, but the model keeps its own tokenizer"),
        (["--vocabulary", "300"], 2, "vocabulary 300 was given, but the model keeps its own tokenizer"),
        (["--set", "train.window=501"], 2, "train: window is 501; it must be at most model.context, 500"),
        (["--set", "train.window=0"], 2, "train: window is 0"),
        (["--set", "orgin=x"], 2, "error: orgin: unknown; did you mean 'origin'?"),
        (["--resume", "runs/text"], 2, "continues with the run's own settings; drop the text and all other options"),
    ],
)
def test_what_cannot_be_changed(command: Command, tmp_path, released, arguments, code, message):
    done = command("train", *(() if "--resume" in arguments else ("text.txt",)), "--from", "released", *arguments)
    assert (done.code, done.err.count("\n")) == (code, 1), done.err
    assert message in done.err
    assert not (tmp_path / "runs").exists()


def test_dropout_can(command: Command, tmp_path, released):
    done = command("train", "text.txt", "--from", "released", *STEPS, "--set", "model.dropout=0.3")
    assert done.code == 0, done.err
    recipe = resolved(read_file(tmp_path / "runs" / "text" / "recipe.toml"))
    assert recipe.model == replace(hub.read_config(released), dropout=0.3)


def test_a_model_that_is_not_there(command: Command, tmp_path):
    done = command("train", "text.txt", "--from", "./none", *STEPS)
    assert (done.code, done.err.startswith("error: ./none: there is no such folder")) == (1, True)
    assert not (tmp_path / "runs").exists()


def test_another_model_under_the_name(command: Command, tmp_path, released, trained):
    assert command("train", "text.txt", "--from", released, *STEPS).code == 0
    recipe = resolved(read_file(tmp_path / "runs" / "text" / "recipe.toml"))
    with pytest.raises(FolderError, match="the model has changed since the run began; start a new run"):
        begun(replace(recipe, origin=str(trained[0])), Tokenizer.bytes())


SENTENCES = [
    f"a {beast} sat on the {place}." for beast in ("cat", "hen", "bat", "goat") for place in ("mat", "hat", "inn")
]


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """A Llama of random weights whose tokenizer puts <s> in front and nothing behind; documents.jsonl beside it."""
    library = llama_like()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=library.get_vocab_size(),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "llama")
    save(library, tmp_path / "llama")
    lines = "".join(json.dumps({"text": sentence}) + "\n" for sentence in SENTENCES * 4)
    (tmp_path / "documents.jsonl").write_text(lines)
    return tmp_path / "llama"


def test_a_model_with_two_markers_learns_to_end(command: Command, tmp_path, llama):
    """Llama was trained on <s> text </s>: what it writes ends by itself, and <s> is never written."""
    rate = ["--set", "train.optimizer.adamw_lr=0.02", "--set", "train.window=32"]
    steps = ["--steps", 60, "--threads", 1, "--set", "train.batch=16", "--set", "train.evaluations=2"]
    done = command("train", "documents.jsonl", "--from", "llama", *steps, *rate)
    assert done.code == 0, done.err
    run = tmp_path / "runs" / "documents"
    assert json.loads((run / "generation_config.json").read_text())["eos_token_id"] == EOS
    model = hub.load(run)
    prompts = ["", "a cat sat", "a hen sat on the", "a goat"]
    for seed in range(5):
        for text in generate(model, prompts, temperature=0.7, seed=seed, max_tokens=60):
            assert text.finish == "end"
            assert text.ids[-1] == EOS
            assert "<s>" not in text.text
            assert BOS not in text.ids


def test_it_continues_after_a_stop_with_the_same_documents(command: Command, tmp_path, llama, monkeypatch):
    whole = command("train", "documents.jsonl", "--from", "llama", *STEPS, "--set", "train.window=16", "--out", "whole")
    assert whole.code == 0, whole.err
    with monkeypatch.context() as patch:
        patch.setattr(progress, "interruptible", stopping_after(4))
        arguments = ["--from", "llama", *STEPS, "--set", "train.window=16", "--out", "parts"]
        assert command("train", "documents.jsonl", *arguments).code == 130
    llama.rename(tmp_path / "elsewhere")
    done = command("train", "--resume", "parts")
    assert done.code == 0, done.err
    one, other = (hub.load(tmp_path / name).network.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())


def test_a_new_model_with_such_a_tokenizer_ends_with_its_end_token(command: Command, tmp_path, llama):
    shape = [word for value in SHAPE for word in ("--set", value)]
    done = command("train", "documents.jsonl", "--tokenizer", "llama", "--steps", 2, "--threads", 1, *shape)
    assert done.code == 0, done.err
    for name in ("config.json", "generation_config.json"):
        written = json.loads((tmp_path / "runs" / "documents" / name).read_text())
        assert (written["bos_token_id"], written["eos_token_id"]) == (BOS, EOS)
