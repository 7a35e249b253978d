"""Runs one variant of one case: ``python -m benchmarks.worker CASE VARIANT full|quick``.

With ``prepare`` as the variant it makes the case's files and ends. Otherwise it makes the data, runs once to warm up, then
waits: each line on its standard input asks for one more timed run. The parent asks the variants in turn, so that a
disturbance of the machine hits all of them alike. Every answer is one line of JSON.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from typing import Any

from .cases import CASES

MISSING = 77
"""Exit status of a worker whose library is not installed."""


def memory_bytes(field: str) -> int:
    """A field of /proc/self/status in bytes, such as VmHWM, the most physical memory ever held. 0 where there is none."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def reset_peak() -> None:
    """Makes VmHWM start anew, where the system lets us, so that making the data does not count as using memory."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def main() -> None:
    """Entry point."""
    name, variant, size = sys.argv[1:4]
    # Libraries may print; the protocol keeps the real standard output to itself.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=out, flush=True)

    case = CASES[name]
    parameters = case.full if size == "full" else case.quick
    if variant == "prepare":
        if case.prepare is not None:
            case.prepare(parameters)
        return
    try:
        run = case.variants[variant](parameters)
    except ModuleNotFoundError as error:
        say({"missing": str(error)})
        sys.exit(MISSING)

    def timed() -> tuple[float, Any]:
        gc.collect()
        begin = time.perf_counter()
        result = run()
        return time.perf_counter() - begin, result

    held = memory_bytes("VmRSS")
    reset_peak()
    first_s, result = timed()
    say({"first_s": first_s, "answer": [float(v) for v in case.summary(result)]})
    reset_peak()
    for line in sys.stdin:
        if line.strip() != "run":
            break
        # The previous result is dropped outside the timed part, as a user's variable going out of scope would be.
        result = None
        seconds, result = timed()
        peak = memory_bytes("VmHWM")
        answer = [float(v) for v in case.summary(result)]
        reset_peak()
        say({"seconds": seconds, "answer": answer, "peak_bytes": peak, "data_bytes": held})


if __name__ == "__main__":
    main()
