"""Where a document begins and ends in the stream: <s> is never predicted, the end token is, in training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import LEARNED
from tokenizers import AddedToken, processors

from clearhead.text import NOT_COUNTED, SEPARATOR, Tokenizer, Tokens, Windows, sequential, split, tokenize
from clearhead.text.tokenizers.pieces import PIECE
from little_tokenizers import BOS, EOS, llama3_like, llama_like, save


class Texts:
    name = "texts"

    def __init__(self, *texts: str):
        self.texts = texts

    def key(self) -> str:
        return repr(self.texts)

    def documents(self) -> Iterator[str]:
        yield from self.texts


def stream(cache: Path, tokenizer: Tokenizer, *texts: str) -> Tokens:
    return tokenize([Texts(*texts)], tokenizer, cache=cache)


LIKE = {"llama": llama_like, "llama3": llama3_like}


@pytest.fixture(params=LIKE)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Tokenizer:
    return Tokenizer.load(save(LIKE[request.param](), tmp_path / "model"))


def test_in_training_documents_stand_between_both_tokens(released: Tokenizer, tmp_path: Path):
    a, b = released.encode("a cat"), released.encode("on")
    tokens = stream(tmp_path, released.of_documents(), "a cat", "", "on")
    assert tokens.ids.tolist() == [BOS, *a, EOS, BOS, EOS, BOS, *b, EOS]
    assert tokens.starts.tolist() == [0, len(a) + 2, len(a) + 4]
    assert (tokens.separator, tokens.begin_only) == (BOS, (BOS,))
    assert tokens.text_bytes() == 7
    assert [tokens.text_bytes(n, n + 1) for n in np.flatnonzero(tokens.ids == EOS).tolist()] == [0, 0, 0]
    train, valid = split(tokens, 0.3)  # what stays with its document is the token in front
    assert valid.ids.tolist() == [BOS, *b, EOS]
    assert train.ids.tolist() == tokens.ids.tolist()[: -len(b) - 2]


def test_elsewhere_only_the_files_own_tokens_stand_around_a_document(released: Tokenizer, tmp_path: Path):
    a, b = released.encode("a cat"), released.encode("on")
    tokens = stream(tmp_path, released, "a cat", "on")
    assert tokens.ids.tolist() == [BOS, *a, BOS, *b]
    assert (tokens.begin_only, tokens.text_bytes()) == ((BOS,), 7)
    library = llama_like()
    library.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="$A $B", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    both = Tokenizer.load(save(library, tmp_path / "both"))
    for tokenizer in (both, both.of_documents()):
        tokens = stream(tmp_path, tokenizer, "on", "on")
        assert tokens.ids.tolist() == both.encode_document("on") * 2


def test_the_token_in_front_is_never_a_target_and_the_end_always(released: Tokenizer, tmp_path: Path):
    tokens = stream(tmp_path, released.of_documents(), "a cat sat", "on", "the mat", "", "a")
    ids = tokens.ids.tolist()
    wanted = sorted(token for token in ids if token != BOS)
    for context, stride in ((4, 4), (4, 1), (7, 3), (40, 40)):
        batches = list(sequential(tokens, context=context, batch=3, stride=stride))
        targets = np.concatenate([batch.targets_BT.ravel() for batch in batches])
        assert sorted(targets[targets != NOT_COUNTED].tolist()) == wanted
    windows = Windows(tokens, context=3, batch=4, seed=0)
    cut = [ids[place : place + 4] for place in range(len(ids) - 3)]
    by_definition = [(row[:3], [NOT_COUNTED if token == BOS else token for token in row[1:]]) for row in cut]
    for step in range(30):
        batch = windows.at(step)
        for row in zip(batch.ids_BT.tolist(), batch.targets_BT.tolist(), strict=True):
            assert row in by_definition


@given(texts=st.lists(st.text(alphabet="ab \n你"), min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_document_gets_one_of_each(released: Tokenizer, tmp_path: Path, texts: list[str]):
    tokens = stream(tmp_path, released.of_documents(), *texts)
    assert tokens.ids.tolist() == [
        token for text in texts for token in (BOS, *map(int, released.encode_arrays([text])[0]), EOS)
    ]
    assert tokens.text_bytes() == sum(len(text.encode()) for text in texts)


def test_a_document_in_many_pieces_ends_once(tmp_path: Path):
    tokenizer = Tokenizer.load(save(llama3_like(), tmp_path / "model")).of_documents()
    assert tokenizer.cuts is not None
    long = "a cat sat on the mat\n" * (5 * PIECE // 20)
    tokens = stream(tmp_path, tokenizer, long, "on", long)
    assert np.flatnonzero(tokens.ids == EOS).tolist() == [len(long) + 1, len(long) + 5, len(tokens) - 1]
    assert len(tokens) == 2 * len(long) + 2 + 6


def test_a_written_token_that_only_marks_a_beginning_counts_no_bytes(tmp_path: Path):
    """It begins a document and is not predicted, so its letters are no text that was."""
    for made in (llama_like(), llama3_like()):
        tokenizer = Tokenizer.load(save(made, tmp_path / "model"))
        tokens = stream(tmp_path, tokenizer, "a<s>on")
        assert tokens.starts.tolist() == [0, tokens.ids.tolist().index(BOS, 1)]
        assert tokens.text_bytes() == 3


@pytest.mark.parametrize("kind", LEARNED)
def test_one_token_for_both_is_predicted_as_ever(kind: str, tmp_path: Path):
    tokenizer = LEARNED[kind]
    assert tokenizer.of_documents() is tokenizer
    assert (tokenizer.document_end, tokenizer.begin_only) == ((), ())
    tokens = stream(tmp_path, tokenizer, "x", "world")
    assert tokens.ids.tolist() == [
        tokenizer.separator,
        *tokenizer.encode("x"),
        tokenizer.separator,
        *tokenizer.encode("world"),
    ]
    (batch,) = sequential(tokens, context=len(tokens) - 1, batch=1)
    assert batch.targets_BT[0].tolist() == tokens.ids[1:].tolist()


def test_gpt2s_marker_is_predicted(tmp_path: Path):
    """Its files put nothing in front of a text; training documents are joined by its only special token."""
    library = llama3_like()
    library.post_processor = processors.ByteLevel()
    library.add_special_tokens([AddedToken(SEPARATOR, special=True, normalized=False)])
    marker = library.token_to_id(SEPARATOR)
    folder = save(library, tmp_path / "model", roles=False, config={"model_type": "gpt2", "eos_token_id": marker})
    documents = Tokenizer.load(folder).of_documents()
    assert (documents.front, documents.document_end, documents.begin_only) == ((marker,), (), ())


def test_the_end_comes_from_the_models_files_where_the_tokenizer_names_none(tmp_path: Path):
    described = {"model_type": "mistral", "eos_token_id": EOS}
    for files in ({"config": described}, {"config": {"eos_token_id": 7}, "generation_config": {"eos_token_id": [EOS]}}):
        folder = save(llama_like(), tmp_path / "model", roles=False, **files)
        plain = Tokenizer.load(folder)
        assert (plain.role("eos"), plain.end, plain.begin_only, plain.document_end) == (None, EOS, (BOS,), ())
        documents = plain.of_documents()
        assert documents.document_end == (EOS,)
        documents.save(tmp_path / "run")  # without the model's files it is still known
        again = Tokenizer.load(tmp_path / "run").of_documents()
        assert (again.role("eos"), again.document_end) == (EOS, (EOS,))
        assert again.fingerprint == documents.fingerprint != plain.fingerprint


def test_a_marker_that_does_not_end_the_models_texts_only_marks_a_beginning(tmp_path: Path):
    """As SmolLM 2 Instruct's: <|endoftext|> is in the vocabulary, and texts end with another token alone."""
    library = llama3_like()
    library.post_processor = processors.ByteLevel()
    library.add_special_tokens([AddedToken(SEPARATOR, special=True, normalized=False)])
    marker = library.token_to_id(SEPARATOR)
    plain = Tokenizer.load(save(library, tmp_path / "model", generation_config={"eos_token_id": EOS}))
    documents = plain.of_documents()
    assert (documents.front, documents.document_end, documents.begin_only) == ((marker,), (EOS,), (marker,))
    either = Tokenizer.load(save(library, tmp_path / "either", generation_config={"eos_token_id": [EOS, marker]}))
    documents = either.of_documents()
    assert (documents.front, documents.document_end, documents.begin_only) == ((marker,), (), ())


@pytest.mark.parametrize("end", [None, [], 77, [77], 10**9, -1, "2", True, {"a": 1}])
def test_what_is_not_a_special_token_is_not_an_end(tmp_path: Path, end: object):
    """transformers writes eos_token_id 2 into every Llama's config, whatever its vocabulary has there."""
    folder = save(llama_like(), tmp_path / "model", config={"model_type": "llama", "eos_token_id": end})
    assert Tokenizer.load(folder).of_documents().document_end == (EOS,)
    own = Tokenizer.bytes()
    own.save(tmp_path / "own")
    (tmp_path / "own" / "config.json").write_text('{"eos_token_id": 77}')
    read = Tokenizer.load(tmp_path / "own")
    assert (read.end, read.begin_only, read.of_documents()) == (256, (), read)


def test_without_any_end_a_marker_is_both(tmp_path: Path):
    tokenizer = Tokenizer.load(save(llama_like(), tmp_path / "model", roles=False))
    assert tokenizer.end is None
    assert (tokenizer.begin_only, tokenizer.of_documents().document_end) == ((), ())
