"""One file for each promise, in the order in which the table prints them."""

from ..case import Case
from .anomaly import CASE as anomaly
from .black_scholes import CASE as black_scholes
from .dot_std import CASE as dot_std
from .gzip_mean import CASE as gzip_mean
from .hdf5_mean import CASE as hdf5_mean
from .import_time import CASE as import_time
from .many_chunks import CASE as many_chunks
from .memory_mean import CASE as memory_mean
from .rechunk_max import CASE as rechunk_max
from .singular_values import CASE as singular_values
from .svd_blocks import CASE as svd_blocks
from .transpose_std import CASE as transpose_std

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        memory_mean,
        transpose_std,
        black_scholes,
        hdf5_mean,
        gzip_mean,
        dot_std,
        singular_values,
        svd_blocks,
        rechunk_max,
        anomaly,
        many_chunks,
        import_time,
    )
}
