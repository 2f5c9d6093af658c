"""The objective of a run, by what its model can do."""

from __future__ import annotations

from clearhead.errors import ConfigError
from clearhead.model.protocol import Able, needs
from clearhead.text import Tokenizer
from clearhead.training.config import MaskConfig
from clearhead.training.masked_tokens import MaskedTokens
from clearhead.training.objective import NEXT_TOKENS, NextTokens, Objective


def default_masks(model: Able, masks: MaskConfig | None, what: str) -> MaskConfig | None:
    """How to mask for this model: ``masks``, or the defaults if it predicts masked tokens; None for next tokens.

    Raises OptionError if the model predicts neither, ConfigError if masks are given and it predicts next tokens.
    """
    if MaskedTokens.ability in model.abilities:
        return masks or MaskConfig()
    if masks is not None and NextTokens.ability in model.abilities:
        raise ConfigError(
            f"{what}: masks were set (train.masks, --mask-rate), but the model predicts next tokens; leave them out, "
            "or take an encoder (train --masked)"
        )
    needs(model, NextTokens.ability, what, MaskedTokens.ability)
    return None


def objective_of(masks: MaskConfig | None, tokenizer: Tokenizer, seed: int = 0) -> Objective:
    """The objective with these masks; next tokens if None. Raises OptionError if the tokenizer has no mask token."""
    return NEXT_TOKENS if masks is None else MaskedTokens.of(tokenizer, masks, seed)
