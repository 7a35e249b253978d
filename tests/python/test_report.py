"""`pantile.report`: its numbers, its rules, the file, and the page in a browser."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import config
from pantile.diagnostics import Report, advice, analysis, reporting
from pantile.diagnostics.analysis import KINDS, Analysis, Operation, Run

from tests.python import browser
from tests.python.browser import Browser

READY = "document.documentElement.dataset.ready === 'yes'"


def negative_blocks(n: int = 4) -> da.Array:
    return da.from_array(np.arange(2.0 * n), chunks=2).map_blocks(np.negative, dtype=float).sum()


def made(path: Path, n: int = 4, **settings: Any) -> Report:
    with config.set(**settings), pantile.report(path) as seen:
        negative_blocks(n).compute()
    return seen


def numbers(**changes: Any) -> Analysis:
    """An analysis where nothing stands out: four threads busy for a second."""
    settings: dict[str, Any] = {
        "runs": [synthetic(100)],
        "block": 10**9,
        "wall": 10**9,
        "threads": 4,
        "capacity": 4 * 10**9,
        "times": {"compute": 4 * 10**9},
        "queued": 0,
        "operations": [Operation("add", False, 100, 4 * 10**9, 5 * 10**7, 0)],
        "spilled": 0,
        "restored": 0,
    }
    settings.update(changes)
    settings["times"] = {**dict.fromkeys(KINDS, 0), **settings["times"]}
    return Analysis(**settings)


def synthetic(count: int, **changes: Any) -> Run:
    """A run of `count` tasks, a microsecond each, that alternate between two threads and operations."""
    at = np.arange(count, dtype=np.uint64)
    u32 = at.astype(np.uint32)
    zeros = np.zeros(count, np.uint64)
    columns = {
        "task": u32,
        "layer": u32 % 2,
        "index": u32,
        "worker": u32 % 2,
        "thread": u32 % 2,
        "op": u32 % 2,
        "start": at * 1000,
        "end": at * 1000 + 1000,
        "bytes": at,
        **dict.fromkeys(("released", "gil", "io", "compile", "spill", "inner"), zeros),
    }
    settings: dict[str, Any] = {
        "start": 0,
        "wall": count * 1000,
        "ok": True,
        "threads": 2,
        "nested": False,
        "planned": count,
        "layers": [
            {"label": label, "tasks": count // 2, "bytes": 0, "python": False, "describe": "", "origin": None}
            for label in ("add", "sin")
        ],
        "failed": [],
        "names": [f"{'add' if i % 2 == 0 else 'sin'}-{i % 2}[{i}]" for i in range(count)],
        "labels": ["add", "sin"],
        "columns": columns,
        "written": [],
        "spills": [],
        "parts": [(0, "pantile-0", 0, None, None), (1, "pantile-1", 0, None, None)],
    }
    settings.update(changes)
    return Run(**settings)


# ---- the numbers ----


@pytest.mark.parametrize("executor", ["sync", "threads"])
def test_the_times_add_up(tmp_path: Path, executor: str) -> None:
    a = made(tmp_path / "r.html", executor=executor).analysis
    assert a is not None
    (run,) = a.runs
    assert sum(a.times.values()) == a.capacity == a.threads * a.wall
    assert a.wall == run.wall <= a.block
    assert a.threads == run.threads
    took = analysis.own_time(run)
    assert a.busy == int(took.sum())
    assert {op.name: op.count for op in a.operations}["negative"] == 4
    assert sum(op.total for op in a.operations) == a.busy
    assert sum(op.count for op in a.operations) == a.tasks == run.planned
    assert {op.name for op in a.operations if op.python} == {"negative"}


def test_runs_add_up_whether_one_after_the_other_or_at_the_same_time(tmp_path: Path) -> None:
    with pantile.report(tmp_path / "r.html") as seen:
        negative_blocks().compute()
        threads = [threading.Thread(target=lambda: negative_blocks(9).compute()) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    a = seen.analysis
    assert a is not None
    assert len(a.runs) == 4
    assert sum(a.times.values()) == a.capacity
    assert sum(r.planned for r in a.runs) == a.tasks
    assert "Run 1: " in (tmp_path / "r.html").read_text()


def test_a_run_inside_a_task_is_not_counted_twice(tmp_path: Path) -> None:
    def inside(b: np.ndarray) -> np.ndarray:
        return b + negative_blocks(50).compute()

    with config.set(executor="sync"), pantile.report(tmp_path / "r.html") as seen:
        da.zeros(2, chunks=2).map_blocks(inside, dtype=float).compute()
    a = seen.analysis
    assert a is not None
    assert sum(a.times.values()) == a.capacity == a.wall
    outer = next(r for r in a.runs if not r.nested)
    assert a.wall == outer.wall
    assert "inside a task" in (tmp_path / "r.html").read_text()


def test_threads_of_runs() -> None:
    def run(start: int, wall: int, threads: int, nested: bool = False) -> Run:
        return synthetic(0, start=start, wall=wall, threads=threads, nested=nested)

    assert analysis.capacity([]) == (0, 0, 0)
    assert analysis.capacity([run(5, 10, 4)]) == (10, 4, 40)
    # The pool is shared; a run on its calling thread alone adds that thread; one inside a task has its task's.
    assert analysis.capacity([run(0, 10, 4), run(5, 10, 4)]) == (15, 4, 60)
    assert analysis.capacity([run(0, 10, 4), run(20, 10, 2)]) == (20, 4, 60)
    assert analysis.capacity([run(0, 10, 4), run(0, 10, 1)]) == (10, 5, 50)
    assert analysis.capacity([run(0, 10, 4), run(2, 3, 4, nested=True)]) == (10, 4, 40)


def test_blocked_functions_wait_for_the_gil_only_while_others_run() -> None:
    layers = [{"label": "f", "tasks": 2, "bytes": 0, "python": True, "describe": "", "origin": None}] * 2
    base = synthetic(2, wall=1000, layers=layers)
    for name, value in (("start", 0), ("end", 1000)):
        base.columns[name] = np.full(2, value, np.uint64)
    # Two functions on one processor's worth of GIL: each ran half of the time.
    base.parts = [(0, "a", 0, 500, 0), (1, "b", 0, 500, 0)]
    assert analysis.python_waits(base) == {0: 500, 1: 500}
    # Waiting for a processor is something else.
    base.parts = [(0, "a", 0, 500, 500), (1, "b", 0, 500, 500)]
    assert analysis.python_waits(base) == {0: 0, 1: 0}
    # Both sleep: nobody held the GIL.
    base.parts = [(0, "a", 0, 0, 0), (1, "b", 0, 0, 0)]
    assert analysis.python_waits(base) == {0: 0, 1: 0}
    # Native tasks have no GIL to wait for.
    base.parts = [(0, "a", 0, 500, 0), (1, "b", 0, 500, 0)]
    base.layers = [{**layer, "python": False} for layer in layers]
    assert analysis.python_waits(base) == {}


# ---- advice ----

MS = 10**6


@pytest.mark.parametrize(
    ("rule", "under", "at", "words"),
    [
        (
            advice.idle,
            {"times": {"compute": 2 * 10**9 + 1, "idle": 2 * 10**9 - 4}, "capacity": 4 * 10**9},
            {"times": {"compute": 2 * 10**9, "idle": 2 * 10**9}},
            "50 % of the threads' time was idle: too few tasks",
        ),
        (
            advice.small_tasks,
            {"runs": [synthetic(1000)], "operations": [Operation("add", False, 1000, 100 * MS)]},
            {"runs": [synthetic(1000)], "operations": [Operation("add", False, 1000, 100 * MS - 1)]},
            "1000 tasks take 100 µs on average: use larger chunks",
        ),
        (
            advice.gil,
            {"times": {"gil": 799 * MS}},
            {"times": {"gil": 800 * MS}},
            "20 % of the threads' time was waiting for the GIL",
        ),
        (advice.spill, {"spilled": 100 * 2**20 - 1}, {"spilled": 100 * 2**20}, "100 MiB were spilled"),
        (
            advice.spill,
            {"times": {"spill": 199 * MS}},
            {"times": {"spill": 200 * MS}},
            "took 5 % of the threads' time: raise memory_limit",
        ),
        (
            advice.compiling,
            {"times": {"compile": 799 * MS}},
            {"times": {"compile": 800 * MS}},
            "20 % .* compiling",
        ),
        (advice.reading, {"times": {"io": 1999 * MS}}, {"times": {"io": 2000 * MS}}, "50 % .* files"),
        (
            advice.straggler,
            {"operations": [Operation("qr", False, 100, 100 * MS, 300 * MS - 1)]},
            {"operations": [Operation("qr", False, 100, 100 * MS, 300 * MS)]},
            "One task of qr took 300 ms, which is 30 % of the whole",
        ),
        (
            advice.crowded,
            {"queued": 799 * MS},
            {"queued": 800 * MS},
            "For 20 % of the time, threads were ready",
        ),
        (advice.outside, {"block": 2 * 10**9 - 1}, {"block": 2 * 10**9}, "50 % of the time lay outside runs"),
    ],
)
def test_rules_begin_at_their_thresholds(rule: Any, under: Any, at: Any, words: str) -> None:
    assert rule in advice.RULES
    assert rule(numbers()) is None
    assert rule(numbers(**under)) is None
    assert re.search(words, rule(numbers(**at)))
    assert re.search(words, " ".join(advice.advise(numbers(**at))))


def test_idle_for_want_of_tasks() -> None:
    a = numbers(times={"compute": 10**9, "idle": 3 * 10**9}, runs=[synthetic(3)])
    assert "no run had as many tasks as there are threads (4)" in str(advice.idle(a))
    assert advice.idle(numbers(times={"idle": 10**9}, capacity=10**9, threads=1)) is None


def test_small_tasks_only_matter_when_there_are_many() -> None:
    a = numbers(runs=[synthetic(999)], operations=[Operation("add", False, 999, 999)])
    assert advice.small_tasks(a) is None


def test_the_gil_names_the_functions() -> None:
    waits = {"io": 0, "spill": 0, "compile": 0}
    named = [
        Operation("mine", True, 1, 1, 1, 0, {**waits, "gil": 5}),
        Operation("add", False, 1, 1, 1, 0, {**waits, "gil": 0}),
    ]
    text = str(advice.gil(numbers(times={"gil": 2 * 10**9}, operations=named)))
    assert "(mine)" in text
    assert "executor='processes'" in text


def test_advice_when_nothing_stands_out() -> None:
    assert advice.advise(numbers()) == ["Nothing stands out: the threads were busy with computing."]
    assert advice.advise(numbers(runs=[])) == ["Nothing was computed."]


# ---- the file ----


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    made(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "{{" not in text
    assert not re.search(r"https?:|@import|url\(|<link[^>]+stylesheet|\bsrc=", text)
    assert os.listdir(tmp_path) == ["r.html"]


def test_an_exception_passes_and_the_report_is_written(tmp_path: Path) -> None:
    def fail(b: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("<b>by nothing</b>")

    seen = pantile.report(tmp_path / "r.html")

    def block() -> None:
        with seen:
            negative_blocks().compute()
            da.ones(4, chunks=2).map_blocks(fail, dtype=float).compute()

    with pytest.raises(ZeroDivisionError):
        block()
    text = (tmp_path / "r.html").read_text()
    assert "ended with ZeroDivisionError: &lt;b&gt;by nothing&lt;/b&gt;" in text
    assert "2, 1 failed" in text
    assert re.search(r"Run 2: [^<]*failed in fail-", text)
    assert seen.analysis is not None
    assert [r.ok for r in seen.analysis.runs] == [True, False]


def test_nothing_computed(tmp_path: Path) -> None:
    with pantile.report(tmp_path / "r.html") as seen:
        pass
    assert seen.analysis is not None
    assert seen.analysis.runs == []
    assert "Nothing was computed." in (tmp_path / "r.html").read_text()


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match="there is no folder"),
        pantile.report(tmp_path / "no" / "r.html"),
    ):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("", ValueError, "empty"),
        (".", IsADirectoryError, "is a folder"),
        ("no/r", FileNotFoundError, "no folder"),
    ],
)
def test_what_cannot_be_a_file_is_said_at_once(name, error, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message), pantile.report(name):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == []


def test_a_file_keeps_its_mode_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "r.html", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path.name)
    made(link)
    assert link.is_symlink()
    assert path.read_text().startswith("<!doctype html>")
    assert path.stat().st_mode & 0o777 == 0o640
    assert {p.name for p in tmp_path.iterdir()} == {"r.html", "link"}


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()), daemon=True)
    reader.start()
    made(path)
    reader.join(30)
    assert read[0].startswith("<!doctype html>")
    assert path.is_fifo()


def test_the_old_file_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reporting.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        made(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["r.html"]
    # What the block raised matters more.
    with pytest.raises(KeyError) as caught, pantile.report(path):
        raise KeyError("mine")
    assert "could not be written" in caught.value.__notes__[0]


def test_a_report_at_a_time(tmp_path: Path) -> None:
    seen = pantile.report(tmp_path / "r.html")
    with seen, pytest.raises(RuntimeError, match="being made already"), seen:
        pass
    with pantile.report(tmp_path / "a.html") as outer, pantile.report(tmp_path / "b.html") as inner:
        negative_blocks().compute()
    assert outer.analysis is not None
    assert inner.analysis is not None
    assert outer.analysis.tasks == inner.analysis.tasks


def test_equal_plans_are_shown_once(tmp_path: Path) -> None:
    x = negative_blocks()
    with pantile.report(tmp_path / "r.html"):
        for _ in range(3):
            x.compute()
        (x + 1).compute()
        x.compute()
    assert "Runs 1 to 3, 5: " in (tmp_path / "r.html").read_text()


def test_tasks_inside_tasks_get_rows_of_their_own() -> None:
    start = np.array([0, 10, 12, 20, 50])
    end = np.array([40, 15, 14, 30, 60])
    assert reporting.depths(start, end).tolist() == [0, 1, 2, 1, 0]
    assert reporting.depths(np.array([0, 10]), np.array([10, 20])).tolist() == [0, 0]


def test_threads_are_sorted_as_people_count() -> None:
    names = ["pantile-10", "main", "pantile-9", "python 77"]
    assert sorted(names, key=reporting._natural) == ["main", "pantile-9", "pantile-10", "python 77"]


# ---- in a browser ----


def test_a_missing_browser_fails_where_it_must_not_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"install-system\.sh browser"):
        browser.program()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="there is no Chromium"):
        browser.program()


def test_the_page_shows_what_was_measured(tmp_path: Path) -> None:
    def slow(b: np.ndarray) -> np.ndarray:
        time.sleep(0.004)
        return b

    slow.__name__ = "<script>document.title='taken over'</script>"
    path = tmp_path / "r.html"
    with pantile.report(path, title="Means & <i>ends</i>") as seen:
        da.from_array(np.ones((8, 8)), chunks=4).map_blocks(slow, dtype=float).sum().compute()
        negative_blocks(6).compute()
    a = seen.analysis
    assert a is not None
    with Browser() as page:
        page.open(path, READY)
        assert page.get("document.title") == "Means & <i>ends</i>"
        assert page.get("document.querySelector('h1').textContent") == "Means & <i>ends</i>"
        # The numbers of the bar, and the table.
        shown = page.get(
            "[...document.querySelectorAll('.times tbody td[data-value]')].map((c) => +c.dataset.value)"
        )
        assert dict(zip(KINDS, shown, strict=True)) == a.times
        assert (
            page.get("+document.querySelector('.times tfoot td').dataset.value") == sum(shown) == a.capacity
        )
        # Each task, as it was measured.
        assert page.get("report.meta.count") == a.tasks
        found = page.get("Array.from({length: report.meta.count}, (_, i) => report.task(i))")
        expected = [
            (name, run.start + int(begin), int(end - begin), int(size), number)
            for number, run in enumerate(a.runs)
            for name, begin, end, size in zip(
                run.names, run.columns["start"], run.columns["end"], run.columns["bytes"], strict=True
            )
        ]
        assert sorted((t["name"], t["start"], t["length"], t["bytes"], t["run"]) for t in found) == sorted(
            expected
        )
        # Hovering over the longest task.
        longest = max(range(len(found)), key=lambda i: found[i]["length"])
        spot = page.get(f"report.place({longest})")
        page.mouse("Moved", spot["x"], spot["y"])
        tip = page.get("document.getElementById('tip').innerText")
        assert found[longest]["name"] in tip
        assert f"{found[longest]['length'] / 1e6:.1f} ms" in tip
        assert f"{found[longest]['bytes']} B made" in tip
        # The wheel zooms around the pointer.
        before = page.get("report.view")
        page.mouse("Wheel", spot["x"], spot["y"], deltaX=0, deltaY=-400)
        view = page.get("report.view")
        assert view["to"] - view["from"] < 0.7 * (before["to"] - before["from"])
        again = page.get(f"report.place({longest})")
        assert abs(again["x"] - spot["x"]) < 1
        # Dragging pans by as much as the mouse moved.
        page.mouse("Pressed", 600, spot["y"], button="left", clickCount=1)
        page.mouse("Moved", 560, spot["y"], button="left", buttons=1)
        page.mouse("Released", 560, spot["y"], button="left")
        panned = page.get("report.view")
        width = page.get("document.getElementById('stream').clientWidth") - 106
        moved = min(40 / width * (view["to"] - view["from"]), before["to"] - view["to"])
        assert panned["from"] - view["from"] == pytest.approx(moved, rel=1e-3, abs=1)
        page.get("document.getElementById('zoom-all').click()")
        assert page.get("report.view") == before
        # Sorting by the number of tasks.
        column = (
            "[...document.querySelectorAll('#operations tbody tr')].map((r) => +r.cells[1].dataset.value)"
        )
        page.get("document.querySelectorAll('#operations thead button')[1].click()")
        assert page.get(column) == sorted((op.count for op in a.operations), reverse=True)
        page.get("document.querySelectorAll('#operations thead button')[1].click()")
        assert page.get(column) == sorted(op.count for op in a.operations)
        assert page.get("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "ascending"
        assert page.errors == []
        assert page.requests == [path.as_uri()]


def test_two_hundred_thousand_tasks_stay_usable(tmp_path: Path) -> None:
    count = 200_000
    run = synthetic(count)
    operations = [Operation(name, False, count // 2, count * 500, 1000) for name in ("add", "sin")]
    a = numbers(runs=[run], operations=operations, wall=run.wall, block=run.wall)
    path = tmp_path / "r.html"
    path.write_text(reporting.page(a, [], 0.0, "many"))
    assert path.stat().st_size < 6 << 20
    with Browser(dark=True) as page:
        page.open(path, READY)
        assert page.get("report.meta.count") == count
        # Drawn as pixels while there are more tasks than these, and one by one when there is room.
        width = page.get("document.getElementById('stream').clientWidth")
        assert 0 < page.get("report.drawn()") <= 2 * width
        page.get("report.look(50e6, 50e6 + 20000)")
        page.mouse("Moved", 5, 5)
        assert page.get("report.drawn()") in range(18, 24)
        # Rows are one after the other: the 25 000th task of the first thread began at 50 ms.
        assert page.get("report.task(25000)") == {
            "name": "add-0[50000]",
            "operation": "add",
            "start": 50_000_000,
            "length": 1000,
            "bytes": 50_000,
            "run": 0,
            "gil": 0,
            "io": 0,
        }
        spot = page.get("report.place(25005)")
        page.mouse("Moved", spot["x"], spot["y"])
        assert "add-0[50010]" in page.get("document.getElementById('tip').innerText")
        assert page.errors == []
