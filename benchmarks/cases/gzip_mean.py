"""The mean of a compressed HDF5 file: inflating on all cores, outside HDF5's global lock."""

from ..case import Case, Ratio
from ..data import hdf5_path, make_hdf5, random_array

CASE = Case(
    name="gzip_mean",
    title="mean of 1 GB HDF5, gzip 1",
    limits=(Ratio("dask", 0.3),),
    full={"shape": (8_000, 15_625), "chunks": (500, 625), "dask_chunks": (2_000, 3_125)},
    quick={"shape": (400, 500), "chunks": (100, 125), "dask_chunks": (200, 250)},
)


def path(p):
    """The file of this size."""
    return hdf5_path("gzip1", p["shape"])


def prepare(p):
    """Makes the file: temperatures to a hundredth of a degree, which compress about as measurements do."""
    columns = p["shape"][1]

    def band(first, rows):
        return (280.0 + 20.0 * random_array((rows, columns), seed=first)).round(2)

    make_hdf5(path(p), p["shape"], p["chunks"], band, compression="gzip", compression_opts=1)


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


@CASE.variant("dask")
def _dask(p):
    import dask.array as da
    import h5py

    x = da.from_array(h5py.File(path(p))["x"], chunks=p["dask_chunks"])
    return lambda: x.mean().compute()
