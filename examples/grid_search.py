"""A grid search in three nested loops, made parallel by one word: ``python examples/grid_search.py [--steps 5]``.

A classifier of scikit-learn's handwritten digits has three stages: the pixels are scaled (`fit1`), reduced to principal
components (`fit2`), and a support vector machine learns from those (`fit3`); `score` says how well it does on digits it has
not seen. Each stage has parameters, and each choice of an earlier one is tried with all choices of the later ones. As loops
that shares the early stages, which a search over whole pipelines would fit again each time; but loops run one call after the
other.

`with_delayed` is the same loops with the functions wrapped in `pantile.delayed`. Calls then only build a graph, and `compute`
runs it on all processors, each stage once. The functions know nothing of it.

Most of the time goes into `fit3` and `score`. On processes it pays where that is longer than the seconds in which the
workers start and import scikit-learn, which happens once in a program.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pantile
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

# ---- the stages: plain functions ----


class Digits(NamedTuple):
    """Digits to learn from and digits to be judged by, after any number of stages."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    def through(self, stage: Any) -> Digits:
        """The digits after one stage more, which learns from the first ones only."""
        return self._replace(train=stage.fit_transform(self.train), test=stage.transform(self.test))


def load(samples: int) -> Digits:
    """Some of the 1797 digits, three quarters of them to learn from."""
    pixels, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        pixels[:samples], labels[:samples], test_size=0.25, random_state=0, stratify=labels[:samples]
    )
    return Digits(train, train_labels, test, test_labels)


def fit1(digits: Digits, scaler: Any) -> Digits:
    """Scales the pixels."""
    return digits.through(scaler)


def fit2(digits: Digits, components: int) -> Digits:
    """Keeps the principal components only."""
    return digits.through(PCA(components, svd_solver="full"))


def fit3(digits: Digits, cost: float, gamma: float) -> SVC:
    """Learns to tell the digits apart."""
    return SVC(C=cost, gamma=gamma).fit(digits.train, digits.train_labels)


def score(model: SVC, digits: Digits) -> float:
    """The share of the digits it has not seen that it knows."""
    return float(model.score(digits.test, digits.test_labels))


# ---- the search ----


class Grid(NamedTuple):
    """The values to try."""

    scalers: list[Any]
    components: list[int]
    costs_and_gammas: list[tuple[float, float]]


Scores = dict[tuple[str, int, float, float], float]
"""The score of each choice: scaler, components, cost, gamma."""


def grid_of(steps: int) -> Grid:
    """So many values of each parameter."""
    components = np.linspace(8, 48, steps).round().astype(int).tolist()
    costs = np.logspace(-0.5, 1.5, steps).tolist()
    gammas = np.logspace(-3, -0.5, steps).tolist()
    return Grid(
        [StandardScaler(), MinMaxScaler(), MinMaxScaler((-1, 1))],
        components,
        [(cost, gamma) for cost in costs for gamma in gammas],
    )


def with_loops(digits: Digits, grid: Grid) -> Scores:
    """The search as one would write it without Pantile."""
    scores = {}
    for scaler in grid.scalers:
        scaled = fit1(digits, scaler)
        for components in grid.components:
            reduced = fit2(scaled, components)
            for cost, gamma in grid.costs_and_gammas:
                model = fit3(reduced, cost, gamma)
                scores[str(scaler), components, cost, gamma] = score(model, reduced)
    return scores


def with_delayed(digits: Digits, grid: Grid, executor: str) -> Scores:
    """The same loops. Nothing runs in them; what is put into `scores` are promises, which `compute` keeps."""
    fit1_, fit2_, fit3_, score_ = (pantile.delayed(f) for f in (fit1, fit2, fit3, score))
    # Made one node, the digits are handed to all calls that need them as one value.
    digits_ = pantile.delayed(digits)
    scores = {}
    for scaler in grid.scalers:
        scaled = fit1_(digits_, scaler)
        for components in grid.components:
            reduced = fit2_(scaled, components)
            for cost, gamma in grid.costs_and_gammas:
                model = fit3_(reduced, cost, gamma)
                scores[str(scaler), components, cost, gamma] = score_(model, reduced)
    (found,) = pantile.compute(scores, executor=executor)
    return found


def best_of(scores: Scores) -> tuple[tuple[str, int, float, float], float]:
    """The choice with the best score, the first of equals."""
    choice = max(scores, key=scores.__getitem__)
    return choice, scores[choice]


# ---- the comparison ----


def timed(search: Callable[..., Scores], *arguments: Any) -> tuple[Scores, float]:
    """What a search found, and the seconds it took."""
    start = time.perf_counter()
    found = search(*arguments)
    return found, time.perf_counter() - start


def main(arguments: list[str] | None = None) -> int:
    """Searches both ways, compares, and says what each took; 1 if they differ."""
    parser = argparse.ArgumentParser(description="Grid search over handwritten digits")
    parser.add_argument("--steps", type=int, default=5, help="values of each parameter (default: 5)")
    parser.add_argument("--samples", type=int, default=1797, help="how many digits (default: all, 1797)")
    parser.add_argument("--executor", choices=("processes", "threads", "sync"), default="processes")
    options = parser.parse_args(arguments)
    digits, grid = load(options.samples), grid_of(options.steps)
    fits = len(grid.scalers) * len(grid.components) * len(grid.costs_and_gammas)
    print(
        f"{len(digits.train)} digits to learn from, {len(digits.test)} to be judged by; {fits} choices: "
        f"{len(grid.scalers)} times fit1, {len(grid.scalers) * len(grid.components)} times fit2, {fits} times fit3"
    )
    # The loops on one processor, as the linear algebra of each task is: its threads would only compete with the workers.
    with threadpool_limits(1):
        expected, loop_seconds = timed(with_loops, digits, grid)
        print(f"loops:   {loop_seconds:.2f} s")
        # With processes this includes starting them, and importing scikit-learn in each.
        found, seconds = timed(with_delayed, digits, grid, options.executor)
        print(f"delayed: {seconds:.2f} s on {options.executor}, {loop_seconds / seconds:.2f} times as fast")
    (scaler, components, cost, gamma), best = best_of(found)
    print(f"best: {scaler}, {components} components, C={cost:.3g}, gamma={gamma:.3g}: {best:.2%} right")
    if found != expected:
        print("the two ways differ")
        return 1
    print("the two ways agree, on the best and on all other choices")
    return 0


if __name__ == "__main__":
    sys.exit(main())
