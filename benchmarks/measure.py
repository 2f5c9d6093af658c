"""What the benchmarks share: figures with their spread, pairwise ratios, the text, and nanoGPT's recipe."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers
from torch import Tensor
from torch.nn import functional as F

from clearhead.training import Hooks, Sample

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SHAKESPEARE = DATA / "tinyshakespeare" / "input.txt"


def need(path: Path) -> Path:
    """The path; exits with the reason if it does not exist."""
    if not path.exists():
        sys.exit(f"{path}: no such file or folder; this benchmark needs the text there")
    return path


def spread(values: Sequence[float], digits: int = 2) -> str:
    """median (smallest to largest)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios(peer: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Ours over the peer's, pairwise, since drifts in the machine's speed affect both runs of a pair."""
    return [mine / theirs for theirs, mine in zip(peer, ours, strict=True)]


def quiet(keep: Callable[[int], None]) -> Hooks:
    """Callbacks for training that only keep the model."""
    return Hooks(
        report=lambda _: None,
        keep=keep,
        keep_step=lambda _: None,
        sample=lambda: Sample(text=""),
        stop=lambda: False,
    )


class NanoGPT:
    """nanoGPT's recipe for the CPU (config/train_shakespeare_char.py with the README's flags), reimplemented.

    4 layers, 4 heads, width 128, context 64, batch 12, 2,000 steps; AdamW 1e-3 to 1e-4 by a cosine, beta2 0.99, decay
    0.1 on matrices, warm-up 100 steps, clipping at 1; random windows with replacement; transformers' GPT-2.
    """

    CONTEXT, BATCH, STEPS = 64, 12, 2000

    def __init__(self, train: Tensor, vocabulary: int, *, seed: int, context: int = CONTEXT, batch: int = BATCH,
                 layers: int = 4, width: int = 128, heads: int = 4) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.train, self.context, self.batch = train, context, batch
        config = transformers.GPT2Config(
            vocab_size=vocabulary, n_positions=context, n_embd=width, n_layer=layers, n_head=heads,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False, bos_token_id=None, eos_token_id=None,
        )  # fmt: skip
        self.model = transformers.GPT2LMHeadModel(config).train()
        matrices = [p for p in self.model.parameters() if p.dim() > 1]
        vectors = [p for p in self.model.parameters() if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))

    def step(self, progress: float, warmup: float = 100 / STEPS) -> None:
        """One step at ``progress`` (0 to 1) of the schedule."""
        if progress < warmup:
            rate = 1e-3 * progress / warmup + 1e-5
        else:
            rate = 1e-4 + 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) * 9e-4
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        places = torch.randint(len(self.train) - self.context, (self.batch,))
        windows = torch.stack([self.train[place : place + self.context + 1] for place in places.tolist()])
        logits = self.model(windows[:, :-1]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    @torch.no_grad()
    def nats(self, text: Tensor) -> float:
        """Cross-entropy summed over the whole text, in consecutive windows of the context length."""
        self.model.eval()
        total = 0.0
        for start in range(0, len(text) - 1, self.context * 64):
            part = text[start : start + self.context * 64 + 1]
            whole = (len(part) - 1) // self.context * self.context
            for first, last, width in ((0, whole, self.context), (whole, len(part) - 1, len(part) - 1 - whole)):
                if last > first:
                    logits = self.model(part[first:last].view(-1, width)).logits
                    total += float(F.cross_entropy(logits.flatten(0, 1), part[first + 1 : last + 1], reduction="sum"))
        self.model.train()
        return total
