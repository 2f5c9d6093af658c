"""What is mutated, and what must hold for each kind: the same result as before, or one error."""

from __future__ import annotations

import contextlib
import gzip
import json
import lzma
import os
import shutil
import string
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from mutations import Draw, altered, damaged, replaced

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "cli"), str(TESTS / "hub")]

from calling import SHAPE, SMALL, TEXT, call  # noqa: E402
from little_gguf import CONFIGS as SHAPES  # noqa: E402
from little_gguf import LLAMA  # noqa: E402
from little_models import CONFIGS, TOKENIZER, content_of, ids, lively, saved  # noqa: E402

from clearhead import cli, hub, recipes, runs  # noqa: E402
from clearhead.errors import ClearheadError, TextError  # noqa: E402
from clearhead.language_model import LanguageModel  # noqa: E402
from clearhead.model import quantise  # noqa: E402
from clearhead.runs.pair_material import pair_sources, split_of  # noqa: E402
from clearhead.tensorfile import read_tensors, write_tensors  # noqa: E402
from clearhead.text import Tokenizer, shared_sources, sources, tokenize  # noqa: E402
from clearhead.training import Report, Stepped  # noqa: E402
from clearhead.training.checkpoint import load_state  # noqa: E402
from little_pieces import learned, m2m_100, marian  # noqa: E402
from little_tokenizers import llama3_like, llama_like, save  # noqa: E402
from little_translators import made_up  # noqa: E402


class Kind(ABC):
    """Made once; each ``case`` is one mutation. ``place`` is emptied before it; ``outside`` must never change."""

    def __init__(self, base: Path, place: Path, outside: Path) -> None:
        self.base, self.place, self.outside = base, place, outside
        self.told = ""  # describes the last mutation
        base.mkdir()
        self.make()

    @abstractmethod
    def make(self) -> None: ...

    @abstractmethod
    def case(self, draw: Draw) -> str:
        """Mutates a copy, uses it and returns how that ended. Any exception is a finding."""

    def mutate(self, draw: Draw, folder: Path, name: str) -> None:
        path = folder / name
        how = draw(st.sampled_from(["bytes", "json", "json", "other"]))
        if how == "other":
            how = replaced(draw, path, self.outside)
        else:
            content = path.read_bytes()
            path.unlink()  # an earlier mutation may have made it a link
            path.write_bytes((damaged if how == "bytes" else altered)(draw, content))
        self.told = f"{name}: {how}"
        (self.base / "mutation").write_text(self.told)  # in case this process dies


class Saved(Kind):
    """Models with checksums: the same numbers, or one error."""

    def make(self) -> None:
        for name, config in CONFIGS.items():
            saved(self.base / name, config)

    def case(self, draw: Draw) -> str:
        family = draw(st.sampled_from(sorted(CONFIGS)))
        folder = self.place / family
        shutil.copytree(self.base / family, folder)
        self.mutate(draw, folder, draw(st.sampled_from(sorted(content_of(folder)))))
        try:
            loaded = hub.load(folder)
        except ClearheadError as error:
            return _error(error)
        assert loaded.config == CONFIGS[family], "another config"
        assert torch.equal(loaded(ids()), lively(loaded.config)(ids())), "other numbers"
        if loaded.has_tokenizer:
            assert loaded.tokenizer.encode("a cab. 你\n") == TOKENIZER.encode("a cab. 你\n"), "other ids"
        return "the same"


class Released(Kind):
    """Folders without checksums: they open and run, or one error."""

    def make(self) -> None:
        for name, config in CONFIGS.items():
            saved(self.base / name, config)
        for bits in (8, 4):
            hub.export(self.base / f"packed {bits}", LanguageModel(lively(LLAMA), TOKENIZER), bits=bits)
        for path in self.base.glob("*/model.safetensors"):
            write_tensors(path, read_tensors(path)[0])

    def case(self, draw: Draw) -> str:
        source = draw(st.sampled_from(sorted(path.parent for path in self.base.glob("*/model.safetensors"))))
        folder = self.place / source.name
        shutil.copytree(source, folder)
        for _ in range(draw(st.integers(1, 2))):
            names = sorted(content_of(folder))
            self.mutate(draw, folder, draw(st.sampled_from(names)))
        try:
            loaded = hub.load(folder)
            if loaded.has_tokenizer:
                loaded.tokenizer.decode(loaded.tokenizer.encode("a cab. 你\n"))
            loaded(ids(1, min(5, loaded.config.context)) % loaded.config.vocabulary)
        except ClearheadError as error:
            return _error(error)
        return "runs"


