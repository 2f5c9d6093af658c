"""``clearhead doctor``: what this machine can do."""

from __future__ import annotations


def doctor() -> None:
    """Show what this machine has: cores, threads, memory, GPU, and which attention kernels run."""
    import platform

    import torch

    from clearhead import __version__, machine
    from clearhead.attend import Request, Score, causal, documents, explain
    from clearhead.cli.printing import rows
    from clearhead.cli.threads import measured, use_threads
    from clearhead.tap import Site

    times = measured()
    threads = use_threads(min(times, key=lambda count: times[count]))
    compared = ", ".join(f"{count}: {1e3 * seconds:.2f} ms" for count, seconds in times.items())
    half = machine.share_of_float32(torch.bfloat16)
    table = {
        "clearhead": __version__,
        "python, torch": f"{platform.python_version()}, {torch.__version__}",
        "cores": f"{machine.cores()} ({torch.backends.cpu.get_cpu_capability()})",
        "threads": f"{threads}, the fastest just now ({compared}); training measures for its own model",
        "memory": f"{machine.free_memory() / 1e9:.1f} GB free",
        "bfloat16": f"products take {half:.2f} of float32's time on this processor: "
        + ("worth using" if machine.half_pays(torch.bfloat16) else "not worth using"),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none that torch can use",
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    q = torch.zeros(1, 2, 256, 64, device=device)
    cases = {
        "causal": (causal(), Score()),
        "documents": (causal() & documents(torch.zeros(1, 256, dtype=torch.long, device=device)), Score()),
        "soft cap": (causal(), Score(softcap=30.0)),
        "sinks": (causal(), Score(sinks_H=torch.zeros(2, device=device))),
    }
    for name, (mask, score) in cases.items():
        answers = explain(Request(q, q, q, mask, score, Site(0)))
        taken = next(kernel for kernel, why in answers.items() if not why)
        refusals = "; ".join(f"{kernel}: {', '.join(why)}" for kernel, why in answers.items() if why)
        table[f"attention, {name}"] = taken + (f"  ({refusals})" if refusals else "")
    rows(table)
