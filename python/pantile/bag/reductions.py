"""Reductions: each partition becomes a small value, and these are joined in a tree.

Partitions without elements take no part, except the only one there is. A reduction of the package's own may get an
iterator, so that the steps before it hold one element at a time; functions of users get lists.
"""

from __future__ import annotations

import copy
import functools
import heapq
import itertools
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pantile import _native
from pantile.bag.core import Bag, Item, _too_few
from pantile.bag.native import spec_of
from pantile.bag.partitions import Call, Lazy, Stage, settle, to_list
from pantile.bag.steps import Step, _One, function_name, getter, no_default, readable

__all__ = ["distinct", "fold", "foldby", "frequencies", "mean", "reduction", "topk", "var"]


class _NoResult:
    """What an empty partition gives."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "NO_RESULT"


NO_RESULT = _NoResult()


class Reduce(Step):
    """A function of the whole partition."""

    __slots__ = ("only",)

    def __init__(self, function: Callable[[Any], Any], name: str, only: bool) -> None:
        super().__init__(name, function)
        self.only = only

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        if isinstance(elements, Iterator) and _streams(self.function):
            if not self.only:
                for first in elements:
                    return self.function(itertools.chain([first], elements))
                return NO_RESULT
            return self.function(elements)
        elements = readable(elements)
        if not self.only and not _has_elements(elements):
            return NO_RESULT
        return self.function(elements)

    def finish(self, part: Any, steps: list[tuple[Any, ...]]) -> Any:
        function: Any = self.function
        keywords: dict[str, Any] = {}
        if isinstance(function, functools.partial):
            function, keywords = function.func, function.keywords
        if id(function) in _REDUCED:
            value, count = _native.bag_reduce(part, _REDUCED[id(function)], steps)
            if count == 0:
                # Nothing came out of the steps; Python says what is made of nothing.
                return self.function([]) if self.only else NO_RESULT
            return value
        if function is _count:
            found: Any = _native.bag_frequencies(part, steps)
        elif function is _largest and (ranked := _ranking(keywords["key"])) is not None:
            found = _native.bag_topk(part, keywords["k"], ranked, steps)
        elif function is _unique and keywords["key"] is None:
            found = _native.bag_apply([*steps, ("distinct",)], part)
        elif function is _fold_by and (op := _folding(keywords)) is not None:
            key = _ranking(keywords["key"])
            found = dict(_native.bag_foldby(part, key, op, None, steps).items())
        else:
            return NotImplemented
        return found if self.only or len(found) > 0 else NO_RESULT


def _ranking(key: Any) -> list[tuple[Any, ...]] | None:
    """A key function as native steps, or None."""
    if key is None:
        return []
    if type(key) is _One:
        return [("pluck", key.key)]
    spec = spec_of(key, [])
    return None if spec is None else [spec]


def _folding(keywords: dict[str, Any]) -> str | None:
    """The native operation that a fold is, or None."""
    initial, binop = keywords["initial"], keywords["binop"]
    if _ranking(keywords["key"]) is None:
        return None
    if type(initial) is int and initial == 0 and binop is operator.add:
        return "sum"
    if initial is no_default and binop in (min, max):
        return "min" if binop is min else "max"
    return None


def _streams(function: Any) -> bool:
    """Whether a function reads its argument once, from the beginning to the end."""
    if isinstance(function, functools.partial):
        function = function.func
    return id(function) in _STREAMING


def _has_elements(part: Any) -> bool:
    try:
        return len(part) > 0
    except TypeError:
        return True  # a single value


class Aggregate:
    """A function of several results, perhaps with another one after the last."""

    __slots__ = ("__name__", "finish", "function", "last")

    def __init__(
        self, function: Callable[[Any], Any], last: bool, finish: Callable[[Any], Any] | None = None
    ) -> None:
        self.function = function
        self.last = last
        self.finish = finish
        self.__name__ = function_name(function)

    def __call__(self, parts: list[Any]) -> Any:
        parts = [p for p in parts if p is not NO_RESULT]
        if not parts and not self.last:
            return NO_RESULT
        value = self.function(parts)
        return settle(self.finish(value) if self.finish is not None else value)


def fan_in(bag: Bag, split_every: Any) -> int:
    """How many results are taken together."""
    if split_every is None:
        return 8
    if split_every is False:
        return max(bag.npartitions, 2)
    if isinstance(split_every, bool) or not isinstance(split_every, int) or split_every < 2:
        raise ValueError(f"split_every is {split_every!r}; it must be 2 or more, or False for all at once")
    return split_every


def tree(
    parts: Sequence[Lazy], aggregate: Callable[[Any], Any], every: int, finish: Callable[[Any], Any] | None
) -> Call:
    """A tree of calls of `aggregate`, with at most `every` inputs each."""
    while len(parts) > every:
        parts = [Call(Aggregate(aggregate, False), parts[i : i + every]) for i in range(0, len(parts), every)]
    return Call(Aggregate(aggregate, True, finish), parts)


def reduction(
    bag: Bag,
    perpartition: Callable[[Any], Any],
    aggregate: Callable[[Any], Any],
    split_every: Any = None,
    out_type: type = Item,
    name: str | None = None,
    finish: Callable[[Any], Any] | None = None,
) -> Any:
    """See `Bag.reduction`; `finish` is called once with the last result."""
    if out_type is not Item and not (isinstance(out_type, type) and issubclass(out_type, Bag)):
        raise TypeError(f"out_type is {out_type!r}; it must be Item or Bag")
    for given in (perpartition, aggregate):
        if not callable(given):
            raise TypeError(f"a reduction needs functions, not {type(given).__name__}: {given!r}")
    label = name or function_name(perpartition)
    stage = bag._stage.then(label, Reduce(perpartition, name or "reduction", bag.npartitions == 1))
    result = tree(stage.parts(), aggregate, fan_in(bag, split_every), finish)
    return Item(result, label) if out_type is Item else Bag(Stage(label, [result]))


# ---- folds ----

# Values that nobody can change, so that one may serve many.
_CONSTANT = (int, float, complex, str, bytes, bool, type(None), frozenset)


def _fresh(value: Any) -> Any:
    """A value that a user's function may change without changing it for others."""
    if type(value) in _CONSTANT:
        return value
    try:
        return copy.deepcopy(value)
    except Exception:
        # What cannot be copied (a lock, a handle) is shared, as Dask does with everything.
        return value


