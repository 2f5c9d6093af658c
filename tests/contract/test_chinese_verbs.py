"""Every verb prints Chinese: what it shows of a tiny model has no Latin words but names that options and files have."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from clearhead.lab import comparison, draw_comparison, plan
from clearhead.lab.comparison import read
from clearhead.lab.speeds import LENGTHS, Speed
from clearhead.machine import processor
from cli.calling import call
from contract.newcomer import write_released

SHAPE = [
    "model.layers=1",
    "model.width=32",
    "model.context=64",
    "model.attention={heads=2,kv_heads=2,head_width=16}",
    "model.feed_forward={width=32}",
    "train.batch=4",
    "train.evaluations=2",
    "train.evaluation_tokens=400",
    "train.final_tokens=400",
]
SMALL = ["--threads", "1", *(word for value in SHAPE for word in ("--set", value))]
WORLD = ["--corpus", "world-zh", "--megabytes", "0.1"]

# Latin words of a Chinese line: methods, units, formats, kinds of parts and models, commands of a chat.
KNOWN = re.compile(
    r"logits?|lens|tuned|softmax|sdpa|reference|flex|token|nats|KL|PCA|t-SNE|Sundararajan|BLEU|chrF|MB|GB|GPU|CUDA|CPU|AVX|"
    r"torch|[Pp]ython|temperature|top_k|clearhead|qwen|marian|transformer|lstm|swiglu|silu|rms|layer|muon|rotary|sinusoidal|theta|causal|"
    r"character-bpe|characters|bytes|runs|cmp|seed|en|zh|world-en|world-zh|python-docs|endoftext|mean|patch|ablate|"
    r"cpu|TOML|MASK|hub|SENTENCE|W_[A-Z]|off|Ctrl-[CD]|"
    r"train|generate|translate|chat|history|lab|words|analogy|query|edit|minutes|induction|utf-|UTF-|"
    r"linear|native|vector|ms|context|vectors|qkv|activation|senses|mask|heads|next|Server|may|have|the|check|crashed|server|ReLU|sigmoid|tanh"
)
# Quoted names and code, options, paths, tokens in angle brackets; a heading in Chinese with its name for options.
STAYS = re.compile(
    r"`[^`]*`|'[^']*'|\"[^\"]*\"|--[\w-]+|clearhead [a-z]+|\S*[/.=_]\w\S*|<[^ ]*|\[[^\]]*\]|[A-Za-z]*\d\S*|"
    r"(?<=[\u4e00-\u9fff]) +[a-z]+(?=  +[\u4e00-\u9fff])"
)
WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")


def latin(text: str) -> list[str]:
    """The lines with Latin words that are not known, but for the processor. Lines of a sample begin with a bar."""
    found: list[str] = []
    for line in text.replace(processor(), "").splitlines():
        words = [] if line.startswith("   | ") else WORD.findall(STAYS.sub(" ", line))
        if any(not KNOWN.fullmatch(word) for word in words):
            found.append(line)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model with kept models, another that goes on from it, an encoder, a translator, one that talks."""
    at = tmp_path_factory.mktemp("verbs")
    write_released(at)
    (at / "long.txt").write_text("从前有一个国王，他有三个女儿。" * 60)
    (at / "pairs.tsv").write_text("i like cats\t我喜欢猫\nshe is at home\t她在家\nthe dog sleeps\t狗在睡觉\n" * 3)
    (at / "uses.tsv").write_text(
        "word\tsense\tsentence\n雨\t天气\t下雨了。\n雨\t天气\t雨很大。\n雨\t人名\t小雨在家。\n雨\t人名\t小雨睡了。\n"
    )
    for words in (
        [*WORLD, "--steps", "4", "--keep", "2", "--out", "runs/zh", *SMALL],
        ["--from", "runs/zh", *WORLD, "--steps", "2", "--out", "runs/on", "--threads", "1"],
        [*WORLD, "--steps", "2", "--masked", "--out", "runs/masked", *SMALL],
        ["--pairs", "pairs.tsv", "--steps", "2", "--tokenizer", "bytes", "--out", "runs/tr", *SMALL],
    ):
        done = call("--language", "zh", "train", *words, folder=at)
        assert (done.code, latin(done.err)) == (0, []), done.err
    return at


