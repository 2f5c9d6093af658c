"""The words of models: which tokens a word has, whose rows its vector is, with every kind of tokenizer and model."""

from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer as Library

import clearhead as ch
from clearhead.errors import OptionError, TextError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from little_configs import BERT, QWEN3
from little_tokenizers import llama_like
from toy_recurrent import ToyConfig

TEXT = "The king saw the queen. the king and the queen saw the man. 国王看见女王。"


def model_of(tokenizer: Tokenizer, config=QWEN3, **parts) -> LanguageModel:
    network = build(replace(config, vocabulary=tokenizer.vocab_size, **parts), seed=1)
    return LanguageModel(network, tokenizer, name="little")


def table(model: LanguageModel) -> torch.Tensor:
    return model.network.embedding.weight.detach()


@pytest.fixture(scope="module")
def pieces() -> LanguageModel:
    return model_of(Tokenizer.train_bpe([TEXT] * 4, 300))


@pytest.fixture(scope="module")
def characters() -> LanguageModel:
    return model_of(Tokenizer.characters([TEXT]))


def test_a_word_is_read_as_if_after_a_space(pieces: LanguageModel):
    found = ch.words(pieces).find("king")
    (token,) = pieces.tokenizer.encode(" king")
    assert found.pieces == ("·king",)
    assert torch.equal(found.vector_E, table(pieces)[token])
    assert found.row is not None


def test_a_word_of_several_tokens_is_the_mean_of_their_rows(pieces: LanguageModel):
    lexicon = ch.words(pieces)
    ids = pieces.tokenizer.encode(" kings")
    found = lexicon.find("kings")
    assert found.pieces == ("·king", "s")
    assert found.row is None
    torch.testing.assert_close(found.vector_E, table(pieces)[ids].sum(0) / 2)
    assert "kings" not in lexicon.words


def test_only_whole_words_are_answers(pieces: LanguageModel):
    words = ch.words(pieces).words
    assert {"king", "queen", "the", "saw"} <= set(words)
    assert len(set(words)) == len(words)
    for word in words:
        assert len(pieces.tokenizer.encode(" " + word if word.isascii() else word)) == 1


def test_a_chinese_word_is_the_mean_of_its_characters(characters: LanguageModel):
    king, queen = (characters.tokenizer.encode(word) for word in ("国王", "女王"))
    lexicon = ch.words(characters, among=["国王", "女王", "看见", "龙"])
    assert lexicon.words == ("国王", "女王", "看见")  # this tokenizer has no 龙
    assert lexicon.find("国王").pieces == ("国", "王")
    torch.testing.assert_close(lexicon.find("国王").vector_E, table(characters)[king].mean(0))
    cosine = torch.cosine_similarity(table(characters)[king].mean(0), table(characters)[queen].mean(0), dim=0)
    assert {each.word: each.cosine for each in lexicon.nearest("国王")}["女王"] == pytest.approx(
        float(cosine), abs=1e-6
    )


def test_the_tokens_of_a_word_are_no_answers_to_it(characters: LanguageModel, pieces: LanguageModel):
    assert {each.word for each in ch.words(characters).nearest("国王", top=1000)}.isdisjoint({"国", "王"})
    everything = ch.words(pieces)
    assert {each.word for each in everything.nearest("kings", top=1000)} == set(everything.words) - {"king"}
    found = everything.analogy("kings", "queen", "man", top=1000)
    assert {each.word for each in found.answers}.isdisjoint({"king", "queen", "man"})


def test_long_words_are_counted_among_the_tokens(pieces: LanguageModel, characters: LanguageModel):
    lexicon = ch.words(pieces)
    assert lexicon.vocabulary == pieces.tokenizer.vocab_size
    assert lexicon.long_words == sum(len(word) >= (4 if word.isascii() else 2) for word in lexicon.words)
    assert 2 <= lexicon.long_words < len(lexicon)
    assert ch.words(characters).long_words == 0
    assert ch.words(characters, among=["国王", "女王"]).vocabulary is None


def test_characters_that_a_tokenizer_lacks_name_near_spellings(characters: LanguageModel):
    lexicon = ch.words(characters, among=["king", "queen"])
    with pytest.raises(TextError, match=r"'kingß' is not among the words of little, input table .* spellings: king"):
        lexicon.nearest("kingß")


def test_an_unknown_token_is_not_a_word():
    library = Library.from_str(llama_like().to_str().replace('"byte_fallback":true', '"byte_fallback":false'))
    model = model_of(Tokenizer(library))
    assert ch.words(model).find("the").pieces == ("·the",)
    with pytest.raises(TextError, match="'国' is not among the words"):
        ch.words(model).nearest("国")


def test_spaces_of_sentencepiece_are_part_of_the_word_once():
    model = model_of(Tokenizer(llama_like()))
    (token,) = model.tokenizer.encode("the")
    assert torch.equal(ch.words(model).find("the").vector_E, table(model)[token])


def test_the_output_table_is_that_of_the_logits():
    model = model_of(Tokenizer.characters([TEXT]), tied=False)
    lexicon = ch.words(model, table="output")
    (token,) = model.tokenizer.encode("国")
    assert torch.equal(lexicon.find("国").vector_E, model.network.output.weight.detach()[token])
    assert not torch.equal(lexicon.find("国").vector_E, table(model)[token])


def test_tied_tables_are_the_same(characters: LanguageModel):
    both = [ch.words(characters, table=name).vectors_WE for name in ("input", "output")]
    assert torch.equal(*both)


def test_an_encoder_has_words_and_without_a_prediction_no_output_table():
    model = model_of(Tokenizer.characters([TEXT]), BERT, prediction=None)
    assert ch.words(model).find("国").row is not None
    with pytest.raises(OptionError, match="this model predicts no tokens"):
        ch.words(model, table="output")


def test_any_kind_of_model_has_words():
    tokenizer = Tokenizer.characters([TEXT])
    network = build(ToyConfig(vocabulary=tokenizer.vocab_size, context=16, layers=1, width=12, heads=2), seed=0)
    assert len(ch.words(LanguageModel(network, tokenizer)).nearest("国", 3)) == 3


def test_an_unknown_table_is_refused(characters: LanguageModel):
    with pytest.raises(OptionError, match="there is no such table; did you mean 'output'"):
        ch.words(characters, table="outptu")


def test_half_precision_rows_are_read_in_float32(characters: LanguageModel):
    half = LanguageModel(build(characters.config, seed=1).to(torch.bfloat16), characters.tokenizer)
    assert ch.words(half).vectors_WE.dtype == torch.float32
