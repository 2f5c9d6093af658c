import logging

import pytest
import tokenizers
import torch
from little import BYTES, SEPARATOR, little, scripted
from tokenizers import models

from clearhead.errors import OptionError, TextError
from clearhead.generation import Chunk, Completion, Sampling, complete, generate, stream
from clearhead.language_model import LanguageModel, Metadata
from clearhead.text import Tokenizer


def one(model, prompt, tokenizer=BYTES, **settings) -> Completion:
    return generate(LanguageModel(model, tokenizer), prompt, **settings)


def encode(tokenizer, prompt, context) -> list[int]:
    return LanguageModel(little(context=context), tokenizer).encode(prompt, f"the prompt {prompt!r}")


def test_the_separator_is_in_front_and_an_empty_prompt_starts_from_it():
    assert encode(BYTES, "ab", 9) == [SEPARATOR, 97, 98]
    assert encode(BYTES, "", 9) == [SEPARATOR]
    assert encode(BYTES, "<|endoftext|>ab", 9) == [SEPARATOR, 97, 98]  # it stands there already


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths():
    assert len(encode(BYTES, "a" * 8, 9)) == 9
    with pytest.raises(TextError, match=r"'aaaaaaaaa' has 10 tokens with the separator in front; .* context is 9"):
        encode(BYTES, "a" * 9, 9)
    with pytest.raises(TextError, match="62 tokens"):  # at once, not at the first chunk
        stream(LanguageModel(little(), BYTES), ["ab", "a" * 61])


def test_characters_the_tokenizer_does_not_have_are_refused():
    with pytest.raises(TextError, match="'z'"):
        encode(Tokenizer.characters(["abc"]), "abz", 9)


def words(*tokens, **roles) -> Tokenizer:
    """A released tokenizer with these tokens, the first for what is unknown, and nothing around a text."""
    ids = {token: n for n, token in enumerate(tokens) if token}
    return Tokenizer(tokenizers.Tokenizer(models.WordLevel(ids, unk_token=tokens[0])), roles)


def test_an_empty_prompt_without_special_tokens_starts_from_bos():
    assert encode(words("a"), "a", 9) == [0]
    with pytest.raises(TextError, match="is empty, and this model adds no special token"):
        encode(words("a"), "", 9)
    assert encode(words("a", "<s>", bos_token="<s>"), "", 9) == [1]


def test_ids_that_stand_for_nothing_are_never_drawn():
    tokenizer = words("a", "", "", "b", "", "c")  # 1, 2 and 4 are no tokens, 6 and more are beyond
    for temperature in (0, 1000):
        got = one(little(), "a", tokenizer, temperature=temperature, max_tokens=50, seed=3)
        assert set(got.ids) <= {0, 3, 5}
    assert len(set(got.ids)) == 3  # at such a temperature all are about equally likely


def test_a_text_ends_with_any_of_several_tokens():
    model = scripted(b"abc", prompt=0)
    for ends, text in (([99, 98], "a"), ([99], "ab"), ([], "abcab")):
        named = Metadata(generation={"eos_token_id": ends})
        got = generate(LanguageModel(model, BYTES, metadata=named), "", temperature=0, max_tokens=5)
        assert (got.text, got.finish) == (text, "end" if ends else "length")
    got = one(scripted(b"abc", prompt=0), "", temperature=0, max_tokens=9, stop=("c",))
    assert (got.text, got.finish) == ("ab", "stop")


def test_an_id_the_model_does_not_have_is_refused():
    tokenizer = words(*(f"w{n}" for n in range(300)))
    with pytest.raises(TextError, match=r"has the id 299 \('w299'\); the model has ids 0 to 256; leave it out"):
        one(little(), "w299", tokenizer)


def test_unknown_tokens_are_reported_once(caplog):
    caplog.set_level(logging.INFO)
    tokenizer = words("[UNK]", "a", "b")
    for prompts in (["x", "a", "y", "ab"], ["a"]):
        generate(LanguageModel(little(), tokenizer), prompts, max_tokens=1)
    assert [record.getMessage() for record in caplog.records] == ["3 of 4 tokens are unknown to this tokenizer"]


def test_the_text_ends_after_max_tokens():
    got = one(scripted(b"abc", prompt=0), "", temperature=0, max_tokens=7)
    assert (got.text, got.finish, got.ids) == ("abcabca", "length", tuple(b"abcabca"))
    assert got.tokens == tuple("abcabca")
    assert all(-1e-9 <= logprob <= 0 for logprob in got.logprobs)
    assert str(one(scripted(b"abc", prompt=1), "x", temperature=0, max_tokens=2)) == "xab"


def test_the_text_ends_where_the_model_ends_it():
    got = one(scripted([97, 98, SEPARATOR, 99]), "", temperature=0)
    assert (got.text, got.finish, got.ids) == ("ab", "end", (97, 98, SEPARATOR))
    assert got.tokens == ("a", "b", "<|endoftext|>")


