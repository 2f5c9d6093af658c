"""The verb show: what it prints is what is in the folder."""

import re
import shutil
from pathlib import Path

import pytest
from calling import Command

import clearhead as ch
from clearhead import hub
from clearhead.language_model import LanguageModel
from clearhead.training import Evaluated, read_log


def rows(out: str) -> dict[str, str]:
    return dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())


def test_a_run(command: Command, trained):
    folder, printed = trained
    last = re.search(r"on all 408 validation tokens: (.*)", printed.err)[1]
    model = hub.load(folder)
    count = sum(p.numel() for p in model.network.parameters())
    inner = sum(p.numel() for name, p in model.network.named_parameters() if name != "embedding.weight")
    best = min((r for r in read_log(folder / "log.jsonl") if isinstance(r, Evaluated)), key=lambda r: r.valid_loss)
    described = ch.describe(folder)
    assert (described.weights, described.inner, described.weight_bytes) == (count, inner, 4 * count)
    assert described.best == best
    done = command("show", folder)
    assert done.code == 0
    assert done.err == ""
    assert rows(done.out) == {
        "family": "qwen3",
        "weights": f"{count:,}, {inner:,} of them outside the embeddings",
        "memory": "0.0 MB in float32, and 0.0 MB for a text of full length",
        "layers": "1 of width 16",
        "attention": "2 heads of width 8",
        "feed-forward": "swiglu of width 32",
        "norm": "rms, before each part",
        "positions": "rotary, theta 10,000",
        "output layer": "the embedding matrix",
        "context": "16 tokens",
        "tokenizer": "bytes, 257 tokens",
        "text": "text.txt",
        "training": "20 steps, 4 windows a step, muon",
        "validation": f"{last} (step 20)",
    }


def test_the_final_loss_or_that_of_a_run_not_finished(command: Command, trained, tmp_path):
    """Until the log has its end, the loss is that of the evaluation at which the model was saved."""
    folder = Path(shutil.copytree(trained[0], tmp_path / "run"))
    log = folder / "log.jsonl"
    *lines, end = log.read_text().splitlines(keepends=True)
    changed = re.sub(r'"nats": [\d.]+', '"nats": 814.0', end)
    log.write_text("".join([*lines, changed]))
    assert rows(command("show", folder).out)["validation"].startswith("2.0000 nats a token, ")  # of 407 tokens
    log.write_text("".join(lines))
    best = ch.describe(folder).best
    assert best is not None
    assert ch.describe(folder).final is None
    said = f"{best.valid_loss:.4f} nats a token, {best.bits_per_byte:.4f} bits a byte, on at most 100,000 tokens"
    assert rows(command("show", folder).out)["validation"] == f"{said} (step 20)"


