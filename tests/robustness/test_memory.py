"""Memory limits: spilling changes nothing but time, what cannot fit is said before it starts, and no file stays behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import _native, config

LEFT = 24 << 20
"""What the memory limit leaves for a run."""
N = 4000  # 128 MB of float64, several times that

Limit = Callable[[int], int]


def cumulated() -> da.Array:
    """Needs every block twice, the second time only after all were made."""
    y = da.random.default_rng(1).random((N, N), chunks=500).cumsum(axis=0)
    return ((y - y.mean()) * 2).sum(axis=1)


def multiplied() -> da.Array:
    x = da.random.default_rng(2).random((N, 500), chunks=500)
    y = x.dot(x.T)
    return (y - y.mean()).max(axis=0)


def transposed() -> da.Array:
    y = da.random.default_rng(3).random((N, N), chunks=500).cumsum(axis=0).rechunk((N, 125))
    return (y - y.mean()).max(axis=1)


def through_python() -> da.Array:
    y = da.map_blocks(lambda b: b * 2, da.random.default_rng(4).random((N, N), chunks=500), dtype=float)
    return (y - y.mean()).sum(axis=1)


EXPRESSIONS = [cumulated, multiplied, transposed, through_python]


@pytest.mark.parametrize("executor", ["threads", "sync"])
@pytest.mark.parametrize("make", EXPRESSIONS)
def test_a_computation_larger_than_the_limit_gives_the_same(
    make: Callable[[], da.Array], executor: str, limit: Limit, spill_dir: Path, fresh_pool: None
) -> None:
    expected = make().compute()
    _native.trim_pool(0)
    _native.reset_peak()
    before = _native.pool_stats()["live_bytes"]
    with config.set(memory_limit=limit(LEFT), executor=executor):
        result = make().compute()
    assert np.array_equal(result, expected)
    # The pool rounds sizes up by at most an eighth.
    assert _native.pool_stats()["peak_bytes"] - before <= LEFT * 9 / 8
    assert os.listdir(spill_dir) == []


@pytest.mark.parametrize("make", EXPRESSIONS)
def test_those_computations_do_spill(make: Callable[[], da.Array], limit: Limit, tmp_path: Path) -> None:
    with (
        config.set(memory_limit=limit(LEFT), spill_dir=tmp_path / "nowhere"),
        pytest.raises(OSError, match="spill folder"),
    ):
        make().compute()


def test_a_task_that_cannot_fit_is_refused_before_anything_runs(limit: Limit, spill_dir: Path) -> None:
    calls: list[int] = []

    def note(block: np.ndarray) -> np.ndarray:
        calls.append(1)
        return block

    small = da.map_blocks(note, da.ones((4,), chunks=2), dtype=float)
    large = da.ones((3000, 3000), chunks=-1).cumsum(axis=0)
    with config.set(memory_limit=limit(LEFT)), pytest.raises(pantile.MemoryLimitError) as caught:
        pantile.compute(small, large.max())
    text = str(caught.value)
    assert "68.7 MiB" in text  # the array
    assert "`" in text
    assert "[0]" in text
    assert "memory limit" in text
    assert "smaller chunks" in text
    assert isinstance(caught.value, MemoryError)
    assert calls == []


def test_the_message_names_the_limit_that_the_user_chose(spill_dir: Path) -> None:
    with config.set(memory_limit="40MiB"), pytest.raises(pantile.MemoryLimitError, match=r"40\.0 MiB"):
        da.ones((3000, 3000), chunks=-1).cumsum(axis=0).max().compute()


def test_a_result_larger_than_the_limit_is_refused(spill_dir: Path) -> None:
    before = _native.pool_stats()["live_bytes"]
    with config.set(memory_limit="48MiB"):
        text = r"result alone has 122\.1 MiB, and the memory limit is 48\.0 MiB"
        with pytest.raises(pantile.MemoryLimitError, match=text):
            da.ones((N, N), chunks=500).compute()
        with pytest.raises(pantile.MemoryLimitError, match="result alone"):
            da.ones((N, N), chunks=500).persist()
        x = da.ones((2000, 2000), chunks=500)  # 32 MB each
        with pytest.raises(pantile.MemoryLimitError, match=r"result alone has 61\.0 MiB|only .* left"):
            pantile.compute(x, x + 1)
    assert _native.pool_stats()["live_bytes"] == before


# ---- what is held already ----

HELD = """
    import sys
    import numpy as np
    import pantile, pantile.array as da
    from pantile import config
    make = {
        "persist": lambda i: da.random.default_rng(i).random((2000, 2000), chunks=500).persist(),
        "compute": lambda i: da.random.default_rng(i).random((2000, 2000), chunks=500).compute(),
        "mask": lambda i: (x := da.random.default_rng(i).random((1000, 1000), chunks=500))[x >= 0].compute(),
        "own": lambda i: np.ones((2000, 2000)),
    }[sys.argv[1]]
    assert (da.ones(100_000, chunks=100) + 1).sum().compute() == 200_000
    make(0)  # the compiler is loaded, the threads run
    config.set(memory_limit=leaving(120 << 20), spill_dir=sys.argv[2])
    kept = []
    def live():
        return _native.pool_stats()["live_bytes"]
    try:
        while len(kept) < 30:
            kept.append(make(len(kept)))
            if sys.argv[1] == "own":
                da.random.default_rng(0).random((1500, 1500), chunks=500).persist()
    except pantile.MemoryLimitError as error:
        print(error)
    assert live() <= 120 << 20, live()
    print(len(kept))
    # Small work goes on, and nothing is spent on what was refused.
    assert (da.ones(100_000, chunks=100) + 1).sum().compute() == 200_000
    del kept[-2:]
    print(len(kept))
    kept.append(make(0))
