"""Tokens: what an object is, in 32 hexadecimal digits that every process agrees on.

The walk over an object is in Rust (``crates/python/src/tokenize.rs``), which knows Python's own types, functions, NumPy's
plain arrays, and how to take any picklable object apart. Here are the rules for other types: a rule gets an object and returns
something simpler that says the same. Users add theirs with `normalize_token.register` or a method ``__pantile_tokenize__``
(``__dask_tokenize__`` counts too).

What counts as the same, where that is a choice:

- Types count: ``1``, ``1.0``, ``True`` and ``"1"`` differ; so do an array and a memory map with the same elements.
- Dictionaries and sets have no order, `collections.OrderedDict` has. Lists, tuples and arrays have.
- Arrays are dtype, shape and elements, whatever their strides. A memory map is what is in it, not its file: reading it
  once costs less than a result that belongs to an older content of the file.
- A function that can be imported is its name and its own code. Other ones (lambdas, inner functions, those of a script
  or a notebook) are code, defaults, what they close over, and the values of the globals that they load. Code is bytecode, so
  tokens of functions change with the version of Python. Classes likewise.
- A lazy array is its node in this process' graph: no other process gives it the same token.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from pantile import _native
from pantile._native import TokenizationError

__all__ = ["TokenizationError", "normalize_token", "tokenize"]

Rule = Callable[[Any], object]


def tokenize(*args: object, ensure_deterministic: bool | None = None, **kwargs: object) -> str:
    """A token for some objects: equal for equal objects in every process, different for different ones.

    Parameters
    ----------
    *args, **kwargs : any objects
        The order of keywords does not matter.
    ensure_deterministic : bool, optional
        Whether an object that no other process can know (a lock, an open file, a generator) is an error. Otherwise it counts
        as a new object each time. None: what a surrounding call says, else the setting ``tokenize.ensure_deterministic``.

    Returns
    -------
    str
        32 hexadecimal digits. They are stable between processes and machines for the same versions of Python and Pantile.

    Raises
    ------
    TokenizationError
        There is such an object, and it is to be an error.

    Examples
    --------
    >>> from pantile import tokenize
    >>> tokenize({"a": 1, "b": 2}) == tokenize({"b": 2, "a": 1})
    True
    >>> tokenize(1) == tokenize(1.0)
    False
    """
    return _native.tokenize(args, kwargs, ensure_deterministic)


class _Rules:
    """The registry behind `normalize_token`."""

    def __init__(self) -> None:
        self._rules: weakref.WeakKeyDictionary[type, Rule] = weakref.WeakKeyDictionary()
        self._lazy: dict[str, Callable[[], None]] = {}
        # Held while the rules of a package are registered, so that no thread sees half of them.
        self._lock = threading.RLock()

    def register(self, kind: type | Iterable[type], rule: Rule | None = None) -> Any:
        """Registers a rule for one or several classes and their subclasses.

        Parameters
        ----------
        kind : type or iterable of types
            The classes. Python's own scalars and containers, functions and classes are walked as they are; rules do not
            change that.
        rule : callable, optional
            Gets an object, returns one that says the same. Without it `register` is a decorator.

        Returns
        -------
        callable
            The rule.

        Examples
        --------
        >>> import pantile
        >>> class Point:
        ...     def __init__(self, x, cache):
        ...         self.x, self.cache = x, cache
        >>> @pantile.normalize_token.register(Point)
        ... def _(point):
        ...     return "Point", point.x
        >>> pantile.tokenize(Point(1, "this")) == pantile.tokenize(Point(1, "that"))
        True
        """
        if rule is None:
            return functools.partial(self.register, kind)
        if not callable(rule):
            raise TypeError(f"a rule must be callable, not {type(rule).__name__}")
        kinds = (kind,) if isinstance(kind, type) else tuple(kind)
        for one in kinds:
            if not isinstance(one, type):
                raise TypeError(f"rules are for classes, not for {one!r}")
        with self._lock:
            self._rules.update(dict.fromkeys(kinds, rule))
        _native.forget_token_rules()
        return rule

    def register_lazy(self, package: str, register: Callable[[], None] | None = None) -> Any:
        """Registers a function that registers rules, called when an object of that package is first met.

        Parameters
        ----------
        package : str
            The top-level package of the classes.
        register : callable, optional
            Takes nothing. Without it `register_lazy` is a decorator.

        Returns
        -------
        callable
            The function.

        Examples
        --------
        >>> import pantile
        >>> @pantile.normalize_token.register_lazy("decimal")
        ... def _():
        ...     import decimal
        ...     pantile.normalize_token.register(decimal.Context, repr)
        >>> import decimal
        >>> pantile.tokenize(decimal.Context(prec=3)) == pantile.tokenize(decimal.Context(prec=4))
        False
        """
        if register is None:
            return functools.partial(self.register_lazy, package)
        self._lazy[package] = register
        _native.forget_token_rules()
        return register

    def __call__(self, value: object) -> object:
        """What the rule for an object's class makes of it; the object itself where there is none."""
        rule = rule_for(type(value))
        return value if rule is None else rule(value)


