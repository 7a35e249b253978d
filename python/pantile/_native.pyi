"""Types of the extension module. Arguments arrive here checked for kind and normalised; users call the package."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, overload

__version__: str

class UnsupportedError(NotImplementedError): ...
class InternalError(RuntimeError): ...
class MemoryLimitError(MemoryError): ...
class ArgumentChangedError(RuntimeError): ...

# Lengths of chunks along each axis; None where only the computation will tell.
Chunks = tuple[tuple[int | None, ...], ...]

class Expr:
    """A node of the expression graph. Immutable; equal nodes are the same node (compare with `id`)."""

    @property
    def id(self) -> int: ...
    @property
    def dtype(self) -> str: ...  # NumPy's spelling: "<f8"
    @property
    def shape(self) -> tuple[int | None, ...]: ...
    @property
    def chunks(self) -> Chunks: ...
    @property
    def ndim(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def origin(self) -> tuple[str, int, str] | None: ...  # file, line, function
    @property
    def is_python(self) -> bool: ...  # evaluated by Python code on blocks

# ---- worker processes ----
class WorkerDiedError(RuntimeError): ...

class StopFlag:
    """Set by one thread to stop the calls of others."""

    def __init__(self) -> None: ...
    def set(self) -> None: ...
    def is_set(self) -> bool: ...

class Functions:
    """The pickles of functions, which do not change while it lives."""

    def __init__(self) -> None: ...

class WorkerPool:
    """Workers beside the process' own, each of which has run an initializer."""

    def __init__(
        self, initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] | None = None
    ) -> None: ...
    def prepare(self, most: int) -> None: ...
    @property
    def pids(self) -> list[int]: ...
    def close(self) -> None: ...

class WorkerEnd:
    """A worker's end of its channel."""

    def __init__(self, parent: int) -> None: ...
    @staticmethod
    def allow_interrupt() -> None: ...
    # Bytes-like: a setup. A tuple: number of the function, its pickle if it is new, numbers to forget, arguments with
    # `load()`, and whether it is the initializer.
    def receive(self) -> Any: ...
    def ready(self) -> None: ...
    def returned(self, value: Any, function: Any) -> None: ...
    def raised(self, error: tuple[Any, ...], function: Any, unread: bool) -> None: ...

def call_in_process(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    workers: int,
    pool: WorkerPool | None = None,
    functions: Functions | None = None,
    stop: StopFlag | None = None,
) -> Any: ...
def close_processes() -> None: ...
def process_stats() -> dict[str, Any]: ...

class Block:
    """Memory that NumPy looks into through `__array_interface__`."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...

class Progress:
    """Counters of a run, updated by the threads that run it, without the GIL."""

    def __init__(self) -> None: ...
    @property
    def tasks(self) -> int: ...  # in the run; 0 before it begins
    @property
    def done(self) -> int: ...
    @property
    def bytes(self) -> int: ...  # read from sources so far
    @property
    def running(self) -> list[str]: ...  # labels of operations that run now
    @property
    def ended(self) -> bool: ...

# ---- watching runs ----
class Recorder:
    """Keeps the logs of the runs that it is told of (`watch`)."""

    def __init__(self) -> None: ...
    def take(self) -> list[RecordedRun]: ...  # those that ended since the last call

class RecordedRun:
    """A run that is over. Columns are bytes of unsigned integers; times are nanoseconds since the run began."""

    @property
    def began(self) -> float: ...  # as time.perf_counter() counts
    @property
    def wall_ns(self) -> int: ...
    @property
    def ok(self) -> bool: ...
    @property
    def threads(self) -> int: ...  # how many may run tasks at once
    @property
    def nested(self) -> bool: ...  # inside a task of another run
    @property
    def tasks(self) -> int: ...  # all, also those that were never run
    @property
    def layers(self) -> list[dict[str, Any]]: ...  # as in `explain`
    def columns(self) -> dict[str, bytes]: ...  # one entry a task that ended, by their beginning
    def names(self) -> list[str]: ...
    def operations(self) -> tuple[list[str], bytes]: ...  # u32 indices into the list
    @property
    def failed(self) -> list[tuple[str, int]]: ...  # name, beginning
    @property
    def spills(self) -> list[tuple[int, int, bool, int]]: ...  # task, bytes, out, at
    @property
    def written(self) -> list[tuple[int, int, int, int]]: ...  # thread, start, end, bytes
    @property
    def parts(
        self,
    ) -> list[tuple[int, str, int, int | None, int | None]]: ...  # thread, name, first, ran, queued

class Sampler:
    """Memory and processor time over time: (time.perf_counter(), bytes, share of one processor)."""

    def __init__(self, seconds: float) -> None: ...
    def samples(self) -> list[tuple[float, int, float]]: ...
    def stop(self) -> list[tuple[float, int, float]]: ...

class RunGraph:
    """Names of a run's tasks and their operations: what callbacks get."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __contains__(self, key: str) -> bool: ...
    def __getitem__(self, key: str) -> str: ...
    def keys(self) -> list[str]: ...