class Files(Kind):
    """Files of llama.cpp, mostly changed in what stands before the tensors: they open and run, or one error."""

    def make(self) -> None:
        for name, config in (("gpt2", SHAPES["gpt2"]), ("llama", LLAMA)):
            model = LanguageModel(lively(replace(config, layers=1, vocabulary=257, context=32)), Tokenizer.bytes())
            hub.export_gguf(self.base / f"{name}.gguf", model)
            quantise(model.network, 8)
            hub.export_gguf(self.base / f"{name} 8.gguf", model)

    def case(self, draw: Draw) -> str:
        source = draw(st.sampled_from(sorted(self.base.glob("*.gguf"))))
        path, content = self.place / "model.gguf", source.read_bytes()
        before = content.index(b"token_embd") + 3000
        first = draw(st.sampled_from([200, before, before, len(content)]))
        path.write_bytes(damaged(draw, content[:first]) + content[first:])
        self.told = source.name
        if draw(st.integers(0, 5)) == 0:
            self.told += replaced(draw, path, self.outside)
        (self.base / "mutation").write_text(self.told)
        try:
            hub.outline(path)
            loaded = hub.load(path)
            loaded.tokenizer.decode(loaded.tokenizer.encode("a cab. 你\n"))
            loaded(ids(1, min(5, loaded.config.context)) % loaded.config.vocabulary)
        except ClearheadError as error:
            return _error(error)
        return "runs"


