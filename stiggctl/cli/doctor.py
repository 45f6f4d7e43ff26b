"""Doctor: what a ledger is, who has it, whether its numbers hold, and what to do.

Here: the verb, and how its findings are told. Not here: how they are found (examining.py).
"""

import sys
from typing import Any

import click

from stiggctl.cli.answering import Exit, Screen, as_json_option, in_bytes, say_differences, say_fact, say_json
from stiggctl.cli.examining import Examined, FileFacts, HolderFacts, examine
from stiggctl.cli.locating import named_file


@click.command()
@click.argument("path")
@as_json_option
@click.pass_context
def doctor(ctx: click.Context, *, path: str, as_json: bool) -> None:
    """Look at the ledger PATH: what it is, who has it, whether its numbers hold, and what to do.

    It only looks: other processes may be at work meanwhile.
    """
    examined = examine(named_file(path))
    if examined.refused is not None and examined.file is None:
        raise examined.refused  # there is nothing to tell of
    if as_json:
        say_json(_as_dict(examined))
    else:
        _say(Screen.of(sys.stdout), examined)
    if examined.refused is not None:
        raise examined.refused
    ctx.exit(Exit.DIFFERENCES if examined.differences else Exit.DONE)


def _as_dict(examined: Examined) -> dict[str, Any]:
    file = examined.file
    return {
        "versions": examined.versions,
        "file": None
        if file is None
        else {
            "path": file.path,
            "bytes": file.bytes,
            "logBytes": file.log_bytes,
            "fileSystem": file.file_system,
            "freeBytes": file.free_bytes,
            "writable": file.writable,
        },
        "ledgerId": examined.ledger_id,
        "schemaVersion": examined.schema_version,
        "modelChange": examined.model_change,
        "holders": [
            {"pid": holder.pid, "host": holder.host, "state": holder.state, "holdsUntil": holder.holds_until}
            for holder in examined.holders
        ],
        "differences": None
        if examined.differences is None
        else [difference._asdict() for difference in examined.differences],
        "advice": [advice._asdict() for advice in examined.advice()],
    }


def _say(screen: Screen, examined: Examined) -> None:
    named = (f"{name} {version or '(not installed)'}" for name, version in examined.versions.items())
    say_fact(screen, "versions", ", ".join(named))
    if examined.file is not None:
        _say_file(screen, examined.file)
    if examined.ledger_id is not None:
        say_fact(screen, "ledger id", examined.ledger_id)
        at = f"version {examined.schema_version}; the model is at change {examined.model_change}"
        say_fact(screen, "schema", at)
    if not examined.holders and examined.differences is not None:
        say_fact(screen, "processes", "none has it")
    for holder in examined.holders:
        say_fact(screen, "process", _in_words(holder))
    if examined.differences is not None:
        say_differences(screen, examined.differences)
    _say_advice(screen, examined)


def _say_file(screen: Screen, file: FileFacts) -> None:
    log = f", and {in_bytes(file.log_bytes)} in its log" if file.log_bytes else ""
    say_fact(screen, "file", file.path)
    say_fact(screen, "size", f"{in_bytes(file.bytes)}{log}")
    kind = "" if file.file_system is None else f"{file.file_system}, "
    say_fact(screen, "file system", f"{kind}{in_bytes(file.free_bytes)} free")


def _in_words(holder: HolderFacts) -> str:
    process = f"{holder.pid} on {holder.host}"
    until = holder.holds_until
    match holder.state:
        case "alive":
            return f"{process} is alive and has it" + (f"; it holds credits until {until}" if until else "")
        case "dead":
            held = f"; what it held is withheld until {until}" if until else "; it held nothing"
            return f"{process} is dead{held}; the next process that writes clears it away"
        case "unknown":
            return f"{process}: nobody can tell from here whether it lives"


def _say_advice(screen: Screen, examined: Examined) -> None:
    """What is wrong; but what refused the reading is about to be said on stderr."""
    refused = examined.refused
    found = [advice for advice in examined.advice() if refused is None or advice.wrong != refused.reason]
    if not found and refused is None:
        say_fact(screen, "wrong", "nothing")
    for wrong, remedy in found:
        say_fact(screen, "wrong", wrong)
        say_fact(screen, "what to do", remedy)
