"""Writing arrays: block by block into anything with item assignment, and all or nothing to Zarr, HDF5 and npy files."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Sequence
from typing import Any

from pantile import _native, _run
from pantile.array.chunking import uniform
from pantile.array.core import Array, as_expr, known_shape

__all__ = ["store", "to_hdf5", "to_npy", "to_zarr"]


class Pending:
    """A `store` that has not run; ``compute()`` runs it."""

    def __init__(self, pairs: list[tuple[Any, Any, Any]], lock: bool) -> None:
        self._pairs, self._lock = pairs, lock

    def compute(self) -> None:
        """Writes."""
        pairs = self._pairs
        hazards = _native.store_hazards(pairs)
        if any(hazards):
            # What a target overwrites is read before anything is written.
            whole = iter(_run.compute_exprs([p[0] for p, first in zip(pairs, hazards, strict=True) if first]))
            pairs = [
                (as_expr(next(whole)), *p[1:]) if first else p
                for p, first in zip(pairs, hazards, strict=True)
            ]
        _run.run(lambda opts: _native.store(pairs, self._lock, opts))

    def __repr__(self) -> str:
        return f"pantile.array.Pending<store of {len(self._pairs)} arrays>"


def store(
    sources: Any,
    targets: Any,
    lock: Any = True,
    regions: Any = None,
    compute: bool = True,
    return_stored: bool = False,
) -> Any:
    """Writes arrays into objects with item assignment, block by block.

    Parameters
    ----------
    sources : Array or sequence of Array
        What to write.
    targets : object or sequence
        For each array where: a NumPy array, an h5py dataset, a zarr array, ... of the same shape.
    lock : bool
        Whether blocks are written one at a time.
    regions : tuple of slice or sequence of them, optional
        For each target the part to write to.
    compute : bool
        False returns an object whose ``compute()`` writes.
    return_stored : bool
        Not supported.

    Returns
    -------
    None
        After everything has been written.

    Raises
    ------
    ValueError
        A target, or its region, has another shape. Nothing has been written then.

    Notes
    -----
    Blocks are written as they are made, so a function that fails, or Ctrl-C, leaves targets partly written. `to_zarr`,
    `to_hdf5` and `to_npy` write all or nothing.

    An array that is made from a target's own memory (or from the very dataset that is the target) is computed as a whole
    before anything is written, unless each element is made from the one in its place. That two different objects mean one
    file is not noticed.

    Examples
    --------
    >>> import numpy as np
    >>> import pantile.array as da
    >>> target = np.zeros(4)
    >>> da.store(da.ones(2), target, regions=(slice(1, 3),))
    >>> target
    array([0., 1., 1., 0.])
    """
    if return_stored:
        raise _native.UnsupportedError(
            "store(return_stored=True) is not supported; open the target with from_array afterwards"
        )
    if isinstance(sources, Array):
        sources, targets = [sources], [targets]
        regions = None if regions is None else [regions]
    sources, targets = list(sources), list(targets)
    if not all(isinstance(s, Array) for s in sources):
        raise ValueError("All sources must be pantile arrays")
    if len(sources) != len(targets):
        raise ValueError(f"Different number of sources [{len(sources)}] and targets [{len(targets)}]")
    if regions is None or (isinstance(regions, tuple) and all(isinstance(s, slice) for s in regions)):
        regions = [regions] * len(sources)
    if len(regions) != len(sources):
        raise ValueError(f"Different number of sources [{len(sources)}] and regions [{len(regions)}]")
    pairs = []
    for source, target, region in zip(sources, targets, regions, strict=True):
        known_shape(source._expr, "store")
        pairs.append((source._expr, target, _slices(region, source.ndim)))
    pending = Pending(pairs, bool(lock))
    if not compute:
        return pending
    pending.compute()
    return None


def _slices(region: Any, ndim: int) -> list[slice] | None:
    if region is None:
        return None
    parts = list(region) if isinstance(region, (tuple, list)) else [region]
    if not all(isinstance(s, slice) for s in parts) or len(parts) != ndim:
        raise ValueError(f"a region is one slice for each of the {ndim} axes, not {region!r}")
    return parts


def _write(target: Any, x: Array) -> None:
    """Fills a native target and moves it into place; nothing stays behind if that fails."""
    try:
        _run.run(lambda opts: _native.store([(x._expr, target, None)], False, opts))
        target.finish()
    except BaseException:
        target.discard()
        raise


def to_zarr(
    arr: Any,
    url: Any,
    component: str = "",
    *,
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    compressor: str | None = "zstd",
    level: int = 0,
    zarr_format: int = 3,
    fill_value: Any = 0,
    attributes: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a Zarr array. It appears under its name when it is complete.

    Parameters
    ----------
    arr : Array
        What to write.
    url : str, path or zarr.Array
        The folder of the store; or an open array of the same shape to fill.
    component : str
        The array's name in the store.
    chunks : tuple of int, optional
        The stored chunks; by default the array's.
    shards : tuple of int, optional
        The shards, multiples of the chunks (format 3).
    compressor : {'zstd', 'gzip', 'zlib', 'blosc', 'blosc:lz4', ...} or None
        What compresses the chunks.
    level : int
        Of the compressor.
    zarr_format : {3, 2}
        The format.
    fill_value : number
        Of chunks that are missing.
    attributes : dict, optional
        Attributes of the array.
    overwrite : bool
        Whether an array that is there is replaced.

    Returns
    -------
    None
        When the array is complete under its name.

    Raises
    ------
    ValueError
        There is an array already and `overwrite` is false; `chunks` has not one length for each axis.
    OSError
        The folder cannot be written, or the disk is full. What was there before is still there.
    UnsupportedError
        The store is no folder of this machine.

    Examples
    --------
    >>> import os, tempfile
    >>> import pantile.array as da
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.zarr")
    ...     da.to_zarr(da.ones((4, 4), chunks=2), path, compressor="gzip", level=1)
    ...     da.from_zarr(path).chunks
    ((4,), (4,))
    """
    x = Array(as_expr(arr))
    if not isinstance(url, (str, os.PathLike)):
        store(x, url[component] if component else url)
        return
    if "://" in os.fspath(url):
        raise _native.UnsupportedError(f"only stores in folders are written: {os.fspath(url)!r}")
    shape = known_shape(x._expr, "to_zarr")
    if chunks is None:
        stored = tuple(max(1, n or 1) for n in x.chunksize)
    else:
        stored = tuple(chunks)
        if len(stored) != x.ndim:
            raise ValueError(f"chunks has {len(stored)} entries, but the array has {x.ndim} dimensions")
    target = _native.create_zarr(
        os.path.abspath(os.fspath(url)),
        component,
        shape,
        stored,
        shards,
        x._expr.dtype,
        fill_value,
        compressor,
        level,
        zarr_format,
        overwrite,
        json.dumps(attributes) if attributes else "",
    )
    _write(target, x)


