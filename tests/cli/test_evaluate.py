"""The verb eval: its figures against a plain computation, and what it refuses."""

import json
import math

import pytest
import tokenizers
import torch
from calling import TEXT, Command
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

import clearhead as ch
from clearhead import hub
from clearhead.errors import ClearheadError, TextError
from clearhead.text import Tokenizer

OTHER = "A quick dog jumps over the fox, and the lazy fox sleeps on.\n" * 3


def by_hand(folder, *documents: str) -> tuple[float, int, int]:
    """Nats, tokens and bytes: windows of 16 tokens, each token from those before it in its window and document."""
    model = hub.load(folder)
    stream, starts = [], []
    for document in documents:
        starts.append(len(stream))
        stream += [256, *document.encode()]
    nats = 0.0
    for place in range(1, len(stream)):
        window = (place - 1) // 16 * 16
        first = max(window, max(start for start in starts if start < place))
        with torch.no_grad():
            logits_V = model(torch.tensor([stream[first:place]]))[0, -1].double()
        nats -= float(logits_V.log_softmax(0)[stream[place]])
    return nats, len(stream) - 1, sum(len(document.encode()) for document in documents)


def test_the_figures_are_those_of_a_plain_computation(command: Command, tmp_path, trained):
    (tmp_path / "other.txt").write_text(OTHER)
    done = command("eval", trained[0], "other.txt", "--threads", 1)
    nats, tokens, size = by_hand(trained[0], OTHER)
    assert done.code == 0
    assert done.err == ""
    assert done.out.splitlines() == [
        f"{nats / tokens:.4f} nats a token",
        f"{nats / math.log(2) / size:.4f} bits a byte",
        f"{math.exp(nats / tokens):,.2f} perplexity a token",
        f"over {tokens:,} tokens, {size:,} bytes, in windows of 16 tokens",
    ]


@pytest.mark.parametrize(("window", "stride"), [(15, 4), (15, 1), (15, 15), (9, 3), (15, 14)])
def test_sliding_as_in_the_perplexity_guide_of_transformers(command: Command, tmp_path, trained, window, stride):
    """Its max_length counts the last token predicted as well, which is never read: one more than --window.

    The guide: https://huggingface.co/docs/transformers/perplexity, with the loss's own number of targets.
    """
    (tmp_path / "other.txt").write_text(OTHER)
    model = AutoModelForCausalLM.from_pretrained(trained[0])
    ids_BT = torch.tensor([[256, *OTHER.encode()]])
    nats, tokens, previous = 0.0, 0, 0
    for begin in range(0, ids_BT.shape[1], stride):
        end = min(begin + window + 1, ids_BT.shape[1])
        labels_BT = ids_BT[:, begin:end].clone()
        labels_BT[:, : previous - begin if begin else 0] = -100
        with torch.no_grad():
            loss = model(ids_BT[:, begin:end], labels=labels_BT).loss
        counted = int((labels_BT[:, 1:] != -100).sum())
        nats, tokens, previous = nats + float(loss) * counted, tokens + counted, end
        if end == ids_BT.shape[1]:
            break
    done = command("eval", trained[0], "other.txt", "--window", window, "--stride", stride, "--json", "--threads", 1)
    found = json.loads(done.out)
    assert found["tokens"] == tokens == len(OTHER.encode())
    assert found["nats_per_token"] == pytest.approx(nats / tokens, rel=1e-5)
    told = command("eval", trained[0], "other.txt", "--window", window, "--stride", stride, "--threads", 1).out
    assert told.endswith(f"in windows of {window} tokens, {stride} apart\n")


def test_json_has_the_same_in_full(command: Command, tmp_path, trained):
    (tmp_path / "a.txt").write_text(OTHER)
    (tmp_path / "b.txt").write_text("你好,世界")
    done = command("eval", trained[0], "a.txt", "b.txt", "--json", "--threads", 1)
    nats, tokens, size = by_hand(trained[0], OTHER, "你好,世界")
    assert json.loads(done.out) == {
        "predicted": "token",
        "nats_per_token": pytest.approx(nats / tokens, rel=1e-5),
        "bits_per_byte": pytest.approx(nats / math.log(2) / size, rel=1e-5),
        "perplexity": pytest.approx(math.exp(nats / tokens), rel=1e-4),
        "tokens": tokens,
        "bytes": size,
    }
    assert done.out.count("\n") == 1


