"""The demos run, check themselves, and notice what they must."""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

DEMO = Path(__file__).resolve().parent.parent / "demo"


@pytest.fixture(scope="module")
def climate() -> dict[str, object]:
    return runpy.run_path(str(DEMO / "climate.py"))


@pytest.fixture(scope="module")
def expressions() -> dict[str, object]:
    return runpy.run_path(str(DEMO / "expressions.py"))


def test_climate_draws_its_picture(tmp_path: Path) -> None:
    picture = tmp_path / "out" / "climate.png"
    command = [sys.executable, str(DEMO / "climate.py"), "--output", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "A1B: 1860–2099, 37 × 49 cells; the region warms by 4.50 K" in done.stdout
    assert "E1: 1860–2099, 37 × 49 cells; the region warms by 2.42 K" in done.stdout


def test_expressions_run_on_an_array_larger_than_the_limit(tmp_path: Path) -> None:
    sizes = ["--size", "450MB", "--limit", "420MB", "--corner", "1000", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(DEMO / "expressions.py"), *sizes], capture_output=True, text=True
    )
    # The demo fails if the most memory that the process held was over the limit.
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7500 × 7500 doubles, 450 MB" in done.stdout
    assert "limit 420 MB" in done.stdout
    assert done.stdout.count("equal to NumPy's on 1000 × 1000") == 4


def test_years_of_a_360_day_calendar(climate) -> None:
    hours = np.array([-946_800.0, 0.0, 8_639.0, 8_640.0, 1_118_160.0])
    years = climate["years_of"](hours, "hours since 1970-01-01 00:00:00", "360_day")
    assert years.tolist() == [1860, 1970, 1970, 1971, 2099]


def test_years_of_the_standard_calendar(climate) -> None:
    years = climate["years_of"](np.array([-1.0, 0.0, 364.0, 365.0]), "days since 1970-01-01", "standard")
    assert years.tolist() == [1969, 1970, 1970, 1971]


def test_unknown_calendar_is_refused(climate) -> None:
    with pytest.raises(ValueError, match="calendar 'julian' is not understood"):
        climate["years_of"](np.zeros(1), "days since 1970-01-01", "julian")


# A cell without any value has no mean, which NumPy says too.
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_fill_values_do_not_count(climate, tmp_path: Path) -> None:
    path = tmp_path / "model.nc"
    values = np.full((240, 2, 2), 280.0, "f4")
    values[210:] += 3.0
    values[:, 0, 0] = values[5, 1, 1] = 9.96921e36
    with h5py.File(path, "w") as file:
        variable = file.create_dataset("air_temperature", data=values, fillvalue=np.float32(9.96921e36))
        variable.attrs["units"] = np.bytes_("K")
        times = file.create_dataset("time", data=np.arange(240) * 360.0 + 180.0)
        times.attrs["units"], times.attrs["calendar"] = "days since 1860-01-01", "360_day"
        file["latitude"], file["longitude"] = np.array([0.0, 60.0]), np.array([225.0, 226.0])
    about = climate["metadata"](str(path))
    for way in ("with_numpy", "with_pantile"):
        anomaly, warming = climate[way](about)
        np.testing.assert_allclose(anomaly[[0, 5, 239]], [0.0, 0.0, 3.0], atol=1e-9)
        np.testing.assert_allclose(warming, [[np.nan, 3.0], [3.0, 3.0]])


def test_file_of_expressions_is_complete_or_absent(expressions, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    expressions["make_file"](path, 1_000)
    with h5py.File(path) as file:
        assert file["x"].chunks == (500, 500)
        np.testing.assert_allclose(file["x"].attrs["sum"], file["x"][:].sum(), rtol=1e-12)
    before = path.stat().st_mtime_ns
    expressions["make_file"](path, 1_000)
    assert path.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "count"), [("4GB", 4 * 10**9), ("512 MiB", 512 * 2**20), ("1.5gb", 1_500_000_000), ("100", 100)]
)
def test_sizes(expressions, text: str, count: int) -> None:
    assert expressions["byte_count"](text) == count


def test_bad_size_names_good_ones(expressions) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="'4 parsecs' is no size; write, for example, 4GB"):
        expressions["byte_count"]("4 parsecs")
