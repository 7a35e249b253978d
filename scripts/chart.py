"""Draws the benchmarks: ``python scripts/chart.py benchmarks/results.json docs/images/benchmarks.svg``.

One row for each benchmark, under the heading of its group, and one dot for each library, on a logarithmic axis of its time
divided by Pantile's: right of the line, the library takes longer than Pantile; left of it, less. Every number comes from
results.json; a library without a time has no dot. Colours are readable on white and on black, since the page that shows
the picture may be either.
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
    "threadpool": "#c2a020",
    "processpool": "#a8763e",
    "processpool_spawn": "#d0a878",
    "loky": "#c65fb0",
    "python": "#4fa8b8",
    "import": "#94a0ac",
}
# What the legend says where the name of the variant would not be understood.
LABELS = {
    "h5py_direct": "h5py, read_direct",
    "threadpool": "ThreadPoolExecutor",
    "processpool": "ProcessPoolExecutor",
    "processpool_spawn": "the same, spawned",
    "loky": "joblib, loky",
    "python": "plain Python",
    "import": "the import alone",
}
TEXT = "#7d8590"
WIDTH, LEFT, RIGHT = 890, 355, 40
LEGEND, ENTRY, ACROSS = 35, 165, 5
ROW, HEADING, BOTTOM = 30, 26, 64


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
    rows = [(row.get("group", ""), row["title"], found) for row in results["rows"] if (found := ratios(row))]
    if not rows:
        raise SystemExit("There is nothing to draw: no row has times of Pantile and of a peer.")
    values = [value for _, _, found in rows for value in found.values()]
    # Whole powers of ten, and always the line at 1.
    low = min(0, math.floor(math.log10(min(values))))
    high = max(1, math.ceil(math.log10(max(values))))
    libraries = [name for name in COLOURS if any(name in found for _, _, found in rows)]
    top = LEGEND + 21 * math.ceil(len(libraries) / ACROSS)
    # Where each row stands, and the headings: one wherever another group begins.
    headings: list[tuple[str, float]] = []
    places: list[float] = []
    bottom = float(top)
    for place, (group, _, _) in enumerate(rows):
        if group and (place == 0 or group != rows[place - 1][0]):
            headings.append((group, bottom + HEADING / 2))
            bottom += HEADING
        places.append(bottom + ROW / 2)
        bottom += ROW
    height = bottom + BOTTOM

    def x(ratio: float) -> float:
        return LEFT + (math.log10(ratio) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    machine = results["machine"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{TEXT}" role="img" aria-label="Benchmarks">',
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">time of each library ÷ time of Pantile</text>',
    ]
    for place, name in enumerate(libraries):
        line, column = divmod(place, ACROSS)
        at, y = 14 + ENTRY * column, LEGEND + 21 * line
        parts.append(f'<circle cx="{at + 5}" cy="{y}" r="5" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{at + 15}" y="{y + 4}">{escape(LABELS.get(name, name))}</text>')
    for exponent in range(low, high + 1):
        at = x(10.0**exponent)
        stroke = (
            f'stroke="{TEXT}" stroke-width="1.5"'
            if exponent == 0
            else f'stroke="{TEXT}" stroke-opacity="0.25"'
        )
        parts.append(f'<line x1="{at:.1f}" y1="{top - 4}" x2="{at:.1f}" y2="{bottom:.1f}" {stroke}/>')
        parts.append(
            f'<text x="{at:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{tick_text(exponent)}</text>'
        )
    for group, y in headings:
        parts.append(f'<text x="14" y="{y + 6:.1f}" font-weight="600">{escape(group)}</text>')
    for (_, title, found), y in zip(rows, places, strict=True):
        parts.append(f'<text x="{LEFT - 14}" y="{y + 4:.1f}" text-anchor="end">{escape(title)}</text>')
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{TEXT}" stroke-opacity="0.12"/>'
        )
        for name, ratio in sorted(found.items(), key=lambda item: item[1]):
            parts.append(
                f'<circle cx="{x(ratio):.1f}" cy="{y:.1f}" r="6" fill="{COLOURS[name]}" fill-opacity="0.9">'
                f"<title>{escape(LABELS.get(name, name))}: {ratio:.3g} × Pantile's time</title></circle>"
            )
    note = (
        f"medians on {machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_bytes'] / 1e9:.0f} GB; "
        + ", ".join(
            f"{name} {machine['versions'][name]}"
            for name in ("pantile", *libraries, *(["joblib"] if "loky" in libraries else []))
            if name in machine["versions"]
        )
    )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{height - 14:.1f}" font-size="11" text-anchor="middle">{escape(note)}</text>'
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