class RunState:
    """How far a run is: what callbacks get."""

    def __getitem__(self, key: str) -> range: ...  # finished, running, waiting, ready
    @property
    def tasks(self) -> int: ...
    @property
    def done(self) -> int: ...

# A recorder, a progress bar (begin() -> Progress, end(progress, error)), or the functions start, start_state,
# pretask, posttask, finish.
def watch(watcher: Any) -> int: ...
def unwatch(id: int) -> bool: ...

# ---- chunks ----
# A spec is -1, a length, "auto", ("bytes", n) or a tuple of lengths; one an axis.
def normalize_chunks(
    specs: Sequence[Any],
    shape: Sequence[int],
    itemsize: int,
    auto_bytes: int,
    preferred: Sequence[int] | None,
) -> Chunks: ...
def rechunk(e: Expr, chunks: Chunks) -> Expr: ...

# ---- making ----
def from_numpy(array: Any, chunks: Chunks | None) -> Expr: ...  # no copy; native dtypes
def from_python(
    obj: Any,
    shape: Sequence[int],
    dtype: str,
    chunks: Chunks,
    stored: Sequence[int] | None,
    lock: bool,
    describe: str,
) -> Expr: ...
def fill(value: Any, dtype: str, chunks: Chunks) -> Expr: ...  # value: a Python number or NumPy scalar
def coord(chunks: Sequence[int]) -> Expr: ...  # 0, 1, 2, ... int64
def random(
    distribution: str,
    parameters: dict[str, float | int | Any],  # an Expr: one value for each element, broadcast
    dtype: str,
    key: tuple[int, int, int],
    chunks: Chunks,
) -> Expr: ...
def random_not_negative(
    e: Expr, message: str
) -> Expr: ...  # float64; computing a negative one is a ValueError
def random_key(words: Sequence[int]) -> tuple[int, int, int]: ...
def random_child(key: tuple[int, int, int], call: int) -> tuple[int, int, int]: ...
def random_spawn(key: tuple[int, int, int], index: int) -> tuple[int, int, int]: ...
def random_permutation(
    key: tuple[int, int, int], n: int, chunks: Sequence[int]
) -> Expr: ...  # int64, lazily, any chunks

# ---- elementwise ----
# The name of a catalogue operation; arguments are Expr, Python numbers (weak), NumPy scalars and arrays (strong).
def map(name: str, args: Sequence[Any]) -> tuple[Expr, ...]: ...
def operations() -> list[
    dict[str, Any]
]: ...  # name, aliases, symbol, nin, nout, is_ufunc, doc, chapter, accuracy
def operations_table() -> str: ...  # markdown
def result_dtype(name: str, args: Sequence[Any]) -> tuple[str, ...]: ...
def astype(e: Expr, dtype: str) -> Expr: ...
def broadcast_to(e: Expr, chunks: Chunks) -> Expr: ...
def unify(arrays: Sequence[Expr]) -> list[Expr]: ...  # broadcast against each other, cut alike

# ---- reductions and scans ----
def reduce(
    name: str,  # sum prod min max any all argmin argmax mean var std
    e: Expr,
    axes: Sequence[int] | None,  # checked, ascending; None: all
    keepdims: bool,
    dtype: str | None,
    ddof: float,
    where: Expr | None,
    initial: Any | None,  # a Python number
    skip_nan: bool,
) -> Expr: ...
def scan(e: Expr, axis: int, product: bool, dtype: str | None) -> Expr: ...

