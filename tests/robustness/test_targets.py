"""Writing: what is read back is what was written, and a failure leaves the target untouched or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pantile
import pantile.array as da
import pytest
from pantile import _native, config

zarr = pytest.importorskip("zarr")

DTYPES = ["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8", "c16"]
SHAPE = (23, 17)


def numbers(dtype: str = "f8") -> np.ndarray:
    return (np.random.default_rng(0).random(SHAPE) * 100).astype(dtype)


def write(kind: str, path: Path, x: da.Array, **options: Any) -> None:
    if kind == "npy":
        da.to_npy(path, x)
    elif kind.startswith("zarr"):
        da.to_zarr(x, path, zarr_format=int(kind[-1]), **options)
    else:
        da.to_hdf5(path, "x", x, **options)


def read(kind: str, path: Path) -> np.ndarray:
    """By the library that everybody uses."""
    if kind == "npy":
        return np.load(path)
    if kind.startswith("zarr"):
        return np.asarray(zarr.open_array(path, mode="r")[...])
    with h5py.File(path) as file:
        return np.asarray(file["x"][()])


def read_lazily(kind: str, path: Path) -> da.Array:
    if kind == "npy":
        return da.from_npy(path)
    return da.from_zarr(path) if kind.startswith("zarr") else da.from_hdf5(path, "x")


KINDS = ["npy", "zarr2", "zarr3", "hdf5"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trips_of_dtypes(kind: str, dtype: str, tmp_path: Path) -> None:
    data = numbers(dtype)
    write(kind, tmp_path / "x", da.from_array(data, chunks=(6, 5)))
    result = read(kind, tmp_path / "x")
    assert result.dtype == data.dtype
    np.testing.assert_array_equal(result, data)
    again = read_lazily(kind, tmp_path / "x")
    assert again.dtype == data.dtype
    np.testing.assert_array_equal(again.compute(), data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunks", [(23, 17), (1, 17), ((3, 11, 9), (2, 15)), (7, 1)], ids=str)
def test_round_trips_of_chunks(kind: str, chunks: Any, tmp_path: Path) -> None:
    data = numbers()
    write(kind, tmp_path / "x", da.from_array(data, chunks=chunks) * 2)
    np.testing.assert_array_equal(read(kind, tmp_path / "x"), data * 2)


@pytest.mark.parametrize("kind", ["zarr2", "zarr3", "hdf5"])
@pytest.mark.parametrize("stored", [(4, 17), (5, 7), (23, 17), (1, 1)], ids=str)
def test_blocks_that_do_not_match_stored_chunks(kind: str, stored: tuple[int, int], tmp_path: Path) -> None:
    data = numbers()
    x = da.from_array(data, chunks=((3, 11, 9), (2, 8, 7)))
    write(kind, tmp_path / "x", x, chunks=stored)
    np.testing.assert_array_equal(read(kind, tmp_path / "x"), data)
    assert da.from_array(numbers()).shape == read_lazily(kind, tmp_path / "x").shape
    with_stored = (
        h5py.File(tmp_path / "x")["x"].chunks
        if kind == "hdf5"
        else zarr.open_array(tmp_path / "x", mode="r").chunks
    )
    assert tuple(with_stored) == stored


@pytest.mark.parametrize("compressor", [None, "gzip", "zstd", "blosc"])
@pytest.mark.parametrize("kind", ["zarr2", "zarr3"])
def test_compressors_of_zarr(kind: str, compressor: str | None, tmp_path: Path) -> None:
    write(kind, tmp_path / "x", da.from_array(numbers(), chunks=6), compressor=compressor, level=1)
    np.testing.assert_array_equal(read(kind, tmp_path / "x"), numbers())


def test_shards_of_zarr(tmp_path: Path) -> None:
    da.to_zarr(da.from_array(numbers(), chunks=((3, 20), 4)), tmp_path / "x", chunks=(4, 3), shards=(8, 9))
    np.testing.assert_array_equal(read("zarr3", tmp_path / "x"), numbers())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (1, 1, 1)], ids=str)
def test_small_shapes(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    data = np.ones(shape)
    write(kind, tmp_path / "x", da.from_array(data))
    result = read(kind, tmp_path / "x")
    assert result.shape == shape
    np.testing.assert_array_equal(result, data)


def failing(at: int = 5) -> da.Array:
    def fails(block: np.ndarray, block_id: tuple[int, ...] = ()) -> np.ndarray:
        if block_id[0] == at:
            raise ValueError("on purpose")
        return block

    return da.map_blocks(fails, da.ones((64, 10), chunks=(8, 10)), dtype=float)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0, 5, 7])
def test_a_failing_computation_leaves_no_target(kind: str, at: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        write(kind, tmp_path / "x", failing(at))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_computation_leaves_the_old_target(kind: str, tmp_path: Path) -> None:
    write(kind, tmp_path / "x", da.from_array(numbers(), chunks=6))
    before = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
    again = {
        "hdf5": lambda: da.to_hdf5(tmp_path / "x", "y", failing()),
        "npy": lambda: da.to_npy(tmp_path / "x", failing()),
    }.get(kind, lambda: write(kind, tmp_path / "x", failing(), overwrite=True))
    with pytest.raises(ValueError, match="on purpose"):
        again()
    np.testing.assert_array_equal(read(kind, tmp_path / "x"), numbers())
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == before
    if kind == "hdf5":
        with h5py.File(tmp_path / "x") as file:
            assert list(file) == ["x"]


def test_what_is_there_is_overwritten_only_when_asked(tmp_path: Path) -> None:
    old, new = da.from_array(numbers()), da.from_array(numbers()) + 1
    for kind in ("zarr2", "zarr3"):
        path = tmp_path / kind
        write(kind, path, old)
        with pytest.raises((ValueError, OSError), match=kind):
            write(kind, path, new)
        np.testing.assert_array_equal(read(kind, path), numbers())
        write(kind, path, new, overwrite=True)
        np.testing.assert_array_equal(read(kind, path), numbers() + 1)
    da.to_hdf5(tmp_path / "f.h5", "x", old)
    with pytest.raises(ValueError, match="'x' is in"):
        da.to_hdf5(tmp_path / "f.h5", "x", new)
    da.to_hdf5(tmp_path / "f.h5", {"y": new, "group/z": old})
    with h5py.File(tmp_path / "f.h5") as file:
        np.testing.assert_array_equal(file["x"][()], numbers())
        np.testing.assert_array_equal(file["y"][()], numbers() + 1)
        assert list(file) == ["group", "x", "y"]
        assert list(file["group"]) == ["z"]
    # As numpy.save does.
    da.to_npy(tmp_path / "x.npy", old)
    da.to_npy(tmp_path / "x.npy", new)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), numbers() + 1)


def test_an_array_can_replace_the_file_that_it_is_read_from(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", numbers())
    da.to_npy(tmp_path / "x.npy", da.from_npy(tmp_path / "x.npy") + 1)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), numbers() + 1)
    da.to_zarr(da.from_array(numbers(), chunks=6), tmp_path / "x.zarr")
    da.to_zarr(da.from_zarr(tmp_path / "x.zarr") + 1, tmp_path / "x.zarr", overwrite=True)
    np.testing.assert_array_equal(da.from_zarr(tmp_path / "x.zarr").compute(), numbers() + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_is_not_there_or_cannot_be_written(kind: str, tmp_path: Path) -> None:
    x = da.from_array(numbers())
    if not kind.startswith("zarr"):
        with pytest.raises(OSError, match="nowhere"):
            write(kind, tmp_path / "nowhere" / "x", x)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        write(kind, tmp_path / "file" / "x", x)
    with pytest.raises(OSError):
        write(kind, Path("/proc/self/pantile-test"), x)
    assert os.listdir(tmp_path) == ["file"]


FULL = """
    import os, resource, signal, sys
    import pantile.array as da
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    x = da.random.default_rng(0).random((400, 400), chunks=200)
    kind, path = sys.argv[1:]
    try:
        {"npy": lambda: da.to_npy(path, x), "zarr": lambda: da.to_zarr(x, path, compressor=None)}[kind]()
    except OSError as error:
        print(error)
    assert (da.ones(10, chunks=2) + 1).sum().compute() == 20
