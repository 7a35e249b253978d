"""The classes `Bag` and `Item`.

A `Bag` is a stage (`partitions.py`) with methods; an `Item` is one value that will be computed. Both are symbolic:
nothing runs before `compute`, except where a method says so. The methods are here with their documentation, what they
do is in the module of their family.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pantile
from pantile.bag.partitions import Call, Lazy, Literal, Shared, Stage, materialise
from pantile.bag.steps import Filter, Flatten, Plain, Pluck, Take, function_name, no_default

if TYPE_CHECKING:
    import random

__all__ = ["Bag", "Item"]


class Item:
    """One value that will be computed, such as the sum of a bag.

    Items come from a bag's methods, or from `Item.from_delayed`. ``int``, ``float``, ``complex`` and ``bool`` compute
    them.

    Examples
    --------
    >>> import pantile.bag as db
    >>> total = db.from_sequence(range(5)).sum()
    >>> total
    pantile.bag.Item<sum>
    >>> total.compute(), int(total)
    (10, 10)
    """

    __slots__ = ("__weakref__", "_lazy", "name")

    def __init__(self, lazy: Lazy, name: str) -> None:
        self._lazy = lazy
        self.name = name

    def __repr__(self) -> str:
        return f"pantile.bag.Item<{self.name}>"

    def _repr_html_(self) -> str:
        from pantile.bag.representation import item_html

        return item_html(self)

    def __reduce__(self) -> Any:
        return (Item, (self._lazy, self.name))

    def __pantile_graph__(self) -> tuple[list[Any], Callable[[list[Any]], Any]]:
        """The tasks that give the value, and the function that takes it from their results."""
        return materialise([self._lazy]), _first

    def __pantile_persist__(self) -> tuple[list[Any], Callable[[list[Any]], Item]]:
        """The tasks that give the value, and the function that makes the same item of their results."""
        return materialise([self._lazy]), lambda results: Item(Call(_Constant(results[0]), ()), self.name)

    @staticmethod
    def from_delayed(value: Any) -> Item:
        """An item with a delayed value.

        Parameters
        ----------
        value : Delayed
            The value.

        Returns
        -------
        Item
            The same value.

        Examples
        --------
        >>> import pantile
        >>> import pantile.bag as db
        >>> db.Item.from_delayed(pantile.delayed(len)("abc")).apply(float).compute()
        3.0
        """
        if not isinstance(value, pantile.Delayed):
            raise TypeError(f"an item is made of a Delayed, not of {type(value).__name__}")
        return Item(Shared(value), "from_delayed")

    def apply(self, func: Callable[[Any], Any]) -> Item:
        """A function of the value.

        Parameters
        ----------
        func : callable
            What is called with the value.

        Returns
        -------
        Item
            Its result.

        Examples
        --------
        >>> import math
        >>> import pantile.bag as db
        >>> db.from_sequence([1, 3]).sum().apply(math.sqrt).compute()
        2.0
        """
        return Item(Call(_Apply(func), [self._lazy]), function_name(func))

    def to_delayed(self, optimize_graph: bool = True) -> Any:
        """The value as a `Delayed`.

        Parameters
        ----------
        optimize_graph : bool, optional
            As in Dask; there is nothing that could be left unoptimised, so it changes nothing.

        Returns
        -------
        Delayed
            The value.

        Examples
        --------
        >>> import pantile.bag as db
        >>> (db.from_sequence([1, 2]).sum().to_delayed() + 1).compute()
        4
        """
        return materialise([self._lazy])[0]

    def compute(self, **kwargs: Any) -> Any:
        """Computes the value.

        Parameters
        ----------
        **kwargs
            As for `pantile.compute`, such as ``executor``.

        Returns
        -------
        object
            The value.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([1, 2, 3]).count().compute()
        3
        """
        return pantile.compute(self, **kwargs)[0]

    def persist(self, **kwargs: Any) -> Item:
        """Computes the value and keeps it.

        Parameters
        ----------
        **kwargs
            As for `pantile.compute`.

        Returns
        -------
        Item
            The same value, which is there now.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([1, 2, 3]).max().persist().compute()
        3
        """
        nodes, kept = self.__pantile_persist__()
        return kept(list(pantile.compute(*nodes, **kwargs)))

    def visualize(self, *args: Any, **kwargs: Any) -> Any:
        """Draws the tasks, as `pantile.visualize` does.

        Parameters
        ----------
        *args, **kwargs
            As for `pantile.visualize`.

        Returns
        -------
        object
            The picture.
        """
        return pantile.visualize(self, *args, **kwargs)

    def __int__(self) -> int:
        return int(self.compute())

    def __float__(self) -> float:
        return float(self.compute())

    def __complex__(self) -> complex:
        return complex(self.compute())

    def __bool__(self) -> bool:
        return bool(self.compute())


def _first(results: list[Any]) -> Any:
    return results[0]


class _Apply:
    """A function of the only part."""

    __slots__ = ("__name__", "function")

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.__name__ = function_name(function)

    def __call__(self, parts: list[Any]) -> Any:
        return self.function(parts[0])


class _Constant:
    """A value that is there already, as a task."""

    __slots__ = ("__name__", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.__name__ = "value"

    def __call__(self, parts: list[Any]) -> Any:
        return self.value


class Bag:
    """A collection of Python objects, in partitions that are worked on in parallel.

    Bags are made by `from_sequence`, `from_delayed`, `read_text` and the like. Their methods give other bags, or
    items; nothing is computed before `compute` (or ``list(bag)``, ``for x in bag``, `take`).

    Attributes
    ----------
    npartitions : int
        How many partitions there are.
    name : str
        What the bag is called in pictures and messages. Unlike Dask's it is no key: two bags may have the same.
    str : StringAccessor
        The methods of strings, for bags of strings.

    Notes
    -----
    Steps that look at one element at a time (`map`, `filter`, `pluck`, `flatten` and so on) run as one task a
    partition, however many they are. Dask makes a bag from a graph, ``Bag(dsk, name, npartitions)``; here graphs are
    not dictionaries, and `from_delayed` is the way to give partitions made elsewhere. Dask runs bags in processes
    unless told otherwise; here they run on the executor that everything else runs on.

    Examples
    --------
    >>> import pantile.bag as db
    >>> b = db.from_sequence(range(5), npartitions=2)
    >>> b
    pantile.bag<from_sequence, npartitions=2>
    >>> list(b.filter(lambda x: x % 2 == 0).map(lambda x: x * 10))
    [0, 20, 40]
    """

    __slots__ = ("__weakref__", "_stage")

    def __init__(self, stage: Stage) -> None:
        if not isinstance(stage, Stage):
            raise TypeError(
                "a Bag is not made from a graph; use from_sequence, from_delayed, read_text or another function of pantile.bag"
            )
        self._stage = stage

    # ---- what it is ----

    @property
    def npartitions(self) -> int:
        """How many partitions there are."""
        return self._stage.count

    @property
    def name(self) -> Any:
        """What the bag is called in pictures and messages."""
        return self._stage.label

    @property
    def str(self) -> Any:
        """The methods of strings, for bags of strings; see `pantile.bag.strings.StringAccessor`.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence(["Alice Smith", "Bob Jones"])
        >>> b.str.lower().compute()
        ['alice smith', 'bob jones']
        """
        from pantile.bag.strings import StringAccessor

        return StringAccessor(self)

    def __repr__(self) -> Any:
        return f"pantile.bag<{self.name}, npartitions={self.npartitions}>"

    def _repr_html_(self) -> Any:
        from pantile.bag.representation import bag_html

        return bag_html(self)

    def __reduce__(self) -> Any:
        return (Bag, (self._stage,))

    def __bool__(self) -> bool:
        raise TypeError(
            "whether a bag is empty is not known before it is computed; ask bag.count().compute() or bag.take(1)"
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self.compute())

    # ---- running ----

    def __pantile_graph__(self) -> tuple[list[Any], Callable[[list[Any]], Any]]:
        """The tasks that give the partitions, and the function that makes the value of their results."""
        from pantile.bag.mapping import concatenated

        return materialise(self._stage.parts()), concatenated

    def __pantile_persist__(self) -> tuple[list[Any], Callable[[list[Any]], Bag]]:
        """The tasks that give the partitions, and the function that makes the same bag of their results."""
        label = self._stage.label
        return materialise(self._stage.parts()), lambda parts: Bag(Stage(label, [Literal(p) for p in parts]))

    def compute(self, **kwargs: Any) -> list[Any]:
        """Computes the bag.

        Parameters
        ----------
        **kwargs
            As for `pantile.compute`, such as ``executor``.

        Returns
        -------
        list
            All elements. Where partitions are no collections (`map_partitions` with a function such as `len`), one
            entry a partition.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence("ab").map(str.upper).compute()
        ['A', 'B']
        """
        return pantile.compute(self, **kwargs)[0]

    def persist(self, **kwargs: Any) -> Bag:
        """Computes the partitions and keeps them in memory.

        Parameters
        ----------
        **kwargs
            As for `pantile.compute`.

        Returns
        -------
        Bag
            The same bag, whose partitions are there now.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence(range(4), npartitions=2).map(lambda x: x + 1).persist()
        >>> b.sum().compute(), b.npartitions
        (10, 2)
        """
        nodes, kept = self.__pantile_persist__()
        return kept(list(pantile.compute(*nodes, **kwargs)))

    def visualize(self, *args: Any, **kwargs: Any) -> Any:
        """Draws the tasks, as `pantile.visualize` does.

        Parameters
        ----------
        *args, **kwargs
            As for `pantile.visualize`.

        Returns
        -------
        object
            The picture.
        """
        return pantile.visualize(self, *args, **kwargs)

    def to_delayed(self, optimize_graph: bool = True) -> list[Any]:
        """The partitions as `Delayed` values.

        Parameters
        ----------
        optimize_graph : bool, optional
            As in Dask; there is nothing that could be left unoptimised, so it changes nothing.

        Returns
        -------
        list of Delayed
            One a partition, each a list.

        Examples
        --------
        >>> import pantile.bag as db
        >>> parts = db.from_sequence(range(4), npartitions=2).to_delayed()
        >>> [part.compute() for part in parts]
        [[0, 1], [2, 3]]
        """
        return materialise(self._stage.then(self._stage.label, Plain()).parts())

    def take(self, k: int, npartitions: int = 1, compute: bool = True, warn: bool = True) -> Any:
        """The first elements.

        Parameters
        ----------
        k : int
            How many.
        npartitions : int, optional
            How many partitions are looked at, -1 for all.
        compute : bool, optional
            Whether the result is computed.
        warn : bool, optional
            Whether to warn if there are fewer than `k` elements in these partitions.

        Returns
        -------
        tuple or Bag
            The elements: a tuple, or (``compute=False``) a bag with one partition.

        Notes
        -----
        Only as much of a partition is made as is needed: the first lines of a long file are there at once.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(range(1000)).take(3)
        (0, 1, 2)
        """
        from pantile.bag.reductions import FirstOf

        if npartitions <= -1:
            npartitions = self.npartitions
        if npartitions > self.npartitions:
            raise ValueError(f"take: npartitions is {npartitions}, but the bag has only {self.npartitions}")
        heads = self._stage.then("take", Take(k))
        first = Call(FirstOf(k, warn and not compute), heads.parts()[: max(npartitions, 1)])
        bag = Bag(Stage("take", [first]))
        if not compute:
            return bag
        found = tuple(bag.compute())
        if warn and len(found) < k:
            warnings.warn(_too_few(k, len(found)), stacklevel=2)
        return found

    # ---- elements, one at a time ----

    def map(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Bag:
        """A function of each element, perhaps with those of other bags.

        Parameters
        ----------
        func : callable
            Called once for each element.
        *args, **kwargs : Bag, Item, Delayed or object
            Its further arguments. Of a bag, each call gets one element; anything else is the same for all calls.

        Returns
        -------
        Bag
            The results.

        See Also
        --------
        pantile.bag.map : The same as a function, where the first argument need not be a bag.

        Examples
        --------
        >>> import pantile.bag as db
        >>> from operator import add
        >>> b = db.from_sequence(range(5), npartitions=2)
        >>> b.map(lambda x: x + 1).compute()
        [1, 2, 3, 4, 5]
        >>> b.map(add, b.map(lambda x: 10 * x)).compute()
        [0, 11, 22, 33, 44]
        >>> b.map(add, b.max()).compute()
        [4, 5, 6, 7, 8]
        """
        from pantile.bag import mapping

        return mapping.map(func, self, *args, **kwargs)

    def starmap(self, func: Callable[..., Any], **kwargs: Any) -> Bag:
        """A function whose arguments are each element's own elements.

        Parameters
        ----------
        func : callable
            Called once for each element.
        **kwargs : Item, Delayed or object
            Further arguments, the same for all calls.

        Returns
        -------
        Bag
            The results.

        Examples
        --------
        >>> import pantile.bag as db
        >>> pairs = db.from_sequence([(1, 2), (3, 4)])
        >>> pairs.starmap(lambda x, y, z=0: x + y + z, z=pairs.pluck(1).max()).compute()
        [7, 11]
        """
        from pantile.bag import mapping

        return mapping.starmap(self, func, kwargs)

    def filter(self, predicate: Callable[[Any], Any]) -> Bag:
        """The elements for which a predicate is true.

        Parameters
        ----------
        predicate : callable
            Called with each element.

        Returns
        -------
        Bag
            Some of the elements.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(range(5)).filter(lambda x: x % 2 == 0).compute()
        [0, 2, 4]
        """
        return Bag(self._stage.then(f"filter-{function_name(predicate)}", Filter(predicate, True)))

    def remove(self, predicate: Callable[[Any], Any]) -> Bag:
        """The elements for which a predicate is not true.

        Parameters
        ----------
        predicate : callable
            Called with each element.

        Returns
        -------
        Bag
            Some of the elements.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(range(5)).remove(lambda x: x % 2 == 0).compute()
        [1, 3]
        """
        return Bag(self._stage.then(f"remove-{function_name(predicate)}", Filter(predicate, False)))

    def pluck(self, key: Any, default: Any = no_default) -> Bag:
        """One item of each element.

        Parameters
        ----------
        key : object
            What each element is indexed with. With a list, the result's elements are tuples of all these items.
        default : object, optional
            What stands for a missing item; without it, a missing item is an error.

        Returns
        -------
        Bag
            The items.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence([{"name": "Alice", "credits": [1, 2]}, {"name": "Bob"}])
        >>> b.pluck("name").compute()
        ['Alice', 'Bob']
        >>> b.pluck("credits", []).compute()
        [[1, 2], []]
        """
        return Bag(self._stage.then("pluck", Pluck(key, default)))

    def unzip(self, n: int) -> tuple[Bag, ...]:
        """`n` bags of the elements' items.

        Parameters
        ----------
        n : int
            How many items each element has.

        Returns
        -------
        tuple of Bag
            The first items, the second items, and so on.

        Examples
        --------
        >>> import pantile.bag as db
        >>> numbers, squares = db.from_sequence([(i, i**2) for i in range(4)]).unzip(2)
        >>> squares.compute()
        [0, 1, 4, 9]
        """
        return tuple(self.pluck(i) for i in range(n))

    def flatten(self) -> Bag:
        """The elements of the elements.

        Returns
        -------
        Bag
            One level less.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([[1], [2, 3]]).flatten().compute()
        [1, 2, 3]
        """
        return Bag(self._stage.then("flatten", Flatten()))

    def map_partitions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Bag:
        """A function of whole partitions, perhaps with those of other bags.

        Parameters
        ----------
        func : callable
            Called once for each partition, with a list. It returns an iterable.
        *args, **kwargs : Bag, Item, Delayed or object
            Its further arguments. Of a bag, each call gets one partition; anything else is the same for all calls.

        Returns
        -------
        Bag
            The results.

        See Also
        --------
        pantile.bag.map_partitions : The same as a function, with notes.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence([3, 1, 2, 5, 4], npartitions=2)
        >>> b.map_partitions(sorted).compute()
        [1, 2, 3, 4, 5]
        """
        from pantile.bag import mapping

        return mapping.map_partitions(func, self, *args, **kwargs)

    def random_sample(self, prob: float, random_state: int | random.Random | None = None) -> Bag:
        """Elements that chance chooses.

        Parameters
        ----------
        prob : float
            How likely each element is to be chosen, between 0 and 1.
        random_state : int or random.Random, optional
            A seed, or a generator that one is drawn from.

        Returns
        -------
        Bag
            The chosen elements, the same whenever this bag is computed, and the same as Dask's for the same seed.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence(range(10), npartitions=2)
        >>> b.random_sample(0.5, 43).compute() == b.random_sample(0.5, 43).compute()
        True
        """
        from pantile.bag.random import random_sample

        return random_sample(self, prob, random_state)

    # ---- reductions ----

    def reduction(
        self,
        perpartition: Callable[[Any], Any],
        aggregate: Callable[[Any], Any],
        split_every: int | None = None,
        out_type: type = Item,
        name: Any = None,
    ) -> Any:
        """A function of each partition, and a function of these results, in a tree.

        Parameters
        ----------
        perpartition : callable
            Called with each partition that has elements (with the only one even if it is empty).
        aggregate : callable
            Called with lists of results, of `perpartition` or of itself.
        split_every : int, optional
            How many results are taken together, 8 if not given; False for all.
        out_type : {Item, Bag}, optional
            Whether the result is one value, or the elements of a bag with one partition.
        name : str, optional
            What it is called in pictures.

        Returns
        -------
        Item or Bag
            The result.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(range(10)).reduction(sum, sum).compute()
        45
        """
        from pantile.bag import reductions

        return reductions.reduction(self, perpartition, aggregate, split_every, out_type, name)

    def fold(
        self,
        binop: Callable[[Any, Any], Any],
        combine: Callable[[Any, Any], Any] | None = None,
        initial: Any = no_default,
        split_every: int | None = None,
        out_type: type = Item,
    ) -> Any:
        """Elements joined by a function of two, as by `functools.reduce`, in parallel.

        Parameters
        ----------
        binop : callable
            Joins a partition's total with its next element.
        combine : callable, optional
            Joins the totals of partitions; `binop` if it is not given.
        initial : object, optional
            The total that each partition begins with.
        split_every, out_type
            As for `reduction`.

        Returns
        -------
        Item or Bag
            The total.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence(range(5))
        >>> b.fold(lambda x, y: x + y).compute()
        10
        >>> b.fold(lambda seen, x: seen | {x}, set.union, initial=set()).compute()
        {0, 1, 2, 3, 4}
        """
        from pantile.bag import reductions

        return reductions.fold(self, binop, combine, initial, split_every, out_type)

    def foldby(
        self,
        key: Any,
        binop: Callable[[Any, Any], Any],
        initial: Any = no_default,
        combine: Callable[[Any, Any], Any] | None = None,
        combine_initial: Any = no_default,
        split_every: int | None = None,
    ) -> Bag:
        """One fold for each key: groups and reduces at once, without moving the elements.

        Parameters
        ----------
        key : callable or object
            A function that gives each element's key, or what elements are indexed with to get it.
        binop : callable
            Joins a key's total with the next element.
        initial : object, optional
            The total that each key begins with in each partition (called, if it is callable); the first element if
            not given.
        combine : callable, optional
            Joins the totals of partitions; `binop` if it is not given.
        combine_initial : object, optional
            What joining totals begins with.
        split_every : int, optional
            How many partitions' totals are joined at once, 8 if not given; False for all.

        Returns
        -------
        Bag
            Pairs of key and total, in one partition.

        See Also
        --------
        groupby : Keeps the elements.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence(range(10))
        >>> dict(b.foldby(lambda x: x % 2 == 0, lambda x, y: x + y))
        {True: 20, False: 25}
        >>> words = db.from_sequence(["apple", "avocado", "banana"])
        >>> words.foldby(0, lambda n, word: n + 1, 0, lambda n, m: n + m, 0).compute()
        [('a', 2), ('b', 1)]
        """
        from pantile.bag import reductions

        return reductions.foldby(self, key, binop, initial, combine, combine_initial, split_every)

    def frequencies(self, split_every: int | None = None, sort: bool = False) -> Bag:
        """How often each distinct element is there.

        Parameters
        ----------
        split_every : int, optional
            As for `reduction`.
        sort : bool, optional
            Whether the most frequent come first.

        Returns
        -------
        Bag
            Pairs of element and count, in one partition.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(["Alice", "Bob", "Alice"]).frequencies().compute()
        [('Alice', 2), ('Bob', 1)]
        """
        from pantile.bag import reductions

        return reductions.frequencies(self, split_every, sort)

    def topk(self, k: int, key: Any = None, split_every: int | None = None) -> Bag:
        """The largest elements, largest first.

        Parameters
        ----------
        k : int
            How many.
        key : callable or object, optional
            What elements are compared by: a function of the element (or of its own elements, if it takes several
            arguments), or what elements are indexed with.
        split_every : int, optional
            As for `reduction`.

        Returns
        -------
        Bag
            `k` elements, or all if there are fewer, in one partition.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence([10, 3, 5, 7, 11, 4])
        >>> b.topk(2).compute()
        [11, 10]
        >>> b.topk(2, lambda x: -x).compute()
        [3, 4]
        """
        from pantile.bag import reductions

        return reductions.topk(self, k, key, split_every)

    def distinct(self, key: Any = None) -> Bag:
        """The elements without repetitions.

        Parameters
        ----------
        key : callable or object, optional
            What must not repeat: a function of the element, or what elements are indexed with.

        Returns
        -------
        Bag
            The first element of each kind, in one partition.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(["Alice", "Bob", "Alice"]).distinct().compute()
        ['Alice', 'Bob']
        >>> db.from_sequence([{"id": 1}, {"id": 2}, {"id": 1}]).distinct("id").compute()
        [{'id': 1}, {'id': 2}]
        """
        from pantile.bag import reductions

        return reductions.distinct(self, key)

    def sum(self, split_every: int | None = None) -> Item:
        """The sum of the elements.

        Parameters
        ----------
        split_every : int, optional
            As for `reduction`.

        Returns
        -------
        Item
            The sum.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(range(5)).sum().compute()
        10
        """
        return self.reduction(_builtin_sum, _builtin_sum, split_every=split_every, name="sum")

    def max(self, split_every: int | None = None) -> Item:
        """The largest element.

        Parameters
        ----------
        split_every : int, optional
            As for `reduction`.

        Returns
        -------
        Item
            The element.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([1, 3, 2]).max().compute()
        3
        """
        return self.reduction(_builtin_max, _builtin_max, split_every=split_every, name="max")

    def min(self, split_every: int | None = None) -> Item:
        """The smallest element.

        Parameters
        ----------
        split_every : int, optional
            As for `reduction`.

        Returns
        -------
        Item
            The element.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([1, 3, 2]).min().compute()
        1
        """
        return self.reduction(_builtin_min, _builtin_min, split_every=split_every, name="min")

    def any(self, split_every: int | None = None) -> Item:
        """Whether any element is true.

        Parameters
        ----------
        split_every : int, optional
            As for `reduction`.

        Returns
        -------
        Item
            The answer.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([False, True]).any().compute()
        True
        """
        return self.reduction(_builtin_any, _builtin_any, split_every=split_every, name="any")

    def all(self, split_every: int | None = None) -> Item:
        """Whether all elements are true.

        Parameters
        ----------
        split_every : int, optional
            As for `reduction`.

        Returns
        -------
        Item
            The answer.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([False, True]).all().compute()
        False
        """
        return self.reduction(_builtin_all, _builtin_all, split_every=split_every, name="all")

    def count(self, split_every: int | None = None) -> Item:
        """How many elements there are.

        Parameters
        ----------
        split_every : int, optional
            As for `reduction`.

        Returns
        -------
        Item
            The number.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence("abc").count().compute()
        3
        """
        from pantile.bag.reductions import length

        return self.reduction(length, _builtin_sum, split_every=split_every, name="count")

    def mean(self) -> Item:
        """The arithmetic mean.

        Returns
        -------
        Item
            The mean. Of no elements it is a ZeroDivisionError.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([1, 2, 6]).mean().compute()
        3.0
        """
        from pantile.bag import reductions

        return reductions.mean(self)

    def var(self, ddof: float = 0) -> Item:
        """The variance.

        Parameters
        ----------
        ddof : int, optional
            What the number of elements is lessened by in the divisor.

        Returns
        -------
        Item
            The variance.

        Notes
        -----
        Computed from deviations, where Dask subtracts the square of the mean from the mean of squares, of which
        nothing is left when the mean is large.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([1, 2, 3, 4]).var().compute()
        1.25
        """
        from pantile.bag import reductions

        return reductions.var(self, ddof)

    def std(self, ddof: float = 0) -> Item:
        """The standard deviation.

        Parameters
        ----------
        ddof : int, optional
            What the number of elements is lessened by in the divisor.

        Returns
        -------
        Item
            The square root of the variance.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence([1, 3]).std().compute()
        1.0
        """
        return self.var(ddof=ddof).apply(math.sqrt)

    def accumulate(self, binop: Callable[[Any, Any], Any], initial: Any = no_default) -> Bag:
        """The running totals of the elements, in order.

        Parameters
        ----------
        binop : callable
            Joins the total so far with the next element.
        initial : object, optional
            What the total begins with; it is then the result's first element.

        Returns
        -------
        Bag
            The totals.

        Notes
        -----
        A function of which nothing is known has to be called in order, so partitions wait for each other.

        Examples
        --------
        >>> import pantile.bag as db
        >>> from operator import add
        >>> b = db.from_sequence([1, 2, 3, 4, 5], npartitions=2)
        >>> b.accumulate(add).compute()
        [1, 3, 6, 10, 15]
        >>> b.accumulate(add, initial=-1).compute()
        [-1, 0, 2, 5, 9, 14]
        """
        from pantile.bag.accumulation import accumulate

        return accumulate(self, binop, initial)

    # ---- moving elements ----

    def groupby(
        self,
        grouper: Any,
        method: Any = None,
        npartitions: int | None = None,
        blocksize: int = 2**20,
        max_branch: int | None = None,
        shuffle: Any = None,
    ) -> Bag:
        """The elements of each key.

        Parameters
        ----------
        grouper : callable or object
            A function that gives each element's key, or what elements are indexed with to get it.
        method : None
            Dask's old name for `shuffle`; an error if given.
        npartitions : int, optional
            How many partitions the result has; as many as the bag if not given.
        blocksize : int, optional
            How many elements are grouped at a time before they are written.
        max_branch : int, optional
            Accepted for Dask's sake; there is one way of shuffling, which does not branch.
        shuffle : {"disk", "tasks"}, optional
            Accepted for Dask's sake. Both do the same: small partitions move in memory, others through files.

        Returns
        -------
        Bag
            Pairs of key and list of elements. A key is in one partition only; which one is the same in every run.

        Notes
        -----
        Elements keep their order within a group. Keys that are equal are one key, as in a dictionary (Dask takes 1 and
        True apart). Elements that do not fit into a task's share of the memory limit are pickled into files
        under ``spill_dir``, which are removed with the last task that needs them.

        See Also
        --------
        foldby : Faster where groups are reduced anyway.

        Examples
        --------
        >>> import pantile.bag as db
        >>> b = db.from_sequence(range(10), npartitions=2)
        >>> sorted(b.groupby(lambda x: x % 2 == 0))
        [(False, [1, 3, 5, 7, 9]), (True, [0, 2, 4, 6, 8])]
        """
        from pantile.bag.shuffle import groupby

        if method is not None:
            raise ValueError("groupby: method= is called shuffle=")
        return groupby(self, grouper, npartitions, blocksize, shuffle)

    def join(self, other: Any, on_self: Any, on_other: Any = None) -> Bag:
        """Pairs of an element of something smaller and an element of this bag that have the same key.

        Parameters
        ----------
        other : iterable, Delayed, or Bag with one partition
            What is joined; each partition's task holds all of it.
        on_self : callable or object
            The key of this bag's elements: a function, or what they are indexed with.
        on_other : callable or object, optional
            The key of the others; `on_self` if it is not given.

        Returns
        -------
        Bag
            Pairs ``(other's element, this bag's element)``.

        Examples
        --------
        >>> import pantile.bag as db
        >>> people = db.from_sequence(["Alice", "Bob", "Charlie"])
        >>> people.join(["Apple", "Apricot", "Banana"], lambda x: x[0]).compute()
        [('Apple', 'Alice'), ('Apricot', 'Alice'), ('Banana', 'Bob')]
        """
        from pantile.bag.joining import join

        return join(self, other, on_self, on_other)

    def product(self, other: Bag) -> Bag:
        """All pairs of this bag's and another's elements.

        Parameters
        ----------
        other : Bag
            The other bag.

        Returns
        -------
        Bag
            The pairs, in a partition for each pair of partitions.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence("ab").product(db.from_sequence("xy")).compute()
        [('a', 'x'), ('a', 'y'), ('b', 'x'), ('b', 'y')]
        """
        from pantile.bag.joining import product

        return product(self, other)

    def repartition(self, npartitions: int | None = None, partition_size: Any = None) -> Bag:
        """The same elements in other partitions.

        Parameters
        ----------
        npartitions : int, optional
            How many.
        partition_size : int or str, optional
            Most bytes in a partition, such as ``"5MB"``. The bag is computed once to find the sizes.

        Returns
        -------
        Bag
            The elements in the same order.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(range(6), npartitions=6).repartition(2).map_partitions(len).compute()
        [3, 3]
        """
        from pantile.bag.partitioning import repartition

        return repartition(self, npartitions, partition_size)

    # ---- files and tables ----

    def to_textfiles(
        self,
        path: Any,
        name_function: Callable[[int], Any] | None = None,
        compression: Any = "infer",
        encoding: Any = "utf-8",
        compute: bool = True,
        storage_options: dict[Any, Any] | None = None,
        last_endline: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Writes each partition as a text file; see `pantile.bag.to_textfiles`.

        Parameters
        ----------
        path, name_function, compression, encoding, compute, storage_options, last_endline, **kwargs
            As for `pantile.bag.to_textfiles`.

        Returns
        -------
        list
            The files' paths, or (``compute=False``) delayed values that write them.

        Examples
        --------
        >>> import os, tempfile
        >>> import pantile.bag as db
        >>> b = db.from_sequence(["a", "b", "c"], npartitions=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = b.to_textfiles(os.path.join(folder, "*.txt.gz"))
        ...     [os.path.basename(p) for p in paths], db.read_text(paths).map(str.strip).compute()
        (['0.txt.gz', '1.txt.gz'], ['a', 'b', 'c'])
        """
        from pantile.bag.text import to_textfiles

        return to_textfiles(
            self,
            path,
            name_function,
            compression,
            encoding,
            compute,
            storage_options=storage_options,
            last_endline=last_endline,
            **kwargs,
        )

    def to_avro(
        self,
        filename: Any,
        schema: dict[Any, Any],
        name_function: Callable[[int], Any] | None = None,
        storage_options: dict[Any, Any] | None = None,
        codec: Any = "null",
        sync_interval: int = 16000,
        metadata: dict[Any, Any] | None = None,
        compute: bool = True,
        **kwargs: Any,
    ) -> list[Any]:
        """Writes each partition as an Avro file; see `pantile.bag.to_avro`.

        Parameters
        ----------
        filename, schema, name_function, storage_options, codec, sync_interval, metadata, compute, **kwargs
            As for `pantile.bag.to_avro`.

        Returns
        -------
        list
            The files' paths, or (``compute=False``) delayed values that write them.
        """
        from pantile.bag.avro import to_avro

        return to_avro(
            self,
            filename,
            schema,
            name_function,
            storage_options,
            codec,
            sync_interval,
            metadata,
            compute,
            **kwargs,
        )

    def to_dataframe(
        self, meta: Any = None, columns: Sequence[Any] | None = None, optimize_graph: bool = True
    ) -> Any:
        """A pandas frame of the elements: tuples, dictionaries, or scalars.

        Parameters
        ----------
        meta : pandas.DataFrame, dict or iterable, optional
            Names and types of the columns: an empty frame, a dictionary, or ``(name, type)`` pairs.
        columns : sequence, optional
            Names of the columns, or of those that are wanted where elements have names.
        optimize_graph : bool, optional
            As in Dask; it changes nothing.

        Returns
        -------
        Delayed
            A ``pandas.DataFrame``. As in Dask, the index begins again with each partition.

        Notes
        -----
        Dask gives a frame in partitions; there are none here yet, so this is one frame, computed as a whole. Without
        `meta`, types are what pandas finds in all elements; Dask computes the first element at once and converts all
        others to its types.
        """
        from pantile.bag.frames import to_dataframe

        return to_dataframe(self, meta, columns)


_builtin_sum, _builtin_max, _builtin_min = sum, max, min
_builtin_any, _builtin_all = any, all


def _too_few(wanted: int, found: int) -> str:
    return f"take: {wanted} elements were asked for and {found} found; npartitions= says how many partitions are looked at"
