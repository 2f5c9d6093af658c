"""Beam search: sentences a second of one translator, by transformers, CTranslate2 and this project.

    pip install ctranslate2
    python benchmarks/beams.py --language deu --minutes 3

Trains a translator on Tatoeba's pairs, or opens --model, a folder of Marian's family. All read the same weights and the
same sentences, cut by the same tokenizer, with --beams beams and length penalty 1, and stop when as many translations
are finished, which is CTranslate2's rule. Each works in a process of its own, with each of --threads, and is compared
by the number of threads that suits it: with small models, waiting for a second thread can take longer than the work.
They take turns: one sentence at a time, then 64 at a time, those of like length together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

import clearhead as ch
from clearhead import hub
from clearhead.generation.sources import source_ids
from clearhead.language_model import LanguageModel
from clearhead.text.data.pair_tokens import longest_answer
from measure import DATA, need, ratios, spread

OURS = ("clearhead, float32", "clearhead, 8 bits")
PEERS = ("transformers", "CTranslate2, float32", "CTranslate2, int8")
Translates = Callable[[Sequence[str], int], list[str]]  # texts, how many at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", default="deu", choices=("deu", "fra", "cmn"), help="translated into")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training")
    parser.add_argument("--model", type=Path, help="a translator to open instead")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--one", type=int, default=64, help="sentences translated one by one")
    parser.add_argument("--many", type=int, default=512, help="sentences translated 64 at a time")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)  # a contender's name and the folder: its process
    chosen = parser.parse_args()
    if chosen.work:
        name, folder = chosen.work
        work(name, folder, chosen)
        return
    pairs = need(DATA / "tatoeba" / f"eng-{chosen.language}.tsv")
    with tempfile.TemporaryDirectory() as place:
        opened = hub.load(chosen.model) if chosen.model else trained(pairs, chosen.minutes, Path(place, "run"))
        folder = Path(place, "model")
        hub.export(folder, opened)
        config = opened.config
        print(f"{config.described()['layers']}, {config.parameters():,} weights, vocabulary {config.vocabulary:,}")
        every = [(name, threads) for name in (*PEERS, *OURS) for threads in chosen.threads]
        workers = {each: Worker(*each, folder, chosen.beams) for each in every}
        compare(workers, sources(pairs, chosen.many), chosen)
        for worker in workers.values():
            worker.end()


def trained(pairs: Path, minutes: float, folder: Path) -> LanguageModel:
    """A translator of our own."""
    return ch.train(pairs=pairs, minutes=minutes, out=folder, say=print).model


def sources(pairs: Path, count: int) -> list[str]:
    """Sentences of the pairs, evenly spaced in the file, each once."""
    every = list(dict.fromkeys(line.split("\t")[0] for line in pairs.read_text(encoding="utf-8").splitlines()))
    return [every[n * len(every) // count] for n in range(count)]


class Worker:
    """A contender in its process."""

    def __init__(self, name: str, threads: int, folder: Path, beams: int) -> None:
        options = ["--beams", str(beams), "--threads", str(threads), "--work", name, str(folder)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def translate(self, texts: Sequence[str], together: int) -> tuple[float, list[str]]:
        """The seconds it took, and the translations."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([texts, together]) + "\n")
        self.process.stdin.flush()
        taken, made = json.loads(self.process.stdout.readline())
        return taken, made

    def end(self) -> None:
        """Ends the process."""
        self.process.communicate()


