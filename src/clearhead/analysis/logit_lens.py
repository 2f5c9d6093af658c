"""What a model would predict at each layer and place, if the stream there were its last: the logit lens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, overload, runtime_checkable

import torch
from torch import Tensor

from clearhead.analysis.asked import PLACES, finite, predicts_next, whole
from clearhead.analysis.given import Given, Several, check_one, check_text, each_of, is_one
from clearhead.analysis.given import read as read_text
from clearhead.errors import OptionError, shown
from clearhead.language_model import LanguageModel, check_model
from clearhead.machine import check_free
from clearhead.model import evaluating, log_probabilities, needs
from clearhead.notebook import Displayed
from clearhead.tap import Site
from clearhead.watching import TokenizedText, watch

AT_ONCE = 2**22  # logits computed together


@runtime_checkable
class StreamMap(Protocol):
    """Maps the stream x_TE at a site to what the last layer would make of it."""

    def check(self, model: LanguageModel) -> None: ...

    def __call__(self, site: Site, x_TE: Tensor) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class LensCell:
    """What is read at one site and place. tokens: (label, id, probability) of the likeliest, best first.

    rank, probability: of the model's own likeliest token here; entropy, kl: as in ``Lens``
    """

    site: Site
    place: int
    tokens: tuple[tuple[str, int, float], ...]
    rank: int
    probability: float
    entropy: float
    kl: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Lens(Displayed):
    """What is read before the first layer and after each (R readings) at every place (T), on the CPU.

    tokenized: labels and ids of the T places
    sites: of the R readings; the last is the model's own output
    ids_RTN, p_RTN: the N likeliest tokens and their probabilities, best first
    final_T: the model's own likeliest token at each place; rank_RT (from 1) and final_RT, its rank and probability
    entropy_RT: in nats; kl_RT: KL(model's own || read here), in nats, 0 for the last
    labels: of every token in ids_RTN
    tuned: whether trained maps were used (Belrose et al. 2023)
    source: the text that a translator read; the places are those of its translation
    """

    tokenized: TokenizedText
    sites: tuple[Site, ...]
    ids_RTN: Tensor
    p_RTN: Tensor
    final_T: Tensor
    rank_RT: Tensor
    final_RT: Tensor
    entropy_RT: Tensor
    kl_RT: Tensor
    labels: dict[int, str]
    tuned: bool
    model: str | None = None
    source: TokenizedText | None = None

    def __getitem__(self, asked: tuple[int, int]) -> LensCell:
        """``lens[reading, place]``: reading 0 is before the first layer, reading n after n layers.

        As in transformers' ``hidden_states``; negative numbers count from the end. Raises OptionError if there is none.
        """
        row, place = asked[0], whole(asked[1], "place", PLACES)
        readings, places = self.rank_RT.shape
        if not -readings <= row < readings:
            raise OptionError(
                f"reading {row}: the lens has readings 0 (before the first layer) to {readings - 1} (after the last)"
            )
        if not -places <= place < places:
            raise OptionError(f"place {place}: the text has places 0 to {places - 1}")
        ids, p = self.ids_RTN[row, place].tolist(), self.p_RTN[row, place].tolist()
        return LensCell(
            site=self.sites[row],
            place=place % places,
            tokens=tuple((self.labels[token], token, each) for token, each in zip(ids, p, strict=True)),
            rank=int(self.rank_RT[row, place]),
            probability=float(self.final_RT[row, place]),
            entropy=float(self.entropy_RT[row, place]),
            kl=float(self.kl_RT[row, place]),
        )


@overload
def lens(
    model: LanguageModel, text: Given, *, target: str | None = None, top: int = 5, tuned: StreamMap | None = None
) -> Lens: ...
@overload
def lens(model: LanguageModel, text: Several, *, top: int = 5, tuned: StreamMap | None = None) -> list[Lens]: ...
def lens(
    model: LanguageModel,
    text: Given | Several,
    *,
    target: str | None = None,
    top: int = 5,
    tuned: StreamMap | None = None,
) -> Lens | list[Lens]:
    """Reads the residual stream before the first layer and after each, at every place (nostalgebraist 2020).

    text: a text or a row of ids, special tokens included; a list of either gives a list of lenses
    target: what a translator writes, as ``observe`` has it; its decoder is read, at each place of the target
    top: how many tokens each reading keeps
    tuned: from ``tune_lens`` or ``read_lens``: trained maps of the streams before the last layer (Belrose et al. 2023)

    The stream goes through the model's final norm and output layer; in an encoder, through the prediction head. Raises
    TextError as ``observe`` does, OptionError if the text is empty, if the model has no residual stream or predicts no
    tokens, if ``top`` is out of range or ``tuned`` was trained for another model, MemoryNeededError if the streams
    do not fit in the free memory.
    """
    check_model(model, "lens")
    if not is_one(text):
        texts = each_of(text, "lens")
        check_one(target, texts, "lens")
        return [lens(model, each, top=top, tuned=tuned) for each in texts]
    check_text(text, "lens")
    network = model.network
    if not predicts_next(network):
        needs(network, "masked tokens", "lens")
    sites = stream_sites(model)
    known = model.config.vocabulary - len(model.tokenless)
    if not 1 <= top <= known:
        raise OptionError.of("top", top, f"at least 1 and at most {known:,}")
    if not isinstance(tuned, StreamMap | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(
            f"lens: tuned is {shown(tuned)}; it must be a tuned lens: clearhead.read_lens(file, model), or one that "
            "tune_lens gave"
        )
    if tuned is not None:
        tuned.check(model)
    given = read_text(model, text, "lens", target=target)
    tokenized, ids = given.tokenized, given.ids
    _check_memory(model, given.tokens, len(sites))
    if tokenized.text is not None and given.source is None:
        model.tokenizer.note_unknown(ids)
    with torch.inference_mode(), evaluating(network):
        x_RTE = streams(model, sites, given.inputs(model))[:, 0]
        if tuned is not None:
            x_RTE = torch.stack([tuned(site, x_TE) for site, x_TE in zip(sites, x_RTE, strict=True)])
        step = max(1, AT_ONCE // model.config.vocabulary)
        blocks = [_read(model, x_RTE[:, at : at + step], top) for at in range(0, len(ids), step)]
    ids_RTN, p_RTN, final_RT, rank_RT, of_final_RT, entropy_RT, kl_RT = (
        torch.cat(each, dim=1) for each in zip(*blocks, strict=True)
    )
    return Lens(
        tokenized=tokenized,
        sites=tuple(sites),
        ids_RTN=ids_RTN,
        p_RTN=p_RTN,
        final_T=final_RT[-1],
        rank_RT=rank_RT,
        final_RT=of_final_RT,
        entropy_RT=entropy_RT,
        kl_RT=kl_RT,
        labels={token: model.labels([token])[0] for token in ids_RTN.unique().tolist()},
        tuned=tuned is not None,
        model=model.name or None,
        source=given.source,
    )


def stream_sites(model: LanguageModel) -> list[Site]:
    """The sites of the predicting stack's residual stream, in order. Raises OptionError if the model has none."""
    stack = model.stack
    sites = [site for site in model.sites() if site.stack == stack and site.kind in ("embedding", "residual")]
    if not sites or not model.network.stream():
        raise OptionError("lens: this model has no residual stream to read at each layer")
    return sites


def streams(model: LanguageModel, sites: list[Site], inputs: dict[str, Any]) -> Tensor:
    """x_RBTE: the residual stream at each site. inputs: of ``hidden``."""
    with watch(model, keep="residual") as record:
        model.network.hidden(**inputs)
    texts = [record[text] for text in record.texts]
    return torch.stack([torch.stack([text.output(site) for text in texts]) for site in sites])  # pyright: ignore[reportAttributeAccessIssue]


def divergence(logp_XV: Tensor, logq_XV: Tensor) -> Tensor:
    """KL(p || q) in nats over the last axis."""
    return (logp_XV.exp() * (logp_XV - logq_XV)).sum(-1)


def read(model: LanguageModel, x_TE: Tensor) -> Tensor:
    """The log-probabilities (T, V) if x_TE were the last stream. Raises NotFiniteError if a logit is not finite."""
    logits_TV = model.network.unembed(model.network.finish(x_TE[None]))[0]
    return log_probabilities(finite(logits_TV, len(x_TE)))


def _read(model: LanguageModel, x_RTE: Tensor, top: int) -> tuple[Tensor, ...]:
    """ids_RTN, p_RTN, the last reading's likeliest (R, T), its ranks and probabilities, entropies and divergences."""
    tokenless, found = model.tokenless, list[tuple[Tensor, ...]]()
    last_TV = read(model, x_RTE[-1])
    final_T1 = last_TV.index_fill(-1, tokenless, -torch.inf).argmax(-1, keepdim=True)
    for x_TE in x_RTE:
        logp_TV = read(model, x_TE)
        of_tokens_TV = logp_TV.index_fill(-1, tokenless, -torch.inf)
        most = of_tokens_TV.topk(top, dim=-1)
        of_final_T1 = logp_TV.gather(-1, final_T1)
        rank_T = 1 + (of_tokens_TV > of_final_T1).sum(-1)
        entropy_T = torch.special.entr(logp_TV.exp()).sum(-1)
        readings = (final_T1[:, 0], rank_T, of_final_T1[:, 0].exp(), entropy_T, divergence(last_TV, logp_TV))
        found.append((most.indices, most.values.exp(), *readings))
    return tuple(torch.stack(each).cpu() for each in zip(*found, strict=True))


def _check_memory(model: LanguageModel, places: int, sites: int) -> None:
    need = 2 * places * sites * model.config.width * model.dtype.itemsize + 16 * max(AT_ONCE, model.config.vocabulary)
    check_free(
        need,
        model.device,
        f"the streams of a text of {places:,} tokens take about {need / 1e9:.1f} GB",
        "give a shorter text",
    )
