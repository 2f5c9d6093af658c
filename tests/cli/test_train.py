"""The verb train from the outside: its output, its files, resuming."""

import json
import re
import shutil
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from calling import SMALL, TEXT, Command, Done

from clearhead import hub, machine
from clearhead.recipes import names, read, resolved
from clearhead.text import Tokenizer
from clearhead.training import load_state, read_log


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def recipe(folder: Path) -> dict:
    return tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))


def tokens(done: Done) -> int:
    """All that were read, of both texts."""
    found = re.search(r"text: ([\d,]+) tokens to train on, ([\d,]+) to validate on", done.err)
    assert found is not None
    return sum(int(part.replace(",", "")) for part in found.groups())


def test_minutes_with_a_model_that_was_given_measure_how_much_is_evaluated(command: Command, tmp_path: Path):
    """All of a long validation text, twenty times, would leave no time for a step."""
    (tmp_path / "text.txt").write_text(TEXT * 100)
    done = command("train", "text.txt", *SMALL, "--minutes", "0.15")
    assert done.code == 0, done.err
    train = recipe(tmp_path / "runs" / "text")["train"]
    assert 16 <= train["evaluation_tokens"] < train["final_tokens"]
    assert f"chosen: {train['evaluation_tokens']:,} validation tokens are read 2 times, at most" in done.err
    last = read_log(tmp_path / "runs" / "text" / "log.jsonl")[-1]
    assert last.step > 5
    assert last.seconds < 12


