"""Judges what was measured: the table on the screen, and results.json for the chart and for comparing over time."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tomllib
from collections.abc import Sequence
from typing import Any

from .case import Bytes, Case
from .data import ROOT
from .runner import Measurement

PEERS = (
    "pantile",
    "numpy",
    "h5py",
    "dask",
    "numba",
    "jax",
    "jaxlib",
    "llvmlite",
    "scipy",
    "joblib",
    "scikit-learn",
)


def seconds_text(value: float) -> str:
    """A duration with three digits and a fitting unit."""
    if value < 1e-3:
        return f"{value * 1e6:.3g} µs"
    if value < 1.0:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s"


def judge(case: Case, measurements: Sequence[Measurement], size: str) -> dict[str, Any]:
    """One row of results: medians, ratios, and for each limit whether it is kept."""
    good = {m.variant: m for m in measurements if m.error is None and m.seconds}
    medians = {name: m.median_s for name, m in good.items()}
    own = medians.get("pantile")
    limits = []
    for limit in case.limits:
        used: float | None
        allowed: float | None
        if isinstance(limit, Bytes):
            # Zero is a system that does not tell.
            used = (good["pantile"].peak_bytes or None) if own is not None else None
            kind, allowed = "allowed_bytes", limit.limit_bytes
        else:
            used = own
            kind, allowed = "allowed_s", limit.seconds(medians)
        if size != "full" or used is None or allowed is None:
            verdict = None
        else:
            verdict = "pass" if used <= allowed else "MISS"
        limits.append({"limit": str(limit), kind: allowed, "verdict": verdict})
    return {
        "name": case.name,
        "title": case.title,
        "group": case.group,
        "size": size,
        "variants": {
            m.variant: {
                "median_s": medians.get(m.variant),
                "runs_s": m.seconds,
                "first_s": m.first_s,
                "peak_bytes": m.peak_bytes,
                "data_bytes": m.data_bytes,
                "pantile_ratio": own / medians[m.variant]
                if own is not None and m.variant in medians
                else None,
                "error": m.error,
                "missing": m.missing,
            }
            for m in measurements
        },
        "limits": limits,
    }


def row_text(row: dict[str, Any]) -> str:
    """A row of results as lines of text."""
    lines = [row["title"] if row["size"] == "full" else f"{row['title']} (at a tiny size)"]
    for name, v in row["variants"].items():
        if v["median_s"] is None:
            lines.append(f"    {name:<18} {'not installed' if v['missing'] else v['error']}")
            continue
        ratio = v["pantile_ratio"]
        versus = f"pantile = {ratio:.3g} ×" if ratio is not None and name != "pantile" else ""
        runs = (
            f"{len(v['runs_s'])} runs, {seconds_text(min(v['runs_s']))} to {seconds_text(max(v['runs_s']))}"
        )
        peak = f"{v['peak_bytes'] / 1e6:,.0f} MB" if v["peak_bytes"] else ""
        lines.append(f"    {name:<18} {seconds_text(v['median_s']):>9}   {versus:<20} {peak:>10}   {runs}")
    for limit in row["limits"]:
        allowed_s = limit.get("allowed_s")
        allowed = f" = {seconds_text(allowed_s)}" if allowed_s is not None else ""
        lines.append(f"    at most {limit['limit']}{allowed}: {limit['verdict'] or 'not judged'}")
    if not row["limits"]:
        lines.append("    no limit is set")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the numbers were measured on and with."""
    cpu = platform.processor()
    try:
        with open("/proc/cpuinfo") as info:
            cpu = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), cpu)
    except OSError:
        pass
    versions = {}
    for name in PEERS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if "pantile" not in versions:
        # The benchmarks' environment finds the package by its folder, without installing it.
        manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
        versions = {"pantile": manifest["workspace"]["package"]["version"], **versions}
    return {
        "cpu": cpu,
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
        "load_average": os.getloadavg()[0],
    }
