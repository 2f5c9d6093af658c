"""Tokenizers of released folders: published vectors, and what transformers makes of the same files."""

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from samples import ODD, sentence_pieces
from tokenizers import decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer

from clearhead.errors import FolderError
from clearhead.text import SEPARATOR, Tokenizer
from clearhead.text.tokenizers.opening import open_tokenizer
from clearhead.text.tokenizers.special import edges

DATA = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"
here = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/tokenizers is not here")
MARK = "\n__ggml_vocab_test__\n"
TEXTS = [
    "",
    " ",
    "Hello world",
    " Hello  WORLD!\n\n it's 2024, naïve Ünïcode\t",
    "你好，世界 ab你c",
    "e\u0301 ﬁ Ⅷ \u200d\u0000x\ufffd",
    "[MASK] [mask] <s> </s>[SEP]x<mask> y <|endoftext|>z",
    "🦙 " * 3,
    ODD,
]


def vectors(name: str) -> list[tuple[str, list[int]]]:
    texts = (DATA / f"{name}.inp").read_bytes().decode().split(MARK)[:-1]
    lines = (DATA / f"{name}.out").read_text().splitlines()
    return [(text, [int(n) for n in line.split()]) for text, line in zip(texts, lines, strict=True)]


def write(folder: Path, **files: object) -> Path:
    """A folder with these .json files, named without the ending."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def gpt2(folder: Path, **files: object) -> Path:
    write(folder, **files)
    shutil.copy(DATA / "gpt2" / "encoder.json", folder / "vocab.json")
    shutil.copy(DATA / "gpt2" / "vocab.bpe", folder / "merges.txt")
    return folder


def bert(folder: Path, **files: object) -> Path:
    write(folder, **files)
    shutil.copy(DATA / "bert-base-uncased" / "vocab.txt", folder)
    return folder


def agree(folder: Path) -> Tokenizer:
    """The folder's tokenizer, after it gave transformers' ids: alone, as the model expects them, and of pairs."""
    ours, theirs = Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"], text
        assert [*ours.front, *ours.encode(text), *ours.back] == theirs(text)["input_ids"], text
    for first, second in zip(TEXTS[1:], reversed(TEXTS[1:]), strict=True):
        pair = theirs(first, second, return_token_type_ids=True)
        assert ours.encode_pair(first, second) == (pair["input_ids"], pair["token_type_ids"]), (first, second)
    assert ours.roles == {role.removesuffix("_token"): token for role, token in theirs.special_tokens_map.items()}
    assert ours.vocab_size == max(theirs.get_vocab().values()) + 1
    return ours


@here
class TestVectors:
    def test_gpt2(self, tmp_path: Path) -> None:
        ours = Tokenizer.load(gpt2(tmp_path))
        found = vectors("gpt2/llamacpp-gpt-2")
        assert len(found) == 46
        for text, ids in found:
            assert ours.encode(text) == ids, text
            assert ours.decode(ids) == text

    @pytest.mark.parametrize("file", ["vocab.txt", "tokenizer.json"])
    def test_bert(self, file: str, tmp_path: Path) -> None:
        shutil.copy(DATA / "bert-base-uncased" / file, tmp_path)
        ours = Tokenizer.load(tmp_path)
        found = vectors("bert-base-uncased/llamacpp-bert-bge")
        assert len(found) == 46
        for text, ids in found:
            assert ours.encode(text) == ids, text
        assert (ours.front, ours.back) == ((101,), (102,))
        assert ours.encode_document("Führer") == [101, *ours.encode("fuhrer"), 102]

    def test_gpt_neox(self, tmp_path: Path) -> None:
        shutil.copy(DATA / "gpt-neox-20b" / "tokenizer.json", tmp_path)
        write(tmp_path, tokenizer_config={"tokenizer_class": "GPTNeoXTokenizer", "eos_token": SEPARATOR})
        ours = agree(tmp_path)
        for text, _ in vectors("gpt2/llamacpp-gpt-2"):
            assert ours.decode(ours.encode(text)) == text

    @pytest.mark.parametrize(
        ("model", "named", "written"),
        [*product(["NeoX"], [None, False, True], [False, True]), ("GPT-2", None, True), ("GPT-2", True, False)],
    )
    def test_a_space_in_front(self, model: str, named: bool | None, written: bool, tmp_path: Path) -> None:
        """tokenizer_config.json decides, whatever tokenizer.json says; without a word there is none."""
        if model == "NeoX":
            state = json.loads((DATA / "gpt-neox-20b" / "tokenizer.json").read_text())
        else:
            state = json.loads(Tokenizer.load(gpt2(tmp_path / "gpt2")).to_json())
        state["pre_tokenizer"]["add_prefix_space"] = written
        said = {} if named is None else {"add_prefix_space": named}
        name = {"NeoX": "GPTNeoXTokenizer", "GPT-2": "GPT2Tokenizer"}[model]
        ours = agree(write(tmp_path, tokenizer=state, tokenizer_config={"tokenizer_class": name, **said}))
        assert (ours.encode("x") == ours.encode(" x")) == bool(named)

    @pytest.mark.parametrize("name", ["mistral/tokenizer.model.v1", "t5/spiece.model"])
    def test_sentence_piece_alone_is_refused(self, name: str, tmp_path: Path) -> None:
        shutil.copy(DATA / name, tmp_path / Path(name).name.removesuffix(".v1"))
        with pytest.raises(
            FolderError, match=r"a SentencePiece model alone is not supported; it needs a tokenizer\.json"
        ):
            Tokenizer.load(tmp_path)


ADDED = {"content": "<x>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False, "special": True}
GPT2_FOLDERS: dict[str, dict[str, Any]] = {
    "no other file": {"config": {"model_type": "gpt2"}},
    "prefix space": {"tokenizer_config": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}},
    "bos in front": {"tokenizer_config": {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True}},
    "eos behind": {"tokenizer_config": {"tokenizer_class": "GPT2Tokenizer", "add_eos_token": True}},
    "roles": {
        "tokenizer_config": {"tokenizer_class": "GPT2TokenizerFast"},
        "special_tokens_map": {"pad_token": {**ADDED, "content": SEPARATOR}, "eos_token": SEPARATOR},
    },
    "added tokens": {
        "tokenizer_config": {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<x>"},
        "added_tokens": {"<x>": 50257, "never more": 50258},
    },
    "added with habits": {
        "tokenizer_config": {"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": {"50257": ADDED}}
    },
    "qwen": {"tokenizer_config": {"tokenizer_class": "Qwen2Tokenizer"}},
    "class in config.json": {"config": {"model_type": "gpt2", "tokenizer_class": "Qwen2Tokenizer"}},
    "two classes": {
        "tokenizer_config": {"tokenizer_class": "GPT2TokenizerFast"},
        "config": {"model_type": "gpt2", "tokenizer_class": "Qwen2Tokenizer"},
    },
}
BERT_FOLDERS: dict[str, dict[str, Any]] = {
    "no other file": {"config": {"model_type": "bert"}},
    "cased": {"tokenizer_config": {"tokenizer_class": "BertTokenizer", "do_lower_case": False}},
    "accents kept": {"tokenizer_config": {"tokenizer_class": "BertTokenizer", "strip_accents": False}},
    "accents gone": {
        "tokenizer_config": {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True}
    },
    "chinese whole": {"tokenizer_config": {"tokenizer_class": "BertTokenizerFast", "tokenize_chinese_chars": False}},
    "roles": {
        "special_tokens_map": {"cls_token": "[unused0]", "sep_token": "[unused1]"},
        "config": {"model_type": "bert"},
    },
    "distilled": {"config": {"model_type": "distilbert"}},
    "class in config.json": {"config": {"model_type": "gpt2", "tokenizer_class": "BertTokenizer"}},
}


@here
class TestAgainstTransformers:
    @pytest.mark.parametrize("files", GPT2_FOLDERS.values(), ids=GPT2_FOLDERS)
    def test_vocab_and_merges(self, files: dict[str, Any], tmp_path: Path) -> None:
        agree(gpt2(tmp_path, **files))

    @pytest.mark.parametrize("files", BERT_FOLDERS.values(), ids=BERT_FOLDERS)
    def test_vocab_txt(self, files: dict[str, Any], tmp_path: Path) -> None:
        agree(bert(tmp_path, **files))

    def test_saved_it_stays_the_same(self, tmp_path: Path) -> None:
        for made in (gpt2(tmp_path / "a", **GPT2_FOLDERS["added with habits"]), bert(tmp_path / "b")):
            ours = Tokenizer.load(made)
            ours.save(made / "saved")
            again = agree(made / "saved")
            assert (again.fingerprint, again.front, again.roles) == (ours.fingerprint, ours.front, ours.roles)

    def test_roberta(self, tmp_path: Path) -> None:
        """A vocabulary of bytes with RoBERTa's five tokens: its own processor, in both forms of the files."""
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        ids = {token: n for n, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet])}
        write(tmp_path, vocab=ids, config={"model_type": "roberta"})
        (tmp_path / "merges.txt").write_text("#version: 0.2\n")
        ours = agree(tmp_path)
        assert (ours.front, ours.back) == ((0,), (2,))


