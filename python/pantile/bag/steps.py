"""The steps that partitions go through: map, filter, flatten and the like.

A step gets an iterable and gives one; iterators pass from step to step, so that a chain of steps holds one element at
a time. Each has a form in Python, and some say how they are done natively (`native`): only if that gives exactly what
Python gives. Steps are sent to other processes, so they are plain objects with functions in them.

Not here: which steps share a task (`partitions.py`), reductions (`reductions.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pantile.bag.native import is_native, spec_of
from pantile.bag.partitions import to_list, where

__all__ = [
    "Filter",
    "Flatten",
    "Map",
    "Operand",
    "Partitions",
    "Plain",
    "Pluck",
    "Sample",
    "Starmap",
    "Step",
    "Take",
    "function_name",
    "getter",
    "no_default",
]


class _NoDefault:
    """The value of an argument that was not given."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "no_default"

    def __reduce__(self) -> str:
        return "no_default"


no_default = _NoDefault()


def function_name(function: Any) -> str:
    """What a function is called in labels and messages."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__name__", None) or type(function).__name__
    return str(name)


def getter(key: Any) -> Callable[[Any], Any]:
    """A function that takes out `key`, or a tuple of all keys where it is a list."""
    if isinstance(key, list):
        return _Several(key)
    return _One(key)


class _One:
    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __call__(self, element: Any) -> Any:
        return element[self.key]


class _Several(_One):
    __slots__ = ()

    def __call__(self, element: Any) -> Any:
        return tuple(element[k] for k in self.key)


class Operand:
    """An argument of a step: a value, or the position of one among the step's extras.

    A `stream` has an element for each of the partition's.
    """

    __slots__ = ("slot", "stream", "value")

    def __init__(self, value: Any = None, slot: int | None = None, stream: bool = False) -> None:
        self.value = value
        self.slot = slot
        self.stream = stream

    def of(self, extras: Sequence[Any]) -> Any:
        """The argument's value."""
        return self.value if self.slot is None else extras[self.slot]


# Where the partition itself stands among the arguments.
class _Main:
    __slots__ = ()

    def __reduce__(self) -> str:
        return "MAIN"


MAIN = _Main()


class Step:
    """One step. `function` is the user's, if there is one; `line` is where the user asked for it."""

    __slots__ = ("function", "label", "line")

    # Whether only the first elements are wanted.
    takes_few = False

    def __init__(self, name: str, function: Any = None) -> None:
        self.function = function
        self.label = f"{name}({function_name(function)})" if function is not None else name
        self.line = where()

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        """The elements after this step."""
        raise NotImplementedError

    def native(self) -> tuple[Any, ...] | None:
        """How the extension is told to do the same, or None if it cannot."""
        return None

    def finish(self, part: Any, steps: list[tuple[Any, ...]]) -> Any:
        """What this step makes of a native partition after these native steps, or NotImplemented if it cannot say."""
        return NotImplemented


class Map(Step):
    """A function of each element, perhaps with elements of other partitions and with values that are the same for all."""

    __slots__ = ("arguments", "keywords")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Operand | _Main] = (MAIN,),
        keywords: Mapping[str, Operand | _Main] | None = None,
    ) -> None:
        super().__init__("map", function)
        self.arguments = tuple(arguments)
        self.keywords = dict(keywords or {})

    def native(self) -> tuple[Any, ...] | None:
        first, *others = self.arguments
        if first is not MAIN or self.keywords:
            return None
        if not all(isinstance(o, Operand) and o.slot is None for o in others):
            return None
        return spec_of(self.function, [o.value for o in others if isinstance(o, Operand)])

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        function = self.function
        constant = {
            k: o.of(extras) for k, o in self.keywords.items() if isinstance(o, Operand) and not o.stream
        }
        streams = {k: o for k, o in self.keywords.items() if k not in constant}
        if constant:
            function = partial(function, **constant)
        if not streams:
            if self.arguments == (MAIN,):
                return map(function, elements)
            if not any(isinstance(o, Operand) and o.stream for o in self.arguments):
                # The others are the same for all elements, so nothing can have another length.
                columns = [
                    elements if isinstance(o, _Main) else itertools.repeat(o.of(extras))
                    for o in self.arguments
                ]
                return map(function, *columns)
        return _in_step(function, self.arguments, streams, elements, extras)


def _in_step(
    function: Callable[..., Any],
    arguments: Sequence[Operand | _Main],
    keywords: Mapping[str, Operand | _Main],
    elements: Any,
    extras: Sequence[Any],
) -> Iterator[Any]:
    """Calls the function with one element of each stream, which all must have the same length."""
    operands = [*arguments, *keywords.values()]
    columns: list[Iterable[Any]] = []
    for o in operands:
        if isinstance(o, _Main):
            columns.append(elements)
        else:
            columns.append(o.of(extras) if o.stream else itertools.repeat(o.of(extras)))
    names = tuple(keywords)
    first = len(arguments)
    # Of equal lengths or an error: strict=True would call the repeated values too long.
    ended = object()
    finite = [i for i, o in enumerate(operands) if isinstance(o, _Main) or o.stream]
    iterators = [iter(c) for c in columns]
    while True:
        row = [next(it, ended) for it in iterators]
        over = [i for i in finite if row[i] is ended]
        if over:
            if len(over) < len(finite):
                raise ValueError(
                    "map was called with several bags whose partitions have different lengths; bags can only be mapped "
                    "together if they are cut in the same places"
                )
            return
        yield function(*row[:first], **dict(zip(names, row[first:], strict=True)))


