"""The architecture as tests: who imports whom, where kernels are called, file lengths, what loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import clearhead.attend.door as door
from clearhead.model import ModelConfig, build
from clearhead.watching import watch
from little_configs import BERT, GPT2, QWEN3, RIVAL_TRANSLATORS, RIVALS, TRANSLATOR

SOURCE = Path(__file__).parents[2] / "src"
LINES = 400

# docs/design.md, 4. Beneath the rooms stand modules without a subject, which every room may import.
BENEATH = {"catalogue", "errors", "files", "language", "machine", "notebook", "plain", "tap", "tensorfile", "wrapping"}
ROOMS: dict[str, set[str]] = {
    "text": set(),
    "corpora": set(),
    "attend": {"native"},
    "native": set(),
    "products": {"native"},
    "watching": {"attend", "text"},
    "model": {"attend", "native", "products"},
    "language_model": {"model", "text"},
    "hub": {"language_model", "model", "products", "text"},
    "training": {"model", "text", "attend"},
    "generation": {"language_model", "model", "text", "attend", "watching"},
    "encoding": {"language_model", "model", "text", "attend", "watching"},
    "analysis": {"corpora", "hub", "language_model", "model", "products", "text", "attend", "watching", "generation"},
    "drawing": {"watching", "analysis"},
    "recipes": {"model", "training"},
    "runs": {
        "corpora",
        "recipes",
        "hub",
        "training",
        "generation",
        "encoding",
        "drawing",
        "language_model",
        "model",
        "text",
    },
    "lab": {
        "runs",
        "drawing",
        "corpora",
        "recipes",
        "training",
        "generation",
        "language_model",
        "model",
        "text",
        "attend",
        "analysis",
        "watching",
        "hub",
    },
}
ABOVE = {"cli", "__main__"}  # joins the rooms; no room imports it
KERNELS = {
    "scaled_dot_product_attention",
    "flex_attention",
    "create_block_mask",
    "multi_head_attention_forward",
    "MultiheadAttention",
    "TransformerEncoderLayer",
    "TransformerDecoderLayer",
    "flash_attn_func",
    "flash_attn_varlen_func",
    "memory_efficient_attention",
}


def name_of(path: Path) -> str:
    """clearhead/attend/mask.py -> clearhead.attend.mask; a package by its own name."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted((SOURCE / "clearhead").rglob("*.py"))}


@cache
def trees() -> dict[str, ast.Module]:
    """The code of every module."""
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def origin(name: str, node: ast.ImportFrom) -> str:
    """The module after "from", written out when it is relative."""
    if not node.level:
        return node.module or ""
    parts = name.split(".") + (["__init__"] if FILES[name].name == "__init__.py" else [])
    return ".".join([*parts[: len(parts) - node.level], *filter(None, [node.module])])


@cache
def imports(name: str) -> frozenset[str]:
    """Every module of the package that this one imports, wherever in the file; of packages, the part that is meant."""
    found = set[str]()
    for node in ast.walk(trees()[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = origin(name, node)
            wholes = (f"{package}.{alias.name}" for alias in node.names)
            found |= {whole if whole in FILES else package for whole in wholes}
    return frozenset(found & FILES.keys())


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def reached(start: str, edges: dict[str, frozenset[str]]) -> set[str]:
    found, ahead = set[str](), set(edges[start])
    while ahead:
        module = ahead.pop()
        if module not in found:
            found.add(module)
            ahead |= edges[module]
    return found


def test_every_module_has_a_place_in_the_plan() -> None:
    assert {room_of(name) for name in FILES} - {""} <= BENEATH | set(ROOMS) | ABOVE


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_plan_allows(room: str) -> None:
    allowed = ROOMS[room] | BENEATH | {room}
    wrong = [
        f"{name} imports {module}"
        for name in FILES
        for module in imports(name)
        if room_of(name) == room and room_of(module) not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("module", sorted(BENEATH & {room_of(name) for name in FILES}))
def test_the_ground_imports_no_room(module: str) -> None:
    assert {room_of(other) for other in imports(f"clearhead.{module}")} <= BENEATH


def test_recipes_know_only_the_configs() -> None:
    known = {module for name in FILES if room_of(name) == "recipes" for module in imports(name)}
    assert {module for module in known if room_of(module) in {"model", "training"}} <= {
        "clearhead.model.config",
        "clearhead.plain",
        "clearhead.training.config",
    }


def test_no_import_goes_in_a_circle() -> None:
    edges = {name: imports(name) - {name} for name in FILES}
    assert [name for name in FILES if name in reached(name, edges)] == []


def test_no_kernel_is_called_outside_the_back_ends() -> None:
    calls: set[tuple[str, str]] = set()
    for name, tree in trees().items():
        nodes = list(ast.walk(tree))
        foreign = [node for node in nodes if isinstance(node, ast.ImportFrom) and origin(name, node) not in FILES]
        calls |= {(name, alias.name) for node in foreign for alias in node.names}
        calls |= {(name, node.attr) for node in nodes if isinstance(node, ast.Attribute)}
    calls = {call for call in calls if call[1] in KERNELS}
    inside = "clearhead.attend.backends."
    assert {call for call in calls if not call[0].startswith(inside)} == set()
    assert {name.removeprefix(inside) for name, _ in calls} == {"sdpa", "flex"}  # else this test sees nothing


def test_models_do_no_attention_by_hand() -> None:
    """Models need no softmax of their own, except a router's over experts and the loss's over tokens."""
    others = {f"clearhead.model.parts.{name}" for name in ("experts", "config", "cross_entropy")}
    by_hand = [
        f"{name}, line {node.lineno}"
        for name, tree in trees().items()
        if room_of(name) == "model" and name not in others
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"softmax", "Softmax", "logsumexp"})
        or (isinstance(node, ast.Name) and node.id in {"softmax", "Softmax", "logsumexp"})
    ]
    assert by_hand == []


def test_products_with_trained_matrices_are_made_in_one_place() -> None:
    """In parts/linear.py, with three exceptions, each in one file.

    The loss computes the output layer's products in blocks, the balance of experts is a sum computed as a product, and
    a fused recurrence computes products and gates in one call.
    """
    made = {"linear", "Linear", "Embedding", "Bilinear", "matmul", "mm", "mv", "bmm", "addmm", "einsum", "grouped_mm"}
    made |= {"LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "lstm_cell", "gru_cell"}
    made |= {"Conv1d", "Conv2d", "conv1d", "conv2d", "ConvTranspose1d"}
    places = {
        name.removeprefix("clearhead.model.")
        for name, tree in trees().items()
        if room_of(name) == "model"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in made)
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult))
    }
    assert places == {"parts.linear", "parts.cross_entropy", "parts.experts", "parts.recurrence"}


