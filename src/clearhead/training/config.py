"""Training configs: frozen, keyword-only, composed, and validated on construction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from clearhead.errors import ConfigError, OptionError, nearest
from clearhead.machine import THREADS_AT_MOST
from clearhead.model.config import ModelConfig
from clearhead.model.parts.config import check_sizes


def _at_least(where: str, config: object, name: str, least: float, *, strict: bool = False) -> None:
    value = getattr(config, name)
    if not (least < value < math.inf or (value == least and not strict)):  # written so that NaN fails too
        rule = f"a number above {least:g}" if strict else f"a number at least {least:g}"
        raise ConfigError(f"{where}: {name} is {value}; it must be {rule}")


def _among(where: str, config: object, name: str, known: tuple[str, ...]) -> None:
    value = getattr(config, name)
    if value not in known:
        raise ConfigError(f"{where}: there is no {name} {value!r}{nearest(value, known)}")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Muon for the matrices in the blocks and AdamW for everything else, or AdamW for everything."""

    kind: Literal["muon", "adamw"] = "muon"  # Muon for the blocks' matrices and AdamW for the rest, or AdamW for all
    lr: float = 0.01  # peak learning rate of Muon; updates are scaled to AdamW's root mean square
    adamw_lr: float = 0.01  # peak learning rate of AdamW
    momentum: float = 0.9  # Nesterov momentum of Muon
    beta1: float = 0.9  # decay of AdamW's mean of gradients
    beta2: float = 0.95  # decay of AdamW's mean of squared gradients
    weight_decay: float = 0.01  # decoupled weight decay, on matrices only
    clip: float = 1.0  # maximum global gradient norm; 0 = no clipping
    # precision of Muon's products (bfloat16 in torch.optim.Muon); None = bfloat16 on CUDA, and by minutes where it is
    # measured to be fast; else float32
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
        """The peak learning rate of the matrices in the blocks, which is the one reported."""
        return self.lr if self.kind == "muon" else self.adamw_lr


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Which tokens are masked, and what stands in their place."""

    # fraction of the tokens of a window to predict: 0.3 in ModernBERT (Warner et al. 2024), 0.15 in BERT; more teaches
    # more per pass and leaves less to read (Wettig et al. 2023)
    rate: float = 0.3
    masked: float = 0.8  # fraction of these replaced by the mask token (Devlin et al. 2019, A.1)
    random: float = 0.1  # fraction of these replaced by a random token; the rest stay as they are
    whole_words: bool = False  # whether all tokens of a word are masked together

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ConfigError(f"train.masks: rate is {self.rate}; it must be above 0 and below 1; 0.15 to 0.3 is usual")
        for name in ("masked", "random"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"train.masks: {name} is {value}; it must be a fraction, from 0 to 1")
        if self.masked + self.random > 1 + 1e-9:
            raise ConfigError(
                f"train.masks: masked {self.masked} and random {self.random} add up to more than 1, all chosen tokens"
            )

    def __str__(self) -> str:
        return f"{100 * self.rate:g} % of the tokens masked{', in whole words' if self.whole_words else ''}"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run, which ends after ``steps`` or ``minutes``. Progress is the fraction of either that is done."""

    steps: int | None = None  # number of steps; give this or minutes
    minutes: float | None = None  # wall-clock time of the whole command; give this or steps
    batch: int = 32  # windows per step
    window: int | None = None  # tokens per window; None = the model's context length
    optimizer: OptimizerConfig = OptimizerConfig()
    # how tokens are masked if the model predicts masked tokens; None = the defaults, and nothing if it predicts next
    # ones
    masks: MaskConfig | None = None
    # share of each target's probability that is spread over all tokens (Szegedy et al. 2016, 7); 0.1 is usual in
    # translation (Vaswani et al. 2017, 5.4)
    label_smoothing: float = 0.0
    # weights that are evaluated and kept: the last; their exponential mean; or the mean at the last evaluations
    average: Literal["none", "exponential", "last"] = "none"
    average_decay: float = 0.999  # exponential: how much of the mean stays after each step
    average_of: int = 5  # last: number of evaluations whose weights are averaged
    # how the learning rate changes: constant between a rise and a fall; or rising, then falling with the root of the
    # step (Vaswani et al. 2017, 5.3), where decay and floor do not apply
    schedule: Literal["trapezoid", "inverse-root"] = "trapezoid"
    warmup: float = 0.02  # fraction of the run over which the learning rate rises
    decay: float = 0.6  # fraction of the run, at its end, over which the learning rate falls to floor
    floor: float = 0.0  # final learning rate, as a fraction of the peak
    evaluations: int = 20  # number of evaluations, spread evenly over the run; the state is saved at each
    # models kept on the way, beside the best: the first before any step, the last after all, the others evenly between;
    # left out, none
    keep: int | None = None
    evaluation_tokens: int = 100_000  # tokens read at each evaluation, from the start of the validation text
    final_tokens: int | None = None  # tokens read at the final evaluation; None = all
    # precision of products; weights and sums are float32; None = measured if minutes choose the model, else bfloat16 on
    # CUDA and float32 elsewhere
    precision: Literal["float32", "bfloat16"] | None = None
    # whether to use torch.compile: a minute up front, then faster steps; --minutes turns it on for runs of 15 or more
    compile: bool = False
    # number of OpenMP threads; None = measured by minutes; by steps, from the size of a step
    threads: int | None = None
    seed: int = 0  # random seed

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ConfigError(f"train: steps is {self.steps} and minutes is {self.minutes}; give exactly one")
        if self.precision is not None:
            _among("train", self, "precision", ("float32", "bfloat16"))
        check_sizes("train", self, "batch")
        for name in ("steps", "window", "evaluations", "evaluation_tokens", "final_tokens", "threads"):
            if getattr(self, name) is not None:
                _at_least("train", self, name, 1)
        if self.minutes is not None:
            _at_least("train", self, "minutes", 0.0, strict=True)
        if self.keep is not None:
            _at_least("train", self, "keep", 2)
            if self.steps is not None and self.keep > self.steps + 1:
                raise ConfigError(
                    f"train: keep is {self.keep}, and {self.steps} steps have {self.steps + 1} models, the one before "
                    "the first step included; keep fewer, or take more steps"
                )
        if self.threads is not None and self.threads > THREADS_AT_MOST:
            raise ConfigError(f"train: threads is {self.threads}; it must be at most {THREADS_AT_MOST}")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"train: seed is {self.seed}; it must be at least 0 and below 2**63")
        _among("train", self, "average", ("none", "exponential", "last"))
        _among("train", self, "schedule", ("trapezoid", "inverse-root"))
        _at_least("train", self, "average_of", 1)
        if not 0 <= self.average_decay < 1:
            raise ConfigError(f"train: average_decay is {self.average_decay}; it must be at least 0 and below 1")
        if self.schedule == "inverse-root" and not self.warmup:
            raise ConfigError("train: the schedule inverse-root needs a warmup above 0, from which it falls")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(
                f"train: label_smoothing is {self.label_smoothing}; it must be at least 0 and below 1; 0.1 is usual"
            )
        for name in ("warmup", "decay", "floor"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"train: {name} is {value}; it must be a fraction, from 0 to 1")
        if self.warmup + self.decay > 1:
            raise ConfigError(
                f"train: warmup {self.warmup} and decay {self.decay} add up to more than 1, the whole run"
            )


