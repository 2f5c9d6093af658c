"""Tokenizers: round trips, agreement with the tokenizers and transformers libraries, what is refused."""

import hashlib
import itertools
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from samples import LEARNED, ODD, sentence_pieces, word_pieces
from tokenizers import models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from clearhead.errors import FolderError, OptionError, TextError
from clearhead.text import SEPARATOR, Tokenizer, covering, spans_of, vocabulary_size, words_tokenizer
from clearhead.text.tokenizers.learned import _spread, byte_characters
from clearhead.text.tokenizers.pieces import TextBlock

DATA = Path(__file__).parents[3] / "shared" / "data"
ANY = st.text() | st.lists(st.sampled_from([SEPARATOR, "<|", "endoftext|>", "a", " ", "\n", "你", "🙂"])).map("".join)


@given(text=ANY)
@example(text=ODD)
@pytest.mark.parametrize("kind", [kind for kind in LEARNED if kind != "characters"])
def test_any_text_comes_back(kind: str, text: str):
    assert LEARNED[kind].decode(LEARNED[kind].encode(text)) == text


@given(texts=st.lists(ANY, max_size=3))
@pytest.mark.parametrize("kind", LEARNED)
def test_the_library_encodes_the_same(kind: str, texts: list[str]):
    tokenizer = LEARNED[kind] if kind != "characters" else Tokenizer.characters([*texts, "x"])
    library = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    expected = [library.encode(text).ids for text in texts]
    assert [ids.tolist() for ids in tokenizer.encode_arrays(texts)] == expected
    assert [tokenizer.encode(text) for text in texts] == expected
    assert [tokenizer.decode(ids) for ids in expected] == texts


def test_what_the_library_cannot_encode_is_one_error_however_it_is_asked():
    lacking = Tokenizer(tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="?")))
    for encode in (lacking.encode, lambda text: lacking.encode_pair("a", text), lambda t: lacking.encode_measured([t])):
        with pytest.raises(TextError, match=r"^the tokenizer cannot encode the text: .*; copy its tokenizer\.json"):
            encode("b")


@given(ids=st.lists(st.integers(0, 256)))
def test_ids_that_are_no_text_decode_as_in_the_library(ids: list[int]):
    library = tokenizers.Tokenizer.from_str(LEARNED["bytes"].to_json())
    assert LEARNED["bytes"].decode(ids) == library.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("kind", LEARNED)
def test_transformers_opens_the_folder(kind: str, tmp_path: Path):
    tokenizer = LEARNED[kind]
    tokenizer.save(tmp_path)
    # a run's folder says Qwen 3, whose own tokenizer class must not take the place of ours
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    for theirs in (PreTrainedTokenizerFast.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)):
        ids = theirs(ODD)["input_ids"]
        assert ids == tokenizer.encode(ODD)
        assert theirs.decode(ids) == ODD
        assert (len(theirs), theirs.eos_token_id) == (tokenizer.vocab_size, tokenizer.separator)


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("bytes", models.BPE(vocab={**byte_characters(), "ab": 256}, merges=[("a", "b")])),
        ("bytes", models.BPE(vocab={"a": 0, "b": 1}, merges=[])),
        ("characters", models.WordLevel(vocab={"a": 0, "[UNK]": 1}, unk_token="[UNK]")),
    ],
)
def test_a_stranger_with_the_habits_of_a_kind_is_not_of_it(kind: str, model: models.Model):
    library = tokenizers.Tokenizer.from_str(LEARNED[kind].to_json())
    library.model = model
    stranger = Tokenizer(library)
    assert (stranger.kind, stranger.cuts) == ("file", None)
    for text in ("abc", "zab", "a" + SEPARATOR + "b"):
        assert stranger.encode(text) == library.encode(text).ids


@pytest.mark.parametrize("kind", LEARNED)
def test_saved_and_loaded_it_is_the_same(kind: str, tmp_path: Path):
    LEARNED[kind].save(tmp_path / "deep" / "run")
    for path in (tmp_path / "deep" / "run", tmp_path / "deep" / "run" / "tokenizer.json"):
        loaded = Tokenizer.load(path)
        assert (loaded.kind, loaded.fingerprint) == (LEARNED[kind].kind, LEARNED[kind].fingerprint)
        assert loaded.encode(ODD) == LEARNED[kind].encode(ODD)
    assert sorted(file.name for file in path.parent.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]


def test_bytes_are_their_own_ids():
    assert LEARNED["bytes"].encode("é" + SEPARATOR + "\n") == [0xC3, 0xA9, 256, 10]
    assert (LEARNED["bytes"].vocab_size, LEARNED["bytes"].separator, LEARNED["bytes"].dtype) == (257, 256, np.uint16)


def test_characters_have_the_ids_of_their_order():
    tokenizer = Tokenizer.characters(["hello", "world" + SEPARATOR])
    assert tokenizer.encode("dehlorw" + SEPARATOR) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert (tokenizer.vocab_size, tokenizer.separator) == (8, 7)


def test_an_unknown_character_is_named():
    with pytest.raises(TextError, match=r"the character '你' \(U\+4F60\) in 'hello 你' is not among the 8 "):
        Tokenizer.characters(["hello world"]).encode("hello 你")


