"""How many analogy questions the vectors answer, next to a control that knows only the third word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = 2**22  # cosines computed at a time: 16 MB


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The questions of one relation, or of all.

    questions: in all
    covered: those whose four words the lexicon has
    degenerate: of the covered, those whose answer is one of their own words; they are not asked
    correct: answered by 3CosAdd, the question's own words barred as answers
    free: answered by 3CosAdd with every word allowed
    neighbour: answered by the nearest neighbour of the third word alone, own words barred (Linzen 2016, "only-b")
    agreement: mean cosine between the differences b - a of any two pairs; None for fewer than two pairs
    shuffled: the same with each first word paired with the next pair's second word
    """

    relation: str
    questions: int
    covered: int
    degenerate: int
    correct: int
    free: int
    neighbour: int
    agreement: float | None
    shuffled: float | None

    @property
    def asked(self) -> int:
        """Questions that were asked."""
        return self.covered - self.degenerate


@dataclass(frozen=True, kw_only=True)
class AnalogyScore:
    """What a lexicon answers.

    lexicon: its name
    words: the number of candidate answers
    pieced: number of question words that are several tokens in the lexicon
    """

    lexicon: str
    words: int
    pieced: int
    relations: tuple[Tally, ...]

    @property
    def total(self) -> Tally:
        """All relations together; the agreements are means over the relations that have one."""
        each = self.relations
        return Tally(
            relation="all",
            questions=sum(tally.questions for tally in each),
            covered=sum(tally.covered for tally in each),
            degenerate=sum(tally.degenerate for tally in each),
            correct=sum(tally.correct for tally in each),
            free=sum(tally.free for tally in each),
            neighbour=sum(tally.neighbour for tally in each),
            agreement=_mean([tally.agreement for tally in each]),
            shuffled=_mean([tally.shuffled for tally in each]),
        )


def three_cos_add(a_QE: Tensor, b_QE: Tensor, c_QE: Tensor) -> Tensor:
    """The unit vectors of b - a + c, from vectors of length 1: the answer has the largest cosine with it (3CosAdd).

    Mikolov et al. 2013, NAACL; Levy and Goldberg 2014, eq. 1.
    """
    return F.normalize(b_QE - a_QE + c_QE, dim=-1)


def tally(relation: str, questions: int, rows: Sequence[tuple[int, int, int, int]], vectors_WE: Tensor) -> Tally:
    """Asks the covered questions, each given as the rows of its four words, by ``three_cos_add``."""
    asked = [each for each in rows if each[3] not in each[:3]]
    units_WE = F.normalize(vectors_WE, dim=1)
    correct = free = neighbour = 0
    step = max(1, CELLS // len(vectors_WE))
    for start in range(0, len(asked), step):
        rows_Q4 = torch.tensor(asked[start : start + step])
        a_Q, b_Q, c_Q, d_Q = rows_Q4.unbind(1)
        cosines_QW = three_cos_add(units_WE[a_Q], units_WE[b_Q], units_WE[c_Q]) @ units_WE.T
        free += int((cosines_QW.argmax(1) == d_Q).sum())
        cosines_QW.scatter_(1, rows_Q4[:, :3], -torch.inf)
        correct += int((cosines_QW.argmax(1) == d_Q).sum())
        nearness_QW = (units_WE[c_Q] @ units_WE.T).scatter_(1, rows_Q4[:, :3], -torch.inf)
        neighbour += int((nearness_QW.argmax(1) == d_Q).sum())
    pairs = list(dict.fromkeys(pair for row in rows for pair in (row[:2], row[2:])))
    firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
    return Tally(
        relation=relation,
        questions=questions,
        covered=len(rows),
        degenerate=len(rows) - len(asked),
        correct=correct,
        free=free,
        neighbour=neighbour,
        agreement=agreement(vectors_WE[seconds] - vectors_WE[firsts]),
        shuffled=agreement(vectors_WE[seconds[1:] + seconds[:1]] - vectors_WE[firsts]),
    )


def agreement(differences_PE: Tensor) -> float | None:
    """Mean cosine over all pairs of different rows, without those of length 0; None for fewer than two rows."""
    lengths_P = differences_PE.norm(dim=1)
    units_PE = F.normalize(differences_PE[lengths_P > 0].double(), dim=1)
    count = len(units_PE)
    if count < 2:
        return None
    # |sum of u|^2 = count + sum over i != j of u_i . u_j
    return (float(units_PE.sum(0).square().sum()) - count) / (count * (count - 1))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
