"""The ten most frequent words in JSON lines that are compressed with gzip: a bag's everyday work.

1 GB is the size of the text, before compression. It lies in several files, since a gzip file cannot be read from its middle,
and in the page cache. Pantile and Dask are given the same expression. Dask uses processes, its bags' default, and pays for
starting them in every run, as its users do; ``processpool`` is the loop that one writes without either, with warm workers.
The memory in the table is that of the asking process alone, which is all there is for Pantile and not for the others.
"""

import json
import os
import zlib
from collections import Counter

from ..case import Case, Ratio
from ..data import FOLDER, read_once

CASE = Case(
    name="word_count",
    title="word count of 1 GB of gzip JSON lines",
    limits=(Ratio("dask", 0.25),),
    full={"files": 16, "bytes": 1_000_000_000},
    quick={"files": 2, "bytes": 100_000},
    group="Functions and bags",
    rtol=0.0,
    # Words are compared too, by their checksums.
    summary=lambda top: [number for word, n in top for number in (n, zlib.crc32(word.encode()))],
)

WORDS = 50_000
SYLLABLES = [c + v for c in "bcdfghjklmnprstvwz" for v in ("a", "e", "i", "o", "u", "é")]
TOP = 10


def paths(p):
    """The files of this size."""
    return [str(FOLDER / f"words-{p['bytes']}" / f"{i:02}.jsonl.gz") for i in range(p["files"])]


def word(rank):
    """A word of its own for each rank: the more frequent, the shorter."""
    syllables = SYLLABLES[rank % len(SYLLABLES)]
    while rank >= len(SYLLABLES):
        rank = rank // len(SYLLABLES) - 1
        syllables += SYLLABLES[rank % len(SYLLABLES)]
    return syllables


def write(path, size, seed):
    """Writes records until there are `size` bytes of text; words come as often as in a language (Zipf's law)."""
    import gzip

    import numpy as np

    rng = np.random.default_rng(seed)
    words = [word(rank) for rank in range(WORDS)]
    shares = np.cumsum(1.0 / (np.arange(WORDS) + 2.7))
    number = 0
    part = f"{path}.{os.getpid()}.part"
    try:
        # Without the time and the name in it, the same text is the same file.
        with open(part, "wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as file:
            while size > 0:
                lengths = rng.integers(4, 40, 2_000)
                drawn = np.searchsorted(shares, rng.random(lengths.sum()) * shares[-1])
                chosen = iter([words[rank] for rank in drawn.tolist()])
                lines = []
                for length in lengths.tolist():
                    number += 1
                    record = {
                        "id": f"{seed:02}-{number:08}",
                        "user": number * 7919 % 100_003,
                        "time": f"2026-01-{1 + number // 86_400 % 28:02}T{number // 3_600 % 24:02}:{number // 60 % 60:02}",
                        "text": " ".join([next(chosen) for _ in range(length)]),
                    }
                    lines.append(json.dumps(record))
                text = ("\n".join(lines) + "\n").encode()
                file.write(text)
                size -= len(text)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def prepare(p):
    """Makes the files that are not there, and reads them all once."""
    for seed, path in enumerate(paths(p)):
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write(path, p["bytes"] // p["files"], seed)
        read_once(path)


CASE.prepare = prepare


def frequent(bag, p):
    """The words of all records' texts, counted, in the words of both libraries."""
    texts = bag.read_text(paths(p)).map(json.loads).pluck("text")
    return texts.str.split().flatten().frequencies().topk(TOP, key=1)


@CASE.variant("pantile")
def _pantile(p):
    import pantile.bag as db

    return lambda: frequent(db, p).compute()


@CASE.variant("dask")
def _dask(p):
    import dask.bag as db

    return lambda: frequent(db, p).compute(scheduler="processes")


def count(path):
    """The words of one file."""
    import gzip

    counts = Counter()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            counts.update(json.loads(line)["text"].split())
    return counts


@CASE.variant("processpool")
def _processpool(p):
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor()

    def run():
        total = Counter()
        for counts in pool.map(count, paths(p)):
            total.update(counts)
        return total.most_common(TOP)

    return run