def test_no_file_is_long() -> None:
    kinds = {".py", ".toml", ".js", ".css", ".html"}
    files = [path for path in (SOURCE / "clearhead").rglob("*") if path.suffix in kinds]
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


LIGHT = ["clearhead", "clearhead.errors", "clearhead.text", "clearhead.corpora", "clearhead.cli"]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_does_not_load_torch(module: str) -> None:
    program = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# Imports every room, trains a model for one step, and names what that loaded without need.
START = """
import sys, torch
import clearhead.analysis, clearhead.drawing, clearhead.encoding, clearhead.generation, clearhead.hub, clearhead.lab
import clearhead.runs, clearhead.training
from clearhead.model import build
from clearhead.native.tape import recording
from clearhead.training.config import OptimizerConfig
from clearhead.training.optimizer import Optimizer
from little_configs import QWEN3
model = build(QWEN3, seed=0)
optimizer = Optimizer(model, OptimizerConfig())
ids_BT = torch.arange(5)[None]
model.loss(model.hidden(ids_BT), ids_BT).backward()
optimizer.step(1.0)
with recording(), torch.no_grad():
    torch.empty(1)
print(*sorted({"torch._dynamo", "sympy", "matplotlib", "scipy", "sklearn", "transformers"} & sys.modules.keys()))
"""