def test_half_a_character_is_named():
    for tokenizer in (*LEARNED.values(), word_pieces()):
        with pytest.raises(TextError, match=r"half a character \(U\+D83D\) at position 1"):
            tokenizer.encode("x\ud83dx")


@pytest.mark.parametrize("token", [257, -1])
def test_an_unknown_id_is_named(token: int):
    with pytest.raises(TextError, match=rf"id {token} is not in the vocabulary \(0 to 256\)"):
        LEARNED["bytes"].decode([1, token])
    with pytest.raises(TextError, match="is not in the vocabulary"):
        word_pieces().decode([token])


@pytest.mark.parametrize(("made", "unknown"), [*((kind, None) for kind in LEARNED.values()), (word_pieces(), 0)])
def test_the_id_for_unknown_text(made: Tokenizer, unknown: int | None):
    assert made.unknown == unknown
    assert sentence_pieces().unknown is None  # it writes bytes
    unigram = models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0, byte_fallback=False)
    assert Tokenizer(tokenizers.Tokenizer(unigram)).unknown == 0


def test_ids_may_come_from_arrays():
    assert word_pieces().decode(np.array([1, 2, 3], dtype=np.uint16)) == "the cafe"
    assert LEARNED["bytes"].decode(np.array([97, 98])) == "ab"


@pytest.mark.parametrize(
    ("text_bytes", "size"),
    [
        (1, 512),
        (100_000, 512),
        (1_115_394, 1024),
        (13_400_000, 4096),
        (58_490_369, 8192),
        (10**9, 32768),
        (10**12, 65536),
    ],
)
def test_the_vocabulary_grows_as_the_root_of_the_text(text_bytes: int, size: int):
    assert vocabulary_size(text_bytes) == size


def test_bpe_has_the_size_asked_and_the_separator_last():
    words = ["".join(letters) for letters in itertools.permutations("abcdef", 4)]
    text = " ".join(words * 20)
    tokenizer = Tokenizer.train_bpe([text], 500)
    assert (tokenizer.vocab_size, tokenizer.separator, tokenizer.kind) == (500, 499, "bpe")
    assert Tokenizer.train_bpe([text]).vocab_size == vocabulary_size(len(text)) == 512


def test_bpe_learns_no_merge_across_the_written_separator():
    tokenizer = Tokenizer.train_bpe(["end" + SEPARATOR + "start"] * 9, 300)
    assert not any("|>" in label or "<|" in label for label in tokenizer.labels(range(tokenizer.separator or 0)))


def test_bpe_is_the_same_in_every_process():
    code = (
        "import sys; from clearhead.text import Tokenizer; "
        "print(Tokenizer.train_bpe([''.join(f'a{n % 31}b{n % 37} ' for n in range(4000))], 400).fingerprint)"
    )
    prints = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(prints) == 1


@pytest.mark.parametrize("size", [0, 256, -5, 2**20 + 1, 10**9, 2**63 - 1, 2**64])
def test_a_size_out_of_range_is_refused(size: int):
    with pytest.raises(OptionError, match=rf"vocabulary size {size:,}: .* at least 257 tokens .* at most 1,048,576$"):
        Tokenizer.train_bpe(["text"], size)


@pytest.mark.parametrize("learn", [Tokenizer.train_bpe, Tokenizer.characters])
def test_nothing_is_learned_from_nothing(learn: object):
    with pytest.raises(TextError, match="empty"):
        learn([""])  # type: ignore[operator]


def test_bpe_is_learned_from_a_part_spread_evenly():
    blocks = [TextBlock(f"{n:04}", True) for n in range(1000)]
    kept, total = _spread(blocks, limit=600)
    assert total == 4000
    assert kept == [f"{n:04}" for n in range(0, 1000, 8)]  # 125 x 4 bytes; every fourth would be 1,000 bytes
    assert _spread(blocks, limit=4000) == ([block.text for block in blocks], 4000)


def test_long_documents_are_one_text_for_the_learner():
    pieces = Tokenizer.train_bpe(["It was the best of times.\n" * 9000], 300)
    whole = Tokenizer.train_bpe(["It was the best of times.\n"] * 9000, 300)
    assert pieces.encode("best of times, worst of times") == whole.encode("best of times, worst of times")


def test_bytes_of_text_by_id():
    for kind, tokenizer in LEARNED.items():
        lengths = tokenizer.byte_lengths()
        assert lengths.shape == (tokenizer.vocab_size,), kind
        assert lengths[tokenizer.encode(ODD)].sum() == len(ODD.encode()) - len(SEPARATOR), kind


@pytest.mark.parametrize("tokenizer", [word_pieces(), sentence_pieces()], ids=["word pieces", "sentence pieces"])
@pytest.mark.parametrize("text", ["The café!  ", "  a ba你", "h", "", "   "])
def test_bytes_of_text_by_place_where_ids_do_not_tell(tokenizer: Tokenizer, text: str):
    ((ids, lengths),) = tokenizer.encode_measured([text])
    assert ids.tolist() == tokenizer.encode(text)
    assert len(lengths) == len(ids)
    assert lengths.min(initial=0) >= 0
    assert lengths.sum() == (len(text.encode()) if len(ids) else 0)


