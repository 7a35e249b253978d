"""`Bag.str`: the methods of strings, on bags of strings."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pantile.bag.core import Bag

__all__ = ["StringAccessor"]


class StringAccessor:
    """The methods of `str` on a bag's elements: ``bag.str.lower()`` is ``bag.map(str.lower)``.

    Examples
    --------
    >>> import pantile.bag as db
    >>> b = db.from_sequence(["Alice Smith", "Bob Jones", "Charlie Smith"])
    >>> b.str.lower().compute()
    ['alice smith', 'bob jones', 'charlie smith']
    >>> b.str.split(" ").compute()
    [['Alice', 'Smith'], ['Bob', 'Jones'], ['Charlie', 'Smith']]
    >>> b.str.match("*Smith").compute()
    ['Alice Smith', 'Charlie Smith']
    """

    __slots__ = ("_bag",)

    def __init__(self, bag: Bag) -> None:
        self._bag = bag

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(str)})

    def __getattr__(self, name: str) -> Callable[..., Bag]:
        method = getattr(str, name, None)
        if name.startswith("_") or not callable(method):
            raise AttributeError(f"strings have no method {name!r}")

        def apply(*args: Any, **kwargs: Any) -> Bag:
            return self._bag.map(operator.methodcaller(name, *args, **kwargs))

        apply.__name__ = name
        apply.__doc__ = method.__doc__
        return apply

    def match(self, pattern: str) -> Bag:
        """The strings that match a shell pattern.

        Parameters
        ----------
        pattern : str
            A pattern with ``*``, ``?`` and ``[...]``, as for `fnmatch.fnmatch`.

        Returns
        -------
        Bag
            Some of the strings.

        Examples
        --------
        >>> import pantile.bag as db
        >>> db.from_sequence(["a.txt", "b.csv"]).str.match("*.csv").compute()
        ['b.csv']
        """
        return self._bag.filter(partial(fnmatch, pat=pattern))
