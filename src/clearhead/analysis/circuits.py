"""The QK and OV matrices of heads as factors, and how much one head reads of what another writes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.analysis import factors
from clearhead.analysis.matrices import attention_at, site_of
from clearhead.errors import OptionError, nearest
from clearhead.language_model import LanguageModel, check_model
from clearhead.model import Network
from clearhead.model.parts.attention import Attention
from clearhead.model.parts.stream import Adds, Maps
from clearhead.products import product

CIRCUITS = ("qk", "ov")
LETTERS = ("q", "k", "v")


@dataclass(frozen=True, kw_only=True, eq=False)
class Circuit:
    """A matrix (E, E) of a head as the product of two thin factors in float64 (Elhage et al. 2021).

    kind: qk: x_E . M y_E is the score of a query at x for a key at y. ov: M y_E is what the head writes for a token y
        that it attends to
    distance: qk of rotated heads: places from the key to the query; None if it does not matter
    """

    kind: str
    layer: int
    head: int
    left_ED: Tensor
    right_DE: Tensor
    distance: int | None = None

    def __repr__(self) -> str:
        at = "" if self.distance is None else f", {self.distance} apart"
        D, E = self.right_DE.shape
        return f"Circuit({self.kind} of {self.layer}.{self.head}{at}: {E} x {E} of rank {D} at most)"

    def dense(self) -> Tensor:
        """The matrix (E, E) itself."""
        return product(self.left_ED, self.right_DE.mT)

    def between(self, left_NE: Tensor, right_ME: Tensor) -> Tensor:
        """left M right^T (N, M), for vectors: embeddings, rows of the output layer, directions.

        For qk, left are queries and right are keys. For ov, left are directions to read in the head's output, and right
        are tokens it attends to. Raises OptionError for vectors that are not as wide as the stream.
        """
        for name, x_NE in (("left", left_NE), ("right", right_ME)):
            if x_NE.ndim != 2 or x_NE.shape[1] != len(self.left_ED):
                raise OptionError(
                    f"circuit: {name} is of shape {tuple(x_NE.shape)}; it must be rows of {len(self.left_ED)} numbers, "
                    "the width of the stream"
                )
        return product(
            product(left_NE.to(self.left_ED), self.left_ED.mT), product(right_ME.to(self.left_ED), self.right_DE)
        )

    def norm(self) -> float:
        """The Frobenius norm, from the factors."""
        return float(torch.linalg.matrix_norm(factors.reader(self.left_ED, self.right_DE)))

    def singular_values(self) -> Tensor:
        """The D singular values that can be above 0, largest first."""
        return torch.linalg.svdvals(factors.reader(self.left_ED, self.right_DE))

    def eigenvalues(self) -> Tensor:
        """The D eigenvalues that can differ from 0, complex: for ov, positive ones copy, negative ones suppress."""
        return torch.linalg.eigvals(product(self.right_DE, self.left_ED.mT))


def circuit(model: LanguageModel, kind: str, layer: int, head: int, *, distance: int | None = None) -> Circuit:
    """The QK or OV matrix of a head, never multiplied out.

    kind: qk or ov
    distance: for qk, places from the key back to the query, 0 by default; it matters where queries and keys are rotated
        (below 0 if the key comes later)

    Heads that share keys and values each get those of their group. What lies between the stream and the factors is
    folded in: the weights of the norm in front, its centring if it is a LayerNorm, the weights of a norm on queries and
    keys or on what the attention gives, the rotation, the factor on q.k. What depends on the token is left out: the
    lengths that norms divide by, so the matrix is that of tokens of root mean square 1. Biases, also those by distance,
    are left out too.

    Raises OptionError for an unknown kind, layer or head, for a model without attention, or for a distance that has no
    meaning.
    """
    check_model(model, "circuit")
    if kind not in CIRCUITS:
        raise OptionError(f"circuit: there is no kind {kind!r}{nearest(kind, CIRCUITS)}")
    if distance is not None and kind == "ov":
        raise OptionError(f"circuit: distance {distance} with ov; only qk depends on the distance")
    network = model.network
    site = site_of(network, layer, head, "circuit")
    part = attention_at(network, site, "circuit")
    step = next(step for step in network.stream() if isinstance(step, Adds) and step.site == site)
    with torch.no_grad():
        if kind == "ov":
            left_ED, right_DE, turned = factors.out(part, step, head), factors.value(part, step, head), False
        else:
            left_ED, right_DE, turned = _scores_of(network, part, step, head, distance or 0)
    if distance and not turned:
        raise OptionError(
            f"circuit: distance {distance}; layer {layer} rotates no queries and keys, so this matrix does not depend "
            "on it; leave it out"
        )
    apart = (distance or 0) if turned else None
    return Circuit(kind=kind, layer=layer, head=head, left_ED=left_ED, right_DE=right_DE, distance=apart)


def _scores_of(network: Network, part: Attention, step: Adds, head: int, distance: int) -> tuple[Tensor, Tensor, bool]:
    """The factors of a QK matrix, and whether it depends on the distance."""
    query_DE, key_DE, turned = factors.query_and_key(network, part, step, head, distance)
    return part.score.factor(part.head_width) * query_DE.mT, key_DE, turned


@dataclass(frozen=True, kw_only=True, eq=False)
class Composition:
    """How much each head reads of what each earlier one writes (Elhage et al. 2021, "A Mathematical Framework").

    letter: q, k or v: which input of the later head reads
    scores_LHLH: of the earlier layer and head, then the later ones; 0 where the later is not in a later layer
    chance: the score of two matrices that have nothing to do with each other, 1 / sqrt(E)
    """

    letter: str
    scores_LHLH: Tensor
    chance: float

    def top(self, count: int = 10) -> list[tuple[tuple[int, int], tuple[int, int], float]]:
        """((layer, head) that writes, (layer, head) that reads, score) of the largest scores."""
        flat = self.scores_LHLH.flatten()
        most = flat.topk(min(count, int((flat > 0).sum())))
        found = list[tuple[tuple[int, int], tuple[int, int], float]]()
        for place, score in zip(most.indices.tolist(), most.values.tolist(), strict=True):
            place, reader = divmod(place, self.scores_LHLH.shape[3])
            place, later = divmod(place, self.scores_LHLH.shape[2])
            found.append((divmod(place, self.scores_LHLH.shape[1]), (later, reader), score))
        return found


def composition(model: LanguageModel, letter: str = "q") -> Composition:
    """||M W||_F / (||M||_F ||W||_F) for every head and every later one, from the factors.

    W is the OV matrix of the earlier head; M, of the later one, is the QK matrix transposed (``q``), the QK matrix
    (``k``) or the OV matrix (``v``). Folded in as in ``circuit``, at distance 0; where the stream itself is normalised
    (post-norm), the weights of the norms between the two as well.

    Raises OptionError for an unknown letter, and for a model that does not attend in two layers.
    """
    check_model(model, "composition")
    if letter not in LETTERS:
        raise OptionError(f"composition: there is no {letter!r}; take q, k or v")
    network = model.network
    attending = [step for step in network.stream() if isinstance(step, Adds) and isinstance(step.part, Attention)]
    if len(attending) < 2:
        raise OptionError(f"composition: it needs attention in two layers; this model has it in {len(attending)}")
    H, L = max(network.sites().values()), model.config.layers
    scores_LHLH = torch.zeros(L, H, L, H, dtype=torch.float64, device=model.device)
    written = list[tuple[int, Tensor]]()  # what each earlier layer's heads write, (H, E, D), as it stands here
    with torch.no_grad():
        for step in network.stream():
            if isinstance(step, Maps):
                if step.layer is not None:
                    written = [(layer, factors.after(step.map, out_HED)) for layer, out_HED in written]
            elif isinstance(step.part, Attention):
                part, heads = step.part, range(step.part.heads)
                reads_HDE = torch.stack([_reads(network, part, step, head, letter) for head in heads])
                for layer, out_HED in written:
                    scores_LHLH[layer, : len(out_HED), step.layer, : len(reads_HDE)] = _scores(out_HED, reads_HDE)
                written.append((step.layer, torch.stack([_writes(part, step, head) for head in heads])))
    return Composition(letter=letter, scores_LHLH=scores_LHLH.cpu(), chance=model.config.width**-0.5)


def _reads(network: Network, part: Attention, step: Adds, head: int, letter: str) -> Tensor:
    """A (D, E) matrix that gives every vector of the stream the same length as the later head's matrix does."""
    if letter == "v":
        return factors.reader(factors.out(part, step, head), factors.value(part, step, head))
    query_DE, key_DE, _ = factors.query_and_key(network, part, step, head, 0)
    return factors.reader(key_DE.mT, query_DE) if letter == "q" else factors.reader(query_DE.mT, key_DE)


def _writes(part: Attention, step: Adds, head: int) -> Tensor:
    """An (E, D) matrix with the singular values and left singular vectors of the head's OV matrix."""
    return factors.reader(factors.value(part, step, head).mT, factors.out(part, step, head).mT).mT


def _scores(out_HED: Tensor, reads_HDE: Tensor) -> Tensor:
    """||reads out||_F / (||reads||_F ||out||_F) for every pair (H, H)."""
    H, E, D = out_HED.shape
    joined_XE = out_HED.mT.reshape(H * D, E)  # all columns of all heads
    norms_HH = torch.stack([product(joined_XE, reads_DE).view(H, -1).norm(dim=-1) for reads_DE in reads_HDE], dim=1)
    return norms_HH / out_HED.flatten(1).norm(dim=-1)[:, None] / reads_HDE.flatten(1).norm(dim=-1)
