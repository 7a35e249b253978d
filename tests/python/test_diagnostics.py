"""Callbacks, profilers, recordings, bars in notebooks: each task once, waits where they belong, nothing unwatched."""

from __future__ import annotations

import io
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pantile.array as da
import pytest
from pantile import _native, config
from pantile.diagnostics import CacheProfiler, Callback, Profiler, ProgressBar, ResourceProfiler
from pantile.diagnostics.analysis import read
from pantile.diagnostics.profile import columns, operations

from tests.python.helpers import check


class Recorded:
    """The runs of a ``with`` block."""

    def __enter__(self) -> Recorded:
        self._recorder = _native.Recorder()
        self._number = _native.watch(self._recorder)
        return self

    def __exit__(self, *args: object) -> None:
        _native.unwatch(self._number)
        self.runs = self._recorder.take()


def blocks(n: int = 4) -> da.Array:
    """A sum over blocks that Python makes."""
    return da.from_array(np.arange(2.0 * n), chunks=2).map_blocks(lambda b: b + 1, dtype=float).sum()


# ---- recordings ----


@pytest.mark.parametrize("executor", ["sync", "threads"])
def test_every_task_is_recorded_once(executor: str) -> None:
    with config.set(executor=executor), Recorded() as seen:
        check(blocks(), 36.0)
    (run,) = seen.runs
    c = columns(run)
    assert run.ok
    assert not run.nested
    assert sorted(c["task"].tolist()) == list(range(run.tasks))
    assert (c["start"] <= c["end"]).all()
    assert c["end"].max() <= run.wall_ns
    assert (np.diff(c["start"].astype(np.int64)) >= 0).all()
    assert len(set(run.names())) == run.tasks
    assert sum(layer["tasks"] for layer in run.layers) == run.tasks
    threads = {part[0] for part in run.parts}
    assert set(c["thread"].tolist()) == threads
    assert len(threads) <= run.threads + 1
    assert run.threads == (1 if executor == "sync" else config.get("num_threads"))
    if executor == "sync":
        assert threads == {run.parts[0][0]}
        assert (c["worker"] == 0).all()


def test_nothing_is_recorded_when_nobody_watches() -> None:
    recorder = _native.Recorder()
    number = _native.watch(recorder)
    blocks().compute()
    assert len(recorder.take()) == 1
    assert _native.unwatch(number)
    assert not _native.unwatch(number)
    blocks().compute()
    assert recorder.take() == []


def test_what_each_operation_is() -> None:
    with Recorded() as seen:
        blocks(3).compute()
    (run,) = seen.runs
    labels, which = operations(run)
    counts = dict(zip(labels, np.bincount(which).tolist(), strict=True))
    assert counts["<lambda>"] == 3
    assert sum(counts.values()) == run.tasks
    assert {layer["label"] for layer in run.layers if layer["python"]} == {"<lambda>"}


def test_sizes_are_those_of_the_values() -> None:
    with Recorded() as seen:
        da.from_array(np.ones(6), chunks=2).map_blocks(np.negative, dtype=float).persist()
    (run,) = seen.runs
    named = zip(run.names(), columns(run)["bytes"].tolist(), strict=True)
    assert [size for name, size in named if name.startswith("negative")] == [16, 16, 16]


def test_a_failed_run_names_the_task() -> None:
    def fail(b: np.ndarray) -> np.ndarray:
        if b[0] == 2:
            raise ZeroDivisionError
        return b

    with config.set(executor="sync"), Recorded() as seen, pytest.raises(ZeroDivisionError):
        da.arange(6, chunks=2).map_blocks(fail, dtype=int).compute()
    (run,) = seen.runs
    assert not run.ok
    ((name, began),) = run.failed
    assert name.startswith("fail")
    assert 0 <= began <= run.wall_ns
    assert name not in run.names()
    assert len(run.names()) < run.tasks