def to_npy(path: Any, arr: Any) -> None:
    """Writes an npy file. It appears under its name when it is complete.

    Parameters
    ----------
    path : str or path
        The file.
    arr : Array
        What to write.

    Returns
    -------
    None
        When the file is complete under its name. A file that was there is replaced then, and not before.

    Raises
    ------
    OSError
        The file cannot be written, or the disk is full. What was there before is still there.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import pantile.array as da
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.npy")
    ...     da.to_npy(path, da.arange(4, chunks=2))
    ...     np.load(path)
    array([0, 1, 2, 3])
    """
    if isinstance(path, Array):
        raise TypeError("to_npy takes the path first, then the array")
    x = Array(as_expr(arr))
    shape = known_shape(x._expr, "to_npy")
    _write(_native.create_npy(os.path.abspath(os.fspath(path)), shape, x._expr.dtype), x)


def to_hdf5(path: Any, *args: Any, chunks: Any = True, **kwargs: Any) -> None:
    """Writes datasets of an HDF5 file, through h5py.

    A new file appears when it is complete. In a file that is there, a dataset appears when it is complete.

    Parameters
    ----------
    path : str or path
        The file.
    *args
        A name and an array, or a dictionary from names to arrays.
    chunks : tuple of int, True or None
        The stored chunks: given, the array's own, or none at all (contiguous).
    **kwargs
        Passed to ``h5py.Group.create_dataset``, such as ``compression="gzip"``.

    Returns
    -------
    None
        When all datasets are complete.

    Raises
    ------
    ValueError
        A dataset of this name is in the file already. Nothing has been written then.
    OSError
        The file cannot be opened for writing.

    Examples
    --------
    >>> import os, tempfile
    >>> import pantile.array as da
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.h5")
    ...     da.to_hdf5(path, "x", da.arange(4, chunks=2), compression="gzip")
    ...     da.from_hdf5(path, "x").compute()
    array([0, 1, 2, 3])
    """
    from pantile.array.hdf5 import _h5py

    h5py = _h5py()
    if len(args) == 1 and isinstance(args[0], dict):
        data = dict(args[0])
    elif len(args) == 2 and isinstance(args[0], str):
        data = {args[0]: args[1]}
    else:
        raise ValueError("Please provide {'/data/path': array} dictionary, or a name and an array")
    arrays = {name: Array(as_expr(a)) for name, a in data.items()}
    for x in arrays.values():
        known_shape(x._expr, "to_hdf5")
    text = os.path.abspath(os.fspath(path))
    if os.path.exists(text):
        with h5py.File(text, "r+") as file:
            for name in arrays:
                if name in file:
                    raise ValueError(f"{name!r} is in {text!r} already; remove it first")
            # Filled under other names, so that a reader never finds half a dataset.
            hidden = {name: f"{name.rstrip('/')}.{uuid.uuid4().hex}.part" for name in arrays}
            try:
                _fill(file, {hidden[name]: x for name, x in arrays.items()}, chunks, kwargs)
                for name, part in hidden.items():
                    file.move(part, name)
            except BaseException:
                for part in hidden.values():
                    if part in file:
                        del file[part]
                raise
        return
    part_path = f"{text}.{uuid.uuid4().hex}.part"
    try:
        with h5py.File(part_path, "w") as file:
            _fill(file, arrays, chunks, kwargs)
        os.replace(part_path, text)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part_path)


def _fill(file: Any, arrays: dict[str, Array], chunks: Any, kwargs: dict[str, Any]) -> None:
    datasets = []
    for name, x in arrays.items():
        stored = chunks
        if chunks is True:
            stored = tuple(max(1, n or 1) for n in x.chunksize) if x.ndim and x.size else None
            if stored is not None and x.npartitions == 1 and not kwargs:
                # One block without filters: plain storage is read fastest.
                stored = None
        datasets.append(file.create_dataset(name, shape=x.shape, dtype=x.dtype, chunks=stored, **kwargs))
    sources = [
        x if _aligned(x, d.chunks) else x.rechunk(_multiples(x, d.chunks))
        for x, d in zip(arrays.values(), datasets, strict=True)
    ]
    store(sources, datasets)


def _aligned(x: Array, stored: tuple[int, ...] | None) -> bool:
    """Whether blocks are whole stored chunks, so that none is decoded to be written again."""
    if stored is None:
        return True
    return all(
        uniform(cuts) and (len(cuts) == 1 or (cuts[0] or 0) % n == 0)
        for cuts, n in zip(x.chunks, stored, strict=True)
    )


def _multiples(x: Array, stored: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-(n or 1) // s) * s for n, s in zip(x.chunksize, stored, strict=True))