ANY_CLASS = {"tokenizer_class": "PreTrainedTokenizerFast"}
JSON_FOLDERS: dict[str, dict[str, Any]] = {
    "no other file": {},
    "roles in the map": {
        "tokenizer_config": ANY_CLASS,
        "special_tokens_map": {"bos_token": "<s>", "unk_token": "<unk>"},
    },
    "roles in the config": {"tokenizer_config": {**ANY_CLASS, "eos_token": "</s>", "pad_token": "<unk>"}},
    "habits": {
        "tokenizer_config": {
            **ANY_CLASS,
            "bos_token": "<s>",
            "added_tokens_decoder": {"256": {**ADDED, "content": "<s>", "lstrip": False, "rstrip": True}},
        },
        "special_tokens_map": {"eos_token": "</s>"},  # does not count beside added_tokens_decoder
    },
    "more of them": {"tokenizer_config": {**ANY_CLASS, "additional_special_tokens": ["<unk>", "</s>"]}},
    "more in the map": {"tokenizer_config": ANY_CLASS, "special_tokens_map": {"additional_special_tokens": ["<s>"]}},
    "named otherwise": {"tokenizer_config": {**ANY_CLASS, "extra_special_tokens": ["</s>"]}},
    "added": {"tokenizer_config": ANY_CLASS, "added_tokens": {"<s>": 256}},
    "as text": {"tokenizer_config": {**ANY_CLASS, "eos_token": "</s>", "split_special_tokens": True}},
    "prefix space": {"tokenizer_config": {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "<s>",
                                          "unk_token": "<s>", "add_prefix_space": True}},
}  # fmt: skip


