"""The objective of a run, by what its model can do."""

from __future__ import annotations

from clearhead.errors import ConfigError
from clearhead.model.protocol import Able, needs
from clearhead.text import Tokenizer
from clearhead.training.config import MaskConfig
from clearhead.training.masked_tokens import MaskedTokens
from clearhead.training.objective import NEXT_TOKENS, NextTokens, Objective
from clearhead.training.target_tokens import TARGET_TOKENS, TargetTokens


def default_masks(model: Able, masks: MaskConfig | None, what: str) -> MaskConfig | None:
    """How to mask for this model: ``masks``, or the defaults if it predicts masked tokens; None for other objectives.

    Raises OptionError if the model has none, ConfigError if masks are given and it predicts something else.
    """
    if MaskedTokens.ability in model.abilities:
        return masks or MaskConfig()
    if masks is not None and model.abilities & {NextTokens.ability, TargetTokens.ability}:
        raise ConfigError(
            f"{what}: masks were set (train.masks, --mask-rate), but the model masks nothing; leave them out, "
            "or take an encoder (train --masked)"
        )
    needs(model, NextTokens.ability, what, MaskedTokens.ability, TargetTokens.ability)
    return None


def objective_of(masks: MaskConfig | None, tokenizer: Tokenizer, seed: int = 0, *, pairs: bool = False) -> Objective:
    """The objective with these masks (``default_masks``), or for sentence pairs, or else next tokens.

    Raises OptionError if there are masks and the tokenizer has no mask token.
    """
    if masks is not None:
        return MaskedTokens.of(tokenizer, masks, seed)
    return TARGET_TOKENS if pairs else NEXT_TOKENS
