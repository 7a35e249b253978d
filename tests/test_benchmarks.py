"""The benchmarks' own promises: every variant runs, a wrong answer is refused, a limit is judged as it is written."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.case import Bytes, Case, Limit, Over, Ratio, Seconds
from benchmarks.cases import CASES
from benchmarks.cases.word_count import WORDS, word, write
from benchmarks.report import judge, row_text
from benchmarks.runner import Measurement, agree, mark_wrong_answers, wants_a_run

ROOT = Path(__file__).resolve().parent.parent


def measured(variant: str, seconds: float, *answer: float) -> Measurement:
    return Measurement(variant, [seconds] * 3, [list(answer)] * 4)


def case(*limits: Limit, expected: list[float] | None = None) -> Case:
    return Case("work", "some work", limits, {}, {}, expected=expected)


@pytest.mark.parametrize("name", CASES)
def test_every_case_runs_at_a_tiny_size(name: str, tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", name, "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(output.read_text())["rows"]
    assert [row["name"] for row in rows] == [name]
    assert rows[0]["variants"]["pantile"]["median_s"] > 0
    assert rows[0]["variants"].keys() == CASES[name].variants.keys()


def test_every_limit_names_a_variant_of_its_case() -> None:
    for row in CASES.values():
        assert "pantile" in row.variants
        for limit in row.limits:
            assert isinstance(limit, Seconds | Bytes) or limit.peer in row.variants


def test_only_the_grid_search_has_no_limit() -> None:
    assert [row.name for row in CASES.values() if not row.limits] == ["grid_search"]
    unjudged = judge(CASES["grid_search"], [measured("pantile", 1.0, 1.0)], "full")
    assert unjudged["limits"] == []
    assert "no limit is set" in row_text(unjudged)


def test_cases_of_a_group_stand_together() -> None:
    groups = [row.group for row in CASES.values()]
    assert [name for i, name in enumerate(groups) if i == 0 or name != groups[i - 1]] == list(
        dict.fromkeys(groups)
    )


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
def test_limits(limit: Limit, own_s: float, verdict: str | None) -> None:
    row = judge(case(limit), [measured("pantile", own_s, 1.0), measured("numpy", 1.0, 1.0)], "full")
    assert row["limits"][0]["verdict"] == verdict


@pytest.mark.parametrize(("peak_bytes", "verdict"), [(10**9, "pass"), (10**9 + 1, "MISS"), (0, None)])
def test_memory_limit_is_on_the_peak(peak_bytes: int, verdict: str | None) -> None:
    own, peer = measured("pantile", 9.0, 1.0), measured("numpy", 1.0, 1.0)
    own.peak_bytes, peer.peak_bytes = peak_bytes, 10**12
    row = judge(case(Bytes(10**9)), [own, peer], "full")
    assert row["limits"] == [{"limit": "1 GB", "allowed_bytes": 10**9, "verdict": verdict}]
    assert f"at most 1 GB: {verdict or 'not judged'}" in row_text(row)


def test_memory_limit_is_not_judged_without_a_time() -> None:
    refused = measured("pantile", 1.0, 1.0)
    refused.error = "WRONG ANSWER"
    refused.peak_bytes = 1
    assert judge(case(Bytes(10**9)), [refused], "full")["limits"][0]["verdict"] is None


@pytest.mark.parametrize(
    ("first_s", "seconds", "again"),
    [
        (1.0, [], True),
        (30.0, [], True),
        (30.0, [30.0], False),
        (1.0, [30.0], True),
        (1.0, [30.0, 30.0], False),
        (1.0, [1.0, 1.0], True),
    ],
)
def test_slow_variants_are_repeated_less(first_s: float, seconds: list[float], again: bool) -> None:
    assert wants_a_run(case(), Measurement("dask", seconds, first_s=first_s)) is again


def test_what_has_failed_is_not_repeated() -> None:
    assert not wants_a_run(case(), Measurement("dask", error="exit status 1"))


def test_words_have_ranks_of_their_own() -> None:
    words = [word(rank) for rank in range(WORDS)]
    assert len(set(words)) == WORDS
    assert len(words[0]) < len(words[-1])


def test_word_count_files_are_the_same_every_time(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write(str(first), 50_000, seed=3)
    write(str(second), 50_000, seed=3)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(tmp_path.iterdir()) == [first, second]
    lines = gzip.decompress(first.read_bytes()).splitlines()
    assert sum(len(line) + 1 for line in lines) >= 50_000
    assert all(json.loads(line)["text"] for line in lines)


def test_tiny_sizes_are_not_judged() -> None:
    row = judge(case(Seconds(0.3)), [measured("pantile", 9.0, 1.0)], "quick")
    assert row["limits"][0]["verdict"] is None
    assert "not judged" in row_text(row)