@pytest.mark.parametrize("files", JSON_FOLDERS.values(), ids=JSON_FOLDERS)
def test_tokenizer_json_beside_other_files(files: dict[str, Any], tmp_path: Path) -> None:
    alphabet = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<s>", "</s>", "<unk>"]
    library = tokenizers.Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(alphabet)}, merges=[]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    write(tmp_path, **files)
    library.save(str(tmp_path / "tokenizer.json"))
    agree(tmp_path)


def test_bytes_without_a_token_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    for lacking in ("", "!~", "!Ġ"):
        vocabulary = {token: n for n, token in enumerate(token for token in alphabet if token not in lacking)}
        library = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        library.decoder = decoders.ByteLevel()
        library.save(str(tmp_path / "tokenizer.json"))
        open_tokenizer(tmp_path)
    first, second = (record.getMessage() for record in caplog.records)
    assert (
        first == f"{tmp_path / 'tokenizer.json'}: no token for 2 of 256 bytes, so they are dropped from texts: '!', '~'"
    )
    assert second.endswith("from texts: '!', ' '")


@here
def test_flags_of_bert_count_beside_tokenizer_json(tmp_path: Path) -> None:
    shutil.copy(DATA / "bert-base-uncased" / "tokenizer.json", tmp_path)
    for flags in ({"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}):
        write(tmp_path, tokenizer_config={"tokenizer_class": "BertTokenizer", **flags})
        agree(tmp_path)


def test_what_a_template_puts_around_a_text(tmp_path: Path) -> None:
    library = tokenizers.Tokenizer(models.WordLevel({"[g]": 0, "<s>": 1, "a": 2, "</s>": 3, "[u]": 4}, unk_token="[u]"))
    library.add_special_tokens(["[g]", "<s>", "</s>"])
    inner = processors.TemplateProcessing(single="<s> $A", pair="$A $B", special_tokens=[("<s>", 1)])
    outer = processors.TemplateProcessing(single="[g] $A </s>", pair="$A $B", special_tokens=[("[g]", 0), ("</s>", 3)])
    for steps in ([outer], [processors.ByteLevel(), inner], [processors.BertProcessing(("</s>", 3), ("<s>", 1))]):
        library.post_processor = processors.Sequence(steps)
        expected = library.encode("a").ids
        ours = Tokenizer(tokenizers.Tokenizer.from_str(library.to_str()))
        assert ours.encode_document("a") == expected
        assert ours.encode("a") == [2]
    library.post_processor = processors.Sequence([inner, outer])
    with pytest.raises(FolderError, match="2 post-processors add tokens"):
        Tokenizer(library)
    with pytest.raises(FolderError, match="unknown post-processor 'Other'"):
        edges({"type": "Other"})


def test_documents_start_with_the_separator_if_nothing_else_is_in_front(tmp_path: Path) -> None:
    library = tokenizers.Tokenizer(models.WordLevel({"a": 0, "<s>": 1}, unk_token="a"))
    library.add_special_tokens([SEPARATOR])
    plain = Tokenizer(library)
    assert (plain.kind, plain.front, plain.end) == ("file", (), 2)
    documents = plain.of_documents()
    assert (documents.front, documents.separator, documents.end) == ((2,), 2, 2)
    assert documents.fingerprint == plain.fingerprint
    documents.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert (again.front, again.of_documents()) == ((2,), again)
    assert AutoTokenizer.from_pretrained(tmp_path)("a")["input_ids"] == again.encode_document("a") == [2, 0]
    assert sentence_pieces().of_documents().front == ()  # it has no such token


def test_gaps_between_ids_are_known() -> None:
    library = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 3, "c": 7}, unk_token="a"))
    assert Tokenizer(library).gaps == [1, 2, 4, 5, 6]


