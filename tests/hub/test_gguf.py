"""Files of llama.cpp: the way back, numbers as the gguf library reads them, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from little_gguf import CONFIGS, LLAMA, TEXT, TOKENIZER, VOCABULARY, folder
from little_models import GPT2, NATIVE, QWEN3, lively
from transformers import AutoModelForCausalLM

import clearhead as ch
from clearhead import hub
from clearhead.errors import ClearheadError, FolderError, MissingExtraError, OptionError
from clearhead.hub.gguf.file import TENSOR_KINDS, opened_file
from clearhead.language_model import LanguageModel
from clearhead.model import DecoderConfig, PositionConfig, ScalingConfig, rounded_to
from clearhead.products import Quantised
from clearhead.text import Tokenizer
from little_tokenizers import llama_like, save

TEXTS = ["The quick brown fox", "It's  12345 dogs, 你好 ...\n\n  and\tmore \r\n", "a<|endoftext|>b", ""]


def ids() -> torch.Tensor:
    return torch.randint(VOCABULARY, (2, 40), generator=torch.Generator().manual_seed(3))


def written(place: Path, config: DecoderConfig = LLAMA, **options: Any) -> tuple[LanguageModel, Path]:
    """A model as it was loaded, and its file."""
    model = hub.load(folder(place / "folder", config), **options)
    hub.export_gguf(place / "model.gguf", model)
    return model, place / "model.gguf"


@pytest.mark.parametrize(
    "options", [{}, {"bits": 8}, {"bits": 4}, {"dtype": "bfloat16"}, {"dtype": "float16"}], ids=str
)
@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_the_way_back(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    model, file = written(tmp_path, CONFIGS[name], **options)
    # Half precision has norms and biases in float32 in the file, which are then rounded again to the same numbers.
    back = hub.load(file, dtype=options.get("dtype", "auto"))
    assert replace(back.config, dropout=0.0) == model.config
    assert rounded_to(back.network) == options.get("bits")
    # 1 + w in float32 loses bits of Gemma's w
    tolerance = 1e-5 if "gemma" in name and "dtype" not in options else 0.0
    expected = model(ids()).float()
    torch.testing.assert_close(
        back(ids()).float(), expected, rtol=0, atol=0.02 if "gemma" in name and "dtype" in options else tolerance
    )
    assert [back.encode(text) for text in TEXTS] == [model.encode(text) for text in TEXTS]
    assert back.tokenizer.end == model.tokenizer.end
    assert back.tokenizer.decode(back.encode(TEXT[:100])) == "<|endoftext|>" + TEXT[:100]


# What transformers' reader of these files does not read: Llama 3's scaling, windows, and sizes other than the usual.
USUAL = {
    "gpt2": replace(CONFIGS["gpt2"], context=1024, feed_forward=replace(CONFIGS["gpt2"].feed_forward, width=256)),
    **{name: CONFIGS[name] for name in ("llama", "qwen2")},
}


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_transformers_reads_the_same_model(name: str, tmp_path: Path) -> None:
    model, file = written(tmp_path, USUAL[name])
    theirs = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    torch.testing.assert_close(model(ids()), theirs(ids()).logits, rtol=1e-4, atol=1e-4)


class TestKinds:
    """Tensors of every kind, against the gguf library's own reader."""

    @pytest.mark.parametrize("kind", TENSOR_KINDS)
    def test_numbers_are_those_of_the_library(self, kind: str, tmp_path: Path) -> None:
        kinds = gguf.GGMLQuantizationType[kind]
        numbers, size = gguf.GGML_QUANT_SIZES[kinds]
        rng, rows, width = np.random.default_rng(0), 700, 2048  # more than are read at a time
        raw = rng.integers(0, 256, (rows, width // numbers * size), dtype=np.uint8)
        if kind in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
            raw = gguf.quants.quantize(rng.standard_normal((rows, width), dtype=np.float32), kinds)
        out = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
        out.add_tensor("first", rng.standard_normal(5).astype(np.float32))
        out.add_tensor("a", raw, raw_dtype=kinds)
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()
        theirs = next(each for each in gguf.GGUFReader(tmp_path / "a.gguf").tensors if each.name == "a")
        with np.errstate(all="ignore"):  # random bytes
            expected = gguf.quants.dequantize(theirs.data, kinds)
        with opened_file(tmp_path / "a.gguf") as file:
            found = torch.cat([piece.float() for piece in file.pieces("a")]).numpy()
            np.testing.assert_array_equal(found, expected)
            if kind in ("Q8_0", "Q4_0"):
                np.testing.assert_array_equal(file.codes("a").dense(torch.float32).numpy(), expected)

    def file(self, place: Path, kind: str) -> Path:
        """The Llama of little_gguf with matrices of a kind, as the gguf library rounds them."""
        _, source = written(place, replace(LLAMA, width=256, feed_forward=replace(LLAMA.feed_forward, width=256)))
        reader, kinds = gguf.GGUFReader(source), gguf.GGMLQuantizationType[kind]
        out = gguf.GGUFWriter(place / "kind.gguf", "llama")
        for field in reader.fields.values():
            if field.name.startswith(("llama.", "tokenizer.")):
                out.add_key_value(
                    field.name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None
                )
        for each in reader.tensors:
            if len(each.shape) == 1 or each.shape[0] % 256:
                out.add_tensor(each.name, each.data)
            elif kind.endswith("K"):
                numbers, size = gguf.GGML_QUANT_SIZES[kinds]
                raw = np.random.default_rng(1).integers(
                    0, 40, (each.shape[1], each.shape[0] // numbers * size), dtype=np.uint8
                )
                out.add_tensor(each.name, raw, raw_dtype=kinds)
            else:
                out.add_tensor(each.name, gguf.quants.quantize(each.data, kinds), raw_dtype=kinds)
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()
        return place / "kind.gguf"

    @pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_0", "Q4_K", "Q6_K"])
    @torch.no_grad()
    def test_a_model_of_the_kind(self, kind: str, tmp_path: Path) -> None:
        file = self.file(tmp_path, kind)
        model, dense = hub.load(file), hub.load(file, dtype="float32")
        ours = {"Q8_0": 8, "Q4_0": 4}.get(kind)
        assert rounded_to(model.network) == ours
        assert rounded_to(dense.network) is None
        reader = {each.name: each for each in gguf.GGUFReader(file).tensors}
        down = reader["blk.1.ffn_down.weight"]
        expected = torch.from_numpy(gguf.quants.dequantize(down.data, gguf.GGMLQuantizationType[kind]))
        assert torch.equal(dense.network.blocks[1].feed_forward.down.weight, expected)
        assert torch.equal(model.network.blocks[1].feed_forward.down.matrix, expected)
        torch.testing.assert_close(model(ids()), dense(ids()), rtol=1e-4, atol=1e-4)
        again = hub.load(file, bits=8)
        assert isinstance(again.network.blocks[1].feed_forward.down.weight, Quantised)
        assert rounded_to(again.network) == (ours or 8)
        assert rounded_to(hub.load(file, bits=4).network) == 4


def test_what_is_shown_without_reading_the_weights(tmp_path: Path) -> None:
    _, file = written(tmp_path, bits=8)
    found = ch.describe(file)
    whole = hub.load(file).network.state_dict().values()
    assert found.family == "llama"
    assert found.weight_bytes == sum(tensor.nbytes for tensor in whole)
    assert rounded_to(found.model.network) == 8


def test_several_ends_and_a_template_come_back(tmp_path: Path) -> None:
    place = folder(tmp_path / "folder", LLAMA)
    (place / "generation_config.json").write_text('{"eos_token_id": [309, 5]}')
    (place / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    hub.export_gguf(tmp_path / "a.gguf", hub.load(place))
    back = hub.load(tmp_path / "a.gguf")
    assert back.metadata.generation["eos_token_id"] == [309, 5]
    assert back.tokenizer.chat([{"role": "user", "content": "hello"}]) == "hello"


LETTERS = Tokenizer.characters(["abc"])  # without bytes


class TestRefusals:
    def refused(self, place: Path, config: Any, tokenizer: Tokenizer | None = TOKENIZER) -> str:
        with pytest.raises(ClearheadError) as error:
            hub.export_gguf(place / "a.gguf", LanguageModel(lively(config), tokenizer))
        assert list(place.iterdir()) == []
        return str(error.value)

    @pytest.mark.parametrize(
        ("config", "reason"),
        [
            (NATIVE, r"nearest is qwen3, but attention.softcap is 9.0; in qwen3 it is None"),
            (
                replace(LLAMA, attention=replace(LLAMA.attention, window=20)),
                r"attention.window is 20; in .* it is None",
            ),
            (
                replace(GPT2, feed_forward=replace(GPT2.feed_forward, kind="gelu")),
                r"'gelu'; in llama.cpp's gpt2 it is 'gelu-tanh'",
            ),
            (
                replace(LLAMA, positions=PositionConfig(scaling=ScalingConfig(kind="yarn", factor=4.0))),
                r"positions is .*yarn.*; in llama.cpp's llama it is",
            ),
            (
                replace(QWEN3, attention=replace(QWEN3.attention, bias=True, out_bias=True)),
                r"attention.bias is True; in llama.cpp's qwen3",
            ),
        ],
    )
    def test_models_that_llama_cpp_does_not_have(self, config: DecoderConfig, reason: str, tmp_path: Path) -> None:
        found = self.refused(tmp_path, config)
        assert found.startswith(
            "this model: llama.cpp has no architecture for it among those known here (llama, qwen2, "
        )
        assert __import__("re").search(reason, found), found

    def test_encoders(self, tmp_path: Path) -> None:
        from little_configs import BERT

        assert "only decoders are written for llama.cpp" in self.refused(tmp_path, BERT)

    def test_tokenizers_that_llama_cpp_does_not_have(self, tmp_path: Path) -> None:
        model = replace(LLAMA, vocabulary=600)
        assert "only BPE over bytes can be written" in self.refused(tmp_path, model, LETTERS)
        (tmp_path.parent / "other").mkdir(exist_ok=True)
        pieces = Tokenizer.load(save(llama_like(), tmp_path.parent / "other"))
        assert "only BPE over bytes can be written" in self.refused(tmp_path, model, pieces)
        assert "takes white space beside it" in self.refused(tmp_path, model, TOKENIZER.with_mask())
        assert "has 311 tokens, the model 300" in self.refused(tmp_path, replace(LLAMA, vocabulary=300)).replace(
            "310", "311"
        )

    def test_a_model_without_tokenizer(self, tmp_path: Path) -> None:
        assert "no tokenizer" in self.refused(tmp_path, LLAMA, None)

    def test_names(self, tmp_path: Path) -> None:
        model, file = written(tmp_path)
        before = file.read_bytes()
        with pytest.raises(FolderError, match=r"model.gguf: exists already; choose another name, or remove it$"):
            hub.export_gguf(file, model)
        with pytest.raises(OptionError, match=r"ends in .gguf; name it so$"):
            hub.export_gguf(tmp_path / "model.bin", model)
        assert file.read_bytes() == before
        with pytest.raises(FolderError, match=r"nothing.gguf: there is no such file$"):
            hub.load(tmp_path / "nothing.gguf")
        with pytest.raises(FolderError, match=r"model.gguf: is a file of llama.cpp's, which is not trained further;"):
            hub.find(file)

    def test_without_the_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model, file = written(tmp_path)
        monkeypatch.setitem(sys.modules, "gguf", None)
        for use in (lambda: hub.load(file), lambda: hub.export_gguf(tmp_path / "b.gguf", model)):
            with pytest.raises(MissingExtraError, match=r"pip install 'clearhead\[gguf\]'$"):
                use()

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("general.architecture", "mamba", "the architecture 'mamba' is not supported; known: llama, qwen2"),
            ("llama.expert_count", 8, "the entry llama.expert_count = 8 is not supported"),
            ("llama.rope.dimension_count", 8, "llama.rope.dimension_count is 8; only 16 is supported"),
            ("llama.rope.scaling.type", "yarn", "llama.rope.scaling.type is 'yarn'; none and linear are supported"),
            ("llama.block_count", 2**31, "model: 2,147,483,648 layers; the most"),
            ("llama.block_count", 400, r"tensors for 400 layers"),
            ("llama.block_count", 2, r"the tensors do not match the config; left over: blk.2.attn_k.weight"),
            ("tokenizer.ggml.model", "llama", "its tokenizer is a SentencePiece model; of those, only characters"),
            ("tokenizer.ggml.model", "t5", "its tokenizer is of llama.cpp's kind 't5'; only BPE over bytes"),
            ("tokenizer.ggml.pre", "tekken", "cuts its texts by the rule 'tekken'; known are gpt-2, qwen2"),
            ("tokenizer.ggml.eos_token_id", 999, "tokenizer.ggml.eos_token_id is 999, which is not a token id"),
            ("split.count", 3, "is one of 3 parts of a model"),
            ("general.alignment", 3, "general.alignment is 3, not a power of two"),
        ],
    )
    def test_files_with_another_entry(self, key: str, value: Any, message: str, tmp_path: Path) -> None:
        _, file = written(tmp_path)
        reader = gguf.GGUFReader(file)
        out = gguf.GGUFWriter(tmp_path / "b.gguf", "llama")
        for field in reader.fields.values():
            if not field.name.startswith("GGUF.") and field.name not in (key, "general.architecture"):
                out.add_key_value(
                    field.name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None
                )
        if key == "general.architecture":
            out.kv_data[0].clear()
        kind = gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.UINT32
        out.add_key_value(key, value, kind)
        for each in reader.tensors:
            out.add_tensor(each.name, each.data)
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()
        with pytest.raises(FolderError, match=message):
            hub.load(tmp_path / "b.gguf")


def test_peak_memory_is_the_model_and_a_tensor(tmp_path: Path) -> None:
    """Loading 100 MB in float32 from Q8_0, whose largest tensor has 8 MB, in a process of its own."""
    big = replace(LLAMA, width=1024, layers=6, feed_forward=replace(LLAMA.feed_forward, width=2048))
    _, file = written(tmp_path, big, bits=8)
    program = f"""
import resource, sys
from clearhead import hub
import gguf
hub.load({str(tmp_path / "small.gguf")!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = hub.load({str(file)!r}, dtype=sys.argv[1])
held = sum(t.nbytes for t in model.network.state_dict().values())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, held)
"""
    small = hub.load(folder(tmp_path / "small", LLAMA))
    hub.export_gguf(tmp_path / "small.gguf", small)
    for dtype in ("float32", "stored"):
        done = subprocess.run([sys.executable, "-c", program, dtype], capture_output=True, text=True, check=True)
        grown, held = map(int, done.stdout.split())
        assert grown < 1.1 * held + 24e6  # a stacked tensor and its parts
