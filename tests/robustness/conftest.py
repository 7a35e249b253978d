"""What the tests of robustness share: folders to spill into, and Python programs in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pantile import _native, config

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def spill_dir(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, which must be empty again afterwards."""
    folder = tmp_path / "spill"
    folder.mkdir()
    with config.set(spill_dir=folder):
        yield folder
    assert os.listdir(folder) == []


@pytest.fixture
def fresh_pool() -> None:
    """Memory of earlier tests is given back, so that peaks are this test's."""
    _native.trim_pool(0)
    _native.reset_peak()


def leaving(bytes_left: int) -> int:
    """A memory limit that leaves a run this many bytes, beside what the process holds now."""
    probe = 1 << 45
    held = probe - probe // 20 - _native.memory_left(probe)
    return (held + bytes_left) * 20 // 19 + 1


@pytest.fixture
def limit() -> Callable[[int], int]:
    """Makes a memory limit of what it shall leave for a run."""
    return leaving


def environment(**changes: str) -> dict[str, str]:
    """This process' environment; relative entries of the module path stay right in another folder."""
    env = {**os.environ, **changes}
    if "PYTHONPATH" in env:
        parts = env["PYTHONPATH"].split(os.pathsep)
        env["PYTHONPATH"] = os.pathsep.join(os.path.abspath(p) for p in parts if p)
    return env


@pytest.fixture
def script() -> Script:
    """Runs a Python program in a process of its own; a program that hangs fails the test."""

    def run(
        code: str, *arguments: object, timeout_s: float = 90, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment(**changes),
            check=False,
        )

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python program that the test will end; it is killed if the test does not."""
    running: list[subprocess.Popen[str]] = []

    def begin(code: str, *arguments: object, **changes: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**changes),
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()
