"""Settings, lazy imports, running, progress, pictures, explanations."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from itertools import pairwise

import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import config
from pantile.diagnostics import ProgressBar

from tests.python.helpers import check


def python(code: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}
    )


def test_import_loads_nothing() -> None:
    done = python(
        "import sys, pantile; print([m for m in ('numpy', 'pantile._native', 'pantile.array') if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("PANTILE_NUM_THREADS", "many", "num_threads"),
        ("PANTILE_NUM_THREADS", "0", "num_threads"),
        ("PANTILE_MEMORY_LIMIT", "1 parsec", "memory_limit"),
        ("PANTILE_EXECUTOR", "magic", "executor"),
    ],
)
def test_bad_environment_is_named(variable, value, setting) -> None:
    done = python(f"from pantile import config; config.get({setting!r})", **{variable: value})
    assert f"ValueError: {variable}: {value!r}" in done.stderr


def test_environment() -> None:
    done = python(
        "from pantile import config; print(config.get('memory_limit'), config.get('num_threads'))",
        PANTILE_MEMORY_LIMIT="1.5GB",
        PANTILE_NUM_THREADS="3",
    )
    assert done.stdout.split() == ["1500000000", "3"]


def test_set_restores() -> None:
    before = config.get("array.chunk_size")
    with config.set({"array.chunk_size": "1MiB"}, executor="sync"):
        assert config.get("array.chunk_size") == 2**20
        assert config.get("executor") == "sync"
        assert da.ones((1000, 1000)).npartitions > 4
        check(da.ones(10, chunks=3).sum(), 10.0)
    assert config.get("array.chunk_size") == before
    with pytest.raises(ValueError, match="executor: 'processes' is no executor"):
        config.set(executor="processes")
    with pytest.raises(KeyError, match="there is no setting 'colour'"):
        config.set(colour="red")
    assert set(config.settings()) == {
        "num_threads",
        "memory_limit",
        "executor",
        "spill_dir",
        "array.chunk_size",
    }


def test_sizes() -> None:
    assert config.parse_bytes("2kb") == 2000
    assert config.parse_bytes(".5 GiB") == 2**29
    for bad in ("", "GB", "1 XB", "-1", -1):
        with pytest.raises(ValueError, match="is no size"):
            config.parse_bytes(bad)
    assert [config.format_bytes(n) for n in (0, 1023, 1024, 10**12)] == [
        "0 B",
        "1023 B",
        "1.00 KiB",
        "931 GiB",
    ]


def test_compute_of_nested_collections() -> None:
    a = da.arange(4)
    result = pantile.compute([a.sum(), {"max": a.max()}], 5, (a,))
    assert result[0][0] == 6
    assert result[0][1] == {"max": 3}
    assert result[1] == 5
    np.testing.assert_array_equal(result[2][0], np.arange(4))
    assert pantile.compute(1, "two") == (1, "two")


def test_persist() -> None:
    calls = []

    def count(b):
        calls.append(1)
        return b

    a = da.ones((4, 4), chunks=2).map_blocks(count, dtype=float).persist()
    check(a.sum(), 16.0)
    check(a + 1, np.full((4, 4), 2.0))
    assert len(calls) == 4


def test_result_larger_than_the_limit_is_refused() -> None:
    with config.set(memory_limit="1MB"), pytest.raises(MemoryError, match="limit"):
        da.ones(10**6).compute()
    with config.set(memory_limit="20MB"):
        check(da.ones(10**7, chunks=10**5).sum(), 1e7)


def test_same_results_on_one_thread() -> None:
    x = np.random.default_rng(0).normal(size=(60, 70))
    a = da.from_array(x, chunks=13)
    y = ((a + a.mean()) @ a.T).std(axis=0)
    with config.set(executor="sync"):
        one = y.compute()
    np.testing.assert_array_equal(one, y.compute())


def test_progress_bar() -> None:
    screen = io.StringIO()
    bar = ProgressBar(out=screen, force=True, dt=0.01)
    with bar:
        da.random.default_rng(0).random((500, 500), chunks=50).sum().compute()
    lines = screen.getvalue().split("\r\033[K")
    assert lines[-1].endswith("in all\n")
    assert "100%" in lines[-1]
    assert bar.last_duration is not None
    quiet = io.StringIO()
    with ProgressBar(out=quiet):
        da.ones(3).compute()
    assert quiet.getvalue() == ""


def test_progress_bar_names_a_failure() -> None:
    def fail(b):
        raise KeyError("no")

    screen = io.StringIO()
    with ProgressBar(out=screen, force=True), pytest.raises(KeyError):
        da.ones(3).map_blocks(fail, dtype=float).compute()
    assert "KeyError after" in screen.getvalue()
    assert "100%" not in screen.getvalue()


def expression() -> da.Array:
    x = da.random.default_rng(0).random((40, 40), chunks=10)
    return (x + x.T).std(axis=0)


def test_explain() -> None:
    plan = pantile.explain(expression())
    assert plan.is_native
    assert plan.details["tasks"] > 1
    text = repr(plan)
    assert "everything is native" in text
    assert "estimated peak" in text
    assert "test_settings.py" in text
    assert "<table>" in plan._repr_html_()
    assert not expression().map_blocks(np.sin).explain().is_native
    with pytest.raises(TypeError, match="takes one or more pantile arrays"):
        pantile.explain(3)


@pytest.mark.parametrize("tasks", [False, True])
def test_pictures(tasks, tmp_path) -> None:
    picture = pantile.visualize(expression(), tasks=tasks, filename=tmp_path / "graph.svg")
    root = ElementTree.fromstring((tmp_path / "graph.svg").read_text())
    assert root.tag.endswith("svg")
    assert len(root.findall(".//{*}title")) == len(picture) > 2
    picture.save(tmp_path / "graph.png")
    data = (tmp_path / "graph.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    length = struct.unpack(">I", data[33:37])[0]
    assert len(zlib.decompress(data[41 : 41 + length])) == height * (3 * width + 1)
    with pytest.raises(ValueError, match=r"\.svg or \.png"):
        picture.save(tmp_path / "graph.gif")


def test_boxes_do_not_overlap() -> None:
    picture = pantile.visualize(expression(), tasks=True)
    layout = picture._layout
    places: dict[int, list[float]] = {}
    for x, row in zip(layout.x, layout.row, strict=True):
        places.setdefault(row, []).append(x)
    for row in places.values():
        row.sort()
        assert all(b - a > 0.999 for a, b in pairwise(row))


def test_large_graphs_are_drawn_by_layer() -> None:
    x = da.random.default_rng(0).random((100, 100), chunks=5)
    picture = pantile.visualize((x + x.T).sum(axis=0), tasks=True, maximum=50)
    assert "one box a layer" in picture.note
    assert len(picture) < 20


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="it has"):
        pantile.no_such_thing
    assert pantile.__version__
