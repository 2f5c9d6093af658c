"""Decoding, batches and prompts against llama.cpp: the same weights in 32, 16, 8 and 4 bits, two threads.

    pip install xllamacpp gguf
    python benchmarks/llama_cpp.py

Random weights of GPT-2 124M, a Llama of 162 M parameters or Qwen 3 0.6B are written as .gguf files for llama.cpp, whose
matrices then all have 32, 16, 8 or 4 bits (here the embedding and the output layer keep 8 when the rest has 4). In 32
bits both must write the same greedy tokens before anything is timed. Then they take turns.

one       tokens a second that one prompt of 16 tokens is continued with
sixteen   the same for 16 prompts at once, all together; llama.cpp's server has 16 slots
prompt    tokens a second at which a prompt of 512 tokens is read
first     seconds of a whole command that loads the model, reads 16 tokens and writes one
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import torch
import xllamacpp
from torch import Tensor

from clearhead import hub
from clearhead.generation.decoding import Decoding
from clearhead.generation.sampling import Sampling
from clearhead.language_model import LanguageModel
from clearhead.machine import cores, share_cores
from clearhead.model import Network, build
from clearhead.text import Tokenizer
from measure import ratios, seconds, spread
from sizes import gpt2, llama, qwen3

SIZES = {"gpt2": gpt2, "llama": llama, "qwen3": qwen3}
ARCHITECTURES = {"gpt2": "gpt2", "llama": "llama", "qwen3": "qwen3"}
KINDS = {
    "f32": (torch.float32, None, gguf.GGMLQuantizationType.F32),
    "bf16": (torch.bfloat16, None, gguf.GGMLQuantizationType.BF16),
    "f16": (torch.bfloat16, None, gguf.GGMLQuantizationType.F16),
    "q8_0": (torch.float32, 8, gguf.GGMLQuantizationType.Q8_0),
    "q4_0": (torch.float32, 4, gguf.GGMLQuantizationType.Q4_0),
}


PEER_FIRST = """
import sys, xllamacpp
options = xllamacpp.CommonParams()
options.model.path = sys.argv[1]
options.cpuparams.n_threads = options.cpuparams_batch.n_threads = int(sys.argv[2])
options.n_ctx, options.n_parallel, options.n_gpu_layers, options.verbosity = 1024, 1, 0, -1
xllamacpp.Server(options).handle_completions({"prompt": [*range(300, 316)], "n_predict": 1, "temperature": 0})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="gpt2")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--tokens", type=int, default=48, help="new tokens in each run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, in turn")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of ours in 8 and 4 bits")
    chosen = parser.parse_args()
    share_cores()  # as the command does
    torch.set_num_threads(chosen.threads)
    config = SIZES[chosen.size]()
    print(f"{chosen.size}, {config.parameters() / 1e6:.0f} M parameters, {chosen.threads} thread(s), {chosen.tokens} "
          f"new tokens; torch {torch.__version__}, xllamacpp {xllamacpp.__version__}")  # fmt: skip
    random = torch.Generator().manual_seed(0)
    prompts = torch.randint(300, 30000, (16, 16), generator=random).tolist()
    long = torch.randint(300, 30000, (512,), generator=random).tolist()
    for kind in chosen.kinds:
        network = build(config, seed=0).eval()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{kind}.gguf")
            write(path, chosen.size, network, KINDS[kind][2])
            network = rounded(network, kind, chosen.dtype, Path(folder, "ours"))
            measure(kind, network, path, prompts, long, chosen)
            first(kind, Path(folder, "ours"), path, chosen)


def rounded(network: Network, kind: str, dtype: str, folder: Path) -> Network:
    """The network loaded from a folder in these bits; where they are 8 or 4, all else in ``dtype``."""
    own, bits, _ = KINDS[kind]
    hub.save(folder, LanguageModel(network, Tokenizer.bytes()))
    return hub.load(folder, dtype=str(own)[6:] if bits is None else dtype, bits=bits).network