def window_of(config: TrainConfig, model: ModelConfig) -> int:
    """The window in tokens. Raises ConfigError if it exceeds the model's context length."""
    if config.window is None:
        return model.context
    if config.window > model.context:
        raise ConfigError(f"train: window is {config.window}; it must be at most model.context, {model.context}")
    return config.window


def learning_rate(config: TrainConfig, progress: float) -> float:
    """The learning-rate schedule: fraction of the peak at ``progress``, 0 to 1.

    A trapezoid (Haegele et al. 2024), or min(p / w, sqrt(w / p)) with warmup w (Vaswani et al. 2017, 5.3).
    """
    # Warmup starts at a hundredth of the peak: a step at rate 0 would be wasted.
    rise = max(0.01, progress / config.warmup) if config.warmup else 1.0
    if config.schedule == "inverse-root":
        return min(rise, (config.warmup / progress) ** 0.5) if progress else rise
    fall = (1.0 - progress) / config.decay if config.decay else 1.0
    return max(config.floor + (1.0 - config.floor) * min(1.0, fall), 0.0) * min(1.0, rise)


def check_time(minutes: float | None, used: float) -> None:
    """Raises OptionError if ``used`` seconds leave no time for a first step."""
    if minutes is not None and used >= 60 * minutes:
        raise OptionError(
            f"minutes {minutes:g}: reading the text and measuring this machine took {used:.0f} seconds, "
            "before the first step; give more"
        )
