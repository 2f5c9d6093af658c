"""The language of the command: how it is chosen, and what the catalogue makes of a message."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from clearhead.catalogue import Catalogue, entries
from clearhead.cli.printing import rows
from clearhead.errors import OptionError
from clearhead.language import chosen, current, speaking, spoken
from cli.calling import call

VARIABLES = ("CLEARHEAD_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
MESSAGES = {
    "{0}: no such file{1}": "{0}：没有这个文件{1}",
    "; check {0}": "；请检查{0}",
    "the folder": "目录",
    "; did you mean {0!r}?": "；是不是要写 {0!r}？",
    "there is no kind {0!r}{1}": "没有 {0!r} 这一种{1}",
    "{0} tokens": "{0} 个词元",
    "{0} nats a {1}": "每个{1!t} {0} nats",
    "token": "词元",
    "error: ": "错误：",
    "{0} and {1}": "{0} 和 {1}",
    "read {0} in {1} s": "{1} 秒读了{0}",
    "{0}: there is no {1} or {2}": "{0}：没有 {1}，也没有 {2}",
    "there is no such folder; give a name or the folder it is in{0}": "没有这个目录；请给名字，或它所在的目录{0}",
}


@pytest.mark.parametrize(
    ("set_to", "language"),
    [
        ({}, None),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "de_DE.UTF-8"}, None),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LC_ALL": "C", "LC_MESSAGES": "zh_CN", "LANG": "zh_CN"}, None),
        ({"LC_ALL": "", "LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "CLEARHEAD_LANGUAGE": "en"}, "en"),
        ({"LC_ALL": "C", "CLEARHEAD_LANGUAGE": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "CLEARHEAD_LANGUAGE": ""}, "zh"),
    ],
)
def test_a_variable_or_the_locale_chooses(
    set_to: dict[str, str], language: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in set_to.items():
        monkeypatch.setenv(name, value)
    assert chosen() == language
    assert current() == (language or "en")
    with speaking("zh"):
        assert current() == "zh"
        with speaking(None):
            assert current() == "zh"
        with speaking("en"):
            assert spoken("Print the version and exit.") == "Print the version and exit."
        assert spoken("Print the version and exit.") == "打印版本并退出。"
    assert chosen() == language


def test_another_language_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^language 'fr' is not known; take en or zh$"), speaking("fr"):
        pass
    monkeypatch.setenv("CLEARHEAD_LANGUAGE", "chinese")
    with pytest.raises(OptionError, match=r"^CLEARHEAD_LANGUAGE 'chinese' is not known; take en or zh$"):
        current()
    done = call("corpora", folder=tmp_path)
    assert (done.code, done.err) == (2, "error: CLEARHEAD_LANGUAGE 'chinese' is not known; take en or zh\n")
    assert call("--language", "zh", "corpora", folder=tmp_path).code == 0


@pytest.mark.parametrize(
    "words",
    [("--language", "zh", "show", "none"), ("show", "none", "--language=zh"), ("show", "--language", "zh", "x")],
)
def test_the_option_stands_anywhere(words: tuple[str, ...], tmp_path: Path) -> None:
    done = call(*words, folder=tmp_path)
    assert done.code == 1
    assert done.err.startswith("错误：")


def test_the_option_needs_a_value_that_is_known(tmp_path: Path) -> None:
    assert call("corpora", "--language", folder=tmp_path).err == "error: --language: it requires an argument\n"
    assert call("corpora", "--language", "de", folder=tmp_path).err == (
        "error: --language 'de' is not known; take en or zh\n"
    )
    done = call("corpora", "--language=zh", "--", "--language", folder=tmp_path)  # behind --, it is a text
    assert done.err == "错误：没有语料 '--language'；已知的有：python-docs, world-en, world-zh\n"


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("x.txt: no such file", "x.txt：没有这个文件"),
        ("x.txt: no such file; check the folder", "x.txt：没有这个文件；请检查目录"),
        ("error: x: no such file; check y", "错误：x：没有这个文件；请检查y"),
        ("there is no kind 'the folder'; did you mean 'files'?", "没有 'the folder' 这一种；是不是要写 'files'？"),
        ("x: there is no such folder; give a name or the folder it is in", "x：没有这个目录；请给名字，或它所在的目录"),
        ("1 token", "1 个词元"),
        ("2,048 tokens", "2,048 个词元"),
        ("some tokens", "some tokens"),
        ("3.1 nats a token", "每个词元 3.1 nats"),
        ("read 7 tokens in 0.5 s", "0.5 秒读了7 个词元"),
        ("read the folder and x in 2 s", "2 秒读了目录和x"),
        ("3 tokens, x; the folder (2 tokens)", "3 个词元，x；目录（2 个词元）"),
        ("a: b: the folder", "a：b：目录"),
        ("of no kind: token", "of no kind: token"),
        ("say nothing of the kind", "say nothing of the kind"),
    ],
)
def test_a_message_is_found_by_its_template_and_its_fields_are_messages(english: str, chinese: str) -> None:
    assert Catalogue(MESSAGES).line(english) == chinese


def test_what_a_user_wrote_is_not_translated() -> None:
    catalogue = Catalogue(MESSAGES)
    assert catalogue.line('there is no kind "it\'s the folder"') == '没有 "it\'s the folder" 这一种'
    assert catalogue.line("there is no kind 'error: 3 tokens'") == "没有 'error: 3 tokens' 这一种"
    assert catalogue.line("token: no such file") == "token：没有这个文件"


def test_an_entry_that_is_fuzzy_or_empty_is_left_out() -> None:
    text = (
        'msgid ""\nmsgstr "Language: zh\\n"\n\n#. a\nmsgid "one"\nmsgstr "一"\n\n#, fuzzy\nmsgid "two"\nmsgstr "二"\n\n'
        'msgid "three"\nmsgstr ""\n\n#. b\n#, x\nmsgid ""\n"fo\\"ur\\n"\n"{0}"\nmsgstr "四\\"\\n{0}"\n'
    )
    assert dict(entries(text)) == {"one": "一", 'fo"ur\n{0}': '四"\n{0}'}


def test_columns_align_by_cells(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking("zh"):
        rows({"weights": "x", "memory": "x", "special tokens": "x"})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["权重数", "内存", "特殊词元"]
    assert len({cell_len(line[: line.index("x")]) for line in lines}) == 1


def test_help_in_chinese_loads_no_torch_and_leaves_english_help_as_it_was(tmp_path: Path) -> None:
    english = call("train", "--help", folder=tmp_path).out
    chinese = call("train", "--help", "--language", "zh", folder=tmp_path).out
    assert call("train", "--help", folder=tmp_path).out == english
    for word in ("用法：", "参数", "选项", "不从随机权重开始", "显示这段帮助并退出"):
        assert word in chinese
    assert re.findall(r"Usage|Options|Arguments|default:|required|Show this", chinese) == []
    assert all(cell_len(line) == 80 for line in chinese.splitlines() if line.startswith(("│", "╭", "╰")))
    code = (
        "import sys; sys.argv = ['clearhead', '--help', '--language', 'zh']\n"
        "from clearhead import cli\ntry: cli.main()\nfinally: print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