VOCABULARY = {"vocab": {"a": 0}, "merges": ""}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "neither vocab.json with merges.txt nor vocab.txt"),
    ({"vocab": {"a": 0}}, "merges.txt missing; without a tokenizer.json, a GPT2Tokenizer needs it"),
    ({"vocab": {"a": 0, "Ġ": 1, "Ġa": 2}, "merges": ""}, "no merge makes 1 of its tokens, such as 'Ġa'"),
    (
        {"vocab": {"a": 0, "Ġ": 1, "Ġa": 2, "Ġaa": 3}, "merges": "Ġ a\n"},
        "no merge makes 1 of its tokens, such as 'Ġaa'",
    ),
    (
        {"vocab": {"a": 0, "b": 1, "ab": 2, "ba": 3, "aba": 4}, "merges": "a b\nab a\n"},
        "no merge makes 1 of its tokens, such as 'ba'",
    ),
    ({"vocab": [1], "merges": ""}, "truncated, altered or of two tokenizers"),
    ({"vocab": {"a": 0}, "merges": "#version: 0.2\na b\n"}, "truncated, altered or of two tokenizers"),
    (
        {**VOCABULARY, "config": {"model_type": "x"}, "tokenizer_config": {"tokenizer_class": "CLIPTokenizer"}},
        "cannot build a 'CLIPTokenizer' from vocab.json",
    ),
    (
        {**VOCABULARY, "config": {"model_type": "gpt2", "tokenizer_class": "CLIPTokenizer"}},
        "cannot build a 'CLIPTokenizer' from vocab.json",
    ),
    ({**VOCABULARY, "tokenizer_config": {"add_prefix_space": "yes"}}, "add_prefix_space = 'yes' must be true or false"),
    ({**VOCABULARY, "tokenizer_config": {"eos_token": 3}}, "eos_token: 3 is not a token"),
    ({**VOCABULARY, "added_tokens": {"<x>": 9}}, "'<x>' has the id 9 in one file and 1 in the others"),
    ({**VOCABULARY, "added_tokens": {"<x>": -1}}, "-1 is not a token id"),
    ({**VOCABULARY, "added_tokens": {"\ud800": 9}}, "is not a token; copy the tokenizer"),
    ({**VOCABULARY, "tokenizer_config": {"added_tokens_decoder": []}}, "added_tokens_decoder is not a table"),
    ({**VOCABULARY, "tokenizer_config": {"chat_template": 5}}, "chat_template is neither a string"),
    (
        {**VOCABULARY, "config": {"model_type": "roberta"}},
        "the vocabulary lacks sep_token, which goes around every text",
    ),
    ({"vocab": {"a": 99999999}, "merges": ""}, "a token has the id 99999999"),
]


