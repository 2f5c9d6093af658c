"""Chinese things, animals and food with their measure words, numbers and qualities."""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import among
from clearhead.corpora.grammar import Cast, Caster, Word, words
from clearhead.corpora.story import mark

# measure word, then the thing. Words with several senses (see senses.py) are left out on purpose.
KEEPSAKES = words(
    """
    把钥匙 枚硬币 颗纽扣 个贝壳 块石头 枚奖章 个哨子 支铅笔 张地图 张照片 张车票 个铃铛 把勺子 颗弹珠 根羽毛
    颗珍珠 条项链 个指南针 支蜡烛 个布娃娃 支笛子 本日记 枚胸针 块磁铁 条丝带 个笔记本 个手电筒 个钱包 张明信片
    枚戒指 面镜子 把梳子 副眼镜 块手表 把剪刀 顶帽子 条围巾 幅画
    """
)
TOYS = words(
    """
    只风筝 个皮球 个布娃娃 面小鼓 艘小木船 个拼图 个雪橇 只布熊 列小火车 个陀螺 根跳绳 个毽子 个灯笼 架纸飞机
    匹木马
    """
)
COLOURS = tuple("红蓝绿黄黑白灰紫")
CONTAINERS = words(
    """
    盒子 箱子 篮子 袋子 抽屉 罐子 柜子 水桶 筐子 书包 饭盒 布袋 坛子 皮箱 信箱 木箱
    """
)
FRUIT = words("个梨 个桃子 个橘子 根香蕉 个西瓜 串葡萄 颗草莓 颗樱桃 个李子 个柿子 个石榴 个柠檬 颗杏子 颗枣子")
CROPS = words("个土豆 根萝卜 棵白菜 个西红柿 根黄瓜 个南瓜 个茄子 个洋葱 个冬瓜 个辣椒")
ANIMALS = words(
    """
    条狗 只猫 只母鸡 只山羊 头牛 匹马 只兔子 只鸭子 只鹅 只绵羊 头驴 只鹦鹉 头猪 只乌龟 只松鼠 只刺猬 只青蛙
    只麻雀
    """
)
PETS = words("条小狗 只小猫 只兔子 只鹦鹉 只乌龟 只小羊 匹小马 只小鸭 头小驴")
PET_NAMES = words(
    """
    豆豆 毛毛 团团 黑黑 雪球 芝麻 年糕 汤圆 土豆 旺财 咪咪 闪电 布丁 馒头 小灰
    """
)
FABLE = words(
    """
    只狐狸 只兔子 只乌鸦 头熊 只山羊 只青蛙 只猫头鹰 只刺猬 只松鼠 头驴 只猴子 只喜鹊 只狼 只老虎 只乌龟
    """
)
CIRCUS = words("头大象 头熊 匹小马 头狮子 只老虎 头骆驼 只猴子")
# what is bought: the word, then how it is asked for
FOOD = (
    ("面粉", "一袋面粉"), ("牛奶", "一瓶牛奶"), ("蜂蜜", "一罐蜂蜜"), ("豆腐", "一块豆腐"),
    ("鸡蛋", "十个鸡蛋"), ("盐", "一包盐"), ("白糖", "一包白糖"), ("香油", "一瓶香油"), ("酱油", "一瓶酱油"),
    ("面条", "一把面条"), ("豆子", "两斤豆子"), ("猪肉", "半斤猪肉"),
)  # fmt: skip
GROCERIES = (
    *FOOD,
    ("茶叶", "一盒茶叶"),
    ("肥皂", "一块肥皂"),
    ("蜡烛", "一包蜡烛"),
    ("毛线", "一团毛线"),
    ("胶水", "一瓶胶水"),
    ("电池", "两节电池"),
    ("信封", "一沓信封"),
)
NUMBERS = words("零 一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九 二十")
SECRETS = words("月亮 煎饼 蝴蝶 桂皮 雪球 萝卜 灯笼 瀑布 南瓜 夜莺 芝麻")
COMPARED = words("高 快 壮 勇敢 细心")
QUALITIES = words("大 结实 漂亮 轻 精致")
TASTES = words("甜 大 新鲜 便宜")
WARES = {
    "木匠": ("把椅子", "张桌子", "架梯子", "个摇篮", "条板凳"),
    "陶匠": ("个碗", "把茶壶", "个罐子", "个盘子"),
    "裁缝": ("件外套", "件衬衫", "条裙子", "条裤子"),
    "铁匠": ("扇铁门", "把菜刀", "把锄头", "口铁锅"),
    "鞋匠": ("双靴子", "双布鞋", "双凉鞋"),
    "玩具匠": ("只风筝", "面小鼓", "个灯笼", "个陀螺"),
    "篾匠": ("个竹篮", "张竹席", "个竹筐", "顶斗笠"),
}
# verb, the rest of the phrase
HABITS = (
    ("跑步", "绕着操场"), ("游泳", "在村口的湖里"), ("唱歌", "在院子里"), ("做饭", "给全家人"),
    ("画画", "在窗边"), ("写日记", "在睡觉前"), ("看书", "在大树下"), ("吹笛子", "在河边"), ("喂鸡", "在后院"),
    ("骑车", "沿着小河"), ("喝牛奶", "在吃早饭时"), ("爬山", "和朋友们"), ("扫地", "在教室里"),
    ("浇菜", "在菜园里"), ("下棋", "在凉亭里"), ("练字", "在灯下"),
)  # fmt: skip


