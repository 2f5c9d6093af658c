"""A tiny random encoder-decoder of BART's layout of transformers, against the same folder opened here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel

from clearhead import hub
from clearhead.attend import padding
from clearhead.language_model import LanguageModel
from clearhead.watching import watch

LENGTHS = [9, 6]


def texts(model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """source_BS and ids_BT."""
    generator = torch.Generator().manual_seed(7)
    source_BS = torch.randint(model.config.vocab_size, (2, 9), generator=generator)
    written = getattr(model.config, "decoder_vocab_size", model.config.vocab_size)
    return source_BS, torch.randint(written, (2, 5), generator=generator)


def passed(model: PreTrainedModel) -> Any:
    source_BS, ids_BT = texts(model)
    seen_BS = (torch.arange(9) < torch.tensor(LENGTHS)[:, None]).long()
    return model(
        input_ids=source_BS,
        attention_mask=seen_BS,
        decoder_input_ids=ids_BT,
        output_attentions=True,
        output_hidden_states=True,
    )


def logits(model: PreTrainedModel, ours: LanguageModel) -> Tensor:
    source_BS, ids_BT = texts(model)
    return ours.network(ids_BT, source_BS=source_BS, source_mask=padding(torch.tensor(LENGTHS)))


def check_pass(model: PreTrainedModel, ours: LanguageModel) -> None:
    """Logits and hidden states within 1e-5, attention rows within 1e-6."""
    out, stream = passed(model), list[Tensor]()
    network = ours.network  # transformers' last hidden state of a stack is the one after its norm
    shown = [*network.encoder.blocks[:-1], network.encoder.norm, *network.blocks[:-1], network.norm]
    handles = [each.register_forward_hook(lambda *given: stream.append(given[-1])) for each in shown]
    with watch(ours) as record:
        logits_BTV = logits(model, ours)
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(logits_BTV, out.logits, rtol=1e-5, atol=1e-5)
    theirs = [*out.encoder_hidden_states[1:], *out.decoder_hidden_states[1:]]
    for mine, other in zip(stream, theirs, strict=True):
        cells = torch.arange(other.shape[1]) < torch.tensor(LENGTHS)[:, None]
        torch.testing.assert_close(mine[cells], other[cells], rtol=1e-5, atol=1e-5)
    found = {"encoder": out.encoder_attentions, "self": out.decoder_attentions, "cross": out.cross_attentions}
    seen = 0
    for text, length in enumerate(LENGTHS):
        for site, head in record:
            kind = "encoder" if site.stack == "encoder" else site.kind
            weights_QK = found[kind][site.layer][text, head]
            weights_QK = weights_QK if kind == "self" else weights_QK[: length if kind == "encoder" else None, :length]
            torch.testing.assert_close(record.map(site, head, text)[:, :], weights_QK, rtol=0, atol=1e-6)
            seen += 1
    assert seen == 2 * sum(layer.shape[1] for layers in found.values() for layer in layers)


def check_saved(model: PreTrainedModel, ours: LanguageModel, folder: Path) -> None:
    """Saved here, opened by transformers and again here."""
    hub.save(folder, ours)
    back = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager").eval()
    assert type(back) is type(model)
    assert torch.equal(passed(back).logits, passed(model).logits)
    again = hub.load(folder)
    assert again.config == ours.config
    assert torch.equal(logits(model, again), logits(model, ours))
