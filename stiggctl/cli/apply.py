"""Apply: a model into a ledger, or what it would change there.

Here: the verb, and how what was applied is told. Not here: what is wrong in a model (the model's
own problems say so), how problems are told (__init__.py).
"""

import sys
from pathlib import Path
from typing import Any

import click

from stiggctl import Applied, InvalidModel, Problem, UsageControl
from stiggctl.cli.answering import Exit, Screen, as_json_option, say_fact, say_json
from stiggctl.cli.changes import say_lists
from stiggctl.cli.locating import is_there, opened_to_read
from stiggctl.cli.models import read_model
from stiggctl.cli.telling import Tell, told


@click.command()
@click.argument("path")
@click.argument("model")
@click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing.")
@click.option("--prune", is_flag=True, help="Also archive or remove what the model no longer names.")
@click.option("--actor", help="Who changes it, for the audit.")
@click.option("--reason", help="Why, for the audit.")
@as_json_option
@click.pass_context
def apply(
    ctx: click.Context,
    *,
    path: str,
    model: str,
    dry_run: bool,
    prune: bool,
    actor: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Make the ledger PATH have the model in the file MODEL ("-": from stdin).

    All of it or nothing. A ledger that is not there is made. Usage is never touched.
    """
    screen = Screen.of(sys.stdout)
    makes, applied = not is_there(path), Applied()
    try:
        with told(screen, quiet=as_json) as tell:
            given = read_model(model)
            if dry_run or makes:
                # Also before a ledger is made: a model with problems leaves no empty one behind.
                applied = _would_apply(path, given, prune=prune, makes=makes, tell=tell)
            if not dry_run:
                with UsageControl(path) as control:
                    applied = control.apply(given, prune=prune, actor=actor, reason=reason, progress=tell)
    except InvalidModel as invalid:
        if as_json:
            say_json({"location": path, "problems": list(map(_problem, invalid.problems))})
        raise
    if as_json:
        say_json({"location": path, "dryRun": dry_run, "makesLedger": makes, **applied.as_dict()})
    else:
        _say(screen, path, applied, dry_run=dry_run, makes=makes, prune=prune)
    ctx.exit(Exit.DONE)


def _would_apply(path: str, given: str | Path, *, prune: bool, makes: bool, tell: Tell) -> Applied:
    """What applying it would do; nothing is written, and no ledger made: an empty one is planned on."""
    with UsageControl(":memory:") if makes else opened_to_read(path) as control:
        return control.apply(given, prune=prune, dry_run=True, progress=tell)


# ------------------------------------------------------------------ how it is told


def _problem(problem: Problem) -> dict[str, Any]:
    value = problem.value if isinstance(problem.value, str | int | None) else str(problem.value)
    return {"path": problem.path, "value": value, "expected": problem.expected}


def _say(screen: Screen, path: str, applied: Applied, *, dry_run: bool, makes: bool, prune: bool) -> None:
    making = (", which would be made" if dry_run else ", made now") if makes else ""
    say_fact(screen, "ledger", path + making)
    say_fact(screen, "dry run" if dry_run else "applied", _counts(applied, dry_run=dry_run))
    say_lists(screen, applied)
    if applied.not_named and not prune:
        say_fact(screen, "", "(what is not named stays; --prune archives or removes it)")


def _counts(applied: Applied, *, dry_run: bool) -> str:
    told = [
        f"{len(names):,} {word}"
        for word, names in (
            ("created", applied.created),
            ("changed", applied.changed),
            ("archived or removed", applied.archived),
            ("unchanged", applied.unchanged),
        )
        if names
    ]
    counts = ", ".join(told) or "the model names nothing"
    if dry_run:
        return f"{counts}; nothing was written"
    return counts if applied else f"{counts}; there was nothing to write"
