"""Models: small parts assembled by a frozen config. To add a kind of model, add a file and import it here."""

from clearhead.model.cache import Cache
from clearhead.model.calibrating import calibrate
from clearhead.model.config import DecoderConfig, EncoderConfig, ModelConfig, TransformerConfig
from clearhead.model.convolution import Convolution, ConvolutionConfig
from clearhead.model.convolution_translator import ConvolutionTranslator, ConvolutionTranslatorConfig
from clearhead.model.decoder import Decoder
from clearhead.model.encoder import Encoder
from clearhead.model.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from clearhead.model.evaluating import evaluating
from clearhead.model.parts.config import (
    FEED_FORWARDS,
    AttentionConfig,
    ClampConfig,
    ExpertsConfig,
    FeedForwardConfig,
    LayerConfig,
    NormConfig,
    PositionConfig,
    PredictionConfig,
    ScalingConfig,
)
from clearhead.model.parts.cross_entropy import log_probabilities
from clearhead.model.protocol import ABILITIES, Network, needs
from clearhead.model.quantising import Matrix, check_bits, matrices, packs, quantise, rounded_to
from clearhead.model.recurrent import (
    AttentiveConfig,
    GRUAttentionConfig,
    GRUConfig,
    LSTMAttentionConfig,
    LSTMConfig,
    Recurrent,
    RecurrentConfig,
)
from clearhead.model.recurrent_translator import (
    GRUTranslatorConfig,
    LSTMTranslatorConfig,
    RecurrentTranslator,
    RecurrentTranslatorConfig,
)
from clearhead.model.registry import build, register, skeleton
from clearhead.model.state import State
from clearhead.model.translator import Translator

__all__ = [
    "ABILITIES",
    "FEED_FORWARDS",
    "AttentionConfig",
    "AttentiveConfig",
    "Cache",
    "ClampConfig",
    "Convolution",
    "ConvolutionConfig",
    "ConvolutionTranslator",
    "ConvolutionTranslatorConfig",
    "Decoder",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "EncoderDecoder",
    "EncoderDecoderConfig",
    "ExpertsConfig",
    "FeedForwardConfig",
    "GRUAttentionConfig",
    "GRUConfig",
    "GRUTranslatorConfig",
    "LSTMAttentionConfig",
    "LSTMConfig",
    "LSTMTranslatorConfig",
    "LayerConfig",
    "Matrix",
    "ModelConfig",
    "Network",
    "NormConfig",
    "PositionConfig",
    "PredictionConfig",
    "Recurrent",
    "RecurrentConfig",
    "RecurrentTranslator",
    "RecurrentTranslatorConfig",
    "ScalingConfig",
    "State",
    "TransformerConfig",
    "Translator",
    "build",
    "calibrate",
    "check_bits",
    "evaluating",
    "log_probabilities",
    "matrices",
    "needs",
    "packs",
    "quantise",
    "register",
    "rounded_to",
    "skeleton",
]
