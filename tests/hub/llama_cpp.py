"""Runs a .gguf file in llama.cpp, through the package xllamacpp: a program of its own, since a bad file may crash it.

Reads {"file": ..., "prompts": [ids or text, ...], "count": tokens to write} from its input and prints the ids of each
prompt (llama.cpp's own, for a text) and of what is written greedily, as JSON.
"""

from __future__ import annotations

import json
import sys
import urllib.request


def main() -> None:
    import xllamacpp

    asked = json.load(sys.stdin)
    params = xllamacpp.CommonParams()
    params.model.path = asked["file"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_ctx, params.n_parallel, params.n_gpu_layers, params.warmup = asked["context"], 1, 0, False
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.verbosity = -1
    server = xllamacpp.Server(params)
    found = []
    for prompt in asked["prompts"]:
        request = {
            "prompt": prompt,
            "n_predict": asked["count"],
            "max_tokens": asked["count"],
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": False,
            "return_tokens": True,
            "verbose": True,
        }
        answer = server.handle_completions(request)
        answer = json.loads(answer) if isinstance(answer, str | bytes) else answer
        verbose = answer.get("__verbose", answer)
        tokens = prompt
        if isinstance(prompt, str):
            asking = json.dumps({"content": prompt, "add_special": True, "parse_special": True}).encode()
            there = urllib.request.Request(f"{server.listening_address}/tokenize", asking)
            tokens = json.loads(urllib.request.urlopen(there, timeout=30).read())["tokens"]
        found.append({"prompt": tokens, "written": verbose["tokens"]})
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
