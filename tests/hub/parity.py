"""A tiny random model of transformers, against the same folder loaded here."""

from __future__ import annotations

from pathlib import Path

import torch
from little_models import TOKENIZER
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from clearhead import hub
from clearhead.attend import left_padding, padding
from clearhead.generation import Sampling
from clearhead.generation.decoding import Decoding
from clearhead.language_model import LanguageModel
from clearhead.watching import watch

VOCABULARY = 31
PLACES = 23
NEW = 50  # tokens written greedily


def lively(model: PreTrainedModel, seed: int = 0) -> PreTrainedModel:
    """Weights wide enough that attention is uneven; norms and biases not what they start at."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(0.7 * noise / parameter.shape[-1] ** 0.5)
            else:
                parameter.add_(0.3 * noise)
    return model.eval()


def ids(batch: int = 2, places: int = PLACES) -> Tensor:
    """ids_BT."""
    return torch.randint(VOCABULARY, (batch, places), generator=torch.Generator().manual_seed(7))


def stored(model: PreTrainedModel, folder: Path) -> LanguageModel:
    """The model as transformers saves it, opened here."""
    model.set_attn_implementation("eager")
    model.save_pretrained(folder)
    TOKENIZER.save(folder)
    return hub.load(folder)


@torch.no_grad()
def check_decoder(model: PreTrainedModel, folder: Path) -> None:
    """Logits, hidden states, attention, padding on both sides, greedy text, and the way back, all equal."""
    ours = stored(lively(model), folder / "theirs")
    assert ours.config.parameters() == model.num_parameters()
    check_pass(model, ours)
    check_padding(model, ours)
    check_greedy(model, ours)
    check_saved(model, ours, folder / "ours")


def check_pass(model: PreTrainedModel, ours: LanguageModel) -> None:
    """Logits and hidden states within 1e-5, attention rows within 1e-6."""
    out = model(ids(), output_attentions=True, output_hidden_states=True)
    stream: list[Tensor] = []
    handles = [
        block.register_forward_pre_hook(lambda _, inputs: stream.append(inputs[0])) for block in ours.network.blocks
    ]
    with watch(ours) as record:
        logits_BTV = ours(ids())
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(logits_BTV, out.logits, rtol=1e-5, atol=1e-5)
    for mine, other in zip([*stream, ours.network.hidden(ids())], out.hidden_states, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
    for site, head in record:
        for text in range(2):
            weights_QK = out.attentions[site.layer][text, head]
            torch.testing.assert_close(record.map(site, head, text)[:, :], weights_QK, rtol=0, atol=1e-6)


def check_padding(model: PreTrainedModel, ours: LanguageModel) -> None:
    """Texts of two lengths, padded on the left and on the right: the logits of the text's own places."""
    length, ids_BT = torch.tensor([PLACES, PLACES - 9]), ids()
    cells_BT = torch.arange(PLACES).expand(2, -1)
    for side in ("left", "right"):
        starts_B = PLACES - length if side == "left" else torch.zeros_like(length)
        text_BT = (cells_BT >= starts_B[:, None]) & (cells_BT < (starts_B + length)[:, None])
        places_BT = (cells_BT - starts_B[:, None]).clamp(min=0)
        expected = model(ids_BT, attention_mask=text_BT.long(), position_ids=places_BT).logits
        mask = left_padding(starts_B) if side == "left" else padding(length)
        logits_BTV = ours(ids_BT, mask=mask, places_BT=places_BT)
        torch.testing.assert_close(logits_BTV[text_BT], expected[text_BT], rtol=1e-5, atol=1e-5)


def check_greedy(model: PreTrainedModel, ours: LanguageModel) -> None:
    """50 tokens: with the cache here, without it here, and by transformers' logits for the whole text."""
    prompt = ids(1, 5)[0].tolist()
    written = greedy(ours, prompt)
    text_BT = torch.tensor([prompt + written])
    for logits_BTV in (ours(text_BT), model(text_BT).logits):
        assert logits_BTV[0, len(prompt) - 1 : -1].argmax(dim=-1).tolist() == written


def greedy(ours: LanguageModel, prompt: list[int], number: int = NEW, vocabulary: int = VOCABULARY) -> list[int]:
    """What the decoding engine writes after the prompt, token by token through its cache."""
    sampling = Sampling(temperature=0, max_tokens=number)
    decoding = Decoding(ours.network, [prompt], sampling, vocabulary=vocabulary, lookup=False)
    return [token.id for _ in range(number) for token in decoding.step()]


def check_saved(model: PreTrainedModel, ours: LanguageModel, folder: Path, tolerance: float = 0.0) -> None:
    """Saved here, opened by transformers: the same class, tensors and logits."""
    hub.save(folder, ours)
    back = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    assert type(back) is type(model)
    theirs = model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in back.state_dict().items())
    torch.testing.assert_close(back(ids()).logits, model(ids()).logits, rtol=0, atol=tolerance)
