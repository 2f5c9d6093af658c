"""The dial: what it chooses from measured speeds, what it says, and that it keeps to what the user fixed."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from clearhead import machine
from clearhead.errors import ConfigError, MemoryNeededError, OptionError
from clearhead.model import ModelConfig
from clearhead.training import budget, compiling, memory_needed
from clearhead.training.budget import EPOCHS, TOKENS_PER_WEIGHT, TRAINED, fastest_threads, plan_model
from clearhead.training.shapes import LADDER, shape

MILLIONS = 10_000_000


class Machine:
    """A machine that makes so many multiplications a second, in a time of its own."""

    def __init__(self, patch: pytest.MonkeyPatch, speed: float) -> None:
        self.now, self.tried = 0.0, list[ModelConfig]()

        def tokens_per_second(model: ModelConfig, batch: int, precision: str, **rest: object) -> float:
            self.tried.append(model)
            self.now += 4 * batch * model.context * model.parameters() / speed
            return speed / model.parameters()

        patch.setattr(budget.time, "perf_counter", lambda: self.now)
        patch.setattr(budget, "tokens_per_second", tokens_per_second)
        patch.setattr(budget, "fastest_threads", lambda model, say, objective: (1, "1 thread, the fastest measured"))
        patch.setattr(machine, "bfloat16_pays", lambda: False)
        patch.setattr(compiling, "refuses", lambda: "no C++ compiler")


@pytest.fixture(autouse=True)
def same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def chosen(minutes: float, *, tokens: int = MILLIONS, valid: int = 1_000_000, used: float = 0.0, **options):
    said: list[str] = []
    given = {"vocabulary": 1024, **options}
    return plan_model(minutes=minutes, used=used, tokens=tokens, valid=valid, say=said.append, **given), said


def test_more_time_or_speed_gives_a_larger_model(monkeypatch):
    sizes = []
    for minutes, speed in [(1, 1e10), (30, 1e10), (30, 3e11), (600, 3e11)]:
        Machine(monkeypatch, speed)
        sizes.append(chosen(minutes)[0].model.inner_parameters())
    assert sizes == sorted(set(sizes))


def test_the_chosen_model_is_the_largest_that_sees_enough_tokens(monkeypatch):
    """By its own rule: tokens shown for each weight, at the speed that was measured."""
    for minutes in (1, 5, 30):
        Machine(monkeypatch, 2e10)
        found, _ = chosen(minutes)
        rung = LADDER.index((found.model.layers, found.model.width))
        shown = [
            2e10 / model.parameters() * TRAINED * 60 * minutes / model.inner_parameters()
            for model in (shape(n, 1024, 256) for n in range(len(LADDER)))
        ]
        assert rung == 0 or shown[rung] >= TOKENS_PER_WEIGHT
        assert rung == len(LADDER) - 1 or shown[rung + 1] < TOKENS_PER_WEIGHT


def test_measuring_takes_a_small_part_of_the_time(monkeypatch):
    """On a machine so slow that a few steps take long, no larger model is tried."""
    for minutes, speed in [(1, 3e8), (5, 3e8), (5, 1e12), (60, 1e9)]:
        machine = Machine(monkeypatch, speed)
        chosen(minutes)
        largest = 4 * 2048 * machine.tried[-1].parameters() / speed
        assert machine.now - largest <= 0.05 * 60 * minutes


def test_time_that_was_used_is_not_there_any_more(monkeypatch):
    Machine(monkeypatch, 1e10)
    fresh, _ = chosen(3)
    Machine(monkeypatch, 1e10)
    late, _ = chosen(10, used=7 * 60)
    assert late.model == fresh.model
    assert replace(late.train, minutes=3) == fresh.train
    with pytest.raises(
        OptionError,
        match=r"minutes 1: reading .* took 60 seconds, before the first step",
    ):
        chosen(1, used=60.0)


def test_a_reason_is_given_for_every_choice(monkeypatch):
    Machine(monkeypatch, 1e10)
    found, said = chosen(5)
    model, train = found.model, found.train
    reasons = "\n".join(found.reasons)
    assert f"{model.layers} layers of width {model.width}, {model.inner_parameters():,} weights" in reasons
    assert f"context {model.context}, {train.batch} windows a step" in reasons
    assert "the text is read" in reasons
    assert "float32: bfloat16 products are not much faster" in reasons
    assert "1 thread, the fastest measured" in reasons
    assert (
        f"{train.evaluation_tokens:,} are read {train.evaluations} times, {train.final_tokens:,} at the end" in reasons
    )
    assert any(line.startswith(f"{model.layers} layers of width {model.width}: ") for line in said)


def test_a_small_text_is_read_often_and_so_some_is_dropped(monkeypatch):
    Machine(monkeypatch, 1e10)
    once, _ = chosen(5)
    Machine(monkeypatch, 1e10)
    often, _ = chosen(5, tokens=200_000)
    assert (once.model.dropout, often.model.dropout) == (0.0, 0.1)
    (reason,) = [reason for reason in often.reasons if "is read" in reason and "times," in reason]
    assert float(reason.split()[4]) > EPOCHS


def test_the_context_and_batch_fit_into_a_short_text(monkeypatch):
    for tokens in (40, 137, 1000):
        Machine(monkeypatch, 1e10)
        found, _ = chosen(1, tokens=tokens)
        assert 16 <= found.model.context <= max(16, tokens // 8)
        assert found.train.batch >= 1


def test_the_number_of_threads_that_was_asked_for_is_taken(monkeypatch):
    Machine(monkeypatch, 1e10)
    monkeypatch.setattr(budget, "fastest_threads", None)
    found, _ = chosen(1, threads=3)
    assert found.train.threads == torch.get_num_threads() == 3
    assert "3 threads, as asked" in found.reasons


def test_what_the_user_fixed_is_in_every_model_tried(monkeypatch):
    machine = Machine(monkeypatch, 1e10)
    found, _ = chosen(5, adapt=lambda model: replace(model, context=64, dropout=0.25))
    assert {model.context for model in machine.tried} == {64}
    assert (found.model.context, found.model.dropout) == (64, 0.25)
    assert f"context 64, {found.train.batch} windows a step" in "\n".join(found.reasons)

    def impossible(model: ModelConfig) -> ModelConfig:
        return replace(model, attention=replace(model.attention, heads=7, kv_heads=2))

    with pytest.raises(ConfigError, match="kv_heads must divide heads"):
        chosen(5, adapt=impossible)


@pytest.mark.parametrize(("factor", "best"), [(0.8, "float32"), (2.0, "bfloat16")])
def test_the_precision_is_the_one_that_trains_the_chosen_model_fastest(monkeypatch, factor, best):
    """Where bfloat16 products pay, whole steps of small models may not."""
    Machine(monkeypatch, 1e10)
    monkeypatch.setattr(machine, "bfloat16_pays", lambda: True)
    in_float32 = budget.tokens_per_second

    def tokens_per_second(model: ModelConfig, batch: int, precision: str, **rest: object) -> float:
        return in_float32(model, batch, precision) * (factor if precision == "bfloat16" else 1.0)

    monkeypatch.setattr(budget, "tokens_per_second", tokens_per_second)
    found, _ = chosen(1)
    assert found.train.precision == best
    assert any(reason.startswith(f"{best}, the fastest measured for this model (") for reason in found.reasons)


def test_one_precision_is_measured_where_the_time_is_short(monkeypatch):
    slow = Machine(monkeypatch, 3e8)
    monkeypatch.setattr(machine, "bfloat16_pays", lambda: True)
    found, _ = chosen(1)
    assert (len(slow.tried), found.train.precision) == (1, "float32")


def test_what_does_not_fit_into_memory_is_not_chosen(monkeypatch):
    """A model of the ladder, and a batch; what was asked for and does not fit is told before anything is measured."""
    Machine(monkeypatch, 1e13)
    large, _ = chosen(30)
    monkeypatch.setattr(machine, "free_memory", lambda device="cpu": 100_000_000)
    small, said = chosen(30)
    assert small.model.inner_parameters() < large.model.inner_parameters()
    assert memory_needed(small.model, small.train) <= 100_000_000
    assert small.train.batch < large.train.batch
    assert said[-1].endswith("needs more memory than is free")
    tried = Machine(monkeypatch, 1e13).tried
    with pytest.raises(MemoryNeededError, match=r"on 300,000 texts of 256 tokens needs about .* lower train.batch"):
        chosen(30, batch=300_000)
    assert tried == []


def test_long_runs_are_compiled_where_that_works(monkeypatch):
    """Compiling takes a minute or two, a fraction of what a quarter of an hour's steps spare."""
    Machine(monkeypatch, 1e10)
    found, _ = chosen(15)
    assert not found.train.compile
    assert "not compiled: no C++ compiler" in found.reasons
    monkeypatch.setattr(compiling, "refuses", lambda: None)
    found, _ = chosen(15)
    assert found.train.compile
    assert any(reason.startswith("compiled, which takes") for reason in found.reasons)
    monkeypatch.setattr(compiling, "refuses", None)  # not asked where the time is short
    found, _ = chosen(14)
    assert not found.train.compile
    assert not any("compiled" in reason for reason in found.reasons)


