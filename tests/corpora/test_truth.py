"""The ground truth of stories, against their text and tables written by hand."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from clearhead import corpora
from clearhead.corpora import Story, Truth

MALE = {"he", "him", "his", "himself", "他"}
FEMALE = {"she", "her", "herself", "她"}
COLOURS = {"red", "blue", "green", "yellow", "black", "white", "brown", "grey", "purple", "golden"}
KINGS = {"king", "prince", "father", "uncle", "grandfather", "国王", "王子", "爸爸", "爷爷"}
QUEENS = {"queen", "princess", "mother", "aunt", "grandmother", "女王", "公主", "妈妈", "奶奶"}


def of_kind(stories: list[Story], kind: str) -> list[tuple[Story, Truth]]:
    return [(story, truth) for story in stories for truth in story.truth if truth.kind == kind]


def test_spans_lie_in_the_text_and_sources_before_them(stories: list[Story]) -> None:
    for story in stories:
        for truth in story.truth:
            assert 0 <= truth.start < truth.end <= len(story.text)
            if truth.kind not in ("sense",):
                assert story.text[truth.start : truth.end] == truth.word
            if truth.source is not None:
                assert 0 <= truth.source[0] < truth.source[1] <= truth.start
                assert truth.distance == truth.start - truth.source[1]


def test_no_span_begins_or_ends_inside_a_word(english: list[Story]) -> None:
    for story in english:
        for truth in story.truth:
            assert not re.match(r"\w\w", story.text[max(0, truth.start - 1) : truth.start + 1])
            assert not re.match(r"\w\w", story.text[truth.end - 1 : truth.end + 1])


def test_sense_spans_hold_a_form_of_the_word(stories: list[Story]) -> None:
    for story, truth in of_kind(stories, "sense"):
        said = story.text[truth.start : truth.end].lower()
        assert said.startswith(truth.word) or (truth.word, said) in {("ring", "rang"), ("fly", "flies")}


def test_every_pronoun_points_at_a_mention_of_the_one_it_means(stories: list[Story]) -> None:
    for story, truth in of_kind(stories, "pronoun"):
        assert truth.source is not None, (story.text, truth)
        names = {
            other.label for other in story.truth if other.kind == "mention" and (other.start, other.end) == truth.source
        }
        together = set(truth.label.split("+"))
        if len(together) == 1:
            assert truth.label in names, (story.text, truth)
        else:
            inside = [
                o.label for o in story.truth if o.kind == "mention" and truth.source[0] <= o.start < truth.source[1]
            ]
            assert together <= set(inside), (story.text, truth)


def test_everyone_keeps_one_gender(stories: list[Story]) -> None:
    for story in stories:
        seen: dict[str, set[str]] = defaultdict(set)
        for truth in story.truth:
            word = truth.word.lower()
            if truth.kind == "pronoun" and word in MALE | FEMALE:
                seen[truth.label].add("male" if word in MALE else "female")
            if truth.kind == "role":
                assert (word in KINGS) <= (truth.label == "male")
                assert (word in QUEENS) <= (truth.label == "female")
                owner = [
                    o for o in story.truth if o.kind == "mention" and o.start <= truth.start and truth.end <= o.end
                ]
                seen[min(owner, key=lambda o: o.end - o.start).label].add(truth.label)
        assert all(len(genders) == 1 for genders in seen.values()), (story.text, seen)


def test_every_pronoun_of_a_person_is_labelled(english: list[Story], chinese: list[Story]) -> None:
    for stories, pattern in ((english, r"\b(?:he|she|him|her|his|himself|herself)\b"), (chinese, "[他她]")):
        for story in stories:
            labelled = {truth.start for truth in story.truth if truth.kind == "pronoun"}
            for found in re.finditer(pattern, story.text, re.IGNORECASE):
                assert found.start() in labelled, (story.text[found.start() - 40 : found.end() + 20], story.plot)


def test_every_noun_of_a_gendered_pair_is_labelled(english: list[Story], chinese: list[Story]) -> None:
    for language, stories, pattern in (("en", english, r"\b(?:{})\b"), ("zh", chinese, "(?:{})")):
        nouns = [word for both in corpora.analogies(language)["gender"] for word in both]
        nouns = sorted(set(nouns) - MALE - FEMALE, key=len, reverse=True)
        for story in stories:
            roles = [(truth.start, truth.end) for truth in story.truth if truth.kind == "role"]
            for found in re.finditer(pattern.format("|".join(nouns)), story.text, re.IGNORECASE):
                assert any(a <= found.start() and found.end() <= b for a, b in roles), (found, story.text)


def test_what_is_recalled_is_what_was_told_last(stories: list[Story]) -> None:
    recalls = of_kind(stories, "recall")
    assert len(recalls) > 300
    for story, truth in recalls:
        assert truth.source is not None
        assert story.text[slice(*truth.source)].lower() == truth.word.lower(), (story.text, truth)


def test_distances_reach_from_a_few_characters_to_hundreds_of_words(english: list[Story], chinese: list[Story]) -> None:
    for stories, far in ((english, 1500), (chinese, 500)):
        distances = sorted(truth.distance or 0 for _, truth in of_kind(stories, "recall"))
        assert distances[len(distances) // 20] < 80
        assert distances[-len(distances) // 20] > far


def test_no_object_is_in_two_places(english: list[Story]) -> None:
    """Every "in the blue box" that follows a telling names the last place told of that thing."""
    checked = 0
    for story in english:
        if story.plot not in ("hidden", "moved"):
            continue
        places = re.findall(r"(?:in|into|to|out of) the (\w+ \w+)", story.text)
        boxes = [place for place in places if place.split()[0] in COLOURS]
        recalls = [truth.word for truth in story.truth if truth.kind == "recall"]
        assert len(set(boxes)) <= (1 if story.plot == "hidden" else 2)
        if boxes:
            assert boxes[-1] == recalls[-1]
            checked += 1
    assert checked > 20


def test_senses_are_balanced(english: list[Story], chinese: list[Story]) -> None:
    for language, stories in (("en", english), ("zh", chinese)):
        counts = Counter((truth.word, truth.label) for _, truth in of_kind(stories, "sense"))
        for word, labels in corpora.senses(language).items():
            total = sum(counts[word, label] for label in labels)
            for label in labels:
                share = counts[word, label] / total
                assert 0.4 / len(labels) < share < 1.7 / len(labels), (word, label, share, total)


def test_sums_add_up(stories: list[Story]) -> None:
    numbers = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    values = {word: value for value, word in enumerate(f"{numbers} seventeen eighteen".split())}
    values |= {word: value for value, word in enumerate("零一二三四五六七八九十")}
    values |= {f"十{word}": 10 + value for value, word in enumerate("一二三四五六七八", start=1)}
    sums = of_kind(stories, "sum")
    assert len(sums) > 50
    for _, truth in sums:
        one, other = truth.label.split("+")
        assert values[truth.word.lower()] == int(one) + int(other)


def test_the_two_sentences_of_the_reading_note_are_told_in_their_senses(english: list[Story]) -> None:
    text = "\n".join(story.text for story in english)
    assert '"Server, may I have the check?"' in text
    assert "I crashed the server" in text
    for story, truth in of_kind(english, "sense"):
        before, after = story.text[: truth.start], story.text[truth.end :]
        if before.endswith("I crashed the "):
            assert (truth.word, truth.label) == ("server", "computer")
        if before.endswith('"') and after.startswith(", may I have the check?"):
            assert (truth.word, truth.label) == ("server", "person")