class Tokenizers(Kind):
    """Tokenizers of several shapes, with hostile parts: they open, encode and decode, or one error."""

    def make(self) -> None:
        save(llama_like(), self.base / "llama")
        save(llama3_like(), self.base / "llama3")
        TOKENIZER.save(self.base / "characters")
        Tokenizer.train_bpe([TEXT], 300).save(self.base / "bpe")
        (self.base / "bert").mkdir()
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase, "##a", "##b"]
        (self.base / "bert" / "vocab.txt").write_text("\n".join(words) + "\n")
        (self.base / "bert" / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
        marian(self.base / "marian", apart=True)
        m2m_100(self.base / "m2m-100")
        (self.base / "t5").mkdir()
        (self.base / "t5" / "spiece.model").write_bytes(learned("en", pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
        (self.base / "t5" / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')

    def case(self, draw: Draw) -> str:
        name = draw(st.sampled_from(sorted(path.name for path in self.base.iterdir() if path.is_dir())))
        folder = self.place / name
        shutil.copytree(self.base / name, folder)
        for _ in range(draw(st.integers(1, 2))):
            self.mutate(draw, folder, draw(st.sampled_from(sorted(content_of(folder)) or ["new.json"])))
            if not content_of(folder):
                break
        try:
            made = Tokenizer.load(folder)
            for language in list(made.languages)[-1:]:
                made = made.with_source(language)
            for text in ("", "a cab. 你\n", "a" * 5000 + "!", draw(st.text(max_size=20))):
                try:
                    found = made.encode_document(text)
                    made.decode(found)
                    made.labels(found)
                    made.encode_measured([text])
                    made.source.decode(made.source.encode_document(text))
                except TextError as error:
                    _error(error)
            made.of_documents().save(self.place / "again")
        except ClearheadError as error:
            return _error(error)
        return "opens"


class States(Kind):
    """States of training: the same, or one error."""

    def make(self) -> None:
        run_of(self.base)
        self.whole = load_state(self.base / "run" / "state")
        assert self.whole is not None

    def case(self, draw: Draw) -> str:
        folder = self.place / "state"
        shutil.copytree(self.base / "run" / "state", folder)
        (name,) = content_of(folder)
        self.mutate(draw, folder, name)
        try:
            found = load_state(folder)
        except ClearheadError as error:
            return _error(error)
        if found is None:
            assert not (folder / name).exists(), "a state that is there is not seen"
            return "none"
        assert _same(found, self.whole), "another state"
        return "the same"


class Runs(Kind):
    """Run folders, finished or cut short, resumed: the weights of the whole run, or one error.

    Nothing outside is touched. No mutation is a change on purpose, which would need --accept-changes.
    """

    def make(self) -> None:
        run_of(self.base)
        cut_run_of(self.base)
        self.weights = (self.base / "run" / "model.safetensors").read_bytes()

    def case(self, draw: Draw) -> str:
        run = self.place / "run"
        shutil.copytree(self.base / draw(st.sampled_from(["run", "cut"])), run)
        (self.place / "text.txt").write_text(TEXT)
        names = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
        name = draw(st.sampled_from([*names, "state", "model.safetensors gone", "text"]))
        if name == "text":
            (self.place / "text.txt").write_bytes(damaged(draw, TEXT.encode()))
            self.told = "text.txt: bytes"
        elif name == "state":
            shutil.rmtree(run / "state")
            (run / "state").symlink_to(self.outside)
            self.told = "state: a link to a folder"
        elif name.endswith(" gone"):
            (run / "model.safetensors").unlink()
            name = draw(st.sampled_from([each for each in names if each != "model.safetensors"]))
            self.mutate(draw, run, name)
        else:
            self.mutate(draw, run, name)
        done = call("train", "--resume", "run", folder=self.place)
        _check_exit(done.code, done.err)
        if done.code == 0:
            assert (run / "model.safetensors").read_bytes() == self.weights, "other weights"
        show = call("show", "run", folder=self.place)
        _check_exit(show.code, show.err)
        return f"exit {done.code}, {show.code}"


class Texts(Kind):
    """Text files of all kinds: read, or one error that names the file."""

    def make(self) -> None:
        self.files = {
            "a.txt": TEXT.encode(),
            "zh.txt": ("从前有座山。\n" * 300).encode(),
            "wide.txt": ("从前有座山。\n" * 300).encode("gb18030"),
            "b.jsonl": b"".join(json.dumps({"text": f"{n} {TEXT[:90]}", "n": n}).encode() + b"\n" for n in range(40)),
            "c.txt.gz": gzip.compress(TEXT.encode() * 9),
            "d.md.xz": lzma.compress(TEXT.encode() * 9),
            "bomb.txt.gz": gzip.compress(b"a" * 30_000_000),
        }
        self.tokenizer = Tokenizer.bytes()

    def case(self, draw: Draw) -> str:
        name = draw(st.sampled_from(sorted(self.files)))
        path = self.place / name
        how = draw(st.sampled_from(["bytes", "bytes", "lines", "other"]))
        content = self.files[name]
        if how == "lines":
            lines = content.split(b"\n")
            at = draw(st.integers(0, len(lines) - 1))
            lines[at] = altered(draw, lines[at]) if lines[at] else b'{"text": 1}'
            content = b"\n".join(lines)
        elif how == "bytes":
            content = damaged(draw, content)
        path.write_bytes(content)
        if how == "other":
            path.write_bytes(content)
            how = replaced(draw, path, self.outside) if name != "bomb.txt.gz" else "whole"
            if how == "pipe":  # a named pipe is read, and nothing writes to this one
                path.unlink()
        encoding = draw(st.sampled_from(["utf-8", "utf-8", "gb18030", "latin-1", "utf-16", "no such", ""]))
        field = draw(st.sampled_from([None, None, "text", "n", ""]))
        self.told = f"{name}: {how}, {encoding}, {field}"
        try:
            found = tokenize(
                sources([path], encoding=encoding, field=field), self.tokenizer, cache=self.place / "cache"
            )
        except ClearheadError as error:
            return _error(error)
        return f"read {len(found) > 0}"


class Pairs(Kind):
    """Files of sentence pairs: read, filtered and split into pairs that can be trained on, or one error."""

    CONTEXT = 40
    LINES = (
        *("one column", "\t", "a\t", "\tb", " \t ", "a\tb\tc\td", "a\rb\tc\vd", "x" * 3000 + "\ty", "x\t" + "y" * 3000),
        *(
            "\u202eabc\tשלום",
            "\0\t\x1b[31m",
            "<|endoftext|>\tb",
            "\ufeffa\tb",
            "a\u2028b\tc",
            "你\t好",
            '"a\tb',
            "a\tb\r",
        ),
        *(
            '{"source": "a"}',
            '{"source": 1, "target": "b"}',
            '{"source": "", "target": ""}',
            "[]",
            "{}",
            "null",
            "1e999",
        ),
        *('{"source": "a\\nb", "target": "\\ud800"}', '{"source": "a", "target": "b", "source": "c"}', "[" * 3000),
    )

    def make(self) -> None:
        table = "".join(f"{source}\t{target}\n" for source, target in made_up())
        records = "".join(json.dumps({"source": source, "target": target}) + "\n" for source, target in made_up())
        self.files = {
            "a.tsv": table.encode(),
            "windows.tsv": table.replace("\n", "\r\n").encode("utf-8-sig"),
            "wide.txt": table.encode("gb18030"),
            "b.jsonl": records.encode(),
            "c.tsv.gz": gzip.compress(table.encode()),
            "d.jsonl.xz": lzma.compress(records.encode()),
            "bomb.tsv.gz": gzip.compress(b"a\tb\n" * 100_000),
            "e.en": "".join(f"{source}\n" for source, _ in made_up()).encode(),
            "e.de": "".join(f"{target}\n" for _, target in made_up()).encode(),
        }
        self.tokenizer = Tokenizer.bytes()

    def case(self, draw: Draw) -> str:
        name = draw(st.sampled_from(sorted(self.files)))
        parallel = name.startswith("e.")
        names = ["e.en", "e.de"] if parallel else [name]
        names += draw(st.sampled_from([[], names, ["e.en", "e.de"] if parallel else ["a.tsv"], ["b.jsonl", "e.en"]]))
        for each in names:
            (self.place / each).write_bytes(self.files[each])
        how = self.changed(draw, name)
        layout, encoding, field = (
            "parallel" if parallel else "pairs",
            "gb18030" if name == "wide.txt" else "utf-8",
            None,
        )
        if draw(st.integers(0, 3)) == 0:
            layout = draw(st.sampled_from(["parallel", "pairs"]))
            encoding = draw(st.sampled_from(["utf-8", "gb18030", "latin-1", "utf-16", "no such"]))
            field = draw(st.sampled_from([None, "source,target", "target,source", "source", "a,a", ",", ""]))
        config = recipes.TextConfig(layout=layout, encoding=encoding, field=field, overlap=draw(st.booleans()))
        self.told = f"{names}: {name} {how}, {layout}, {encoding}, {field}"
        (self.base / "mutation").write_text(self.told)
        first = 2 if parallel else 1
        paths = [str(self.place / each) for each in names]
        valid = paths[first:] if draw(st.booleans()) else []
        paths = paths[:first] if valid or parallel else paths
        try:
            texts, others = (pair_sources(some, config) if some else [] for some in (paths, valid))
            found = split_of(config, texts, others, self.tokenizer, self.CONTEXT, say=lambda line: None)
        except ClearheadError as error:
            return _error(error)
        for pairs in found:
            source_N, target_N = pairs.lengths()
            assert min(int(source_N.min()), int(target_N.min())) > 1, "an empty side"
            assert max(int(source_N.max()), int(target_N.max())) <= self.CONTEXT, "longer than the context"
        if not config.overlap:
            assert not shared_sources(*found), "a sentence on both sides of the split"
        return "read"

    def changed(self, draw: Draw, name: str) -> str:
        """Changes one of the files and says how."""
        path, content = self.place / name, self.files[name]
        how = draw(st.sampled_from(["bytes", "lines", "lines", "lines", "other"]))
        if how == "bytes":
            path.write_bytes(damaged(draw, content))
        elif how == "lines":
            packing = {".gz": gzip, ".xz": lzma}.get(path.suffix)
            lines = (content if packing is None else packing.decompress(content)).split(b"\n")
            for _ in range(draw(st.integers(1, 4))):
                at = draw(st.integers(0, len(lines) - 1))
                what = draw(st.sampled_from(["odd", "odd", "text", "damaged", "twice", "gone"]))
                if what == "odd":
                    lines[at] = draw(st.sampled_from(self.LINES)).encode()
                elif what == "text":
                    lines[at] = draw(st.text(max_size=30)).encode(errors="surrogatepass")
                elif what == "damaged" and lines[at]:
                    lines[at] = (altered if b"{" in lines[at] else damaged)(draw, lines[at])
                else:
                    lines[at : at + 1] = [lines[at]] * 2 if what == "twice" or len(lines) == 1 else []
            content = b"\n".join(lines)
            path.write_bytes(content if packing is None else packing.compress(content))
        elif name != "bomb.tsv.gz":
            how = replaced(draw, path, self.outside)
            if how == "pipe":  # a named pipe is read, and nothing writes to this one
                path.unlink()
        return how


class Arguments(Kind):
    """The command's arguments: an answer, or one error and exit code 1 or 2."""

    VERBS = tuple(verb for verb in cli.VERBS if verb not in ("demo", "prove", "compare"))  # those take minutes
    OPTIONS = (
        "--steps", "--vocabulary", "--tokenizer", "--out", "--set", "--seed", "--device", "--dtype",
        "--temperature", "--top-k", "--top-p", "--max-tokens", "--layer", "--head", "--context", "--field",
        "--encoding", "--valid", "--corpus", "--megabytes", "--threads", "--recipe", "--config", "--from",
        "--resume", "--prompt", "--width", "--help", "--top", "--stop", "--format",
    )  # fmt: skip
    VALUES = (
        *(
            "",
            "-",
            "--",
            "0",
            "1",
            "-1",
            "2",
            "x",
            "nan",
            "inf",
            "1e400",
            "9" * 400,
            "9" * 5000,
            str(2**63),
            "0.5",
            "你",
        ),
        *(
            "run",
            "text.txt",
            "missing",
            "new",
            "run/config.json",
            "\udcff",
            "\x1b[31m",
            "a" * 300,
            "cpu",
            "cuda:9",
        ),
        *("train.batch=0", "model.width=-1", "train.lr=nan", "model.layers=99999999999", "origin=1", "a=" + "[" * 3000),
        *("x=" + "9" * 5000, "text=1", "train=[]", "model.attention={heads=0}", "bpe", "world-en", "tiny", "float16"),
    )

    def make(self) -> None:
        run_of(self.base)

    def case(self, draw: Draw) -> str:
        shutil.copytree(self.base / "run", self.place / "run")
        (self.place / "text.txt").write_text(TEXT)
        verb = draw(st.sampled_from(self.VERBS))
        value = st.one_of(
            st.sampled_from(self.VALUES), st.text(st.characters(exclude_characters="/.~$\0"), max_size=12)
        )
        words: list[str] = [draw(st.sampled_from(["run", "run", "text.txt"]))] if draw(st.booleans()) else []
        for _ in range(draw(st.integers(0, 3))):
            if draw(st.booleans()):
                words.append(draw(st.sampled_from(self.OPTIONS)))
            words.append(draw(value))
        if verb == "train":  # or it could train for minutes
            words = ["text.txt", "--steps", "1", *SMALL, *words]
        if verb in ("generate", "chat"):
            words += ["--max-tokens", "3"]
        self.told = repr([verb, *words])
        done = call(verb, *words, stdin=draw(st.sampled_from([b"", b"hi\n", b"\xff\0\n"])), folder=self.place)
        _check_exit(done.code, done.err)
        return f"exit {done.code}"


class Planted(Kind):
    """Faults on purpose: the fuzzer must find each. Not part of ``make fuzz``."""

    def make(self) -> None:
        self.planted: set[str] = set()

    def case(self, draw: Draw) -> str:
        self.told = draw(st.sampled_from(["a traceback", "a file outside", "an end", "nothing"]))
        self.planted.add(self.told)
        if self.told == "a traceback":
            raise ValueError(self.told)
        if self.told == "a file outside":
            (self.outside / "letter.txt").write_bytes(b"")
        if self.told == "an end" and self.planted >= {"a traceback", "a file outside"}:
            os.abort()
        return self.told


KINDS: dict[str, type[Kind]] = {
    "planted": Planted,
    "saved": Saved,
    "released": Released,
    "files": Files,
    "tokenizers": Tokenizers,
    "states": States,
    "runs": Runs,
    "texts": Texts,
    "pairs": Pairs,
    "arguments": Arguments,
}


def run_of(base: Path) -> None:
    """A finished run of two steps."""
    (base / "text.txt").write_text(TEXT)
    done = call("train", "text.txt", "--out", "run", "--steps", "2", *SMALL, folder=base)
    assert done.code == 0, done.err


class Cut(runs.Events):
    """Ends a run after its second step, before anything of it is saved."""

    def report(self, report: Report) -> None:
        if isinstance(report, Stepped) and report.step == 2:
            raise StopError


class StopError(Exception):
    """The end of a run that is cut short."""


def cut_run_of(base: Path) -> None:
    """The same run, as a kill in its second step leaves it."""
    settings = tuple(map(recipes.read_setting, SHAPE))
    asked = runs.Asked(sources=["text.txt"], steps=2, tokenizer="bytes", threads=1, settings=settings, out=Path("cut"))
    with contextlib.chdir(base), contextlib.suppress(StopError):
        runs.start(asked, Cut(), started=time.perf_counter())
    state = load_state(base / "cut" / "state")
    assert state is not None
    assert state.progress.step == 1


def _error(error: ClearheadError) -> str:
    str(error).encode()  # it can be printed
    assert len(str(error)) < 4000, "an endless message"
    return "one error"


def _check_exit(code: int, err: str) -> None:
    assert code in (0, 1, 2), f"exit code {code}"
    assert "Traceback" not in err, err[-500:]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(_same(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)
    return bool(one == other)
