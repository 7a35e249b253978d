"""Arrays in files: npy and Zarr. HDF5 has a module of its own."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pantile import _native
from pantile.array.chunking import normalize
from pantile.array.core import Array
from pantile.array.creation import from_object

__all__ = ["from_hdf5", "from_npy", "from_zarr"]


def from_npy(path: Any, chunks: Any = "auto") -> Array:
    """An array in an npy file, which is mapped into memory and read as it is needed.

    Parameters
    ----------
    path : str or path
        The file.
    chunks : chunks
        How to cut it; see `from_array`.

    Returns
    -------
    Array
        Lazy.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import pantile.array as da
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.npy")
    ...     np.save(path, np.arange(5))
    ...     int(da.from_npy(path).sum().compute())
    10
    """
    name = os.path.abspath(os.fspath(path))
    about = _native.open_npy(name)
    return Array(_native.from_npy(name, normalize(chunks, about["shape"], np.dtype(about["dtype"]))))


def from_zarr(url: Any, component: str = "", chunks: Any = "auto") -> Array:
    """A Zarr array, format 2 or 3.

    Parameters
    ----------
    url : str, path or zarr.Array
        The folder of the store; any zarr array is taken as well, and read through zarr-python where its store is not a folder.
    component : str
        The array's name in the store.
    chunks : chunks
        How to cut it; ``"auto"`` takes multiples of the stored chunks.

    Returns
    -------
    Array
        Decoded in parallel, without the GIL.

    Examples
    --------
    >>> import os, tempfile
    >>> import pantile.array as da
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.zarr")
    ...     da.to_zarr(da.arange(5, chunks=2), path)
    ...     da.from_zarr(path).compute()
    array([0, 1, 2, 3, 4])
    """
    if not isinstance(url, (str, os.PathLike)):
        return from_zarr_object(url[component] if component else url, chunks)
    text = os.fspath(url)
    if "://" in text or not os.path.isdir(text):
        if not os.path.exists(text) and "://" not in text:
            raise FileNotFoundError(f"there is no Zarr store {text!r}")
        return from_zarr_object(_zarr().open(text, mode="r", path=component or None), chunks)
    try:
        return _native_zarr(os.path.abspath(text), component, chunks)
    except _native.UnsupportedError as error:
        array = _zarr().open(text, mode="r", path=component or None)
        return _through_zarr(array, chunks, f"{text}: {error}")


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise ImportError("this Zarr array needs zarr-python: pip install 'pantile[zarr]'") from None
    return zarr


def _native_zarr(path: str, component: str, chunks: Any) -> Array:
    about = _native.open_zarr(path, component)
    dtype = np.dtype(about["dtype"])
    cuts = normalize(chunks, about["shape"], dtype, about["chunks"])
    return Array(_native.from_zarr(path, component, cuts))


def from_zarr_object(array: Any, chunks: Any) -> Array:
    """An array opened with zarr-python: natively if it lies in a folder."""
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        raise TypeError(f"{array!r} is no Zarr array; give the array's name as `component`")
    root = getattr(getattr(array, "store", None), "root", None)
    reason = f"its store is a {type(getattr(array, 'store', None)).__name__}, not a folder"
    if isinstance(root, (str, os.PathLike)) and os.path.isdir(root):
        try:
            return _native_zarr(os.path.abspath(root), getattr(array, "path", ""), chunks)
        except _native.UnsupportedError as error:
            reason = str(error)
    return _through_zarr(array, chunks, reason)


def _through_zarr(array: Any, chunks: Any, reason: str) -> Array:
    return from_object(
        array, chunks, tuple(array.chunks), False, f"Zarr array through zarr-python, because {reason}"
    )


def from_hdf5(path: Any, name: str, chunks: Any = "auto") -> Array:
    """A dataset in an HDF5 (or NetCDF-4) file.

    h5py says where the chunks lie; they are read and decoded natively, in parallel, outside the GIL and HDF5's lock. What the
    native reader does not know (other filters, compact, virtual or external storage) goes through h5py, one slice at a time,
    and `explain` says why.

    Parameters
    ----------
    path : str or path
        The file.
    name : str
        The dataset's name in the file.
    chunks : chunks
        How to cut it; ``"auto"`` takes multiples of the stored chunks.

    Returns
    -------
    Array
        Lazy. The file must not change before the result has been computed.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    KeyError
        There is no such dataset; the message names those there are.

    Examples
    --------
    >>> import os, tempfile
    >>> import h5py
    >>> import pantile.array as da
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "x.h5")
    ...     with h5py.File(path, "w") as file:
    ...         _ = file.create_dataset("x", data=[1.0, 2.0, 3.0], chunks=(2,), compression="gzip")
    ...     float(da.from_hdf5(path, "x").sum().compute())
    6.0
    """
    from pantile.array import hdf5

    return hdf5.from_file(path, name, chunks)
