"""Reading and writing npy, HDF5 and Zarr: values, what is native, and what happens to damaged files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pantile
import pantile.array as da
import pytest
import zarr

from tests.python.helpers import check

X = np.random.default_rng(0).normal(size=(50, 37))


def write(path: Path, name: str = "x", data: np.ndarray = X, **kwargs) -> str:
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=data, **kwargs)
    return str(path)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i1", "u2", "i8", ">f8", ">i4", "?", "c16"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"chunks": (7, 10)},
        {"chunks": (7, 10), "compression": "gzip"},
        {"chunks": (7, 10), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (7, 10), "compression": "lzf", "shuffle": True},
        {"chunks": (50, 37), "fletcher32": True},
    ],
    ids=["contiguous", "chunked", "gzip", "all", "lzf", "fletcher32"],
)
def test_hdf5(tmp_path, dtype, kwargs) -> None:
    x = (X * 20).astype(dtype) if dtype not in ("u2",) else np.abs(X * 20).astype(dtype)
    path = write(tmp_path / "x.h5", data=x, **kwargs)
    a = da.from_hdf5(path, "x")
    native = np.dtype(dtype).newbyteorder("=")
    if dtype == "?":
        # h5py stores booleans as an enumeration of bytes.
        assert a.dtype == bool
    check(a, x.astype(native))
    check(a[3:40:4, ::-1], x[3:40:4, ::-1].astype(native))
    if "c" not in dtype and dtype != "?":
        assert pantile.explain(a).is_native


def test_hdf5_chunks_follow_the_file(tmp_path) -> None:
    path = write(tmp_path / "x.h5", data=np.zeros((1000, 1000)), chunks=(100, 50))
    a = da.from_hdf5(path, "x", chunks="1MB")
    assert a.chunks[0][0] % 100 == 0
    assert a.chunks[1][0] % 50 == 0
    assert a.npartitions > 4


def test_hdf5_missing_chunks_hold_the_fill_value(tmp_path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        d = file.create_dataset(
            "x", (20, 20), "f4", chunks=(5, 5), fillvalue=np.float32(7.5), maxshape=(None, None)
        )
        d[5:10, 5:10] = 1
        file.create_dataset("never", (3,), "i8", fillvalue=4)
        file.create_dataset("empty", (0, 4), "f8")
        file.create_dataset("chunky", (9,), "f8", chunks=(4,))
    with h5py.File(path) as file:
        for name in ("x", "never", "empty", "chunky"):
            check(da.from_hdf5(path, name), file[name][:])


def test_hdf5_through_h5py(tmp_path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("scaled", data=np.arange(100), chunks=(10,), scaleoffset=0)
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file.id, b"compact", h5py.h5t.NATIVE_DOUBLE, space, compact).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.arange(4.0)
        )
    check(da.from_hdf5(path, "scaled", chunks=30), np.arange(100))
    check(da.from_hdf5(path, "compact"), np.arange(4.0))
    plan = pantile.explain(da.from_hdf5(path, "scaled"))
    assert not plan.is_native
    assert "filter 6" in repr(plan)
    assert "h5py" in repr(plan)


def test_hdf5_from_an_open_file(tmp_path) -> None:
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=1024) as file:
        d = file.create_dataset("x", data=X, chunks=(9, 9), compression="gzip")
        a = da.from_array(d)
        assert pantile.explain(a).is_native
        check(a.sum(axis=0), X.sum(axis=0), 1e-12)


def test_hdf5_mistakes(tmp_path) -> None:
    path = write(tmp_path / "x.h5", "group/x")
    with pytest.raises(KeyError, match="the datasets are 'group/x'"):
        da.from_hdf5(path, "y")
    with pytest.raises(KeyError, match="a group, not a dataset"):
        da.from_hdf5(path, "group")
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        da.from_hdf5(tmp_path / "nothing.h5", "x")
    (tmp_path / "text.h5").write_text("this is no HDF5 file")
    with pytest.raises(OSError, match=r"text\.h5.*cannot be opened as HDF5"):
        da.from_hdf5(tmp_path / "text.h5", "x")


def test_damaged_chunk_is_named(tmp_path) -> None:
    path = write(tmp_path / "x.h5", chunks=(10, 37), compression="gzip")
    a = da.from_hdf5(path, "x")
    with h5py.File(path) as file:
        info = file["x"].id.get_chunk_info(2)
    with open(path, "r+b") as file:
        file.seek(info.byte_offset + 20)
        file.write(b"\xff" * 40)
    with pytest.raises(OSError, match=r"x\.h5") as caught:
        a.sum().compute()
    assert "chunk" in str(caught.value)


def test_truncated_file(tmp_path) -> None:
    path = write(tmp_path / "x.h5", chunks=(10, 37), compression="gzip")
    a = da.from_hdf5(path, "x")
    with open(path, "r+b") as file:
        file.truncate(4000)
    with pytest.raises(OSError, match=r"x\.h5"):
        a.sum().compute()


def test_npy(tmp_path) -> None:
    path = tmp_path / "x.npy"
    for x in (X, np.asfortranarray(X), X.astype(">f4"), np.arange(5), np.float64(3.0)):
        np.save(path, x)
        check(da.from_npy(path), np.asarray(x).astype(np.asarray(x).dtype.newbyteorder("=")))
        if np.ndim(x) == 2:
            check(da.from_npy(path, chunks=(10, 9))[::3, 5:], x[::3, 5:].astype(x.dtype.newbyteorder("=")))
    (tmp_path / "bad.npy").write_bytes(b"nonsense")
    with pytest.raises((OSError, ValueError), match=r"bad\.npy"):
        da.from_npy(tmp_path / "bad.npy")
    with pytest.raises(FileNotFoundError):
        da.from_npy(tmp_path / "nothing.npy")


def test_to_npy_is_complete_or_absent(tmp_path) -> None:
    path = tmp_path / "x.npy"
    da.from_array(X, chunks=(7, 9)).to_npy(path)
    np.testing.assert_array_equal(np.load(path), X)

    def fail(b):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        da.from_array(X, chunks=7).map_blocks(fail, dtype=float).to_npy(path)
    np.testing.assert_array_equal(np.load(path), X)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("compressor", [None, "gzip", "zstd", "blosc"])
def test_zarr_both_ways(tmp_path, zarr_format, compressor) -> None:
    path = tmp_path / "x.zarr"
    da.from_array(X, chunks=(7, 10)).to_zarr(
        path, "group/x", compressor=compressor, level=1, zarr_format=zarr_format, attributes={"units": "K"}
    )
    stored = zarr.open(path, mode="r")["group/x"]
    np.testing.assert_array_equal(stored[:], X)
    assert stored.attrs["units"] == "K"
    a = da.from_zarr(path, "group/x")
    check(a, X)
    check(da.from_array(stored)[5:30:3], X[5:30:3])
    assert pantile.explain(a).is_native


def test_zarr_written_by_zarr(tmp_path) -> None:
    z = zarr.create_array(str(tmp_path / "x.zarr"), shape=(20, 30), chunks=(4, 5), shards=(8, 10), dtype="f4")
    z[:] = X[:20, :30]
    check(da.from_zarr(tmp_path / "x.zarr"), X[:20, :30].astype("f4"))
    memory = zarr.array(X[:6, :5], chunks=(2, 3), store=zarr.storage.MemoryStore())
    a = da.from_array(memory)
    check(a, X[:6, :5])
    assert "MemoryStore" in repr(pantile.explain(a))


def test_zarr_mistakes(tmp_path) -> None:
    da.ones((4, 4), chunks=2).to_zarr(tmp_path / "x.zarr")
    with pytest.raises((OSError, ValueError)):
        da.ones((4, 4), chunks=2).to_zarr(tmp_path / "x.zarr")
    da.zeros((2, 2)).to_zarr(tmp_path / "x.zarr", overwrite=True)
    check(da.from_zarr(tmp_path / "x.zarr"), np.zeros((2, 2)))
    with pytest.raises(FileNotFoundError):
        da.from_zarr(tmp_path / "nothing.zarr")
    with pytest.raises((OSError, ValueError, KeyError)):
        da.from_zarr(tmp_path / "x.zarr", "y")


def test_to_hdf5(tmp_path) -> None:
    path = tmp_path / "x.h5"
    a = da.from_array(X, chunks=(7, 10))
    da.to_hdf5(path, {"/x": a, "/sums/rows": a.sum(axis=1)}, compression="gzip")
    a.to_hdf5(path, "/again", chunks=(20, 20))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["x"][:], X)
        assert file["x"].chunks == (7, 10)
        np.testing.assert_allclose(file["sums/rows"][:], X.sum(axis=1))
        np.testing.assert_array_equal(file["again"][:], X)
    with pytest.raises(ValueError, match=r"is in .* already"):
        a.to_hdf5(path, "/x")

    def fail(b):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        a.map_blocks(fail, dtype=float).to_hdf5(path, "/broken")
    with h5py.File(path) as file:
        assert sorted(file) == ["again", "sums", "x"]
    with pytest.raises(RuntimeError):
        a.map_blocks(fail, dtype=float).to_hdf5(tmp_path / "new.h5", "/broken")
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_store() -> None:
    a = da.from_array(X, chunks=(7, 10))
    one, two = np.zeros(X.shape), np.zeros((60, 50))
    da.store([a, a + 1], [one, two], regions=[None, (slice(5, 55), slice(10, 47))])
    np.testing.assert_array_equal(one, X)
    np.testing.assert_array_equal(two[5:55, 10:47], X + 1)
    pending = a.store(two[:50, :37], compute=False)
    pending.compute()
    np.testing.assert_array_equal(two[:50, :37], X)
    with pytest.raises(ValueError, match="shape"):
        a.store(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="Different number of sources"):
        da.store([a], [one, two])
