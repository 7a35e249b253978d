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


def test_a_heading_wherever_a_group_begins() -> None:
    rows = [
        {
            "title": title,
            "group": group,
            "variants": {"pantile": {"median_s": 1.0}, "dask": {"median_s": 2.0}},
        }
        for title, group in [("a", "Arrays"), ("b", "Arrays"), ("c", "Functions")]
    ]
    picture = ElementTree.fromstring(CHART["draw"]({"machine": MACHINE, "rows": rows}))
    texts = [e.text for e in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in ("Arrays", "Functions", "a", "b", "c")] == [
        "Arrays",
        "Functions",
        "a",
        "b",
        "c",
    ]
    y = {e.text: float(e.attrib["y"]) for e in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert y["Arrays"] < y["a"] < y["b"] < y["Functions"] < y["c"]


def test_every_library_of_the_legend_is_within_the_picture() -> None:
    picture = ElementTree.fromstring(
        CHART["draw"](results(pantile=1.0, **dict.fromkeys(CHART["COLOURS"], 2.0)))
    )
    texts = {e.text: e.attrib for e in picture.iter("{http://www.w3.org/2000/svg}text")}
    first_row = float(texts["x & y"]["y"])
    for name in CHART["COLOURS"]:
        entry = texts[CHART["LABELS"].get(name, name)]
        assert float(entry["x"]) < CHART["WIDTH"] - 100
        assert float(entry["y"]) < first_row


def test_without_times_of_pantile_there_is_no_picture() -> None:
    with pytest.raises(SystemExit, match="nothing to draw"):
        CHART["draw"](results(numpy=1.0))


def test_every_peer_has_a_colour() -> None:
    peers = {name for case in CASES.values() for name in case.variants} - {"pantile"}
    assert peers == set(CHART["COLOURS"])
