"""A Python function or source that fails: its own exception, where it happened, and the rest is cancelled."""

from __future__ import annotations

import gc
import inspect
import threading
import traceback
from typing import Any

import numpy as np
import pantile.array as da
import pytest
from pantile import _native, config


@pytest.fixture(params=["threads", "sync"], autouse=True)
def executor(request: pytest.FixtureRequest) -> Any:
    with config.set(executor=request.param):
        yield request.param
    # Whatever failed, the pool works on.
    assert (da.ones(10, chunks=2) + 1).sum().compute() == 20


class Odd(Exception):
    """Cannot be made from its own arguments, as exceptions of databases and web clients often cannot."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__()
        self.code, self.reason = code, reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


def fail_at(wanted: int, error: BaseException, calls: list[int]) -> Any:
    def function(block: np.ndarray, block_id: tuple[int, ...] = ()) -> np.ndarray:
        calls.append(block_id[0])
        if block_id[0] == wanted:
            raise error
        return block

    return function


def test_type_traceback_and_note() -> None:
    calls: list[int] = []
    x = da.ones(40, chunks=2)
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
    y = da.map_blocks(fail_at(3, ZeroDivisionError("my text"), calls), x, dtype=float)
    with pytest.raises(ZeroDivisionError) as caught:
        (y + 1).sum().compute()
    error = caught.value
    assert str(error) == "my text"
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert "function" in frames
    (note,) = error.__notes__
    assert "block (3,)" in note
    assert "`function`" in note
    assert f"{__file__}:{line}" in note
    assert "test_type_traceback_and_note" in note


def test_the_block_is_named_by_its_position() -> None:
    x = da.ones((6, 6), chunks=2)

    def fails(block: np.ndarray, block_id: tuple[int, ...] = ()) -> np.ndarray:
        if block_id == (1, 2):
            raise ValueError("here")
        return block

    with pytest.raises(ValueError, match="here") as caught:
        da.map_blocks(fails, x, dtype=float).compute()
    assert "(1, 2)" in caught.value.__notes__[0]


def test_the_rest_is_cancelled() -> None:
    calls: list[int] = []
    count = 2000
    y = da.map_blocks(fail_at(0, KeyError("x"), calls), da.ones(count, chunks=1), dtype=float)
    with pytest.raises(KeyError):
        y.compute()
    assert len(calls) < count // 2


def test_exceptions_that_cannot_be_copied_are_the_very_objects() -> None:
    error = Odd(7, reason="lost")
    y = da.map_blocks(fail_at(1, error, []), da.ones(4, chunks=1), dtype=float)
    with pytest.raises(Odd, match=r"lost \(7\)") as caught:
        y.compute()
    assert caught.value is error
    assert caught.value.code == 7


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_exception_whose_text_fails() -> None:
    error = Silent()
    with pytest.raises(Silent) as caught:
        da.map_blocks(fail_at(0, error, []), da.ones(4, chunks=1), dtype=float).compute()
    assert caught.value is error


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration(4), MemoryError("mine")]
)
def test_exceptions_beside_the_usual_ones(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        da.map_blocks(fail_at(2, error, []), da.ones(8, chunks=1), dtype=float).sum().compute()
    assert caught.value is error


def test_the_cause_is_kept() -> None:
    def fails(block: np.ndarray) -> np.ndarray:
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("outer") from error
        return block

    with pytest.raises(ValueError, match="outer") as caught:
        da.map_blocks(fails, da.ones(4, chunks=1), dtype=float).compute()
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_same_exception_again_and_again() -> None:
    y = da.map_blocks(fail_at(0, ValueError("again"), []), da.ones(4, chunks=1), dtype=float)
    for _ in range(3):
        with pytest.raises(ValueError, match="again"):
            y.compute()


def test_a_result_of_the_wrong_shape_or_kind() -> None:
    x = da.ones((4, 4), chunks=2)
    with pytest.raises(ValueError, match=r"\[2\].*\(2, ?2\).*chunks=") as caught:
        da.map_blocks(lambda b: b[0], x, dtype=float).compute()
    assert "block" in caught.value.__notes__[0]
    with pytest.raises((TypeError, ValueError)):
        da.map_blocks(lambda b: None, x, dtype=float).compute()
    with pytest.raises((TypeError, ValueError)):
        da.map_blocks(lambda b: "text", x, dtype=float).compute()


def test_blocks_cannot_be_written_to() -> None:
    source = np.zeros(4)

    def writes(block: np.ndarray) -> np.ndarray:
        block += 1
        return block

    with pytest.raises(ValueError, match="read-only"):
        da.map_blocks(writes, da.from_array(source, chunks=2), dtype=float).compute()
    assert not source.any()


class Source:
    """Something that slices, and fails at some place."""

    shape, dtype = (8,), np.dtype(float)

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.reads: list[int] = []

    def __getitem__(self, key: Any) -> np.ndarray:
        part = range(8)[key[0]]
        self.reads.append(part.start)
        if self.error is not None and 4 in part:
            raise self.error
        return np.array(part, dtype=float)


@pytest.mark.parametrize("error", [OSError(5, "gone"), Odd(1, reason="remote"), SystemExit(2)])
@pytest.mark.parametrize("lock", [False, True])
def test_a_source_that_fails(error: BaseException, lock: bool) -> None:
    source = Source(error)
    x = da.from_array(source, chunks=2, lock=lock)
    with pytest.raises(type(error)) as caught:
        (x + 1).sum().compute()
    assert caught.value is error
    assert any(__file__ in note for note in caught.value.__notes__)
    source.error = None
    assert (x + 1).sum().compute() == 36


def test_a_source_that_gives_the_wrong_shape() -> None:
    class Short(Source):
        def __getitem__(self, key: Any) -> np.ndarray:
            return super().__getitem__(key)[:1]

    with pytest.raises(ValueError, match=r"Short.*\[1\].*\[2\]"):
        da.from_array(Short(), chunks=2).compute()


def test_a_target_that_fails() -> None:
    class Target:
        shape = (8,)

        def __setitem__(self, key: Any, value: Any) -> None:
            raise PermissionError(13, "no")

    with pytest.raises(PermissionError):
        da.store(da.ones(8, chunks=2), Target())


def test_nothing_of_a_failed_run_stays_in_memory() -> None:
    def fails(block: np.ndarray, block_id: tuple[int, ...] = ()) -> np.ndarray:
        if block_id[0] == 5:
            raise ValueError("x")
        return block

    gc.collect()
    before = _native.pool_stats()["live_bytes"]
    for _ in range(5):
        y = da.map_blocks(fails, da.ones((64, 1000), chunks=(8, 1000)), dtype=float)
        with pytest.raises(ValueError, match="x"):
            (y - y.mean()).compute()
    gc.collect()
    assert _native.pool_stats()["live_bytes"] <= before


def test_a_failure_in_one_thread_leaves_the_runs_of_others_alone() -> None:
    results: list[float] = []

    def works() -> None:
        for _ in range(20):
            results.append(float((da.ones(1000, chunks=10) + 1).sum().compute()))

    thread = threading.Thread(target=works)
    thread.start()
    for _ in range(20):
        with pytest.raises(ValueError, match="mine"):
            da.map_blocks(fail_at(1, ValueError("mine"), []), da.ones(20, chunks=1), dtype=float).compute()
    thread.join(60)
    assert results == [2000.0] * 20
