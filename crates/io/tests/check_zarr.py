"""Check arrays that the Rust tests wrote, with zarr-python.

Usage: ``check_zarr.py STORE``, where every array counts upwards.
"""

import sys

import numpy as np
import zarr

store = zarr.open_group(sys.argv[1], mode="r")
names = sorted(name for name, _ in store.members(max_depth=None))
arrays = {name: store[name] for name in names if isinstance(store[name], zarr.Array)}
for name, array in arrays.items():
    expected = np.arange(array.size).reshape(array.shape)
    if array.dtype.kind == "b":
        expected = expected % 2 == 1
    elif array.dtype.kind == "c":
        expected = expected + 0j
    expected = expected.astype(array.dtype)
    if name.endswith("partial"):
        rest = np.ones(array.shape, bool)
        rest[1:4, 2:6] = False
        expected[rest] = array.fill_value
    np.testing.assert_array_equal(array[...], expected, err_msg=name)
    assert dict(array.attrs) == {"units": "K"}, (name, dict(array.attrs))
    print(name, array.dtype, array.chunks, array.shards)
print(f"{len(arrays)} arrays agree")