def test_a_run_inside_a_task_is_recorded_apart() -> None:
    def inside(b: np.ndarray) -> np.ndarray:
        return b + da.ones(4, chunks=2).map_blocks(np.negative, dtype=float).sum().compute()

    with config.set(executor="sync"), Recorded() as seen:
        check(da.zeros(2, chunks=2).map_blocks(inside, dtype=float), np.full(2, -4.0))
    inner, outer = seen.runs
    assert (inner.nested, outer.nested) == (True, False)
    took = columns(inner)
    spent = int((took["end"] - took["start"]).sum())
    assert int(columns(outer)["inner"].sum()) == spent
    names = outer.names()
    at = next(i for i, name in enumerate(names) if name.startswith("inside"))
    assert columns(outer)["inner"][at] == spent


def test_runs_at_the_same_time_do_not_mix() -> None:
    sizes = [3, 5, 7, 9]
    with Recorded() as seen:
        threads = [threading.Thread(target=lambda n=n: blocks(n).compute()) for n in sizes]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    found = []
    for run in seen.runs:
        assert sorted(columns(run)["task"].tolist()) == list(range(run.tasks))
        found.append(next(layer["tasks"] for layer in run.layers if layer["python"]))
    assert sorted(found) == sizes


class Slow:
    """Something that slices, slowly."""

    shape = (4,)
    dtype = np.dtype("f8")
    ndim = 1

    def __getitem__(self, key: Any) -> np.ndarray:
        time.sleep(0.002)
        return np.ones(4)[key]


def test_reading_is_attributed_to_the_tasks_that_read() -> None:
    with config.set(executor="sync"), Recorded() as seen:
        check(da.from_array(Slow(), chunks=2).sum(), 4.0)
    (run,) = seen.runs
    c = columns(run)
    assert int(c["io"].sum()) >= 4_000_000
    took = (c["end"] - c["start"]).astype(np.int64)
    for kind in ("io", "gil", "compile", "spill"):
        assert (c[kind].astype(np.int64) <= took).all()


def test_native_reading_and_writing_count(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.ones((256, 256)))
    with Recorded() as seen:
        da.to_npy(tmp_path / "out.npy", da.from_npy(tmp_path / "in.npy", chunks=64) + 1)
    (run,) = seen.runs
    labels, which = operations(run)
    io_of = np.bincount(which, columns(run)["io"].astype(float), len(labels))
    assert io_of[labels.index("store")] > 0


def test_waiting_for_the_gil_is_seen() -> None:
    stop = threading.Event()

    def hold() -> None:
        while not stop.is_set():
            sum(range(2000))

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        with Recorded() as seen:
            blocks(8).compute()
    finally:
        stop.set()
        holder.join()
    (run,) = seen.runs
    c = columns(run)
    python = np.array([layer["python"] for layer in run.layers])[c["layer"]]
    assert int(c["gil"][python].sum()) > 0
    assert not c["gil"][~python].any()


def test_compiling_belongs_to_the_task_that_needs_the_kernel() -> None:
    before = _native.kernel_stats()["compiled"]
    constant = time.time()
    x = da.from_array(np.ones(400_000), chunks=100_000)
    with Recorded() as seen:
        # A constant that no kernel was made for yet would not be enough: constants may be arguments. The combination is new.
        (da.hypot(da.sin(x) * 3 + da.exp(x), da.log1p(x)) - constant).max().compute()
    (run,) = seen.runs
    compiled = _native.kernel_stats()["compiled"] - before
    times = columns(run)["compile"]
    assert compiled > 0
    assert int((times > 0).sum()) == compiled


