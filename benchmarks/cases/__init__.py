"""One file for each promise, in the order in which the table prints them."""

from ..case import Case
from .anomaly import CASE as anomaly
from .black_scholes import CASE as black_scholes
from .dot_std import CASE as dot_std
from .first_result import CASE as first_result
from .grid_search import CASE as grid_search
from .gzip_mean import CASE as gzip_mean
from .hdf5_mean import CASE as hdf5_mean
from .import_time import CASE as import_time
from .inc_chain import CASE as inc_chain
from .inc_sum import CASE as inc_sum
from .many_chunks import CASE as many_chunks
from .memory_mean import CASE as memory_mean
from .million_tree import CASE as million_tree
from .process_arrays import COMPUTED, DROPPED, MAPPED
from .rechunk_max import CASE as rechunk_max
from .singular_values import CASE as singular_values
from .svd_blocks import CASE as svd_blocks
from .transpose_std import CASE as transpose_std
from .word_count import CASE as word_count

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
        inc_sum,
        inc_chain,
        million_tree,
        COMPUTED,
        MAPPED,
        DROPPED,
        word_count,
        grid_search,
        import_time,
        first_result,
    )
}
