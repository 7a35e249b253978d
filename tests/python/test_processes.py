"""Functions in worker processes: what can be sent, what comes back, and what goes through the socket."""

from __future__ import annotations

import dataclasses
import functools
import gc
import math
import operator
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pantile import _native

# Functions of this module are sent by name: workers have this process' module path.


def call(function: Callable[..., Any], *args: Any, workers: int = 2, **kwargs: Any) -> Any:
    return _native.call_in_process(function, args, kwargs or None, workers)


def echo(*args: Any) -> Any:
    return args


def double(x: np.ndarray) -> np.ndarray:
    return x * 2


def own_pid() -> int:
    return os.getpid()


@pytest.fixture
def fresh() -> Iterator[_native.WorkerPool]:
    """Workers of this test alone."""
    pool = _native.WorkerPool()
    yield pool
    pool.close()


def since(before: dict[str, Any]) -> dict[str, int]:
    now = _native.process_stats()
    return {name: now[name] - before[name] for name in now if name != "pids"}


def test_runs_in_another_process_that_is_kept() -> None:
    first = call(own_pid)
    assert first != os.getpid()
    assert call(own_pid) == first
    assert first in _native.process_stats()["pids"]


VALUES = [
    None,
    -(10**40),
    "text",
    b"bytes" * 50_000,
    [1, {"a": (2.5, {3, 4})}],
    np.float32(1.5),
    np.arange(12).reshape(3, 4)[:, ::2],
    np.asfortranarray(np.arange(20_000.0).reshape(100, 200)),
    np.arange(30_000.0)[::-1],
    np.zeros((0, 5)),
    np.array(["a", "bc"]),
    np.array([None, "x"], dtype=object),
    np.array(["2020-01-01"] * 20_000, dtype="M8[D]"),
    np.arange(3, dtype=">i4"),
    np.array(3.0),
    np.array((1, 2.5), dtype=[("a", "i4"), ("b", "f8")]),
    np.array("2020-01-01", dtype="M8[D]"),
    np.array(None, dtype=object),
]


