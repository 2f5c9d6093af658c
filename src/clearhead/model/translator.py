"""What every model that translates shares: a pass is given a source, or a state that has read one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

import torch
from torch import Tensor

from clearhead.attend import FULL, Mask, padding
from clearhead.errors import RequestError
from clearhead.model.cache import Cache
from clearhead.model.evaluating import evaluating
from clearhead.model.parts.source import Source
from clearhead.model.protocol import Network
from clearhead.model.state import State
from clearhead.tap import watchers


class Translator(Network):
    """Logits of the target's next token, given a source: as ``source_BS``, or read before, in the state."""

    resumes: ClassVar[bool] = False

    @abstractmethod
    def read(self, source_BS: Tensor, mask: Mask = FULL, *, keep: bool = False) -> Source:
        """The source, encoded. ``mask`` hides padding; ``keep`` stores keys and values for further passes.

        Raises RequestError for ids that ``forward`` would refuse.
        """

    def project(self, source: Source) -> None:
        """Computes what every layer needs of the source, if passes can be replayed; else the first pass does."""

    def replayed(self, ids_BT: Tensor, state: State) -> Tensor | None:
        """logits_BTV of new tokens, if their pass can be replayed."""
        return None

    def translating(
        self, sources: Sequence[Sequence[int]], capacity: int, beams: int = 1, *, known: State | None = None
    ) -> Cache:
        """As ``Network.translating``."""
        lengths = [len(ids) for ids in sources]
        padded = [[*ids, *[0] * (max(lengths) - len(ids))] for ids in sources]
        mask = FULL if len(set(lengths)) == 1 else padding(torch.tensor(lengths, device=self.device))
        apart = bool(watchers())  # a record has maps of each beam, so each beam gets its own row of the source
        again = None if apart or len(sources) > 1 else self._fitting(known, capacity, beams)
        state = again or cast(Cache, self.empty_state(len(sources) * (1 if apart else beams), capacity))
        with torch.inference_mode(), evaluating(self):
            source = self.read(torch.tensor(padded, device=self.device), mask, keep=True)
            source = source if apart else replace(source, beams=beams)
            if again is not None and again.source is not None:
                source.memory = again.source.memory
                again.rewind(0)
            self.project(source)
        state.source = source
        if apart and beams > 1:
            state.select(torch.arange(len(sources), device=self.device).repeat_interleave(beams), 0)
        return state

    def _fitting(self, known: State | None, capacity: int, rows: int) -> Cache | None:
        """The state of an earlier text, with what was recorded, if it can hold the next one."""
        if not isinstance(known, Cache) or not known.fits(rows, capacity):
            return None
        return known if (known.k_LBGKD.dtype, known.k_LBGKD.device) == (self.dtype, self.device) else None

    def forward(
        self,
        ids_BT: Tensor,
        *,
        targets_BT: Tensor | None = None,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
        last: bool = False,
        smoothing: float = 0.0,
        source_BS: Tensor | None = None,
        source_mask: Mask = FULL,
    ) -> Tensor:
        """As ``Network.forward``. ``source_mask`` hides padding of the source.

        Raises RequestError as it does, and if no source is given, or one besides a state's.
        """
        if state is not None and source_BS is None and targets_BT is places_BT is types_BT is None and not mask.parts:
            logits_BTV = self.replayed(ids_BT, state)
            if logits_BTV is not None:
                return logits_BTV
        x_BTE = self.hidden(
            ids_BT,
            mask=mask,
            places_BT=places_BT,
            types_BT=types_BT,
            state=state,
            source_BS=source_BS,
            source_mask=source_mask,
        )
        if targets_BT is not None:
            return self.loss(x_BTE, targets_BT, smoothing)
        return self.unembed(x_BTE[:, -1:] if last else x_BTE)

    @abstractmethod
    def hidden(
        self,
        ids_BT: Tensor,
        *,
        mask: Mask = FULL,
        places_BT: Tensor | None = None,
        types_BT: Tensor | None = None,
        state: State | None = None,
        source_BS: Tensor | None = None,
        source_mask: Mask = FULL,
    ) -> Tensor:
        """x_BTE of the target, as the output layer reads it; arguments as those of ``forward``."""

    def source(self, state: State | None, source_BS: Tensor | None, mask: Mask) -> Source:
        """The source of a pass: the one given, read now, or the state's. Raises RequestError unless there is one."""
        known = state.source if isinstance(state, Cache) else None
        if known is not None and source_BS is not None:
            raise RequestError("model: source_BS was given beside a state whose source was read; give one")
        if source_BS is not None:
            return self.read(source_BS, mask)
        if known is None:
            raise RequestError(
                "model: this one reads a source, and none was given; pass source_BS, or a state whose source was read"
            )
        return known
