"""`visualize`: pictures of expressions and of tasks, as SVG, PNG or HTML, written without other programs.

What pictures of delayed calls show is in `calls`.
"""

from __future__ import annotations

import os
from html import escape
from itertools import pairwise
from typing import Any

from pantile import _native
from pantile.diagnostics.layout import Layout, lay_out

__all__ = ["Picture", "visualize"]

RANKDIRS = ("TB", "BT", "LR", "RL")
MOST_TASKS = 300
"""A picture of more tasks shows one box a layer instead."""

_PALETTE = (
    "#f2c14e",
    "#8fb8de",
    "#a1cca5",
    "#f78154",
    "#d8a7ca",
    "#b8b8aa",
    "#7ec8c3",
    "#e8998d",
    "#c9cba3",
    "#9fa4d8",
)
_PYTHON = "#ffd43b"


class _Node:
    """A box: lines of text, a colour, and what it depends on."""

    def __init__(self, lines: list[str], fill: str, inputs: list[int], title: str) -> None:
        self.lines, self.fill, self.inputs, self.title = lines, fill, inputs, title


class Picture:
    """A drawn graph. Notebooks show it; `save` writes it."""

    def __init__(self, nodes: list[_Node], note: str = "", rankdir: str = "TB") -> None:
        if rankdir not in RANKDIRS:
            raise ValueError(f"rankdir is one of {', '.join(map(repr, RANKDIRS))}, not {rankdir!r}")
        self._nodes = nodes
        self._note = note
        self._rankdir = rankdir
        self._layout: Layout = lay_out([n.inputs for n in nodes])
        longest = max((len(line) for n in nodes for line in n.lines), default=4)
        self._box = (max(36.0, 6.0 * longest + 12), 11.0 * max((len(n.lines) for n in nodes), default=1) + 8)
        self._step = (self._box[0] + 14, self._box[1] + 34)

    @property
    def note(self) -> str:
        """What the picture leaves out, if anything."""
        return self._note

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def _sideways(self) -> bool:
        return self._rankdir in ("LR", "RL")

    def _size(self) -> tuple[int, int]:
        across, along = self._layout.width, self._layout.rows
        columns, rows = (along, across) if self._sideways else (across, along)
        width = int(columns * self._step[0]) + 14
        return max(width, 6 * len(self._note) + 20), int(rows * self._step[1]) + 14

    def _place(self, across: float, row: int) -> tuple[float, float]:
        """The corner of the box at a place of a row."""
        along = row if self._rankdir in ("TB", "LR") else self._layout.rows - 1 - row
        column, line = (along, across) if self._sideways else (across, along)
        return 10 + column * self._step[0], 16 + line * self._step[1]

    def _corner(self, node: int) -> tuple[float, float]:
        return self._place(self._layout.x[node], self._layout.row[node])

    def _sides(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where edges reach a box and where they leave it, from its corner."""
        w, h = self._box
        sides = {"T": (w / 2, 0.0), "B": (w / 2, h), "L": (0.0, h / 2), "R": (w, h / 2)}
        return sides[self._rankdir[0]], sides[self._rankdir[1]]

    def _paths(self) -> list[list[tuple[float, float]]]:
        paths = []
        (in_x, in_y), (out_x, out_y) = self._sides()
        for (start, end), bends in self._layout.bends.items():
            x, y = self._corner(start)
            points = [(x + out_x, y + out_y)]
            for place, row in bends:
                x, y = self._place(place, row)
                points += [(x + in_x, y + in_y), (x + out_x, y + out_y)]
            x, y = self._corner(end)
            points.append((x + in_x, y + in_y))
            paths.append(points)
        return paths

    def svg(self) -> str:
        """The picture as SVG."""
        width, height = self._size()
        w, h = self._box
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="monospace" font-size="10">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            '<defs><marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="5" markerHeight="5" orient="auto">'
            '<path d="M0,0 L6,3 L0,6 z" fill="#8a8a8a"/></marker></defs>',
            '<g fill="none" stroke="#8a8a8a">',
        ]
        for points in self._paths():
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{text}" marker-end="url(#tip)"/>')
        parts.append("</g>")
        for k, node in enumerate(self._nodes):
            x, y = self._corner(k)
            parts.append(
                f'<g><title>{escape(node.title)}</title><rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="4" '
                f'fill="{node.fill}" stroke="#4d4d4d"/>'
            )
            for n, line in enumerate(node.lines):
                parts.append(
                    f'<text x="{x + w / 2:.1f}" y="{y + 13 + 11 * n:.1f}" text-anchor="middle">{escape(line)}</text>'
                )
            parts.append("</g>")
        if self._note:
            parts.append(f'<text x="10" y="10" fill="#666666">{escape(self._note)}</text>')
        parts.append("</svg>")
        return "\n".join(parts)

    def png(self) -> bytes:
        """The picture as PNG."""
        from pantile.diagnostics.raster import Canvas, text_width

        canvas = Canvas(*self._size())
        w, h = self._box
        (in_x, in_y), (out_x, out_y) = self._sides()
        # One step back along the last edge, and one across it.
        back = ((in_x > out_x) - (in_x < out_x), (in_y > out_y) - (in_y < out_y))
        for points in self._paths():
            for (x1, y1), (x2, y2) in pairwise(points):
                canvas.line(x1, y1, x2, y2)
            x, y = points[-1]
            for d in range(4):
                middle = x + back[0] * (d + 1), y + back[1] * (d + 1)
                aside = back[1] * d, back[0] * d
                canvas.line(
                    middle[0] - aside[0], middle[1] - aside[1], middle[0] + aside[0], middle[1] + aside[1]
                )
        for k, node in enumerate(self._nodes):
            x, y = self._corner(k)
            canvas.box(x, y, w, h, node.fill)
            for n, line in enumerate(node.lines):
                canvas.text(x + (w - text_width(line)) / 2, y + 6 + 11 * n, line)
        if self._note:
            canvas.text(10, 3, self._note, "#666666")
        return canvas.png()

    def html(self) -> str:
        """The picture as a page that needs nothing else."""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Graph</title></head>'
            f'<body style="margin:0">{self.svg()}</body></html>'
        )

    def save(self, filename: Any, format: str | None = None) -> None:
        """Writes the picture; `format` or the ending chooses between ``svg``, ``png`` and ``html``. Without either: png."""
        name = os.fspath(filename)
        ending = os.path.splitext(name)[1].lower()
        if (format is not None and ending != f".{format}") or not ending:
            ending = f".{format or 'png'}"
            name += ending
        if ending == ".svg":
            data = self.svg().encode()
        elif ending == ".png":
            data = self.png()
        elif ending == ".html":
            data = self.html().encode()
        else:
            raise ValueError(f"pictures are written as .svg, .png or .html, not {ending!r}: {name!r}")
        with open(name, "wb") as file:
            file.write(data)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"pantile.Picture<{len(self._nodes)} boxes>"


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _expression_picture(exprs: list[Any], rankdir: str) -> Picture:
    rows = _native.expressions(exprs)
    number = {row["id"]: k for k, row in enumerate(rows)}
    nodes = []
    for row in rows:
        shape = "×".join("?" if n is None else str(n) for n in row["shape"]) or "scalar"
        lines = [_short(row["label"]), _short(f"{shape} {row['dtype'].lstrip('<|')}")]
        fill = _PYTHON if row["python"] else "#8fb8de" if row["root"] else "#e8e8e8"
        blocks = row["chunks"] if isinstance(row["chunks"], int) else list(row["chunks"])
        kind = "Python" if row["python"] else "has blocks" if row["root"] else "fused into its user"
        nodes.append(
            _Node(
                lines,
                fill,
                [number[i] for i in row["inputs"]],
                f"{row['label']} {row['shape']} blocks {blocks}: {kind}",
            )
        )
    return Picture(nodes, rankdir=rankdir)


def shade(share: float) -> str:
    """A colour from light (0) to dark (1)."""
    return f"#{int(255 - 110 * share):02x}{int(245 - 100 * share):02x}{int(200 + 30 * share):02x}"


def _task_picture(exprs: list[Any], most: int, color: str, rankdir: str) -> Picture:
    graph = _native.graph(exprs)
    tasks, labels = graph["tasks"], graph["labels"]
    if len(tasks) > most:
        return _layer_picture(graph, most, rankdir)
    ranks = graph["order"]
    nodes = []
    for k, (layer, index) in enumerate(tasks):
        if color == "order":
            fill = shade(ranks[k] / max(1, len(tasks) - 1))
        else:
            fill = _PALETTE[layer % len(_PALETTE)]
        title = f"{labels[layer]} block {index}, rank {ranks[k]}, {graph['bytes'][k]} bytes"
        nodes.append(_Node([_short(labels[layer], 14), f"#{index}"], fill, list(graph["inputs"][k]), title))
    return Picture(nodes, rankdir=rankdir)


def _layer_picture(graph: dict[str, Any], most: int, rankdir: str) -> Picture:
    """One box a layer, with the number of its tasks."""
    counts: dict[int, int] = {}
    inputs: dict[int, set[int]] = {}
    for k, (layer, _) in enumerate(graph["tasks"]):
        counts[layer] = counts.get(layer, 0) + 1
        inputs.setdefault(layer, set()).update(
            other for i in graph["inputs"][k] if (other := graph["tasks"][i][0]) != layer
        )
    used = sorted(counts)
    number = {layer: k for k, layer in enumerate(used)}
    nodes = [
        _Node(
            [_short(graph["labels"][layer]), f"{counts[layer]} tasks"],
            _PALETTE[layer % len(_PALETTE)],
            sorted(number[i] for i in inputs[layer]),
            f"{graph['labels'][layer]}: {counts[layer]} tasks",
        )
        for layer in used
    ]
    return Picture(nodes, f"{len(graph['tasks'])} tasks, more than {most}: one box a layer", rankdir)


def visualize(
    *args: Any,
    filename: Any = None,
    format: str | None = None,
    tasks: bool = False,
    color: str | None = None,
    rankdir: str = "TB",
    maximum: int = MOST_TASKS,
    optimize_graph: bool = False,
) -> Picture:
    """Draws arrays' expressions, or their tasks, or the calls that delayed values and bags need.

    Parameters
    ----------
    *args : Array, or Delayed, Bag, Item and containers of them
        What is drawn. Arrays among others are one box each.
    filename : str or path, optional
        Where to write the picture, as ``.svg``, ``.png`` or ``.html``.
    format : {'svg', 'png', 'html'}, optional
        The same by name. A filename without either is written as PNG.
    tasks : bool
        Whether an array's tasks are drawn instead of expressions.
    color : {'layer', 'order', 'time', 'memory'}, optional
        What colours of tasks and calls mean: the function; the place in the order in which they run; how long they took;
        how large their results were. For the last two, delayed values are computed. Default: ``'layer'``.
    rankdir : {'TB', 'BT', 'LR', 'RL'}
        Where inputs are and where results: ``'TB'`` is from the top to the bottom.
    maximum : int
        Of more tasks than this, one box a layer is drawn; of more calls, at most so many boxes, each of which stands for
        the calls of one function at one depth, or of one function, or of those at neighbouring depths.
    optimize_graph : bool
        As in Dask. Equal pure calls are drawn once in any case, as they run once, so it changes nothing.

    Returns
    -------
    Picture
        Notebooks show it; its ``svg()``, ``png()`` and ``html()`` give the data.

    Examples
    --------
    >>> import pantile
    >>> import pantile.array as da
    >>> x = da.ones((4, 4), chunks=2)
    >>> pantile.visualize((x + x.T).sum()).svg().startswith("<svg")
    True
    >>> total = pantile.delayed(sum)([pantile.delayed(abs)(-1), 2])
    >>> len(pantile.visualize(total, color="order"))
    2
    """
    from pantile.array.core import Array
    from pantile.diagnostics.calls import COLORS, call_picture

    if not args:
        raise TypeError("visualize takes one or more arrays, delayed values or bags")
    if maximum < 1:
        raise ValueError(f"maximum must be 1 or more, not {maximum!r}")
    if all(isinstance(a, Array) for a in args):
        if color not in (None, "layer", "order"):
            raise ValueError(f"color of arrays' tasks is 'layer' or 'order', not {color!r}")
        exprs = [a._expr for a in args]
        picture = (
            _task_picture(exprs, maximum, color or "layer", rankdir)
            if tasks
            else _expression_picture(exprs, rankdir)
        )
    else:
        if color not in (None, *COLORS):
            raise ValueError(f"color is one of {', '.join(map(repr, COLORS))}, not {color!r}")
        picture = call_picture(args, maximum, color or "layer", rankdir)
    if filename is not None:
        picture.save(filename, format)
    return picture