def _fold(elements: Iterable[Any], binop: Callable[[Any, Any], Any], initial: Any) -> Any:
    if initial is no_default:
        return functools.reduce(binop, elements)
    return functools.reduce(binop, elements, _fresh(initial))


def fold(bag: Bag, binop: Any, combine: Any, initial: Any, split_every: Any, out_type: type) -> Any:
    """See `Bag.fold`."""
    return reduction(
        bag,
        functools.partial(_fold, binop=binop, initial=initial),
        functools.partial(_fold, binop=combine or binop, initial=no_default),
        split_every=split_every,
        out_type=out_type,
        name=f"fold-{function_name(binop)}",
    )


def _fold_by(elements: Iterable[Any], key: Any, binop: Any, initial: Any) -> dict[Any, Any]:
    totals: dict[Any, Any] = {}
    for element in elements:
        k = key(element)
        if k in totals:
            totals[k] = binop(totals[k], element)
        elif initial is no_default:
            totals[k] = element
        else:
            totals[k] = binop(initial() if callable(initial) else _fresh(initial), element)
    return totals


def _merge_totals(parts: list[dict[Any, Any]], combine: Any, initial: Any) -> dict[Any, Any]:
    totals: dict[Any, Any] = {}
    for part in parts:
        for k, total in part.items():
            if k in totals:
                totals[k] = combine(totals[k], total)
            elif initial is no_default:
                totals[k] = total
            else:
                totals[k] = combine(initial() if callable(initial) else _fresh(initial), total)
    return totals


def _items(totals: Any) -> list[tuple[Any, Any]]:
    return list(totals.items())


def foldby(
    bag: Bag, key: Any, binop: Any, initial: Any, combine: Any, combine_initial: Any, split_every: Any
) -> Bag:
    """See `Bag.foldby`."""
    key = key if callable(key) else getter(key)
    return reduction(
        bag,
        functools.partial(_fold_by, key=key, binop=binop, initial=initial),
        functools.partial(_merge_totals, combine=combine or binop, initial=combine_initial),
        split_every=split_every,
        out_type=Bag,
        name="foldby",
        finish=_items,
    )


# ---- counting, choosing ----


def _count(elements: Iterable[Any]) -> Any:
    return dict(Counter(elements))


def _merge_counts(parts: list[Any]) -> Any:
    if parts and all(isinstance(part, _native.Counts) for part in parts):
        return parts[0] if len(parts) == 1 else _native.Counts.merge(parts)
    parts = [dict(part.items()) for part in parts]
    totals = parts[0] if parts else {}
    for part in parts[1:]:
        for element, count in part.items():
            totals[element] = totals.get(element, 0) + count
    return totals


def _sorted_items(counts: Any) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=_second, reverse=True)


def _second(pair: Any) -> Any:
    return pair[1]


def frequencies(bag: Bag, split_every: Any, sort: bool) -> Bag:
    """See `Bag.frequencies`."""
    return reduction(
        bag,
        _count,
        _merge_counts,
        split_every=split_every,
        out_type=Bag,
        name="frequencies",
        finish=_sorted_items if sort else _items,
    )


def takes_several(function: Any) -> bool:
    """Whether a function needs more than one argument, or takes any number."""
    import inspect

    if isinstance(function, type):
        return False
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False  # a builtin that does not say; those that are used as keys take one
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) > 1


