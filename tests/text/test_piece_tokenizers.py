"""SentencePiece files of Marian, M2M-100 and T5: the ids and texts of transformers, and what damaged files say."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from transformers import AutoTokenizer, MarianTokenizer, T5Tokenizer

import little_pieces
from clearhead.errors import FolderError, MissingExtraError, TextError
from clearhead.text import Tokenizer, spans_of
from clearhead.text.tokenizers import sentence_pieces
from clearhead.text.tokenizers.piece_file import PieceFile

DATA = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"
TEXTS = little_pieces.texts()


@pytest.fixture(scope="module", params=[False, True], ids=["shared ids", "ids apart"])
def marian(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return little_pieces.marian(tmp_path_factory.mktemp("marian"), apart=request.param)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A folder for a test to damage."""
    return little_pieces.marian(tmp_path / "damaged")


def theirs_of(folder: Path) -> Any:
    with pytest.warns(UserWarning, match="sacremoses"):  # which only its ``normalize`` uses, and nothing calls that
        made = AutoTokenizer.from_pretrained(folder)
    assert isinstance(made, MarianTokenizer)
    return made


class TestMarian:
    def test_ids_and_texts_are_those_of_transformers(self, marian: Path):
        theirs, ours = theirs_of(marian), Tokenizer.load(marian)
        apart = ours.vocab_size != ours.source.vocab_size
        # with ids apart, transformers gives a <pad> written in a target the source's id
        targets = [text for text in TEXTS if not (apart and "<pad>" in text)]
        found = theirs(TEXTS)["input_ids"], theirs(text_target=targets)["input_ids"]
        for side, texts, expected in zip((ours.source, ours), (TEXTS, targets), found, strict=True):
            assert [side.encode_document(text) for text in texts] == expected
            assert [ids.tolist() for ids in side.encode_arrays(texts)] == [ids[:-1] for ids in expected]
        for ids in found[1]:
            assert ours.decode(ids) == theirs.decode(ids, use_source_tokenizer=False)
        for ids in [] if apart else found[0]:
            assert ours.source.decode(ids) == theirs.decode(ids, use_source_tokenizer=True)

    def test_random_ids_decode_as_in_transformers(self, marian: Path):
        theirs, ours = theirs_of(marian), Tokenizer.load(marian)
        draw = random.Random(3)
        for _ in range(500):
            ids = draw.choices(range(ours.vocab_size), k=draw.randint(0, 12))
            assert ours.decode(ids) == theirs.decode(ids, use_source_tokenizer=False)
            stream = ours.stream()
            assert "".join(map(stream.push, ids)).strip() + stream.finish() == ours.decode(ids)

    def test_saved_again_byte_for_byte(self, marian: Path, tmp_path: Path):
        ours = Tokenizer.load(marian)
        ours.save(tmp_path / "again")
        for path in (path for path in marian.iterdir() if path.suffix == ".spm" or "vocab" in path.name):
            assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert not (tmp_path / "again" / "tokenizer.json").exists()
        back = theirs_of(tmp_path / "again")
        assert back(TEXTS)["input_ids"] == theirs_of(marian)(TEXTS)["input_ids"]
        assert Tokenizer.load(tmp_path / "again").fingerprint == ours.fingerprint

    def test_what_its_ids_are(self, tmp_path: Path):
        ours = Tokenizer.load(little_pieces.marian(tmp_path))
        table = json.loads((tmp_path / "vocab.json").read_text())
        assert ours.roles == {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
        assert (ours.end, ours.back, ours.front, ours.unknown) == (0, (0,), (), 1)
        assert (ours.vocab_size, ours.role("pad"), ours.gaps) == (len(table), table["<pad>"], [])
        assert ours.source.encode(">>deu<< one") == [table[">>deu<<"], *ours.source.encode("one")]
        assert ours.source.encode(">>fra<< one")[0] == ours.unknown
        assert ours.encode("one 你")[-1] == ours.unknown

    def test_the_characters_of_each_token(self, tmp_path: Path):
        """Each id reaches to the end of its text, by SentencePiece's own count, and all bytes are counted."""
        ours = Tokenizer.load(little_pieces.marian(tmp_path)).source
        for text, (ids, lengths) in zip(TEXTS, ours.encode_measured(TEXTS), strict=True):
            assert ids.tolist() == ours.encode(text)
            assert not ids.size or lengths.sum() == len(text.encode())
        _, spans = spans_of(ours, ">>deu<< one ﬁve</s>")
        assert spans[0] == (0, 7)
        assert spans[-2:] == [(15, 19), (0, 0)]

    def test_ids_outside_the_vocabulary(self, tmp_path: Path):
        ours = Tokenizer.load(little_pieces.marian(tmp_path))
        with pytest.raises(TextError, match=f"id {ours.vocab_size} is not in the vocabulary"):
            ours.decode([ours.vocab_size])


def absurd_size(content: bytes) -> bytes:
    """Says that its first piece has 2**62 bytes."""
    return b"\x0a" + b"\xff" * 8 + b"\x3f" + content


class TestDamagedMarian:
    @pytest.mark.parametrize("name", ["source.spm", "target.spm"])
    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: b"",
            lambda content: b"not a model",
            lambda content: content[: len(content) // 2],
            lambda content: content[:-1],
            lambda content: bytes(1000),
            absurd_size,
        ],
        ids=["empty", "text", "half", "a byte short", "zeros", "absurd size"],
    )
    def test_models(self, name: str, damage: Any, damaged: Path):
        (damaged / name).write_bytes(damage((damaged / name).read_bytes()))
        with pytest.raises(FolderError, match=f"{name}: truncated, altered or not a SentencePiece model: .*copy it"):
            Tokenizer.load(damaged)

    def test_random_damage_never_crashes(self, damaged: Path):
        """Every damaged model is refused or cuts texts; a crash would end this process, not only the trial's."""
        whole, draw, refused = (damaged / "source.spm").read_bytes(), random.Random(5), 0
        for _ in range(12):
            content = bytearray(whole)
            for _ in range(draw.randint(1, 30)):
                content[draw.randrange(len(content))] = draw.randrange(256)
            (damaged / "source.spm").write_bytes(content)
            try:
                Tokenizer.load(damaged).source.encode_arrays(TEXTS[:50])
            except FolderError:
                refused += 1
        assert refused > 0

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ("", "truncated or altered"),
            ('{"</s>": 0, "<unk>": 1', "truncated or altered"),
            ("[]", r"altered: \[\]; it must be a table of token ids"),
            ('{"</s>": 0, "<unk>": 1, "a": -1}', "altered: 'a': -1; it must be a table of token ids"),
            ('{"</s>": 0, "<unk>": 1, "a": true}', "altered: 'a': True;"),
            ('{"</s>": 0, "<unk>": 1, "a": 99999999999}', "altered: 'a': 99999999999;"),
            ('{"</s>": 0, "<unk>": 1, "a": 1}', "two tokens have the same id"),
            ('{"</s>": 0, "</s>": 1}', "an entry appears twice"),
            ('{"</s>": 0, "a": 1}', "lacks unk_token '<unk>'"),
            ('{"<unk>": 0, "a": 1}', "lacks eos_token '</s>'"),
            ('{"</s>": 0, "<unk>": 1, "a": 2}', "of its .* pieces have no id, such as .*another model's"),
        ],
    )
    def test_ids(self, content: str, why: str, damaged: Path):
        (damaged / "vocab.json").write_text(content)
        with pytest.raises(FolderError, match=why):
            Tokenizer.load(damaged)

    def test_a_few_pieces_without_an_id_are_told(self, damaged: Path, caplog: pytest.LogCaptureFixture):
        table = json.loads((damaged / "vocab.json").read_text())
        (damaged / "vocab.json").write_text(json.dumps({token: n for token, n in table.items() if n % 9 != 5}))
        Tokenizer.load(damaged)
        assert "pieces have no id, such as" in caplog.text

    @pytest.mark.parametrize("name", ["target.spm", "vocab.json"])
    def test_a_missing_file(self, name: str, damaged: Path):
        (damaged / name).unlink()
        with pytest.raises(FolderError, match=f"{name}: cannot be read: No such file"):
            Tokenizer.load(damaged)

    def test_options_that_cut_at_random(self, damaged: Path):
        (damaged / "tokenizer_config.json").write_text('{"sp_model_kwargs": {"enable_sampling": true}}')
        with pytest.raises(FolderError, match=r"sp_model_kwargs = .*may get other tokens each time"):
            Tokenizer.load(damaged)

    def test_without_the_library(self, damaged: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(sentence_pieces.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match=r"source.spm: .* pip install 'clearhead\[translate\]'"):
            Tokenizer.load(damaged)


class TestM2M100:
    @pytest.mark.parametrize("languages", ["m2m100", "wmt21"])
    def test_ids_and_texts_are_those_of_transformers(self, languages: str, tmp_path: Path):
        folder = little_pieces.m2m_100(tmp_path / "m2m", languages)
        theirs, ours = AutoTokenizer.from_pretrained(folder), Tokenizer.load(folder)
        texts = [*TEXTS, "__de__ Hallo", "x__zh__y", "__xx__ a"]
        found = theirs(texts)["input_ids"]
        assert [ours.encode_document(text) for text in texts] == found
        assert [ours.decode(ids) for ids in found] == theirs.batch_decode(found)
        assert ours.languages == {code: theirs.get_lang_id(code) for code in theirs.lang_code_to_id}
        assert ours.vocab_size == len(theirs)

    def test_random_ids_decode_as_in_transformers(self, tmp_path: Path):
        folder = little_pieces.m2m_100(tmp_path)
        theirs, ours, draw = AutoTokenizer.from_pretrained(folder), Tokenizer.load(folder), random.Random(3)
        for _ in range(500):
            ids = draw.choices(range(ours.vocab_size), k=draw.randint(0, 12))
            assert ours.decode(ids) == theirs.decode(ids)
            stream = ours.stream()
            assert "".join(map(stream.push, ids)).strip() + stream.finish() == ours.decode(ids)

    def test_saved_with_another_language(self, tmp_path: Path):
        ours = Tokenizer.load(little_pieces.m2m_100(tmp_path / "m2m")).with_source("de")
        ours.save(tmp_path / "again")
        back = AutoTokenizer.from_pretrained(tmp_path / "again")
        for name in ("sentencepiece.bpe.model", "vocab.json"):
            assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "m2m" / name).read_bytes()
        assert back.src_lang == "de"
        assert back(TEXTS[:50])["input_ids"] == [ours.encode_document(text) for text in TEXTS[:50]]
        assert Tokenizer.load(tmp_path / "again").encode_document("nine") == ours.encode_document("nine")
        back.save_pretrained(tmp_path / "theirs")
        assert Tokenizer.load(tmp_path / "theirs").encode_document("nine") == ours.encode_document("nine")

    @pytest.mark.parametrize(
        ("name", "change", "why"),
        [
            (
                "vocab.json",
                {"one more": 5000},
                r"vocab.json: altered: the ids of its \d+ pieces are not 0 to",
            ),
            ("vocab.json", {"__en__": 1000}, r"vocab.json: altered: the ids of its"),
            (
                "tokenizer_config.json",
                {"language_codes": "all"},
                r"language_codes is 'all'; it must be m2m100 or wmt21",
            ),
            (
                "tokenizer_config.json",
                {"src_lang": "xx"},
                r"src_lang is 'xx', which has no token; copy it again",
            ),
            ("tokenizer_config.json", {"sp_model_kwargs": {"alpha": 1}}, r"sp_model_kwargs = .*other tokens each time"),
        ],
    )
    def test_altered_files(self, name: str, change: dict[str, Any], why: str, tmp_path: Path):
        folder = little_pieces.m2m_100(tmp_path)
        table = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**table, **change}))
        with pytest.raises(FolderError, match=why):
            Tokenizer.load(folder)

    @pytest.mark.parametrize("settings", [{}, {"legacy_behaviour": True, "src_lang": "fr"}])
    def test_beside_a_tokenizer_json(self, settings: dict[str, Any], tmp_path: Path):
        """As in transformers, which reads one for other classes only, and knows no other place for the language."""
        table = json.loads((little_pieces.m2m_100(tmp_path) / "tokenizer_config.json").read_text())
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**table, **settings}))
        (tmp_path / "tokenizer.json").write_text(Tokenizer.bytes().to_json())
        expected = AutoTokenizer.from_pretrained(tmp_path)(TEXTS[:50])["input_ids"]
        assert [Tokenizer.load(tmp_path).encode_document(text) for text in TEXTS[:50]] == expected
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**table, "tokenizer_class": "NllbTokenizer"}))
        assert Tokenizer.load(tmp_path).encode("a") == [97]

    def test_a_folder_that_names_no_class(self, tmp_path: Path):
        expected = Tokenizer.load(little_pieces.m2m_100(tmp_path)).encode_document("nine")
        (tmp_path / "tokenizer_config.json").unlink()
        assert Tokenizer.load(tmp_path).encode_document("nine") == expected

    def test_lists_of_languages_differ(self, tmp_path: Path):
        one, other = (Tokenizer.load(little_pieces.m2m_100(tmp_path / each, each)) for each in ("m2m100", "wmt21"))
        assert one.fingerprint != other.fingerprint

    @pytest.mark.parametrize("name", ["vocab.json", "sentencepiece.bpe.model"])
    def test_a_missing_file(self, name: str, tmp_path: Path):
        (little_pieces.m2m_100(tmp_path) / name).unlink()
        with pytest.raises(FolderError, match=rf"{name}: cannot be read: No such file"):
            Tokenizer.load(tmp_path)


