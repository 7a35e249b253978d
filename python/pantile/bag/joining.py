"""Pairs: `join` by a key with something that fits into memory, and the product of two bags."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pantile.bag.core import Bag
from pantile.bag.partitions import Call, Stage
from pantile.bag.steps import Step, getter

__all__ = ["join", "product"]


class _Join(Step):
    """Pairs with the elements of something that each task has as a whole."""

    __slots__ = ("on_other", "other")

    def __init__(self, other: Any, on_self: Callable[[Any], Any], on_other: Callable[[Any], Any]) -> None:
        super().__init__("join", on_self)
        self.other = other
        self.on_other = on_other

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        partners: dict[Any, list[Any]] = {}
        for element in extras[0] if self.other is None else self.other:
            partners.setdefault(self.on_other(element), []).append(element)
        key = self.function
        return ((partner, e) for e in elements for partner in partners.get(key(e), ()))


def join(bag: Bag, other: Any, on_self: Any, on_other: Any) -> Bag:
    """See `Bag.join`."""
    from pantile.bag.mapping import is_delayed, lazy

    extras: list[Any] = []
    if isinstance(other, Bag):
        if other.npartitions != 1:
            raise NotImplementedError(
                f"join: the other bag has {other.npartitions} partitions, and only one is possible; "
                "other.repartition(1) makes one if it fits into memory"
            )
        extras = other._stage.parts()
    elif is_delayed(other):
        extras = [lazy(other)]
    elif not isinstance(other, Iterable):
        raise TypeError(
            f"join needs an iterable, a Delayed or a bag with one partition, not {type(other).__name__}"
        )
    on_other = on_self if on_other is None else on_other
    step = _Join(
        None if extras else list(other),
        on_self if callable(on_self) else getter(on_self),
        on_other if callable(on_other) else getter(on_other),
    )
    return Bag(bag._stage.then("join", step, extras))


def _pairs(parts: list[Any]) -> list[tuple[Any, Any]]:
    return list(itertools.product(*parts))


def product(bag: Bag, other: Bag) -> Bag:
    """See `Bag.product`."""
    if not isinstance(other, Bag):
        raise TypeError(f"product needs another bag, not {type(other).__name__}")
    return Bag(
        Stage(
            "product",
            [Call(_pairs, pair) for pair in itertools.product(bag._stage.parts(), other._stage.parts())],
        )
    )
