"""Models: small parts chosen by a frozen config."""

from clearhead.attend import Site
from clearhead.model.cache import Cache
from clearhead.model.config import (
    FEED_FORWARDS,
    AttentionConfig,
    ClampConfig,
    ExpertsConfig,
    FeedForwardConfig,
    LayerConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
    ScalingConfig,
)
from clearhead.model.plain import checked, from_dict, to_dict
from clearhead.model.transformer import Transformer, build, skeleton

__all__ = [
    "FEED_FORWARDS",
    "AttentionConfig",
    "Cache",
    "ClampConfig",
    "ExpertsConfig",
    "FeedForwardConfig",
    "LayerConfig",
    "ModelConfig",
    "NormConfig",
    "PositionConfig",
    "ScalingConfig",
    "Site",
    "Transformer",
    "build",
    "checked",
    "from_dict",
    "skeleton",
    "to_dict",
]
