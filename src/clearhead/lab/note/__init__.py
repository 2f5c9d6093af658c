"""The claims of the reading note, each an experiment with numbers, a verdict and a page."""

from clearhead.lab.note.bench import Setting
from clearhead.lab.note.claims import EXPERIMENTS
from clearhead.lab.note.experiment import Experiment, Phrases
from clearhead.lab.note.session import Finding, LabEvents, carry_out, read

__all__ = ["EXPERIMENTS", "Experiment", "Finding", "LabEvents", "Phrases", "Setting", "carry_out", "read"]
