"""The ten most frequent paths by status in each hour of a web log: ``python examples/web_logs.py [--size 1GB]``.

The log is JSON, a request a line, in gzip files that were begun anew whenever one was full, as servers do; so an hour may lie
in several files. It is made once, from a seed. ``--size`` is that of the JSON text; the gzip files take about a tenth of it.

The question is asked with `pantile.bag`. The extension decompresses, splits lines, parses JSON and takes three fields out
without Python's lock; of what runs for each line only `by_hour`, which cuts a time down to its hour, and counting are Python. A
partition is a file, and as many files are in memory at a time as there are threads: memory depends on the size of a file and on
how many different things are counted, not on how long the log is. The answer is checked against a loop in plain Python on a
part of the files.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pantile
import pantile.bag as db

# ---- the question ----

Answer = dict[tuple[str, int], list[tuple[str, int]]]
"""For each hour and status the paths, most frequent first, with their counts."""

MOST = 10


def by_hour(fields: tuple[str, int, str]) -> tuple[str, int, str]:
    """``("2026-03-02T13:59:01.250Z", 200, "/")`` as ``("2026-03-02T13", 200, "/")``."""
    moment, status, path = fields
    return moment[:13], status, path


def hour_and_status(counted: tuple[tuple[str, int, str], int]) -> tuple[str, int]:
    """What the requests of a group have in common."""
    (hour, status, _), _ = counted
    return hour, status


def most_frequent(group: tuple[tuple[str, int], list]) -> tuple[tuple[str, int], list[tuple[str, int]]]:
    """A group's paths with the highest counts; of equal counts those first that sort first."""
    key, counted = group
    paths = [(path, count) for (_, _, path), count in counted]
    return key, sorted(paths, key=lambda item: (-item[1], item[0]))[:MOST]


def with_pantile(files: list[Path], workers: int) -> Answer:
    """The answer by bags."""
    requests = db.read_text(files).map(json.loads).pluck(["time", "status", "path"])
    counts = requests.map(by_hour).frequencies()
    groups = counts.groupby(hour_and_status).map(most_frequent)
    return dict(groups.compute(num_workers=workers))


def with_loop(files: list[Path]) -> Answer:
    """The answer by a loop over all lines: what the first is checked against."""
    counts: dict[tuple[str, int], Counter[str]] = {}
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                request = json.loads(line)
                key = request["time"][:13], request["status"]
                counts.setdefault(key, Counter())[request["path"]] += 1
    return {
        key: sorted(paths.items(), key=lambda item: (-item[1], item[0]))[:MOST]
        for key, paths in counts.items()
    }


# ---- the log ----

SEED = 20_260_302
DAY = "2026-03-02"
LINE_BYTES = 256
"""About the mean length of a line."""

FILE_BYTES = 16_000_000
"""About how much text a full file has. A worker holds the text of one."""

PAGES = 20_000
STATUSES = np.array([200, 304, 301, 404, 500, 503])
SHARES = [0.9, 0.045, 0.01, 0.035, 0.007, 0.003]
SCANNED = ["/wp-login.php", "/.env", "/.git/config", "/phpmyadmin/", "/xmlrpc.php", "/backup.zip"]
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.13.0",
]


def pages() -> list[str]:
    """The site's pages, most visited first."""
    kinds = (
        "/products/{}",
        "/articles/2026/{}",
        "/users/{}/orders",
        "/static/img/{}.webp",
        "/search?q=größe+{}",
    )
    return ["/", "/login", "/cart", "/api/v1/status", "/static/app.js"] + [
        kinds[i % len(kinds)].format(i) for i in range(PAGES)
    ]


def moments(share: np.ndarray) -> list[str]:
    """Times of the day by the share of the day's requests that came before: few at night, many in the evening."""
    seconds = np.linspace(0, 86_400, 1_441)
    traffic = 1.2 - np.cos((seconds - 4 * 3_600) / 86_400 * 2 * np.pi)
    before = np.cumsum(traffic) - traffic[0]
    milliseconds = (np.interp(share, before / before[-1], seconds) * 1_000).astype("i8").clip(max=86_399_999)
    return (np.datetime64(DAY, "ms") + milliseconds).astype(str).tolist()


def request_lines(number: int, files: int, lines: int) -> Iterator[str]:
    """The lines of file `number` of the log, which depend on the seed and these numbers alone."""
    draw = np.random.default_rng((SEED, number))
    times = moments((number + np.sort(draw.random(lines))) / files)
    status = draw.choice(STATUSES, size=lines, p=SHARES)
    site = pages()
    # Zipf's law: the page of rank r is visited in proportion to 1 / r.
    weight = np.cumsum(1 / np.arange(1, len(site) + 1))
    page = np.searchsorted(weight, draw.random(lines) * weight[-1])
    # Half of what is not found was never there.
    scanned = np.where((status == 404) & (draw.random(lines) < 0.5), draw.integers(1, 7, lines), 0)
    path = [json.dumps(p) for p in site]
    probe = ["", *map(json.dumps, SCANNED)]
    agent = [json.dumps(a) for a in AGENTS]
    columns = zip(
        times,
        status.tolist(),
        page.tolist(),
        scanned.tolist(),
        draw.integers(0, 4, lines).tolist(),
        draw.integers(0, 65_536, lines).tolist(),
        draw.integers(200, 60_000, lines).tolist(),
        draw.exponential(40.0, lines).round(1).tolist(),
        draw.integers(0, len(agent), lines).tolist(),
        strict=True,
    )
    for at, code, p, s, host, client, size, ms, a in columns:
        yield (
            f'{{"time": "{at}Z", "host": "web-{host}", "client": "198.18.{client >> 8}.{client & 255}", "method": "GET", '
            f'"path": {probe[s] or path[p]}, "status": {code}, "bytes": {size}, "ms": {ms}, "agent": {agent[a]}}}\n'
        )