def compare(workers: dict[tuple[str, int], Worker], texts: Sequence[str], chosen: argparse.Namespace) -> None:
    """Prints how many translations are equal, sentences a second, and ratios."""
    some = texts[:: max(1, len(texts) // chosen.one)][: chosen.one]
    made = {name: worker.translate(texts, 64)[1] for (name, _), worker in workers.items()}
    for name, found in made.items():
        same = sum(one == other for one, other in zip(found, made[OURS[0]], strict=True))
        print(f"{name}: {same} of {len(texts)} translations are those of {OURS[0]}")
    for given, together in ((some, 1), (texts, 64)):
        times: dict[tuple[str, int], list[float]] = {each: [] for each in workers}
        for worker in workers.values():
            worker.translate(given, together)
        for _ in range(chosen.rounds):
            for each, worker in workers.items():
                times[each].append(worker.translate(given, together)[0])
        print(f"{together} at a time, {len(given)} sentences:")
        best: dict[str, list[float]] = {}
        for (name, threads), taken in times.items():
            print(f"  {name}, threads {threads}: {spread([len(given) / each for each in taken], 1)} sentences/s")
            best[name] = min(best.get(name, taken), taken, key=statistics.median)
        for name in OURS:
            for peer in PEERS:
                print(f"  {name} / {peer}: {spread([1 / each for each in ratios(best[peer], best[name])])}")


def work(name: str, folder: str, chosen: argparse.Namespace) -> None:
    """A contender's process: a line with texts comes in, a line with seconds and translations goes out."""
    torch.set_num_threads(chosen.threads[0])
    translate = contender(name, Path(folder), chosen)
    for line in sys.stdin:
        texts, together = json.loads(line)
        began = time.perf_counter()
        made = translate(texts, together)
        sys.stdout.write(json.dumps([time.perf_counter() - began, made]) + "\n")
        sys.stdout.flush()


def contender(name: str, folder: Path, chosen: argparse.Namespace) -> Translates:
    """What translates, by name."""
    if name in OURS:
        model = hub.load(folder, bits=8 if "8 bits" in name else None)
        return partial(by_clearhead, model, chosen.beams)
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model, peer = hub.load(folder), transformers.MarianMTModel.from_pretrained(folder).eval()
    if name == "transformers":
        return partial(by_transformers, peer, model, chosen.beams)
    import ctranslate2

    torch.set_num_threads(1)  # only the tokenizer is PyTorch's here
    kind = name.split(", ")[1]
    out = folder.with_name(f"for CTranslate2, {kind}, {chosen.threads[0]}")
    convert(peer, model, "int8" if kind == "int8" else None, out)
    translator = ctranslate2.Translator(str(out), compute_type=kind, intra_threads=chosen.threads[0])
    return partial(by_ctranslate2, translator, model, chosen.beams)


def by_clearhead(model: LanguageModel, beams: int, texts: Sequence[str], together: int) -> list[str]:
    """This project."""
    return [str(each) for each in ch.translate(model, list(texts), beams=beams, early_stopping=True, together=together)]


def by_transformers(peer: Any, model: LanguageModel, beams: int, texts: Sequence[str], together: int) -> list[str]:
    """transformers' generate on batches of like length, padded as it wants them."""
    ids = [source_ids(model, text) for text in texts]
    order = sorted(range(len(texts)), key=lambda n: -len(ids[n]))
    found = [""] * len(texts)
    for first in range(0, len(order), together):
        batch = order[first : first + together]
        longest = max(len(ids[n]) for n in batch)
        padded = torch.tensor([ids[n] + [ids[n][-1]] * (longest - len(ids[n])) for n in batch])
        mask = torch.tensor([[1] * len(ids[n]) + [0] * (longest - len(ids[n])) for n in batch])
        with torch.inference_mode():
            made = peer.generate(
                padded, attention_mask=mask, num_beams=beams, length_penalty=1.0, early_stopping=True,
                max_new_tokens=longest_answer(longest), do_sample=False,
            )  # fmt: skip
        for n, written in zip(batch, made.tolist(), strict=True):
            found[n] = decoded(model, written[1:])
    return found


def by_ctranslate2(translator: Any, model: LanguageModel, beams: int, texts: Sequence[str], together: int) -> list[str]:
    """CTranslate2, which sorts by length itself."""
    ids = [source_ids(model, text) for text in texts]
    made = translator.translate_batch(
        [[str(each) for each in row] for row in ids],
        beam_size=beams,
        length_penalty=1,
        max_batch_size=together,
        max_decoding_length=longest_answer(max(len(row) for row in ids)),
    )
    return [decoded(model, [int(each) for each in one.hypotheses[0]]) for one in made]


def decoded(model: LanguageModel, ids: Sequence[int]) -> str:
    """The text of a translation, up to its end token."""
    _, end = model.target_edges
    kept = list(ids)
    return model.tokenizer.decode(kept[: kept.index(end)] if end in kept else kept).strip()


def convert(peer: Any, model: LanguageModel, quantization: str | None, out: Path) -> None:
    """Writes a folder for CTranslate2, whose tokens are called by their ids.

    Its own converter for Marian lets the decoder start from a vector of zeros; here it starts from a trained one.
    """
    from ctranslate2.converters.transformers import BartLoader

    peer.config.normalize_before, peer.config.normalize_embedding = False, False
    loader = BartLoader()
    spec = loader.get_model_spec(peer)
    loader.set_vocabulary(spec, [str(each) for each in range(peer.config.vocab_size)])
    start, end = model.target_edges
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = str(end)
    spec.config.decoder_start_token = str(start)
    spec.validate()
    spec.optimize(quantization=quantization)
    out.mkdir()
    spec.save(str(out))


if __name__ == "__main__":
    main()
