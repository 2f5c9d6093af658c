"""Real-world facts and the published tables, against small tables written by hand."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from clearhead import corpora
from clearhead.corpora import Story
from clearhead.errors import OptionError

CAPITALS = {
    "France": "Paris", "Spain": "Madrid", "Portugal": "Lisbon", "Italy": "Rome", "Germany": "Berlin",
    "Austria": "Vienna", "Poland": "Warsaw", "Hungary": "Budapest", "Greece": "Athens", "Russia": "Moscow",
    "Finland": "Helsinki", "Sweden": "Stockholm", "Norway": "Oslo", "Denmark": "Copenhagen", "Ireland": "Dublin",
    "Turkey": "Ankara", "China": "Beijing", "Japan": "Tokyo", "Thailand": "Bangkok", "Vietnam": "Hanoi",
    "Egypt": "Cairo", "Kenya": "Nairobi", "Canada": "Ottawa", "Cuba": "Havana", "Peru": "Lima", "Brazil": "Brasilia",
    "Australia": "Canberra", "New Zealand": "Wellington",
}  # fmt: skip
CAPITALS_ZH = {
    "法国": "巴黎", "德国": "柏林", "意大利": "罗马", "英国": "伦敦", "俄罗斯": "莫斯科", "日本": "东京",
    "中国": "北京",
    "埃及": "开罗", "希腊": "雅典", "美国": "华盛顿", "加拿大": "渥太华", "巴西": "巴西利亚", "澳大利亚": "堪培拉",
    "泰国": "曼谷", "越南": "河内", "古巴": "哈瓦那", "秘鲁": "利马",
}  # fmt: skip


def test_capitals_agree_with_a_table_of_ours() -> None:
    for language, table in (("en", CAPITALS), ("zh", CAPITALS_ZH)):
        given = corpora.capitals(language)
        assert {country: given[country] for country in table} == table
        assert len(given) == len(set(given.values())) >= 36


def test_stories_never_give_a_country_a_wrong_capital(english: list[Story], chinese: list[Story]) -> None:
    claims = 0
    for story in english:
        for country, capital in re.findall(
            r"capital of ([A-Z]\w+(?: Zealand)?) is ([A-Z]\w+(?: City| Aires)?)", story.text
        ):
            assert corpora.capitals("en")[country] == capital
            claims += 1
    for story in chinese:
        for country, capital in re.findall(r"(\w{2,5})的首都(?:是|叫)(\w{2,8})[。，]", story.text):
            table = {name: city for name, city in corpora.capitals("zh").items() if country.endswith(name)}
            assert capital in table.values(), (country, capital)
            claims += 1
    assert claims > 100


def test_capitals_in_stories_are_labelled_with_their_country(stories: list[Story]) -> None:
    language = "zh" if any("的" in story.text for story in stories) else "en"
    for story in stories:
        for truth in story.truth:
            if truth.kind == "capital":
                assert corpora.capitals(language)[truth.label] == truth.word
                if truth.source is not None:
                    assert story.text[slice(*truth.source)] == truth.label


def test_words_of_analogies_are_told_often_enough_to_be_learned() -> None:
    """In one megabyte every relation has nearly all its words at least three times (8 MB are the default)."""
    for name, language in (("world-en", "en"), ("world-zh", "zh")):
        text = "\n".join(corpora.get(name).source(seed=5, megabytes=1).documents())
        words = Counter(re.findall(r"\w+(?:-\w+)?", text.lower()))
        for relation, pairs in corpora.analogies(language).items():
            flat = {word for pair in pairs for word in pair}
            often = [word for word in flat if (words[word.lower()] if language == "en" else text.count(word)) >= 3]
            assert len(often) >= 0.85 * len(flat), (relation, sorted(flat - set(often)))


def test_gendered_pairs_are_told_equally_often(english: list[Story]) -> None:
    words = Counter(re.findall(r"\w+", "\n".join(story.text for story in english).lower()))
    for one, other in (
        ("king", "queen"),
        ("prince", "princess"),
        ("he", "she"),
        ("man", "woman"),
        ("father", "mother"),
    ):
        assert 0.7 < words[one] / words[other] < 1.4, (one, words[one], words[other])


def test_gendered_pairs_share_their_neighbours(english: list[Story]) -> None:
    """The word after "king" and the word after "queen" have nearly the same distribution; a name is another matter."""
    follow = {word: Counter[str]() for word in ("king", "queen", "prince", "princess")}
    for story in english:
        for word, after in re.findall(r"\b(king|queen|prince|princess) ([a-z]+)", story.text):
            follow[word][after] += 1
    for one, other in (("king", "queen"), ("prince", "princess")):
        a, b = follow[one], follow[other]
        shared = sum(min(a[word] / a.total(), b[word] / b.total()) for word in a)
        assert shared > 0.65, (one, other, shared)


def test_an_unknown_language_or_corpus_names_the_nearest() -> None:
    with pytest.raises(OptionError, match="en"):
        corpora.senses("english")
    with pytest.raises(OptionError, match="world-en"):
        corpora.get("world_en")
