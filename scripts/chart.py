"""Draws the benchmarks: ``python scripts/chart.py benchmarks/results.json docs/images/benchmarks.svg``.

One row for each benchmark, one dot for each library, on a logarithmic axis of its time divided by Pantile's: right of the line,
the library takes longer than Pantile; left of it, less. Every number comes from results.json; a library without a time
has no dot. Colours are readable on white and on black, since the page that shows the picture may be either.
"""

from __future__ import annotations

import json
import math
import os
import sys
from html import escape
from pathlib import Path
from typing import Any

COLOURS = {
    "numpy": "#3b82d0",
    "h5py": "#8a63c9",
    "h5py_direct": "#b79ae0",
    "dask": "#e07b39",
    "numba": "#2a9d6f",
    "jax": "#d1495b",
}
TEXT = "#7d8590"
WIDTH, LEFT, RIGHT = 860, 330, 40
TOP, ROW, BOTTOM = 56, 30, 64


def ratios(row: dict[str, Any]) -> dict[str, float]:
    """Each peer's median time over Pantile's."""
    own = row["variants"].get("pantile", {}).get("median_s")
    if not own:
        return {}
    return {
        name: v["median_s"] / own
        for name, v in row["variants"].items()
        if name != "pantile" and v["median_s"] is not None
    }


def tick_text(exponent: int) -> str:
    """10 to the exponent, as a ratio."""
    return f"{10**exponent}×" if exponent >= 0 else f"1/{10**-exponent}"


def draw(results: dict[str, Any]) -> str:
    """The picture as SVG."""
    rows = [(row["title"], found) for row in results["rows"] if (found := ratios(row))]
    if not rows:
        raise SystemExit("There is nothing to draw: no row has times of Pantile and of a peer.")
    values = [value for _, found in rows for value in found.values()]
    # Whole powers of ten, and always the line at 1.
    low = min(0, math.floor(math.log10(min(values))))
    high = max(1, math.ceil(math.log10(max(values))))
    bottom = TOP + ROW * len(rows)
    height = bottom + BOTTOM

    def x(ratio: float) -> float:
        return LEFT + (math.log10(ratio) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    machine = results["machine"]
    libraries = [name for name in COLOURS if any(name in found for _, found in rows)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{TEXT}" role="img" aria-label="Benchmarks">',
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">time of each library ÷ time of Pantile</text>',
    ]
    for place, name in enumerate(libraries):
        at = LEFT + 90 * place
        parts.append(f'<circle cx="{at + 5}" cy="35" r="5" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{at + 15}" y="39">{escape(name)}</text>')
    for exponent in range(low, high + 1):
        at = x(10.0**exponent)
        stroke = (
            f'stroke="{TEXT}" stroke-width="1.5"'
            if exponent == 0
            else f'stroke="{TEXT}" stroke-opacity="0.25"'
        )
        parts.append(f'<line x1="{at:.1f}" y1="{TOP - 4}" x2="{at:.1f}" y2="{bottom}" {stroke}/>')
        parts.append(
            f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{tick_text(exponent)}</text>'
        )
    for place, (title, found) in enumerate(rows):
        y = TOP + ROW * place + ROW / 2
        parts.append(f'<text x="{LEFT - 14}" y="{y + 4:.1f}" text-anchor="end">{escape(title)}</text>')
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{TEXT}" stroke-opacity="0.12"/>'
        )
        for name, ratio in sorted(found.items(), key=lambda item: item[1]):
            parts.append(
                f'<circle cx="{x(ratio):.1f}" cy="{y:.1f}" r="6" fill="{COLOURS[name]}" fill-opacity="0.9">'
                f"<title>{escape(name)}: {ratio:.3g} × Pantile's time</title></circle>"
            )
    note = (
        f"medians on {machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_bytes'] / 1e9:.0f} GB; "
        + ", ".join(
            f"{name} {machine['versions'][name]}"
            for name in ("pantile", *libraries)
            if name in machine["versions"]
        )
    )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{height - 14}" font-size="11" text-anchor="middle">{escape(note)}</text>'
    )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def main(source: str, target: str) -> None:
    """Reads the results and writes the picture, which appears only when it is complete."""
    picture = draw(json.loads(Path(source).read_text()))
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(picture)
    os.replace(part, path)
    print(f"Drawn: {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