def test_the_text_ends_before_a_stop_string_that_spans_tokens():
    got = one(scripted(b"one. two. three"), "", temperature=0, stop=(". t", "#"))
    assert (got.text, got.finish, bytes(got.ids)) == ("one", "stop", b"one. t")


def test_the_text_ends_with_the_context_which_holds_one_token_more_than_it_can_read():
    model = scripted(b"a", context=10)
    got = one(model, "xyz", temperature=0)
    assert (got.text, got.finish) == ("a" * 7, "context")
    assert one(model, "x" * 9, temperature=0).text == "a"
    assert one(model, "xyz", temperature=0, max_tokens=7).finish == "length"  # as many as were asked for


def test_a_character_that_a_limit_cuts_is_left_out_of_the_text_but_not_of_the_ids():
    whole = "é你".encode()
    got = one(scripted(whole), "", temperature=0, max_tokens=4)
    assert (got.text, got.ids, got.finish) == ("é", tuple(whole[:4]), "length")
    assert got.tokens == ("é₁", "é₂", "<0xE4>", "<0xBD>")
    assert one(scripted([*whole[:4], SEPARATOR]), "", temperature=0).text == "é\ufffd"


def test_pieces_come_token_by_token_and_make_the_completion():
    model = scripted("é你 fin".encode())
    chunks = list(stream(LanguageModel(model, BYTES), [""], Sampling(temperature=0, max_tokens=9, stop=("nx",))))
    assert [chunk.text for chunk in chunks] == ["", "é", "", "", "你", " ", "f", "i", "n"]
    assert [chunk.finish for chunk in chunks] == [None] * 8 + ["length"]
    assert complete(LanguageModel(model, BYTES), "", chunks) == one(model, "", temperature=0, max_tokens=9)
    with pytest.raises(OptionError, match="but not the last one; pass all the chunks"):
        complete(LanguageModel(model, BYTES), "", chunks[:-1])


def test_guesses_beyond_the_end_of_a_text_are_not_in_it():
    model = scripted(b"ab", context=61)
    got = one(model, "", temperature=0, max_tokens=31)
    assert (got.text, len(got.ids)) == ("ab" * 15 + "a", 31)
    assert one(model, "", temperature=0, max_tokens=60, stop=("ababababababab" * 2,)).text == ""


@pytest.mark.parametrize("together", [1, 2, 3, 99])
def test_many_prompts_give_what_each_gives_alone(together):
    model = little()
    sampling = {"temperature": 1.0, "top_p": 0.95, "max_tokens": 40, "seed": 11, "stop": ("e", "\x07")}
    prompts = ["Hello", "", "你好, world", "Hello", "a" * 50, "b"]
    got = generate(LanguageModel(model, BYTES), prompts, together=together, **sampling)
    assert [completion.prompt for completion in got] == prompts
    for completion in got:
        alone = one(model, completion.prompt, **sampling)
        assert (completion.ids, completion.text, completion.finish) == (alone.ids, alone.text, alone.finish)
        assert completion.logprobs == pytest.approx(alone.logprobs, abs=1e-9)
    assert got[0].ids == got[3].ids
    assert len({completion.finish for completion in got}) > 1  # texts that end at different times are in it


def test_no_prompts_give_no_texts_and_a_batch_has_at_least_one():
    assert generate(LanguageModel(little(), BYTES), []) == []
    with pytest.raises(OptionError, match="together is 0"):
        generate(LanguageModel(little(), BYTES), ["a"], together=0)


def test_the_seed_decides_the_text():
    model = little()
    texts = {one(model, "Hello", temperature=1.0, max_tokens=30, seed=seed).ids for seed in (1, 1, 2, 3)}
    assert len(texts) == 3


def test_the_repetition_penalty_counts_the_text_but_not_the_separator_in_front():
    model = little()
    with torch.no_grad():
        model.embedding.weight.zero_()  # all logits are 0, and the penalty leaves 0 as it is

    def forward(ids_BT, *, state, last, **rest):
        state.advance(ids_BT.shape[1])
        logits_V = torch.zeros(257).double()
        logits_V[[SEPARATOR, 65, 66]] = torch.tensor([1.9, 2.0, 1.5]).double()
        return logits_V.expand(1, ids_BT.shape[1], -1)

    model.forward = forward
    got = one(model, "", temperature=0, repetition_penalty=1.1, max_tokens=5)
    assert got.ids == (65, SEPARATOR)  # 2.0, then 1.9 against 2.0 / 1.1
    assert one(model, "A", temperature=0, repetition_penalty=1.1, max_tokens=5).ids == (SEPARATOR,)
    assert one(model, "", temperature=0, max_tokens=3).ids == (65, 65, 65)


def test_pieces_are_values():
    chunk = Chunk(prompt=0, text="a", id=1, logprob=-0.5, finish=None)
    with pytest.raises(AttributeError):
        chunk.text = "b"
