"""Pictures of delayed calls: a box for each, or for groups of them where they are too many, and what notebooks show of one.

The boxes are found natively (`crates/python/src/delayed/groups.rs`), so that a graph of a million calls can be drawn; how they
look is in `picture`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from pantile import _native
from pantile._native import Delayed, DelayedGraph
from pantile.config import format_bytes
from pantile.diagnostics.picture import _PALETTE, Picture, _Node, _short, shade

__all__ = ["COLORS", "call_picture", "delayed_html"]

COLORS = ("layer", "order", "time", "memory")

# A picture in a notebook beside the table.
_SMALL = 30
# So many names stand in a box of several, and so many are told by its title.
_MOST_NAMES = 3
_MOST_TOLD = 20


def call_picture(args: Sequence[Any], most: int, color: str, rankdir: str) -> Picture:
    """Draws the calls that some collections need."""
    graph = _native.delayed_graph([_native.delayed(a) for a in args])
    boxes, box_of = graph.groups(most)
    count = sum(box is not None for box in box_of)
    values = _values(graph, color)
    if count <= most:
        return _each_call(graph, box_of, values, color, rankdir)
    marks, notes = _marks(values, box_of, len(boxes), color)
    palette = _colours(counts[0][0] for counts, _ in boxes)
    nodes = []
    for k, (counts, inputs) in enumerate(boxes):
        lines = [_short(name) for name, _ in counts[:_MOST_NAMES]]
        if len(counts) > len(lines):
            lines.append(f"{len(counts) - len(lines)} more")
        lines.append(f"× {sum(n for _, n in counts)}")
        fill = palette[counts[0][0]] if marks is None else shade(marks[k])
        title = ", ".join(f"{name} × {n}" for name, n in counts[:_MOST_TOLD])
        nodes.append(_Node(lines, fill, inputs, f"{title} {notes[k]}".strip()))
    note = f"{count} calls, more than {most}: a box stands for several"
    return Picture(nodes, note, rankdir)


def _each_call(
    graph: DelayedGraph,
    box_of: Sequence[int | None],
    values: list[float | None] | None,
    color: str,
    rankdir: str,
) -> Picture:
    """A box for each call and each value."""
    rows = graph.rows()
    used = [k for k, box in enumerate(box_of) if box is not None]
    number = {node: k for k, node in enumerate(used)}
    marks, notes = _marks(values, [number.get(k) for k in range(len(rows))], len(used), color)
    palette = _colours(rows[k][0] for k in used)
    nodes = []
    for at, k in enumerate(used):
        name, inputs, is_call = rows[k]
        origin = graph.node(k)._origin
        place = "" if origin is None else f"at {origin[0]}:{origin[1]}"
        fill = palette[name] if marks is None else shade(marks[at])
        title = " ".join(filter(None, [name, "" if is_call else "(value)", place, notes[at]]))
        nodes.append(_Node([_short(name, 18)], fill, sorted({number[i] for i in inputs}), title))
    return Picture(nodes, rankdir=rankdir)


def _colours(names: Iterable[str]) -> dict[str, str]:
    return {name: _PALETTE[k % len(_PALETTE)] for k, name in enumerate(dict.fromkeys(names))}


def _values(graph: DelayedGraph, color: str) -> list[float | None] | None:
    """For each node what its colour says; for nodes that did not run none."""
    if color == "layer":
        return None
    if color == "order":
        return [None if rank is None else float(rank) for rank in graph.ranks()]
    return _measured(graph, color)


def _measured(graph: DelayedGraph, color: str) -> list[float | None]:
    """Computes the graph, and tells of each call seconds or bytes."""
    from pantile._run import compute_exprs, run
    from pantile.diagnostics.profile import CacheProfiler, Profiler

    arrays = compute_exprs([a._expr for a in graph.arrays]) if graph.arrays else []
    seen: dict[str, float]
    if color == "time":
        with Profiler() as times:
            run(lambda options: graph.run(options, arrays))
        seen = {r.key: r.end_time - r.start_time for r in times.results}
    else:
        with CacheProfiler(metric="bytes") as sizes:
            run(lambda options: graph.run(options, arrays))
        seen = {r.key: float(r.metric) for r in sizes.results}
    return [seen.get(name) for name in graph.task_names()]


def _marks(
    values: list[float | None] | None, box_of: Sequence[int | None], boxes: int, color: str
) -> tuple[list[float] | None, list[str]]:
    """For each box a share of the largest value, and a text."""
    if values is None:
        return None, [""] * boxes
    sums, counts = [0.0] * boxes, [0] * boxes
    for value, box in zip(values, box_of, strict=True):
        if value is not None and box is not None:
            sums[box] += value
            counts[box] += 1
    if color == "order":
        # Boxes of several calls are somewhere in the middle of theirs.
        sums = [total / max(1, n) for total, n in zip(sums, counts, strict=True)]
    largest = max(sums, default=0.0) or 1.0
    tell = {
        "order": lambda v: f"rank {v:.0f}",
        "time": lambda v: f"{v * 1e3:.3g} ms",
        "memory": format_bytes,
    }[color]
    return [v / largest for v in sums], [tell(v) for v in sums]


def delayed_html(node: Delayed) -> str:
    """A table of what a node calls, where it was built and how much it needs, and a picture if that is not much."""
    graph = _native.delayed_graph([node])
    origin = node._origin
    rows = [("Key", node.key), ("Calls", str(len(graph)))]
    if origin is not None:
        rows.append(("Built at", f"{origin[0]}:{origin[1]} in {origin[2]}"))
    cells = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(text)}</td></tr>'
        for name, text in rows
    )
    table = f"<table><caption>pantile.Delayed</caption><tbody>{cells}</tbody></table>"
    if len(graph) > _SMALL:
        return table
    return f"{table}{call_picture([node], _SMALL, 'layer', 'LR').svg()}"
