"""`pantile.futures.Executor`: what `concurrent.futures` promises, on threads and on processes."""

from __future__ import annotations

import concurrent.futures
import functools
import gc
import math
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pantile.futures import Executor

KINDS = ["threads", "processes"]


@pytest.fixture(params=KINDS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with Executor(2, kind=request.param) as executor:
        yield executor


def test_submit(executor: Executor) -> None:
    future = executor.submit(divmod, 7, 2)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result() == (3, 1)
    assert executor.submit(dict, fn=1, self=2).result() == {"fn": 1, "self": 2}
    with pytest.raises(TypeError):
        executor.submit()  # type: ignore[call-arg]


def test_map_keeps_the_order(executor: Executor) -> None:
    assert list(executor.map(pow, range(20), range(20))) == [i**i for i in range(20)]
    assert list(executor.map(pow, range(20), [2] * 7)) == [i**2 for i in range(7)]
    assert list(executor.map(abs, [])) == []


@pytest.mark.parametrize("chunksize", [1, 2, 7, 100])
def test_map_in_chunks(executor: Executor, chunksize: int) -> None:
    assert list(executor.map(pow, range(20), range(20), chunksize=chunksize)) == [i**i for i in range(20)]
    offset = 3
    assert list(executor.map(lambda x: x + offset, range(5), chunksize=chunksize)) == [3, 4, 5, 6, 7]


def test_map_checks_its_chunks(executor: Executor) -> None:
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(abs, [1], chunksize=0)


def test_an_exception_comes_in_its_place(executor: Executor) -> None:
    results = executor.map(divmod, [1, 1, 1], [1, 0, 1])
    assert next(results) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_timeouts(executor: Executor) -> None:
    with pytest.raises(concurrent.futures.TimeoutError):
        list(executor.map(time.sleep, [0, 0.4], timeout=0.1))
    with pytest.raises(concurrent.futures.TimeoutError):
        executor.submit(time.sleep, 0.3).result(timeout=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_not_begun_can_be_cancelled(kind: str) -> None:
    with Executor(1, kind=kind) as executor:
        first = executor.submit(time.sleep, 0.3)
        second = executor.submit(time.sleep, 60)
        assert second.cancel()
        while not first.running():
            time.sleep(0.001)
        assert not first.cancel()
    assert second.cancelled()
    assert first.result() is None


@pytest.mark.parametrize("kind", KINDS)
def test_shutdown(kind: str) -> None:
    executor = Executor(1, kind=kind)
    first, *others = [executor.submit(time.sleep, 0.2) for _ in range(5)]
    while not first.running():
        time.sleep(0.001)
    executor.shutdown(cancel_futures=True)
    assert first.result() is None
    assert all(f.cancelled() for f in others)
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(abs, 1)
    waiting = Executor(1, kind=kind)
    future = waiting.submit(math.sqrt, 4.0)
    waiting.shutdown(wait=False)
    assert future.result() == 2.0


def initialize(value: str) -> None:
    os.environ["PANTILE_TEST_INITIALIZED"] = value


def initialized() -> str | None:
    return os.environ.get("PANTILE_TEST_INITIALIZED")


def die() -> None:
    os._exit(1)


def fail() -> None:
    raise ValueError("initializer")


def test_each_worker_is_initialized_also_those_that_replace_others() -> None:
    with Executor(2, kind="processes", initializer=initialize, initargs=("yes",)) as executor:
        assert set(executor.map(lambda _: initialized(), range(10))) == {"yes"}
        assert isinstance(executor.submit(die).exception(), RuntimeError)
        assert executor.submit(initialized).result() == "yes"
    with Executor(1, kind="processes") as executor:
        assert executor.submit(initialized).result() is None
    assert initialized() is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_initializer_that_fails_breaks_the_executor(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with Executor(1, kind=kind, initializer=fail) as executor:
        future = executor.submit(abs, 1)
        with pytest.raises(concurrent.futures.BrokenExecutor):
            future.result()
        with pytest.raises(concurrent.futures.BrokenExecutor):
            executor.submit(abs, 1)
    assert "ValueError: initializer" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_an_executor_that_nobody_has_goes_with_its_threads(kind: str) -> None:
    executor = Executor(2, kind=kind)
    assert executor.submit(abs, -1).result() == 1
    reference = weakref.ref(executor)
    before = threading.active_count()
    del executor
    gc.collect()
    assert reference() is None
    end = time.monotonic() + 10
    while threading.active_count() >= before and time.monotonic() < end:
        time.sleep(0.001)
    assert threading.active_count() < before


class Thing:
    pass


def make(_: Any) -> Thing:
    return Thing()


@pytest.mark.parametrize("chunksize", [1, 4])
def test_results_are_not_held(executor: Executor, chunksize: int) -> None:
    for thing in executor.map(make, range(8), chunksize=chunksize):
        reference = weakref.ref(thing)
        del thing
        gc.collect()
        assert reference() is None


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="choose 'threads' or 'processes'"):
        Executor(1, kind="fork")
    for kind in KINDS:
        with pytest.raises(ValueError, match="max_workers"):
            Executor(0, kind=kind)
        with pytest.raises(TypeError, match="initializer"):
            Executor(1, kind=kind, initializer=3)  # type: ignore[arg-type]


def test_wait_and_as_completed(executor: Executor) -> None:
    slow, quick = executor.submit(time.sleep, 0.2), executor.submit(abs, -2)
    done, pending = concurrent.futures.wait([slow, quick], return_when="FIRST_COMPLETED")
    assert quick in done
    assert pending == {slow}
    assert list(concurrent.futures.as_completed([slow, quick]))[-1] is slow


def test_streams_of_arrays(executor: Executor) -> None:
    total = sum(float(x.sum()) for x in executor.map(functools.partial(np.full, 20_000), range(30)))
    assert total == 20_000 * sum(range(30))


def spread(depth: int) -> set[int]:
    if depth == 0:
        return {os.getpid()}
    with Executor(3, kind="processes") as executor:
        return set().union(*executor.map(spread, [depth - 1] * 3))


def test_executors_within_workers_start_no_processes() -> None:
    with Executor(2, kind="processes") as executor:
        inner = executor.submit(spread, 2).result()
    assert len(inner) == 1


EXIT = """
import sys, time
from pantile.futures import Executor
def late(x):
    time.sleep(0.2)
    print("done", x)
executor = Executor(1, kind=sys.argv[1])
for i in range(2):
    executor.submit(late, i)
print("end of the program", flush=True)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_submitted_is_done_before_the_interpreter_ends(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXIT, kind],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines() == ["end of the program", "done 0", "done 1"], done.stderr
    assert done.stderr == ""
