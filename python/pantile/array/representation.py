"""How an array shows itself: one line of text, and in notebooks a table beside a picture of the chunks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from pantile.config import format_bytes

if TYPE_CHECKING:
    from pantile.array.core import Array

_WIDTH = 160.0
"""Pixels of the longest side of the picture."""

_MOST_LINES = 40
"""Lines along one side; more would be grey."""


def text(x: Array) -> str:
    """What `repr` gives."""
    return f"pantile.Array<{x._expr.label}, shape={_shape(x.shape)}, dtype={x.dtype}, chunksize={_shape(x.chunksize)}>"


def _shape(shape: tuple[Any, ...]) -> str:
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(str(n) for n in shape)})"


def html(x: Array) -> str:
    """What notebooks show."""
    nbytes, size = x.nbytes, x.chunksize
    block = None if None in size else x.itemsize
    for n in size:
        if block is not None and n is not None:
            block *= n
    rows = [
        (
            "Bytes",
            "unknown" if nbytes is None else format_bytes(nbytes),
            "unknown" if block is None else format_bytes(block),
        ),
        ("Shape", _shape(x.shape), _shape(size)),
        ("Count", f"{x.npartitions} block{'s' if x.npartitions != 1 else ''}", ""),
        ("Type", str(x.dtype), escape(x._expr.label)),
    ]
    cells = "".join(f"<tr><th>{a}</th><td>{escape(b)}</td><td>{c}</td></tr>" for a, b, c in rows)
    table = (
        f"<table><thead><tr><td></td><th>Array</th><th>Chunk</th></tr></thead><tbody>{cells}</tbody></table>"
    )
    return f"<table><tr><td>{table}</td><td>{svg(x)}</td></tr></table>"


def _cuts(lengths: tuple[int | None, ...], side: float) -> list[float]:
    """Where lines are drawn along a side; a few of many."""
    if any(n is None for n in lengths):
        count = len(lengths)
        known = [1.0] * count
    else:
        known = [float(n or 0) for n in lengths]
    total = sum(known) or 1.0
    at, places = 0.0, [0.0]
    for n in known:
        at += n / total * side
        places.append(at)
    places[-1] = side
    if len(places) > _MOST_LINES:
        step = len(places) / _MOST_LINES
        places = [places[int(k * step)] for k in range(_MOST_LINES)] + [side]
    return places


def svg(x: Array) -> str:
    """A picture of the last three axes and their chunks."""
    if x.ndim == 0:
        return ""
    axes = list(range(max(0, x.ndim - 3), x.ndim))
    lengths = [float(x.shape[k] or sum(n or 1 for n in x.chunks[k]) or 1) for k in axes]
    longest = max(lengths)
    # Sides keep their order, but a sliver stays visible.
    sides = [max(12.0, _WIDTH * (n / longest) ** 0.5 if longest else 12.0) for n in lengths]
    if len(axes) == 1:
        return _plane(x, None, axes[0], 24.0, sides[0], 0.0)
    if len(axes) == 2:
        return _plane(x, axes[0], axes[1], sides[0], sides[1], 0.0)
    return _plane(x, axes[1], axes[2], sides[1], sides[2], sides[0] * 0.4, axes[0])


def _plane(
    x: Array,
    rows: int | None,
    columns: int,
    height: float,
    width: float,
    depth: float,
    back: int | None = None,
) -> str:
    """The front of a box, and its top and left sides if it has depth."""
    lines: list[str] = []

    def line(x1: float, y1: float, x2: float, y2: float) -> None:
        lines.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    ys = [0.0, height] if rows is None else _cuts(x.chunks[rows], height)
    xs = _cuts(x.chunks[columns], width)
    faces = [
        f'<rect x="{depth:.1f}" y="{depth:.1f}" width="{width:.1f}" height="{height:.1f}" fill="#f2c14e" fill-opacity="0.7"/>'
    ]
    for y in ys:
        line(depth, y + depth, depth + width, y + depth)
    for at in xs:
        line(at + depth, depth, at + depth, depth + height)
    if back is not None:
        faces.append(
            f'<polygon points="0,0 {width:.1f},0 {width + depth:.1f},{depth:.1f} {depth:.1f},{depth:.1f}" '
            'fill="#f78154" fill-opacity="0.7"/>'
        )
        faces.append(
            f'<polygon points="0,0 {depth:.1f},{depth:.1f} {depth:.1f},{depth + height:.1f} 0,{height:.1f}" '
            'fill="#b4436c" fill-opacity="0.6"/>'
        )
        for at in xs:
            line(at, 0, at + depth, depth)
        for y in ys:
            line(0, y, depth, y + depth)
        for d in _cuts(x.chunks[back], depth):
            line(d, d, d + width, d)
            line(d, d, d, d + height)
    labels = [
        f'<text x="{depth + width / 2:.1f}" y="{depth + height + 16:.1f}" text-anchor="middle">{_label(x, columns)}</text>'
    ]
    if rows is not None:
        labels.append(
            f'<text x="{depth + width + 6:.1f}" y="{depth + height / 2 + 4:.1f}">{_label(x, rows)}</text>'
        )
    if back is not None:
        labels.append(
            f'<text x="{depth / 2 - 4:.1f}" y="{height + depth / 2 + 14:.1f}" text-anchor="middle">{_label(x, back)}</text>'
        )
    w, h = depth + width + 70, depth + height + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w:.0f}" height="{h:.0f}" font-family="sans-serif" font-size="12">'
        f'{"".join(faces)}<g stroke="#4d4d4d" stroke-width="0.8">{"".join(lines)}</g>{"".join(labels)}</svg>'
    )


def _label(x: Array, axis: int) -> str:
    n = x.shape[axis]
    return "?" if n is None else str(n)
