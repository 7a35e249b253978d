"""`delayed`: any Python function as a node of a graph, which runs when its result is computed.

The class and the function are native (`crates/python/src/delayed/`); here are their documentation, the functions that native
nodes call, and what draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from pantile import _native
from pantile._native import Delayed

if TYPE_CHECKING:
    from pantile.diagnostics import Picture

__all__ = ["Delayed", "delayed", "optimize"]


@overload
def delayed(
    obj: Any, name: str | None = ..., pure: bool | None = ..., nout: int | None = ..., traverse: bool = ...
) -> Any: ...
@overload
def delayed(
    *, name: str | None = ..., pure: bool | None = ..., nout: int | None = ..., traverse: bool = ...
) -> Callable[[Any], Any]: ...
def delayed(
    obj: Any = None,
    name: str | None = None,
    pure: bool | None = None,
    nout: int | None = None,
    traverse: bool = True,
) -> Any:
    """Makes calls of a function nodes of a graph, or an object a node.

    ``delayed(f)(x, y)`` does not call ``f``: it gives a `Delayed`, which stands for the result and may be an argument of other
    delayed calls. ``compute()`` runs what it needs, in parallel. Also a decorator.

    Parameters
    ----------
    obj : callable or object
        The function; or any other object, also a list, tuple, set, dictionary, slice or dataclass that holds delayed values at
        any depth.
    name : str, optional
        The name for people (a function), or the key (another object); the function's own, or one that nothing else has.
    pure : bool, optional
        Whether equal arguments always give the same result: then equal calls are one. Default: what the setting
        `delayed_pure` is when a call is built, which is no.
    nout : int, optional
        How many values the function returns. The result can then be iterated and unpacked.
    traverse : bool, optional
        Whether `obj` is searched for delayed values, if it is a list, tuple, set, dictionary, slice or dataclass. The arguments
        of calls are always searched.

    Returns
    -------
    Delayed
        With the operators of Python, items and attributes, each of which gives a `Delayed`. A call takes two more keyword
        arguments: ``pantile_key_name`` (or ``dask_key_name``), the key of the result, and ``pure``, as above.

    Raises
    ------
    TypeError
        When a node is built: an argument can be used only once, as generators, other iterators and files that can be
        read. When a node is used as if its value were known: ``if``, ``len``, iteration without `nout`, f-strings.
    ArgumentChangedError
        When it is computed: a list, dictionary or set among the arguments was changed after the call was built, or a call
        changed a result that others need too.

    Notes
    -----
    Results that several calls need are passed to them as they are, but arrays as read-only views.

    Examples
    --------
    >>> from pantile import delayed
    >>> @delayed
    ... def add(x, y):
    ...     return x + y
    >>> total = add(add(1, 2), 3)
    >>> total.compute()
    6
    >>> delayed(sum)([add(1, 1), 5]).compute()
    7
    >>> low, high = delayed(lambda xs: (min(xs), max(xs)), nout=2)([3, 1, 2])
    >>> (high - low).compute()
    2
    """
    if obj is None:
        return partial(delayed, name=name, pure=pure, nout=nout, traverse=traverse)
    return _native.delayed(obj, name, pure, nout, traverse)


def optimize(*args: Any, traverse: bool = True) -> tuple[Any, ...]:
    """The same collections, in which equal pure calls are one.

    There is no need to call this: what computes or draws does the same.

    Parameters
    ----------
    *args : Delayed, Array, Bag or any object
        Also inside lists, tuples, sets and dictionaries. Arrays and bags, which are optimised when they are computed, and
        anything else are returned as they are.
    traverse : bool, optional
        Whether containers among the arguments are searched.

    Returns
    -------
    tuple
        For each argument the same, with the same keys and values.

    Examples
    --------
    >>> import pantile
    >>> double = pantile.delayed(lambda x: 2 * x, pure=True)
    >>> total, twice = pantile.optimize(double(1) + double(1), double(1))
    >>> total.compute(), twice.compute()
    (4, 2)
    """
    from pantile._run import _collect, _replace

    found: dict[int, Any] = {}
    if traverse:
        _collect(args, found, Delayed)
    nodes = [a for a in (found.values() if traverse else args) if isinstance(a, Delayed)]
    made = _native.delayed_graph(nodes).rebuilt(len(nodes))
    instead = {id(a): b for a, b in zip(nodes, made, strict=True)}
    if not traverse:
        return tuple(instead.get(id(a), a) for a in args)
    return tuple(_replace(a, instead) for a in args)


def visualize_method(node: Delayed, *args: Any, **kwargs: Any) -> Picture:
    """Draws the graph: what ``delayed_value.visualize(filename, ...)`` calls."""
    from pantile.diagnostics import visualize

    if args:
        if len(args) > 1 or "filename" in kwargs:
            raise TypeError("visualize takes a filename and keyword arguments")
        kwargs["filename"] = args[0]
    return visualize(node, **kwargs)


def repr_html(node: Delayed) -> str:
    """What notebooks show of a node: what it calls, where it was built, how much it needs; a picture of a small graph."""
    from pantile.diagnostics.calls import delayed_html

    return delayed_html(node)


def identity(value: Any) -> Any:
    """The value: what a node for a container calls."""
    return value


def call_method(obj: Any, method: str, /, *args: Any, **kwargs: Any) -> Any:
    """Calls a method: what ``delayed_value.method(...)`` becomes."""
    return getattr(obj, method)(*args, **kwargs)
