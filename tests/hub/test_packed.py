"""Folders with packed matrices: those of compressed-tensors, GPTQ and AWQ are opened, those of the first written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.entrypoints.convert.converters.autoawq import AutoAWQConverter
from compressed_tensors.quantization import QuantizationConfig
from little_gguf import CONFIGS, folder
from little_models import ids
from little_packed import LLAMA, as_awq, as_gptq, by_library, packed
from torch import Tensor
from transformers import AutoModelForCausalLM

import clearhead as ch
from clearhead import hub
from clearhead.errors import ClearheadError, FolderError, OptionError
from clearhead.hub.families import family_for
from clearhead.hub.families.table import to_theirs
from clearhead.language_model import LanguageModel
from clearhead.products import Quantised
from clearhead.tensorfile import read_tensors, write_tensors

PACKINGS = {
    "compressed-tensors": (by_library("pack-quantized"), 4),
    "of 8 bits": (by_library("pack-quantized", bits=8), 8),
    "of 64": (by_library("pack-quantized", group=64), 4),
    "rows": (by_library("pack-quantized", group=-1), 4),
    "with zeros": (by_library("pack-quantized", symmetric=False), 8),
    "8 bits with zeros": (by_library("pack-quantized", bits=8, symmetric=False), None),
    "scales in bfloat16": (by_library("pack-quantized", dtype=torch.bfloat16), 4),
    "scales in float32": (by_library("pack-quantized", dtype=torch.float32), None),
    "of 16": (by_library("pack-quantized", group=16), None),
    "bytes": (by_library("int-quantized", bits=8), 8),
    "bytes, rows": (by_library("int-quantized", bits=8, group=-1), 8),
    "gptq": (as_gptq(), 4),
    "gptq, version 2": (as_gptq(version="gptq_v2"), 4),
    "gptq, 8 bits": (as_gptq(bits=8), 8),
    "gptq, rows": (as_gptq(group=-1), 4),
    "gptq, zeros": (as_gptq(sym=False), 8),
    "gptq, ordered by activation": (as_gptq(desc_act=True, group=16), None),
    "awq": (as_awq(), 8),
    "awq of 16": (as_awq(group=16), None),
}


def matrices(model: LanguageModel) -> dict[str, Tensor]:
    """The weights under the names of the folder."""
    own = {name: each.detach() for name, each in model.network.named_parameters()}
    own |= {name: each.dense() for name, each in model.network.named_modules() if isinstance(each, Quantised)}
    own = {name: own[name] for name in own if not name.endswith((".codes", ".scales"))}
    return to_theirs([row for row in family_for(model.config).table(model.config) if row.ours in own], own)


def bits_of(model: LanguageModel) -> set[int]:
    return {each.held.bits for each in model.network.modules() if isinstance(each, Quantised)}


@pytest.mark.parametrize("name", PACKINGS)
def test_the_numbers_are_those_of_the_format(name: str, tmp_path: Path) -> None:
    (settings, pack), bits = PACKINGS[name]
    held = packed(tmp_path / "model", settings, pack)
    model = hub.load(tmp_path / "model", dtype="auto")
    assert bits_of(model) == (set() if bits is None else {bits})
    plain = hub.load(tmp_path / "model", dtype="float32")
    assert bits_of(plain) == set()
    for each in (model, plain):
        found = matrices(each)
        for their, numbers in held.items():
            torch.testing.assert_close(found[their], numbers.float(), rtol=0, atol=0)
    torch.testing.assert_close(model(ids()), plain(ids()), rtol=1e-4, atol=1e-4)
    assert bits_of(hub.outline(tmp_path / "model")) == bits_of(model)


def test_awq_as_the_library_converts_it(tmp_path: Path) -> None:
    settings, pack = as_awq()
    packed(tmp_path / "awq", settings, pack)
    folder(tmp_path / "other", LLAMA)
    converter = AutoAWQConverter.from_autoawq_config(settings)
    tensors = converter.process(dict(read_tensors(tmp_path / "awq" / "model.safetensors")[0]))
    write_tensors(tmp_path / "other" / "model.safetensors", tensors)
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    config["quantization_config"] = json.loads(converter.update_config(None).model_dump_json())  # pyright: ignore[reportOptionalMemberAccess]
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    assert torch.equal(hub.load(tmp_path / "awq")(ids()), hub.load(tmp_path / "other")(ids()))


def test_bits_round_what_has_more(tmp_path: Path) -> None:
    packed(tmp_path / "model", *by_library("pack-quantized"))
    model, rounded = hub.load(tmp_path / "model"), hub.load(tmp_path / "model", bits=8)
    assert bits_of(rounded) == {4, 8}  # the embedding
    for name, each in matrices(model).items():
        if name.endswith("proj.weight"):
            assert torch.equal(matrices(rounded)[name], each)


def test_scales_that_float16_does_not_hold_are_refused(tmp_path: Path) -> None:
    settings, pack = by_library("pack-quantized", dtype=torch.bfloat16)
    packed(tmp_path / "model", settings, pack)
    tensors = read_tensors(tmp_path / "model" / "model.safetensors")[0]
    name = "model.layers.1.mlp.up_proj.weight_scale"
    tensors[name] = tensors[name] * 1e-5
    write_tensors(tmp_path / "model" / "model.safetensors", tensors)
    with pytest.raises(FolderError, match=r"up_proj\.weight has scales that a float16 does not hold exactly; choose"):
        hub.load(tmp_path / "model")
    hub.load(tmp_path / "model", dtype="float32")


class TestExport:
    @pytest.mark.parametrize("bits", [8, 4])
    @pytest.mark.parametrize("name", ["qwen3", "llama", "gemma3"])
    @pytest.mark.filterwarnings("ignore")
    @torch.no_grad()
    def test_transformers_computes_the_same(self, name: str, bits: int, tmp_path: Path) -> None:
        hub.export(tmp_path / "out", hub.load(folder(tmp_path / "model", CONFIGS[name])), bits=bits)
        model = hub.load(tmp_path / "out")
        assert bits_of(model) == {bits}
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
        torch.testing.assert_close(model(ids()), theirs(ids()).logits, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("bits", [8, 4])
    def test_the_library_unpacks_the_same_numbers(self, bits: int, tmp_path: Path) -> None:
        hub.export(tmp_path / "out", hub.load(folder(tmp_path / "model", LLAMA)), bits=bits)
        tensors = read_tensors(tmp_path / "out" / "model.safetensors")[0]
        settings = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
        config = QuantizationConfig.model_validate(settings)
        scheme = config.config_groups["group_0"]
        own = matrices(hub.load(tmp_path / "out", dtype="float32"))
        unpacked = 0
        for name in [name for name in own if name.endswith("proj.weight")]:
            base = name.removesuffix(".weight")
            state = {each.rpartition(".")[2]: tensors[each] for each in tensors if each.startswith(f"{base}.")}
            state["weight_scale"] = state["weight_scale"].float()
            theirs = BaseCompressor.get_value_from_registry("pack-quantized").decompress(state, scheme)["weight"]
            assert torch.equal(own[name], theirs)
            unpacked += 1
        assert unpacked == 7 * LLAMA.layers

    def test_what_was_rounded_when_loading_has_the_same_layers(self, tmp_path: Path) -> None:
        """Of those that a folder packs; embeddings and output are plain numbers in it."""
        hub.export(tmp_path / "out", hub.load(folder(tmp_path / "model", LLAMA)), bits=4)
        rounded = matrices(hub.load(tmp_path / "model", bits=4))
        for name, each in matrices(hub.load(tmp_path / "out")).items():
            if name.endswith("proj.weight"):
                assert torch.equal(each, rounded[name])

    def test_it_goes_on_to_llama_cpp(self, tmp_path: Path) -> None:
        packed(tmp_path / "gptq", *as_gptq())
        model = hub.load(tmp_path / "gptq")
        hub.export_gguf(tmp_path / "model.gguf", model)
        back = hub.load(tmp_path / "model.gguf")
        assert bits_of(back) == {4}
        assert torch.equal(back(ids()), model(ids()))

    def test_what_cannot_be_packed_is_refused(self, tmp_path: Path) -> None:
        model = hub.load(folder(tmp_path / "gpt2", CONFIGS["gpt2"]))
        with pytest.raises(OptionError, match=r"c_attn\.weight is not a linear layer in transformers"):
            hub.export(tmp_path / "out", model, bits=4)
        packed(tmp_path / "packed", *by_library("pack-quantized"))
        with pytest.raises(OptionError, match=r"in 4 bits cannot be saved as a folder; load it .* with a dtype"):
            hub.export(tmp_path / "out", hub.load(tmp_path / "packed"))
        assert not (tmp_path / "out").exists()
        hub.export(tmp_path / "out", hub.load(tmp_path / "packed", dtype="float32"))
        assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": "float-quantized"}, "format = 'float-quantized' is not supported, only 'pack-quantized', 'int"),
            ({"kv_cache_scheme": {"num_bits": 8}}, "kv_cache_scheme = .* is not supported, only null"),
            ({"config_groups": {}}, "config_groups = .* should hold objects"),
            ({"config_groups": 3}, "config_groups = 3 should be an object"),
            ({"something": 1}, "quantization_config.something = 1 is not supported; take the release in bfloat16"),
        ],
    )
    def test_of_compressed_tensors(self, change: dict[str, Any], message: str, tmp_path: Path) -> None:
        settings, pack = by_library("pack-quantized")
        packed(tmp_path / "model", settings | change, pack)
        self.refused(tmp_path / "model", message)

    @pytest.mark.parametrize(
        ("part", "change", "message"),
        [
            ("weights", {"num_bits": 3}, "weights.num_bits = 3 is not supported, only 4, 8"),
            ("weights", {"num_bits": None}, "the shapes do not fit together"),
            ("weights", {"type": "float"}, "weights.type = 'float' is not supported, only 'int'"),
            ("weights", {"group_size": 0}, "weights.group_size = 0 should be the size of groups, or -1"),
            ("weights", {"strategy": None, "group_size": -1}, "the shapes do not fit together: .*weight_packed"),
            ("weights", {"actorder": "group"}, "weights.actorder = 'group' is not supported"),
            (
                "input_activations",
                {"num_bits": 8, "dynamic": True},
                "config_groups.input_activations = .* not s",
            ),
        ],
    )
    def test_of_a_group(self, part: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
        settings, pack = by_library("pack-quantized")
        group = settings["config_groups"]["group_0"]
        group[part] = (group[part] or {}) | change
        packed(tmp_path / "model", settings, pack)
        self.refused(tmp_path / "model", message)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"bits": 3}, "bits = 3 is not supported, only 4, 8"),
            ({"bits": 4.0}, "bits = 4.0 is not supported, only 4, 8"),
            ({"desc_act": 0}, "desc_act = 0 is not supported, only True, False"),
            ({"bits": None}, "bits = None is not supported, only 4, 8"),
            ({"dynamic": {"+:.*": {}}}, "dynamic = .* is not supported, only {}"),
            ({"group_size": 48}, "the shapes do not fit together: .*_proj.qweight"),
            (
                {"sym": True, "checkpoint_format": "gptq_v2"},
                "sym says that zero points are in the middle, and they",
            ),
            ({"quant_method": "awq"}, "quantization_config.sym = True is not supported"),
            ({"quant_method": "hqq"}, "quantised .'hqq'.; only compressed-tensors, gptq and awq are read"),
        ],
    )
    def test_of_gptq(self, change: dict[str, Any], message: str, tmp_path: Path) -> None:
        settings, pack = as_gptq()
        packed(tmp_path / "model", settings | change, pack)
        self.refused(tmp_path / "model", message)

    def test_of_a_folder_that_is_not_packed(self, tmp_path: Path) -> None:
        packed(tmp_path / "model", *as_gptq())
        folder(tmp_path / "plain", LLAMA)
        write_tensors(
            tmp_path / "model" / "model.safetensors", read_tensors(tmp_path / "plain" / "model.safetensors")[0]
        )
        self.refused(tmp_path / "model", r"says that matrices are packed, and no tensor's name ends in \.qweight")

    @pytest.mark.parametrize(
        ("ending", "change", "message"),
        [
            ("qzeros", None, "q_proj.qzeros is missing, and .*q_proj.qweight is there"),
            ("scales", lambda part: part.int(), "q_proj.scales is int32, not floating point"),
            ("qweight", lambda part: part.float(), "q_proj.qweight is float32, not int32"),
            ("qweight", lambda part: part[:-1], "the shapes do not fit together"),
            ("scales", lambda part: part * float("inf"), "q_proj.weight has scales that are not finite"),
            ("g_idx", lambda part: part.flip(0), "desc_act says that groups follow each other, and g_idx does not"),
            ("g_idx", lambda part: part + 1, "g_idx goes from 1 to 2, for 2 groups"),
            ("extra", lambda _: torch.zeros(2), "left over: model.layers.0.self_attn.q_proj.extra"),
        ],
    )
    def test_of_tensors(self, ending: str, change: Any, message: str, tmp_path: Path) -> None:
        packed(tmp_path / "model", *as_gptq())
        path = tmp_path / "model" / "model.safetensors"
        tensors, name = read_tensors(path)[0], f"model.layers.0.self_attn.q_proj.{ending}"
        part = tensors.pop(name, None)
        if change is not None:
            tensors[name] = change(part).contiguous()
        write_tensors(path, tensors)
        self.refused(tmp_path / "model", message)

    def refused(self, place: Path, message: str) -> None:
        with pytest.raises(ClearheadError, match=message):
            ch.load(place)
