"""Chinese people: names, gendered pairs of nouns, and everyone's forms.

Every person has every form of every pair, chosen by gender, so a rule says ``{A.伯伯}`` and never "伯伯" itself. The
contexts of the two words of a pair are therefore the same in distribution, but for names and pronouns.
"""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import female, form, fresh_name, one_of_three, pair, unlike_a
from clearhead.corpora.chinese.things import WARES, thing
from clearhead.corpora.grammar import Cast, Caster, Word, words
from clearhead.corpora.story import mark

PAIRS = (
    ("男人", "女人"), ("男孩", "女孩"), ("儿子", "女儿"), ("哥哥", "姐姐"), ("弟弟", "妹妹"),
    ("爸爸", "妈妈"), ("父亲", "母亲"),
    ("爷爷", "奶奶"), ("外公", "外婆"), ("伯伯", "姑姑"), ("舅舅", "姨妈"), ("叔叔", "阿姨"),
    ("丈夫", "妻子"), ("国王", "女王"),
    ("王子", "公主"), ("先生", "女士"), ("孙子", "孙女"), ("侄子", "侄女"), ("小伙子", "姑娘"),
    ("男演员", "女演员"), ("巫师", "女巫"),
    ("新郎", "新娘"), ("老爷爷", "老奶奶"),
)  # fmt: skip
PRONOUNS = (("他", "她"),)

BOYS = words(
    """
    小明 小刚 小强 小军 大伟 小龙 小亮 小波 小杰 小宇 浩浩 子轩 天宇 亮亮 强强 阿福 阿牛 小虎 小磊 东东 洋洋
    小飞 小松 乐乐 冬冬 大勇 小鹏 小舟 小林 志远
    """
)
GIRLS = words(
    """
    小红 小芳 小丽 丽丽 婷婷 小燕 小玲 小梅 小雪 小兰 小云 小倩 晓月 佳佳 美玲 静静 雨欣 思思 欣怡 诗涵 圆圆
    玲玲 小娟 秀秀 小荷 青青 小雨 阿秀 甜甜 小霞
    """
)
MEN = words(
    """
    李伟 王强 张磊 刘洋 陈浩 赵军 周明 吴刚 郑凯 孙涛 马超 朱平 胡斌 郭峰 何勇 高翔 林涛 罗成 梁栋 宋远 谢安
    韩冬 唐亮 冯远 董建 程刚 曹阳 袁野 邓华 许诚
    """
)
WOMEN = words(
    """
    李娜 王芳 张敏 刘婷 陈静 赵燕 周洁 吴丽 郑雪 孙梅 马兰 朱琳 胡月 郭颖 何玉 高洁 林霞 罗兰 梁红 宋佳 谢玲
    韩雪 唐敏 冯静 董洁 程琳 曹颖 袁媛 邓丽 许晴
    """
)
SURNAMES = tuple("王李张刘陈杨赵黄周吴徐蔡胡朱高林何郭马罗")
JOBS = (
    "面包师", "农民", "老师", "医生", "护士", "木匠", "画家", "裁缝", "园丁", "牧羊人", "厨师", "歌手",
    "工程师", "作家", "陶匠", "图书管理员", "店主",
    "建筑工人", "邮递员", "铁匠", "司机", "修理工", "牙医", "记者", "养蜂人", "渔民",
)  # fmt: skip
MAKERS = tuple(WARES)


@cache
def person(name: str, is_female: bool, job: str = "") -> Word:
    """A person and all forms of ``name``, which may be a name or hold a noun of a pair: "国王", "王叔叔".

    Forms: one per pair and pronoun under the male word, ``职`` (the trade). ``plain``, ``gender`` and ``trade`` are
    unmarked, for casting.
    """
    gender = "female" if is_female else "male"
    forms = {both[0]: mark("p", name, both[is_female]) for both in PRONOUNS}
    for both in PAIRS:
        forms[both[0]] = mark("m", name, mark("g", gender, both[is_female]))
    if job:
        forms["职"] = mark("m", name, job)
    noun = max((both[is_female] for both in PAIRS if both[is_female] in name), key=len, default="")
    title = name.replace(noun, mark("g", gender, noun)) if noun else name
    return Word(mark("m", name, title), plain=name, gender=gender, trade=job, **forms)


def _child_named(cast: Cast, is_female: bool) -> Word:
    return person(fresh_name(cast, GIRLS if is_female else BOYS), is_female)


def _adult_named(cast: Cast, is_female: bool, job: str = "") -> Word:
    return person(fresh_name(cast, WOMEN if is_female else MEN), is_female, job)


def _child(cast: Cast) -> Word:
    return _child_named(cast, female(cast))


def _friend(cast: Cast) -> Word:
    return _child_named(cast, unlike_a(cast))


def _adult(cast: Cast) -> Word:
    return _adult_named(cast, female(cast))


def _adult2(cast: Cast) -> Word:
    return _adult_named(cast, unlike_a(cast))


def _spouse(cast: Cast) -> Word:
    return _adult_named(cast, unlike_a(cast, 1.0))


def _worker(cast: Cast) -> Word:
    return _adult_named(cast, female(cast), cast.one(JOBS))


def _maker(cast: Cast) -> Word:
    return _adult_named(cast, female(cast), cast.one(MAKERS))


def _colleague(cast: Cast) -> Word:
    return _adult_named(cast, unlike_a(cast), cast.one(JOBS))


def _ware(cast: Cast) -> Word:
    """Something that A, a maker, makes."""
    return thing(cast.one(WARES[form(cast.slots["A"], "trade")]))


def _called(male: str, other: str) -> Caster:
    """A caster of people known by a noun alone: "国王" or "女王"."""

    def draw(cast: Cast) -> Word:
        is_female = female(cast)
        return person(other if is_female else male, is_female)

    return draw


def _titled(male: str, other: str) -> Caster:
    """A caster of people called by surname and noun: "王叔叔", "李阿姨"."""

    def draw(cast: Cast) -> Word:
        is_female = female(cast)
        return person(fresh_name(cast, SURNAMES) + (other if is_female else male), is_female)

    return draw


CASTERS: dict[str, Caster] = {
    "child": _child, "friend": _friend, "friend2": _child, "one_of_three": one_of_three, "adult": _adult,
    "adult2": _adult2,
    "worker": _worker, "maker": _maker, "colleague": _colleague, "spouse": _spouse, "sibling": _child,
    "ware": _ware,
    "pair": pair("{}和{}", lambda both_female: {"他们": "她们" if both_female else "他们"}),
    "parent": _called("爸爸", "妈妈"), "grandparent": _called("爷爷", "奶奶"),
    "grandparent2": _called("外公", "外婆"),
    "uncle": _called("伯伯", "姑姑"), "uncle2": _called("舅舅", "姨妈"), "neighbour": _titled("叔叔", "阿姨"),
    "elder": _titled("爷爷", "奶奶"), "ruler": _called("国王", "女王"), "heir": _called("王子", "公主"),
    "wizard": _called("巫师", "女巫"),
    "formal": _titled("先生", "女士"),
}  # fmt: skip
