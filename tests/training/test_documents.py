"""What is predicted where documents begin and end: the evaluation of several documents, against one by one."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from clearhead.model import AttentionConfig, Decoder, DecoderConfig, FeedForwardConfig, build
from clearhead.text import NOT_COUNTED, Batch, Tokenizer, tokenize
from clearhead.training import batch_loss, evaluate
from little_tokenizers import BOS, EOS, llama3_like, llama_like, save

DOCUMENTS = ("a cat sat on the mat", "on", "", "the hat, the mat, 你好 and the cat", "a")


class Texts:
    name = "texts"

    def __init__(self, *texts: str):
        self.texts = texts

    def key(self) -> str:
        return repr(self.texts)

    def documents(self) -> Iterator[str]:
        yield from self.texts


@pytest.fixture(params=[llama_like, llama3_like], ids=["llama", "llama3"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Tokenizer:
    return Tokenizer.load(save(request.param(), tmp_path / "model"))


def sharp(tokenizer: Tokenizer, context: int) -> Decoder:
    """float64, with predictions that differ much from place to place."""
    config = DecoderConfig(
        vocabulary=tokenizer.vocab_size,
        context=context,
        layers=2,
        width=20,
        attention=AttentionConfig(heads=2, kv_heads=1, head_width=6),
        feed_forward=FeedForwardConfig(width=17),
        tied=False,
    )
    model = build(config, seed=3).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(9)
    return model


@torch.no_grad()
def alone(model: Decoder, ids: Sequence[int]) -> tuple[float, int]:
    """Nats and number of all tokens of a document but the first, from all before them."""
    logp_TV = model(torch.tensor([ids]))[0].log_softmax(dim=1)
    return -float(logp_TV[torch.arange(len(ids) - 1), torch.tensor(ids[1:], dtype=torch.long)].sum()), len(ids) - 1


def test_a_score_is_the_sum_over_the_documents_one_by_one(tokenizer: Tokenizer, tmp_path: Path):
    """Nothing is charged for the tokens between them; in training, the end of each is predicted too."""
    for taken, end in ((tokenizer, []), (tokenizer.of_documents(), [EOS])):
        tokens = tokenize([Texts(*DOCUMENTS)], taken, cache=tmp_path)
        model = sharp(tokenizer, context=len(tokens))
        each = [alone(model, [BOS, *tokenizer.encode(text), *end]) for text in DOCUMENTS]
        found = evaluate(model, tokens)
        assert found.nats == pytest.approx(sum(nats for nats, _ in each), rel=1e-9)
        assert found.tokens == sum(count for _, count in each)
        assert found.text_bytes == sum(len(text.encode()) for text in DOCUMENTS)
        assert found.bits_per_byte == pytest.approx(found.nats / math.log(2) / found.text_bytes)


@pytest.mark.parametrize("trained", [False, True], ids=["eval", "training"])
@pytest.mark.parametrize(("window", "stride"), [(16, 16), (16, 5), (9, 1), (7, 6), (1, 1), (40, 13)])
def test_windows_and_strides_by_the_definition(
    tokenizer: Tokenizer, tmp_path: Path, window: int, stride: int, trained: bool
):
    """Each token but <s> once, in the first window that reaches it, from its document's tokens in that window."""
    taken = tokenizer.of_documents() if trained else tokenizer
    tokens = tokenize([Texts(*DOCUMENTS)], taken, cache=tmp_path)
    model, ids = sharp(tokenizer, context=40), tokens.ids.tolist()
    total, count, start = 0.0, 0, 0
    for place, token in enumerate(ids):
        if token == BOS:
            start = place
            continue
        first = max(start, stride * max(0, -(-(place - window) // stride)))
        with torch.no_grad():
            total -= float(model(torch.tensor([ids[first:place]]))[0, -1].log_softmax(0)[token])
        count += 1
    found = evaluate(model, tokens, window=window, stride=stride)
    assert found.nats == pytest.approx(total, rel=1e-9)
    assert found.tokens == count == len(ids) - len(DOCUMENTS)
    assert found.text_bytes == sum(len(text.encode()) for text in DOCUMENTS)


def test_a_batch_without_a_target_has_no_loss(tokenizer: Tokenizer):
    """Windows of one token can hold nothing but </s>, after which comes <s>."""
    model = sharp(tokenizer, context=4)
    batch = Batch(
        ids_BT=torch.tensor([[EOS]]).numpy(), targets_BT=torch.tensor([[NOT_COUNTED]]).numpy(), documents_BT=None
    )
    loss = batch_loss(model, batch)
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in model.parameters())
