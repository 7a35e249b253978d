"""Worker processes in trouble: they die, their parent dies, Ctrl-C, no descriptors left. Nothing hangs or stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pantile import _native
from pantile.futures import Executor, WorkerDiedError

Script = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def pool() -> Iterator[_native.WorkerPool]:
    pool = _native.WorkerPool()
    yield pool
    pool.close()


def call(pool: _native.WorkerPool | None, function: Callable[..., Any], *args: Any, workers: int = 1) -> Any:
    return _native.call_in_process(function, args, None, workers, pool)


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            state = stat.read().rsplit(") ", 1)[1][0]
        # The first thread may be gone before the others.
        return state not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def kill_self(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def crash() -> None:
    import ctypes

    ctypes.string_at(0)


def die_with_a_child_that_holds_everything() -> None:
    # The child of a fork has the worker's socket as well.
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
    os._exit(4)


@pytest.mark.parametrize(
    "function, args, how",
    [
        (kill_self, (signal.SIGKILL,), "killed by signal 9 (SIGKILL)"),
        (kill_self, (signal.SIGTERM,), "killed by signal 15 (SIGTERM)"),
        (os._exit, (3,), "exited with status 3"),
        (os._exit, (0,), "exited with status 0"),
        (os.abort, (), "killed by signal 6 (SIGABRT)"),
        (crash, (), "killed by signal 11 (SIGSEGV)"),
        (die_with_a_child_that_holds_everything, (), "exited with status 4"),
    ],
    ids=["SIGKILL", "SIGTERM", "_exit 3", "_exit 0", "abort", "segfault", "grandchild"],
)
def test_a_dead_worker_is_an_error_that_says_how_and_the_next_call_works(
    pool: _native.WorkerPool, function: Callable[..., Any], args: tuple[Any, ...], how: str
) -> None:
    pid = call(pool, os.getpid)
    began = time.monotonic()
    with pytest.raises(WorkerDiedError) as caught:
        call(pool, function, *args)
    assert f"worker process {pid} " in str(caught.value)
    assert how in str(caught.value)
    assert function.__name__ in str(caught.value)
    assert time.monotonic() - began < 1.9
    assert call(pool, os.getpid) != pid
    assert len(pool.pids) == 1


def test_a_worker_that_dies_at_rest_is_replaced_without_a_word(pool: _native.WorkerPool) -> None:
    pid = call(pool, os.getpid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not lives(pid))
    assert call(pool, os.getpid) != pid
    # Nobody is left to be waited for.
    assert not os.path.exists(f"/proc/{pid}")


def test_results_outlive_their_worker(pool: _native.WorkerPool) -> None:
    result = call(pool, np.arange, 100_000)
    with pytest.raises(WorkerDiedError):
        call(pool, os._exit, 1)
    np.testing.assert_array_equal(result, np.arange(100_000))


def test_other_calls_go_on_when_one_worker_dies() -> None:
    with Executor(2, kind="processes") as executor:
        futures = [executor.submit(os._exit, 9) if i == 3 else executor.submit(pow, i, 2) for i in range(10)]
        errors = [f.exception() for f in futures]
    assert [i for i, e in enumerate(errors) if e is not None] == [3]
    assert isinstance(errors[3], WorkerDiedError)


PARENT = """
    import os, sys, threading, time
    import numpy as np
    from pantile import _native
    def busy():
        # In C code that does not look at signals and keeps the interpreter's lock.
        return sum(range(10**12))
    kept = [_native.call_in_process(np.ones, (1_000_000,), None, 2) for _ in range(3)]
    threading.Thread(
        target=_native.call_in_process, args=(busy, (), None, 2), daemon=True
    ).start()
    time.sleep(0.3)
    assert _native.call_in_process(pow, (2, 3), None, 2) == 8
    print(*_native.process_stats()["pids"], flush=True)
    time.sleep(60)
"""


def test_a_killed_parent_leaves_no_process_and_no_file(start: Start) -> None:
    before = {folder: set(os.listdir(folder)) for folder in ("/dev/shm", "/tmp")}
    parent = start(PARENT)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(lives(pid) for pid in pids)
    parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(lives(pid) for pid in pids))
    # The segments were the only thing of theirs, and have no names. Others use these folders too.
    for folder, names in before.items():
        new = set(os.listdir(folder)) - names
        assert not [name for name in new if "pantile" in name.lower()], new


ENDING = """
    import os, sys, threading, time
    from pantile import _native
    how = sys.argv[1]
    pid = _native.call_in_process(os.getpid, (), None, 1)
    print(pid, flush=True)
    if how == "exit":
        sys.exit(0)
    if how == "error":
        raise ValueError
    if how == "_exit":
        os._exit(0)
    if how == "busy":
        threading.Thread(
            target=_native.call_in_process, args=(time.sleep, (60,), None, 1), daemon=True
        ).start()
        time.sleep(0.2)
