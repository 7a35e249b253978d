"""`groupby`: elements move to the partition of their key.

Each partition is *scattered*: its elements are grouped, and each group is put into the bucket of its key. Then bucket
`i` of all partitions is *gathered* and becomes partition `i` of the result. What a scattering task made stays in
memory while it is small, and otherwise goes, pickled, into one file, of which a gathering task reads only its bucket.
So a task holds one partition or one bucket, and there are as many files as partitions. Buckets keep the partitions'
order, so the result does not depend on which task was faster.

Which bucket a key belongs to has to be the same in all processes, so it is not Python's `hash` where that is salted
(`bucket_hash`).

A file is removed with the last reference to what describes it, a folder with its last file; folders of processes that
were killed are removed by the next process that needs one.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import fcntl
import itertools
import numbers
import os
import pickle
import shutil
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from pantile._pickling import portable
from pantile.bag.core import Bag
from pantile.bag.partitioning import size_of
from pantile.bag.partitions import Call, Stage
from pantile.bag.steps import function_name, getter

__all__ = ["bucket_hash", "groupby"]

_PREFIX = "pantile-shuffle-"
# A folder that is younger may belong to somebody who has not locked it yet.
_SETTLED_S = 60.0


def bucket_hash(key: Any) -> int:
    """A number that is equal for equal keys, in every process."""
    if isinstance(key, str):
        return zlib.crc32(key.encode("utf-8", "surrogatepass"))
    if isinstance(key, bytes):
        return zlib.crc32(key)
    if isinstance(key, numbers.Number):
        return hash(key)  # not salted, and equal for 1, 1.0 and True
    if key is None:
        return 1
    if isinstance(key, tuple):
        total = 0x345678
        for part in key:
            total = (total * 1000003 ^ bucket_hash(part)) & 0xFFFFFFFFFFFFFFFF
        return total
    if isinstance(key, frozenset):
        return sum(bucket_hash(part) for part in key)
    if isinstance(key, datetime.datetime):
        if key.utcoffset() is not None:
            key = key.astimezone(datetime.UTC)
        return bucket_hash((key.toordinal(), key.hour, key.minute, key.second, key.microsecond))
    if isinstance(key, datetime.date):
        return key.toordinal()
    if isinstance(key, datetime.timedelta):
        return bucket_hash((key.days, key.seconds, key.microseconds))
    if isinstance(key, enum.Enum):
        return bucket_hash(key.name)
    # For other types only their own hash agrees with their equality. Worker processes share one salt.
    return hash(key)


def _bucket(key: Any, count: int) -> int:
    # Mixed, so that keys with a common factor do not share buckets.
    return ((bucket_hash(key) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 32) % count


class Folder:
    """Where the files of one shuffle are; made by the first task that needs it."""

    __slots__ = ("owner", "path")

    _locks: ClassVar[dict[str, int]] = {}
    # Reentrant: the collector may run `OnDisk.__del__` while this thread is inside.
    _guard = threading.RLock()

    def __init__(self, path: str, owner: int) -> None:
        self.path = path
        self.owner = owner

    def open(self) -> str:
        """The folder's path. This process keeps it locked until it is removed."""
        with Folder._guard:
            if self.path not in Folder._locks:
                if not Folder._locks:
                    _remove_abandoned(os.path.dirname(self.path))
                os.makedirs(self.path, mode=0o700, exist_ok=True)
                lock = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(lock, fcntl.LOCK_SH)
                Folder._locks[self.path] = lock
        return self.path

    @staticmethod
    def close_if_empty(path: str) -> None:
        """Removes the folder if no file of a partition is in it."""
        with Folder._guard:
            try:
                if os.listdir(path) != ["lock"]:
                    return
                shutil.rmtree(path)
            except OSError:
                return  # removed by another process
            lock = Folder._locks.pop(path, None)
            if lock is not None:
                os.close(lock)

    def __reduce__(self) -> Any:
        return (Folder, (self.path, self.owner))


def _remove_abandoned(parent: str) -> None:
    """Removes the folders that no living process has locked."""
    with contextlib.suppress(OSError):
        for entry in Path(parent).glob(_PREFIX + "*"):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat().st_mtime < _SETTLED_S:
                    continue
                lock = os.open(entry / "lock", os.O_RDWR)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(entry)
                finally:
                    os.close(lock)


class InMemory:
    """A scattered partition that is small: for each bucket a dictionary of groups."""

    __slots__ = ("buckets",)

    def __init__(self, buckets: list[dict[Any, list[Any]]]) -> None:
        self.buckets = buckets

    def read(self, bucket: int) -> Iterator[dict[Any, list[Any]]]:
        """The bucket's groups."""
        yield self.buckets[bucket]


