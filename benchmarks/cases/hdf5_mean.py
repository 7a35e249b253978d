"""The mean of a chunked HDF5 file that lies in the page cache: many readers at once, outside HDF5's global lock.

The limit is set against the loop that people write, ``d[chunk].sum()``. A loop that reads every chunk into one kept buffer is
about a third quicker; it is measured and shown too, as ``h5py_direct``.
"""

from ..case import Case, Ratio
from ..data import hdf5_path, make_hdf5, random_array

CASE = Case(
    name="hdf5_mean",
    title="mean of 2 GB HDF5, chunked, page-cached",
    limits=(Ratio("h5py", 0.3),),
    full={"shape": (16_000, 15_625), "chunks": (500, 625), "dask_chunks": (4_000, 3_125)},
    quick={"shape": (400, 500), "chunks": (100, 125), "dask_chunks": (200, 250)},
)


def path(p):
    """The file of this size."""
    return hdf5_path("plain", p["shape"])


def prepare(p):
    """Makes the file."""
    columns = p["shape"][1]
    make_hdf5(path(p), p["shape"], p["chunks"], lambda first, rows: random_array((rows, columns), seed=first))


CASE.prepare = prepare


@CASE.variant("pantile")
def _pantile(p):
    import pantile.array as da

    x = da.from_hdf5(str(path(p)), "x")
    return lambda: x.mean().compute()


@CASE.variant("h5py")
def _h5py(p):
    import h5py

    dataset = h5py.File(path(p))["x"]

    def run():
        total = 0.0
        for selection in dataset.iter_chunks():
            total += dataset[selection].sum()
        return total / dataset.size

    return run


@CASE.variant("h5py_direct")
def _h5py_direct(p):
    import h5py
    import numpy as np

    dataset = h5py.File(path(p))["x"]
    buffer = np.empty(p["chunks"])

    def run():
        total = 0.0
        for selection in dataset.iter_chunks():
            dataset.read_direct(buffer, selection)
            total += buffer.sum()
        return total / dataset.size

    return run


@CASE.variant("dask")
def _dask(p):
    import dask.array as da
    import h5py

    x = da.from_array(h5py.File(path(p))["x"], chunks=p["dask_chunks"])
    return lambda: x.mean().compute()
