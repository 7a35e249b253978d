"""Plain words about a report's numbers: what stands out, and what to do about it.

Each rule is a function of the numbers that gives a sentence or nothing, and its threshold is a constant beside it. Nothing is
measured here.
"""

from __future__ import annotations

from collections.abc import Callable

from pantile.config import format_bytes
from pantile.diagnostics.analysis import Analysis
from pantile.diagnostics.progress import duration

__all__ = ["RULES", "advise"]

Rule = Callable[[Analysis], str | None]


def _time(ns: float) -> str:
    if ns < 1e3:
        return f"{ns:.0f} ns"
    if ns < 1e6:
        return f"{ns / 1e3:.0f} µs"
    return duration(ns / 1e9)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


IDLE = 0.5


def idle(a: Analysis) -> str | None:
    """Threads had nothing to do."""
    share = a.share("idle")
    if share < IDLE or a.threads < 2:
        return None
    most = max((len(r.names) for r in a.runs), default=0)
    if most < a.threads:
        why = f"no run had as many tasks as there are threads ({a.threads}): use smaller chunks"
    else:
        why = "too few tasks could run at the same time: smaller chunks help, and fewer steps that wait for everything"
    return f"{_percent(share)} of the threads' time was idle: {why}."


SMALL_NS = 100_000
MANY = 1000


def small_tasks(a: Analysis) -> str | None:
    """Tasks so small that starting them counts."""
    if a.tasks < MANY:
        return None
    mean = sum(op.total for op in a.operations) / a.tasks
    if mean >= SMALL_NS:
        return None
    return f"{a.tasks} tasks take {_time(mean)} on average: use larger chunks, so that there are fewer."


GIL = 0.2


def gil(a: Analysis) -> str | None:
    """Python functions stood in each other's way."""
    share = a.share("gil")
    if share < GIL:
        return None
    names = [op.name for op in sorted(a.operations, key=lambda op: -op.waits["gil"]) if op.waits["gil"] > 0]
    which = f" ({', '.join(names[:3])})" if names else ""
    return (
        f"{_percent(share)} of the threads' time was waiting for the GIL: these Python functions{which} hold it. "
        "Use executor='processes', or functions that release it, as NumPy's do."
    )


SPILL = 0.05
SPILLED_BYTES = 100 * 2**20


def spill(a: Analysis) -> str | None:
    """Memory did not suffice."""
    if a.spilled < SPILLED_BYTES and a.share("spill") < SPILL:
        return None
    return (
        f"{format_bytes(a.spilled)} were spilled to files, which took {_percent(a.share('spill'))} of the threads' time: raise "
        "memory_limit, or use smaller chunks."
    )


COMPILE = 0.2


def compiling(a: Analysis) -> str | None:
    """Machine code was made for little work."""
    share = a.share("compile")
    if share < COMPILE:
        return None
    return f"{_percent(share)} of the threads' time was compiling. Later runs of the same expressions do not compile again."


IO = 0.5


def reading(a: Analysis) -> str | None:
    """Files were slower than anything else."""
    share = a.share("io")
    if share < IO:
        return None
    return (
        f"{_percent(share)} of the threads' time was reading and writing files: use chunks that are multiples of the stored "
        "ones, and persist what is read more than once."
    )


STRAGGLER = 0.3
STRAGGLER_TIMES = 10


def straggler(a: Analysis) -> str | None:
    """One task that everything waits for."""
    if a.threads < 2 or not a.wall:
        return None
    op = max(a.operations, key=lambda op: op.longest, default=None)
    mean = sum(op.total for op in a.operations) / max(a.tasks, 1)
    if op is None or op.longest < STRAGGLER * a.wall or op.longest < STRAGGLER_TIMES * mean:
        return None
    return (
        f"One task of {op.name} took {_time(op.longest)}, which is {_percent(op.longest / a.wall)} of the whole: cut it into "
        "smaller blocks, so that other threads can help."
    )


QUEUED = 0.2


def crowded(a: Analysis) -> str | None:
    """Somebody else used the processors."""
    share = a.queued / a.capacity if a.capacity else 0.0
    if share < QUEUED:
        return None
    return (
        f"For {_percent(share)} of the time, threads were ready but had no processor: other programs, or libraries "
        "with threads of their own, compete with them. Set num_threads to the processors that are free."
    )


OUTSIDE = 0.5
OUTSIDE_NS = 100_000_000


def outside(a: Analysis) -> str | None:
    """Most of the time was not spent in runs at all."""
    rest = a.block - a.wall
    if not a.runs or rest < OUTSIDE_NS or rest < OUTSIDE * a.block:
        return None
    share = _percent(rest / a.block)
    return (
        f"{share} of the time lay outside runs: {_time(rest)} of building expressions and other Python code."
    )


RULES: tuple[Rule, ...] = (
    gil,
    spill,
    idle,
    small_tasks,
    straggler,
    reading,
    compiling,
    crowded,
    outside,
)


def advise(a: Analysis) -> list[str]:
    """What stands out, most important first."""
    if not a.runs:
        return ["Nothing was computed."]
    found = [text for rule in RULES if (text := rule(a)) is not None]
    return found or ["Nothing stands out: the threads were busy with computing."]
