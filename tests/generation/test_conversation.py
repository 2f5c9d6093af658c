"""A conversation: what is read for an answer, what is cached, and what stays unchanged."""

import pytest
from little import BYTES, little, scripted

from clearhead.errors import TextError
from clearhead.generation import Conversation, Sampling
from clearhead.language_model import LanguageModel
from clearhead.text import Tokenizer
from clearhead.watching import watch

GREEDY = Sampling(temperature=0, max_tokens=6)
TEMPLATE = (
    "{% for m in messages %}[{{ m.role[0] }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[a]{% endif %}"
)


def speaking(template: str = TEMPLATE) -> Tokenizer:
    return Tokenizer(Tokenizer.bytes()._library, templates={"default": template})


def begun(model, **options) -> Conversation:
    return Conversation(LanguageModel(model, speaking(options.pop("template", TEMPLATE))), **options)


def said(conversation: Conversation, text: str, sampling: Sampling = GREEDY) -> str:
    return "".join(chunk.text for chunk in conversation.ask(text, sampling))


@pytest.mark.parametrize("shape", ["qwen3", "gpt2"])
def test_answers_are_those_after_the_whole_text(shape: str) -> None:
    model = little(shape=shape, context=200)
    conversation = begun(model, system="x")
    for text in ("hi", "why?", "so"):
        before = [*conversation.messages, {"role": "user", "content": text}]
        answer = said(conversation, text)
        ids = BYTES.encode(speaking().chat(before))
        plain = begun(model)
        plain.messages = before[:-1]
        assert said(plain, text) == answer  # nothing was remembered there
        assert conversation.ids[: conversation.answer] == ids
        assert conversation.messages == [*before, {"role": "assistant", "content": answer}]


def test_only_what_is_new_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    model, read = scripted(b"abcdefgh", context=200), []
    forward = type(model).forward

    def counted(self, ids_BT, **rest):
        read.append(ids_BT.shape[1])
        return forward(self, ids_BT, **rest)

    monkeypatch.setattr(type(model), "forward", counted)
    conversation = begun(model)
    said(conversation, "x" * 50)
    assert read[0] == 56
    read.clear()
    said(conversation, "y")
    assert read[0] == 8  # the last letter of the answer, [u]y[a]
    conversation.clear()
    read.clear()
    said(conversation, "y")
    assert read[0] == 7


def test_a_template_that_changes_what_was_said_is_read_from_there() -> None:
    """Like templates that remove the reasoning from earlier answers."""
    model = little(context=200)
    template = TEMPLATE.replace("{{ m.content }}", "{{ m.content if loop.last else m.content[1:] }}")
    conversation = begun(model, template=template)
    said(conversation, "abc")
    answer = said(conversation, "def")
    plain = begun(model, template=template)
    plain.messages = conversation.messages[:2]
    assert said(plain, "def") == answer


def test_a_stopped_answer_stays_as_far_as_it_came() -> None:
    conversation = begun(scripted(b"abcdef", context=200))
    chunks = conversation.ask("hi", GREEDY)
    text = next(chunks).text + next(chunks).text
    chunks.close()
    assert (conversation.messages[-1]["content"], conversation.finish) == (text, None)
    assert len(conversation.ids) == conversation.answer + 2
    said(conversation, "go on")
    assert len(conversation.messages) == 4


CHANNELS = (
    "{% for m in messages %}{% if '<|channel|>' in m.content %}{{ raise_exception('tags') }}{% endif %}<|start|>"
    "{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ m.content }}<|end|>{% endfor %}"
    "<|start|>assistant"
)
THOUGHT = "<|channel|>analysis<|message|>Hm.\nSo.<|end|><|start|>assistant<|channel|>final<|message|>Hello!"


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (200, {"content": "Hello!", "thinking": "Hm.\nSo."}),
        (len(THOUGHT) - 4, {"content": "He", "thinking": "Hm.\nSo."}),
        (33, {"content": "", "thinking": "Hm."}),
    ],
)
def test_thoughts_in_a_channel_of_their_own_are_given_back_apart(tokens: int, message: dict[str, str]) -> None:
    """As GPT-OSS writes it; its template, like this one, refuses reasoning in the reply."""
    prompt = len("<|start|>user<|message|>hi<|end|><|start|>assistant")
    model = scripted([*THOUGHT.encode(), 256], prompt=prompt - 1, context=600)
    conversation = begun(model, template=CHANNELS)
    sampling = Sampling(temperature=0, max_tokens=tokens)
    assert said(conversation, "hi", sampling) == THOUGHT[:tokens]
    assert conversation.messages[-1] == {"role": "assistant", **message}
    said(conversation, "more", sampling)
    assert BYTES.decode(conversation.ids[: conversation.answer]) == (
        "<|start|>user<|message|>hi<|end|><|start|>assistant<|channel|>final<|message|>"
        f"{message['content']}<|end|><|start|>user<|message|>more<|end|><|start|>assistant"
    )


def test_without_channels_in_the_template_an_answer_stays_whole() -> None:
    conversation = begun(scripted([*THOUGHT.encode(), 256], prompt=7, context=400))
    said(conversation, "hi", Sampling(temperature=0, max_tokens=200))
    assert conversation.messages[-1] == {"role": "assistant", "content": THOUGHT}


def test_what_fails_leaves_it_as_it_was() -> None:
    conversation = begun(little(context=40))
    said(conversation, "hi")
    kept = list(conversation.messages)
    with pytest.raises(
        TextError, match=r"no longer fits: with this message it has \d+ tokens, .* context length is 40"
    ):
        conversation.ask("x" * 40, GREEDY)
    assert conversation.messages == kept
    said(conversation, "x")
    assert len(conversation.messages) == 4


def test_the_end_token_is_not_among_what_is_looked_at() -> None:
    conversation = begun(scripted([97, 98, 256], prompt=7, context=60))
    assert said(conversation, "hi") == "ab"
    assert conversation.ids[conversation.answer :] == [97, 98]
    assert conversation.finish == "end"


def test_a_watched_conversation_equals_an_unwatched_one() -> None:
    """What was read before is cached: the record of the second answer starts after it."""
    model = little(context=100)
    alone, watched = begun(model), begun(model)
    answers = [said(alone, text) for text in ("hi", "you")]
    with watch(model) as first:
        assert said(watched, "hi") == answers[0]
    read = len(watched.ids)
    with watch(model) as second:
        assert said(watched, "you") == answers[1]
    assert first[0, 0].first_place == 0
    assert 0 < second[0, 0].first_place <= read
    assert second[0, 0].shape == (len(watched.ids) - 1 - second[0, 0].first_place, len(watched.ids) - 1)
