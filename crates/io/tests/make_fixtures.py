"""Write the small files that the Rust tests read, with h5py, NumPy and zarr-python.

Usage: ``python crates/io/tests/make_fixtures.py``. It replaces ``crates/io/tests/data``: for every
array a description in ``manifest.json`` (what the Python side would pass to the reader) and its
values as raw row-major bytes in native order.
"""

import json
import shutil
from pathlib import Path

import h5py
import numcodecs
import numpy as np
import zarr

DATA = Path(__file__).parent / "data"
VALUES = bytearray()


def record_values(array):
    """Append the array's bytes to the common file of values; return where they are."""
    native = np.ascontiguousarray(array)
    if native.dtype.kind not in "SV":
        native = native.astype(native.dtype.newbyteorder("="))
    encoded = native.tobytes()
    offset = VALUES.find(encoded)
    if offset < 0:
        offset = len(VALUES)
        VALUES.extend(encoded)
    return {"offset": offset, "len": native.nbytes}


def element(dtype):
    swap_unit = {"c": dtype.itemsize // 2, "S": 1, "V": 1, "U": 4}.get(dtype.kind, dtype.itemsize)
    return {"itemsize": dtype.itemsize, "swap_unit": swap_unit, "big_endian": dtype.byteorder == ">"}


def describe_hdf5(path, dataset):
    """What the reader needs to know of a dataset, through h5py's low-level interface."""
    plist = dataset.id.get_create_plist()
    filters = []
    for position in range(plist.get_nfilters()):
        number, _flags, params, name = plist.get_filter(position)
        filters.append({"id": number, "name": name.decode(), "elem": params[0] if number == 2 else 0})
    fill = np.asarray(dataset.fillvalue, dtype=dataset.dtype)
    entry = {
        "file": path.name,
        "dataset": dataset.name,
        "shape": dataset.shape,
        "element": element(dataset.dtype),
        "fill": list(fill.astype(fill.dtype.newbyteorder("=")).tobytes()),
        "values": record_values(dataset[...]),
    }
    if dataset.chunks is None:
        entry["contiguous_offset"] = dataset.id.get_offset()
    else:
        chunks = []
        dataset.id.chunk_iter(
            lambda info: chunks.append(
                {
                    "coords": [o // c for o, c in zip(info.chunk_offset, dataset.chunks, strict=True)],
                    "offset": info.byte_offset,
                    "stored": info.size,
                    "mask": info.filter_mask,
                }
            )
        )
        entry.update(chunk_shape=dataset.chunks, filters=filters, chunks=chunks)
    return entry


def make_hdf5():
    rng = np.random.default_rng(1)
    smooth = np.cumsum(rng.integers(-3, 4, (11, 13)), axis=1)
    entries = []

    def fill_file(path, names=(), **options):
        with h5py.File(path, "w", **options) as file:
            file["contiguous"] = rng.normal(size=(4, 5, 6))
            file["contiguous_big_endian"] = smooth.astype(">f4")
            file["scalar"] = np.float64(2.5)
            file.create_dataset("never_written", (3, 4), "i2", fillvalue=-7)
            file.create_dataset("zero_length", (0, 5), "f8", chunks=(2, 5), maxshape=(None, 5))
            file["plain"] = rng.normal(size=(1, 1))
            del file["plain"]

            def chunked(name, values, chunks=(4, 5), **kwargs):
                file.create_dataset(name, data=values, chunks=chunks, **kwargs)

            chunked("plain", smooth.astype("f8"))
            chunked("plain_big_endian", smooth.astype(">i8"))
            chunked("growing", smooth.astype("i4"), maxshape=(None, None))
            chunked("growing_gzip", smooth.astype("i4"), maxshape=(None, 13), compression="gzip")
            chunked("gzip", smooth.astype("i4"), compression="gzip", compression_opts=9)
            chunked("gzip_shuffle", smooth.astype("f8"), compression="gzip", shuffle=True)
            chunked(
                "gzip_shuffle_fletcher32_big_endian",
                smooth.astype(">f4"),
                compression="gzip",
                shuffle=True,
                fletcher32=True,
            )
            chunked("lzf_shuffle", smooth.astype("i2"), compression="lzf", shuffle=True)
            chunked(
                "lzf_repeats", np.repeat(smooth[:3] % 2, 20, axis=1).astype("u2"), (3, 200), compression="lzf"
            )
            noise = rng.integers(0, 256, (11, 13), dtype="u1")
            chunked("lzf_of_noise", noise, compression="lzf", fletcher32=True)
            chunked("fletcher32", noise, fletcher32=True)
            chunked("shuffle", (smooth + 1j * smooth.T[:11, :1]).astype("c16"), shuffle=True)
            chunked("complex_big_endian", (smooth - 2j).astype(">c8"), compression="gzip")
            chunked("bool", smooth > 0, compression="gzip")
            chunked("half", smooth.astype("f2"), shuffle=True, compression="lzf")
            chunked("bytes", smooth.astype("S4"), compression="gzip")
            chunked("cube", rng.integers(0, 99, (5, 6, 7)), (2, 3, 4), compression="gzip")
            sparse = file.create_dataset(
                "missing_chunks", (11, 13), "f8", chunks=(4, 5), compression="gzip", fillvalue=1.5
            )
            sparse[5, 6] = 3
            for name in names or list(file):
                entries.append(describe_hdf5(path, file[name]))
            for name in set(file) - set(names or file):
                del file[name]

    fill_file(DATA / "earliest.h5")
    fill_file(DATA / "latest.h5", libver="latest")
    fill_file(DATA / "user_block.h5", ["contiguous", "gzip_shuffle"], userblock_size=512)
    return entries


def make_npy():
    rng = np.random.default_rng(2)
    base = rng.normal(size=(3, 4, 5))
    arrays = {
        "f8": base,
        "f8_fortran": np.asfortranarray(base),
        "i4_big_endian": (base * 100).astype(">i4"),
        "bool": base > 0,
        "f2": base.astype("f2"),
        "c16_big_endian_fortran": np.asfortranarray((base + 1j).astype(">c16")),
        "datetime": (base * 1e18).astype("i8").view("M8[ns]"),
        "bytes": base.astype("S6"),
        "text_big_endian": base.astype(">U5"),
        "scalar": np.array(1.25),
        "empty": np.zeros((3, 0, 2)),
    }
    entries = []

    def add(name, array, version):
        path = DATA / f"{name}.npy"
        with path.open("wb") as file:
            np.lib.format.write_array(file, array, version=version)
        descr = np.lib.format.dtype_to_descr(array.dtype)
        fortran = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
        entries.append(
            {
                "file": path.name,
                "descr": descr,
                "shape": array.shape,
                "fortran": fortran,
                "element": element(array.dtype),
                "values": record_values(array),
            }
        )

    for name, array in arrays.items():
        add(name, array, (1, 0))
    add("version_2", base, (2, 0))
    add("version_3", base, (3, 0))
    np.save(DATA / "record.npy", np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]))
    np.save(DATA / "object.npy", np.array([None, 1], dtype=object), allow_pickle=True)
    return entries