# ---- shape and index ----
def index(
    e: Expr, key: Any
) -> Expr: ...  # e[key]; key may hold ints, slices, None, ..., lists, NumPy arrays, one lazy mask (Expr)
def assign(e: Expr, key: Any, value: Any) -> Expr: ...
def take(e: Expr, positions: Sequence[int], axis: int) -> Expr: ...
def transpose(e: Expr, axes: Sequence[int]) -> Expr: ...
def expand_dims(e: Expr, axes: Sequence[int]) -> Expr: ...  # ascending positions in the result
def squeeze(e: Expr, axes: Sequence[int]) -> Expr: ...
def reshape(e: Expr, shape: Sequence[int]) -> Expr: ...
def concatenate(arrays: Sequence[Expr], axis: int, dtype: str | None) -> Expr: ...

# ---- products ----
def matmul(a: Expr, b: Expr) -> Expr: ...
def tensordot(a: Expr, b: Expr, a_axes: Sequence[int], b_axes: Sequence[int]) -> Expr: ...

# ---- linear algebra: two-dimensional arrays ----
# The last argument is the memory limit of the run to come, in bytes: one dense task may need half of it.
def qr(a: Expr, memory_limit: int) -> tuple[Expr, Expr]: ...
def svd(a: Expr, full_matrices: bool, memory_limit: int) -> tuple[Expr, Expr, Expr]: ...
def svdvals(a: Expr, memory_limit: int) -> Expr: ...
def cholesky(a: Expr, memory_limit: int) -> Expr: ...
def solve(a: Expr, b: Expr, memory_limit: int) -> Expr: ...
def solve_triangular(
    a: Expr, b: Expr, lower: bool, trans: int, unit_diagonal: bool, memory_limit: int
) -> Expr: ...
def inv(a: Expr, memory_limit: int) -> Expr: ...
def det(a: Expr, memory_limit: int) -> Expr: ...
def slogdet(a: Expr, memory_limit: int) -> tuple[Expr, Expr]: ...
def lstsq(
    a: Expr, b: Expr, rcond: float | None, memory_limit: int
) -> tuple[Expr, Expr, Expr, Expr]: ...  # x, residuals, rank, s

# ---- Python functions on blocks ----
# One entry an axis of the input: ("block", out_axis) the block at the same position (position 0 where the input has one block);
# ("window", out_axis, before, after) the positions of the output's block along that axis in `reference` chunks, widened
# and clipped;
# ("whole",) everything.
def blockwise(
    function: Callable[
        ..., Any
    ],  # called as function(block_id, *arrays); returns an array of `dtype`, or anything where dtype is "|O"
    name: str,
    inputs: Sequence[tuple[Expr, Sequence[tuple[Any, ...]]]],
    chunks: Chunks,  # of the output
    reference: Chunks,  # what windows refer to; one entry an output axis
    dtype: str,
) -> Expr: ...

# ---- files (native readers) ----
def from_hdf5_contiguous(
    path: str, dataset: str, shape: Sequence[int], dtype: str, offset: int | None, fill: bytes, chunks: Chunks
) -> Expr: ...
def from_hdf5_chunked(
    path: str,
    dataset: str,
    shape: Sequence[int],
    chunk_shape: Sequence[int],
    dtype: str,  # as stored, ">f4" if big-endian
    filters: Sequence[
        tuple[Any, ...]
    ],  # ("gzip",), ("shuffle", itemsize), ("fletcher32",), ("lzf",), in pipeline order
    fill: bytes,  # one element, native order
    index: Sequence[
        tuple[tuple[int, ...], int, int, int]
    ],  # grid coordinates, file offset, stored bytes, filter mask
    chunks: Chunks,
) -> Expr: ...
def open_npy(path: str) -> dict[str, Any]: ...  # shape, dtype
def from_npy(path: str, chunks: Chunks) -> Expr: ...
def open_zarr(
    path: str, name: str
) -> dict[
    str, Any
]: ...  # shape, dtype, chunks (shard where sharded), inner_chunks, fill_value, attributes (JSON), format
def from_zarr(path: str, name: str, chunks: Chunks) -> Expr: ...
def create_zarr(
    path: str,
    name: str,
    shape: Sequence[int],
    chunks: Sequence[int],
    shards: Sequence[int] | None,
    dtype: str,
    fill_value: Any,
    compressor: str | None,
    level: int,
    format: int,
    overwrite: bool,
    attributes: str,
) -> Any: ...  # a target for `store`; .finish() moves it into place, .discard() removes it
def create_npy(path: str, shape: Sequence[int], dtype: str) -> Any: ...  # likewise