def measure(
    kind: str, network: Network, path: Path, prompts: list[list[int]], long: list[int], chosen: argparse.Namespace
) -> None:
    """The three comparisons for one number of bits."""
    tokens, rounds = chosen.tokens, chosen.rounds
    long_BT = torch.tensor([long])
    with Peer(path, 1, chosen.threads) as peer:
        first = prompts[:1]
        if kind == "f32" and ours(network, first, tokens) != peer.written(first, tokens):
            raise SystemExit("the greedy tokens differ from llama.cpp's; nothing was timed")
        compare(
            f"{kind:5} one", tokens, rounds, lambda: ours(network, first, tokens), lambda: peer.written(first, tokens)
        )
        compare(f"{kind:5} prompt", 512, rounds, lambda: read(network, long_BT), lambda: peer.written([long], 1))
    with Peer(path, 16, chosen.threads) as peer:
        all_of_them = 16 * tokens
        compare(
            f"{kind:5} sixteen",
            all_of_them,
            max(2, rounds // 2),
            lambda: ours(network, prompts, tokens),
            lambda: peer.written(prompts, tokens),
        )


def first(kind: str, folder: Path, path: Path, chosen: argparse.Namespace) -> None:
    """Prints the seconds of both commands, one after the other, and their difference."""
    own, bits, _ = KINDS[kind]
    options = ["--dtype", str(own)[6:]] if bits is None else ["--dtype", chosen.dtype, "--bits", str(bits)]
    command = [sys.executable, "-m", "clearhead", "generate", str(folder), "a text of 16 b.", "--max-tokens", "1"]
    mine = partial(subprocess.run, [*command, "--temperature", "0", *options], capture_output=True, check=True)
    peers = partial(
        subprocess.run,
        [sys.executable, "-c", PEER_FIRST, str(path), str(chosen.threads)],
        capture_output=True,
        check=True,
    )
    mine()
    peers()
    pairs = [(seconds(mine), seconds(peers)) for _ in range(chosen.rounds)]
    own_times, other = ([pair[side] for pair in pairs] for side in (0, 1))
    later = [a - b for a, b in pairs]
    print(f"{kind:5} first   clearhead {spread(own_times)} s, llama.cpp {spread(other)} s, {spread(later)} s later",
          flush=True)  # fmt: skip


def compare(what: str, tokens: int, rounds: int, mine: Any, peers: Any) -> None:
    """Runs both in turn, once unmeasured; prints tokens a second of each, and the ratio of ours to the peer's."""
    mine()
    peers()
    pairs = [(tokens / seconds(mine), tokens / seconds(peers)) for _ in range(rounds)]
    own, other = ([pair[side] for pair in pairs] for side in (0, 1))
    print(f"{what:13} clearhead {spread(own, 1)} tokens/s, llama.cpp {spread(other, 1)}, "
          f"ratio {spread(ratios(other, own))}", flush=True)  # fmt: skip


def ours(network: Network, prompts: Sequence[Sequence[int]], tokens: int) -> list[list[int]]:
    """Greedy continuations of the prompts, without guessing ahead."""
    sampling = Sampling(max_tokens=tokens, temperature=0)
    decoding = Decoding(network, prompts, sampling, vocabulary=network.config.vocabulary, lookup=False)
    written: list[list[int]] = [[] for _ in prompts]
    for _ in range(tokens):
        for token in decoding.step():
            written[token.sequence].append(token.id)
    return written


def read(network: Network, ids_BT: Tensor) -> None:
    """One pass over a prompt."""
    with torch.inference_mode():
        network(ids_BT, last=True)


class Peer:
    """llama.cpp's server in a process of its own: in this one, waiting threads of both would take each other's time."""

    def __init__(self, path: Path, slots: int, threads: int) -> None:
        command = [sys.executable, __file__, "--serve", str(path), str(slots), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *fault: object) -> None:
        self._process.terminate()
        self._process.wait()

    def written(self, prompts: list[list[int]], tokens: int) -> list[list[int]]:
        """Greedy continuations of the prompts, all at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([prompts, tokens]) + "\n")
        self._process.stdin.flush()
        return json.loads(next(line for line in self._process.stdout if line.startswith("[[")))


def serve(path: str, slots: int, threads: int) -> None:
    """Answers what ``Peer`` asks. The text of a token is its id (``write``)."""
    options = xllamacpp.CommonParams()
    options.model.path = path
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = threads
    options.n_ctx, options.n_parallel, options.n_gpu_layers, options.verbosity = 1024 * slots, slots, 0, -1
    server = xllamacpp.Server(options)

    def continued(ids: list[int]) -> list[int]:
        asked = {"prompt": ids, "n_predict": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        found = server.handle_completions(asked)
        text = (json.loads(found) if isinstance(found, str | bytes) else found)["choices"][0]["text"]
        return [int(number) for number in re.findall(r"t(\d+)", text)]

    with ThreadPoolExecutor(slots) as asking:
        for line in sys.stdin:
            prompts, tokens = json.loads(line)
            print(json.dumps(list(asking.map(continued, prompts))), flush=True)


def write(path: Path, size: str, network: Network, kind: gguf.GGMLQuantizationType) -> None:
    """The network's weights in llama.cpp's file, every matrix of that kind; the tokens are placeholders."""
    config, state = network.config, network.state_dict()
    a: Any = config.attention
    file = gguf.GGUFWriter(str(path), ARCHITECTURES[size])
    file.add_context_length(config.context)
    file.add_embedding_length(config.width)
    file.add_feed_forward_length(config.feed_forward.width)
    file.add_block_count(config.layers)
    file.add_head_count(a.heads)
    file.add_head_count_kv(a.kv_heads)
    if size == "gpt2":
        file.add_layer_norm_eps(config.norm.eps)
    else:
        file.add_layer_norm_rms_eps(config.norm.eps)
        file.add_rope_freq_base(config.positions.theta)
        file.add_rope_dimension_count(a.head_width)
        file.add_key_length(a.head_width)
        file.add_value_length(a.head_width)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list([f"t{number}" for number in range(config.vocabulary)])
    file.add_token_types([1] * config.vocabulary)
    file.add_token_merges(["t 1"])
    file.add_eos_token_id(config.vocabulary - 1)

    def add(name: str, tensor: Tensor) -> None:
        numbers = tensor.detach().float().contiguous().numpy()
        if tensor.dim() < 2 or name.startswith("position"):
            file.add_tensor(name, numbers)
        else:
            file.add_tensor(name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)

    def pairs(rows_RE: Tensor) -> Tensor:
        """A Llama's rotary pairs beside one another, as llama.cpp has them."""
        return rows_RE.view(-1, 2, a.head_width // 2, rows_RE.shape[1]).transpose(1, 2).reshape_as(rows_RE)

    add("token_embd.weight", state["embedding.weight"])
    if "head.weight" in state:
        add("output.weight", state["head.weight"])
    if size == "gpt2":
        add("position_embd.weight", state["positions.weight"])
    for layer in range(config.layers):
        ours, own = f"blocks.{layer}", f"blk.{layer}"
        names = {"attention.out": "attn_output", "feed_forward.down": "ffn_down", "attention_norm": "attn_norm",
                 "feed_forward_norm": "ffn_norm"}  # fmt: skip
        if size == "gpt2":
            names |= {"attention.qkv": "attn_qkv", "feed_forward.up": "ffn_up"}
        else:
            parts = state[f"{ours}.attention.qkv.weight"].split(a.projections)
            for name, rows in zip(("q", "k", "v"), parts, strict=True):
                turned = pairs(rows) if size == "llama" and name != "v" else rows
                add(f"{own}.attn_{name}.weight", turned)
            for name, rows in zip(("gate", "up"), state[f"{ours}.feed_forward.up.weight"].chunk(2), strict=True):
                add(f"{own}.ffn_{name}.weight", rows)
        if size == "qwen3":
            for mine, name in (("query", "attn_q_norm"), ("key", "attn_k_norm")):
                add(f"{own}.{name}.weight", state[f"{ours}.attention.head_norm.{mine}"])
        for mine, name in names.items():
            for end in ("weight", "bias"):
                if f"{ours}.{mine}.{end}" in state:
                    add(f"{own}.{name}.{end}", state[f"{ours}.{mine}.{end}"])
    for end in ("weight", "bias"):
        if f"norm.{end}" in state:
            add(f"output_norm.{end}", state[f"norm.{end}"])
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


if __name__ == "__main__":
    serve(sys.argv[2], *map(int, sys.argv[3:])) if sys.argv[1:2] == ["--serve"] else main()
