"""What is run: python -m benchmarks [PART] [--quick] [--json]; PART: decide, mixed, book … (PARTS)."""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import against, book, decide, flat, guard, memory, mixed, processes, watch, years
from benchmarks.measuring import Line, as_json, as_text

PARTS: dict[str, Callable[..., list[Line]]] = {
    "decide": decide.run,
    "mixed": mixed.run,
    "book": book.run,
    "guard": guard.run,
    "processes": processes.run,
    "watch": watch.run,
    "flat": flat.run,
    "memory": memory.run,
    "years": years.run,
}
TITLES = {
    "decide": "decide: nanoseconds a call, beside one lock, a look and an addition at each limit",
    "mixed": "mixed: eight cells of every kind, beside as many limits for ever",
    "book": "book: durable bookings, beside one commit an event",
    "guard": "guard: a guarded call, beside its reserve and settle by hand",
    "processes": "processes: reserve in several processes of four threads, beside one transaction a decision",
    "watch": "watch: hooks and thresholds, beside a control that has none",
    "flat": "flat: the same with many resources, and after many events",
    "memory": "memory: what resources weigh that were touched",
    "years": "years: windows that turn for ten years, and a limit that comes to a long past",
}
OTHERS = {
    "decide": "floor",
    "mixed": "for ever",
    "book": "by hand",
    "guard": "by hand",
    "processes": "by hand",
    "watch": "without",
    "flat": "beside",
    "memory": "beside",
    "years": "beside",
}


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="README.md says how to read it."
    )
    parser.add_argument("part", nargs="?", choices=list(PARTS), help="one of them; left out: all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: some seconds, rougher figures")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.add_argument(
        "--against", type=Path, metavar="PATH", help="with `processes`: one process beside that checkout's"
    )
    asked = parser.parse_args()
    if asked.against is not None:
        if asked.part != "processes":
            parser.error("--against belongs to `processes`")
        _beside(asked.against, quick=asked.quick, json=asked.json)
        return
    told: dict[str, list[Line]] = {}
    for name in [asked.part] if asked.part else PARTS:
        told[name] = PARTS[name](quick=asked.quick)
        if not asked.json:
            print(as_text(TITLES[name], OTHERS[name], told[name]), end="\n\n", flush=True)
    if asked.json:
        print(as_json(told))


def _beside(other: Path, *, quick: bool, json: bool) -> None:
    if not (other / "stiggctl" / "__init__.py").is_file():
        raise SystemExit(f"{other} is no checkout of this package")
    lines = against.run(other.resolve(), quick=quick)
    title = f"processes: one process, beside that of {other}"
    print(as_json({"against": lines}) if json else as_text(title, "there", lines))


main()
