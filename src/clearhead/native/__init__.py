"""Kernels in C: products of a few rows, all else that a pass over one token computes, and tapes of their calls."""

from clearhead.native.compiling import FORMATS, NUMBERS, compiler, compiles, library
from clearhead.native.tape import Tape, recording

__all__ = ["FORMATS", "NUMBERS", "Tape", "compiler", "compiles", "library", "recording"]