class TestARun:
    def test_its_folder_has_the_layout(self, trained):
        folder, _ = trained
        assert sorted(path.name for path in folder.iterdir()) == [
            "config.json",
            "generation_config.json",
            "log.jsonl",
            "loss.svg",
            "model.safetensors",
            "recipe.toml",
            "state",
            "tokenizer.json",
            "tokenizer_config.json",
        ]
        assert [path.name for path in (folder / "state").iterdir()] == ["000000020.safetensors"]

    def test_standard_output_is_the_folder_alone(self, trained):
        assert trained[1].out == "runs/text\n"

    def test_it_says_what_it_reads_and_makes(self, trained):
        first, second, *_ = trained[1].err.splitlines()
        assert re.fullmatch(
            r"text: 3,673 tokens to train on, 408 to validate on; vocabulary 257 \(bytes\); ready in \d\.\d s", first
        )
        model = hub.load(trained[0]).network
        count = sum(p.numel() for p in model.parameters())
        assert second == f"model: {count:,} weights; it will be kept in runs/text"

    def test_plain_lines_without_a_terminal(self, trained):
        _, done = trained
        evaluations = re.findall(
            r"^step (\d+): validation loss (\d\.\d{4}) nats a token, (\d\.\d{4}) bits a byte", done.err, re.M
        )
        assert [int(step) for step, _, _ in evaluations] == [0, 10, 20]
        assert "\x1b" not in done.err
        assert "\r" not in done.err
        assert done.err.count("   | ") >= 3  # a sample at each

    def test_the_last_line_is_the_kept_model_on_all_validation_text(self, trained):
        folder, done = trained
        evaluation = re.search(
            r"kept the model of step 20; on all 408 validation tokens: (\S+) nats a token, (\S+) bits a byte\n"
            r"loss curve: runs/text/loss\.svg",
            done.err,
        )
        assert evaluation is not None
        log = read_log(folder / "log.jsonl")[-1]
        assert float(evaluation[1]) == pytest.approx(log.valid_loss, abs=1e-4)
        assert float(evaluation[2]) == pytest.approx(log.bits_per_byte, abs=1e-4)

    def test_the_curve_shows_both_losses(self, trained):
        picture = ElementTree.parse(trained[0] / "loss.svg")
        assert picture.getroot().tag.endswith("svg")
        words = {"".join(each.itertext()).strip() for each in picture.iter("{http://www.w3.org/2000/svg}text")}
        assert {"training", "validation", "step", "nats a token"} <= words

    def test_the_log_has_a_line_for_each_report(self, trained):
        lines = [json.loads(line) for line in (trained[0] / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line["kind"] == "stepped"] == list(range(1, 21))
        assert [line["step"] for line in lines if line["kind"] == "evaluated"] == [0, 10, 20]

    def test_other_tools_open_it(self, trained):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder, _ = trained
        ours, theirs = hub.load(folder), AutoModelForCausalLM.from_pretrained(folder)
        ids_BT = torch.tensor([ours.tokenizer.encode("The quick")])
        assert AutoTokenizer.from_pretrained(folder).encode("The quick") == ids_BT[0].tolist()
        with torch.no_grad():
            assert torch.allclose(ours(ids_BT), theirs(ids_BT).logits, atol=1e-5)


class TestTheRecipe:
    def test_is_whole(self, trained):
        folder, _ = trained
        table = recipe(folder)
        assert table["text"]["sources"] == ["text.txt"]
        assert table["model"]["vocabulary"] == 257
        assert table["train"] == {**table["train"], "steps": 20, "threads": 1, "seed": 0}
        assert resolved(table).model == hub.read_config(folder)

    def test_as_config_makes_the_same_run(self, trained, command, tmp_path):
        folder, _ = trained
        assert command("train", "--config", folder / "recipe.toml", "--out", "again").code == 0
        assert weights(tmp_path / "again") == weights(folder)
        assert recipe(tmp_path / "again") == recipe(folder)

    def test_serves_another_text(self, trained, command, tmp_path):
        (tmp_path / "other.txt").write_text(TEXT[::-1])
        done = command("train", "other.txt", "--config", trained[0] / "recipe.toml", "--steps", 2)
        assert done.code == 0, done.err
        assert recipe(tmp_path / "runs" / "other")["text"]["sources"] == ["other.txt"]
        assert recipe(tmp_path / "runs" / "other")["model"] == recipe(trained[0])["model"]

    def test_with_too_few_ids_for_another_text_is_refused(self, trained, command, tmp_path):
        done = command("train", "--config", trained[0] / "recipe.toml", "--tokenizer", "bpe", "--out", "new")
        assert done.code == 2
        assert "error: model.vocabulary is 257, but the tokenizer has" in done.err
        assert not (tmp_path / "new").exists()

    def test_a_setting_reaches_every_table(self, command, tmp_path):
        settings = {
            "text.tokenizer": "bytes",
            "model.dropout": 0.125,
            "model.attention.head_norm": "none",
            "model.norm.kind": "layer",
            "model.positions.theta": 500.0,
            "train.floor": 0.25,
            "train.optimizer.momentum": 0.5,
        }
        words = [word for name, value in settings.items() for word in ("--set", f"{name}={str(value).lower()}")]
        done = command("train", "text.txt", "--steps", 2, *SMALL[2:], *words)
        assert done.code == 0, done.err
        table = recipe(tmp_path / "runs" / "text")
        for name, value in settings.items():
            found = table
            for key in name.split("."):
                found = found[key]
            assert found == value, name

    def test_settings_override_options_then_the_config_then_the_recipe(self, command, tmp_path):
        (tmp_path / "c.toml").write_text(
            "[train]\nsteps = 3\nbatch = 5\nseed = 3\nfloor = 0.5\n[model]\ncontext = 12\n"
        )
        words = ["--recipe", "tiny", "--config", "c.toml", "--steps", 2, "--seed", 8, "--set", "train.seed=9"]
        done = command("train", "text.txt", "--tokenizer", "bytes", "--threads", 1, *words)
        assert done.code == 0, done.err
        table = recipe(tmp_path / "runs" / "text")
        train = table["train"]
        assert (train["seed"], train["steps"], train["batch"], train["floor"]) == (9, 2, 5, 0.5)
        assert (table["model"]["context"], table["model"]["layers"]) == (12, read("tiny")["model"]["layers"])

    def test_a_run_by_steps_has_the_shape_of_tiny(self, command, tmp_path):
        """Not one that depends on how busy this machine is."""
        done = command("train", "text.txt", "--steps", 1, "--threads", 1, "--set", "train.batch=1")
        assert done.code == 0, done.err
        assert "chosen" not in done.err
        kept = recipe(tmp_path / "runs" / "text")
        assert kept["train"]["optimizer"]["precision"] == ("bfloat16" if machine.device() == "cuda" else "float32")
        made, tiny = kept["model"], read("tiny")["model"]
        assert {name: made[name] for name in ("context", "layers", "width")} == {
            name: tiny[name] for name in ("context", "layers", "width")
        }


class TestSeeds:
    def test_the_same_seed_gives_the_same_bits(self, trained, command, tmp_path):
        assert command("train", "text.txt", "--steps", 20, *SMALL, "--seed", 0).code == 0
        assert weights(tmp_path / "runs" / "text") == weights(trained[0])

    def test_another_seed_gives_others(self, trained, command, tmp_path):
        assert command("train", "text.txt", "--steps", 20, *SMALL, "--seed", 1).code == 0
        assert weights(tmp_path / "runs" / "text") != weights(trained[0])


class TestSources:
    def test_standard_input_is_kept_and_resumed_from(self, command, tmp_path, trained):
        done = command("train", "-", "--steps", 20, *SMALL, stdin=TEXT.encode())
        assert done.code == 0, done.err
        folder = tmp_path / "runs" / "stdin"
        assert (folder / "stdin.txt").read_text() == TEXT
        assert recipe(folder)["text"]["sources"] == ["-"]
        assert weights(folder) == weights(trained[0])
        shutil.move(folder, tmp_path / "elsewhere")
        assert command("train", "--resume", "elsewhere").code == 0

    def test_standard_input_of_json_lines(self, command, tmp_path):
        lines = "".join(json.dumps({"body": f"{n} {TEXT[:200]}"}) + "\n" for n in range(20))
        done = command("train", "-", "--field", "body", "--steps", 2, *SMALL, stdin=lines.encode())
        assert done.code == 0, done.err
        assert tokens(done) == sum(len(f"{n} ") + 200 + 1 for n in range(20))  # each with a separator
        assert command("train", "--resume", "runs/stdin").code == 0

    def test_several_files_a_folder_a_pattern_and_packed_ones(self, command, tmp_path):
        import gzip

        books = tmp_path / "books"
        books.mkdir()
        (books / "a.txt").write_text(TEXT[:1000])
        (books / "b.md").write_text(TEXT[:700])
        (books / "c.txt.gz").write_bytes(gzip.compress(TEXT[:300].encode()))
        for name, given, count in [
            ("books", ["books"], 2003),
            ("a", ["books/a.txt", "books/b.md"], 1702),
            ("books", ["books/*.txt"], 1001),
        ]:
            done = command("train", *given, "--steps", 1, *SMALL)
            assert done.code == 0, done.err
            assert tokens(done) == count
            assert done.out == f"runs/{name}\n"
            shutil.rmtree(tmp_path / "runs")

    def test_other_files_in_a_folder_are_reported(self, command, tmp_path):
        (tmp_path / "books").mkdir()
        (tmp_path / "books" / "a.txt").write_text(TEXT)
        (tmp_path / "books" / "cover.jpg").write_bytes(b"\xff")
        done = command("train", "books", "--steps", 1, *SMALL)
        assert re.search(r"^warning: books: skipped 1 file, not .*: cover\.jpg$", done.err, re.M)

    def test_a_field_of_json_lines(self, command, tmp_path):
        lines = [json.dumps({"title": "x", "body": TEXT[n : n + 150]}) for n in range(20)]
        (tmp_path / "data.jsonl").write_text("\n".join(lines))
        done = command("train", "data.jsonl", "--field", "body", "--steps", 1, *SMALL)
        assert done.code == 0, done.err
        assert recipe(tmp_path / "runs" / "data")["text"]["field"] == "body"

    def test_validation_text_of_its_own(self, command, tmp_path):
        (tmp_path / "valid.txt").write_text("Another text, of 34 bytes in all.\n")
        done = command("train", "text.txt", "--valid", "valid.txt", "--steps", 1, *SMALL)
        assert "text: 4,081 tokens to train on, 35 to validate on" in done.err
        assert "on all 35 validation tokens" in done.err

    def test_another_encoding(self, command, tmp_path):
        (tmp_path / "chinese.txt").write_bytes(("从前有一个国王,他有三个女儿。" * 40).encode("gb18030"))
        refused = command("train", "chinese.txt", "--steps", 1, *SMALL)
        assert refused.code == 1
        assert "chinese.txt: byte 0 (0xb4) is not utf-8" in refused.err
        assert "--encoding gb18030" in refused.err
        assert not (tmp_path / "runs" / "chinese").exists()
        assert command("train", "chinese.txt", "--encoding", "gb18030", "--steps", 1, *SMALL).code == 0

    def test_a_built_in_corpus(self, command, tmp_path):
        done = command("train", "--corpus", "world-en", "--megabytes", "0.05", "--steps", 1, *SMALL)
        assert done.code == 0, done.err
        assert done.out == "runs/world-en\n"
        assert recipe(tmp_path / "runs" / "world-en")["text"]["megabytes"] == 0.05


class TestTokenizers:
    @pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
    def test_of_every_kind(self, command, tmp_path, kind):
        done = command("train", "text.txt", "--tokenizer", kind, "--steps", 1, *SMALL[2:])
        assert done.code == 0, done.err
        assert hub.load(tmp_path / "runs" / "text").tokenizer.kind == kind

    def test_characters_cover_the_validation_text(self, command, tmp_path):
        (tmp_path / "valid.txt").write_text("ça")
        words = ["--valid", "valid.txt", "--tokenizer", "characters", "--steps", 1, *SMALL[2:]]
        assert command("train", "text.txt", *words).code == 0
        assert hub.load(tmp_path / "runs" / "text").tokenizer.encode("ç")

    def test_of_a_size(self, command, tmp_path):
        words = ["--tokenizer", "bpe", "--vocabulary", 270, "--steps", 1, *SMALL[2:]]
        assert command("train", "text.txt", *words).code == 0
        assert hub.load(tmp_path / "runs" / "text").tokenizer.vocab_size == 270

    def test_from_a_file_or_a_run(self, command, tmp_path, trained):
        Tokenizer.characters([TEXT]).save(tmp_path / "mine")
        for path, size in [("mine/tokenizer.json", 31), ("mine", 31), (trained[0], 257)]:
            done = command("train", "text.txt", "--tokenizer", path, "--steps", 1, *SMALL[2:])
            assert done.code == 0, done.err
            assert hub.load(tmp_path / "runs" / "text").tokenizer.vocab_size == size
            shutil.rmtree(tmp_path / "runs")

    def test_without_a_separator(self, command, tmp_path):
        """Nothing marks the start of a text, so samples continue the validation text."""
        from tokenizers import Tokenizer as Library
        from tokenizers import models, pre_tokenizers

        words = sorted({*TEXT.split(), "?"})
        library = Library(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="?"))
        library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        library.save(str(tmp_path / "words.json"))
        done = command("train", "text.txt", "--tokenizer", "words.json", "--steps", 1, *SMALL[2:])
        assert done.code == 0, done.err
        assert done.err.count("   | ") >= 2

    def test_part_of_a_large_text_is_reported(self, command, tmp_path, monkeypatch):
        """The vocabulary is learned from a limited number of bytes, which is logged and so shown to the user."""
        from clearhead.text.tokenizers import learned as kinds

        monkeypatch.setattr(kinds, "LEARN_BYTES", 100_000)
        (tmp_path / "large.txt").write_text("".join(f"line {n} of many\n" for n in range(20_000)))
        done = command("train", "large.txt", "--tokenizer", "bpe", "--steps", 1, *SMALL[2:])
        assert done.code == 0, done.err
        assert "note: learning the vocabulary from 0.1 of 0.4 MB, spread evenly over the text\n" in done.err

    def test_a_damaged_cache_is_reported_and_rebuilt(self, command, tmp_path, monkeypatch):
        monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path / "cache"))
        assert command("train", "text.txt", "--steps", 1, *SMALL).code == 0
        (kept,) = (tmp_path / "cache" / "tokens").iterdir()
        kept.write_bytes(kept.read_bytes()[:-1])
        done = command("train", "text.txt", "--steps", 1, *SMALL, "--out", "b")
        assert done.code == 0
        assert f"warning: {kept}: truncated or altered; rebuilding it\n" in done.err
        assert weights(tmp_path / "b") == weights(tmp_path / "runs" / "text")


@pytest.mark.parametrize("name", names())
def test_every_shipped_recipe_makes_a_run(command, tmp_path, name):
    shrink = [word for value in ("model.context=16", "train.batch=2") for word in ("--set", value)]
    done = command("train", "text.txt", "--recipe", name, "--steps", 1, "--threads", 1, *shrink)
    assert done.code == 0, done.err
    state = load_state(tmp_path / "runs" / "text" / "state")
    assert state is not None
    assert state.progress.step == 1