@cache
def thing(entry: str) -> Word:
    """A thing from its measure word and name, "把钥匙".

    Forms: ``一`` ("一把钥匙"), ``这`` and ``那`` with the measure word, ``量`` (the measure word alone),
    ``它``.
    """
    measure, name = entry[0], entry[1:]
    named = mark("m", name, name)
    counted = {key: key + measure + named for key in ("一", "这", "那")}
    return Word(named, plain=name, 量=measure, 它=mark("p", name, "它"), **counted)


@cache
def _box(colour: str, container: str) -> Word:
    return thing(f"个{colour}{container}")


@cache
def _pet(kind: str, name: str) -> Word:
    """A named animal, its kind as another mention."""
    kind_word = mark("m", name, kind[1:])
    return Word(mark("m", name, name), plain=name, 种=kind_word, 一=f"一{kind[0]}{kind_word}", 它=mark("p", name, "它"))


def _pet_drawn(cast: Cast) -> Word:
    return _pet(cast.one(PETS), cast.one(PET_NAMES))


@cache
def _grocery(name: str, some: str) -> Word:
    named = mark("m", name, name)
    return Word(named, plain=name, 买=some.replace(name, named), 它=mark("p", name, "它"))


def counted(number: int) -> str:
    """A number before a measure word: 两 instead of 二."""
    return "两" if number == 2 else NUMBERS[number]


def _sum(cast: Cast) -> Word:
    """Two numbers, ``前`` and ``后`` before a measure word, ``甲`` and ``乙`` in arithmetic, and their sum, marked."""
    a, b = 2 + int(cast.draw() * 8), 1 + int(cast.draw() * 9)
    total = mark("a", f"{a}+{b}", NUMBERS[a + b])
    return Word(str(a), 前=counted(a), 后=counted(b), 甲=NUMBERS[a], 乙=NUMBERS[b], 和=total)


def _plain(texts: tuple[str, ...]) -> tuple[Word, ...]:
    return tuple(map(Word, texts))


CASTERS: dict[str, Caster] = {
    "keepsake": among(tuple(map(thing, KEEPSAKES))), "toy": among(tuple(map(thing, TOYS))),
    "colour": among(_plain(COLOURS)),
    "box": among([_box(colour, container) for colour in COLOURS for container in CONTAINERS]),
    "fruit": among(tuple(map(thing, FRUIT))), "crop": among(tuple(map(thing, CROPS))),
    "goods": among(tuple(map(thing, FRUIT + CROPS))),
    "animal": among(tuple(map(thing, ANIMALS))), "fable_animal": among(tuple(map(thing, FABLE))),
    "circus_animal": among(tuple(map(thing, CIRCUS))), "pet": _pet_drawn,
    "food": among([_grocery(*row) for row in FOOD]), "grocery": among([_grocery(*row) for row in GROCERIES]),
    "sum": _sum, "number": among(_plain(NUMBERS[3:])), "secret": among(_plain(SECRETS)),
    "compared": among(_plain(COMPARED)), "quality": among(_plain(QUALITIES)),
    "taste": among(_plain(TASTES)),
    "habit": among([Word(verb, 处=place) for verb, place in HABITS]),
}  # fmt: skip