def write_file(path: Path, number: int, files: int, lines: int) -> None:
    """Writes one file. It gets its name when it is complete, so that half a file is never taken for a whole one."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with gzip.open(part, "wt", compresslevel=3, encoding="utf-8") as file:
            file.writelines(request_lines(number, files, lines))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def make_log(cache: Path, size: int) -> tuple[list[Path], int]:
    """The log's files, made where they are missing, and how many lines they have."""
    folder = cache / f"web-log-{SEED}-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    total = max(1, size // LINE_BYTES)
    count = max(4, -(-size // FILE_BYTES))
    lines = [total * (i + 1) // count - total * i // count for i in range(count)]
    paths = [folder / f"access-{i:03}.jsonl.gz" for i in range(count)]
    write = pantile.delayed(write_file)
    missing = [
        write(p, i, count, n) for i, (p, n) in enumerate(zip(paths, lines, strict=True)) if not p.exists()
    ]
    if missing:
        print(f"making {len(missing)} files in {folder} ...", flush=True)
        pantile.compute(*missing)
    return paths, total


# ---- what it costs ----


def byte_count(text: str) -> int:
    """Reads a size such as 1GB, 32MB or 1000000."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(|k|M|G)B?", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write, for example, 1GB, 32MB or 1000000")
    return int(float(match[1]) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[match[2]])


def forget_peak() -> None:
    """Makes the system's high-water mark of this process start again from what is held now."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_memory() -> int:
    """The most physical memory that this process has held since `forget_peak` and each of its workers ever, added up."""
    processes = [Path("/proc/self")]
    for children in Path("/proc/self/task").glob("*/children"):
        processes += [Path("/proc", pid) for pid in children.read_text().split()]
    total = 0
    for process in processes:
        # A process may have ended meanwhile, and on other systems there is no such folder.
        with contextlib.suppress(OSError):
            status = (process / "status").read_text()
            total += sum(int(kilobytes) * 1024 for kilobytes in re.findall(r"VmHWM:\s+(\d+) kB", status))
    return total


def show(answer: Answer) -> None:
    """The paths of the busiest hour: the one in which the most frequent paths have most requests."""
    requests: Counter[str] = Counter()
    for (hour, _), paths in answer.items():
        requests[hour] += sum(count for _, count in paths)
    ((busiest, _),) = requests.most_common(1)
    print(f"{len(answer)} pairs of hour and status; at {busiest}h the most frequent paths were")
    for hour, status in sorted(answer):
        if hour == busiest:
            top = ", ".join(f"{path} {count}" for path, count in answer[hour, status][:3])
            print(f"  {status}  {top}")


def main(arguments: list[str] | None = None) -> int:
    """Makes the log, asks, checks, and says what it cost; 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0].partition(":")[0])
    parser.add_argument(
        "--size", type=byte_count, default="1GB", help="about how much JSON text (default: 1GB)"
    )
    parser.add_argument("--cache", type=Path, default=Path("build/examples"), help="where the log is kept")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4), help="how many at a time")
    parser.add_argument(
        "--check-files", type=int, default=3, help="how many files the loop reads (default: 3)"
    )
    parser.add_argument(
        "--limit", type=byte_count, default="512MB", help="fail above this memory (default: 512MB)"
    )
    options = parser.parse_args(arguments)
    if min(options.size, options.workers, options.check_files) < 1:
        parser.error("--size, --workers and --check-files must be at least 1")

    files, lines = make_log(options.cache, options.size)
    packed = sum(file.stat().st_size for file in files)
    print(f"{lines:,} requests in {len(files)} files, {packed / 1e6:.0f} MB of gzip")

    forget_peak()
    start = time.perf_counter()
    answer = with_pantile(files, options.workers)
    seconds = time.perf_counter() - start
    peak = peak_memory()
    show(answer)
    print(
        f"bag:  {seconds:.2f} s, {lines / seconds / 1e6:.2f} million lines a second, on {options.workers} threads"
    )
    print(f"      at most {peak / 1e6:.0f} MB of memory")

    part = files[: options.check_files]
    start = time.perf_counter()
    expected = with_loop(part)
    loop_seconds = time.perf_counter() - start
    start = time.perf_counter()
    found = answer if part == files else with_pantile(part, options.workers)
    part_seconds = time.perf_counter() - start
    print(f"loop: {loop_seconds:.2f} s on {len(part)} of the files", end="")
    print("" if part == files else f", bag {part_seconds:.2f} s on the same")

    if found != expected:
        print("the two ways differ")
        return 1
    print("the two ways agree")
    if peak > options.limit:
        print(f"that was more memory than {options.limit / 1e6:.0f} MB")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
