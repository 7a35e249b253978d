"""Functions of several bags: `map`, `map_partitions`, `zip`, `concat`, and what arguments may be.

An argument is a bag (an element, or a partition, for each of the other bags'), something lazy (an `Item`, a
`Delayed`, also inside lists, tuples, sets and dictionaries; computed once and the same for all), or a plain value.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pantile
from pantile.bag.core import Bag, Item
from pantile.bag.partitions import Call, Shared, Stage, materialise, to_list
from pantile.bag.steps import MAIN, Map, Operand, Partitions, Starmap, Step, function_name

__all__ = ["concat", "map", "map_partitions", "zip"]


def is_delayed(value: Any) -> bool:
    """Whether something is a `pantile.Delayed`."""
    return isinstance(value, pantile.Delayed)


def concatenated(parts: Sequence[Any]) -> Any:
    """A bag's value from its partitions' values: one list, or one entry a partition where they are no collections."""
    if parts and isinstance(parts[0], Iterable) and not isinstance(parts[0], str):
        if len(parts) == 1 and type(parts[0]) is list:
            # Copied, since a caller may change what it gets and a literal partition is used again.
            return parts[0].copy()
        result: list[Any] = []
        for part in parts:
            result += to_list(part) if not isinstance(part, dict) else part
        return result
    return list(parts)


def _holds_lazy(value: Any) -> bool:
    if isinstance(value, (Bag, Item)) or is_delayed(value):
        return True
    if type(value) in (list, tuple, set, frozenset):
        return any(_holds_lazy(v) for v in value)
    return type(value) is dict and any(_holds_lazy(v) for v in value.values())


def _as_delayed(value: Any) -> Any:
    """The same with tasks in the places of bags and items."""
    if isinstance(value, Item):
        return value.to_delayed()
    if isinstance(value, Bag):
        return materialise([Call(concatenated, value._stage.parts())])[0]
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_as_delayed(v) for v in value)
    if type(value) is dict:
        return {k: _as_delayed(v) for k, v in value.items()}
    return value


def lazy(value: Any) -> Any:
    """What a lazy argument needs to be a task, or None if it is a plain value."""
    if isinstance(value, Item):
        return value._lazy
    if is_delayed(value):
        return Shared(value)
    if _holds_lazy(value):
        return Shared(pantile.delayed(_as_delayed(value)))
    return None


class _Arguments:
    """Arguments sorted: the first bag is the one whose partitions go through the step, all else is extra."""

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.main: Bag | None = None
        self.extras: list[Any] = []
        self.bags: list[Bag] = []
        self.arguments = tuple(self._operand(a) for a in args)
        self.keywords = {k: self._operand(v) for k, v in kwargs.items()}

    def _operand(self, value: Any) -> Any:
        if isinstance(value, Bag):
            self.bags.append(value)
            if self.main is None:
                self.main = value
                return MAIN
            self.extras.append(value._stage)
            return Operand(slot=len(self.extras) - 1, stream=True)
        needed = lazy(value)
        if needed is None:
            return Operand(value)
        self.extras.append(needed)
        return Operand(slot=len(self.extras) - 1)

    def bag(self, name: str, function: Any, step: type) -> Bag:
        if not callable(function):
            raise TypeError(f"{name} needs a function, not {type(function).__name__}: {function!r}")
        if self.main is None:
            raise ValueError(f"{name} needs at least one bag among its arguments")
        counts = {bag.npartitions for bag in self.bags}
        if len(counts) > 1:
            raise ValueError(
                f"{name} needs bags with the same number of partitions, not {', '.join(builtins.map(str, sorted(counts)))}"
            )
        made: Step = step(function, self.arguments, self.keywords)
        return Bag(self.main._stage.then(f"{name}-{function_name(function)}", made, self.extras))


def map(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Bag:
    """A function of the elements of one or more bags.

    Parameters
    ----------
    func : callable
        Called once for each element.
    *args, **kwargs : Bag, Item, Delayed or object
        Its arguments. Of a bag, each call gets one element; anything else is the same for all calls. What is lazy (an
        item, a delayed value, also inside a list, tuple, set or dictionary) is computed first.

    Returns
    -------
    Bag
        The results.

    Raises
    ------
    ValueError
        If there is no bag, if bags have different numbers of partitions, or, while computing, if corresponding
        partitions have different lengths.

    Examples
    --------
    >>> import pantile.bag as db
    >>> from operator import add
    >>> b = db.from_sequence(range(5), npartitions=2)
    >>> c = db.from_sequence(range(5, 10), npartitions=2)
    >>> db.map(add, b, c).compute()
    [5, 7, 9, 11, 13]
    >>> db.map(add, b, b.max()).compute()
    [4, 5, 6, 7, 8]
    """
    return _Arguments(args, kwargs).bag("map", func, Map)


def map_partitions(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Bag:
    """A function of whole partitions of one or more bags.

    Parameters
    ----------
    func : callable
        Called once for each partition, with lists. It returns an iterable, whose elements are the new partition's.
    *args, **kwargs : Bag, Item, Delayed or object
        Its arguments. Of a bag, each call gets one partition; anything else is as for `map`. ``token``, Dask's name
        for the result's tasks, is accepted and has no meaning: tasks have no names here.

    Returns
    -------
    Bag
        The results.

    Notes
    -----
    Dask may hand an iterator to the function; here it gets a list, so that it may look at it twice. Results that are
    no iterables are kept, one a partition.

    Examples
    --------
    >>> import pantile.bag as db
    >>> b = db.from_sequence(range(1, 101), npartitions=10)
    >>> def share(numbers, of):
    ...     return [n / of for n in numbers]
    >>> db.map_partitions(share, b, of=b.max()).take(3)
    (0.01, 0.02, 0.03)
    >>> db.map_partitions(len, b).compute()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """
    kwargs.pop("token", None)
    return _Arguments(args, kwargs).bag("map_partitions", func, Partitions)


def starmap(bag: Bag, func: Callable[..., Any], kwargs: dict[str, Any]) -> Bag:
    """See `Bag.starmap`."""
    if not callable(func):
        raise TypeError(f"starmap needs a function, not {type(func).__name__}: {func!r}")
    operands: dict[str, Operand] = {}
    extras: list[Any] = []
    for name, value in kwargs.items():
        # A bag as a whole, as in any other container of lazy values.
        needed = Call(concatenated, value._stage.parts()) if isinstance(value, Bag) else lazy(value)
        if needed is None:
            operands[name] = Operand(value)
        else:
            operands[name] = Operand(slot=len(extras))
            extras.append(needed)
    return Bag(bag._stage.then(f"starmap-{function_name(func)}", Starmap(func, operands), extras))


def _zipped(*parts: Any) -> Any:
    return builtins.zip(*parts, strict=False)


def zip(*bags: Bag) -> Bag:
    """Tuples of the bags' corresponding elements, partition by partition.

    Parameters
    ----------
    *bags : Bag
        Bags with the same number of partitions. Where one's partition is longer than another's, the elements that
        have no partner are left out.

    Returns
    -------
    Bag
        The tuples.

    Examples
    --------
    >>> import pantile.bag as db
    >>> evens = db.from_sequence(range(0, 10, 2), partition_size=4)
    >>> odds = db.from_sequence(range(1, 10, 2), partition_size=4)
    >>> db.zip(evens, odds).compute()
    [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    """
    for bag in bags:
        if not isinstance(bag, Bag):
            raise TypeError(f"zip takes bags, not {type(bag).__name__}")
    zipped = _Arguments(bags, {}).bag("zip", _zipped, Partitions)
    zipped._stage.label = "zip"
    return zipped


def concat(bags: Iterable[Bag]) -> Bag:
    """One bag with the partitions of several.

    Parameters
    ----------
    bags : iterable of Bag
        The bags, in order.

    Returns
    -------
    Bag
        All their elements.

    Examples
    --------
    >>> import pantile.bag as db
    >>> a = db.from_sequence([1, 2, 3])
    >>> b = db.from_sequence([4, 5, 6])
    >>> db.concat([a, b]).compute()
    [1, 2, 3, 4, 5, 6]
    """
    bags = list(bags)
    for bag in bags:
        if not isinstance(bag, Bag):
            raise TypeError(f"concat takes bags, not {type(bag).__name__}")
    return Bag(Stage("concat", [part for bag in bags for part in bag._stage.parts()]))
