"""The grammar engine on grammars small enough to check by hand, and the two worlds checked as a whole."""

from __future__ import annotations

import re
from collections import Counter
from random import Random
from string import Formatter

import pytest

from clearhead.corpora import chinese, english, senses
from clearhead.corpora.casting import form
from clearhead.corpora.grammar import Cast, Choice, Grammar, Plot, Rule, Word, capitalised
from clearhead.corpora.notation import sections
from clearhead.corpora.story import Story, mark
from clearhead.errors import GrammarError


def tiny(text: str, **made: tuple[str, ...]) -> Grammar:
    return Grammar(
        sections=sections(text, "tiny.txt", space=" "),
        made=made,
        casters={"one": lambda cast: Word(mark("m", "Ada", "Ada"), he=mark("p", "Ada", "she"))},
        lemmas={"bat": "bat", "bats": "bat"},
        senses={"bat": ("animal", "club")},
        space=" ",
    )


def tell(text: str, count: int = 400, **made: tuple[str, ...]) -> list[Story]:
    grammar = tiny(text, **made)
    return [grammar.story(0, index) for index in range(count)]


def test_choices_options_rules_and_continued_lines() -> None:
    texts = {story.text for story in tell("story s 1\n- a [b|c][ d] <x>\n  e\n\nx\n- f\n- g ¶ h\n")}
    assert texts == {f"a {one}{two} {three} e" for one in "bc" for two in ("", " d") for three in ("f", "g\nh")}


def test_alternatives_are_drawn_equally_often_and_weights_are_kept() -> None:
    stories = tell("story s 3\n- [a|b|c]\n\nstory t 1\n- d\n", count=4000)
    counts = Counter(story.text for story in stories)
    assert all(abs(counts[letter] - 1000) < 150 for letter in "abcd")


def test_a_rule_gives_everything_before_it_repeats() -> None:
    for story in tell("story s 1\n- <n><n><n><n>\n", n=("1", "2", "3")):
        assert set(story.text[:3]) == set("123")
        assert story.text[3] in "123"


def test_truth_of_marks_by_hand() -> None:
    text = "{A} put <bats^animal> into the <where={A} box>. Then {A.he} looked into the <where?Ada box>."
    story = tell(f"story s 1 A=one\n- {text}\n")[0]
    assert story.text == "Ada put bats into the Ada box. Then she looked into the Ada box."
    told = {(t.kind, t.start, t.end, t.word, t.label, t.source, t.distance) for t in story.truth}
    assert told == {
        ("mention", 0, 3, "Ada", "Ada", None, None),
        ("sense", 8, 12, "bat", "animal", None, None),
        ("mention", 22, 25, "Ada", "Ada", (0, 3), 19),
        ("pronoun", 36, 39, "she", "Ada", (22, 25), 11),
        ("recall", 56, 63, "Ada box", "where", (22, 29), 27),
    }


def test_a_pair_not_named_together_is_pointed_at_by_the_span_of_both() -> None:
    text = f"{mark('m', 'Ada', 'Ada')} met {mark('m', 'Ben', 'Ben')}, and {mark('p', 'Ada+Ben', 'they')} sang."
    truth = next(t for t in Story("s", text).truth if t.kind == "pronoun")
    assert (truth.word, truth.source) == ("they", (0, 11))


def test_capitals_go_to_the_first_visible_letter() -> None:
    assert capitalised("a fox") == "A fox"
    assert capitalised(mark("m", "fox", mark("g", "male", "he"))) == mark("m", "fox", mark("g", "male", "He"))


