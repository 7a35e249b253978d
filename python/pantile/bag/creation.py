"""Bags of what is there already: sequences, ranges, delayed values, URLs."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable
from typing import Any

import pantile
from pantile.bag.core import Bag, Item
from pantile.bag.partitions import Literal, Shared, Source, Stage

__all__ = ["from_delayed", "from_sequence", "from_url", "range"]


def from_sequence(
    seq: Iterable[Any], partition_size: int | None = None, npartitions: int | None = None
) -> Bag:
    """A bag of a sequence's elements.

    Parameters
    ----------
    seq : iterable
        The elements. Iterators and generators are used up at once.
    partition_size : int, optional
        How many elements a partition has.
    npartitions : int, optional
        About how many partitions there are, if `partition_size` is not given.

    Returns
    -------
    Bag
        The elements, in order. With neither argument, up to 100 elements have a partition each, and more have about
        ten times the square root of their number, as in Dask.

    Examples
    --------
    >>> import pantile.bag as db
    >>> b = db.from_sequence(["Alice", "Bob", "Chuck"], partition_size=2)
    >>> b.npartitions, b.compute()
    (2, ['Alice', 'Bob', 'Chuck'])
    """
    if isinstance(seq, (Bag, Item)):
        raise TypeError("from_sequence takes elements that are there, not a bag; use the bag itself")
    elements = list(seq)
    count = len(elements)
    for name, value in (("partition_size", partition_size), ("npartitions", npartitions)):
        if value is not None and value < 1:
            raise ValueError(f"from_sequence: {name} is {value}; it must be at least 1")
    if partition_size is None:
        if npartitions is None:
            partition_size = 1 if count <= 100 else max(1, math.ceil(math.sqrt(count) / 10))
        elif count <= 100:
            partition_size = math.ceil(count / npartitions)
        else:
            partition_size = max(1, count // npartitions)
    parts = [elements[i : i + partition_size] for i in builtins.range(0, count, max(partition_size, 1))] or [
        []
    ]
    return Bag(Stage("from_sequence", [Literal(part) for part in parts]))


class _Numbers(Source):
    """A range, as numbers one after the other."""

    __slots__ = ("numbers",)
    costly = False

    def __init__(self, numbers: builtins.range) -> None:
        self.numbers = numbers

    def load(self) -> Any:
        return self.numbers


def range(n: int, npartitions: int) -> Bag:
    """The numbers from 0 to `n`, without `n`.

    Parameters
    ----------
    n : int
        How many numbers.
    npartitions : int
        How many partitions. The last one has what remains of a division; where there are more partitions than
        numbers, some are empty (an error in Dask).

    Returns
    -------
    Bag
        The numbers.

    Examples
    --------
    >>> import pantile.bag as db
    >>> db.range(5, npartitions=2).compute()
    [0, 1, 2, 3, 4]
    """
    if npartitions < 1:
        raise ValueError(f"range: npartitions is {npartitions}, but there is at least one partition")
    size = n // npartitions
    if size:
        cuts = [size * i for i in builtins.range(npartitions)] + [n]
    else:
        cuts = [min(i, max(n, 0)) for i in builtins.range(npartitions + 1)]
    return Bag(
        Stage("range", [_Numbers(builtins.range(cuts[i], cuts[i + 1])) for i in builtins.range(npartitions)])
    )


def from_delayed(values: Any) -> Bag:
    """A bag whose partitions are delayed values.

    Parameters
    ----------
    values : Delayed or iterable of Delayed
        Each evaluates to a list or another iterable. Items are taken too.

    Returns
    -------
    Bag
        A partition for each.

    Examples
    --------
    >>> import pantile
    >>> import pantile.bag as db
    >>> numbers = pantile.delayed(list)
    >>> db.from_delayed([numbers((1, 2)), numbers((3,))]).sum().compute()
    6
    """
    if isinstance(values, (pantile.Delayed, Item)):
        values = [values]
    parts: list[Any] = []
    for value in values:
        if isinstance(value, Item):
            parts.append(value._lazy)
        elif isinstance(value, pantile.Delayed):
            parts.append(Shared(value))
        else:
            raise TypeError(
                f"from_delayed takes Delayed values, not {type(value).__name__}; from_sequence takes any"
            )
    if not parts:
        raise ValueError("from_delayed needs at least one value")
    return Bag(Stage("from_delayed", parts))


class _Url(Source):
    """The lines of what an address gives, as bytes."""

    __slots__ = ("url",)

    def __init__(self, url: str) -> None:
        self.url = url

    def describe(self) -> str:
        return self.url

    def load(self) -> list[bytes]:
        from urllib.request import urlopen

        with urlopen(self.url) as response:
            return list(response)


def from_url(urls: str | Iterable[str]) -> Bag:
    """The lines of web pages, as bytes with their line ends.

    Parameters
    ----------
    urls : str or iterable of str
        One or more addresses that `urllib.request.urlopen` understands.

    Returns
    -------
    Bag
        A partition for each address.

    Examples
    --------
    >>> import pantile.bag as db
    >>> db.from_url(["https://example.org/a.txt", "https://example.org/b.txt"])
    pantile.bag<from_url, npartitions=2>
    """
    urls = [urls] if isinstance(urls, str) else list(urls)
    if not urls:
        raise ValueError("from_url needs at least one address")
    return Bag(Stage("from_url", [_Url(url) for url in urls]))