# ---- running ----
# options: threads (0: default), executor ("threads" | "sync"), limit (bytes or None), spill_dir (str or None), progress
# (list[Progress])
def compute(exprs: Sequence[Expr], options: dict[str, Any]) -> list[Any]: ...  # NumPy arrays; 0-d ones too
def persist(exprs: Sequence[Expr], options: dict[str, Any]) -> list[Expr]: ...

# target: what create_zarr / create_npy gave, or any object with __setitem__ (called under the GIL; one at a time if lock)
def store(
    pairs: Sequence[tuple[Expr, Any, Sequence[slice] | None]], lock: bool, options: dict[str, Any]
) -> None: ...
def store_hazards(
    pairs: Sequence[tuple[Expr, Any, Sequence[slice] | None]],
) -> list[bool]: ...  # which must be computed before any is written
def explain(exprs: Sequence[Expr], options: dict[str, Any]) -> dict[str, Any]: ...

# explain: layers (list of dicts: label, tasks, bytes, python: bool, describe, origin), tasks, edges, peak_bytes, limit,
# inputs_bytes, sources (list of str)
def graph(exprs: Sequence[Expr]) -> dict[str, Any]: ...

# graph: tasks: list of (layer, index), inputs: list of lists of task numbers, labels: per layer, order: rank a task, bytes
# a task
def expressions(exprs: Sequence[Expr]) -> list[dict[str, Any]]: ...

# expressions: id, label, inputs (ids), shape, dtype, chunks, root (has blocks of its own), python

# kernel_stats: compiled (machine code made or loaded), built (compiled here), loaded (from cache_dir), interpreted_calls,
# compiled_calls
def kernel_stats() -> dict[str, int]: ...
def pool_stats() -> dict[str, int]: ...  # live_bytes, peak_bytes, cached_bytes, fresh, reused
def memory_left(limit: int) -> int: ...  # what a run that began now would get of this limit
def trim_pool(keep: int) -> None: ...
def reset_peak() -> None: ...
def default_threads() -> int: ...
def default_memory() -> int: ...  # what the cgroup or the host allows, bytes
def set_threads(n: int) -> None: ...  # before the first run only
def set_cache_dir(path: str | None) -> bool: ...  # compiled kernels on disk; False: too late to change
def set_pool_capacity(n: int) -> None: ...

# ---- tokens ----
class TokenizationError(RuntimeError): ...

def tokenize(args: tuple[Any, ...], kwargs: dict[str, Any], strict: bool | None) -> str: ...
def forget_token_rules() -> None: ...  # a rule was registered