def test_one_is_in_the_singular(command: Command, trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    for length, expected in (("minutes = 1.0", "1 minute"), ("minutes = 0.5", "0.5 minutes"), ("steps = 1", "1 step")):
        recipe.write_text(
            re.sub(r"(?m)^(steps|minutes) = .*$", length, recipe.read_text()).replace("batch = 4", "batch = 1")
        )
        assert rows(command("show", "run").out)["training"] == f"{expected}, 1 window a step, muon"


def test_sizes_by_hand(command: Command, tmp_path):
    """A quarter of a million weights are 1 MB; keys and values of 3 layers, 2 groups of 50, 1,000 places: 2.4 MB."""
    from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, build
    from clearhead.text import Tokenizer

    config = DecoderConfig(
        vocabulary=257,
        context=1000,
        layers=3,
        width=100,
        attention=AttentionConfig(heads=4, kv_heads=2, head_width=50, window=64),
        feed_forward=FeedForwardConfig(width=177),
        tied=False,
    )
    hub.save(tmp_path / "model", LanguageModel(build(config, seed=0), Tokenizer.bytes()))
    found = rows(command("show", "model").out)
    assert found["memory"] == f"{4 * config.parameters() / 1e6:.1f} MB in float32, and 2.4 MB for a text of full length"
    assert found["attention"] == "4 heads of width 50, keys and values in 2 groups, window of 64 tokens"
    assert found["output layer"] == "its own matrix"
    assert "training" not in found


def test_what_is_special(command: Command, tmp_path):
    """Windows and angles by layer, caps, the place of the norms: two of three layers alike, the third apart."""
    from clearhead.model import (
        AttentionConfig,
        DecoderConfig,
        FeedForwardConfig,
        LayerConfig,
        PositionConfig,
        build,
    )
    from clearhead.model import ScalingConfig as Scaling
    from clearhead.text import Tokenizer

    config = DecoderConfig(
        vocabulary=257,
        context=1000,
        layers=3,
        width=20,
        attention=AttentionConfig(heads=2, kv_heads=2, head_width=8, softcap=50.0),
        feed_forward=FeedForwardConfig(width=17),
        arrangement="sandwich",
        positions=PositionConfig(theta=1e6, rotated=0.5, scaling=Scaling(kind="linear", factor=8.0)),
        pattern=(LayerConfig(window=64, positions=PositionConfig(theta=77.5)), LayerConfig()),
    )
    hub.save(tmp_path / "model", LanguageModel(build(config, seed=0), Tokenizer.bytes()))
    found = rows(command("show", "model").out)
    assert found["family"] == "clearhead"
    assert found["attention"] == "2 heads of width 8, window of 64 tokens in 2 of 3 layers, soft cap of 50"
    assert found["norm"] == "rms, before and after each part"
    assert found["positions"] == (
        "rotary, theta 77.5 in 2 of 3 layers; "
        "rotary, theta 1,000,000, 50% of each head, linear scaling by 8 in 1 of 3 layers"
    )


def test_a_run_that_was_killed_while_it_wrote_its_log(command: Command, tmp_path, trained):
    shutil.copytree(trained[0], tmp_path / "run")
    with (tmp_path / "run" / "log.jsonl").open("a") as log:
        log.write('{"kind": "stepp')
    assert command("show", "run").out == command("show", trained[0]).out


@pytest.mark.parametrize(
    ("file", "template", "said"),
    [
        ("chat_template.jinja", "{{ messages }}", "default; works with clearhead chat"),
        ("chat_template.jinja", "a\n{% for %}", "default; not usable: line 2: Expected an expression, got 'end of "),
        ("additional_chat_templates/rag.jinja", "{{ messages }}", "rag; none is the default, which clearhead"),
    ],
)
def test_a_template_is_looked_at(command: Command, tmp_path, trained, file: str, template: str, said: str):
    shutil.copytree(trained[0], tmp_path / "run")
    (tmp_path / "run" / file).parent.mkdir(exist_ok=True)
    (tmp_path / "run" / file).write_text(template)
    assert rows(command("show", "run").out)["chat template"].startswith(said)


def test_invalid_generation_settings_are_reported_with_their_file(command: Command, tmp_path, trained):
    shutil.copytree(trained[0], tmp_path / "run")
    (tmp_path / "run" / "generation_config.json").write_text('{"do_sample": "yes"}')
    for verb in (["show", "run"], ["generate", "run", "x", "--max-tokens", "1"]):
        done = command(*verb)
        assert done.code == 1
        assert "run/generation_config.json: do_sample is 'yes'; it must be true or false" in done.err


def test_standard_input_is_named(command: Command, tmp_path, trained):
    shutil.copytree(trained[0], tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"text.txt"', '"-"'))
    assert rows(command("show", "run").out)["text"] == "standard input"


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("model.safetensors", None, "model.safetensors: "),
        ("model.safetensors", b"short", "model.safetensors: truncated"),
        ("config.json", b"{", "config.json: "),
        ("tokenizer.json", b"{}", "tokenizer.json "),
        ("log.jsonl", b"not a log\n", "log.jsonl: line 1 was altered"),
        ("recipe.toml", b"[[", "recipe.toml is not TOML"),
    ],
)
def test_a_damaged_folder_is_reported(command: Command, tmp_path, trained, file, damage, message):
    shutil.copytree(trained[0], tmp_path / "run")
    if damage is None:
        (tmp_path / "run" / file).unlink()
    else:
        (tmp_path / "run" / file).write_bytes(damage)
    done = command("show", "run")
    assert done.code in (1, 2)
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
