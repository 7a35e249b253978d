"""`groupby`: elements move to the partition of their key.

Each partition is *scattered*: its elements are grouped, and each group is put into the bucket of its key. Then bucket
`i` of all partitions is *gathered* and becomes partition `i` of the result. What a scattering task made stays in
memory while it is small, and otherwise goes, pickled, into one file, of which a gathering task reads only its bucket.
So a task holds one partition or one bucket, and there are as many files as partitions. Buckets keep the partitions'
order, so the result does not depend on which task was faster.

Which bucket a key belongs to has to be the same in all processes, so it is not Python's `hash` where that is salted
(`bucket_hash`).

A file is removed with the last reference to what describes it, a folder with its last file. What a worker that was
killed has left in a folder, or a result that never arrived, goes with the last reference to the folder, or at the end
of the process that owns it. Folders of processes that were killed are removed by the next shuffle, which knows them by
their lock: a folder gets its name only when it is locked.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import errno
import fcntl
import itertools
import numbers
import os
import pickle
import shutil
import tempfile
import threading
import time
import traceback
import uuid
import weakref
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
# A folder that is being made: it gets its name when it is locked.
_NEW_PREFIX = "pantile-new-shuffle-"
# A folder without a name or a lock that is younger may belong to somebody who is making or removing it.
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
    """Where the files of one shuffle are; made by the first task that needs it.

    In the process that owns it there is one object for it, and when that ends, the folder is removed.
    """

    __slots__ = ("__weakref__", "_looked", "owner", "path")

    _locks: ClassVar[dict[str, int]] = {}
    _own: ClassVar[weakref.WeakValueDictionary[str, Folder]] = weakref.WeakValueDictionary()
    # Reentrant: the collector may run `OnDisk.__del__` while this thread is inside.
    _guard = threading.RLock()

    def __init__(self, path: str, owner: int) -> None:
        self.path = path
        self.owner = owner
        self._looked = False
        if owner == os.getpid():
            Folder._own[path] = self
            weakref.finalize(self, Folder._remove, path, owner)

    @staticmethod
    def restored(path: str, owner: int) -> Folder:
        """The folder's object in this process."""
        with Folder._guard:
            if owner != os.getpid():
                return Folder(path, owner)
            folder = Folder._own.get(path) or Folder(path, owner)
            # A worker has made it, and may end before its files are read.
            with contextlib.suppress(OSError):
                folder._lock()
            return folder

    def clean(self) -> None:
        """Removes what killed processes have left beside this folder. Looks once."""
        if not self._looked:
            self._looked = True
            # The owner is alive, and takes the locks over of workers that are not.
            _remove_abandoned(os.path.dirname(self.path), f"{_PREFIX}{self.owner}-")

    def open(self) -> str:
        """The folder's path. This process keeps it locked until it is removed."""
        with Folder._guard:
            while self.path not in Folder._locks:
                # Another process may make it, or remove it because it is empty, at the same time.
                with contextlib.suppress(FileNotFoundError):
                    self._lock()
                    break
                self._make()
        return self.path

    def _lock(self) -> None:
        if self.path not in Folder._locks:
            lock = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH)
                if not os.fstat(lock).st_nlink:
                    raise FileNotFoundError(f"{self.path!r} was removed by another process")
            except BaseException:
                os.close(lock)
                raise
            Folder._locks[self.path] = lock

    def _make(self) -> None:
        parent = os.path.dirname(self.path)
        os.makedirs(parent, exist_ok=True)
        new = tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=parent)
        lock = os.open(os.path.join(new, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            os.rename(new, self.path)
        except OSError as error:
            os.close(lock)
            shutil.rmtree(new, ignore_errors=True)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            Folder._locks[self.path] = lock

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
            Folder._unlock(path)

    @staticmethod
    def _remove(path: str, owner: int) -> None:
        """Removes the folder and what is left in it, unless this is a copy of the owner that was made by forking."""
        if os.getpid() == owner:
            with Folder._guard:
                shutil.rmtree(path, ignore_errors=True)
                Folder._unlock(path)

    @staticmethod
    def _unlock(path: str) -> None:
        lock = Folder._locks.pop(path, None)
        if lock is not None:
            os.close(lock)

    def __reduce__(self) -> Any:
        return (Folder.restored, (self.path, self.owner))


def _remove_abandoned(parent: str, spared: str) -> None:
    """Removes the folders that no living process has locked, but those whose names begin with `spared`."""
    with contextlib.suppress(OSError):
        for entry in [*Path(parent).glob(_PREFIX + "*"), *Path(parent).glob(_NEW_PREFIX + "*")]:
            with contextlib.suppress(OSError):
                if entry.name.startswith(spared):
                    continue
                young = time.time() - entry.stat().st_mtime < _SETTLED_S
                if young and (entry.name.startswith(_NEW_PREFIX) or not (entry / "lock").exists()):
                    continue
                # Of a folder without a lock nobody has locked it.
                lock = os.open(entry / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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

    __slots__ = ("folder", "path", "places")

    def __init__(self, path: str, places: list[list[tuple[int, int]]], folder: Folder) -> None:
        self.path = path
        self.places = places
        self.folder = folder

    def read(self, bucket: int) -> Iterator[dict[Any, list[Any]]]:
        """The bucket's groups, as many dictionaries as there were blocks."""
        if not self.places[bucket]:
            return
        with open(self.path, "rb", buffering=0) as file:
            for offset, length in self.places[bucket]:
                yield pickle.loads(os.pread(file.fileno(), length, offset))

    def __reduce__(self) -> Any:
        return (OnDisk, (self.path, self.places, self.folder))

    def __del__(self) -> None:
        if self.folder.owner == os.getpid():
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
        self.folder.clean()
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
        return OnDisk(path, places, self.folder)

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
        try:
            groups: dict[Any, list[Any]] = {}
            part: InMemory | OnDisk | None
            for part in scattered:
                for found in part.read(self.bucket):
                    for key, group in found.items():
                        # A copy at first: what is in memory is read by one task only, but may be read in another run too.
                        groups.setdefault(key, []).extend(group)
            return list(groups.items())
        except BaseException as error:
            # Else the files are there as long as somebody has the exception, whose traceback has the frames.
            traceback.clear_frames(error.__traceback__)
            part = None
            scattered = []
            raise


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
    folder = Folder(
        os.path.join(config.get("spill_dir"), f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex}"), os.getpid()
    )
    # A quarter of the limit for all partitions together; the others are for partitions at work and for what is gathered.
    share = config.get("memory_limit") // 4 // max(bag.npartitions, 1)
    scatter = _Scatter(key, count, blocksize, folder, share)
    scattered = [Call(scatter, [part]) for part in bag._stage.parts()]
    return Bag(Stage(scatter.__name__, [Call(_Gather(i), scattered) for i in range(count)]))
