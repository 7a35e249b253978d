"""Samples of bags: `sample` and `choices` of a fixed size, and `Bag.random_sample` with a fixed probability.

Chance is drawn when the bag is made, from Python's `random`: ``random.seed(1)`` before makes samples repeatable, and
computing a sample twice gives it twice. (Dask draws while computing, from the state that each thread or process
happens to find.)
"""

from __future__ import annotations

import heapq
import itertools
import operator
import random as _random
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from pantile.bag.core import Bag
from pantile.bag.partitions import Stage
from pantile.bag.reductions import fan_in, tree
from pantile.bag.steps import Sample, Step, readable

__all__ = ["choices", "random_sample", "sample"]


def random_sample(bag: Bag, prob: float, random_state: Any) -> Bag:
    """See `Bag.random_sample`."""
    if not 0 <= prob <= 1:
        raise ValueError(f"prob is {prob!r}; it must be between 0 and 1")
    if not isinstance(random_state, _random.Random):
        random_state = _random.Random(random_state)
    return Bag(bag._stage.then("random_sample", Sample(prob, random_state.randint(0, 1 << 32))))


class _Draw(Step):
    """What one partition adds to a sample."""

    __slots__ = ("count", "replace", "seed")

    def __init__(self, count: int, replace: bool, seed: int) -> None:
        super().__init__("choices" if replace else "sample")
        self.count = count
        self.replace = replace
        self.seed = seed

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        chance = _random.Random(f"{self.seed} {index}")
        if not self.replace:
            # Every element gets a random number; the sample is the elements with the largest ones.
            tagged = zip(iter(chance.random, 2.0), elements, strict=False)
            return heapq.nlargest(self.count, tagged, key=operator.itemgetter(0))
        elements = readable(elements)
        chosen = chance.choices(elements, k=self.count) if len(elements) else []
        return len(elements), chosen


def _merge_tagged(parts: Iterable[Any], k: int) -> list[Any]:
    return heapq.nlargest(k, itertools.chain.from_iterable(parts), key=operator.itemgetter(0))


def _untag(tagged: list[Any], k: int) -> list[Any]:
    if len(tagged) < k:
        raise ValueError(
            f"a sample of {k} elements from a bag with {len(tagged)}; choices() may repeat elements"
        )
    return [element for _, element in tagged]


def _merge_drawn(parts: Iterable[Any], k: int, seed: int) -> tuple[int, list[Any]]:
    """Draws with replacement from all partitions: each comes from a partition in proportion to its length."""
    parts = [part for part in parts if part[0]]
    total = sum(n for n, _ in parts)
    if not total:
        return 0, []
    chance = _random.Random(f"{seed} {total} {len(parts)}")
    origins = chance.choices(range(len(parts)), weights=[n for n, _ in parts], k=k)
    return total, [parts[origin][1][i] for i, origin in enumerate(origins)]


def _drawn(value: tuple[int, list[Any]], k: int) -> list[Any]:
    total, chosen = value
    if not total and k:
        raise ValueError(f"{k} choices from a bag without elements")
    return chosen


def _check(population: Any, k: int) -> None:
    if not isinstance(population, Bag):
        raise TypeError(f"the population is a {type(population).__name__}; it must be a Bag")
    if k < 0:
        raise ValueError(f"k is {k}; a sample has no negative number of elements")


def sample(population: Bag, k: int, split_every: int | None = None) -> Bag:
    """`k` elements that chance chooses, none of them twice.

    Parameters
    ----------
    population : Bag
        What is chosen from.
    k : int
        How many.
    split_every : int, optional
        As for `Bag.reduction`.

    Returns
    -------
    Bag
        The sample, in one partition.

    Raises
    ------
    ValueError
        While computing, if the bag has fewer elements.

    Examples
    --------
    >>> import pantile.bag as db
    >>> from pantile.bag import random
    >>> b = db.from_sequence(range(5), npartitions=2)
    >>> sorted(random.sample(b, 5))
    [0, 1, 2, 3, 4]
    """
    _check(population, k)
    stage = population._stage.then("sample", _Draw(k, False, _random.getrandbits(64)))
    every = fan_in(population, split_every)
    return Bag(
        Stage("sample", [tree(stage.parts(), partial(_merge_tagged, k=k), every, partial(_untag, k=k))])
    )


def choices(population: Bag, k: int = 1, split_every: int | None = None) -> Bag:
    """`k` elements that chance chooses, each independently of the others.

    Parameters
    ----------
    population : Bag
        What is chosen from.
    k : int, optional
        How many.
    split_every : int, optional
        As for `Bag.reduction`.

    Returns
    -------
    Bag
        The choices, in one partition.

    Raises
    ------
    ValueError
        While computing, if the bag has no elements.

    Examples
    --------
    >>> import pantile.bag as db
    >>> from pantile.bag import random
    >>> b = db.from_sequence(range(5), npartitions=2)
    >>> len(random.choices(b, 20).compute())
    20
    """
    _check(population, k)
    seed = _random.getrandbits(64)
    stage = population._stage.then("choices", _Draw(k, True, seed))
    every = fan_in(population, split_every)
    merge = partial(_merge_drawn, k=k, seed=seed)
    return Bag(Stage("choices", [tree(stage.parts(), merge, every, partial(_drawn, k=k))]))