class _Spread:
    """A function of several arguments as a function of a tuple."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, element: Any) -> Any:
        return self.function(*element)


def _largest(elements: Iterable[Any], k: int, key: Any) -> list[Any]:
    return heapq.nlargest(k, elements, key=key)


def _largest_of_parts(parts: list[Any], k: int, key: Any) -> list[Any]:
    return heapq.nlargest(k, itertools.chain.from_iterable(parts), key=key)


def topk(bag: Bag, k: int, key: Any, split_every: Any) -> Bag:
    """See `Bag.topk`."""
    if key is not None and not callable(key):
        key = getter(key)
    elif key is not None and takes_several(key):
        key = _Spread(key)
    return reduction(
        bag,
        functools.partial(_largest, k=k, key=key),
        functools.partial(_largest_of_parts, k=k, key=key),
        split_every=split_every,
        out_type=Bag,
        name="topk",
    )


def _unique(elements: Iterable[Any], key: Any) -> list[Any]:
    if key is None:
        return list(dict.fromkeys(elements))
    seen: dict[Any, Any] = {}
    for element in elements:
        seen.setdefault(key(element), element)
    return list(seen.values())


def _unique_of_parts(parts: list[Any], key: Any) -> list[Any]:
    return _unique(itertools.chain.from_iterable(parts), key)


def distinct(bag: Bag, key: Any) -> Bag:
    """See `Bag.distinct`."""
    if key is not None and not callable(key):
        # A list is one key here, as in Dask, not several.
        key = functools.partial(_index, key=key)
    return reduction(
        bag,
        functools.partial(_unique, key=key),
        functools.partial(_unique_of_parts, key=key),
        out_type=Bag,
        name="distinct",
    )


def _index(element: Any, key: Any) -> Any:
    return element[key]


# ---- numbers ----


def length(elements: Any) -> int:
    """How many elements there are."""
    if isinstance(elements, Iterator):
        return sum(1 for _ in elements)
    return len(elements)


def _moments(elements: Any) -> tuple[int, Any, Any]:
    """Number, mean, and sum of squared deviations."""
    elements = to_list(elements)
    n = len(elements)
    if n == 0:
        raise ZeroDivisionError("the mean of a bag without elements")
    mean = sum(elements) / n
    return n, mean, sum((x - mean) ** 2 for x in elements)


def _merge_moments(parts: list[tuple[int, Any, Any]]) -> tuple[int, Any, Any]:
    if not parts:
        raise ZeroDivisionError("the mean of a bag without elements")
    n, mean, squares = parts[0]
    for m, other, more in parts[1:]:
        difference = other - mean
        squares = squares + more + difference * difference * (n * m / (n + m))
        mean = mean + difference * (m / (n + m))
        n += m
    return n, mean, squares


def _total(elements: Any) -> tuple[int, Any]:
    elements = to_list(elements)
    return len(elements), sum(elements)


def _merge_total(parts: list[tuple[int, Any]]) -> tuple[int, Any]:
    return sum(n for n, _ in parts), sum(total for _, total in parts)


def _divide(value: tuple[int, Any]) -> Any:
    n, total = value
    if n == 0:
        raise ZeroDivisionError("the mean of a bag without elements")
    return total / n


def mean(bag: Bag) -> Item:
    """See `Bag.mean`."""
    item: Item = reduction(bag, _total, _merge_total, name="mean", finish=_divide)
    return item


def _spread(value: tuple[int, Any, Any], ddof: float) -> Any:
    n, _, squares = value
    if n == ddof:
        raise ZeroDivisionError(f"the variance of {n} elements with ddof={ddof}")
    return squares / (n - ddof)


def var(bag: Bag, ddof: float) -> Item:
    """See `Bag.var`."""
    item: Item = reduction(
        bag, _moments, _merge_moments, name="var", finish=functools.partial(_spread, ddof=ddof)
    )
    return item


# ---- the first elements ----


class FirstOf:
    """The first `count` elements of several partitions together."""

    __slots__ = ("__name__", "count", "warn")

    def __init__(self, count: int, warn: bool) -> None:
        self.count = count
        self.warn = warn
        self.__name__ = "take"

    def __call__(self, parts: list[Any]) -> list[Any]:
        found = list(itertools.islice(itertools.chain.from_iterable(parts), self.count))
        if self.warn and len(found) < self.count:
            import warnings

            warnings.warn(_too_few(self.count, len(found)), stacklevel=1)
        return found


# By identity, since a user's function may be an object that cannot be hashed. First the extension's names of reductions.
_NAMES = {"sum": sum, "max": max, "min": min, "any": any, "all": all, "count": length}
_REDUCED = {id(function): name for name, function in _NAMES.items()}
_STREAMING = {*_REDUCED, *map(id, (_fold, _fold_by, _count, _largest, _unique))}
