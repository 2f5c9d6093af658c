"""What the experiments share: models trained once for all of them, the minutes of each, and texts in its language."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from clearhead import corpora, hub, runs
from clearhead.errors import OptionError, nearest
from clearhead.lab.note.texts import TEXTS, Texts
from clearhead.language_model import LanguageModel
from clearhead.recipes import Table
from clearhead.runs import Asked, Events, Material, Run
from clearhead.runs.finish import finished
from clearhead.runs.folder import reopen
from clearhead.runs.resolve import resolve

# How the minutes are divided among what the chosen experiments train.
SHARES = {"model": 5.0, "encoder": 3.0, "context": 6.0, "activation": 3.0, "heads": 3.0}
TRAINED = 0.85  # fraction of the minutes for training; the rest measures


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the experiments were asked. A folder holds the findings of one setting.

    corpus: the built-in world to train on; megabytes: how much of it
    model: the model to look into, None for one trained on the corpus
    """

    corpus: str
    megabytes: float | None = None
    model: str | None = None
    minutes: float
    seed: int = 0

    def __post_init__(self) -> None:
        worlds = [each.name for each in corpora.names() if each.has_truth]
        if self.corpus not in worlds:
            raise OptionError(
                f"lab: corpus {self.corpus!r} is not a world with known facts{nearest(self.corpus, worlds)}"
            )
        if not self.minutes > 0:
            raise OptionError.of("minutes", self.minutes, "above 0")


class Bench:
    """The folder, the models and the minutes of the experiments.

    needs: everything that the chosen experiments train; the minutes are divided among these
    """

    def __init__(self, folder: Path, setting: Setting, needs: Collection[str], events: Events, threads: int | None):
        self.folder, self.setting, self.events, self.threads = folder, setting, events, threads
        needs = {each for each in needs if each != "model" or setting.model is None}
        needs = {each for each in needs if not (self.folder_of(each) / hub.WEIGHTS).exists()}
        total = sum(SHARES[each] for each in needs) or 1.0
        self._minutes = {each: TRAINED * setting.minutes * SHARES[each] / total for each in needs}
        self._loaded: dict[str, LanguageModel] = {}
        self._material: Material | None = None

    @property
    def language(self) -> str:
        """Of the corpus: "en" or "zh"."""
        return corpora.get(self.setting.corpus).language

    @property
    def texts(self) -> Texts:
        """The texts that the experiments look at, in this language."""
        return TEXTS[self.language]

    def minutes(self, need: str) -> float:
        """Minutes to train what is needed."""
        return self._minutes[need]

    def model(self) -> LanguageModel:
        """The model to look into: the given one, or one trained on the corpus."""
        if self.setting.model is not None:
            if "given" not in self._loaded:
                self._loaded["given"] = hub.load(self.setting.model, dtype="float32", text=True)
            return self._loaded["given"]
        return self._trained("model", masked=False)

    def encoder(self) -> LanguageModel:
        """An encoder trained on the corpus to fill masks."""
        return self._trained("encoder", masked=True)

    def folder_of(self, need: str) -> Path:
        """The run folder of a model."""
        return self.folder / "runs" / need

    def material(self) -> Material:
        """The corpus as tokens, to train on and held out."""
        if self._material is None:
            text = resolve(self.asked("material", steps=1)).text
            self._material = runs.prepare(text, self.folder, self.events.say)
        return self._material

    def run(self, name: str, asked: Asked) -> Run:
        """Starts this run, or continues the one in its folder, to its end. A finished one is only loaded."""
        started, folder = time.perf_counter(), self.folder_of(name)
        if (folder / runs.RECIPE).exists():
            recipe, state = reopen(folder)
            run = None if state is None else finished(folder, recipe, state.progress.step)
            return run or runs.go_on(folder, self.events, started=started)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return runs.start(asked, self.events, started=started)

    def asked(self, name: str, *, settings: Table | None = None, **options: object) -> Asked:
        """A run on the corpus. options: further fields of ``Asked``."""
        return Asked(
            corpus=self.setting.corpus,
            megabytes=self.setting.megabytes,
            seed=self.setting.seed,
            threads=self.threads,
            out=self.folder_of(name),
            settings=[] if settings is None else [settings],
            **options,  # pyright: ignore[reportArgumentType]
        )

    def _trained(self, need: str, *, masked: bool) -> LanguageModel:
        if need not in self._loaded:
            asked = self.asked(need, minutes=self._minutes.get(need), masked=masked)
            self._loaded[need] = self.run(need, asked).model
        return self._loaded[need]
