"""``clearhead doctor``: what this machine has."""

from __future__ import annotations


def doctor() -> None:
    """Say what this machine has: cores, threads, memory, GPU, and which attention kernels run."""
