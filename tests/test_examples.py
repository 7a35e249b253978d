"""The examples run on little data, check themselves, and notice what they must."""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import iris_sample_data
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def module_of(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def grid_search() -> ModuleType:
    return module_of("grid_search")


@pytest.fixture(scope="module")
def web_logs() -> ModuleType:
    return module_of("web_logs")


@pytest.fixture(scope="module")
def filter_records() -> ModuleType:
    return module_of("filter_records")


def run(name: str, *arguments: str) -> str:
    """What an example prints when it is run as users run it; it must end well."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_readme_names_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert all(f"examples/{path.name}`" in text for path in EXAMPLES.glob("*.py"))


# ---- grid_search ----


def test_grid_search_runs_on_processes() -> None:
    out = run("grid_search", "--steps", "2", "--samples", "300")
    assert "24 choices: 3 times fit1, 6 times fit2, 24 times fit3" in out
    assert "s on processes" in out
    assert "the two ways agree, on the best and on all other choices" in out


def test_grid_search_calls_shared_stages_once(grid_search, monkeypatch) -> None:
    calls: Counter[str] = Counter()

    def counted(name: str, stage: Callable[..., object]) -> Callable[..., object]:
        def counting(*arguments: object) -> object:
            calls[name] += 1
            return stage(*arguments)

        return counting

    for name in ("fit1", "fit2", "fit3", "score"):
        monkeypatch.setattr(grid_search, name, counted(name, getattr(grid_search, name)))
    digits, grid = grid_search.load(200), grid_search.grid_of(2)
    scores = grid_search.with_delayed(digits, grid, "sync")
    assert calls == {"fit1": 3, "fit2": 6, "fit3": 24, "score": 24}
    assert len(scores) == 24
    assert grid_search.best_of(scores) == grid_search.best_of(grid_search.with_loops(digits, grid))


def test_grid_search_notices_a_difference(grid_search, monkeypatch, capsys) -> None:
    loops = grid_search.with_loops
    monkeypatch.setattr(grid_search, "with_loops", lambda *a: {**loops(*a), ("none", 0, 0.0, 0.0): 1.0})
    assert grid_search.main(["--steps", "1", "--samples", "200", "--executor", "sync"]) == 1
    assert "the two ways differ" in capsys.readouterr().out


def test_best_is_the_first_of_equals(grid_search) -> None:
    assert grid_search.best_of({"a": 0.5, "b": 0.75, "c": 0.75}) == ("b", 0.75)


# ---- web_logs ----


def test_web_logs_runs(tmp_path: Path) -> None:
    out = run("web_logs", "--size", "2MB", "--cache", str(tmp_path), "--workers", "2")
    assert "7,812 requests in 4 files" in out
    assert "the two ways agree" in out
    assert "making" not in run("web_logs", "--size", "2MB", "--cache", str(tmp_path), "--workers", "2")


def test_web_logs_count_across_files(web_logs, tmp_path: Path) -> None:
    # An hour that lies in two files, equal counts, and more paths than are asked for.
    rows = [("2026-03-02T13:59:59.999Z", 200, f"/{c}") for c in "lkjihgfedcba"] + [
        ("2026-03-02T13:00:00.000Z", 200, "/z"),
        ("2026-03-02T14:00:00.000Z", 200, "/z"),
        ("2026-03-02T13:00:00.000Z", 404, "/z"),
    ]
    files = [tmp_path / "0.gz", tmp_path / "1.gz"]
    for file, part in zip(files, (rows, rows[-3:]), strict=True):
        with gzip.open(file, "wt") as out:
            out.writelines(
                json.dumps(dict(zip(("time", "status", "path"), r, strict=True))) + "\n" for r in part
            )
    expected = {
        ("2026-03-02T13", 200): [("/z", 2), *((f"/{c}", 1) for c in "abcdefghi")],
        ("2026-03-02T14", 200): [("/z", 2)],
        ("2026-03-02T13", 404): [("/z", 2)],
    }
    assert web_logs.with_pantile(files, 2) == expected
    assert web_logs.with_loop(files) == expected


def test_web_log_depends_on_the_seed_alone(web_logs, tmp_path: Path) -> None:
    files, count = web_logs.make_log(tmp_path, 200_000)
    made = [file.stat().st_mtime_ns for file in files]
    parts = [gzip.decompress(file.read_bytes()).decode().splitlines(keepends=True) for file in files]
    assert parts == [list(web_logs.request_lines(i, 4, len(part))) for i, part in enumerate(parts)]
    lines = [line for part in parts for line in part]
    assert len(lines) == count
    assert 0.97 < len("".join(lines).encode()) / 200_000 < 1.03
    requests = [json.loads(line) for line in lines]
    assert [r["time"] for r in requests] == sorted(r["time"] for r in requests)
    assert {r["time"][:10] for r in requests} == {"2026-03-02"}
    assert web_logs.make_log(tmp_path, 200_000) == (files, count)
    assert [file.stat().st_mtime_ns for file in files] == made
    assert sorted(files[0].parent.iterdir()) == files


def test_web_logs_notices_a_difference_and_too_much_memory(web_logs, monkeypatch, tmp_path, capsys) -> None:
    arguments = ["--size", "100kB", "--cache", str(tmp_path), "--workers", "1"]
    assert web_logs.main([*arguments, "--limit", "1MB"]) == 1
    assert "that was more memory than 1 MB" in capsys.readouterr().out
    monkeypatch.setattr(web_logs, "with_loop", lambda files: {})
    assert web_logs.main([*arguments, "--limit", "100GB"]) == 1
    assert "the two ways differ" in capsys.readouterr().out


def test_web_logs_refuses_nothing_to_do(web_logs, capsys) -> None:
    with pytest.raises(SystemExit):
        web_logs.main(["--check-files", "0"])
    assert "must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "count"), [("1GB", 10**9), ("1.5MB", 1_500_000), ("100k", 10**5), ("7", 7)])
def test_web_log_sizes(web_logs, text: str, count: int) -> None:
    assert web_logs.byte_count(text) == count


def test_bad_size_names_good_ones(web_logs) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="'large' is no size; write, for example, 1GB"):
        web_logs.byte_count("large")


# ---- filter_records ----


def test_filter_records_runs_and_reports(tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    out = run("filter_records", "--periods", "6", "24", "--report", str(page))
    assert "without retries: ConnectionError: no answer for" in out
    assert "while computing `FlakyReader`, built at" in out
    assert "polar_stereo.grib2 is no HDF5 file" in out
    assert "the two ways agree" in out
    assert "without_trend" in page.read_text()


def test_filter_records_tries_again(filter_records) -> None:
    folder = Path(iris_sample_data.path)
    reader = filter_records.FlakyReader(3, seed=1)
    shares = filter_records.with_delayed(folder, [6.0, 12.0], reader, retries=3)
    # Each file once more than it failed, however many periods there are.
    assert reader.calls == {name: failed + 1 for name, failed in reader.failures.items()}
    assert shares == filter_records.with_loops(folder, [6.0, 12.0])
    reader = filter_records.FlakyReader(3, seed=1)
    with pytest.raises(ConnectionError, match="no answer") as caught:
        filter_records.with_delayed(folder, [6.0], reader, retries=2)
    assert "built at" in caught.value.__notes__[0]
    assert reader.calls["A1B_north_america.nc"] == 3


def test_filters_keep_what_is_slow(filter_records) -> None:
    step = np.arange(600.0)
    slow, fast = np.cos(2 * np.pi * step / 60), np.cos(2 * np.pi * step / 4)
    record = (slow + fast + 0.01 * step + 5)[:, None]
    flat = filter_records.without_trend(record)
    kept = filter_records.slow(flat, 15.0)
    np.testing.assert_allclose(kept[60:-60, 0], slow[60:-60], atol=0.06)
    assert filter_records.share(flat, kept) == pytest.approx(0.5, abs=0.01)


def test_records_have_measured_values_only(filter_records, tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(6, 2, 2)
    values[0] = values[5] = -99.9  # nothing at the ends
    values[3, 0, 1] = -99.9  # one place misses a value between
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("x", data=values, fillvalue=-99.9)
        file.create_dataset("y", data=np.full((3, 1), -99.9), fillvalue=-99.9)
    read = filter_records.read(tmp_path / "a.nc", "x")
    assert read.tolist() == values.reshape(6, 4)[1:5][:, [0, 2, 3]].tolist()
    nothing = filter_records.read(tmp_path / "a.nc", "y")
    assert nothing == filter_records.Unreadable("a.nc has no values")
    assert filter_records.without_trend(nothing) == nothing


def test_filter_records_notices_a_difference(filter_records, monkeypatch, capsys) -> None:
    loops = filter_records.with_loops
    monkeypatch.setattr(filter_records, "with_loops", lambda *a: {**loops(*a), ("SOI_Darwin.nc", 12.0): 0.0})
    assert filter_records.main(["--periods", "12", "--failures", "1"]) == 1
    assert "the two ways differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--periods", "2"], "choose periods above 2"), (["--failures", "0"], "at least 1")],
)
def test_filter_records_refuses(filter_records, capsys, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit):
        filter_records.main(arguments)
    assert message in capsys.readouterr().err