T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
FOLDERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as released first": ({"model_type": "t5"}, {}),
    "T5 1.1": (
        {"model_type": "t5"},
        {
            "tokenizer_class": "T5Tokenizer",
            "extra_ids": 100,
            "additional_special_tokens": [f"<extra_id_{n}>" for n in range(100)],
        },
    ),
    "mT5": ({"model_type": "mt5"}, {"tokenizer_class": "T5Tokenizer", "extra_ids": 0}),
    "few sentinels": ({"model_type": "t5"}, {"tokenizer_class": "T5Tokenizer", "extra_ids": 8}),
}


def t5(folder: Path, content: bytes | None = None, case: str = "as released first") -> Path:
    described, settings = FOLDERS[case]
    folder.mkdir(exist_ok=True)
    (folder / "spiece.model").write_bytes(little_pieces.learned("en", **T5) if content is None else content)
    (folder / "config.json").write_text(json.dumps(described))
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def their_t5(content: bytes, sentinels: int) -> T5Tokenizer:
    """T5Tokenizer of the same pieces, read by sentencepiece; transformers reads the file only with protobuf."""
    model = sentencepiece.SentencePieceProcessor(model_proto=content)
    pieces = [(model.id_to_piece(n), model.get_score(n)) for n in range(model.get_piece_size())]
    pieces += [(f"<extra_id_{n}>", 0.0) for n in reversed(range(sentinels))]
    rules = PieceFile.of(content).charsmap
    return T5Tokenizer(vocab=pieces, _spm_precompiled_charsmap=rules, extra_ids=sentinels)


