"""joblib's parallel loops, and scikit-learn's on top of them, in worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pantile.joblib
import pytest


@pytest.fixture(autouse=True)
def backend() -> Iterator[None]:
    pantile.joblib.register()
    with joblib.parallel_config(backend="pantile", n_jobs=2):
        yield


def where(_: Any = None) -> int:
    return os.getpid()


def nested(n: int) -> tuple[int, list[int]]:
    return os.getpid(), joblib.Parallel(n_jobs=2)(joblib.delayed(where)(i) for i in range(n))


def fail(i: int) -> int:
    if i == 3:
        raise ValueError("the third")
    return i


def test_results_keep_their_order_and_come_from_other_processes() -> None:
    results = joblib.Parallel()(joblib.delayed(lambda x: (x * 2, os.getpid()))(i) for i in range(50))
    assert [r[0] for r in results] == [i * 2 for i in range(50)]
    assert os.getpid() not in {r[1] for r in results}


def test_loops_within_loops_stay_in_their_worker() -> None:
    for pid, inner in joblib.Parallel()(joblib.delayed(nested)(3) for _ in range(4)):
        assert set(inner) == {pid}


def test_a_failure_is_raised_and_the_backend_goes_on() -> None:
    with pytest.raises(ValueError, match="the third"):
        joblib.Parallel()(joblib.delayed(fail)(i) for i in range(20))
    with joblib.Parallel() as parallel, pytest.raises(ValueError, match="the third"):
        parallel(joblib.delayed(fail)(i) for i in range(20))
    # Another Parallel: after a failure, joblib's own gives the next call what it had read ahead, with any backend (1.6.0).
    with joblib.Parallel() as parallel:
        assert parallel(joblib.delayed(fail)(i) for i in range(3)) == [0, 1, 2]


def test_one_job_needs_no_process() -> None:
    assert set(joblib.Parallel(n_jobs=1)(joblib.delayed(where)(i) for i in range(3))) == {os.getpid()}
    with pytest.raises(ValueError, match="n_jobs == 0"):
        joblib.Parallel(n_jobs=0)(joblib.delayed(where)(i) for i in range(3))


def test_results_as_a_generator() -> None:
    parallel = joblib.Parallel(return_as="generator")
    assert list(parallel(joblib.delayed(fail)(i) for i in (0, 1, 2, 4))) == [0, 1, 2, 4]


def test_grid_search_finds_what_it_finds_alone() -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    x, y = load_digits(return_X_y=True)
    search = GridSearchCV(SVC(), {"C": [1.0, 10.0], "gamma": [0.001, 0.01]}, cv=3)
    search.fit(x[:600], y[:600])
    with joblib.parallel_config(backend="sequential"):
        alone = GridSearchCV(SVC(), search.param_grid, cv=3).fit(x[:600], y[:600])
    assert search.best_params_ == alone.best_params_
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
