"""Memory limits: spilling changes nothing but time, what cannot fit is said before it starts, and no file stays behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import _native, config

LIMIT = 48 << 20
N = 4000  # 128 MB of float64, several times the limit


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
    make: Callable[[], da.Array], executor: str, spill_dir: Path, fresh_pool: None
) -> None:
    expected = make().compute()
    _native.trim_pool(0)
    _native.reset_peak()
    with config.set(memory_limit=LIMIT, executor=executor):
        result = make().compute()
    assert np.array_equal(result, expected)
    assert _native.pool_stats()["peak_bytes"] <= LIMIT
    assert os.listdir(spill_dir) == []


@pytest.mark.parametrize("make", EXPRESSIONS)
def test_those_computations_do_spill(make: Callable[[], da.Array], tmp_path: Path) -> None:
    with (
        config.set(memory_limit=LIMIT, spill_dir=tmp_path / "nowhere"),
        pytest.raises(OSError, match="spill folder"),
    ):
        make().compute()


def test_a_task_that_cannot_fit_is_refused_before_anything_runs(spill_dir: Path) -> None:
    calls: list[int] = []

    def note(block: np.ndarray) -> np.ndarray:
        calls.append(1)
        return block

    small = da.map_blocks(note, da.ones((4,), chunks=2), dtype=float)
    large = da.ones((3000, 3000), chunks=-1).cumsum(axis=0)
    with config.set(memory_limit=LIMIT), pytest.raises(pantile.MemoryLimitError) as caught:
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
    with config.set(memory_limit=LIMIT):
        with pytest.raises(pantile.MemoryLimitError, match="result alone has 128000000 bytes"):
            da.ones((N, N), chunks=500).compute()
        with pytest.raises(pantile.MemoryLimitError, match="result alone"):
            da.ones((N, N), chunks=500).persist()
        x = da.ones((2000, 2000), chunks=500)  # 32 MB each
        with pytest.raises(pantile.MemoryLimitError, match="result alone"):
            pantile.compute(x, x + 1)
    assert _native.pool_stats()["live_bytes"] == before


@pytest.mark.parametrize("where", ["missing", "file", "read only"])
@pytest.mark.parametrize("executor", ["threads", "sync"])
def test_a_spill_folder_that_cannot_be_used(where: str, executor: str, tmp_path: Path) -> None:
    if where == "missing":
        folder, number = tmp_path / "missing", errno.ENOENT
    elif where == "file":
        folder, number = tmp_path / "file", errno.ENOTDIR
        folder.write_text("")
    else:
        # Not even root can make a folder there.
        folder, number = Path("/proc/self"), None
    before = _native.pool_stats()["live_bytes"]
    with config.set(memory_limit=LIMIT, spill_dir=folder, executor=executor):
        with pytest.raises(OSError, match="spill folder") as caught:
            cumulated().compute()
        assert str(folder) in str(caught.value)
        if number is not None:
            assert caught.value.errno == number
        assert _native.pool_stats()["live_bytes"] == before
        assert (da.ones(10, chunks=2) + 1).sum().compute() == 20
    assert sorted(p.name for p in tmp_path.iterdir()) == (["file"] if where == "file" else [])


FULL = """
    import os, resource, signal, sys
    import pantile, pantile.array as da
    from pantile import config
    # A write beyond this many bytes of a file fails as one to a full disk does, except for the number of the error.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    y = da.random.default_rng(1).random((4000, 4000), chunks=500).cumsum(axis=0)
    for executor in ("threads", "sync"):
        with config.set(memory_limit=48 << 20, spill_dir=sys.argv[1], executor=executor):
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
    done = script(FULL, tmp_path)
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
    with config.set(memory_limit=48 << 20, spill_dir=sys.argv[1]):
        (y - y.mean()).sum().compute()
"""


def test_what_a_killed_process_leaves_is_removed_by_the_next_that_spills(
    start: Callable[..., subprocess.Popen[str]], spill_dir: Path
) -> None:
    process = start(SPILLING, spill_dir)
    deadline = time.monotonic() + 60
    while not any(spill_dir.glob("pantile-spill-*/[0-9]*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # While it lives, others leave its folder alone.
    with config.set(memory_limit=LIMIT):
        cumulated().compute()
    assert len(os.listdir(spill_dir)) == 1
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert len(os.listdir(spill_dir)) == 1
    with config.set(memory_limit=LIMIT):
        cumulated().compute()
    assert os.listdir(spill_dir) == []
