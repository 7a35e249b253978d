"""The benchmark picture says what results.json says."""

from __future__ import annotations

import json
import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks.cases import CASES

CHART = runpy.run_path(str(Path(__file__).resolve().parent.parent / "scripts" / "chart.py"))
MACHINE = {"cpu": "a <CPU>", "cpus": 2, "memory_bytes": 8e9, "versions": {"numpy": "2.4"}}


def results(**seconds: float | None) -> dict[str, object]:
    variants = {name: {"median_s": value} for name, value in seconds.items()}
    return {"machine": MACHINE, "rows": [{"title": "x & y", "variants": variants}]}


def test_one_dot_for_each_peer_with_a_time(tmp_path: Path) -> None:
    source, target = tmp_path / "results.json", tmp_path / "new" / "chart.svg"
    source.write_text(json.dumps(results(pantile=0.1, numpy=1.0, dask=0.05, numba=None)))
    CHART["main"](str(source), str(target))
    titles = [e.text for e in ElementTree.parse(target).iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["dask: 0.5 × Pantile's time", "numpy: 10 × Pantile's time"]
    assert list(target.parent.iterdir()) == [target]


def test_without_times_of_pantile_there_is_no_picture() -> None:
    with pytest.raises(SystemExit, match="nothing to draw"):
        CHART["draw"](results(numpy=1.0))


def test_every_peer_has_a_colour() -> None:
    peers = {name for case in CASES.values() for name in case.variants} - {"pantile"}
    assert peers == set(CHART["COLOURS"])