normalize_token = _Rules()


def rule_for(kind: type) -> Rule | None:
    """The rule for objects of a class: its own, its hook, that of the nearest base class, or None."""
    registry, lazy = normalize_token._rules, normalize_token._lazy
    with normalize_token._lock:
        for package in {str(base.__module__).partition(".")[0] for base in kind.__mro__} & lazy.keys():
            lazy.pop(package)()
    if kind in registry:
        return registry[kind]
    for hook in ("__pantile_tokenize__", "__dask_tokenize__"):
        method = getattr(kind, hook, None)
        if callable(method):
            return method
    for base in kind.__mro__:
        if base in registry:
            return registry[base]
    if dataclasses.is_dataclass(kind):
        return _dataclass
    return None


# ---- Python's own ----


def _dataclass(value: Any) -> object:
    fields = [(f.name, getattr(value, f.name, None)) for f in dataclasses.fields(value)]
    return "dataclass", type(value), fields


# What Python or copyreg keeps in a class besides what its author wrote.
_BOOKKEEPING = {
    "__abstractmethods__",
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__slotnames__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}


def class_parts(cls: type) -> object:
    """A class that other processes cannot import: what its body made."""
    body = {name: value for name, value in vars(cls).items() if name not in _BOOKKEEPING}
    return type(cls), cls.__qualname__, cls.__bases__, body


def _module(module: types.ModuleType) -> object:
    if sys.modules.get(module.__name__) is module:
        return "module", module.__name__
    return "module", module.__name__, {k: v for k, v in vars(module).items() if not k.startswith("__")}


def _enum(member: enum.Enum) -> object:
    return "enum", type(member), member.name, member.value


def _set(value: Any) -> object:
    return "set", type(value), set(value), getattr(value, "__dict__", None)


def _memoryview(view: memoryview) -> object:
    return "memoryview", view.format, view.shape, view.tobytes()


def _cached_function(function: Any) -> object:
    return "lru_cache", function.__wrapped__, function.cache_parameters()


normalize_token.register(types.ModuleType, _module)
normalize_token.register(enum.Enum, _enum)
normalize_token.register((set, frozenset), _set)
normalize_token.register(types.MappingProxyType, lambda proxy: ("mappingproxy", dict(proxy)))
normalize_token.register(memoryview, _memoryview)
normalize_token.register(pickle.PickleBuffer, lambda buffer: ("PickleBuffer", buffer.raw().tobytes()))
normalize_token.register(staticmethod, lambda method: ("staticmethod", method.__func__))
normalize_token.register(classmethod, lambda method: ("classmethod", method.__func__))
normalize_token.register(property, lambda p: ("property", p.fget, p.fset, p.fdel))
normalize_token.register(functools.cached_property, lambda p: ("cached_property", p.func, p.attrname))
normalize_token.register(functools._lru_cache_wrapper, _cached_function)


# ---- NumPy ----


@normalize_token.register_lazy("numpy")
def _register_numpy() -> None:
    import numpy as np

    def dtype(dt: np.dtype[Any]) -> object:
        # Not `isbuiltin`, which a copy of a dtype has not.
        if dt.char in "?bhilqpBHILQPefdgFDGSUmM":
            return "dtype", dt.str
        return "dtype", dt.__reduce__()

    def scalar(value: np.generic) -> object:
        if value.dtype.char in "gGVO":
            return "scalar", type(value), np.asarray(value)
        return "scalar", value.dtype.str, value.tobytes()

    def array(a: np.ndarray) -> object:
        if type(a) is np.ndarray:
            return special(a)
        # A class that adds state says so in its pickle; otherwise it is its elements and its attributes.
        if type(a).__reduce__ is not np.ndarray.__reduce__ and not isinstance(a, np.recarray):
            return "subclass", a.__reduce__()
        state = None if isinstance(a, np.memmap) else getattr(a, "__dict__", None)
        return "subclass", type(a), a.view(np.ndarray), state

    def special(a: np.ndarray) -> object:
        """An array whose memory is not its value."""
        dt = a.dtype
        if dt.names is not None:
            # Bytes between fields are undefined.
            return "records", dt, a.shape, [a[name] for name in dt.names]
        if dt.hasobject:
            return "objects", dt, a.shape, a.ravel().tolist()
        if dt.char in "gG" and np.finfo(dt).nmant == 63:
            # 80 bits in 16 bytes, of which six are undefined.
            parts = np.ascontiguousarray(a).view(np.uint8).reshape(-1, 16)
            return "longdouble", dt, a.shape, parts[:, :10]
        flat = np.ascontiguousarray(a).reshape(-1)
        return "memory", dt, a.shape, flat.view(np.uint8) if flat.size and dt.itemsize else None

    def masked(a: np.ma.MaskedArray[Any, Any]) -> object:
        return "masked", type(a), a.data, np.ma.getmaskarray(a), a.fill_value, a.hardmask

    normalize_token.register(np.dtype, dtype)
    normalize_token.register(np.generic, scalar)
    normalize_token.register(np.ndarray, array)
    normalize_token.register(np.ma.MaskedArray, masked)
    normalize_token.register(
        type(np.ma.masked), lambda m: "numpy.ma.masked" if m is np.ma.masked else masked(m)
    )


