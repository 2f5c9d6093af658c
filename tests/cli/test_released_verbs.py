"""Verbs on a released model whose tokenizer puts tokens around a text: what transformers does with the same folder."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from calling import call
from tokenizers import decoders, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

TEXT = "The server crashed, and the server did not come back. 你好!"
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
FIRST = ["<s>", "</s>", "<|endoftext|>"]

# What stands in front of a text, and the end tokens that generation_config.json names.
KINDS: dict[str, tuple[list[str], list[int]]] = {
    "nothing in front": ([], [2]),
    "bos in front": (["<s>"], [1, 2]),
    "two in front": (["<|endoftext|>", "<s>"], [1]),
}


UNUSED = [3, 4, 261, 262, 263]  # transformers draws them unless told
GREEDY = {"do_sample": False, "pad_token_id": 1, "suppress_tokens": UNUSED}


def library(front: list[str]) -> tokenizers.Tokenizer:
    """Bytes after three special tokens, and two ids that stand for nothing."""
    ids = {token: n for n, token in enumerate(FIRST)} | {byte: 5 + n for n, byte in enumerate(BYTES)}
    made = tokenizers.Tokenizer(models.BPE(vocab=ids, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(FIRST)
    if front:
        known = [(token, FIRST.index(token)) for token in front]
        single = " ".join([*front, "$A"])
        made.post_processor = processors.TemplateProcessing(single=single, pair=f"{single} $B", special_tokens=known)
    return made


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    front, ends = KINDS[request.param]
    folder = tmp_path_factory.mktemp("released") / "model"
    torch.manual_seed(5)
    config = Qwen3Config(
        vocab_size=264,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=96,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=None,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    library(front).save(str(folder / "tokenizer.json"))
    roles = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": ends}))
    return folder


def both(folder: Path) -> tuple[Any, Any]:
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("prompt", [TEXT, "<s>a"])
def test_generate(folder: Path, prompt: str) -> None:
    tokenizer, model = both(folder)
    found = tokenizer(prompt, return_tensors="pt")
    ids_BT = model.generate(**found, max_new_tokens=20, **GREEDY)
    done = call("generate", folder, prompt, "--temperature", 0, "--max-tokens", 20, "--json", folder=folder.parent)
    assert json.loads(done.out)["ids"] == ids_BT[0, found["input_ids"].shape[1] :].tolist()


def test_an_empty_prompt_starts_from_the_token_for_it(folder: Path) -> None:
    tokenizer, model = both(folder)
    start = tokenizer("", return_tensors="pt")["input_ids"].long()
    ids_BT = model.generate(start if start.numel() else None, max_new_tokens=9, **GREEDY)
    done = call("generate", folder, "--temperature", 0, "--max-tokens", 9, "--json", folder=folder.parent)
    assert json.loads(done.out)["ids"] == ids_BT[0, max(1, start.shape[1]) :].tolist()


def test_a_repetition_penalty_counts_the_tokens_in_front(folder: Path) -> None:
    tokenizer, model = both(folder)
    found = tokenizer(TEXT, return_tensors="pt")
    options = {"max_new_tokens": 20, "repetition_penalty": 1.7, **GREEDY}
    ids_BT = model.generate(**found, **options)
    words = ["--temperature", 0, "--max-tokens", 20, "--repetition-penalty", 1.7, "--json"]
    done = call("generate", folder, TEXT, *words, folder=folder.parent)
    assert json.loads(done.out)["ids"] == ids_BT[0, found["input_ids"].shape[1] :].tolist()


def test_ids_that_stand_for_nothing_are_never_drawn(folder: Path) -> None:
    words = ["--temperature", 50, "--max-tokens", 60, "--seed", 1, "--json"]
    done = call("generate", folder, *map(chr, range(97, 123)), *words, folder=folder.parent)
    drawn = {token for line in done.out.splitlines() for token in json.loads(line)["ids"]}
    assert done.code == 0, done.err
    assert len(drawn) > 200
    assert not drawn & set(UNUSED)


def test_eval(folder: Path) -> None:
    """Nats per token of one document's text. With nothing in front of it, its first token is not predicted."""
    tokenizer, model = both(folder)
    ids_BT = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    front = int((ids_BT < 5).sum())
    labels_BT = torch.where(ids_BT < 5, -100, ids_BT)
    with torch.no_grad():
        expected = model(ids_BT, labels=labels_BT).loss.item()
    (folder.parent / "text.txt").write_text(TEXT)
    done = call("eval", folder, "text.txt", "--json", folder=folder.parent)
    figures = json.loads(done.out)
    assert figures["nats_per_token"] == pytest.approx(expected, abs=1e-5)
    assert figures["tokens"] == ids_BT.shape[1] - max(1, front)
    assert figures["bytes"] == len(TEXT.encode()) - (0 if front else 1)


