"""Indexing an array by its blocks."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from pantile import _native

if TYPE_CHECKING:
    from pantile.array.core import Array


class BlockView:
    """The grid of an array's blocks: ``x.blocks[i, j]`` is an array of these blocks, with all axes.

    Examples
    --------
    >>> import pantile.array as da
    >>> x = da.arange(10, chunks=4)
    >>> x.blocks[1].compute()
    array([4, 5, 6, 7])
    >>> x.blocks.shape
    (3,)
    """

    def __init__(self, array: Array) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """How many blocks there are along each axis."""
        return self._array.numblocks

    @property
    def size(self) -> int:
        """How many blocks there are."""
        return self._array.npartitions

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self._array.ndim

    def ravel(self) -> list[Array]:
        """Each block as an array, in C order."""
        return [self[index] for index in np.ndindex(*self.shape)]

    def __getitem__(self, key: Any) -> Array:
        from pantile.array.core import Array

        entries = key if isinstance(key, tuple) else (key,)
        e = self._array._expr
        if None in e.shape:
            raise ValueError("blocks of unknown length cannot be selected: call compute_chunk_sizes() first")
        if any(k is None for k in entries):
            raise ValueError("Slicing with np.newaxis or None is not supported by blocks")
        if Ellipsis in [k for k in entries if k is Ellipsis]:
            at = [k is Ellipsis for k in entries].index(True)
            entries = entries[:at] + (slice(None),) * (e.ndim - len(entries) + 1) + entries[at + 1 :]
        if len(entries) > e.ndim:
            raise IndexError(
                f"too many indices for blocks: there are {e.ndim} axes, but {len(entries)} were indexed"
            )
        for axis, k in enumerate(entries):
            lengths = [n or 0 for n in e.chunks[axis]]
            if isinstance(k, slice):
                chosen = list(range(len(lengths)))[k]
            elif hasattr(k, "__index__") and np.ndim(k) == 0:
                i = operator.index(k)
                if not -len(lengths) <= i < len(lengths):
                    raise IndexError(f"block {i} is out of bounds for axis {axis} with {len(lengths)} blocks")
                chosen = [i % len(lengths)]
            else:
                chosen = np.arange(len(lengths))[np.asarray(k)].tolist()
            if chosen == list(range(len(lengths))):
                continue
            starts = np.concatenate([[0], np.cumsum(lengths)]).tolist()
            head = (slice(None),) * axis
            if chosen and chosen == list(range(chosen[0], chosen[-1] + 1)):
                e = _native.index(e, (*head, slice(starts[chosen[0]], starts[chosen[-1] + 1])))
            elif chosen:
                parts = [_native.index(e, (*head, slice(starts[i], starts[i + 1]))) for i in chosen]
                e = _native.concatenate(parts, axis, None)
            else:
                e = _native.index(e, (*head, slice(0, 0)))
        return Array(e)

    def __repr__(self) -> str:
        return f"pantile.BlockView<{' × '.join(map(str, self.shape))} blocks>"