def test_from_python_it_is_a_value(tmp_path, trained):
    (tmp_path / "other.txt").write_text(OTHER)
    model = hub.load(trained[0])
    found = ch.evaluate(model, tmp_path / "other.txt")
    nats, tokens, size = by_hand(trained[0], OTHER)
    assert (found.tokens, found.text_bytes, found.window) == (tokens, size, 16)
    assert found.nats == pytest.approx(nats, rel=1e-5)
    assert ch.evaluate(model, [tmp_path / "other.txt"], window=9).window == 9
    with pytest.raises(TextError, match=r"nothing\.txt: no such file"):
        ch.evaluate(model, "nothing.txt")


def test_a_loss_that_overflows_is_an_error(tmp_path, trained):
    (tmp_path / "other.txt").write_text(OTHER)
    model = hub.load(trained[0])
    with torch.no_grad():
        model.network.norm.weight.fill_(math.inf)
    with pytest.raises(ClearheadError, match=r"the loss is (nan|inf): the computation overflowed"):
        ch.evaluate(model, tmp_path / "other.txt")


def test_standard_input_fields_and_encodings(command: Command, tmp_path, trained):
    plain = command("eval", trained[0], "text.txt", "--threads", 1).out
    (tmp_path / "latin.txt").write_bytes(TEXT.encode("utf-16"))
    (tmp_path / "lines.jsonl").write_text(json.dumps({"body": TEXT}) + "\n")
    assert command("eval", trained[0], "-", "--threads", 1, stdin=TEXT.encode()).out == plain
    assert command("eval", trained[0], "latin.txt", "--encoding", "utf-16", "--threads", 1).out == plain
    assert command("eval", trained[0], "lines.jsonl", "--field", "body", "--threads", 1).out == plain


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["runs/none", "text.txt"], 1, "error: runs/none: there is no such folder"),
        ([".", "text.txt"], 1, "config.json"),
        (["RUN", "none.txt"], 1, "error: none.txt: no such file"),
        (["RUN", "empty.txt"], 1, "error: empty.txt: is empty"),
        (["RUN", "binary.txt"], 1, "error: binary.txt: a NUL near byte 1"),
        (["RUN", "text.txt", "--threads", "0"], 2, "error: --threads 0: must be between 1 and 1024"),
        (["RUN", "text.txt", "--threads", "9999999999999"], 2, "must be between 1 and 1024"),
        (
            ["RUN", "text.txt", "--window", "17"],
            2,
            "error: window 17: must be 1 or more, and at most the model's 16 to",
        ),
        (["RUN", "text.txt", "--window", "0"], 2, "error: window 0: must be 1 or more"),
        (["RUN", "text.txt", "--stride", "17"], 2, "error: stride 17: must be 1 or more, and at most the window's 16"),
        (["RUN", "text.txt", "--stride", "0"], 2, "error: stride 0: must be 1 or more"),
        (
            ["RUN", "text.txt", "--dtype", "bfloat61"],
            2,
            "error: dtype: there is no 'bfloat61'; did you mean 'bfloat16'?",
        ),
        (["RUN", "text.txt", "--bits", "5"], 2, "error: bits 5: weights can be rounded to 8 or 4 bits"),
        (["RUN", "text.txt", "--encoding", "utf-9"], 2, "error: --encoding 'utf-9' is not a text encoding"),
        (["RUN", "text.txt", "--field", "body"], 2, "error: field 'body': applies to .jsonl files"),
        (["RUN", "blank.jsonl"], 1, "error: the text to evaluate on has 2 tokens"),
        (["RUN"], 2, "nothing to evaluate on: name a text, or --pairs FILE"),
    ],
)
def test_bad_input(command: Command, tmp_path, trained, arguments, code, message):
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    (tmp_path / "blank.jsonl").write_text('{"text": ""}\n' * 2)
    done = command("eval", *(trained[0] if word == "RUN" else word for word in arguments))
    assert done.code == code
    assert message in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_a_character_the_model_never_saw(command: Command, tmp_path):
    from calling import SMALL

    assert command("train", "text.txt", "--tokenizer", "characters", "--steps", 1, *SMALL[2:]).code == 0
    (tmp_path / "other.txt").write_text("The café")
    done = command("eval", "runs/text", "other.txt")
    assert done.code == 1
    assert "the character 'é' (U+00E9) in 'The café' is not among the 30" in done.err
    assert Tokenizer.load(tmp_path / "runs" / "text").kind == "characters"