# ---- pandas, pyarrow ----


@normalize_token.register_lazy("pandas")
def _register_pandas() -> None:
    import numpy as np
    import pandas as pd

    def range_index(index: pd.RangeIndex) -> object:
        return type(index), index.start, index.stop, index.step, index.name

    def multi_index(index: pd.MultiIndex) -> object:
        used = index.remove_unused_levels()
        return type(index), list(used.names), list(used.levels), list(used.codes)

    def series(s: pd.Series) -> object:
        return type(s), s.name, s.array, s.index, s.attrs or None

    def frame(df: pd.DataFrame) -> object:
        # By column: how columns share blocks of memory says nothing.
        return type(df), df.columns, df.index, [s.array for _, s in df.items()], df.attrs or None

    def extension(a: Any) -> object:
        if isinstance(a, pd.arrays.NumpyExtensionArray):
            return "numpy", a.to_numpy()
        if isinstance(a, pd.arrays.ArrowExtensionArray) or (
            hasattr(a, "__arrow_array__") and hasattr(a, "_pa_array")
        ):
            return "arrow", a.dtype, a._pa_array
        if isinstance(a, (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray, pd.arrays.PeriodArray)):
            return "times", a.dtype, a.asi8
        missing = np.asarray(a.isna())
        if hasattr(a, "_mask") and hasattr(a, "_data"):
            # What stands where nothing is says nothing.
            return "nullable", a.dtype, missing, np.where(missing, a._data.dtype.type(), a._data)
        return "extension", a.dtype, missing, np.asarray(a, dtype=object)

    normalize_token.register(pd.RangeIndex, range_index)
    normalize_token.register(pd.MultiIndex, multi_index)
    normalize_token.register(pd.Index, lambda index: (type(index), index.name, index.array))
    normalize_token.register(pd.Series, series)
    normalize_token.register(pd.DataFrame, frame)
    normalize_token.register(pd.api.extensions.ExtensionArray, extension)
    normalize_token.register(pd.Categorical, lambda a: ("categorical", a.dtype, a.codes))
    normalize_token.register(pd.arrays.IntervalArray, lambda a: ("intervals", a.dtype, a.left, a.right))
    normalize_token.register(
        pd.CategoricalDtype, lambda dt: ("CategoricalDtype", dt.categories, bool(dt.ordered))
    )
    normalize_token.register(pd.api.extensions.ExtensionDtype, lambda dt: ("dtype", type(dt), str(dt)))
    normalize_token.register(type(pd.NA), lambda na: "pandas.NA")
    normalize_token.register(type(pd.NaT), lambda nat: "pandas.NaT")
    normalize_token.register(pd.offsets.BaseOffset, lambda o: ("offset", type(o), o.freqstr, o.kwds))


@normalize_token.register_lazy("pyarrow")
def _register_pyarrow() -> None:
    import pyarrow as pa

    def chunked(a: pa.ChunkedArray) -> object:
        table = pa.table([a.combine_chunks()], names=["values"])
        return "chunked", _ipc(table)

    def _ipc(table: pa.Table) -> object:
        # The stream holds the elements that a slice shows, and nothing of the buffers around them.
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        return np_bytes(sink.getvalue())

    def np_bytes(buffer: pa.Buffer) -> object:
        import numpy as np

        return np.frombuffer(buffer, dtype=np.uint8)

    normalize_token.register((pa.ChunkedArray, pa.Array), lambda a: chunked(_as_chunked(a)))
    normalize_token.register((pa.Table, pa.RecordBatch), lambda t: ("table", _ipc(_as_table(t))))
    normalize_token.register(pa.Buffer, lambda b: ("buffer", np_bytes(b)))

    def _as_chunked(a: Any) -> pa.ChunkedArray:
        return a if isinstance(a, pa.ChunkedArray) else pa.chunked_array([a])

    def _as_table(t: Any) -> pa.Table:
        return t if isinstance(t, pa.Table) else pa.Table.from_batches([t])
