"""Ctrl-C: control comes back soon, the pool works on, and no thread is left over."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

# Each program makes `work`, which takes much longer than the test waits.
NATIVE = """
    parts = [da.sin(da.random.default_rng(i).random((8000, 8000), chunks=1000)).sum() for i in range(40)]
    work = sum(parts)
"""
SMALL_TASKS = """
    work = da.ones(3_000_000, chunks=1).sum()
"""
MATMUL = """
    x = da.random.default_rng(0).random((12000, 12000), chunks=1000)
    work = x.dot(x).sum()
"""
# Single tasks that no other thread can take over: the kernels themselves must stop.
SVD = """
    work = da.linalg.svd(da.random.default_rng(0).random((3000, 3000)).persist())[1].sum()
"""
SVD_OF_ONE_BLOCK = """
    work = da.linalg.svd(da.random.default_rng(0).random((4500, 4500), chunks=-1).persist())[1].sum()
"""
DOT_OF_ONE_BLOCK = """
    x = da.ones((7000, 7000), chunks=-1).persist()
    work = x.dot(x).sum()
"""
PYTHON = """
    def spin(block):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pass
        return block
    work = da.map_blocks(spin, da.ones(50, chunks=1), dtype=float).sum()
"""
SMALL_PYTHON = """
    def short(block):
        end = time.monotonic() + 0.001
        while time.monotonic() < end:
            pass
        return block
    work = da.map_blocks(short, da.ones(100_000, chunks=1), dtype=float).sum()
"""
SOURCE = """
    class Slow:
        shape, dtype, ndim = (50,), "f8", 1
        def __getitem__(self, key):
            end = time.monotonic() + 20
            while time.monotonic() < end:
                pass
    work = da.from_array(Slow(), chunks=1, lock={lock}).sum()
"""
TARGET = """
    class Slow:
        shape = (50,)
        def __setitem__(self, key, value):
            end = time.monotonic() + 20
            while time.monotonic() < end:
                pass
    work = da.store(da.ones(50, chunks=1), Slow(), lock={lock}, compute=False)
"""
INTERRUPT = """
    import os, signal, threading, time
    import pantile.array as da
    from pantile import _native
    class Watcher:
        def begin(self):
            return _native.Progress()
        def end(self, progress, error):
            print(type(error).__name__, "tasks left:", progress.tasks - progress.done > 0, "done:", progress.done)
    watcher = Watcher()
    {work}
    def threads():
        with open("/proc/self/status") as status:
            return int(next(line for line in status if line.startswith("Threads")).split()[1])
    assert (da.ones(10, chunks=2) + 1).sum().compute() == 20
    def kick():
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
    counts = []
    for _ in range(3):
        kicker = threading.Thread(target=kick)
        kicker.start()
        number = _native.watch(watcher)
        try:
            work.compute()
        except KeyboardInterrupt:
            pass
        _native.unwatch(number)
        kicker.join()
        # The pool works on.
        assert (da.ones(100_000, chunks=1000) + 1).sum().compute() == 200_000
        time.sleep(0.05)
        counts.append(threads())
    assert counts[0] == counts[-1], counts
"""


@pytest.mark.parametrize("executor", ["threads", "sync"])
@pytest.mark.parametrize(
    "work",
    [
        NATIVE,
        SMALL_TASKS,
        MATMUL,
        SVD,
        SVD_OF_ONE_BLOCK,
        DOT_OF_ONE_BLOCK,
        PYTHON,
        SMALL_PYTHON,
        SOURCE.format(lock=True),
        SOURCE.format(lock=False),
        TARGET.format(lock=True),
        TARGET.format(lock=False),
    ],
    ids=[
        "native",
        "small tasks",
        "matmul",
        "svd",
        "svd of one block",
        "dot of one block",
        "python",
        "small python",
        "source, locked",
        "source",
        "target, locked",
        "target",
    ],
)
def test_control_comes_back_soon(work: str, executor: str, script: Script) -> None:
    done = script(INTERRUPT.format(work=work.strip()), PANTILE_EXECUTOR=executor)
    assert done.returncode == 0, done.stderr
    # Long before the end of the work.
    lines = [line.split(" done: ") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["KeyboardInterrupt tasks left: True"] * 3
    if work in (SVD_OF_ONE_BLOCK, DOT_OF_ONE_BLOCK):
        # The first task is the kernel, and it was left in its middle.
        assert [line[1] for line in lines] == ["0"] * 3


PLANNING = """
    import _thread, threading
    import pantile.array as da
    # Four million tasks take a while to plan: another thread must be able to say stop meanwhile, and the plan
    # must not be made to its end, nor any task be run.
    work = da.ones((2000, 2000), chunks=1).map_blocks(lambda block: ran.append(1) or block, dtype=float)
    ran = []
    planning = threading.Event()
    def kick():
        planning.wait()
        _thread.interrupt_main()
    threading.Thread(target=kick).start()
    try:
        planning.set()
        work.persist()
    except KeyboardInterrupt:
        print("interrupted", len(ran))
"""


def test_planning_can_be_interrupted(script: Script) -> None:
    done = script(PLANNING)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "interrupted 0\n"


UNCAUGHT = """
    import os, signal, threading, time
    import pantile.array as da
    work = sum(da.sin(da.random.default_rng(i).random((8000, 8000), chunks=1000)).sum() for i in range(40))
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    work.compute()
"""


def test_a_program_that_does_not_catch_it_ends_as_python_programs_do(script: Script) -> None:
    done = script(UNCAUGHT)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


HANDLED = """
    import os, signal, threading, time
    import pantile.array as da
    class Stop(Exception):
        pass
    def handler(number, frame):
        raise Stop("asked to")
    signal.signal(signal.SIGUSR1, handler)
    work = sum(da.sin(da.random.default_rng(i).random((8000, 8000), chunks=1000)).sum() for i in range(40))
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
    try:
        work.compute()
    except Stop as stop:
        print("stopped:", stop)
"""


def test_other_signal_handlers_stop_a_run_with_their_own_exception(script: Script) -> None:
    done = script(HANDLED)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "stopped: asked to\n"
