"""`repartition`: the same elements, in order, in partitions cut elsewhere."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pantile
from pantile.bag.core import Bag
from pantile.bag.partitions import Call, Lazy, Stage, materialise, to_list

__all__ = ["repartition"]

# How many elements of a container are looked at to estimate its size.
_SAMPLED = 64


def size_of(value: Any, depth: int = 0) -> int:
    """About how many bytes a value holds, from some of its elements where it has many."""
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size
    size = sys.getsizeof(value, 64)
    if depth > 8:
        return size
    if isinstance(value, dict):
        inner: Sequence[Any] = list(itertools.chain.from_iterable(itertools.islice(value.items(), _SAMPLED)))
        count = 2 * len(value)
    elif isinstance(value, (list, tuple)):
        # Evenly spread, so that the answer is the same each time.
        inner = value[:: max(1, len(value) // _SAMPLED)]
        count = len(value)
    elif isinstance(value, (set, frozenset)):
        inner = list(itertools.islice(value, _SAMPLED))
        count = len(value)
    else:
        return size
    if inner:
        size += sum(size_of(v, depth + 1) for v in inner) * count // len(inner)
    return size


def _size_of_only(parts: list[Any]) -> int:
    return size_of(parts[0])


def _together(parts: list[Any]) -> list[Any]:
    return list(itertools.chain.from_iterable(parts))


class _Split:
    """A partition in `count` pieces of nearly equal length."""

    __slots__ = ("__name__", "count")

    def __init__(self, count: int) -> None:
        self.count = count
        self.__name__ = "split"

    def __call__(self, parts: list[Any]) -> list[list[Any]]:
        elements = to_list(parts[0])
        step = len(elements) / self.count
        cuts = [int(step * i) for i in range(self.count)] + [len(elements)]
        return [elements[start:stop] for start, stop in pairwise(cuts)]


class _Piece:
    """One piece of a partition that was split."""

    __slots__ = ("__name__", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.__name__ = "piece"

    def __call__(self, parts: list[Any]) -> Any:
        return parts[0][self.index]


def _split(parts: Sequence[Lazy], counts: Sequence[int]) -> list[Lazy]:
    """Each partition in so many pieces."""
    pieces: list[Lazy] = []
    for part, count in zip(parts, counts, strict=True):
        if count == 1:
            pieces.append(part)
        else:
            whole = Call(_Split(count), [part])
            pieces += [Call(_Piece(i), [whole]) for i in range(count)]
    return pieces


def _merge(parts: Sequence[Lazy], cuts: Sequence[int]) -> list[Lazy]:
    """The partitions between one cut and the next, together."""
    return [
        parts[start] if stop == start + 1 else Call(_together, parts[start:stop])
        for start, stop in pairwise(cuts)
    ]


def repartition(bag: Bag, npartitions: int | None, partition_size: Any) -> Bag:
    """See `Bag.repartition`."""
    if (npartitions is None) == (partition_size is None):
        raise ValueError("repartition needs npartitions or partition_size, and not both")
    parts: Sequence[Lazy] = bag._stage.parts()
    if npartitions is None:
        return Bag(Stage("repartition", _by_size(parts, partition_size)))
    if npartitions < 1:
        raise ValueError(f"repartition: npartitions is {npartitions}, but there is at least one partition")
    count = len(parts)
    if npartitions == count:
        return bag
    if npartitions < count:
        made = _merge(parts, [int(i * (count / npartitions)) for i in range(npartitions)] + [count])
    else:
        pieces, rest = divmod(npartitions, count)
        made = _split(parts, [pieces] * (count - 1) + [pieces + rest])
    return Bag(Stage("repartition", made))


def _by_size(parts: Sequence[Lazy], size: Any) -> list[Lazy]:
    from pantile.config import parse_bytes

    limit = parse_bytes(size)
    if limit < 1:
        raise ValueError(f"repartition: partition_size is {size!r}, which holds nothing")
    sizes = pantile.compute(*materialise([Call(_size_of_only, [part]) for part in parts]))
    counts = [1 + held // limit for held in sizes]
    pieces = _split(parts, counts)
    held = [size / count for size, count in zip(sizes, counts, strict=True) for _ in range(count)]
    cuts = [0]
    total = 0.0
    for i, size in enumerate(held):
        if total + size > limit and i > cuts[-1]:
            cuts.append(i)
            total = 0.0
        total += size
    return _merge(pieces, [*cuts, len(pieces)])
