"""Recipes: the shipped ones, files, single values, and how tables merge."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from clearhead.errors import ConfigError, OptionError
from clearhead.model.config import ModelConfig
from clearhead.plain import from_dict, to_dict
from clearhead.recipes import check_names, joined, names, read, read_file, read_setting, resolved
from clearhead.runs import Asked
from clearhead.runs.resolve import resolve

TOO_MUCH = "(a number has more than 4,300 digits|its brackets are nested too deeply)$"
WHOLE = {
    "text": {"sources": ["a.txt"], "tokenizer": "bytes"},
    "model": {
        "vocabulary": 257,
        "context": 8,
        "layers": 1,
        "width": 4,
        "attention": {"heads": 2, "kv_heads": 1, "head_width": 2},
        "feed_forward": {"width": 6},
    },
    "train": {"steps": 5},
}


class TestShipped:
    def test_their_names(self):
        assert {"nanogpt-cpu", "small", "tiny"} <= set(names())
        assert names() == sorted(names())

    @pytest.mark.parametrize("name", names())
    def test_each_is_whole_but_for_text_and_vocabulary(self, name):
        table = joined([{"text": {"corpus": "world-en"}, "model": {"vocabulary": 1024}}, read(name)])
        recipe = resolved(table)
        assert recipe.train.steps
        assert recipe.model.vocabulary == 1024

    def test_what_they_say_of_their_size_is_so(self):
        def inner(name: str, vocabulary: int = 1) -> int:
            return from_dict(ModelConfig, {"vocabulary": vocabulary, **read(name)["model"]}).inner_parameters()

        assert inner("tiny") == pytest.approx(0.9e6, rel=0.05)
        assert inner("small") == pytest.approx(11e6, rel=0.05)
        model = from_dict(ModelConfig, {"vocabulary": 65, **read("nanogpt-cpu")["model"]})
        assert model.parameters() == pytest.approx(0.8e6, rel=0.05)

    def test_an_unknown_one_is_reported_with_the_nearest(self):
        with pytest.raises(OptionError, match="recipe: there is no 'smal'; did you mean 'small'"):
            read("smal")
        with pytest.raises(OptionError, match=r"there is no '0'; known: .*small, tiny"):
            read("0")


class TestFiles:
    def test_a_resolved_recipe_comes_back(self, tmp_path: Path):
        recipe = resolved(WHOLE)
        (tmp_path / "recipe.toml").write_text(tomli_w.dumps(to_dict(recipe)), encoding="utf-8")
        assert resolved(read_file(tmp_path / "recipe.toml")) == recipe
        odd = replace(recipe, text=replace(recipe.text, sources=('a "b"\\c.txt', "中文.txt"), field="body"))
        (tmp_path / "recipe.toml").write_text(tomli_w.dumps(to_dict(odd)), encoding="utf-8")
        assert resolved(read_file(tmp_path / "recipe.toml")) == odd

    @pytest.mark.parametrize("content", [b"[model", b"a = ", b"a = 1\na = 2"])
    def test_one_that_is_not_toml_is_reported(self, tmp_path: Path, content: bytes):
        (tmp_path / "c.toml").write_bytes(content)
        with pytest.raises(OptionError, match=r"c\.toml is not TOML"):
            read_file(tmp_path / "c.toml")

    def test_a_byte_order_mark_is_no_part_of_it(self, tmp_path: Path):
        (tmp_path / "c.toml").write_bytes("a = '中'".encode("utf-8-sig"))
        assert read_file(tmp_path / "c.toml") == {"a": "中"}

    @pytest.mark.parametrize("encoding", ["gbk", "utf-16", "utf-16-le"])
    def test_another_encoding_is_reported_with_the_way_out(self, tmp_path: Path, encoding: str):
        (tmp_path / "c.toml").write_bytes("a = 1 # 中文".encode(encoding))
        with pytest.raises(OptionError, match=r"^config: .*c\.toml: byte \d+ is .*; save it as UTF-8$"):
            read_file(tmp_path / "c.toml")

    def test_one_that_is_missing_or_a_folder_is_reported(self, tmp_path: Path):
        with pytest.raises(OptionError, match=r"config: there is no file .*c\.toml"):
            read_file(tmp_path / "c.toml")
        with pytest.raises(OptionError, match=r"config: .*: is a folder, and should be a file"):
            read_file(tmp_path)


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "table"),
        [
            ("model.layers=6", {"model": {"layers": 6}}),
            ("train.optimizer.lr=1e-3", {"train": {"optimizer": {"lr": 0.001}}}),
            ("model.tied=false", {"model": {"tied": False}}),
            ("text.encoding=latin-1", {"text": {"encoding": "latin-1"}}),
            ("text.tokenizer='a=b'", {"text": {"tokenizer": "a=b"}}),
            ("text.tokenizer=runs/a=b", {"text": {"tokenizer": "runs/a=b"}}),
            ("text.sources=['a', 'b']", {"text": {"sources": ["a", "b"]}}),
            ("model.feed_forward={kind='relu', width=3}", {"model": {"feed_forward": {"kind": "relu", "width": 3}}}),
            (" model.layers = 6 ", {"model": {"layers": 6}}),
            ("text.field=", {"text": {"field": ""}}),
        ],
    )
    def test_a_value_is_parsed_as_toml_or_taken_verbatim(self, setting, table):
        assert read_setting(setting) == table

    @pytest.mark.parametrize("setting", ["model.layers", "", "=3", " =3", "model..layers=3", ".layers=3", "model.=3"])
    def test_what_has_no_name_or_value_is_refused(self, setting):
        with pytest.raises(OptionError, match=r"write it as name=value, such as model\.layers=6"):
            read_setting(setting)

    @pytest.mark.parametrize("value", ["9" * 5_000, "[" * 2_000, "{a=" * 2_000], ids=["digits", "brackets", "braces"])
    def test_numbers_and_nesting_beyond_measure_are_refused(self, value, tmp_path):
        with pytest.raises(OptionError, match=r"^--set 'train\.lr=.{90,120}: " + TOO_MUCH):
            read_setting(f"train.lr={value}")
        (tmp_path / "r.toml").write_text(f"lr = {value}")
        with pytest.raises(OptionError, match=r"r\.toml is not TOML: " + TOO_MUCH):
            read_file(tmp_path / "r.toml")

    @pytest.mark.parametrize("name", ["train.steps", "text.corpus", "text", "origin", "model.attention.heads"])
    def test_a_table_deeper_than_python_writes_is_refused(self, name):
        table = read_setting(f"{name}.{'.'.join('a' * 3_000)}=1")
        with pytest.raises(ConfigError):
            resolve(Asked(corpus="world-en", steps=1, settings=[table]))


class TestTables:
    def test_the_last_one_wins(self):
        one = {"a": {"x": 1, "y": {"p": 1, "q": 2}}, "b": 1}
        two = {"a": {"y": {"q": 3}, "z": 4}, "c": [1, 2]}
        assert joined([one, two]) == {"a": {"x": 1, "y": {"p": 1, "q": 3}, "z": 4}, "b": 1, "c": [1, 2]}
        assert one["a"] == {"x": 1, "y": {"p": 1, "q": 2}}  # nothing given is changed
        assert joined([{"a": {"x": 1}}, {"a": 2}]) == {"a": 2}
        assert joined([]) == {}

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({"modle": {}}, "modle: unknown; did you mean 'model'?"),
            ({"model": {"layer": 1}}, "model.layer: unknown; did you mean 'layers'?"),
            ({"model": {"attention": {"head": 1}}}, "model.attention.head: unknown; did you mean 'heads'?"),
            ({"train": {"optimizer": {"beta": 1}}}, "train.optimizer.beta: unknown; did you mean 'beta"),
            ({"text": {"files": []}}, "text.files: unknown"),
            ({"model": 3}, "model: 3 was given; it is a table with vocabulary, context"),
            ({"train": {"optimizer": "muon"}}, "train.optimizer: 'muon' was given; it is a table with kind"),
        ],
    )
    def test_unknown_names_are_reported_with_the_nearest(self, table, message):
        with pytest.raises(ConfigError) as told:
            check_names(table)
        assert message in str(told.value)

    def test_known_names_pass_whatever_is_missing(self):
        check_names({})
        check_names({"version": 1, "model": {"attention": {"heads": 3}}, "train": {}})
        check_names(WHOLE)

    def test_another_version_is_refused(self):
        with pytest.raises(ConfigError, match="version: 2 was given; it must be 1"):
            resolved({**WHOLE, "version": 2})


def test_they_are_what_a_reader_sees():
    """The shipped files are plain TOML, each with a comment on its purpose."""
    folder = Path(__file__).parents[2] / "src" / "clearhead" / "recipes"
    for name in names():
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
        assert text.startswith("# ")
        assert tomllib.loads(text) == read(name)