@pytest.mark.parametrize(
    "words",
    [
        ["next", "runs/zh", "从前有", "--layers"],
        ["next", "runs/zh", "从前有", "--temperature", "0.7", "--top-k", "3"],
        ["look", "runs/zh", "从前有"],
        ["look", "runs/zh", "从前有", "--by", "gradient"],
        ["look", "runs/zh", "从前有", "--by", "integrated-gradient"],
        ["look", "runs/tr", "ab", "--target", "家"],
        ["atlas", "runs/zh", "从前有"],
        ["heads", "runs/zh"],
        ["heads", "runs/zh", "--kind", "previous"],
        ["change", "runs/zh", "runs/on", "从前有"],
        ["history", "runs/zh", "从前有"],
        ["steps", "runs/zh", "从前有"],
        ["lens", "runs/zh", "从前有"],
        ["lens", "runs/zh", "--train", "long.txt", "--steps", "1", "--out", "lens.safetensors"],
        ["export", "runs/zh", "runs/packed", "--bits", "4"],
        ["eval", "runs/zh", "uses.tsv", "--bits", "4"],
        ["parts", "runs/zh", "从前有"],
        ["effect", "runs/zh", "从前有", "--edit", "ablate 0.0"],
        ["sweep", "runs/zh", "从前有", "--source", "从后有"],
        ["words", "runs/zh", "nearest", "有"],
        ["words", "runs/zh", "analogy", "我", "你", "他"],
        ["words", "runs/zh", "score", "--run"],
        ["senses", "runs/zh", "雨", "雨下了。", "下雨了。"],
        ["senses", "runs/zh", "--file", "uses.tsv"],
        ["fill", "runs/masked", "从[MASK]有"],
        ["translate", "runs/tr", "she"],
        ["eval", "runs/zh", "uses.tsv"],
        ["eval", "runs/tr", "--pairs", "pairs.tsv"],
        ["show", "runs/zh"],
        ["show", "runs/tr"],
        ["doctor"],
        ["corpora"],
        ["lab"],
    ],
    ids=" ".join,
)
def test_a_verb_prints_chinese(words: list[str], folder: Path) -> None:
    done = call("--language", "zh", *words, folder=folder)
    assert done.code == 0, done.err
    assert latin(done.out + done.err) == []


def test_a_chat_is_in_chinese(folder: Path) -> None:
    """All its commands, on standard error; the answers of a model that learnt nothing are on standard output."""
    lines = [
        "你好",
        "/help",
        "/set",
        "/set temperature 0.5",
        "/edit ablate 0.1",
        "/edit",
        "/edit off",
        "/clear",
        "/bye",
    ]
    said = "\n".join(lines) + "\n"
    done = call(
        "--language", "zh", "chat", "Qwen3-0.6B", "--max-tokens", "4", "--seed", "1", folder=folder, stdin=said.encode()
    )
    assert done.code == 0, done.err
    assert latin(done.err) == []


def test_what_a_chat_looks_at_is_in_chinese(folder: Path) -> None:
    said = "你好\n/look\n/look 1.1\n"
    done = call(
        "--language", "zh", "chat", "Qwen3-0.6B", "--max-tokens", "4", "--seed", "1", folder=folder, stdin=said.encode()
    )
    shown = done.out[done.out.index("Qwen3-0.6B：") :]  # behind the answer
    assert done.code == 0, done.err
    assert [line for line in latin(shown) if not re.match(r"[ \d.…]", line)] == []  # but for tokens and their rows


