"""Speculative decoding: a smaller or rounded model guesses the next tokens (Leviathan et al. 2023).

One pass of the model checks several guesses. A guess is drawn from the draft's distribution with the random number that
the model's own draw at that place uses: where the distributions agree, so do the draws. The text is what it would be
without guessing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from clearhead.attend import wide
from clearhead.errors import OptionError
from clearhead.generation.lookup import Lookup
from clearhead.language_model import LanguageModel, check_model
from clearhead.machine import check_free
from clearhead.model import Network, State, evaluating, needs
from clearhead.tap import unwatched

# Guesses per pass: with the token before them 2, 4 or 8 rows, for which products are measured (products/choosing.py).
NUMBERS = (1, 3, 7)

Pick = Callable[[Tensor, Sequence[int]], int]


class Draft:
    """A model that reads along with another's text and guesses how it goes on.

    Both have the same tokens. ``begin`` starts a text; if it begins like the last one, only the rest is read.

    Raises OptionError, saying what differs, if the two models do not go together.
    """

    def __init__(self, model: LanguageModel, of: LanguageModel) -> None:
        _check_pair(model, of)
        self._network: Network = model.network
        self._state: State | None = None
        self._read: list[int] = []  # the ids in the state
        self._ids: list[int] = []
        self._pick: Pick | None = None
        self._level = 1
        self.guessed = self.right = 0  # tokens, of all texts

    @property
    def ids(self) -> list[int]:
        """All tokens of the text so far."""
        return self._ids

    def begin(self, ids: Sequence[int], capacity: int, pick: Pick) -> None:
        """Starts a text that has room for ``capacity`` tokens.

        pick: picks an id from logits_V, given the guesses before it. Raises MemoryNeededError.
        """
        network, capacity = self._network, min(capacity, self._network.config.context)
        shorter = min(len(self._read), len(ids) - 1)  # the last token is read again for its logits
        same = next((place for place in range(shorter) if self._read[place] != ids[place]), shorter)
        if self._state is None or self._state.capacity < capacity:
            need = network.state_bytes(1, capacity) + network.pass_bytes(1, len(ids))
            check_free(need, network.device, f"the draft needs {need / 1e9:,.1f} GB", "ask for fewer tokens")
            with torch.inference_mode():
                state = network.state(1, capacity)
                if self._state is not None:
                    state.take(self._state, same)
            self._state = state
        self._read, self._ids, self._pick = self._read[:same], list(ids), pick

    def extend(self, ids: Iterable[int]) -> None:
        """Appends tokens to the text."""
        for token in ids:
            place = len(self._ids)
            if place < len(self._read) and self._read[place] != token:
                del self._read[place:]
            self._ids.append(token)

    def guesses(self, most: int) -> list[int]:
        """The draft's next tokens, at most ``most``; fewer at the end of its context."""
        found: list[int] = []
        state, pick = self._state, self._pick
        assert state is not None
        assert pick is not None
        with torch.inference_mode(), evaluating(self._network), unwatched():
            while len(found) < min(most, NUMBERS[self._level]) and len(self._ids) + len(found) <= state.capacity:
                found.append(pick(self._logits([*self._ids, *found], state), found))
        return found

    def checked(self, guessed: int, right: int) -> None:
        """Notes how many of the last guesses were right: more next time if all, fewer if less than half."""
        self.guessed += guessed
        self.right += right
        if guessed and right == guessed:
            self._level = min(self._level + 1, len(NUMBERS) - 1)
        elif 2 * right < guessed:
            self._level = max(self._level - 1, 0)

    def _logits(self, ids: list[int], state: State) -> Tensor:
        """logits_V after these ids."""
        state.rewind(len(self._read))
        new_1T = torch.tensor([ids[len(self._read) :]], device=self._network.device)
        logits_1TV = self._network(new_1T, state=state, last=True)
        self._read = ids
        return logits_1TV[0, -1].to(wide(logits_1TV.dtype))


Guesser = Lookup | Draft


def _check_pair(draft: LanguageModel, model: LanguageModel) -> None:
    """Raises OptionError if the draft cannot guess for the model."""
    check_model(draft, "draft")
    needs(draft, "next tokens", "draft")
    for each, called in ((model, "the model"), (draft, "the draft")):
        network = each.network
        if not network.rewinds:
            raise OptionError(f"draft: the state of {called} cannot forget wrong guesses; leave the draft out")
        if network.border is not None:
            raise OptionError(
                f"draft: {called} rotates long texts differently (LongRoPE), so wrong guesses cost a pass; leave the "
                "draft out"
            )
    sizes = [min(each.tokenizer.vocab_size, each.config.vocabulary) for each in (model, draft)]
    if sizes[0] != sizes[1]:
        raise OptionError(
            f"draft: it has {sizes[1]:,} tokens, the model {sizes[0]:,}; give one with the same tokenizer"
        )
    if model.tokenizer.fingerprint == draft.tokenizer.fingerprint:
        return
    for place, (own, other) in enumerate(zip(*(each.labels(range(sizes[0])) for each in (model, draft)), strict=True)):
        if own != other:
            raise OptionError(
                f"draft: its token {place} is {other!r}, the model's is {own!r}; give one with the same tokenizer"
            )