def test_one_core_is_not_measured(monkeypatch):
    monkeypatch.setattr(machine, "thread_limit", lambda: 1)
    monkeypatch.setattr(budget, "stepper", None)
    assert fastest_threads(shape(0, 257, 16), [].append) == (
        1,
        "1 thread, since there is one core or OMP_NUM_THREADS is 1",
    )


def test_a_batch_and_a_precision_that_were_asked_for_are_taken_and_said(monkeypatch):
    Machine(monkeypatch, 1e10)
    found, _ = chosen(5, batch=3, precision="bfloat16")
    assert (found.train.batch, found.train.precision) == (3, "bfloat16")
    assert "bfloat16, as asked" in found.reasons
    assert any(f"context {found.model.context}, 3 windows a step" in reason for reason in found.reasons)


@pytest.mark.parametrize(("times", "best"), [({1: 0.1, 2: 1.0, 4: 2.0}, 1), ({1: 0.4, 2: 0.25, 4: 0.2}, 4)])
def test_the_fastest_number_of_threads(monkeypatch, times, best):
    """Two threads that share a busy machine can be ten times slower than one."""
    monkeypatch.setattr(machine, "thread_limit", lambda: 4)
    monkeypatch.setattr(budget, "stepper", lambda model, data, precision: lambda: None)
    monkeypatch.setattr(machine, "seconds", lambda work, repeats: times[torch.get_num_threads()])
    monkeypatch.setattr(machine, "median_seconds", lambda work, repeats: times[torch.get_num_threads()])
    before, said = torch.get_num_threads(), []
    count, reason = fastest_threads(shape(0, 257, 16), said.append)
    assert count == best
    assert reason.startswith(f"{best} thread{'s' if best > 1 else ''}, the fastest measured for one step (1: ")
    assert [line.split()[0] for line in said] == ["1", "2", "4"]
    assert torch.get_num_threads() == before


def test_the_ladder_doubles():
    sizes = [shape(rung, 1024, 256).inner_parameters() for rung in range(len(LADDER))]
    ratios = [large / small for small, large in pairwise(sizes)]
    assert all(1.5 < ratio < 3 for ratio in ratios), ratios


def test_a_measured_step_is_a_step():
    """The real thing once: it runs, and learns its one batch by heart."""
    seen = budget.tokens_per_second(shape(0, 257, 16), batch=2, precision="float32")
    assert 1 < seen < 1e9


def test_another_kind_climbs_a_ladder_of_as_many_weights(monkeypatch):
    """At equal speed for each weight the same rung is chosen."""
    Machine(monkeypatch, 1e10)
    peer, _ = chosen(5)
    Machine(monkeypatch, 1e10)
    found, _ = chosen(5, kind="lstm")
    assert found.model.kind == "lstm"
    assert found.model.parameters() == pytest.approx(peer.model.parameters(), rel=0.02)
    assert f"{found.model.inner_parameters():,} weights" in "\n".join(found.reasons)
