"""What a reader would stumble over: template residue, spacing, articles, punctuation, repeated stories."""

from __future__ import annotations

import re

from clearhead import corpora
from clearhead.corpora import Story

# Longer Chinese words in which a word with several senses is only a part.
COMPOUNDS = (
    "打扫", "打算", "打开", "打听", "打招呼", "打扮", "打折", "打瞌睡", "打喷嚏", "打雷", "打架", "打猎",
    "打鱼", "打闹", "打碎", "打湿", "打气", "打断", "打印", "打仗", "会计", "会场", "会议",
    "花园", "花生", "雪花", "浪花", "火花", "花草", "花坛", "花瓣", "梅花", "一会儿", "机会", "晚会", "学会",
    "聚会", "宴会", "运动会", "误会", "社会", "约会", "音乐会", "会儿",
    "银行", "行李", "行人", "旅行", "自行车", "进行", "飞行", "举行", "步行", "航行", "出行", "别人", "特别",
    "分别", "告别", "别墅", "区别", "个别", "道别",
    "背包", "背后", "背心", "玉米", "米饭", "米粒", "厘米", "角落", "主角", "三角", "号角", "墙角", "口角",
    "不好意思", "毫米", "同行", "送别", "惜别", "公里", "理会", "体会",
)  # fmt: skip


def found(stories: list[Story], pattern: str) -> list[str]:
    hits = ((story, hit) for story in stories for hit in re.finditer(pattern, story.text, re.MULTILINE))
    return [f"{story.plot}: {story.text[max(0, hit.start() - 30) : hit.end() + 30]!r}" for story, hit in hits]


def test_nothing_of_the_notation_is_left(stories: list[Story]) -> None:
    assert not found(stories, r"[{}<>\[\]|^~_=¶\x00-\x09\x0b-\x1f\x7f]")


def test_english_spacing_and_punctuation(english: list[Story]) -> None:
    assert not found(english, r"  | [,.!?;:]|[,.!?]{2}|^ | $|\n\n|\s\Z|[,.!?;:][A-Za-z]")
    assert not found(english, r"[^\x20-\x7e\n]")
    for story in english:
        assert story.text.count('"') % 2 == 0, story.text
        assert story.text[-1] in '.!?"'


def test_english_sentences_begin_with_a_capital(english: list[Story]) -> None:
    assert not found(english, r"^[a-z]|[.!?] [a-z]|[.!?:] \"[a-z]")


def test_english_articles(english: list[Story]) -> None:
    assert not found(english, r"\b[Aa] [aeiou]")
    assert not found(english, r"\b[Aa]n (?!hour)[^aeiou]")
    assert not found(english, r"\b(\w+) \1\b")


def test_every_use_of_an_english_word_with_several_senses_is_labelled(english: list[Story]) -> None:
    forms = {"servers", "checked", "banks", "bats", "bows", "bowed", "rings", "rang", "barked", "matches", "letters"}
    pattern = re.compile(rf"\b(?:{'|'.join(forms | set(corpora.senses('en')))})\b", re.IGNORECASE)
    for story in english:
        labelled = {(truth.start, truth.end) for truth in story.truth if truth.kind == "sense"}
        for hit in pattern.finditer(story.text):
            assert hit.span() in labelled, story.text[max(0, hit.start() - 40) : hit.end() + 40]


def test_every_use_of_a_chinese_word_with_several_senses_is_labelled(chinese: list[Story]) -> None:
    words, longer = re.compile("|".join(corpora.senses("zh"))), re.compile("|".join(COMPOUNDS))
    for story in chinese:
        labelled = {(truth.start, truth.end) for truth in story.truth if truth.kind == "sense"}
        inside = [hit.span() for hit in longer.finditer(story.text)]
        for hit in words.finditer(story.text):
            known = hit.span() in labelled or any(a <= hit.start() and hit.end() <= b for a, b in inside)
            assert known, story.text[max(0, hit.start() - 15) : hit.end() + 15]


def test_chinese_punctuation_is_full_width(chinese: list[Story]) -> None:
    assert not found(chinese, r"[\x21-\x7e]|[ \u3000]")
    assert not found(chinese, r"[，。！？：；、]{2}|^[，。！？：；、”’]|\s\Z")
    for story in chinese:
        assert story.text.count("“") == story.text.count("”"), story.text
        assert story.text[-1] in "。！？”"


def test_chinese_two_before_a_measure_word_is_liang(chinese: list[Story]) -> None:
    assert not found(chinese, r"(?<![十第期])二(?:个|只|条|把|张|颗|本|块|枚|头|匹|根|支|顶|件|碗|杯|瓶)")


MEASURES = {
    "龙": "条", "云": "朵", "台阶": "级", "鸽子": "只", "驴": "头", "羊": "只", "牛": "头", "马": "匹", "狗": "条只",
    "硬币": "枚", "钥匙": "把", "雪橇": "架", "拼图": "副", "椅子": "把", "船": "条艘", "靴子": "只双", "桥": "座",
    "丝带": "条", "梯子": "架", "面包": "个块", "白菜": "棵", "扣子": "颗", "信": "封",
}  # fmt: skip


def test_chinese_things_are_counted_with_their_own_measure_words(chinese: list[Story]) -> None:
    """The measure words are written here by hand; an adjective may stand between the two."""
    every = "个只条把张颗本块枚头匹根支顶件座艘架副双朵级串棵封"
    for noun, measures in MEASURES.items():
        counted = re.compile(rf"[一两三四五六七八九十几]([{every}])[小大旧新老破高白红空]?{noun}")
        seen = {hit[1] for story in chinese for hit in counted.finditer(story.text)}
        assert seen <= set(measures), (noun, seen)


def test_no_story_is_told_twice() -> None:
    for name in ("world-en", "world-zh"):
        stories = corpora.get(name).stories(seed=3)
        texts = [next(stories).text for _ in range(10_000)]
        assert len(texts) - len(set(texts)) < 20


def test_stories_are_short_with_some_long_ones(english: list[Story], chinese: list[Story]) -> None:
    words = sorted(len(story.text.split()) for story in english)
    assert 40 < words[len(words) // 2] < 120
    assert 250 < words[-len(words) // 100] < 600
    characters = sorted(len(story.text) for story in chinese)
    assert 70 < characters[len(characters) // 2] < 250
    assert 400 < characters[-len(characters) // 100] < 1200


def test_the_vocabulary_is_plain(english: list[Story], chinese: list[Story]) -> None:
    words = {word for story in english for word in re.findall(r"[a-z]+", story.text.lower())}
    assert 1500 < len(words) < 3000
    assert len({sign for story in chinese for sign in story.text}) < 2000
