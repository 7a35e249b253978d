"""Running totals: one partition after the other, since nothing is known of the function that joins elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from pantile.bag.core import Bag
from pantile.bag.partitions import Call, Stage
from pantile.bag.steps import function_name, no_default

__all__ = ["accumulate"]


class _Totals:
    """A partition's totals, and the last of them, from the partition and the last total before it."""

    __slots__ = ("__name__", "function", "initial")

    def __init__(self, function: Callable[[Any, Any], Any], initial: Any) -> None:
        self.function = function
        self.initial = initial
        self.__name__ = f"accumulate-{function_name(function)}"

    def __call__(self, inputs: list[Any]) -> tuple[list[Any], Any]:
        if len(inputs) == 1:  # the first partition
            elements, before = inputs[0], self.initial
        else:
            elements, before = inputs
        if before is no_default:
            totals = list(itertools.accumulate(elements, self.function))
        else:
            totals = list(itertools.accumulate(elements, self.function, initial=before))
            if len(inputs) == 2:
                return totals[1:], totals[-1]
        return totals, totals[-1] if totals else no_default


class _Pick:
    """One entry of the only input."""

    __slots__ = ("__name__", "index")

    def __init__(self, index: int, name: str) -> None:
        self.index = index
        self.__name__ = name

    def __call__(self, inputs: list[Any]) -> Any:
        return inputs[0][self.index]


def accumulate(bag: Bag, binop: Callable[[Any, Any], Any], initial: Any) -> Bag:
    """See `Bag.accumulate`."""
    function = _Totals(binop, initial)
    partitions: list[Call] = []
    before: list[Call] = []
    for part in bag._stage.parts():
        both = Call(function, [part, *before])
        partitions.append(Call(_Pick(0, function.__name__), [both]))
        before = [Call(_Pick(1, "last total"), [both])]
    return Bag(Stage(function.__name__, partitions))