def test_spilling_is_seen(tmp_path: Path) -> None:
    y = da.random.default_rng(1).random((4000, 4000), chunks=500).cumsum(axis=0)
    _native.trim_pool(0)
    # A limit of which 40 MiB are left beside what the process holds.
    probe = 1 << 50
    limit = (probe - probe // 20 - _native.memory_left(probe) + (40 << 20)) * 20 // 19
    with config.set(memory_limit=limit, spill_dir=tmp_path), Recorded() as seen:
        ((y - y.mean()) * 2).sum(axis=1).compute()
    (run,) = seen.runs
    out = [size for _, size, is_out, _ in run.spills if is_out]
    assert out
    assert len(run.written) >= len(out)
    assert all(start <= end <= run.wall_ns for _, start, end, _ in run.written)
    # What came back was read by a task, which waited for it.
    if any(not is_out for _, _, is_out, _ in run.spills):
        assert int(columns(run)["spill"].sum()) > 0


# ---- Profiler, CacheProfiler, ResourceProfiler ----


def test_profiler() -> None:
    prof = Profiler()
    with prof:
        blocks().compute()
        blocks(2).compute()
    results = prof.results
    with Recorded() as seen:
        blocks().compute()
        blocks(2).compute()
    assert len(results) == sum(run.tasks for run in seen.runs)
    assert prof.start_time is not None
    assert prof.end_time is not None
    for r in results:
        assert prof.start_time <= r.start_time <= r.end_time <= prof.end_time
        assert isinstance(r.worker_id, int)
    assert sum(r.task == "<lambda>" for r in results) == 6
    assert "&lt;lambda&gt;" in prof._repr_html_()
    assert prof.results is results
    prof.clear()
    assert prof.results == []
    with prof:
        pass
    assert prof.results == []


def test_profiler_keeps_what_ran_before_an_exception() -> None:
    def fail(b: np.ndarray) -> np.ndarray:
        if b[0]:
            raise ValueError("no")
        return b

    with config.set(executor="sync"), Profiler() as prof, pytest.raises(ValueError, match="no"):
        da.arange(4, chunks=2).map_blocks(fail, dtype=int).compute()
    assert sum(r.task == "fail" for r in prof.results) == 1


def test_register_and_unregister() -> None:
    prof = Profiler()
    prof.register()
    prof.register()
    try:
        blocks().compute()
    finally:
        prof.unregister()
    with pytest.raises(KeyError, match="not registered"):
        prof.unregister()
    count = len(prof.results)
    blocks().compute()
    assert len(prof.results) == count > 0


def test_a_profile_is_saved_as_a_page(tmp_path: Path) -> None:
    with Profiler() as prof:
        blocks().compute()
    prof.save(tmp_path / "profile.html")
    text = (tmp_path / "profile.html").read_text()
    assert "&lt;lambda&gt;" in text
    assert "<lambda>" not in text


def test_cache_profiler() -> None:
    with (
        config.set(executor="sync"),
        CacheProfiler() as count,
        CacheProfiler("bytes") as size,
        Profiler() as prof,
    ):
        blocks(3).compute()
    ended = {r.key: r.end_time for r in prof.results}
    assert {r.key for r in count.results} == ended.keys()
    assert all(r.metric == 1 for r in count.results)
    last = max(ended.values())
    for r in count.results:
        assert r.cache_time == pytest.approx(ended[r.key], abs=1e-9)
        assert r.cache_time <= r.free_time
    # A block is let go of when the task that takes it ends.
    blocks_of = [r for r in count.results if r.task == "<lambda>"]
    assert all(any(r.free_time == pytest.approx(t, abs=1e-9) for t in ended.values()) for r in blocks_of)
    assert all(r.free_time <= last + 1e-9 for r in blocks_of)
    assert [r.metric for r in size.results if r.task == "<lambda>"] == [16, 16, 16]


def test_cache_profiler_with_a_function() -> None:
    def first(value: Any) -> float:
        return float(value.flat[0]) if isinstance(value, np.ndarray) else -1.0

    with CacheProfiler(first) as kept:
        blocks(3).compute()
        blocks(2).compute()
    assert sorted(r.metric for r in kept.results if r.task == "<lambda>") == [1, 1, 3, 3, 5]
    assert kept._metric_name == "first"
    with pytest.raises(TypeError, match="metric must be a function"):
        CacheProfiler("mass")


def test_resource_profiler() -> None:
    with ResourceProfiler(dt=0.01) as used:
        time.sleep(0.05)
        live = len(used.results)
    assert live >= 2
    assert len(used.results) > live - 1
    times = [r.time for r in used.results]
    assert times == sorted(times)
    assert used.start_time <= times[0] <= times[-1] <= used.end_time
    assert all(r.mem > 1 for r in used.results)
    assert all(r.cpu >= 0 for r in used.results)
    with pytest.raises(ValueError, match="dt must be"):
        ResourceProfiler(dt=0)


def test_a_registered_resource_profiler_looks_during_runs_only() -> None:
    used = ResourceProfiler(dt=0.005)
    used.register()
    try:
        assert used.results == []
        blocks().compute()
        count = len(used.results)
        time.sleep(0.03)
        assert len(used.results) == count >= 2
    finally:
        used.unregister()


# ---- Callback ----


def test_callbacks_are_called_in_order() -> None:
    calls: list[tuple[Any, ...]] = []
    callback = Callback(
        start=lambda graph: calls.append(("start", len(graph))),
        start_state=lambda graph, state: calls.append(
            ("state", len(state["finished"]), len(state["waiting"]))
        ),
        pretask=lambda key, graph, state: calls.append(("pre", key)),
        posttask=lambda key, value, graph, state, worker: calls.append(("post", key, value, worker)),
        finish=lambda graph, state, failed: calls.append(("finish", state.done, state.tasks, failed)),
    )
    with callback:
        check(blocks(3), 21.0)
    blocks(3).compute()
    tasks = calls[0][1]
    assert calls[:2] == [("start", tasks), ("state", 0, tasks)]
    assert calls[-1] == ("finish", tasks, tasks, False)
    before = [c[1] for c in calls if c[0] == "pre"]
    after = [c[1] for c in calls if c[0] == "post"]
    assert sorted(before) == sorted(after)
    assert len(set(before)) == tasks
    assert all(
        calls.index(("pre", key)) < next(i for i, c in enumerate(calls) if c[:2] == ("post", key))
        for key in after
    )
    values = sorted(float(c[2][0]) for c in calls if c[0] == "post" and c[1].startswith("<lambda>"))
    assert values == [1.0, 3.0, 5.0]


def test_a_graph_maps_names_to_operations() -> None:
    graphs: list[Any] = []
    with Callback(start=graphs.append):
        blocks(2).compute()
    (graph,) = graphs
    keys = list(graph)
    assert len(keys) == len(graph) == len(set(keys))
    assert [graph[k] for k in keys].count("<lambda>") == 2
    assert keys[0] in graph
    assert "nothing" not in graph
    with pytest.raises(KeyError):
        graph["nothing"]


def test_values_cannot_be_written_to() -> None:
    seen = []

    def posttask(key: str, value: Any, graph: Any, state: Any, worker: int) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            seen.append(value.flags.writeable)

    with Callback(posttask=posttask):
        blocks().compute()
    assert seen
    assert not any(seen)


def test_methods_of_a_subclass() -> None:
    class Counting(Callback):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def _posttask(self, key: str, value: Any, graph: Any, state: Any, worker: int) -> None:
            self.count += 1

    with Counting() as counting, Profiler() as prof:
        blocks().compute()
    assert counting.count == len(prof.results)


def test_callbacks_never_overlap() -> None:
    inside = 0

    def pretask(key: str, graph: Any, state: Any) -> None:
        nonlocal inside
        inside += 1
        time.sleep(0.0005)  # Gives the GIL up.
        assert inside == 1
        inside -= 1

    with config.set(num_threads=4), Callback(pretask=pretask):
        check(blocks(20), 820.0)


@pytest.mark.parametrize("executor", ["sync", "threads"])
@pytest.mark.parametrize("where", ["start", "pretask", "posttask", "finish"])
def test_a_callback_that_fails_stops_the_run(where: str, executor: str) -> None:
    ended = []

    def fail(*args: Any) -> None:
        raise LookupError(where)

    ran = []
    x = da.from_array(np.zeros(200), chunks=1).map_blocks(lambda b: ran.append(1) or b, dtype=float)
    with config.set(executor=executor):
        finish = Callback(finish=lambda *args: ended.append(args[2]))
        with finish, Callback(**{where: fail}), pytest.raises(LookupError, match=where):
            x.compute()
        if where == "start":
            assert not ran
        elif where != "finish":
            assert len(ran) < 200
        # `finish` is told, whatever failed.
        assert len(ended) == 1
        assert ended[0] == (where != "finish")
        check(blocks(), 36.0)


def test_finish_is_told_of_a_failed_task() -> None:
    def fail(b: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    ended = []
    with Callback(finish=lambda graph, state, failed: ended.append(failed)), pytest.raises(ZeroDivisionError):
        da.ones(4, chunks=2).map_blocks(fail, dtype=float).compute()
    assert ended == [True]


def test_only_the_outermost_run_has_callbacks() -> None:
    starts = []

    def inside(b: np.ndarray) -> np.ndarray:
        return b + blocks(2).compute()

    def start(graph: Any) -> None:
        starts.append(len(graph))
        blocks(3).compute()

    with Callback(start=start):
        da.zeros(2, chunks=2).map_blocks(inside, dtype=float).compute()
        da.zeros(2, chunks=2).map_blocks(inside, dtype=float).compute()
    assert len(starts) == 2


def test_registering_callbacks() -> None:
    calls = []
    callback = Callback(start=calls.append)
    callback.register()
    Callback(start=calls.append).register()  # The same function: registered already.
    try:
        assert callback._callback in Callback.active
        blocks().compute()
    finally:
        callback.unregister()
    assert not Callback.active
    with pytest.raises(KeyError):
        callback.unregister()
    blocks().compute()
    assert len(calls) == 1
    with pytest.raises(TypeError, match="pretask must be a function"):
        Callback(pretask=3)


# ---- ProgressBar ----


def test_progress_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, html: Any) -> None:
            shown.append(html)

    def display(html: Any, display_id: bool) -> Handle:
        assert display_id
        shown.append(html)
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = type("ZMQInteractiveShell", (), {})  # type: ignore[attr-defined]
    module = types.ModuleType("IPython.display")
    module.HTML = str  # type: ignore[attr-defined]
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    with ProgressBar(dt=0.01):
        blocks().compute()
    assert 'aria-valuenow="100"' in shown[-1]
    assert "in all" in shown[-1]
    assert "<script" not in shown[-1]

    def fail(b: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    with ProgressBar(dt=0.01), pytest.raises(ZeroDivisionError):
        da.ones(4, chunks=2).map_blocks(fail, dtype=float).compute()
    assert "ZeroDivisionError" in shown[-1]


def test_a_bar_shows_the_outermost_run_only() -> None:
    screen = io.StringIO()

    def inside(b: np.ndarray) -> np.ndarray:
        return b + blocks(2).compute()

    with ProgressBar(out=screen, force=True):
        da.zeros(2, chunks=2).map_blocks(inside, dtype=float).compute()
    assert screen.getvalue().count("in all") == 1


def test_times_are_those_of_perf_counter() -> None:
    before = time.perf_counter()
    with Recorded() as seen:
        blocks().compute()
    after = time.perf_counter()
    (run,) = seen.runs
    # The two clocks are compared once, a reading apart.
    assert before - 1e-3 <= run.began <= after + 1e-3
    assert run.began + run.wall_ns * 1e-9 <= after + 1e-3
    assert read(run, before).start >= 0
