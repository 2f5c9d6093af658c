"""How a model is trained: frozen, keyword-only, composed, and checking itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from clearhead.errors import ConfigError, OptionError, nearest
from clearhead.machine import THREADS_AT_MOST
from clearhead.model.config import ModelConfig


def _at_least(where: str, config: object, name: str, least: float, *, strict: bool = False) -> None:
    value = getattr(config, name)
    if not (least < value < math.inf or (value == least and not strict)):  # so that NaN is refused too
        rule = "above" if strict else "at least"
        raise ConfigError(f"{where}: {name} is {value}; it must be a number {rule} {least:g}")


def _among(where: str, config: object, name: str, known: tuple[str, ...]) -> None:
    value = getattr(config, name)
    if value not in known:
        raise ConfigError(f"{where}: there is no {name} {value!r}{nearest(value, known)}")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Muon for the blocks' matrices, AdamW for embeddings, the output layer, norms and biases; or AdamW for all."""

    kind: Literal["muon", "adamw"] = "muon"
    lr: float = 0.01  # Muon's; its updates have the root mean square of AdamW's (see training/muon.py)
    adamw_lr: float = 0.01
    momentum: float = 0.9  # Muon's, Nesterov
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.01  # decoupled, on matrices only
    clip: float = 1.0  # largest norm of the whole gradient; 0 = no clipping
    # of Muon's products; None = bfloat16, as torch.optim.Muon's, where this machine's are fast, else float32
    precision: Literal["float32", "bfloat16"] | None = None

    def __post_init__(self) -> None:
        _among("train.optimizer", self, "kind", ("muon", "adamw"))
        if self.precision is not None:
            _among("train.optimizer", self, "precision", ("float32", "bfloat16"))
        for name in ("lr", "adamw_lr"):
            _at_least("train.optimizer", self, name, 0.0, strict=True)
        for name in ("weight_decay", "clip"):
            _at_least("train.optimizer", self, name, 0.0)
        for name in ("momentum", "beta1", "beta2"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ConfigError(f"train.optimizer: {name} is {value}; it must be at least 0 and below 1")

    @property
    def peak(self) -> float:
        """The learning rate to speak of: that of the blocks' matrices."""
        return self.lr if self.kind == "muon" else self.adamw_lr


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run. ``steps`` or ``minutes`` ends it; progress is the used part of either."""

    steps: int | None = None
    minutes: float | None = None  # wall-clock, from the start of the command to its end
    batch: int = 32  # windows per step
    window: int | None = None  # tokens of a text read at once; None = the model's context
    optimizer: OptimizerConfig = OptimizerConfig()
    warmup: float = 0.02  # part of the run in which the learning rate rises
    decay: float = 0.6  # part of the run, at its end, in which it falls to ``floor``
    floor: float = 0.0  # learning rate at the end, as a part of the peak
    evaluations: int = 20  # spread evenly over the run; the state is saved at each
    evaluation_tokens: int = 100_000  # of the validation text, from its start, read at each
    final_tokens: int | None = None  # the same for the figure at the end; None = all
    # of products; weights and sums are float32; None = bfloat16 on CUDA, else float32 (or measured, by minutes)
    precision: Literal["float32", "bfloat16"] | None = None
    compile: bool = False  # torch.compile: about a minute before the first step, faster steps after
    threads: int | None = None  # OpenMP threads; None = measured at the start
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ConfigError(f"train: steps is {self.steps} and minutes is {self.minutes}; give exactly one")
        if self.precision is not None:
            _among("train", self, "precision", ("float32", "bfloat16"))
        for name in ("steps", "batch", "window", "evaluations", "evaluation_tokens", "final_tokens", "threads"):
            if getattr(self, name) is not None:
                _at_least("train", self, name, 1)
        if self.minutes is not None:
            _at_least("train", self, "minutes", 0.0, strict=True)
        if self.threads is not None and self.threads > THREADS_AT_MOST:
            raise ConfigError(f"train: threads is {self.threads}; it must be at most {THREADS_AT_MOST}")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"train: seed is {self.seed}; it must be at least 0 and below 2**63")
        for name in ("warmup", "decay", "floor"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"train: {name} is {value}; it is a part of the whole, from 0 to 1")
        if self.warmup + self.decay > 1:
            raise ConfigError(f"train: warmup {self.warmup} and decay {self.decay} together exceed the run; at most 1")


def window_of(config: TrainConfig, model: ModelConfig) -> int:
    """Tokens of a text read at once. Raises ConfigError when the model does not take as many."""
    if config.window is None:
        return model.context
    if config.window > model.context:
        raise ConfigError(f"train: window is {config.window}; it must be at most model.context, {model.context}")
    return config.window


def learning_rate(config: TrainConfig, progress: float) -> float:
    """The learning rate at ``progress`` (0 to 1) as a part of the peak: a trapezoid (Haegele et al. 2024)."""
    # From a hundredth of the peak: a step at rate 0 would be a step lost.
    rise = max(0.01, progress / config.warmup) if config.warmup else 1.0
    fall = (1.0 - progress) / config.decay if config.decay else 1.0
    return max(config.floor + (1.0 - config.floor) * min(1.0, fall), 0.0) * min(1.0, rise)


def check_time(minutes: float | None, used: float) -> None:
    """Raises OptionError when ``used`` seconds leave nothing of the minutes for a first step."""
    if minutes is not None and used >= 60 * minutes:
        raise OptionError(
            f"minutes {minutes:g}: {used:.0f} seconds were used before the first step, for reading the text and "
            "measuring this machine; give more"
        )
