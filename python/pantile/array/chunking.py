"""Chunks as users write them, made into one specification an axis.

``chunks`` may be one entry for all axes, a tuple with an entry an axis, or a dictionary from axis to entry. An entry is a
length, a tuple of lengths, -1 or None (the whole axis), ``"auto"``, or a size such as ``"64MB"`` that a block should have.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pantile import _native, config

Chunks = tuple[tuple[int | None, ...], ...]
"""Lengths of chunks along each axis; None where only the computation will tell."""

KEEP = object()
"""The entry of an axis that a dictionary does not mention."""


def _entry(spec: Any, axis: int) -> Any:
    if spec is None:
        return -1
    if isinstance(spec, str):
        if spec == "auto":
            return spec
        try:
            size = config.parse_bytes(spec)
            if size < 1:
                raise ValueError(spec)
            return ("bytes", size)
        except ValueError:
            raise ValueError(
                f"chunks along axis {axis} are {spec!r}; write a length, a tuple of lengths, -1 (the whole axis), 'auto', "
                f"or a size such as '64MB'"
            ) from None
    if isinstance(spec, (tuple, list, np.ndarray)):
        lengths = tuple(operator.index(n) for n in spec)
        if any(n < 0 for n in lengths):
            raise ValueError(f"chunks along axis {axis} have negative lengths: {lengths}")
        return lengths
    if isinstance(spec, float) and spec.is_integer():
        spec = int(spec)
    try:
        if isinstance(spec, (bool, np.bool_)):
            raise TypeError(spec)
        length = operator.index(spec)
    except TypeError:
        raise TypeError(
            f"chunks along axis {axis} are {spec!r}; write a length, a tuple of lengths, -1 (the whole axis), 'auto', "
            f"or a size such as '64MB'"
        ) from None
    if length < -1:
        raise ValueError(f"chunks along axis {axis} have length {length}; use -1 for the whole axis")
    return length


def _is_lengths(chunks: Sequence[Any]) -> bool:
    return all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in chunks)


def spread(chunks: Any, ndim: int, rest: Any = -1) -> list[Any]:
    """One entry an axis; `rest` for the axes that a dictionary leaves out."""
    if isinstance(chunks, Mapping):
        specs: list[Any] = [rest] * ndim
        for axis, spec in chunks.items():
            try:
                at = operator.index(axis)
            except TypeError:
                raise TypeError(
                    f"chunks as a dictionary have axis numbers as keys, not {axis!r}: {{0: 100}} cuts the first axis"
                ) from None
            if not -ndim <= at < ndim:
                raise np.exceptions.AxisError(at, ndim)
            specs[at] = spec
    elif isinstance(chunks, (tuple, list)):
        if ndim == 1 and len(chunks) != 1 and _is_lengths(chunks):
            specs = [tuple(chunks)]
        elif len(chunks) != ndim:
            raise ValueError(
                f"chunks has {len(chunks)} entries but the array has {ndim} dimensions: {tuple(chunks)!r}"
            )
        else:
            specs = list(chunks)
    else:
        specs = [chunks] * ndim
    return [spec if spec is KEEP else _entry(spec, axis) for axis, spec in enumerate(specs)]


def normalize(
    chunks: Any, shape: Sequence[int], dtype: np.dtype[Any], preferred: Sequence[int] | None = None
) -> Chunks:
    """The lengths of all chunks of a new array. `preferred` is what a source is stored in."""
    return _native.normalize_chunks(
        spread(chunks, len(shape)), shape, max(1, dtype.itemsize), config.get("array.chunk_size"), preferred
    )


def shape_argument(shape: Any) -> tuple[int, ...]:
    """A shape as NumPy's functions take it: an integer or a sequence of them."""
    try:
        lengths: tuple[int, ...] = (operator.index(shape),)
    except TypeError:
        try:
            lengths = tuple(operator.index(n) for n in shape)
        except TypeError:
            raise TypeError(f"expected a sequence of integers or a single integer, got {shape!r}") from None
    if any(n < 0 for n in lengths):
        raise ValueError(f"negative dimensions are not allowed: {lengths}")
    return lengths


def axis_index(axis: Any, ndim: int) -> int:
    """An axis counted from the front, or NumPy's `AxisError`."""
    at = operator.index(axis)
    if not -ndim <= at < ndim:
        raise np.exceptions.AxisError(at, ndim)
    return at + ndim if at < 0 else at


def axis_tuple(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front, in the order given; the same axis twice is a ValueError."""
    if isinstance(axis, (tuple, list)):
        axes = tuple(axis_index(a, ndim) for a in axis)
        if len(set(axes)) != len(axes):
            raise ValueError("duplicate value in 'axis'")
        return axes
    return (axis_index(axis, ndim),)


def reduced_axes(axis: Any, ndim: int) -> tuple[int, ...] | None:
    """Axes of a reduction, ascending; None for all of them."""
    if axis is None:
        return None
    return tuple(sorted(axis_tuple(axis, ndim)))


def refined(several: Iterable[Sequence[int | None]]) -> tuple[int, ...]:
    """Chunks that are cut wherever one of several is; all of one known length."""
    ends = sorted({int(n) for cuts in several for n in np.cumsum([m or 0 for m in cuts])})
    return tuple(int(n) for n in np.diff([0, *ends]))


def uniform(lengths: Sequence[int | None]) -> bool:
    """Whether all chunks have one length, but for a shorter last one."""
    if None in lengths:
        return False
    known = [n for n in lengths if n is not None]
    return all(n == known[0] for n in known[:-1]) and known[-1] <= known[0]