def test_nothing_loads_the_compiler_or_an_extra_before_it_is_needed() -> None:
    """torch's compiler takes as long to load as torch. Whoever lacks an extra still has all that does without it."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert (done.stdout, done.stderr) == ("\n", "")


FACE = """
import clearhead as ch
first = {name: getattr(ch, name) for name in ch.__all__}
import clearhead.analysis, clearhead.drawing, clearhead.encoding, clearhead.generation
import clearhead.hub, clearhead.language_model, clearhead.runs, clearhead.training, clearhead.watching
changed = [name for name in ch.__all__ if getattr(ch, name) is not first[name]]
uncallable = [name for name in ch.__all__ if name != "__version__" and not callable(first[name])]
assert not changed and not uncallable, (changed, uncallable)
"""


def test_a_public_name_is_not_replaced_by_the_room_of_that_name() -> None:
    """Importing a room sets an attribute of the package; the functions of the face must stay functions."""
    done = subprocess.run([sys.executable, "-c", FACE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def config(**options: Any) -> ModelConfig:
    return replace(QWEN3, attention=replace(QWEN3.attention, **options))


MODELS = {"Qwen 3": QWEN3, "window": config(window=3), "soft cap": config(softcap=5.0), "GPT-2": GPT2}


class StubbedError(Exception):
    """Raised by the stub."""


@pytest.mark.parametrize("made", MODELS.values(), ids=MODELS)
class TestTheDoor:
    def test_a_stub_breaks_every_model(self, made: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        model = build(made, seed=0)
        ids_BT = torch.arange(6).view(1, 6)
        cache = model.state(batch=1, capacity=8)
        model(ids_BT, state=cache)

        def stub(*parts: object) -> None:
            raise StubbedError

        monkeypatch.setattr(door, "Request", stub)  # the first thing the door does, under whichever name it is called
        passes: list[Callable[[], object]] = [
            lambda: model(ids_BT),
            lambda: model(ids_BT[:, :1], state=cache),
            lambda: model.hidden(ids_BT),
        ]
        for run in passes:
            with pytest.raises(StubbedError):
                run()

    def test_every_site_passes_through_the_door_in_every_step(self, made: ModelConfig) -> None:
        model = build(made, seed=0)
        cache = model.state(batch=1, capacity=8)
        with watch(model) as record:
            model(torch.arange(6).view(1, 6), state=cache)
            model(torch.arange(2).view(1, 2), state=cache)
        assert list(record) == [(site, head) for site, heads in model.sites().items() for head in range(heads)]
        assert sum(site.attends for site in model.sites()) == made.layers
        for site, head in record:
            assert record.map(site, head).shape == (8, 8)
            assert record.map(site, head).row_sum_error() < 1e-6
        queries = 8 * made.attention.heads * made.attention.head_width * 4
        assert record.nbytes() == made.layers * queries + cache.k_LBGKD.nbytes  # q in float32, and the key cache

    def test_an_attention_that_gives_nothing_changes_every_logit(
        self, made: ModelConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = build(made, seed=0)
        ids_BT = torch.arange(6).view(1, 6)
        before = model(ids_BT)
        for backend in door.ORDER:
            monkeypatch.setattr(backend, "prepared", lambda request: None)
            monkeypatch.setattr(backend, "run", lambda request: torch.zeros_like(request.q_BHQD))
        assert (model(ids_BT) != before).all()


@pytest.mark.parametrize("kind", ["lstm-attention", "gru-attention"])
class TestTheDoorOfARecurrence:
    def test_a_stub_breaks_it(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def stub(*parts: object) -> None:
            raise StubbedError

        model = build(RIVALS[kind], seed=0)
        monkeypatch.setattr(door, "Request", stub)
        for run in (model, model.hidden):
            with pytest.raises(StubbedError):
                run(torch.arange(6).view(1, 6))

    def test_its_last_layer_passes_through_the_door_in_every_step(self, kind: str) -> None:
        model = build(RIVALS[kind], seed=0)
        state = model.state(batch=1, capacity=8)
        with watch(model) as record:
            model(torch.arange(6).view(1, 6), state=state)
            model(torch.arange(2).view(1, 2), state=state)
        assert [str(site) for site in model.sites() if site.attends] == ["decoder.1.self"]
        for head in range(3):
            assert record[1, head].shape == (8, 8)
            assert record[1, head].row_sum_error() < 1e-6


@pytest.mark.parametrize("kind", ["transformer", *RIVAL_TRANSLATORS])
class TestTheDoorOfATranslator:
    def test_a_stub_breaks_it(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def stub(*parts: object) -> None:
            raise StubbedError

        monkeypatch.setattr(door, "Request", stub)
        model, ids_BT = build({**RIVAL_TRANSLATORS, "transformer": TRANSLATOR}[kind], seed=0), torch.arange(6)[None]
        for run in (model, model.hidden):
            with pytest.raises(StubbedError):
                run(ids_BT, source_BS=ids_BT)

    def test_every_site_passes_through_the_door(self, kind: str) -> None:
        model, ids_BT = build({**RIVAL_TRANSLATORS, "transformer": TRANSLATOR}[kind], seed=0), torch.arange(6)[None]
        with watch(model) as record:
            model(ids_BT, source_BS=ids_BT)
        assert list(record) == [(site, head) for site, heads in model.sites().items() for head in range(heads)]


class TestTheDoorOfAnEncoder:
    def test_a_stub_breaks_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def stub(*parts: object) -> None:
            raise StubbedError

        monkeypatch.setattr(door, "Request", stub)
        model = build(BERT, seed=0)
        for run in (model, model.hidden):
            with pytest.raises(StubbedError):
                run(torch.arange(6).view(1, 6))

    def test_every_site_passes_through_the_door(self) -> None:
        model = build(BERT, seed=0)
        with watch(model) as record:
            model(torch.arange(6).view(1, 6))
        assert list(record) == [(site, head) for site, heads in model.sites().items() for head in range(heads)]
        assert [str(site) for site in model.sites() if site.attends] == [f"encoder.{layer}.self" for layer in range(3)]

    def test_an_attention_that_gives_nothing_changes_every_logit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = build(BERT, seed=0)
        ids_BT = torch.arange(6).view(1, 6)
        before = model(ids_BT)
        for backend in door.ORDER:
            monkeypatch.setattr(backend, "prepared", lambda request: None)
            monkeypatch.setattr(backend, "run", lambda request: torch.zeros_like(request.q_BHQD))
        assert (model(ids_BT) != before).all()