@pytest.mark.parametrize(("files", "message"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_cannot_be_read_is_refused(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    merges = files.get("merges")
    write(tmp_path, **{name: content for name, content in files.items() if name != "merges"})
    if merges is not None:
        (tmp_path / "merges.txt").write_text(merges)
    with pytest.raises(FolderError) as caught:
        Tokenizer.load(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("vocabulary", "merges", "settings", "lacking"),
    [
        ({"a": 0, "b": 1, "ab": 2, "aba": 3, "bab": 4}, "a b\n", {}, "2 of the tokens in vocab.json, such as 'aba'"),
        ({"a": 0, "b": 1, "ab": 2}, "", {}, "1 of the tokens in vocab.json, such as 'ab'"),
        ({"a": 0, "b": 1, "ab": 2, "aba": 3}, "a b\nab a\n", {}, None),
        ({"a": 0, "b": 1, "ab": 2, "<a>": 3, "[b]": 4, "madeup0": 5}, "a b\n", {}, None),
        ({"a": 0, "b": 1, "ab": 2, "ba": 3}, "a b\n", {"eos_token": "ba"}, None),
    ],
    ids=["cut off", "all gone", "whole", "special", "a role"],
)
def test_merges_that_may_be_cut_off_are_told(
    vocabulary: dict[str, int],
    merges: str,
    settings: dict[str, str],
    lacking: str | None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path, vocab=vocabulary, tokenizer_config={"tokenizer_class": "GPT2Tokenizer", **settings})
    (tmp_path / "merges.txt").write_text(merges)
    Tokenizer.load(tmp_path)
    said = [record.message for record in caplog.records if "no merge makes" in record.message]
    assert len(said) == (lacking is not None)
    assert lacking is None or f"{tmp_path / 'merges.txt'}: no merge makes {lacking}" in said[0]


@here
def test_nothing_is_told_of_released_merges(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Tokenizer.load(gpt2(tmp_path / "gpt2"))
    neox = json.loads((DATA / "gpt-neox-20b" / "tokenizer.json").read_text())["model"]
    write(tmp_path / "neox", vocab=neox["vocab"], config={"model_type": "gpt2"})
    (tmp_path / "neox" / "merges.txt").write_text("\n".join(neox["merges"]))
    Tokenizer.load(tmp_path / "neox")
    assert not [record.message for record in caplog.records if "no merge" in record.message]
    (tmp_path / "neox" / "merges.txt").write_text("\n".join(neox["merges"][:-1]))
    with pytest.raises(FolderError, match="no merge makes 1 of its tokens, such as 'ĠOutcomes'"):
        Tokenizer.load(tmp_path / "neox")


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer_config.json"])
def test_no_file_that_is_too_large_is_read(name: str, tmp_path: Path) -> None:
    """A file with a hole in it: nothing of that size is on the disk."""
    if name != "vocab.txt":
        write(tmp_path, vocab={"a": 0})
        (tmp_path / "merges.txt").write_text("")
    with (tmp_path / name).open("wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(FolderError, match=rf"{name}: altered: it has 268,435,457 bytes; at most .* are read$"):
        Tokenizer.load(tmp_path)


def test_line_ends_of_windows_are_no_part_of_a_token(tmp_path: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b\u2028c", "d"]
    write(tmp_path, config={"model_type": "bert"})
    (tmp_path / "vocab.txt").write_bytes("".join(f"{token}\r\n" for token in tokens).encode())
    assert Tokenizer.load(tmp_path).encode("a d") == [5, 7]
    assert agree(tmp_path).vocab_size == len(tokens)
