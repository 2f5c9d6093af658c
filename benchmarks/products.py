"""The choice of the way for products of few rows: measured once more, how much slower is the way taken than the best?

    python benchmarks/products.py
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/products.py

For the matrices of GPT-2 124M and Qwen 3 0.6B, the way that the cache folder holds (measured first if it holds none) is
timed again beside all others, in turns. Prints the time of PyTorch's own way and of the one taken, each relative to the
best of this second measurement: over 1.05 the choice would be wrong, unless the machine has changed meanwhile.
"""

from __future__ import annotations

import argparse
import statistics

import torch

from clearhead.machine import cores, share_cores
from clearhead.products import choosing
from measure import spread

SHAPES = {
    "GPT-2 124M": [(2304, 768), (768, 768), (3072, 768), (768, 3072), (50257, 768)],
    "Qwen 3 0.6B": [(4096, 1024), (1024, 2048), (6144, 1024), (1024, 3072), (151936, 1024)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--repeats", type=int, default=3, help="second measurements, of which the median counts")
    chosen = parser.parse_args()
    share_cores()
    torch.set_num_threads(chosen.threads)
    print(f"{chosen.threads} thread(s), torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    for dtype in (torch.float32, torch.bfloat16):
        for rows in choosing.ROWS:
            own, taken, names = list[float](), list[float](), list[str]()
            for shape in (shape for shapes in SHAPES.values() for shape in shapes):
                way = choosing.chosen(shape, dtype, rows, chosen.threads)
                name = next(name for name, each in choosing.WAYS.items() if each is way)
                possible = choosing.ways(shape, dtype, rows)
                again = [choosing.measured(shape, dtype, rows, possible) for _ in range(chosen.repeats)]
                times = {each: statistics.median(found[each] for found in again) for each in possible}
                best = min(times.values())
                own.append(times[choosing.PLAIN] / best)
                taken.append(times[name] / best)
                names.append(name)
            print(f"{str(dtype)[6:]:8} {rows:2} row(s): PyTorch's own {spread(own)} of the best, the one taken "
                  f"{spread(taken)}; " + ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names))),
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
