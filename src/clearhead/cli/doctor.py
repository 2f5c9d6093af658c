"""``clearhead doctor``: what this machine can do."""

from __future__ import annotations


def doctor() -> None:
    """Show what this machine has: cores, threads, memory, GPU, and which kernels run."""
    import platform

    import torch

    from clearhead import __version__, attend, machine, native, products
    from clearhead.cli.printing import rows
    from clearhead.errors import many

    times = machine.seconds_by_threads()
    threads = machine.use_threads(min(times, key=lambda count: times[count]))
    compared = ", ".join(f"{count}: {1e3 * seconds:.2f} ms" for count, seconds in times.items())
    chosen = f"{threads}, the fastest just now ({compared}); training measures for its own model"
    if len(times) == 1:
        chosen = f"{threads}, the only number allowed (by the cores or OMP_NUM_THREADS)"
    half = machine.share_of_float32(torch.bfloat16)
    table = {
        "clearhead": __version__,
        "python, torch": f"{platform.python_version()}, {torch.__version__}",
        "cores": f"{machine.cores()} ({torch.backends.cpu.get_cpu_capability()})",
        "threads": chosen,
        "memory": f"{machine.free_memory() / 1e9:.1f} GB free",
        "bfloat16": f"products take {half:.2f} of float32's time on this processor: "
        + ("worth using" if machine.half_pays(torch.bfloat16) else "not worth using"),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none that torch can use",
    }
    for name, answers in attend.survey(machine.device()).items():
        taken = next(kernel for kernel, why in answers.items() if not why)
        refusals = "; ".join(f"{kernel}: {', '.join(why)}" for kernel, why in answers.items() if why)
        table[f"attention, {name}"] = taken + (f"  ({refusals})" if refusals else "")
    found = native.compiler()
    if found is None:
        table["kernels in C"] = (
            "none, as there is no C compiler: install gcc or clang, which 8 and 4 bits need to be fast"
        )
    elif not native.compiles():
        table["kernels in C"] = f"none: {found} cannot compile them for this processor"
    else:
        table["kernels in C"] = f"compiled by {found}"
    measured = [each for each in products.choices() if each.threads == threads]
    for each in measured:
        others = [f"{name} {1e3 * time:.3f}" for name, time in each.seconds.items() if name != each.taken]
        compared = f" ({', '.join(others)})" if others else ""
        name = f"product, {each.shape[0]} x {each.shape[1]}, {each.dtype}, up to {many(each.rows, 'row')}"
        table[name] = f"{each.taken} {1e3 * each.seconds[each.taken]:.3f} ms{compared}"
    file = products.choices_file()
    if measured and file is not None:
        table["products"] = f"measured once and kept in {file}; remove it to have them measured again"
    if not measured:
        table["products"] = f"none measured yet with {many(threads, 'thread')}; a model's are, when it first needs them"
    rows(table)
