"""The texts that the experiments look at, in each language; those of the note where it gives one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts for one language.

    mask: the note's sentence; steps: what one head is followed through; prompt: what comes next?
    word: one with two senses; uses: a sentence for each; control: the word without what decides its sense
    ahead: two sentences that begin alike with the word and differ after it
    analogy: a, b, c and the answer of "a is to b as c is to ?"
    """

    mask: str
    steps: str
    prompt: str
    word: str
    uses: tuple[str, ...]
    control: str
    ahead: tuple[str, str]
    analogy: tuple[str, str, str, str]


TEXTS = {
    "en": Texts(
        mask="I love you.",
        steps="Anna gave the book to Tom because he wanted to read it.",
        prompt="France is a country. The capital of France is",
        word="server",
        uses=('"Yes," said the server, "may I bring the check?"', "I crashed the server."),
        control="I painted the server.",
        ahead=("Server, may I have the check?", "Server, the machine has crashed!"),
        analogy=("man", "king", "woman", "queen"),
    ),
    "zh": Texts(
        mask="我爱你。",
        steps="小云把书给了强强，因为他想看。",
        prompt="法国的首都是",
        word="苹果",
        uses=("妈妈买了一袋又红又甜的苹果。", "爸爸的电脑是苹果的。"),
        control="这是苹果。",
        ahead=("苹果又红又甜，好吃极了。", "苹果电脑又坏了。"),
        analogy=("男人", "国王", "女人", "女王"),
    ),
}
