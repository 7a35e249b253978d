"""HDF5 datasets of every storage, filter and element type: the same numbers as h5py gives, natively or through h5py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pantile
import pantile.array as da
import pytest

DATA = np.arange(23 * 17, dtype=np.float64).reshape(23, 17) * 1.5 - 100
SHAPES_OF_CHUNKS = [(5, 4), (23, 17), (1, 17), (8, 8)]


def check(path: Path, name: str, *, native: bool, lazy: da.Array | None = None) -> None:
    """Whole, cut otherwise than stored, sliced and reduced, against h5py; and `explain` tells who reads."""
    with h5py.File(path) as file:
        expected = file[name][()]
    x = da.from_hdf5(path, name) if lazy is None else lazy
    assert x.shape == expected.shape
    assert x.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(x.compute(), expected)
    if expected.ndim == 2 and expected.size:
        if lazy is None:
            np.testing.assert_array_equal(da.from_hdf5(path, name, chunks=(7, 3)).compute(), expected)
        np.testing.assert_array_equal(x[3:20:4, ::-2].compute(), expected[3:20:4, ::-2])
        np.testing.assert_array_equal(x[-1].compute(), expected[-1])
        assert x.max().compute() == expected.max()
    text = str(x.explain())
    assert ("native reader" in text) == native, text
    assert ("through h5py, because" in text) == (not native), text


def write(path: Path, data: np.ndarray = DATA, **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=data, **options)
    return path


FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 1},
    "gzip 9": {"compression": "gzip", "compression_opts": 9},
    "shuffle": {"shuffle": True},
    "shuffle gzip": {"shuffle": True, "compression": "gzip"},
    "lzf": {"compression": "lzf"},
    "shuffle lzf": {"shuffle": True, "compression": "lzf"},
    "fletcher32": {"fletcher32": True},
    "shuffle gzip fletcher32": {"shuffle": True, "compression": "gzip", "fletcher32": True},
    "lzf fletcher32": {"compression": "lzf", "fletcher32": True},
}


@pytest.mark.parametrize("chunks", SHAPES_OF_CHUNKS, ids=str)
@pytest.mark.parametrize("filters", FILTERS)
def test_filters_and_chunks(filters: str, chunks: tuple[int, int], tmp_path: Path) -> None:
    check(write(tmp_path / "f.h5", chunks=chunks, **FILTERS[filters]), "x", native=True)


@pytest.mark.parametrize(
    "dtype",
    [
        "?",
        "i1",
        "u1",
        "<i2",
        ">i2",
        "<u4",
        ">u4",
        "<i8",
        ">u8",
        "<f2",
        ">f2",
        "<f4",
        ">f4",
        "<f8",
        ">f8",
        "<c8",
        ">c8",
        "<c16",
        ">c16",
    ],
)
@pytest.mark.parametrize("layout", ["contiguous", "chunked", "filtered"])
def test_element_types(dtype: str, layout: str, tmp_path: Path) -> None:
    data = (np.random.default_rng(0).random((23, 17)) * 100).astype(dtype)
    options: dict[str, Any] = {
        "contiguous": {},
        "chunked": {"chunks": (5, 4)},
        "filtered": {"chunks": (5, 4), "shuffle": True, "compression": "gzip"},
    }[layout]
    path = write(tmp_path / "f.h5", data, **options)
    x = da.from_hdf5(path, "x")
    np.testing.assert_array_equal(x.compute(), data.astype(data.dtype.newbyteorder("=")))
    if np.dtype(dtype).kind in "iuf":
        assert "native reader" in str(x.explain())
        np.testing.assert_array_equal(
            (x + x).sum(axis=0).compute(), (data.astype(data.dtype.newbyteorder("=")) * 2).sum(axis=0)
        ) if np.dtype(dtype).kind != "f" else None


@pytest.mark.parametrize(
    "name", ["scaleoffset", "nbit", "compact", "virtual", "external", "float of another format"]
)
def test_what_is_read_through_h5py(name: str, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    integers = np.arange(23 * 17, dtype="i4").reshape(23, 17)
    if name == "scaleoffset":
        write(path, integers, chunks=(5, 4), scaleoffset=0)
    elif name == "nbit":
        with h5py.File(path, "w") as file:
            kind = h5py.h5t.NATIVE_INT32
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((5, 4))
            plist.set_filter(h5py.h5z.FILTER_NBIT, 0, ())
            dataset = h5py.h5d.create(file.id, b"x", kind, h5py.h5s.create_simple(integers.shape), plist)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, integers)
    elif name == "compact":
        with h5py.File(path, "w") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            space = h5py.h5s.create_simple(integers.shape)
            h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT32, space, plist).write(
                h5py.h5s.ALL, h5py.h5s.ALL, integers
            )
    elif name == "virtual":
        write(tmp_path / "part.h5", integers)
        layout = h5py.VirtualLayout(integers.shape, "i4")
        layout[:] = h5py.VirtualSource("part.h5", "x", integers.shape)
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("x", layout)
    elif name == "external":
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "x", data=integers, external=[(str(tmp_path / "raw.bin"), 0, h5py.h5f.UNLIMITED)]
            )
    else:
        with h5py.File(path, "w") as file:
            kind = h5py.h5t.IEEE_F32LE.copy()
            kind.set_fields(26, 21, 5, 0, 21)
            kind.set_precision(27)
            kind.set_ebias(15)
            space = h5py.h5s.create_simple(integers.shape)
            h5py.h5d.create(file.id, b"x", kind, space).write(
                h5py.h5s.ALL, h5py.h5s.ALL, integers.astype("f4")
            )
    check(path, "x", native=False)


def test_missing_chunks_are_the_fill_value(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        for name, dtype, fill in [("a", ">f4", -9.5), ("b", "<i2", 7), ("c", "u1", None)]:
            dataset = file.create_dataset(
                name, (23, 17), dtype, chunks=(5, 4), fillvalue=fill, compression="gzip"
            )
            dataset[6:9, 5:7] = 3
        file.create_dataset("never written", (23, 17), "f8", chunks=(5, 4), fillvalue=2.5)
        file.create_dataset("never allocated", (23, 17), "f8", fillvalue=-1)
    for name in ("a", "b", "c", "never written", "never allocated"):
        check(path, name, native=True)


def test_axes_that_may_grow_or_have_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("grown", data=DATA[:4], maxshape=(None, None), chunks=(5, 4)).resize((23, 20))
        file.create_dataset(
            "shrunk", data=DATA, maxshape=(None, None), chunks=(5, 4), compression="gzip"
        ).resize((9, 6))
        file.create_dataset("one unlimited", data=DATA, maxshape=(None, 17), chunks=(5, 4))
        file.create_dataset("emptied", data=DATA, maxshape=(None, 17), chunks=(5, 4)).resize((0, 17))
    for name in ("grown", "shrunk", "one unlimited", "emptied"):
        check(path, name, native=True)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_every_index_of_chunks(libver: str, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("fixed", data=DATA, chunks=(5, 4))
        file.create_dataset("single", data=DATA, chunks=(23, 17), compression="gzip")
        file.create_dataset("extensible", data=DATA, chunks=(5, 4), maxshape=(None, 17))
        file.create_dataset("btree", data=DATA, chunks=(5, 4), maxshape=(None, None), shuffle=True)
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_chunk((5, 4))
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        dataset = h5py.h5d.create(
            file.id, b"implicit", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple(DATA.shape), early
        )
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, DATA)
    for name in ("fixed", "single", "extensible", "btree", "implicit"):
        check(path, name, native=True)


def test_chunks_with_filters_left_out(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    raw = np.arange(20, dtype="f8").reshape(5, 4)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", (10, 8), "f8", chunks=(5, 4), shuffle=True, compression="gzip")
        dataset[...] = 1
        dataset.id.write_direct_chunk((5, 4), raw.tobytes(), filter_mask=0b11)
    check(path, "x", native=True)


def test_a_user_block_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        file.create_dataset("contiguous", data=DATA)
        file.create_dataset("chunked", data=DATA, chunks=(5, 4), compression="gzip")
    check(path, "contiguous", native=True)
    check(path, "chunked", native=True)


def test_empty_and_scalar_datasets(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["scalar"] = 4.25
        file["big scalar"] = np.array(7, ">i4")
        file.create_dataset("none", (0,), "f4")
        file.create_dataset("none of many", (3, 0, 2), "f4", chunks=(1, 1, 1), maxshape=(None, None, None))
        file["null"] = h5py.Empty("f4")
    for name in ("scalar", "big scalar", "none", "none of many"):
        with h5py.File(path) as file:
            expected = file[name][()]
        x = da.from_hdf5(path, name)
        result = x.compute()
        assert result.shape == expected.shape
        assert result.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(result, expected)
    with pytest.raises(TypeError, match=r"'/null' in .*f.h5.*null dataspace"):
        da.from_hdf5(path, "null")


def test_enumerations_and_booleans(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("flags", data=DATA > 0, chunks=(5, 4), compression="gzip")
        file.create_dataset(
            "enum",
            data=np.tile([0, 1, 2], (6, 2)),
            dtype=h5py.enum_dtype({"A": 0, "B": 1, "C": 2}, "i2"),
            chunks=(5, 4),
        )
    with h5py.File(path) as file:
        for name in ("flags", "enum"):
            expected = file[name][()]
            x = da.from_hdf5(path, name)
            assert x.dtype == expected.dtype
            np.testing.assert_array_equal(x.compute(), expected)
            np.testing.assert_array_equal(x.sum(axis=0).compute(), expected.sum(axis=0))


@pytest.mark.parametrize(
    "data",
    [
        np.array([b"ab", b"c"]),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["text", "más"], dtype=object),
    ],
    ids=["bytes", "compound", "strings"],
)
def test_elements_that_are_no_numbers_are_read_but_not_computed_with(
    data: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=data, dtype=h5py.string_dtype() if data.dtype == object else None)
    x = da.from_hdf5(path, "x")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(x.compute(), file["x"][()])
    with pytest.raises(TypeError, match="add"):
        (x + 1).compute()


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_open_datasets(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    write(path, chunks=(5, 4), compression="gzip")
    with h5py.File(path, mode) as file:
        if mode == "r+":
            file["x"][0, 0] = 12345.0  # perhaps only in HDF5's cache
        x = da.from_array(file["x"], chunks=(10, 8))
        assert x.chunks[0] == (10, 10, 3)
        np.testing.assert_array_equal(x.compute(), file["x"][()])
        assert (x[0, 0].compute() == 12345.0) == (mode == "r+")
        y = da.from_array(file["x"])
        assert y.chunksize[0] % 5 == 0 or y.numblocks[0] == 1
    # The native reader opens the file itself.
    np.testing.assert_array_equal(x[1:].compute(), DATA[1:])


def test_datasets_of_files_in_memory(tmp_path: Path) -> None:
    import io

    with h5py.File(io.BytesIO(), "w") as file:
        file.create_dataset("x", data=DATA, chunks=(5, 4))
        np.testing.assert_array_equal(da.from_array(file["x"]).compute(), DATA)
    with h5py.File("nowhere.h5", "w", driver="core", backing_store=False) as file:
        file.create_dataset("x", data=DATA)
        np.testing.assert_array_equal(da.from_array(file["x"]).compute(), DATA)


def test_names_of_any_kind(tmp_path: Path) -> None:
    path = tmp_path / "größe, file.h5"
    with h5py.File(path, "w") as file:
        file["group/inner/värde"] = DATA
        file["soft"] = h5py.SoftLink("/group/inner/värde")
        file["hard"] = file["group/inner/värde"]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("größe, file.h5", "group/inner/värde")
    for file_name, name in [
        (path, "group/inner/värde"),
        (path, "/group/inner/värde"),
        (path, "soft"),
        (path, "hard"),
        (tmp_path / "other.h5", "linked"),
    ]:
        np.testing.assert_array_equal(da.from_hdf5(file_name, name).compute(), DATA)


def test_many_datasets_at_once(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    make: Callable[[int], np.ndarray] = lambda k: np.random.default_rng(k).random((40, 30))  # noqa: E731
    with h5py.File(path, "w") as file:
        for k in range(12):
            options: dict[str, Any] = {"scaleoffset": 3} if k % 3 == 0 else {"compression": "gzip"}
            file.create_dataset(str(k), data=make(k), chunks=(7, 9), **options)
    results = pantile.compute(*[da.from_hdf5(path, str(k)).sum() for k in range(12)])
    with h5py.File(path) as file:
        for k, result in enumerate(results):
            assert abs(result - file[str(k)][()].sum()) < 1e-9