class Starmap(Step):
    """A function whose arguments are each element's own elements."""

    __slots__ = ("keywords",)

    def __init__(self, function: Callable[..., Any], keywords: Mapping[str, Operand]) -> None:
        super().__init__("starmap", function)
        self.keywords = dict(keywords)

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        function = self.function
        if self.keywords:
            function = partial(function, **{k: o.of(extras) for k, o in self.keywords.items()})
        return itertools.starmap(function, elements)


class Filter(Step):
    """The elements for which a predicate is true, or (`keep` is False) those for which it is not."""

    __slots__ = ("keep",)

    def __init__(self, predicate: Callable[[Any], Any], keep: bool) -> None:
        super().__init__("filter" if keep else "remove", predicate)
        self.keep = keep

    def native(self) -> tuple[Any, ...] | None:
        name = "filter" if self.keep else "remove"
        if self.function is None:
            return (name, [])
        condition = spec_of(self.function, [])
        return None if condition is None else (name, [condition])

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        return (filter if self.keep else itertools.filterfalse)(self.function, elements)


class Pluck(Step):
    """One item of each element."""

    __slots__ = ("default", "key")

    def __init__(self, key: Any, default: Any) -> None:
        super().__init__("pluck")
        self.key = key
        self.default = default
        self.label = f"pluck({key!r})"

    def native(self) -> tuple[Any, ...] | None:
        return ("pluck", self.key) if self.default is no_default else ("pluck", self.key, self.default)

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        if self.default is no_default:
            return map(getter(self.key), elements)
        if isinstance(self.key, list):
            return (tuple(self._or_default(e, k) for k in self.key) for e in elements)
        return (self._or_default(e, self.key) for e in elements)

    def _or_default(self, element: Any, key: Any) -> Any:
        try:
            return element[key]
        except (KeyError, IndexError):
            return self.default


class Flatten(Step):
    """The elements of the elements."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("flatten")

    def native(self) -> tuple[Any, ...] | None:
        return ("flatten",)

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        return itertools.chain.from_iterable(elements)


class Partitions(Step):
    """A function of whole partitions. It gets lists, whatever the partitions are made of."""

    __slots__ = ("arguments", "keywords")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Operand | _Main] = (MAIN,),
        keywords: Mapping[str, Operand | _Main] | None = None,
    ) -> None:
        super().__init__("map_partitions", function)
        self.arguments = tuple(arguments)
        self.keywords = dict(keywords or {})

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        def value(operand: Operand | _Main) -> Any:
            if isinstance(operand, _Main):
                return readable(elements)
            given = operand.of(extras)
            return readable(given) if operand.stream else given

        return self.function(
            *(value(o) for o in self.arguments), **{k: value(o) for k, o in self.keywords.items()}
        )


def readable(elements: Any) -> Any:
    """A partition as users' functions get it: lists where it is an iterator or the extension's own sequence."""
    return to_list(elements) if isinstance(elements, Iterator) or is_native(elements) else elements


class Plain(Step):
    """Partitions without the extension's own types, for those who are not part of this package."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("to_delayed")

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        return readable(elements)


class Take(Step):
    """The first `count` elements, without making those after them."""

    __slots__ = ("count",)
    takes_few = True

    def __init__(self, count: int) -> None:
        super().__init__("take")
        self.count = count

    def native(self) -> tuple[Any, ...] | None:
        return ("take", self.count)

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        return itertools.islice(elements, self.count)


class Sample(Step):
    """Elements that chance chooses. Which ones depends on the seed and on the partition's number, not on the run."""

    __slots__ = ("probability", "seed")

    def __init__(self, probability: float, seed: int) -> None:
        super().__init__("random_sample")
        self.probability = probability
        self.seed = seed

    def run(self, elements: Any, index: int, extras: Sequence[Any]) -> Any:
        draw = _generator(self.seed, index).random
        probability = self.probability
        return (e for e in elements if draw() < probability)


def _generator(seed: int, index: int) -> Any:
    """Partition `index`'s generator: Dask's, so that the same seed gives the same sample.

    Its state is words 624 · index and following of the stream of 32-bit words that the seed gives, two in each of
    PCG64's outputs.
    """
    from random import Random

    import numpy as np

    bits = np.random.PCG64(seed)
    bits.advance(312 * index)
    words = np.frombuffer(np.random.Generator(bits).bytes(624 * 4), dtype=np.uint32)
    generator = Random()
    generator.setstate((3, (*words.tolist(), 624), None))
    return generator
