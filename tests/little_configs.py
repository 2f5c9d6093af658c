"""Small configs that tests of several rooms start from; sizes differ, so that a swapped axis fails."""

from __future__ import annotations

from clearhead.model import (
    AttentionConfig,
    ConvolutionConfig,
    ConvolutionTranslatorConfig,
    DecoderConfig,
    EncoderConfig,
    EncoderDecoderConfig,
    FeedForwardConfig,
    GRUAttentionConfig,
    GRUConfig,
    GRUTranslatorConfig,
    LSTMAttentionConfig,
    LSTMConfig,
    LSTMTranslatorConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
)

# Heads in groups and a gated layer, so that both fused projections have parts of different heights.
QWEN3 = DecoderConfig(
    vocabulary=31,
    context=23,
    layers=3,
    width=20,
    attention=AttentionConfig(heads=4, kv_heads=2, head_width=6),
    feed_forward=FeedForwardConfig(width=17),
)
GPT2 = DecoderConfig(
    vocabulary=31,
    context=23,
    layers=3,
    width=21,
    attention=AttentionConfig(heads=3, kv_heads=3, head_width=7, bias=True, out_bias=True, head_norm="none"),
    feed_forward=FeedForwardConfig(kind="gelu-tanh", width=13, bias=True),
    norm=NormConfig(kind="layer", eps=1e-5),
    positions=PositionConfig(kind="learned"),
)
BERT = EncoderConfig(
    vocabulary=31,
    context=13,
    layers=3,
    width=14,
    attention=AttentionConfig(heads=2, kv_heads=2, head_width=7, bias=True, out_bias=True, head_norm="none"),
    feed_forward=FeedForwardConfig(kind="gelu", width=17, bias=True),
    norm=NormConfig(kind="layer", eps=1e-5),
    positions=PositionConfig(kind="learned"),
    arrangement="post",
    token_types=2,
    prediction=PredictionConfig(),
    pooler=True,
)
# Marian's shape.
TRANSLATOR = EncoderDecoderConfig(
    vocabulary=31,
    context=23,
    layers=2,
    encoder_layers=3,
    width=20,
    attention=AttentionConfig(heads=4, kv_heads=4, head_width=5, bias=True, out_bias=True, head_norm="none"),
    feed_forward=FeedForwardConfig(kind="silu", width=17, bias=True),
    norm=NormConfig(kind="layer", eps=1e-5),
    positions=PositionConfig(kind="sinusoidal"),
    arrangement="post",
    embedding_scale=20**0.5,
    output_bias=True,
)
ATTENTION = AttentionConfig(heads=3, kv_heads=3, head_width=5)
RIVALS: dict[str, ModelConfig] = {
    "lstm": LSTMConfig(vocabulary=31, context=23, layers=2, width=14, hidden=11),
    "gru": GRUConfig(vocabulary=31, context=23, layers=2, width=14, hidden=11, tied=False),
    "lstm-attention": LSTMAttentionConfig(
        vocabulary=31, context=23, layers=2, width=14, hidden=11, attention=ATTENTION
    ),
    "gru-attention": GRUAttentionConfig(vocabulary=31, context=23, layers=2, width=14, hidden=11, attention=ATTENTION),
    "convolution": ConvolutionConfig(
        vocabulary=31, context=23, layers=3, width=14, hidden=11, kernel=3, dilations=(1, 2)
    ),
}
GROUPED = AttentionConfig(heads=4, kv_heads=2, head_width=5)
RIVAL_TRANSLATORS: dict[str, ModelConfig] = {
    "lstm": LSTMTranslatorConfig(
        vocabulary=31, context=23, layers=2, encoder_layers=3, width=14, hidden=11, attention=GROUPED
    ),
    "gru": GRUTranslatorConfig(
        vocabulary=31, context=23, layers=3, encoder_layers=2, width=14, hidden=11, attention=GROUPED, tied=False
    ),
    "convolution": ConvolutionTranslatorConfig(
        vocabulary=31, context=23, layers=3, encoder_layers=2, width=14, hidden=11, kernel=4, attention_heads=2
    ),
}