"""


@pytest.mark.parametrize("how", ["exit", "error", "_exit", "busy"])
def test_workers_end_with_the_interpreter(how: str, script: Script) -> None:
    done = script(ENDING, how, timeout_s=20)
    assert done.returncode == (1 if how == "error" else 0), done.stderr
    wait_until(lambda: not lives(int(done.stdout)))


INTERRUPTED = """
    import os, signal, sys, threading, time
    from pantile import _native
    from pantile.futures import Executor
    def sleepy():
        time.sleep(60)
    pid = _native.call_in_process(os.getpid, (), None, 1)
    # As a terminal does it: everybody in the group gets it.
    threading.Timer(0.5, lambda: os.killpg(0, signal.SIGINT)).start()
    at = time.monotonic()
    try:
        if sys.argv[1] == "call":
            _native.call_in_process(sleepy, (), None, 1)
        else:
            with Executor(1, kind="processes") as executor:
                executor.submit(sleepy)
                list(executor.map(sleepy, ()))
                executor.submit(sleepy).result()
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - at < 10)
    new = _native.call_in_process(os.getpid, (), None, 1)
    print("replaced", new != pid)
    # One at rest does not mind.
    try:
        os.killpg(0, signal.SIGINT)
        time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    print("kept", _native.call_in_process(os.getpid, (), None, 1) == new)
"""


@pytest.mark.parametrize("how", ["call", "executor"])
def test_ctrl_c_ends_a_waiting_call_and_its_worker(how: str) -> None:
    import sys
    import textwrap

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), how],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines() == ["interrupted True", "replaced True", "kept True"], done.stderr
    assert "Traceback" not in done.stderr


def test_a_flag_stops_a_call_from_another_thread(pool: _native.WorkerPool) -> None:
    stop = _native.StopFlag()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        _native.call_in_process(time.sleep, (60,), None, 1, pool, None, stop)
    timer.join()
    assert pool.pids == []


BROKEN_START = """
    import os, sys
    os.environ["PYTHONPATH"] = sys.argv[1]
    from pantile import _native
    try:
        _native.call_in_process(pow, (2, 2), None, 1)
    except _native.WorkerDiedError as error:
        print(error)
"""


def test_a_worker_that_cannot_start_says_why(script: Script, tmp_path: Any) -> None:
    (tmp_path / "pickle.py").write_text("raise ImportError('this is no pickle')\n")
    done = script(BROKEN_START, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "exited with status 1 while it started. Its standard error was:\n" in done.stdout
    assert "ImportError: this is no pickle" in done.stdout
    assert done.stderr == ""


OUTPUT = """
    import os, sys
    from pantile import _native
    def talk():
        print("to stdout")
        print("to stderr", file=sys.stderr)
        return sys.stdin.read()
    print(repr(_native.call_in_process(talk, (), None, 1)))
"""


def test_what_workers_write_goes_where_the_parents_goes(script: Script) -> None:
    done = script(OUTPUT)
    assert (done.stdout, done.stderr, done.returncode) == ("to stdout\n''\n", "to stderr\n", 0)


FORKED = """
    import os
    import numpy as np
    from pantile import _native
    pool = _native.WorkerPool()
    kept = _native.call_in_process(np.ones, (1_000_000,), None, 1)
    parents = _native.process_stats()["pids"]
    child = os.fork()
    if child == 0:
        # Neither the parent's workers nor what it has to say about segments are this process'.
        del kept
        assert _native.process_stats()["pids"] == []
        own = _native.call_in_process(os.getppid, (), None, 1)
        assert own == os.getpid(), own
        try:
            _native.call_in_process(pow, (2, 2), None, 1, pool)
        except RuntimeError as error:
            print(error, flush=True)
        _native.close_processes()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert kept.sum() == 1_000_000
    assert _native.call_in_process(os.getpid, (), None, 1) in parents
    print("fine")
"""


def test_a_forked_child_has_workers_of_its_own(script: Script) -> None:
    done = script(FORKED, timeout_s=30)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "belongs to the process that forked this one" in first
    assert second == "fine"


FEW_DESCRIPTORS = """
    import os, resource
    import numpy as np
    from pantile import _native
    kept = _native.call_in_process(np.ones, (20_000,), None, 1)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for workers in (1, 2):
        try:
            # The second lease needs a process of its own.
            if workers == 1:
                _native.call_in_process(len, (np.ones(50_000),), None, 1)
            else:
                _native.call_in_process(len, (b"",), None, 1, _native.WorkerPool())
        except OSError as error:
            print(error.errno, error)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50,) * 2)
    # A segment that could not be made does no harm to the worker.
    print(_native.call_in_process(len, (np.ones(50_000),), None, 1))
"""


def test_running_out_of_descriptors_is_an_error_that_says_so(script: Script) -> None:
    done = script(FEW_DESCRIPTORS)
    assert done.returncode == 0, done.stderr
    segment, start, after = done.stdout.splitlines()
    assert segment.startswith("24 ")
    assert "cannot make a segment of shared memory of 390.6 KiB" in segment
    assert "`ulimit -n`" in segment
    assert "cannot start a worker process" in start
    assert "`ulimit -n`" in start
    assert after == "50000"