"""


# Not HDF5: its library itself ends the process when it closes a file that it could not write.
@pytest.mark.parametrize("kind", ["npy", "zarr"])
def test_a_full_disk(
    kind: str, tmp_path: Path, script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = script(FULL, kind, tmp_path / "x")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "x") in done.stdout
    assert os.listdir(tmp_path) == []


WRITING = """
    import sys, time
    import pantile.array as da
    def slow(block, block_id=()):
        if block_id[0] > 3:
            time.sleep(0.2)
        return block
    x = da.map_blocks(slow, da.ones((4000, 100), chunks=(10, 100)), dtype=float)
    kind, path = sys.argv[1:]
    {
        "npy": lambda: da.to_npy(path, x),
        "zarr3": lambda: da.to_zarr(x, path, overwrite=True),
        "hdf5": lambda: da.to_hdf5(path, "x", x),
    }[kind]()
"""


# A file that is there gets further datasets from to_hdf5, by HDF5's own rules, so there is no old one to keep.
@pytest.mark.parametrize(
    ("kind", "before"),
    [("npy", "nothing"), ("npy", "old"), ("zarr3", "nothing"), ("zarr3", "old"), ("hdf5", "nothing")],
)
def test_a_killed_process_leaves_no_half_target(
    kind: str, before: str, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    path = tmp_path / "x"
    if before == "old":
        write(kind, path, da.from_array(numbers()))
    count = len(os.listdir(tmp_path))
    process = start(WRITING, kind, path)
    deadline = time.monotonic() + 60
    while len(os.listdir(tmp_path)) == count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    if before == "old":
        np.testing.assert_array_equal(read(kind, path), numbers())
    else:
        assert not path.exists()


# ---- store ----


def test_store_into_many_kinds(tmp_path: Path) -> None:
    data = numbers()
    x = da.from_array(data, chunks=(6, 5))
    array = np.zeros(SHAPE)
    strided = np.zeros((46, 34))[::2, ::-2]
    integers = np.zeros(SHAPE, "i4")
    memory_map = np.lib.format.open_memmap(tmp_path / "m.npy", "w+", "f8", SHAPE)
    z = zarr.create_array(tmp_path / "z.zarr", shape=SHAPE, dtype="f8", chunks=(4, 4))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        h = file.create_dataset("x", SHAPE, "f4", chunks=(5, 4), compression="gzip")
        da.store([x] * 6, [array, strided, integers, memory_map, z, h])
        np.testing.assert_array_equal(h[()], data.astype("f4"))
    for target in (array, strided, memory_map, z[...]):
        np.testing.assert_array_equal(target, data)
    np.testing.assert_array_equal(integers, data.astype("i4"))


def test_store_regions() -> None:
    target = np.zeros((10, 12))
    x = da.from_array(np.arange(12.0).reshape(3, 4), chunks=(2, 3))
    da.store(x, target, regions=(slice(4, 7), slice(1, 12, 3)))
    expected = np.zeros((10, 12))
    expected[4:7, 1:12:3] = x.compute()
    np.testing.assert_array_equal(target, expected)
    da.store(
        [x, x + 1], [target, target], regions=[(slice(0, 3), slice(0, 4)), (slice(7, 10), slice(-4, None))]
    )
    np.testing.assert_array_equal(target[:3, :4], x.compute())
    np.testing.assert_array_equal(target[7:, 8:], (x + 1).compute())


def test_store_refuses_before_it_writes() -> None:
    target = np.zeros((3, 4))
    x = da.ones((3, 4), chunks=2)
    for options, wrong in [
        ({}, np.zeros((4, 3))),
        ({"regions": (slice(0, 2), slice(0, 4))}, target),
        ({"regions": (slice(0, 3), slice(4, 0, -1))}, target),
        ({"regions": (slice(0, 3),)}, target),
    ]:
        with pytest.raises(ValueError):
            da.store([x], [wrong], **({"regions": [options["regions"]]} if options else {}))
        assert not wrong.any()
    with pytest.raises(ValueError):
        da.store([x, x], [target])
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        da.store(x[x[:, 0] > 0], target)
    with pytest.raises(pantile.UnsupportedError):
        da.store(x, target, return_stored=True)
    assert not target.any()


@pytest.mark.parametrize("chunks", [1, 3, 10])
def test_a_target_may_be_what_the_array_is_made_from(chunks: int, fresh_pool: None) -> None:
    def fresh() -> tuple[np.ndarray, da.Array]:
        a = np.arange(10.0)
        return a, da.from_array(a, chunks=chunks)

    a, v = fresh()
    da.store(v[::-1], a)
    assert a.tolist() == list(range(9, -1, -1))
    a, v = fresh()
    da.store(v.cumsum() - v.mean(), a)
    np.testing.assert_allclose(a, np.arange(10).cumsum() - 4.5)
    a, v = fresh()
    da.store(v[:-1], a, regions=(slice(1, 10),))
    assert a.tolist() == [0, *range(9)]
    a, v = fresh()
    da.store(v[::-1], a[::-1])  # another view of the same memory
    assert a.tolist() == list(range(10))
    # Each other's targets.
    a, v = fresh()
    b, w = a * 10, da.from_array(a * 10, chunks=chunks)
    w = da.from_array(b, chunks=chunks)
    da.store([w + 1, v + 1], [a, b])
    np.testing.assert_array_equal(a, np.arange(10) * 10 + 1)
    np.testing.assert_array_equal(b, np.arange(10) + 1)


def test_an_update_in_place_needs_no_copy() -> None:
    a = np.arange(1 << 20, dtype="f8")
    v = da.from_array(a, chunks=1 << 16)
    _native.trim_pool(0)
    _native.reset_peak()
    before = _native.pool_stats()["live_bytes"]
    da.store(da.sqrt(v * v) + v, a)
    assert _native.pool_stats()["peak_bytes"] - before < a.nbytes / 2
    np.testing.assert_array_equal(a, np.arange(1 << 20) * 2.0)


def test_a_dataset_may_be_what_the_array_is_made_from(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        x = file.create_dataset("x", data=np.arange(20.0), chunks=(4,))
        da.store(da.from_array(x, chunks=4)[::-1], x)
        assert x[()].tolist() == list(range(19, -1, -1))
        da.store(da.from_array(x, chunks=4) * 2, x)
        assert x[()].tolist() == list(range(38, -1, -2))


def test_a_failure_leaves_an_open_target_partly_written() -> None:
    target = np.full((64, 10), -1.0)
    with config.set(executor="sync"), pytest.raises(ValueError, match="on purpose"):
        da.store(failing(), target)
    written = (target == 1).all(axis=1)
    assert (written | (target == -1).all(axis=1)).all()
    assert not written.all()


def test_store_one_at_a_time_or_not() -> None:
    class Counting:
        shape = (40,)

        def __init__(self) -> None:
            self.inside = self.most = 0

        def __setitem__(self, key: Any, value: Any) -> None:
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.002)
            self.inside -= 1

    locked = Counting()
    da.store(da.ones(40, chunks=1), locked)
    assert locked.most == 1
    da.store(da.ones(40, chunks=1), Counting(), lock=False)


def test_store_later(tmp_path: Path) -> None:
    target = np.zeros(8)
    pending = da.store(da.ones(8, chunks=2), target, compute=False)
    assert not target.any()
    pending.compute()
    assert target.all()
