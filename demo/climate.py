"""Two futures of North America, from real model output: ``python demo/climate.py [--output climate.png]``.

The package ``iris-sample-data`` carries yearly mean temperatures from 1860 to 2099 of the Met Office's Unified Model, under the
scenarios A1B (emissions grow until 2050) and E1 (emissions are cut early). The files are NetCDF-4, which is HDF5. For each
scenario this computes, with Pantile,

* the yearly anomaly of the region's mean temperature against its mean of 1861–1890, and
* the warming of every grid cell, 2070–2099 against 1861–1890,

checks both against plain NumPy, and draws maps and curves into a PNG.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import iris_sample_data
import numpy as np

BASELINE = (1861, 1890)
FUTURE = (2070, 2099)
SCENARIOS = {"A1B": "A1B_north_america.nc", "E1": "E1_north_america.nc"}
VARIABLE = "air_temperature"


@dataclass
class Metadata:
    """What a file says about its temperatures, apart from the temperatures."""

    path: str
    years: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    fill_value: np.generic

    def rows(self, period: tuple[int, int]) -> slice:
        """The time steps of a period, both years included."""
        first, last = np.searchsorted(self.years, period[0]), np.searchsorted(self.years, period[1], "right")
        if list(self.years[first:last]) != list(range(period[0], period[1] + 1)):
            raise ValueError(f"{self.path} has no full record of {period[0]} to {period[1]}")
        return slice(int(first), int(last))


def years_of(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    """The year in which each time lies, by the CF conventions' units and calendar.

    The model's year has twelve months of 30 days. Read as ordinary hours, its dates would drift by five days a year, and the
    240 years of the record would be labelled as 236.
    """
    unit, _, epoch = units.partition(" since ")
    per_day = {"hours": 24, "days": 1, "seconds": 86_400}.get(unit)
    if per_day is None or not epoch:
        raise ValueError(
            f"time units {units!r} are not understood; expected hours, days or seconds since a date"
        )
    year, month, day = (int(part) for part in epoch.split()[0].split("-"))
    days = np.asarray(values, "f8") / per_day
    if calendar == "360_day":
        return (year + np.floor(((month - 1) * 30 + (day - 1) + days) / 360)).astype(int)
    if calendar in ("standard", "gregorian", "proleptic_gregorian"):
        dates = np.datetime64(f"{year:04}-{month:02}-{day:02}", "s") + (days * 86_400).astype(
            "timedelta64[s]"
        )
        return dates.astype("datetime64[Y]").astype(int) + 1970
    raise ValueError(f"calendar {calendar!r} is not understood; expected 360_day or standard")


def metadata(path: str) -> Metadata:
    """Reads the coordinates, which are small, with h5py."""
    with h5py.File(path) as file:
        time_, units = file["time"], file[VARIABLE].attrs["units"]
        if units != b"K" and units != "K":
            raise ValueError(f"{path}: temperatures are in {units!r}, not in kelvin")
        text = {name: np.bytes_(time_.attrs[name]).decode() for name in ("units", "calendar")}
        return Metadata(
            path,
            # Each value is the mean of the 360 days around its time, so the middle says which year it is.
            years_of(time_[:], text["units"], text["calendar"]),
            file["latitude"][:].astype("f8"),
            file["longitude"][:].astype("f8"),
            # NetCDF writes its fill value where nothing was measured.
            file[VARIABLE].attrs.get("_FillValue", file[VARIABLE].fillvalue),
        )


def with_pantile(about: Metadata) -> tuple[np.ndarray, np.ndarray]:
    """The yearly anomalies and the map of the warming."""
    import pantile.array as da

    stored = da.from_hdf5(about.path, VARIABLE)
    present = stored != about.fill_value
    kelvin = stored.astype("f8")
    # A cell is smaller the nearer it lies to the pole.
    area = np.cos(np.radians(about.latitude))[:, None]
    weight = da.where(present, area, 0.0)
    regional = (da.where(present, kelvin, 0.0) * weight).sum(axis=(1, 2)) / weight.sum(axis=(1, 2))
    anomaly = regional - regional[about.rows(BASELINE)].mean()

    known = da.where(present, kelvin, np.nan)
    warming = da.nanmean(known[about.rows(FUTURE)], axis=0) - da.nanmean(known[about.rows(BASELINE)], axis=0)
    return anomaly.compute(), warming.compute()


def with_numpy(about: Metadata) -> tuple[np.ndarray, np.ndarray]:
    """The same by another way, with masked arrays: what the first is checked against."""
    with h5py.File(about.path) as file:
        kelvin = np.ma.masked_equal(file[VARIABLE][:], about.fill_value).astype("f8")
    area = np.broadcast_to(np.cos(np.radians(about.latitude))[:, None], kelvin.shape[1:])
    regional = np.array([np.ma.average(year, weights=area) for year in kelvin])
    anomaly = regional - regional[about.rows(BASELINE)].mean()
    warming = kelvin[about.rows(FUTURE)].mean(axis=0) - kelvin[about.rows(BASELINE)].mean(axis=0)
    return anomaly, np.ma.filled(warming, np.nan)


def draw(results: dict[str, tuple[Metadata, np.ndarray, np.ndarray]], output: Path) -> None:
    """Two maps above, two curves below, in one PNG that appears only when it is complete."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 8), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
    highest = max(float(np.nanmax(warming)) for _, _, warming in results.values())
    maps = []
    mesh: Any = None
    for column, (scenario, (about, _, warming)) in enumerate(results.items()):
        axes = figure.add_subplot(grid[0, column])
        west = about.longitude - 360.0
        mesh = axes.pcolormesh(
            west, about.latitude, warming, vmin=0.0, vmax=highest, cmap="inferno_r", shading="nearest"
        )
        axes.set_title(f"{scenario}: warming of {FUTURE[0]}–{FUTURE[1]} against {BASELINE[0]}–{BASELINE[1]}")
        axes.set_xlabel("longitude (°E)")
        axes.set_ylabel("latitude (°N)")
        maps.append(axes)
    figure.colorbar(mesh, ax=maps, label="kelvin", shrink=0.9)
    axes = figure.add_subplot(grid[1, :])
    for (scenario, (about, anomaly, _)), colour in zip(results.items(), ("#d1495b", "#2e86ab"), strict=True):
        axes.plot(about.years, anomaly, label=scenario, color=colour, linewidth=1.2)
    axes.axhline(0.0, color="grey", linewidth=0.6)
    axes.axvspan(*BASELINE, color="grey", alpha=0.15, label="baseline")
    axes.set_ylabel("anomaly (K)")
    axes.set_title("North America, yearly mean near the surface")
    axes.legend(loc="upper left")
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_suffix(f".{os.getpid()}.part")
    try:
        figure.savefig(part, format="png", dpi=120)
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Two futures of North America, computed with Pantile")
    parser.add_argument("--output", type=Path, default=Path("build/demo/climate.png"))
    options = parser.parse_args()

    results = {}
    for scenario, name in SCENARIOS.items():
        about = metadata(os.path.join(iris_sample_data.path, name))
        begin = time.perf_counter()
        anomaly, warming = with_pantile(about)
        seconds = time.perf_counter() - begin
        expected_anomaly, expected_warming = with_numpy(about)
        np.testing.assert_allclose(
            anomaly, expected_anomaly, rtol=0, atol=1e-9, err_msg=f"{scenario}: anomaly"
        )
        np.testing.assert_allclose(
            warming, expected_warming, rtol=0, atol=1e-9, err_msg=f"{scenario}: warming"
        )
        results[scenario] = (about, anomaly, warming)
        last = anomaly[about.rows(FUTURE)].mean()
        print(
            f"{scenario}: {about.years[0]}–{about.years[-1]}, {len(about.latitude)} × {len(about.longitude)} cells; "
            f"the region warms by {last:.2f} K, its cells by {np.nanmin(warming):.2f} to {np.nanmax(warming):.2f} K "
            f"({seconds * 1e3:.0f} ms, equal to NumPy's)"
        )
    draw(results, options.output)
    print(f"Maps and curves: {options.output}")


if __name__ == "__main__":
    main()