class TestT5:
    @pytest.mark.parametrize("case", FOLDERS)
    def test_ids_and_texts_are_those_of_transformers(self, case: str, tmp_path: Path):
        content, sentinels = little_pieces.learned("en", **T5), FOLDERS[case][1].get("extra_ids", 100)
        ours, theirs = Tokenizer.load(t5(tmp_path / "t5", content, case)), their_t5(content, sentinels)
        self.agree(ours, theirs)
        assert ours.back == (ours.end,) == (1,)
        if sentinels:
            size = len(PieceFile.of(content).pieces)
            assert ours.encode("<extra_id_0>") == [size + sentinels - 1]
            assert not ours.ordinary[ours.encode("<extra_id_7>")].any()
        ours.save(tmp_path / "again")
        self.agree(Tokenizer.load(tmp_path / "again"), theirs)
        assert AutoTokenizer.from_pretrained(tmp_path / "again")(TEXTS)["input_ids"] == theirs(TEXTS)["input_ids"]

    def agree(self, ours: Tokenizer, theirs: T5Tokenizer) -> None:
        found = theirs(TEXTS)["input_ids"]
        assert [ours.encode_document(text) for text in TEXTS] == found
        assert [ours.decode(ids) for ids in found] == theirs.batch_decode(found)

    @pytest.mark.skipif(not DATA.exists(), reason="the released vocabulary is not beside the project")
    def test_the_released_one(self, tmp_path: Path):
        content = (DATA / "t5" / "spiece.model").read_bytes()
        ours = Tokenizer.load(t5(tmp_path / "t5", content))
        self.agree(ours, their_t5(content, 100))
        assert ours.encode_document("Hello <extra_id_0> world") == [8774, 32099, 296, 1]  # of T5's own vocabulary

    def test_the_rules_are_sentencepieces_own(self):
        content = little_pieces.learned("en", **T5)
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
        found = PieceFile.of(content)
        assert [piece for piece, _ in found.pieces] == [model.id_to_piece(n) for n in range(len(found.pieces))]
        assert [score for _, score in found.pieces] == [model.get_score(n) for n in range(len(found.pieces))]
        assert len(base64.b64encode(found.charsmap)) > 100_000
        assert [kind == 3 for kind in found.kinds] == [model.is_control(n) for n in range(len(found.pieces))]