def test_tokens_unknown_to_a_released_tokenizer_are_reported(command: Command, tmp_path):
    library = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocab={"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    library.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    config = GPT2Config(vocab_size=3, n_positions=50, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    library.save(str(tmp_path / "model" / "tokenizer.json"))
    (tmp_path / "x.txt").write_text("a x y b")
    done = command("eval", "model", "x.txt", "--threads", 1)
    assert (done.code, done.err) == (0, "note: 2 of 4 tokens are unknown to this tokenizer\n")


def test_a_released_tokenizer_with_gaps_and_without_a_separator(command: Command, tmp_path):
    """Its ids have holes, nothing stands before a text, and the model has more ids: N - 1 tokens are predicted."""
    places = {"a": 3, "b": 5, "c": 7, "d": 8, "Ġ": 12, "ab": 20, "cab": 33}
    library = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=places, merges=[("a", "b"), ("c", "ab")]))
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.decoder = tokenizers.decoders.ByteLevel()
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=40, n_positions=50, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(tmp_path / "model")
    library.save(str(tmp_path / "model" / "tokenizer.json"))
    (tmp_path / "cab.txt").write_text("a cab a bad cab ")
    ids = library.encode("a cab a bad cab ").ids
    assert ids == [3, 12, 33, 12, 3, 12, 5, 3, 8, 12, 33, 12]
    with torch.no_grad():
        logp_TV = model(torch.tensor([ids])).logits[0].double().log_softmax(dim=1)
    expected = -logp_TV[torch.arange(11), torch.tensor(ids[1:])].mean().item()
    done = command("eval", "model", "cab.txt", "--json", "--threads", 1)
    assert done.code == 0, done.err
    assert json.loads(done.out) == {
        "predicted": "token",
        "nats_per_token": pytest.approx(expected, rel=1e-5),
        "bits_per_byte": pytest.approx(expected * 11 / math.log(2) / 15, rel=1e-5),
        "perplexity": pytest.approx(math.exp(expected), rel=1e-4),
        "tokens": 11,
        "bytes": 15,
    }


@pytest.mark.parametrize("bits", [8, 4])
def test_what_rounding_loses(command: Command, tmp_path, trained, bits):
    """Loss and divergence against a plain computation over the logits of both models."""
    (tmp_path / "text.txt").write_text(OTHER)
    whole, rounded = hub.load(trained[0]), hub.load(trained[0], bits=bits)
    ids = torch.tensor([256, *OTHER.encode()])
    lost, divergence = 0.0, 0.0
    for start in range(0, len(ids) - 1, 16):
        window, targets = ids[start : start + 16], ids[start + 1 : start + 17]
        with torch.no_grad():
            p, q = (each(window[None])[0, : len(targets)].double().log_softmax(-1) for each in (whole, rounded))
        lost += float((p - q).gather(1, targets[:, None]).sum())
        divergence += float((p.exp() * (p - q)).sum())
    figures = json.loads(command("eval", trained[0], "text.txt", "--bits", bits, "--json").out)
    assert figures["bits"] == bits
    assert figures["lost"] == pytest.approx(lost / (len(ids) - 1), rel=0.02, abs=1e-6)
    assert figures["divergence"] == pytest.approx(divergence / (len(ids) - 1), rel=0.01, abs=1e-7)
    assert figures["divergence"] > 0
    said = command("eval", trained[0], "text.txt", "--bits", bits).out
    assert f"by rounding to {bits} bits; divergence (KL) from the unrounded model" in said