@pytest.mark.parametrize(
    "words",
    [
        ["look", "runs/none", "从前有"],
        ["look", "runs/zh", "从前有", "--query", "她"],
        ["look", "runs/zh@3", "从前有"],
        ["look", "runs/zh", "从前有", "--out", "a.gif"],
        ["look", "runs/zh", "从前有", "--head", "9"],
        ["generate", "runs/zh", "你好", "--top-p", "2"],
        ["generate", "runs/zh", "你好", "--temprature", "1"],
        ["train", "none.txt"],
        ["train", *WORLD, "--minutes", "0"],
        ["train", *WORLD, "--steps", "3", "--set", "model.layer=5", "--out", "runs/x"],
        ["train", *WORLD, "--steps", "3", "--out", "runs/zh"],
        ["train", "--corpus", "world-cn"],
        ["translate", "runs/zh", "你好"],
        ["chat", "runs/zh"],
        ["chat", "runs/masked"],
        ["eval", "runs/zh", "cut.txt"],
        ["effect", "runs/zh", "从前有", "--edit", "切除"],
        ["history", "runs/zh", "从前有", "--measure", "induction"],
        ["words", "runs/zh", "analogy", "男人", "女人"],
        ["senses", "runs/zh", "--file", "one.tsv"],
        ["lab", "masks"],
        ["show", "uses.tsv"],
        ["nothing"],
    ],
    ids=" ".join,
)
def test_an_error_is_in_chinese(words: list[str], folder: Path) -> None:
    (folder / "cut.txt").write_bytes("从前有一个国王".encode()[:-1])
    (folder / "one.tsv").write_text("word\tsense\tsentence\n雨\t天气\t下雨了。\n雨\t天气\t雨很大。\n")
    done = call("--language", "zh", *words, folder=folder)
    assert done.code in (1, 2)
    assert done.err.startswith("错误：")
    assert latin(done.err) == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["atlas", "runs/zh", "从前有"], "首词元"),
        (["parts", "runs/zh", "从前有"], "前馈"),
        (["history", "runs/zh", "从前有"], "首词元"),
        (["change", "runs/zh", "runs/on", "从前有"], "之前"),
        (["sweep", "runs/zh", "从前有", "--source", "从后有"], "第 0 层"),
        (["lens", "runs/zh", "从前有"], "嵌入"),
        (["senses", "runs/zh", "雨", "雨下了。", "下雨了。"], "余弦距离"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else words,
)
def test_a_picture_is_in_chinese(words: list[str], named: str, folder: Path) -> None:
    """The texts of the .svg, which are those of the .png."""
    done = call("--language", "zh", *words, "--out", f"{words[0]}.svg", folder=folder)
    assert done.code == 0, done.err
    texts = drawn(folder / f"{words[0]}.svg")
    assert latin("\n".join(texts)) == []
    assert any(named in text for text in texts)


def test_the_loss_curve_is_in_chinese(folder: Path) -> None:
    assert set(drawn(folder / "runs" / "zh" / "loss.svg")) >= {"训练", "验证", "步", "每个词元的 nats"}


def test_a_comparison_is_in_chinese(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_enough", lambda *_: 10)  # steps
    speed = {"training": 1e4, "training_bytes": 2**30, "generating": 99, "state_bytes": 2**20}
    speeds = [Speed(kind=kind, length=length, **speed) for kind in ("transformer", "lstm") for length in LENGTHS]
    monkeypatch.setattr(comparison, "speeds", lambda kind, config: [each for each in speeds if each.kind == kind])
    options = ["--model", "transformer", "--model", "lstm", "--rate", "0.01", "--minutes", "0.03", "--facts", "5"]
    done = call("--language", "zh", "compare", *WORLD, *options, "--out", "cmp", *SMALL, folder=folder)
    assert done.code == 0, done.err
    assert latin(done.out + done.err) == []
    draw_comparison(read(folder / "cmp"), folder / "cmp.svg", language="zh")
    texts = drawn(folder / "cmp.svg")
    assert latin("\n".join(texts)) == []
    assert {"损失（越低越好）", "训练速度", "每秒词元数"} <= set(texts)


def drawn(path: Path) -> list[str]:
    """The texts of a picture."""
    root = ElementTree.parse(path).getroot()
    return ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
