"""Countries as they are, in Chinese: capital, language, river through the capital, continent; and hiding places.

Only what is not disputed and will stay true; "" where there is no single answer or no well-known river.
"""

from __future__ import annotations

from functools import cache

from clearhead.corpora.casting import among
from clearhead.corpora.grammar import Caster, Word, words
from clearhead.corpora.story import mark

# country, capital, language most people there speak, river through the capital, continent
COUNTRIES = (
    ("法国", "巴黎", "法语", "塞纳河", "欧洲"), ("西班牙", "马德里", "西班牙语", "", "欧洲"),
    ("葡萄牙", "里斯本", "葡萄牙语", "特茹河", "欧洲"),
    ("意大利", "罗马", "意大利语", "台伯河", "欧洲"), ("德国", "柏林", "德语", "施普雷河", "欧洲"),
    ("奥地利", "维也纳", "德语", "多瑙河", "欧洲"),
    ("波兰", "华沙", "波兰语", "维斯瓦河", "欧洲"), ("匈牙利", "布达佩斯", "匈牙利语", "多瑙河", "欧洲"),
        ("希腊", "雅典", "希腊语", "", "欧洲"),
    ("乌克兰", "基辅", "乌克兰语", "第聂伯河", "欧洲"),
    ("俄罗斯", "莫斯科", "俄语", "莫斯科河", "欧洲"), ("芬兰", "赫尔辛基", "芬兰语", "", "欧洲"),
    ("瑞典", "斯德哥尔摩", "瑞典语", "", "欧洲"),
    ("挪威", "奥斯陆", "挪威语", "", "欧洲"), ("丹麦", "哥本哈根", "丹麦语", "", "欧洲"),
    ("冰岛", "雷克雅未克", "冰岛语", "", "欧洲"),
    ("英国", "伦敦", "英语", "泰晤士河", "欧洲"), ("爱尔兰", "都柏林", "英语", "利菲河", "欧洲"),
    ("土耳其", "安卡拉", "土耳其语", "", "亚洲"),
    ("伊朗", "德黑兰", "波斯语", "", "亚洲"),
    ("中国", "北京", "汉语", "", "亚洲"),
    ("日本", "东京", "日语", "隅田川", "亚洲"), ("韩国", "首尔", "韩语", "汉江", "亚洲"),
        ("泰国", "曼谷", "泰语", "湄南河", "亚洲"), ("越南", "河内", "越南语", "红河", "亚洲"),
        ("埃及", "开罗", "阿拉伯语", "尼罗河", "非洲"), ("摩洛哥", "拉巴特", "阿拉伯语", "", "非洲"),
    ("肯尼亚", "内罗毕", "斯瓦希里语", "", "非洲"),
        ("墨西哥", "墨西哥城", "西班牙语", "", "北美洲"),
    ("古巴", "哈瓦那", "西班牙语", "", "北美洲"), ("美国", "华盛顿", "英语", "波托马克河", "北美洲"),
    ("加拿大", "渥太华", "", "", "北美洲"),
    ("秘鲁", "利马", "西班牙语", "", "南美洲"), ("智利", "圣地亚哥", "西班牙语", "", "南美洲"),
    ("阿根廷", "布宜诺斯艾利斯", "西班牙语", "", "南美洲"),
    ("巴西", "巴西利亚", "葡萄牙语", "", "南美洲"), ("澳大利亚", "堪培拉", "英语", "", "大洋洲"),
    ("新西兰", "惠灵顿", "英语", "", "大洋洲"),
)  # fmt: skip


@cache
def country(name: str, capital: str, language: str, river: str, continent: str) -> Word:
    """A country; forms ``首都`` (marked as such), ``语言``, ``河`` and ``洲``."""
    return Word(mark("m", name, name), plain=name, 首都=mark("c", name, capital), 语言=language, 河=river, 洲=continent)


SPOTS = (
    "床底下", "楼梯下面", "门后面", "炉子后面", "书架最上层", "老槐树下", "谷仓后面", "阁楼上", "地窖里",
    "柴房里", "水井旁边", "桌子底下", "窗帘后面",
    "窗台上", "树洞里", "石桥下面", "磨坊后面", "大石头下面", "枕头底下", "屋檐下",
)  # fmt: skip
TOWNS = words(
    """
    青石镇 柳河镇 白沙镇 桃源镇 云山镇 石桥镇 双井镇 清水镇 竹林镇 望海镇 松岭镇 平安镇
    """
)

CASTERS: dict[str, Caster] = {
    "country": among([country(*row) for row in COUNTRIES]),
    "tongue": among([country(*row) for row in COUNTRIES if row[2]]),
    "river_country": among([country(*row) for row in COUNTRIES if row[2] and row[3]]),
    "spot": among([Word(spot) for spot in SPOTS]),
    "town": among([Word(town) for town in TOWNS]),
}
