"""The decoding engine: a batch of sequences, one forward pass per step."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.attend import FULL, Mask, left_padding, wide
from clearhead.errors import NotFiniteError, many
from clearhead.generation.draft import Draft, Guesser
from clearhead.generation.filters import next_ids
from clearhead.generation.lookup import Lookup
from clearhead.generation.sampling import Sampling
from clearhead.machine import check_free
from clearhead.model import Network, State, evaluating, log_probabilities
from clearhead.tap import reserve, rows


@dataclass(frozen=True, slots=True)
class Drawn:
    """One new token."""

    sequence: int  # index among the sequences given
    id: int
    logprob: float  # by the model, before temperature and filters (model.log_probabilities)


@dataclass(kw_only=True, eq=False)
class Memory:
    """The KV cache of one sequence, so that the next one is read only from where the two differ (a conversation)."""

    ids: Sequence[int] = ()  # the state covers the first state.length of these
    state: State | None = None


class Decoding:
    """A batch of left-padded sequences, each growing by a token per step until it is dropped.

    ids: the sequences so far, none empty or longer than the context length
    vocabulary, gaps: ids below ``vocabulary`` can be picked, except those in ``gaps``
    unseen: how many leading tokens the repetition penalty ignores
    lookup: guess ahead from repetitions in the text (single sequence only)
    draft: guesses ahead instead (single sequence only)
    memory: KV cache of an earlier sequence to reuse; holds this one's afterwards (single sequence only)
    numbers: the sequences' text numbers in records (``tap.reserve``)
    state: a state to continue, such as a translation's, with room for ``sampling.max_tokens``; None makes one
    read: the texts that the state has read, on which random numbers depend as on ``ids``

    Raises MemoryNeededError, with bytes needed and bytes free, before allocating anything.
    """

    def __init__(
        self,
        network: Network,
        ids: Sequence[Sequence[int]],
        sampling: Sampling,
        *,
        vocabulary: int,
        gaps: Sequence[int] = (),
        unseen: int = 0,
        lookup: bool = True,
        draft: Draft | None = None,
        memory: Memory | None = None,
        numbers: Sequence[int] | None = None,
        state: State | None = None,
        read: Sequence[Sequence[int]] = (),
    ) -> None:
        self._network, self._sampling, self._vocabulary = network, sampling, vocabulary
        self._device = network.device
        self._gaps = torch.tensor([token for token in gaps if token < vocabulary], device=self._device)
        longest = max(len(each) for each in ids)
        capacity = min(network.config.context, longest + sampling.max_tokens - 1)
        if state is None:
            _check_memory(network, len(ids), longest, capacity)
        self._sequences = list(range(len(ids)))  # which sequence each batch row holds
        self._numbers = reserve(len(ids)) if numbers is None else numbers
        self._live = set(self._sequences)
        self._starts = [longest - len(each) for each in ids]  # padding cells before each batch row's sequence
        self._state = network.state(len(ids), capacity) if state is None else state
        self._next_BT = torch.tensor(
            [[0] * start + list(each) for start, each in zip(self._starts, ids, strict=True)], device=self._device
        )
        known = [[*before, *each] for before, each in zip(read, ids, strict=True)] if read else ids
        self._draws = [_Draws(_generator(sampling.seed, each)) for each in known]
        self._seen_BV = self._first_seen(ids, unseen) if sampling.repetition_penalty != 1 else None
        # No guessing where there is a border: a failed guess beyond it would have rebuilt the KV cache for nothing.
        self._border = network.border
        self._guesser: Guesser | None = None
        if len(ids) == 1 and network.rewinds and self._border is None:
            if draft is not None:
                draft.begin(ids[0], capacity, self._guess)
                self._guesser = draft
            elif lookup:
                self._guesser = Lookup(ids[0])
        self._passed_BT = self._next_BT[:, :0]  # the ids in the state; kept only where there is a border
        self._guesses: list[int] = []
        self._aim()
        if memory is not None and self._guesser is not None:
            self._recall(memory, self._guesser)

    def _recall(self, memory: Memory, guesser: Guesser) -> None:
        """Reuses the KV cache of the shared beginning; the last token is read again for its logits."""
        if memory.state is not None:
            known = zip(memory.ids[: memory.state.length], guesser.ids[:-1], strict=False)
            same = next((place for place, (old, new) in enumerate(known) if old != new), None)
            if same is None:
                same = min(len(memory.ids), memory.state.length, len(guesser.ids) - 1)
            self._state.take(memory.state, same)
            self._next_BT = self._next_BT[:, same:]
        memory.ids, memory.state = guesser.ids, self._state

    def drop(self, sequence: int) -> None:
        """Stops drawing tokens for a sequence that is complete."""
        self._live.discard(sequence)

    @property
    def live(self) -> set[int]:
        """Sequences that are still growing."""
        return self._live

    def step(self) -> list[Drawn]:
        """The next token of every live sequence; a single sequence gets several, in order, if guesses were right.

        Raises ClearheadError if the model's logits are not finite.
        """
        with torch.inference_mode(), evaluating(self._network):
            self._make_room()
            if self._guesser is not None:
                return self._checked_step(self._guesser)
            logits_BV = self._pass(last=True)[:, -1]
            return self._drawn(*self._pick(logits_BV))

    def _checked_step(self, guesser: Guesser) -> list[Drawn]:
        """One pass over the last token and the guesses after it; guesses are kept as far as the model agrees."""
        before = self._state.length
        known = self._next_BT.shape[1]  # the prompt, or one token
        if self._guesses:
            self._next_BT = torch.cat((self._next_BT, torch.tensor([self._guesses], device=self._device)), dim=1)
        logits_BTV = self._pass(last=not self._guesses)[:, -1 - len(self._guesses) :]
        drawn: list[Drawn] = []
        for place, guess in enumerate([*self._guesses, None]):
            drawn += self._drawn(*self._pick(logits_BTV[:, place]))
            if drawn[-1].id != guess:
                break
        right = len(drawn) - 1
        self._state.rewind(before + known + right)
        guesser.checked(len(self._guesses), right)
        guesser.extend(token.id for token in drawn)
        self._guesses = guesser.guesses(self._state.capacity - self._state.length - 1)
        return drawn

    def _pass(self, *, last: bool) -> Tensor:
        """logits_BTV of the tokens that are not in the state yet (of the last one only), in float32 or wider."""
        if self._border is not None:
            self._cross(self._border)
        places_BT = None
        if self._starts_B is not None:
            cells_T = torch.arange(self._state.length, self._state.length + self._next_BT.shape[1], device=self._device)
            places_BT = (cells_T - self._starts_B[:, None]).clamp(min=0)
        with rows([self._numbers[sequence] for sequence in self._sequences]):
            logits_BTV = self._network(
                self._next_BT, mask=self._mask, places_BT=places_BT, state=self._state, last=last
            )
        return logits_BTV.to(wide(logits_BTV.dtype))

    def _cross(self, border: int) -> None:
        """Recomputes every sequence when one crosses the border: its cached keys are rotated as for a shorter text."""
        whole_BT = torch.cat((self._passed_BT, self._next_BT), dim=1)
        if any(self._state.length - start <= border < whole_BT.shape[1] - start for start in self._starts):
            self._state.rewind(0)
            self._next_BT = whole_BT
        self._passed_BT = whole_BT

    def _pick(self, logits_BV: Tensor) -> tuple[list[int], list[float]]:
        """Picks the next id of each batch row, with its log-probability; the ids are the next pass's input."""
        draws = None if self._sampling.greedy else [each.take() for each in self._draws]
        ids_B1 = self._next(logits_BV, draws, self._seen_BV).unsqueeze(1)
        if self._seen_BV is not None:
            self._seen_BV.scatter_(1, ids_B1, True)
        self._next_BT = ids_B1
        logprobs_B1 = log_probabilities(logits_BV).gather(1, ids_B1)
        return ids_B1.squeeze(1).tolist(), logprobs_B1.squeeze(1).tolist()

    def _next(self, logits_BV: Tensor, draws: list[Tensor] | None, seen_BV: Tensor | None) -> Tensor:
        """ids_B picked by the sampling settings, with a random number for each batch row unless greedy."""
        uniform_B = None if draws is None else torch.stack(draws).to(logits_BV.device)
        allowed_BV = logits_BV[:, : self._vocabulary]
        if len(self._gaps):
            allowed_BV = allowed_BV.index_fill(1, self._gaps, -torch.inf)
        return next_ids(allowed_BV, self._sampling, seen_BV=seen_BV, uniform_B=uniform_B)

    def _guess(self, logits_V: Tensor, guesses: Sequence[int]) -> int:
        """The next id after these guesses, picked from a draft's logits with the model's own random number."""
        seen_BV = self._seen_BV
        if seen_BV is not None and guesses:
            seen_BV = seen_BV.index_fill(1, torch.tensor(guesses, device=self._device), True)
        draws = None if self._sampling.greedy else [self._draws[0].ahead(len(guesses))]
        return int(self._next(logits_V.to(self._device)[None], draws, seen_BV))

    def _drawn(self, ids: list[int], logprobs: list[float]) -> list[Drawn]:
        drawn = [
            Drawn(sequence, token, logprob)
            for sequence, token, logprob in zip(self._sequences, ids, logprobs, strict=True)
            if sequence in self._live
        ]
        for token in drawn:
            if not math.isfinite(token.logprob):
                raise NotFiniteError(self._state.length)
        return drawn

    def _make_room(self) -> None:
        """Removes dropped sequences, and padding no longer needed, when half the batch is idle or the state is full.

        Moving the state costs about as much as a pass, so not every finished sequence is removed at once.
        """
        full = self._state.length + self._next_BT.shape[1] > self._state.capacity
        idle = 2 * len(self._live) <= len(self._sequences)
        if not (full or idle) or self._state.length == 0:
            return
        left = [row for row, sequence in enumerate(self._sequences) if sequence in self._live]
        first = min(self._starts[row] for row in left)
        rows_R = torch.tensor(left, device=self._device)
        self._state.select(rows_R, first)
        self._sequences = [self._sequences[row] for row in left]
        self._starts = [self._starts[row] - first for row in left]
        self._draws = [self._draws[row] for row in left]
        self._next_BT = self._next_BT[rows_R]
        self._passed_BT = self._passed_BT[rows_R, first:]
        self._seen_BV = None if self._seen_BV is None else self._seen_BV[rows_R]
        self._aim()

    def _aim(self) -> None:
        """Sets mask and starts for the current batch; without padding the model needs neither."""
        self._starts_B = torch.tensor(self._starts, device=self._device) if any(self._starts) else None
        self._mask: Mask = FULL if self._starts_B is None else left_padding(self._starts_B)

    def _first_seen(self, ids: Sequence[Sequence[int]], unseen: int) -> Tensor:
        seen_BV = torch.zeros(len(ids), self._vocabulary, dtype=torch.bool, device=self._device)
        for row, each in enumerate(ids):
            seen_BV[row, torch.tensor(each[unseen:], dtype=torch.long, device=self._device)] = True
        return seen_BV


class _Draws:
    """One sequence's random numbers in [0, 1), float64, which a draft may see before they are used."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator, self._made = generator, deque[Tensor]()

    def ahead(self, place: int) -> Tensor:
        """The number for the draw after ``place`` others."""
        while len(self._made) <= place:
            self._made.append(torch.rand((), dtype=torch.float64, generator=self._generator))
        return self._made[place]

    def take(self) -> Tensor:
        """Takes the next number."""
        self.ahead(0)
        return self._made.popleft()


def _generator(seed: int, ids: Sequence[int]) -> torch.Generator:
    """Random numbers for one sequence, seeded by the seed and its ids, so that the rest of the batch does not matter.

    torch's own seeding reads only 32 bits; a hash spreads all 64.
    """
    digest = hashlib.blake2b(repr((seed, *ids)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def _check_memory(network: Network, sequences: int, longest: int, capacity: int) -> None:
    need = network.state_bytes(sequences, capacity) + network.pass_bytes(sequences, longest)
    check_free(
        need,
        network.device,
        f"generating {many(sequences, 'text')} of up to {capacity:,} tokens together needs {need / 1e9:,.1f} GB",
        "ask for fewer tokens or fewer texts at once",
    )
