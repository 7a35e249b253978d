"""The benchmarks' own promises: every variant runs, a wrong answer is refused, a limit is judged as it is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.case import Case, Over, Ratio, Seconds
from benchmarks.cases import CASES
from benchmarks.report import judge, row_text
from benchmarks.runner import Measurement, agree, mark_wrong_answers

ROOT = Path(__file__).resolve().parent.parent


def measured(variant: str, seconds: float, *answer: float) -> Measurement:
    return Measurement(variant, [seconds] * 3, [list(answer)] * 4)


def case(*limits: Ratio | Seconds | Over, expected: list[float] | None = None) -> Case:
    return Case("work", "some work", limits, {}, {}, expected=expected)


def test_every_case_runs_at_a_tiny_size(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(output.read_text())["rows"]
    assert [row["name"] for row in rows] == list(CASES)
    for row in rows:
        assert row["variants"]["pantile"]["median_s"] > 0


def test_every_limit_names_a_variant_of_its_case() -> None:
    for row in CASES.values():
        assert "pantile" in row.variants
        assert row.limits
        for limit in row.limits:
            assert isinstance(limit, Seconds) or limit.peer in row.variants


def test_wrong_answer_loses_its_time() -> None:
    measurements = [measured("pantile", 0.1, 2.0), measured("numpy", 1.0, 2.1)]
    mark_wrong_answers(case(), measurements)
    row = judge(case(Ratio("numpy", 0.5)), measurements, "full")
    assert row["variants"]["pantile"]["error"] == "WRONG ANSWER: 2.0, where numpy says 2.1"
    assert row["variants"]["pantile"]["median_s"] is None
    assert row["limits"][0]["verdict"] is None


def test_answer_that_is_wrong_only_once_is_refused() -> None:
    flaky = measured("pantile", 0.1, 2.1)
    flaky.answers = [[2.1], [2.1], [float("nan")]]
    mark_wrong_answers(case(), [flaky, measured("numpy", 1.0, 2.1)])
    assert flaky.error is not None
    assert "nan" in flaky.error


def test_mathematics_judges_all_variants() -> None:
    measurements = [measured("pantile", 0.1, 2.0), measured("dask", 1.0, 3.0)]
    mark_wrong_answers(case(expected=[2.0]), measurements)
    assert [m.error for m in measurements] == [None, "WRONG ANSWER: 3.0, where the expected value says 2.0"]


def test_answers_of_other_length_disagree() -> None:
    assert not agree([1.0], [1.0, 2.0], 1e-9, 0.0)
    assert agree([1.0, 2.0], [1.0, 2.0 + 1e-12], 1e-9, 0.0)


@pytest.mark.parametrize(
    ("limit", "own_s", "verdict"),
    [
        (Ratio("numpy", 0.5), 0.5, "pass"),
        (Ratio("numpy", 0.5), 0.51, "MISS"),
        (Over("numpy", 0.05), 1.04, "pass"),
        (Over("numpy", 0.05), 1.06, "MISS"),
        (Seconds(0.3), 0.29, "pass"),
        (Seconds(0.3), 0.31, "MISS"),
        (Ratio("jax", 1.0), 0.1, None),
    ],
)
def test_limits(limit: Ratio | Seconds | Over, own_s: float, verdict: str | None) -> None:
    row = judge(case(limit), [measured("pantile", own_s, 1.0), measured("numpy", 1.0, 1.0)], "full")
    assert row["limits"][0]["verdict"] == verdict


def test_tiny_sizes_are_not_judged() -> None:
    row = judge(case(Seconds(0.3)), [measured("pantile", 9.0, 1.0)], "quick")
    assert row["limits"][0]["verdict"] is None
    assert "not judged" in row_text(row)
