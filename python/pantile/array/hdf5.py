"""HDF5 datasets: what h5py says about them becomes a layout for the native reader, or a reason to read through h5py.

The native reader knows contiguous and chunked storage of numbers, booleans and times, through gzip, shuffle, fletcher32 and
lzf, in either byte order. Everything else is sliced by h5py under its lock: other filters, compact, virtual and external
storage, and strings and compound types, whose blocks only Python functions can work on.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pantile import _native
from pantile.array.chunking import normalize
from pantile.array.core import Array
from pantile.array.creation import from_object, is_native

_LZF = 32000


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise ImportError("reading HDF5 needs h5py: pip install 'pantile[hdf5]'") from None
    return h5py


def from_file(path: Any, name: str, chunks: Any) -> Array:
    """A dataset of a file that is opened for its metadata, and closed again where h5py is not needed afterwards."""
    h5py = _h5py()
    text = os.path.abspath(os.fspath(path))
    if not os.path.exists(text):
        raise FileNotFoundError(f"there is no file {text!r}")
    try:
        file = h5py.File(text, "r")
    except OSError as error:
        raise OSError(f"{text!r} cannot be opened as HDF5: {error}") from error
    keep = False
    try:
        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            names: list[str] = []
            file.visititems(lambda n, o: names.append(n) if isinstance(o, h5py.Dataset) else None)
            known = ", ".join(repr(n) for n in sorted(names)[:20]) or "none"
            what = "a group, not a dataset" if dataset is not None else "not there"
            raise KeyError(f"{name!r} is {what} in {text!r}; the datasets are {known}")
        reason = why_not_native(dataset, h5py)
        if reason is None:
            return _read_natively(dataset, h5py, chunks)
        # h5py reads from the file later.
        keep = True
        return _through_h5py(dataset, chunks, reason)
    finally:
        if not keep:
            file.close()


def from_dataset(dataset: Any, chunks: Any) -> Array:
    """An open dataset."""
    h5py = _h5py()
    if not isinstance(dataset, h5py.Dataset):
        raise TypeError(f"{dataset!r} is no HDF5 dataset, but a {type(dataset).__name__}")
    reason = why_not_native(dataset, h5py)
    if reason is None and dataset.file.mode != "r":
        # Chunks may still be in HDF5's cache.
        dataset.file.flush()
    return _read_natively(dataset, h5py, chunks) if reason is None else _through_h5py(dataset, chunks, reason)


def why_not_native(dataset: Any, h5py: Any) -> str | None:
    """The reason why a dataset is read through h5py; None if the native reader can."""
    if dataset.shape is None:
        raise TypeError(
            f"HDF5 dataset {dataset.name!r} in {dataset.file.filename!r} has a null dataspace, so it is no array"
        )
    dtype = dataset.dtype
    if not is_native(dtype) or dtype.fields or dtype.subdtype:
        return f"its elements are of dtype {dtype}"
    if dataset.file.driver not in ("sec2", "stdio", "core"):
        return f"the file is opened by the driver {dataset.file.driver!r}"
    if dataset.file.driver == "core" and not os.path.exists(dataset.file.filename):
        return "the file is in memory"
    stored = dataset.id.get_type()
    if stored.get_class() == h5py.h5t.FLOAT and not _plain_float(stored, dtype):
        return "its floating-point format is not an IEEE one"
    if stored.get_class() == h5py.h5t.INTEGER and stored.get_precision() != 8 * stored.get_size():
        return f"its integers have {stored.get_precision()} bits in {stored.get_size()} bytes"
    plist = dataset.id.get_create_plist()
    if plist.get_external_count():
        return "its data are in external files"
    layout = plist.get_layout()
    if layout == h5py.h5d.CONTIGUOUS:
        return None
    if layout != h5py.h5d.CHUNKED:
        return "its storage is compact" if layout == h5py.h5d.COMPACT else "its storage is virtual"
    compressors = 0
    for k in range(plist.get_nfilters()):
        number, _, _, text = plist.get_filter(k)
        if number in (h5py.h5z.FILTER_DEFLATE, _LZF):
            compressors += 1
        elif number not in (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32):
            name = text.decode(errors="replace") if isinstance(text, bytes) else text
            return f"its filter {number} ({name or 'without a name'}) has no native decoder"
    if compressors > 1:
        return "it was compressed twice"
    return None


def _plain_float(stored: Any, dtype: np.dtype[Any]) -> bool:
    fields = {2: (10, 5), 4: (23, 8), 8: (52, 11)}
    _, _, exponent, _, mantissa = stored.get_fields()
    return bool(fields.get(dtype.itemsize) == (mantissa, exponent))


def _read_natively(dataset: Any, h5py: Any, chunks: Any) -> Array:
    path = os.path.abspath(dataset.file.filename)
    dtype, shape = dataset.dtype, tuple(int(n) for n in dataset.shape)
    plist = dataset.id.get_create_plist()
    native = dtype.newbyteorder("=")
    fill = np.asarray(dataset.fillvalue).astype(native).tobytes()
    name = dataset.name
    if plist.get_layout() == h5py.h5d.CONTIGUOUS:
        cuts = normalize(chunks, shape, dtype)
        offset = dataset.id.get_offset()
        return Array(_native.from_hdf5_contiguous(path, name, shape, dtype.str, offset, fill, cuts))
    filters: list[tuple[Any, ...]] = []
    for k in range(plist.get_nfilters()):
        number, _, values, _ = plist.get_filter(k)
        if number == h5py.h5z.FILTER_DEFLATE:
            filters.append(("gzip",))
        elif number == h5py.h5z.FILTER_SHUFFLE:
            filters.append(("shuffle", int(values[0]) if values else dtype.itemsize))
        elif number == h5py.h5z.FILTER_FLETCHER32:
            filters.append(("fletcher32",))
        else:
            filters.append(("lzf",))
    stored = tuple(int(n) for n in dataset.chunks)
    index: list[tuple[tuple[int, ...], int, int, int]] = []

    def note(info: Any) -> None:
        at = tuple(o // c for o, c in zip(info.chunk_offset, stored, strict=True))
        # A chunk beyond a shrunken axis is not part of the dataset any more.
        if all(o < n for o, n in zip(info.chunk_offset, shape, strict=True)):
            index.append((at, int(info.byte_offset), int(info.size), int(info.filter_mask)))

    if all(shape):
        try:
            dataset.id.chunk_iter(note)
        except (AttributeError, ValueError, RuntimeError):
            # An old HDF5 library, or a dataset to which nothing was written.
            for k in range(dataset.id.get_num_chunks()):
                note(dataset.id.get_chunk_info(k))
    cuts = normalize(chunks, shape, dtype, stored)
    return Array(_native.from_hdf5_chunked(path, name, shape, stored, dtype.str, filters, fill, index, cuts))


def _through_h5py(dataset: Any, chunks: Any, reason: str) -> Array:
    stored = None if dataset.chunks is None else tuple(int(n) for n in dataset.chunks)
    describe = f"HDF5 dataset {dataset.name} in {dataset.file.filename} through h5py, because {reason}"
    return from_object(dataset, chunks, stored, True, describe)