@pytest.mark.parametrize("value", VALUES, ids=[f"{i}" for i in range(len(VALUES))])
def test_values_come_back_equal(value: Any) -> None:
    (back,) = call(echo, value)
    assert type(back) is type(value)
    np.testing.assert_array_equal(back, value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert back.flags.writeable


def test_arrays_without_dimensions_can_be_computed_with() -> None:
    x = np.array(3.0)
    assert call(lambda: np.array(4.0)).shape == ()
    (back, again), base = call(lambda x: ([x, x], x + 1), x)
    assert back is again
    assert base == 4.0


def test_masked_arrays_come_back_with_their_mask() -> None:
    for x in (np.ma.array([1, 2, 3], mask=[0, 1, 0], fill_value=7), np.ma.array(1.5, mask=True)):
        (back,) = call(echo, x)
        assert type(back) is np.ma.MaskedArray
        assert back.fill_value == x.fill_value
        np.testing.assert_array_equal(back.mask, x.mask)
        np.testing.assert_array_equal(back.filled(), x.filled())


def test_arrays_that_are_read_only_stay_so() -> None:
    x = np.arange(100_000.0)
    x.flags.writeable = False
    (back,) = call(echo, x)
    assert not back.flags.writeable


def test_arrays_do_not_go_through_the_socket(fresh: _native.WorkerPool) -> None:
    x = np.arange(1_250_000.0)
    _native.call_in_process(double, (x,), None, 1, fresh)
    before = _native.process_stats()
    result = _native.call_in_process(double, (x,), None, 1, fresh)
    used = since(before)
    assert used["shared_bytes"] == 2 * x.nbytes
    assert used["socket_bytes"] < 2000
    # Zero-copy and writable: the result lives in the segment.
    owner = result
    while isinstance(owner, (np.ndarray, memoryview, pickle.PickleBuffer)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    assert type(owner).__name__ == "Segment"
    result += 1
    np.testing.assert_array_equal(result, x * 2 + 1)


def test_large_pickles_go_through_shared_memory_too() -> None:
    before = _native.process_stats()
    (back,) = call(echo, b"x" * 3_000_000)
    assert len(back) == 3_000_000
    assert since(before)["socket_bytes"] < 3000


def test_segments_are_used_again_and_go_with_their_results(fresh: _native.WorkerPool) -> None:
    x = np.ones(200_000)
    before = _native.process_stats()
    for _ in range(30):
        assert _native.call_in_process(double, (x,), None, 1, fresh)[-1] == 2
    assert since(before)["segments_mapped"] <= 3
    kept = [_native.call_in_process(double, (x + i,), None, 1, fresh) for i in range(10)]
    # None of these is filled again while it is looked at.
    assert [r[7] for r in kept] == [2 * (i + 1) for i in range(10)]
    assert since(before)["segments_mapped"] >= 10
    fresh.close()
    assert [r[7] for r in kept] == [2 * (i + 1) for i in range(10)]
    del kept
    gc.collect()
    assert since(before)["segments_mapped"] == 0


def test_many_arrays_at_once() -> None:
    arrays = [np.full(9000, i) for i in range(400)]
    back = call(echo, *arrays)
    assert [int(b[-1]) for b in back] == list(range(400))


def test_memory_that_nobody_needs_is_given_back(fresh: _native.WorkerPool) -> None:
    before = _native.process_stats()
    kept = [_native.call_in_process(np.ones, (4_000_000,), None, 1, fresh) for _ in range(12)]
    assert since(before)["segments_mapped"] == 12
    del kept
    # 384 MB were received; what stays mapped for reuse has a limit for the whole process.
    assert _native.process_stats()["cached_bytes"] <= 256 << 20
    assert since(before)["segments_mapped"] < 12


def sent_by_value() -> list[tuple[Callable[..., Any], tuple[Any, ...], Any]]:
    factor = 3

    def inner(x: int) -> int:
        return x * factor

    return [
        (lambda x: x + 1, (1,), 2),
        (inner, (5,), 15),
        (functools.partial(inner, 4), (), 12),
        (functools.partial(math.pow, 2.0), (3.0,), 8.0),
        (operator.itemgetter(1), ([1, 2],), 2),
        ("a-b".split, ("-",), ["a", "b"]),
        (np.add, (1, 2), 3),
        (lambda f: f(2), (lambda y: y**5,), 32),
    ]


@pytest.mark.parametrize("which", range(8))
def test_functions_of_any_kind(which: int) -> None:
    function, args, expected = sent_by_value()[which]
    assert call(function, *args) == expected


def test_a_closure_that_changes_is_sent_again() -> None:
    state = [1]

    def look() -> int:
        return state[0]

    assert call(look) == 1
    state[0] = 2
    assert call(look) == 2


def test_a_function_is_pickled_once_for_a_run_and_sent_once_to_a_worker(fresh: _native.WorkerPool) -> None:
    class Counted:
        pickles = 0

        def __reduce__(self) -> Any:
            Counted.pickles += 1
            return (int, (7,))

    counted, pickles = Counted(), _native.Functions()
    padding = "x" * 50_000

    def f(x: int) -> int:
        return x + counted + len(padding)  # type: ignore[operator]

    first = _native.call_in_process(f, (1,), None, 1, fresh, pickles)
    assert first == 50_008
    once = Counted.pickles
    before = _native.process_stats()
    for i in range(50):
        assert _native.call_in_process(f, (i,), None, 1, fresh, pickles) == i + 50_007
    assert Counted.pickles == once
    assert since(before)["socket_bytes"] < 50 * 400


def test_more_functions_than_a_worker_keeps(fresh: _native.WorkerPool) -> None:
    functions = [eval(f"lambda: {i}") for i in range(150)]
    for _ in range(2):
        assert [_native.call_in_process(f, (), None, 1, fresh) for f in functions] == list(range(150))


def fail_with_cause() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer", 42) from error


def test_exceptions_keep_type_arguments_cause_and_traceback() -> None:
    with pytest.raises(ValueError, match="outer") as caught:
        call(fail_with_cause)
    assert caught.value.args == ("outer", 42)
    cause = caught.value.__cause__
    assert type(cause) is KeyError
    remote = cause.__cause__
    assert type(remote).__name__ == "RemoteTraceback"
    assert "in fail_with_cause" in str(remote)
    assert "_worker.py" not in str(remote)


class PickyError(Exception):
    """Cannot be rebuilt: its arguments are not what its `__init__` wants."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def fail_pickily() -> None:
    raise PickyError(1, 2)


def test_exceptions_that_cannot_be_sent_are_named() -> None:
    with pytest.raises(RuntimeError, match=r"PickyError: 1 and 2\n.*cannot be sent between processes"):
        call(fail_pickily)


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class StubbornError(Exception):
    """Can be sent, but refuses attributes."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class MuteError(Exception):
    """Has no text, and cannot be sent either."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __reduce__(self) -> Any:
        raise TypeError("not to be sent")


def fail_with(kind: type[Exception], *args: Any) -> None:
    raise kind(*args)


def test_exceptions_that_refuse_attributes_or_have_no_text() -> None:
    before = call(own_pid, workers=1)
    with pytest.raises(StubbornError) as caught:
        call(fail_with, StubbornError, 7)
    assert caught.value.args == (7,)
    assert "in fail_with" in str(caught.value.__cause__)
    with pytest.raises(RuntimeError, match=r"FrozenError: .*\n.*cannot be sent"):
        call(fail_with, FrozenError, 7)
    with pytest.raises(RuntimeError, match=r"MuteError: <.*ValueError>\n.*TypeError: not to be sent"):
        call(fail_with, MuteError)
    assert call(own_pid, workers=1) == before


def test_exits_are_exceptions() -> None:
    with pytest.raises(SystemExit):
        call(sys.exit, 3)
    assert call(math.sqrt, 4.0) == 2.0


def generator() -> Iterator[int]:
    yield 1


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(pickle.PicklingError, match=r"what was returned \(of class generator\) by generator"):
        call(generator)
    with pytest.raises(pickle.PicklingError, match=r"the arguments of echo.*lock"):
        call(echo, threading.Lock())
    lock = threading.Lock()
    with pytest.raises(pickle.PicklingError, match=r"cannot send .*<lambda> between processes.*lock"):
        call(lambda: lock)
    assert call(own_pid) > 0


def unreadable() -> Any:
    raise AttributeError("not on this side")


class Unreadable:
    def __reduce__(self) -> Any:
        return (unreadable, ())


def test_arguments_and_results_that_cannot_be_read() -> None:
    with pytest.raises(AttributeError, match="not on this side"):
        call(echo, Unreadable())
    with pytest.raises(AttributeError, match="not on this side") as caught:
        call(Unreadable)
    assert "what Unreadable returned" in caught.value.__notes__[0]
    assert call(own_pid) > 0


def nested(n: int) -> tuple[int, int]:
    if n == 0:
        return os.getpid(), len(_native.process_stats()["pids"])
    return call(nested, n - 1)


def test_a_worker_calls_functions_itself() -> None:
    pid, pids = call(nested, 3)
    assert pid in _native.process_stats()["pids"]
    assert pids == 0


def test_changes_of_folder_and_module_path_reach_warm_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(own_pid)
    (tmp_path / "found_by_workers.py").write_text("def f():\n    return 'found'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    import found_by_workers  # type: ignore[import-not-found]

    assert call(found_by_workers.f) == "found"
    assert call(os.getcwd) == str(tmp_path)


def go_elsewhere(folder: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)


def rebind_path(folder: str) -> None:
    sys.path = [folder]


def place() -> tuple[str, list[str]]:
    return os.getcwd(), list(sys.path)


def test_changes_of_folder_and_module_path_end_with_their_call(
    tmp_path: Path, fresh: _native.WorkerPool
) -> None:
    def ask(function: Callable[..., Any], *args: Any, pool: _native.WorkerPool = fresh) -> Any:
        return _native.call_in_process(function, args, None, 1, pool)

    before = ask(place)
    assert before[0] == os.getcwd()
    for change in (go_elsewhere, rebind_path):
        ask(change, str(tmp_path))
        assert ask(place) == before
    # Those of an initializer stay.
    elsewhere = (str(tmp_path), [str(tmp_path), *before[1]])
    prepared = _native.WorkerPool(go_elsewhere, (str(tmp_path),))
    assert ask(place, pool=prepared) == elsewhere
    ask(go_elsewhere, os.getcwd(), pool=prepared)
    assert ask(place, pool=prepared) == elsewhere
    prepared.close()


def test_many_small_calls_from_many_threads() -> None:
    results: dict[int, list[float]] = {}

    def work(i: int) -> None:
        results[i] = [call(math.sqrt, float(i * k)) for k in range(100)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(results[i] == [math.sqrt(i * k) for k in range(100)] for i in range(6))
    assert len(_native.process_stats()["pids"]) <= 2


def test_no_descriptor_is_left_over() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    pool = _native.WorkerPool()
    before = descriptors()
    kept = [_native.call_in_process(np.ones, (20_000 + i,), None, 1, pool) for i in range(50)]
    # A socket and the process; segments need none.
    assert descriptors() == before + 2
    pool.close()
    assert descriptors() == before
    assert len(kept) == 50


def mark(value: str) -> None:
    os.environ["PANTILE_TEST_MARK"] = value


def test_an_initializer_runs_in_each_worker() -> None:
    pool = _native.WorkerPool(mark, ("set",))
    assert _native.call_in_process(os.getenv, ("PANTILE_TEST_MARK",), None, 1, pool) == "set"
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        _native.call_in_process(own_pid, (), None, 1, pool)
    broken = _native.WorkerPool(fail_with_cause)
    with pytest.raises(RuntimeError, match="initializer") as caught:
        _native.call_in_process(own_pid, (), None, 1, broken)
    assert isinstance(caught.value.__cause__, ValueError)
    assert broken.pids == []


MAIN = """
import os, sys
import numpy as np
from pantile import _native
class Point:
    def __init__(self, x): self.x = x
    def moved(self): return Point(self.x + 1)
def helper(x): return x * offset
def f(point): return helper(point.moved().x), Point(5), os.getpid()
offset = 10
value, point, pid = _native.call_in_process(f, (Point(1),), None, 2)
assert type(point) is Point, type(point)
assert pid != os.getpid()
print("value", value, point.x)
"""


@pytest.mark.parametrize("how", ["-c", "-", "file"])
def test_functions_and_classes_of_main_need_no_guard(how: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(MAIN)
    program = {"-c": ["-c", MAIN], "-": ["-"], "file": [str(tmp_path / "script.py")]}[how]
    done = subprocess.run(
        [sys.executable, *program],
        input=MAIN if how == "-" else "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout, done.stderr, done.returncode) == ("value 20 5\n", "", 0)


def printed_by(program: str) -> str:
    """What a program prints, which raises nothing."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


ERRORS_OF_MAIN = """
from pantile import _native
class MineError(Exception):
    def __init__(self, code): super().__init__(code); self.code = code
def direct(): raise MineError(1)
def cause(): raise ValueError("outer") from MineError(2)
def group(): raise ExceptionGroup("several", [MineError(3), KeyError("k")])
for f in (direct, cause, group):
    try:
        _native.call_in_process(f, (), None, 1)
    except MineError as error:
        print("direct", error.code, type(error.__cause__).__name__)
    except ValueError as error:
        print("cause", type(error.__cause__) is MineError, error.__cause__.code)
    except ExceptionGroup as error:
        print("group", error.exceptions[0].code)
"""


def test_exceptions_of_main_keep_their_class() -> None:
    assert printed_by(ERRORS_OF_MAIN) == "direct 1 RemoteTraceback\ncause True 2\ngroup 3\n"


GROUPBY_OF_MAIN = """
import dataclasses
import pantile.bag as db
@dataclasses.dataclass(frozen=True)
class Key:
    k: int
class Item:
    def __init__(self, x): self.x = x
def key(item): return Key(item.x % 3)
bag = db.from_sequence([Item(x) for x in range(20)], npartitions=4)
groups = bag.groupby(key).compute(executor="processes")
assert all(type(k) is Key and type(i) is Item for k, items in groups for i in items)
print(sorted((k.k, sorted(i.x for i in items)) for k, items in groups))
"""


def test_groupby_takes_elements_and_keys_of_main() -> None:
    expected = [(k, list(range(k, 20, 3))) for k in range(3)]
    assert printed_by(GROUPBY_OF_MAIN) == f"{expected}\n"


IN_A_CHILD = """
import multiprocessing, sys
from pantile import _native
class MineError(Exception): pass
def helper(x): return x + 1
def f(x): return helper(x), __name__
def g(): raise MineError(5)
def child():
    assert f.__module__ == "__mp_main__"
    print(_native.call_in_process(f, (1,), None, 1)[0], flush=True)
    try:
        _native.call_in_process(g, (), None, 1)
    except MineError as error:
        print(error.args, flush=True)
if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def test_the_main_module_of_a_child_of_multiprocessing(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(IN_A_CHILD)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout, done.stderr, done.returncode) == ("2\n(5,)\n", "", 0)


WITHOUT_CLOUDPICKLE = """
import math, sys
sys.modules["cloudpickle"] = None
from pantile import _native
print(_native.call_in_process(math.sqrt, (9.0,), None, 1))
print(_native.call_in_process(len, ("__main__",), None, 1))
def f(): pass
for function in (f, lambda: 1):
    try:
        _native.call_in_process(function, (), None, 1)
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_without_cloudpickle_the_error_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CLOUDPICKLE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["3.0", "8"]
    assert len(lines) == 4
    for line in lines[2:]:
        assert line.startswith("PicklingError cannot send ")
        assert "pip install 'pantile[processes]'" in line
        assert "top level of a module" in line