def test_word_pieces_measured_by_hand():
    ((ids, lengths),) = word_pieces().encode_measured(["The café!  "])
    assert ids.tolist() == [1, 2, 3, 4]  # the, caf, ##e, !
    assert lengths.tolist() == [3, 4, 2, 3]  # "The", " caf", "é", "!  "


def test_files_of_other_tokenizers_are_used_as_they_are(tmp_path: Path):
    library = tokenizers.Tokenizer.from_str(word_pieces().to_json())
    library.enable_truncation(2)
    library.enable_padding(length=8)
    library.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.kind, loaded.separator, loaded.cuts) == ("file", None, None)
    assert loaded.encode("the caf the caf") == [1, 2, 1, 2]
    loaded.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text()) == {"chat_template": "{{ messages }}"}


def test_a_missing_or_damaged_file_is_reported(tmp_path: Path):
    with pytest.raises(FolderError, match=r"tokenizer\.json: no such file"):
        Tokenizer.load(tmp_path)
    LEARNED["bpe"].save(tmp_path)
    whole = (tmp_path / "tokenizer.json").read_bytes()
    for end in (0, 1, 500, len(whole) - 2):
        (tmp_path / "tokenizer.json").write_bytes(whole[:end])
        with pytest.raises(FolderError, match="truncated, altered or not a tokenizer"):
            Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff" + whole)
    with pytest.raises(FolderError, match="is not UTF-8"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(whole)
    (tmp_path / "tokenizer_config.json").write_text('{"a"')
    with pytest.raises(FolderError, match=r"tokenizer_config\.json: truncated or altered"):
        Tokenizer.load(tmp_path)


@pytest.mark.skipif(not (DATA / "books-zh").is_dir(), reason="../shared/data/books-zh is not here")
@pytest.mark.parametrize("kind", LEARNED)
def test_chinese_books_come_back(kind: str):
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((DATA / "books-zh" / "train").iterdir())[:4])
    tokenizer = LEARNED[kind] if kind != "characters" else Tokenizer.characters([text])
    ids = tokenizer.encode(text)
    assert hashlib.sha256(tokenizer.decode(ids).encode()).digest() == hashlib.sha256(text.encode()).digest()
    if kind == "characters":
        assert len(ids) == len(text)


@pytest.mark.parametrize("text", [["a"], b"a", None, 3])
def test_anything_but_a_string_is_an_error(text: object) -> None:
    for tokenizer in (Tokenizer.bytes(), Tokenizer.characters(["a"])):
        with pytest.raises(TextError, match=r"was given; a text is one string, such as 'It was'$"):
            tokenizer.encode(text)  # pyright: ignore[reportArgumentType]


def test_words_are_cut_after_256_characters_in_learning_and_encoding():
    """A million letters without a space: learned within seconds, and no token crosses the places where it is cut."""
    dna = "".join(random.Random(1).choices("ACGT", k=1_000_000))
    began = time.monotonic()
    made = Tokenizer.train_bpe([dna], 1024)
    assert time.monotonic() - began < 20
    words = [dna[start : start + 256] for start in range(0, 2560, 256)]
    assert made.encode("".join(words)) == [token for word in words for token in made.encode(word)]
    same = Tokenizer.train_bpe([" ".join(["ab" * 128] * 9), "ab" * 128 * 9], 400)
    assert max(map(len, same.labels(range(same.vocab_size - 1)))) <= 257


def test_an_exception_in_the_caller_stops_the_learner():
    """Progress comes token by token, and an exception raised meanwhile ends the learner's process."""
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 5:
            raise KeyboardInterrupt

    text = "".join(random.Random(1).choices("abcdefgh ", k=3_000_000))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Tokenizer.train_bpe([text], 65_536, progress=stop)
    assert time.monotonic() - began < 20
    assert seen[-1][0] in range(5, 20)
    assert seen[-1][1] == 65_535


def test_words_are_ids_by_their_place_in_the_list(tmp_path) -> None:
    tokenizer = Tokenizer(words_tokenizer(["-", "k1", "v2"]))
    assert list(tokenizer.encode("k1 v2\n- k1")) == [1, 2, 0, 1]
    assert tokenizer.decode([2, 0, 1]) == "v2 - k1"
    assert (tokenizer.vocab_size, tokenizer.front, tokenizer.unknown) == (3, (), None)
    with pytest.raises(TextError):
        tokenizer.encode("k3")
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).fingerprint == tokenizer.fingerprint


def test_the_tokens_of_a_cut_character_share_its_span() -> None:
    ids, spans = spans_of(Tokenizer.bytes(), "a你 b")
    assert len(ids) == len(spans)
    assert spans == [(0, 0), (0, 1), (1, 2), (1, 2), (1, 2), (2, 3), (3, 4)]
    assert covering(spans, 1, 2) == [2, 3, 4]
    assert covering(spans, 0, 2) == [1, 2, 3, 4]
    assert covering([(0, 4), (4, 8)], 5, 8) == [1]
