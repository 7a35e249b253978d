"""The executors, numbers of threads, runs within runs, runs at once, and processes that fork give one and the same."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import config

Script = Callable[..., subprocess.CompletedProcess[str]]
NUMBERS = np.random.default_rng(0).standard_normal((60, 50))


def source() -> da.Array:
    return da.from_array(NUMBERS, chunks=(13, 17))


EXPRESSIONS: dict[str, Callable[[], Any]] = {
    "elementwise": lambda: np.sin(source()) * 2 - source().mean(axis=0),
    "sum": lambda: source().sum(),
    "var": lambda: source().var(axis=1, ddof=1),
    "argmax": lambda: source().argmax(axis=0),
    "transposed": lambda: (source() @ source().T).std(),
    "cumsum": lambda: source().cumsum(axis=1),
    "mask": lambda: source()[source()[:, 0] > 0].sum(axis=0),
    "rechunk": lambda: source().rechunk((60, 5)).max(axis=0),
    "svd": lambda: da.linalg.svd(source())[1],
    "random": lambda: da.random.default_rng(5).normal(size=(40, 40), chunks=11),
    "map_blocks": lambda: da.map_blocks(np.cumsum, source(), axis=1, dtype=float),
    "overlap": lambda: da.map_overlap(lambda b: b * 2, source(), depth=1, boundary="reflect", dtype=float),
    "concatenate": lambda: da.concatenate([source(), source() + 1]).sum(axis=1),
}
FAILING: dict[str, Callable[[], Any]] = {
    "not positive definite": lambda: da.linalg.cholesky(-da.eye(6, chunks=3)),
    "singular": lambda: da.linalg.inv(da.zeros((6, 6), chunks=3)),
    "division in a function": lambda: da.map_blocks(lambda b: b / [][0], source(), dtype=float),
    "empty minimum": lambda: source()[source() > 100].min(),
    "mask of another length": lambda: (
        source()[:, 0][source()[:, 1] > 0] + da.ones(3, chunks=2)[da.ones(3, chunks=2) > 0]
    ),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_executor_and_number_of_threads_gives_the_same(name: str) -> None:
    results = []
    for settings in ({"executor": "sync"}, {"num_threads": 1}, {"num_threads": 2}, {"num_threads": 7}):
        with config.set(settings):
            results.append(EXPRESSIONS[name]().compute())
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-12, atol=1e-12)


BITS = """
    import pantile.array as da
    x = da.random.default_rng(1).random((300, 300), chunks=50)
    y = (x - x.mean()).sum(axis=0)
    print(len({y.compute().tobytes() for _ in range(30)}))