def test_look(folder: Path) -> None:
    tokenizer, _ = both(folder)
    ids_BT = tokenizer("The server", return_tensors="pt")["input_ids"]
    done = call("look", folder, "The server", "--out", "x.json", folder=folder.parent)
    assert done.code == 0, done.err
    record = json.loads((folder.parent / "x.json").read_text())
    assert len(record["tokens"]) == ids_BT.shape[1]
    front = ids_BT.shape[1] - len("The server")
    assert record["tokens"][:front] == next(tokens for tokens, _ in KINDS.values() if len(tokens) == front)


def test_show(folder: Path) -> None:
    generation = folder / "generation_config.json"
    kept = generation.read_text()
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    generation.write_text(json.dumps({**json.loads(kept), "do_sample": True, "top_p": 0.9, "num_beams": 3}))
    done = call("show", folder, folder=folder.parent)
    (folder / "chat_template.jinja").unlink()
    generation.write_text(kept)
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in done.out.splitlines())
    (front,) = [front for front, ends in KINDS.values() if ends == json.loads(kept)["eos_token_id"]]
    assert rows["special tokens"] == "bos <s> 0, eos </s> 1"
    assert rows["around a text"] == (" ".join([*front, "text"]) if front else "nothing")
    assert rows["chat template"] == "default; works with clearhead chat"
    assert rows["generation"] == "temperature 1.0, top_k 50, top_p 0.9, num_beams = 3 (not supported)"


def test_a_released_model_keeps_its_tokenizer_template_and_settings(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "chatty")
    (copied / "chat_template.jinja").write_text("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}")
    assert call("export", copied, "again", folder=tmp_path).code == 0
    for tokenizer in (AutoTokenizer.from_pretrained(copied), AutoTokenizer.from_pretrained(tmp_path / "again")):
        assert tokenizer(TEXT)["input_ids"] == AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
        chat = [{"role": "user", "content": TEXT}]
        assert tokenizer.apply_chat_template(chat, tokenize=False) == f"<s>{TEXT}</s>"
    settings = [json.loads((place / "generation_config.json").read_text()) for place in (copied, tmp_path / "again")]
    assert settings[0] == settings[1]


def test_added_tokens_beyond_the_model_are_ignored(folder: Path, tmp_path: Path) -> None:
    """Gemma 3 has a token for pictures whose id the text model lacks."""
    copied = shutil.copytree(folder, tmp_path / "more")
    made = tokenizers.Tokenizer.from_file(str(copied / "tokenizer.json"))
    made.add_special_tokens([f"<picture {n}>" for n in range(8)])
    assert made.token_to_id("<picture 7>") >= 264
    made.save(str(copied / "tokenizer.json"))
    done = call("generate", copied, "a", "--max-tokens", 5, folder=tmp_path)
    assert done.code == 0, done.err
    done = call("generate", copied, "a<picture 7>", "--max-tokens", 5, folder=tmp_path)
    assert done.code == 1
    assert "has the id 266 ('<picture 7>'); the model has ids 0 to 263; leave it out" in done.err