# ---- delayed ----
class Delayed:
    """A call that runs when its result is computed. Its operators, items, attributes and calls give further ones."""

    @property
    def key(self) -> str: ...
    def compute(self, **kwargs: Any) -> Any: ...
    def persist(self, **kwargs: Any) -> Delayed: ...
    def visualize(self, *args: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Delayed: ...
    def __getattr__(self, name: str) -> Any: ...
    def __getitem__(self, key: Any) -> Delayed: ...
    def __iter__(self) -> Any: ...
    def __len__(self) -> int: ...

class DelayedGraph:
    """The nodes that some outputs need, inputs first, equal pure calls as one."""

    def __len__(self) -> int: ...
    @property
    def arrays(self) -> list[Any]: ...  # lazy arrays among the arguments
    @property
    def outputs(self) -> list[int]: ...
    def rows(self) -> list[tuple[str, list[int], bool]]: ...  # name, inputs, whether it is a call
    def node(self, at: int) -> Delayed: ...
    def ranks(self) -> list[int | None]: ...  # place in the order; None for nodes that equal others
    def task_names(self) -> list[str]: ...  # as a recorded run names them, by node
    # At most so many boxes: names and numbers of their nodes, which boxes they need; and the box of each node.
    def groups(self, most: int) -> tuple[list[tuple[list[tuple[str, int]], list[int]]], list[int | None]]: ...
    # The first outputs made anew, the others kept; without a seed equal pure calls become one.
    def rebuilt(
        self, count: int, seed: bytes | None = None, after: Delayed | None = None, whole: bool = False
    ) -> list[Delayed]: ...
    def run(self, options: dict[str, Any], arrays: Sequence[Any]) -> list[Any]: ...

def delayed(
    obj: Any,
    name: str | None = None,
    pure: bool | None = None,
    nout: int | None = None,
    traverse: bool = True,
) -> Delayed: ...
def delayed_graph(outputs: Sequence[Delayed]) -> DelayedGraph: ...
def _annotations_from(current: Callable[[], dict[str, Any] | None]) -> None: ...

# ---- bags ----
# A part is Strings, Values or a list of plain objects, which is converted. A step is a tuple: a name and arguments.
# Where elements have no native form NotNative is raised, and Python can do the same; what Python raises is raised as it is.
class NotNative(TypeError): ...

Step = tuple[Any, ...]
Steps = Sequence[Step] | Step | None  # a list of steps, one step, or none

class Strings(Sequence[str]):
    """A native sequence of str."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Strings: ...
    def __len__(self) -> int: ...
    def tolist(self) -> list[str]: ...
    @staticmethod
    def from_list(list: Iterable[str]) -> Strings: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def kind(self) -> str: ...

class Values(Sequence[Any]):
    """A native sequence of JSON-like values (and tuples)."""

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Values: ...
    def __len__(self) -> int: ...
    def tolist(self) -> list[Any]: ...
    @staticmethod
    def from_list(list: Iterable[Any]) -> Values: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def kind(self) -> str: ...  # the form: ints, floats, bools, strs, strlists, any

Part = Strings | Values | list[Any]

class Counts:
    """How often each value occurs; keys in the order in which they were first seen."""

    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def items(self) -> list[tuple[Any, int]]: ...
    def topk(self, k: int, key: int | None = 1) -> list[tuple[Any, int]]: ...
    @staticmethod
    def merge(parts: Sequence[Counts]) -> Counts: ...

class Folds:
    """One value for each key; keys in the order in which they were first seen."""

    def __len__(self) -> int: ...
    @property
    def op(self) -> str: ...
    def items(self) -> list[tuple[Any, Any]]: ...
    @staticmethod
    def merge(parts: Sequence[Folds]) -> Folds: ...

class Buckets:
    """Buckets of bytes, in memory up to a limit and in files beyond; for several threads."""

    def __init__(self, folder: str | PathLike[str], n: int, memory_limit: int) -> None: ...
    def __len__(self) -> int: ...
    def __enter__(self) -> Buckets: ...
    def __exit__(self, *args: object) -> None: ...
    def add(self, bucket: int, data: bytes | bytearray | memoryview) -> None: ...
    def read(self, bucket: int) -> list[bytes]: ...
    def close(self) -> None: ...
    @property
    def folder(self) -> Path: ...
    @property
    def held_bytes(self) -> int: ...
    @property
    def spilled_bytes(self) -> int: ...

def bag_read(
    path: str | PathLike[str],
    start: int | None = None,
    stop: int | None = None,
    *,
    compression: str | None = "infer",  # gzip, bz2, xz, zstd
    encoding: str = "utf-8",
    errors: str = "strict",
    delimiter: str | None = None,  # None: universal line ends, which become "\n"
    strip: bool = False,  # lines without their ends
) -> Strings: ...
def bag_cut(
    path: str | PathLike[str], blocksize: int, delimiter: str | bytes | None = None
) -> list[tuple[int, int]]: ...
def bag_lines(
    data: bytes | bytearray | memoryview,
    *,
    encoding: str = "utf-8",
    errors: str = "strict",
    delimiter: str | None = None,
    strip: bool = False,
    compression: str | None = None,
) -> Strings: ...
def bag_native_steps() -> list[str]: ...
def bag_apply(steps: Steps, part: Part) -> Strings | Values: ...

# `steps` run before counting, ranking, folding, reducing, in the same pass.
def bag_frequencies(part: Part, steps: Steps = None) -> Counts: ...
def bag_topk(part: Part, k: int, key: str | int | Steps = None, steps: Steps = None) -> list[Any]: ...
def bag_foldby(
    part: Part,
    key: str | int | Steps,
    op: str,  # count, sum (from 0 on), min, max
    value: str | int | Steps = None,
    steps: Steps = None,
) -> Folds: ...

# The value and the number of elements. op: count, sum, min, max (None of nothing), any, all
def bag_reduce(part: Part, op: str, steps: Steps = None) -> tuple[Any, int]: ...