"""


def test_every_run_in_a_process_gives_the_same_bits(script: Script) -> None:
    done = script(BITS)
    assert done.stdout == "1\n", done.stderr


@pytest.mark.parametrize("name", FAILING)
def test_every_executor_fails_alike(name: str) -> None:
    errors = []
    for settings in ({"executor": "sync"}, {"num_threads": 1}, {"num_threads": 3}):
        with config.set(settings), pytest.raises(Exception) as caught:
            FAILING[name]().compute()
        errors.append((type(caught.value), str(caught.value), bool(getattr(caught.value, "__notes__", None))))
    assert errors[1] == errors[0]
    assert errors[2] == errors[0]
    assert not isinstance(caught.value, pantile.InternalError)


def test_a_sync_run_stays_in_the_calling_thread() -> None:
    seen: set[int] = set()

    def note(block: np.ndarray) -> np.ndarray:
        seen.add(threading.get_ident())
        return block

    with config.set(executor="sync"):
        da.map_blocks(note, da.ones(50, chunks=1), dtype=float).sum().compute()
    assert seen == {threading.get_ident()}


@pytest.mark.parametrize("variable", ["1", "3"])
def test_the_environment_sets_the_number_of_threads(variable: str, script: Script) -> None:
    done = script(
        """
        import threading, time
        import pantile.array as da
        from pantile import config
        seen = set()
        def note(block):
            seen.add(threading.get_ident())
            time.sleep(0.002)
            return block
        # Blocks of this size look like long tasks, which the calling thread leaves to the others.
        da.map_blocks(note, da.ones(100 << 18, chunks=1 << 18), dtype=float).sum().compute()
        print(config.get("num_threads"), len(seen))
        """,
        PANTILE_NUM_THREADS=variable,
    )
    assert done.stdout.split() == [variable, variable], done.stderr


def test_bad_numbers_of_threads(script: Script) -> None:
    for value in ("0", "many", "-1", "1.5"):
        done = script("import pantile.array as da; da.ones(3).sum().compute()", PANTILE_NUM_THREADS=value)
        assert done.returncode != 0
        assert "ValueError: PANTILE_NUM_THREADS" in done.stderr


@pytest.mark.parametrize("settings", [{"executor": "sync"}, {"num_threads": 1}, {"num_threads": 2}])
def test_a_function_that_computes(settings: dict[str, Any]) -> None:
    def inner(block: np.ndarray) -> np.ndarray:
        return block + float((da.ones(40, chunks=3) + 1).sum().compute())

    def middle(block: np.ndarray) -> np.ndarray:
        return da.map_blocks(inner, da.from_array(block, chunks=2), dtype=float).compute()

    with config.set(settings):
        result = da.map_blocks(middle, da.zeros(64, chunks=4), dtype=float).compute()
    np.testing.assert_array_equal(result, np.full(64, 80.0))


def test_a_source_that_computes() -> None:
    class Lazy:
        shape, dtype = (16,), np.dtype(float)

        def __getitem__(self, key: Any) -> np.ndarray:
            return (da.arange(16, chunks=5) * 2.0)[key].compute()

    for lock in (False, True):
        assert da.from_array(Lazy(), chunks=2, lock=lock).sum().compute() == 240


def test_a_failure_within_a_function_that_computes() -> None:
    def fails(block: np.ndarray) -> np.ndarray:
        raise LookupError("deep")

    def outer(block: np.ndarray) -> np.ndarray:
        return da.map_blocks(fails, da.from_array(block), dtype=float).compute()

    with pytest.raises(LookupError, match="deep") as caught:
        da.map_blocks(outer, da.zeros(8, chunks=2), dtype=float).compute()
    assert len(caught.value.__notes__) == 2


def test_runs_of_several_threads_at_once() -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            for k in range(15):
                x = np.random.default_rng(seed * 100 + k).random((50, 40))
                lazy = da.from_array(x, chunks=7)
                for got, expected in [
                    ((lazy + 1).sum(axis=0).compute(), (x + 1).sum(axis=0)),
                    ((lazy @ lazy.T).compute(), x @ x.T),
                ]:
                    if not np.allclose(got, expected):
                        wrong.append((seed, k))
                if (
                    k % 5 == 0
                    and da.map_blocks(lambda b: b + 1, lazy, dtype=float).min().compute() != x.min() + 1
                ):
                    wrong.append((seed, k, "python"))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert wrong == []


def test_one_expression_computed_by_several_threads() -> None:
    x = da.random.default_rng(1).random((300, 300), chunks=50)
    y = (x - x.mean()).sum(axis=0)
    expected = y.compute()
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(y.compute())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 8
    for result in results:
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


FORK = """
    import os, sys, time, signal
    import numpy as np
    import pantile.array as da
    from pantile import config
    before = sys.argv[1]
    def work():
        x = da.random.default_rng(3).random((400, 400), chunks=50)
        y = da.map_blocks(lambda b: b * 2, x, dtype=float)
        return float((x @ x.T).sum().compute() + y.sum().compute() + (da.ones(4_000_000, chunks=100_000) + 1).sum().compute())
    expected = work() if before == "used" else None
    child = os.fork()
    if child == 0:
        signal.alarm(40)  # a child that hangs is killed
        try:
            result = work()
        except Exception as error:
            print("child failed:", type(error).__name__, error, flush=True)
            os._exit(3)
        print("child", result, flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("parent", work(), flush=True)
    sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


@pytest.mark.parametrize("before", ["fresh", "used"])
def test_a_child_process_computes(before: str, script: Script) -> None:
    done = script(FORK, before)
    assert done.returncode == 0, done.stdout + done.stderr
    child, parent = (line.split()[1] for line in done.stdout.splitlines())
    assert child == parent


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_of_the_standard_library(method: str, tmp_path: Path) -> None:
    program = tmp_path / "work.py"
    program.write_text(
        "import multiprocessing, sys\n"
        "import pantile.array as da\n"
        "def work(n):\n"
        "    return float((da.ones(n, chunks=100_000) + 1).sum().compute())\n"
        "if __name__ == '__main__':\n"
        "    assert work(1_000_000) == 2_000_000\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:\n"
        "        print(pool.map_async(work, [1_000_000] * 4).get(40))\n"
    )
    env = dict(os.environ)
    if "PYTHONPATH" in env:
        env["PYTHONPATH"] = os.pathsep.join(
            os.path.abspath(p) for p in env["PYTHONPATH"].split(os.pathsep) if p
        )
    command = [sys.executable, str(program), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([2_000_000.0] * 4)