"""


@pytest.mark.parametrize(
    ("kind", "fit"), [("persist", (3, 3)), ("compute", (3, 3)), ("mask", (9, 15)), ("own", (2, 4))]
)
def test_arrays_that_are_kept_count(
    kind: str, fit: tuple[int, int], script: Callable[..., subprocess.CompletedProcess[str]], spill_dir: Path
) -> None:
    done = script(LEAVING + HELD, kind, spill_dir)
    assert done.returncode == 0, done.stderr
    refusal, count, _ = done.stdout.splitlines()
    assert fit[0] <= int(count) <= fit[1]
    assert "of the memory limit of" in refusal
    assert "computed or persisted before hold" in refusal


def test_a_run_beside_kept_arrays_spills_instead_of_going_over(
    limit: Limit, spill_dir: Path, fresh_pool: None
) -> None:
    expected = cumulated().compute()
    _native.trim_pool(0)
    most = limit(LEFT + (64 << 20))
    _native.reset_peak()
    before = _native.pool_stats()["live_bytes"]
    with config.set(memory_limit=most):
        kept = [da.random.default_rng(i).random((1000, 1000), chunks=500).persist() for i in range(8)]
        assert _native.pool_stats()["live_bytes"] - before >= 64_000_000
        assert np.array_equal(cumulated().compute(), expected)
        assert _native.pool_stats()["peak_bytes"] - before <= (LEFT + (64 << 20)) * 9 / 8
        with config.set(spill_dir=spill_dir / "nowhere"), pytest.raises(OSError, match="spill folder"):
            cumulated().compute()
        del kept


def test_what_is_left_is_what_is_free_and_never_nothing(limit: Limit, fresh_pool: None) -> None:
    make = lambda: da.random.default_rng(0).random((4000, 1000), chunks=500).persist()  # noqa: E731
    make()
    most = limit(200 << 20)
    left = _native.memory_left(most)
    kept = make()  # 30.5 MiB
    assert 24 << 20 <= left - _native.memory_left(most) <= 38 << 20
    del kept
    assert abs(_native.memory_left(most) - left) < 8 << 20
    # However much the process holds, a twentieth.
    assert _native.memory_left(1000) == 50
    with config.set(memory_limit="20MB"):
        assert da.ones(10**7, chunks=10**5).sum().compute() == 10**7
        assert da.ones(100_000).compute().sum() == 100_000  # results of less than a mebibyte are always given
        with pytest.raises(pantile.MemoryLimitError, match="the rest of the process"):
            da.ones(200_000).compute()


def test_pages_of_files_can_be_taken_back(tmp_path: Path, limit: Limit) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(600 << 20)
    most = limit(100 << 20)
    mapped = np.memmap(path, "u1", "r")
    assert mapped[::4096].sum() == 0  # all pages are there
    with config.set(memory_limit=most + (160 << 20)):
        da.random.default_rng(0).random((2000, 2000), chunks=500).persist()


def test_runs_at_the_same_time_do_not_refuse_each_other(limit: Limit, spill_dir: Path) -> None:
    expected = cumulated().compute()
    results: list[np.ndarray] = []

    def work() -> None:
        for _ in range(2):
            results.append(cumulated().compute())

    with config.set(memory_limit=limit(LEFT)):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 6
    assert all(np.array_equal(r, expected) for r in results)


@pytest.mark.parametrize("where", ["missing", "file", "read only"])
@pytest.mark.parametrize("executor", ["threads", "sync"])
def test_a_spill_folder_that_cannot_be_used(where: str, executor: str, limit: Limit, tmp_path: Path) -> None:
    if where == "missing":
        folder, number = tmp_path / "missing", errno.ENOENT
    elif where == "file":
        folder, number = tmp_path / "file", errno.ENOTDIR
        folder.write_text("")
    else:
        # Not even root can make a folder there.
        folder, number = Path("/proc/self"), None
    before = _native.pool_stats()["live_bytes"]
    with config.set(memory_limit=limit(LEFT), spill_dir=folder, executor=executor):
        with pytest.raises(OSError, match="spill folder") as caught:
            cumulated().compute()
        assert str(folder) in str(caught.value)
        if number is not None:
            assert caught.value.errno == number
        assert _native.pool_stats()["live_bytes"] == before
        assert (da.ones(10, chunks=2) + 1).sum().compute() == 20
    assert sorted(p.name for p in tmp_path.iterdir()) == (["file"] if where == "file" else [])


LEAVING = """
    from pantile import _native
    def leaving(n):
        probe = 1 << 45
        return (probe - probe // 20 - _native.memory_left(probe) + n) * 20 // 19 + 1
"""
FULL = """
    import os, resource, signal, sys
    import pantile, pantile.array as da
    from pantile import config
    # A write beyond this many bytes of a file fails as one to a full disk does, except for the number of the error.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    y = da.random.default_rng(1).random((4000, 4000), chunks=500).cumsum(axis=0)
    (da.ones(10, chunks=2) + 1).sum().compute()
    for executor in ("threads", "sync"):
        with config.set(memory_limit=leaving(24 << 20), spill_dir=sys.argv[1], executor=executor):
            try:
                (y - y.mean()).sum().compute()
            except OSError as error:
                print(error.errno, error)
            assert os.listdir(sys.argv[1]) == [], os.listdir(sys.argv[1])
            assert (da.ones(10, chunks=2) + 1).sum().compute() == 20
"""


def test_a_spill_folder_that_is_full(
    script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = script(LEAVING + FULL, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith(str(errno.EFBIG))
        assert "cannot write" in line
        assert "memory limit" in line
        assert str(tmp_path) in line


SPILLING = """
    import sys, time
    import numpy as np
    import pantile.array as da
    from pantile import config
    def slow(block):
        time.sleep(0.02)
        return block * 2
    y = da.map_blocks(slow, da.random.default_rng(4).random((8000, 8000), chunks=500), dtype=float)
    with config.set(memory_limit=leaving(24 << 20), spill_dir=sys.argv[1]):
        (y - y.mean()).sum().compute()
"""


def test_what_a_killed_process_leaves_is_removed_by_the_next_that_spills(
    start: Callable[..., subprocess.Popen[str]], limit: Limit, spill_dir: Path
) -> None:
    process = start(LEAVING + SPILLING, spill_dir)
    deadline = time.monotonic() + 60
    while not any(spill_dir.glob("pantile-spill-*/[0-9]*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # While it lives, others leave its folder alone.
    with config.set(memory_limit=limit(LEFT)):
        cumulated().compute()
    assert len(os.listdir(spill_dir)) == 1
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert len(os.listdir(spill_dir)) == 1
    with config.set(memory_limit=limit(LEFT)):
        cumulated().compute()
    assert os.listdir(spill_dir) == []