SLIPS = {
    "story s 1\n- <nowhere>\n": "line 2: there is no rule 'nowhere'",
    "story s 1\n- [b|<nowher>]\n\nnowhere\n- c\n": "line 2: there is no rule 'nowher'; did you mean 'nowhere'",
    "a\n- b\n\na\n- c\n": "line 4: rule 'a' is defined twice; first in tiny.txt, line 1",
    "story s 1\n- b\n\nstory s 1\n- c\n": "line 4: rule 's' is defined twice; first in tiny.txt, line 1",
    "story s 1\n- b\n- [b|c\n": "line 3: a bracket is not closed in '[b|c'",
    "story s 1\n- a]\n": "line 2: ']' outside brackets in 'a]'",
    "story s often A=one\n- a\n": "line 1: 'story s often A=one' is not of the form 'story name weight",
    "story s 1 A=on\n- a\n": "line 1: there is no caster 'on'; did you mean 'one'",
    "story s 1\n- <bates^animal>\n": "line 2: <bates^animal> is not a known word and sense; did you mean 'bats'",
    "story s 1\n- <bats^animals>\n": "line 2: <bats^animals> is not a known word and sense; did you mean 'animal'",
    "story s 1\n- a\n\nIt rained.\n- b\n": "line 4: 'It rained.' is not a rule name",
}


@pytest.mark.parametrize("text", SLIPS)
def test_a_slip_is_named_with_its_file_and_line(text: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(f"tiny.txt, {SLIPS[text]}")):
        tiny(text)


@pytest.mark.parametrize("slip", ["{B}", "{A.she}", "{A"])
def test_a_text_that_its_cast_cannot_fill_is_named_with_its_line(slip: str) -> None:
    grammar = tiny(f"story s 1 A=one\n- <x>\n\nx\n- {{A}} sang.\n- Then\n  [{slip}|{{A.he}}] sang.\n")
    message = re.escape("tiny.txt, line 6: ") + ".*" + re.escape(f"{slip!r}"[1:-1]) + ".* cannot be filled"
    with pytest.raises(GrammarError, match=message):
        grammar.check()
    with pytest.raises(GrammarError, match=message):
        [grammar.story(0, index) for index in range(50)]


def texts_under(rule: Rule, seen: set[str]) -> list[str]:
    """Every literal string that telling this rule can meet."""
    texts: list[str] = []
    pending: list[object] = [part for _, parts in rule.alternatives for part in parts]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Choice):
            pending += [inner for parts in part.alternatives for inner in parts]
        elif isinstance(part, Rule) and part.name not in seen:
            seen.add(part.name)
            pending += [inner for _, parts in part.alternatives for inner in parts]
    return texts


@pytest.mark.parametrize("grammar", [english.grammar(), chinese.grammar()], ids=["en", "zh"])
def test_every_slot_is_cast_every_cast_is_used_and_every_rule_is_reached(grammar: Grammar) -> None:
    grammar.check()
    reached: set[str] = set()
    for plot in grammar.plots.values():
        assert isinstance(plot, Plot)
        seen, slots = set[str](), set[str]()
        for text in texts_under(plot, seen):
            slots |= {field.split(".")[0] for _, field, _, _ in Formatter().parse(text) if field}
        implied = {"A", "B", "D"} if {"who"} <= slots else set[str]()
        assert {slot for slot, _ in plot.cast} - slots <= implied, plot.name
        reached |= seen
    assert reached == set(grammar.rules)


@pytest.mark.parametrize("grammar", [english.grammar(), chinese.grammar()], ids=["en", "zh"])
def test_no_two_of_a_cast_bear_one_name(grammar: Grammar) -> None:
    for plot in grammar.plots.values():
        for index in range(60):
            cast = Cast(Random(index).random)
            grammar.tell(plot, cast)
            named = {id(word): form(word, "plain") for word in cast.slots.values() if form(word, "plain")}
            assert len(named) == len(set(named.values())), (plot.name, named)


@pytest.mark.parametrize(("grammar", "language"), [(english.grammar(), "en"), (chinese.grammar(), "zh")])
def test_every_sense_has_at_least_four_scenes_that_use_it(grammar: Grammar, language: str) -> None:
    for word, labels in senses(language).items():
        for label in labels:
            scenes = grammar.rules[f"{word}_{label}"].alternatives
            assert len(scenes) >= 4
            for number, parts in scenes:
                scene = Rule(str(number))
                scene.alternatives = ((number, parts),)
                assert f"\x01s{word}:{label}:" in "".join(texts_under(scene, set())), (word, label)