class OnDisk:
    """A scattered partition in a file, which belongs to this object in the process that owns the shuffle."""

    __slots__ = ("owner", "path", "places")

    def __init__(self, path: str, places: list[list[tuple[int, int]]], owner: int) -> None:
        self.path = path
        self.places = places
        self.owner = owner

    def read(self, bucket: int) -> Iterator[dict[Any, list[Any]]]:
        """The bucket's groups, as many dictionaries as there were blocks."""
        if not self.places[bucket]:
            return
        with open(self.path, "rb", buffering=0) as file:
            for offset, length in self.places[bucket]:
                yield pickle.loads(os.pread(file.fileno(), length, offset))

    def __reduce__(self) -> Any:
        return (OnDisk, (self.path, self.places, self.owner))

    def __del__(self) -> None:
        if self.owner == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            Folder.close_if_empty(os.path.dirname(self.path))


def _grouped(elements: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for element in elements:
        groups.setdefault(key(element), []).append(element)
    return groups


class _Scatter:
    """The groups of a partition, by bucket."""

    __slots__ = ("__name__", "block", "count", "folder", "key", "share")

    def __init__(self, key: Callable[[Any], Any], count: int, block: int, folder: Folder, share: int) -> None:
        self.key = key
        self.count = count
        self.block = block
        self.folder = folder
        self.share = share
        self.__name__ = f"groupby-{function_name(key)}"

    def __call__(self, parts: list[Any]) -> InMemory | OnDisk:
        elements = parts[0]
        # From another process each gathering task would be sent all buckets; of a file it reads its own.
        if os.getpid() == self.folder.owner and size_of(elements) <= self.share:
            return InMemory(self._scatter(elements))
        places: list[list[tuple[int, int]]] = [[] for _ in range(self.count)]
        handle, path = tempfile.mkstemp(dir=self.folder.open())
        try:
            with open(handle, "wb") as file:
                remaining = iter(elements)
                while block := list(itertools.islice(remaining, self.block)):
                    for place, groups in zip(places, self._scatter(block), strict=True):
                        if groups:
                            start = file.tell()
                            file.write(portable(groups))
                            place.append((start, file.tell() - start))
        except BaseException:
            os.unlink(path)
            Folder.close_if_empty(os.path.dirname(path))
            raise
        return OnDisk(path, places, self.folder.owner)

    def _scatter(self, elements: Iterable[Any]) -> list[dict[Any, list[Any]]]:
        buckets: list[dict[Any, list[Any]]] = [{} for _ in range(self.count)]
        for key, group in _grouped(elements, self.key).items():
            buckets[_bucket(key, self.count)][key] = group
        return buckets


class _Gather:
    """One bucket of all partitions."""

    __slots__ = ("__name__", "bucket")

    def __init__(self, bucket: int) -> None:
        self.bucket = bucket
        self.__name__ = "gather"

    def __call__(self, scattered: list[InMemory | OnDisk]) -> list[tuple[Any, list[Any]]]:
        groups: dict[Any, list[Any]] = {}
        for part in scattered:
            for found in part.read(self.bucket):
                for key, group in found.items():
                    # A copy at first: what is in memory is read by one task only, but may be read in another run too.
                    groups.setdefault(key, []).extend(group)
        return list(groups.items())


def groupby(bag: Bag, grouper: Any, npartitions: int | None, blocksize: int, shuffle: str | None) -> Bag:
    """See `Bag.groupby`."""
    from pantile import config

    if shuffle not in (None, "disk", "tasks"):
        raise ValueError(f"shuffle is {shuffle!r}; it must be 'disk' or 'tasks'")
    count = bag.npartitions if npartitions is None else npartitions
    if count < 1:
        raise ValueError(f"groupby: npartitions is {count}, but there is at least one partition")
    if blocksize < 1:
        raise ValueError(f"groupby: blocksize is {blocksize}, but a block has at least one element")
    key = grouper if callable(grouper) else getter(grouper)
    folder = Folder(os.path.join(config.get("spill_dir"), _PREFIX + uuid.uuid4().hex), os.getpid())
    # A quarter of the limit for all partitions together; the others are for partitions at work and for what is gathered.
    share = config.get("memory_limit") // 4 // max(bag.npartitions, 1)
    scatter = _Scatter(key, count, blocksize, folder, share)
    scattered = [Call(scatter, [part]) for part in bag._stage.parts()]
    return Bag(Stage(scatter.__name__, [Call(_Gather(i), scattered) for i in range(count)]))