class TestDamagedT5:
    @pytest.mark.parametrize(
        ("damage", "why"),
        [
            (lambda content: b"", "0 of its 0 pieces stand for unknown text"),
            (lambda content: b"not a model", "truncated or altered"),
            (lambda content: content[:5000], "truncated or altered"),
            (lambda content: content[:-1], "a field of .* bytes has"),
            (absurd_size, "a field of .* bytes has"),
            (lambda content: b"\xff" * 100, "a number does not end"),
            (lambda content: content + b"\x0a\x03\x0a\x01a" * 2, "a piece is empty or there twice"),
            (lambda content: content + b"\x0a\x09\x0a\x02zq\x15\x00\x00\xc0\x7f", "a score is not finite"),
            (lambda content: content + b"\x12\x02\x18\x02", "its pieces are not a unigram model"),
            (lambda content: content + b"\x0a\x0e\x0a\x0c<extra_id_0>", "set extra_ids to 0"),
        ],
    )
    def test_models(self, damage: Any, why: str, tmp_path: Path):
        folder = t5(tmp_path / "t5", damage(little_pieces.learned("en", **T5)))
        with pytest.raises(FolderError, match=f"spiece.model: .*{why}"):
            Tokenizer.load(folder)

    def test_random_damage_never_crashes(self, tmp_path: Path):
        whole, draw, refused = little_pieces.learned("en", **T5), random.Random(5), 0
        for _ in range(12):
            content = bytearray(whole)
            for _ in range(draw.randint(1, 30)):
                content[draw.randrange(len(content))] = draw.randrange(256)
            try:
                Tokenizer.load(t5(tmp_path / "t5", bytes(content))).encode_arrays(TEXTS[:50])
            except (FolderError, TextError):
                refused += 1
        assert refused > 0

    @pytest.mark.parametrize("count", [-1, 1.5, "many", 10**9])
    def test_absurd_numbers_of_sentinels(self, count: Any, tmp_path: Path):
        folder = t5(tmp_path / "t5")
        (folder / "tokenizer_config.json").write_text(json.dumps({"extra_ids": count}))
        with pytest.raises(FolderError, match=r"extra_ids = .* must be 0 to 65,536"):
            Tokenizer.load(folder)
