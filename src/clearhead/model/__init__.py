"""Models: small parts chosen by a frozen config."""

from clearhead.model.cache import Cache
from clearhead.model.config import (
    FEED_FORWARDS,
    AttentionConfig,
    ClampConfig,
    EncoderConfig,
    ExpertsConfig,
    FeedForwardConfig,
    LayerConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
    ScalingConfig,
)
from clearhead.model.encoder import needs_decoder
from clearhead.model.evaluating import evaluating
from clearhead.model.transformer import Transformer, build, skeleton
from clearhead.plain import checked, from_dict, to_dict
from clearhead.tap import Site

__all__ = [
    "FEED_FORWARDS",
    "AttentionConfig",
    "Cache",
    "ClampConfig",
    "EncoderConfig",
    "ExpertsConfig",
    "FeedForwardConfig",
    "LayerConfig",
    "ModelConfig",
    "NormConfig",
    "PositionConfig",
    "PredictionConfig",
    "ScalingConfig",
    "Site",
    "Transformer",
    "build",
    "checked",
    "evaluating",
    "from_dict",
    "needs_decoder",
    "skeleton",
    "to_dict",
]
