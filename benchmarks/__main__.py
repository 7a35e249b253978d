"""``python -m benchmarks``: measures, judges, prints, and writes results.json.

Exit status: 0 when every answer was right; 1 when a variant answered wrongly or failed, or with ``--strict`` when a limit was
missed; 2 for bad arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from . import report
from .cases import CASES
from .data import ROOT
from .runner import mark_wrong_answers, measure


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    names = sorted({name for case in CASES.values() for name in case.variants})
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Pantile's benchmarks")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=CASES, help=f"of {', '.join(CASES)}")
    parser.add_argument("--variants", metavar="NAME", nargs="+", choices=names, help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: are the answers right? no verdicts")
    parser.add_argument("--strict", action="store_true", help="a missed limit is a failure")
    parser.add_argument("--output", type=Path, help="results file (default: benchmarks/results.json if full)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Entry point; answers the exit status."""
    options = arguments(argv)
    size = "quick" if options.quick else "full"
    machine = report.machine()
    print(
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_bytes'] / 1e9:.0f} GB, Python {machine['python']}"
    )
    print(", ".join(f"{name} {version}" for name, version in machine["versions"].items()))
    if size == "full" and machine["load_average"] > 0.5:
        print(
            f"Warning: the machine is busy (load {machine['load_average']:.1f}); the figures will be noisy."
        )
    print(flush=True)

    progress = sys.stderr.isatty()
    rows = []
    for name in options.only or CASES:
        case = CASES[name]

        def say(text: str, name: str = name) -> None:
            if progress:
                print(f"\r\033[K{name}: {text}", end="", file=sys.stderr, flush=True)

        measurements = measure(case, size, options.variants, say)
        mark_wrong_answers(case, measurements)
        if progress:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        rows.append(report.judge(case, measurements, size))
        print(report.row_text(rows[-1]), flush=True)

    failed = [
        f"{row['name']}, {name}: {v['error']}"
        for row in rows
        for name, v in row["variants"].items()
        # In the tests' environment the peers are not installed, which is no failure; Pantile must always be there.
        if v["error"] and not (v["missing"] and name != "pantile")
    ]
    verdicts = [limit["verdict"] for row in rows for limit in row["limits"]]
    missed = verdicts.count("MISS")
    print()
    print(
        f"{verdicts.count('pass')} limits kept, {missed} missed, {verdicts.count(None)} not judged; {len(failed)} failures"
    )
    for line in failed:
        print(f"FAILED {line}")

    # A part of the table must not replace the whole one that the chart is drawn from.
    output = options.output
    if output is None and size == "full" and options.only is None and options.variants is None and not failed:
        output = ROOT / "benchmarks" / "results.json"
    if output is not None:
        part = output.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1, ensure_ascii=False) + "\n")
        os.replace(part, output)
        print(f"Written: {output}")
    return 1 if failed or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