def make_zarr():
    rng = np.random.default_rng(3)
    base = np.round(rng.normal(size=(5, 7)) * 100)
    store = str(DATA / "arrays.zarr")
    entries = []

    def add(name, array, zarr_format, written=slice(None), chunks=(3, 4), **kwargs):
        made = zarr.create_array(
            store,
            name=name,
            shape=array.shape,
            dtype=array.dtype,
            chunks=chunks,
            zarr_format=zarr_format,
            attributes={"units": "K", "level": 2},
            **kwargs,
        )
        made[written] = array[written]
        values = made[...]
        entries.append(
            {
                "name": name,
                "format": zarr_format,
                "shape": array.shape,
                "chunks": made.chunks,
                "shards": made.shards,
                "element": element(array.dtype) | {"big_endian": False},
                "values": record_values(values),
            }
        )

    add("v2/blosc", base, 2, compressors=numcodecs.Blosc("lz4"))
    add("v2/blosc_zstd", base, 2, compressors=numcodecs.Blosc("zstd", shuffle=2))
    add("v2/zlib", base, 2, compressors=numcodecs.Zlib(1))
    add("v2/gzip", base, 2, compressors=numcodecs.GZip(1))
    add("v2/zstd", base, 2, compressors=numcodecs.Zstd(1))
    add("v2/plain", base.astype("i4"), 2, compressors=None)
    add("v2/big_endian", base.astype(">f4"), 2, compressors=numcodecs.Zstd(1))
    add("v2/bool", base > 0, 2)
    add("v2/half", base.astype("f2"), 2)
    add("v2/complex", base + 2j, 2)
    add("v2/datetime", base.astype("i8").view("M8[ns]"), 2)
    add("v2/fortran", base, 2, order="F")
    add("v2/slashes", base, 2, chunk_key_encoding={"name": "v2", "separator": "/"})
    add("v2/missing", base, 2, written=(slice(0, 2), slice(0, 2)), fill_value=-1.5)
    add("v3/zstd", base, 3)
    add("v3/gzip", base.astype("u2"), 3, compressors=zarr.codecs.GzipCodec())
    add("v3/blosc", base, 3, compressors=zarr.codecs.BloscCodec(cname="lz4"))
    add("v3/plain", base.astype("i8"), 3, compressors=None)
    add("v3/crc32c", base, 3, compressors=[zarr.codecs.Crc32cCodec()])
    add("v3/big_endian", base.astype(">f8"), 3, serializer=zarr.codecs.BytesCodec(endian="big"))
    add("v3/bool", base > 0, 3)
    add("v3/half", base.astype("f2"), 3)
    add("v3/complex", (base + 2j).astype("c8"), 3)
    add("v3/datetime", base.astype("i8").view("M8[s]"), 3)
    add("v3/transposed", base, 3, filters=[zarr.codecs.TransposeCodec(order=(1, 0))])
    add("v3/sharded", base, 3, chunks=(2, 2), shards=(4, 4))
    add(
        "v3/sharded_missing",
        base,
        3,
        written=(slice(0, 2), slice(0, 2)),
        chunks=(2, 2),
        shards=(4, 4),
        fill_value=np.nan,
    )
    add("v3/line", base[0], 3, chunks=(3,))
    add("v3/scalar", np.array(4.5), 3, chunks=(), written=())
    return entries


def main():
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    manifest = {"hdf5": make_hdf5(), "npy": make_npy(), "zarr": make_zarr()}
    (DATA / "values.bin").write_bytes(VALUES)
    lines = [
        json.dumps(group) + ": [\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]"
        for group, entries in manifest.items()
    ]
    (DATA / "manifest.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
