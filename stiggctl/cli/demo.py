"""Demo: a company, a burst of calls into its limits, and what the ledger says of it afterwards.

Here: the verb, and how its story is told. Not here: the company (acme.py), the calls (burst.py).
"""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from stiggctl import Difference, LedgerError, TreeNode, UsageControl
from stiggctl.cli.acme import LONG_CALL, LONG_CALL_HELD, LONG_CALL_USED, ROOTS, TOKENS, model
from stiggctl.cli.answering import Exit, Screen, as_json_option, say, say_fact, say_json, verified
from stiggctl.cli.burst import THREADS, Tally, burst
from stiggctl.cli.letters import cut, number
from stiggctl.cli.tables import bar, trees

_MEMORY = ":memory:"
_CUSTOMER = "cust-acme-inc"
#: Stands in the audit of every ledger that a demo made: by it the demo knows its own.
_REASON = "stiggctl demo"
#: How often the progress is told where no line can be written over: a few lines a demo.
_LINE_SECONDS = 0.5
_BAR = 16

Tell = Callable[[float, Tally], None]


class _Story(NamedTuple):
    """What happened."""

    location: str
    customer_id: str
    seed: int
    seconds: float  #: how long the burst took
    tally: Tally
    roots: list[TreeNode]  #: right after it, the long call still open
    differences: list[Difference]


@click.command()
@click.argument("path", required=False)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="Ask for what an earlier demo asked for. Left out: by chance.",
)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 60), default=2.0, show_default=True, help="How long to call."
)
@as_json_option
@click.pass_context
def demo(ctx: click.Context, *, path: str | None, seed: int | None, seconds: float, as_json: bool) -> None:
    """Let a company's threads call into its limits, and show what the ledger says.

    Without PATH the ledger lies in memory and is gone afterwards. With PATH it is kept there, to be
    looked at; a ledger that has anything but demos in it is left alone.
    """
    screen = Screen.of(sys.stdout)
    location = _MEMORY if path is None else path
    customer_id = _customer_of_run(location)
    seed = secrets.randbelow(2**32) if seed is None else seed
    with UsageControl(location) as control:
        control.apply(model(customer_id), actor="demo", reason=_REASON)
        if as_json:
            story = _play(control, customer_id, seed, seconds, lambda _, __: None)
            say_json(_as_dict(story))
        else:
            _say_beginning(screen, location, customer_id, seed)
            with _progress(screen, control, customer_id) as tell:
                story = _play(control, customer_id, seed, seconds, tell)
            _say_end(screen, story)
    ctx.exit(Exit.DIFFERENCES if story.differences else Exit.DONE)


def _customer_of_run(location: str) -> str:
    """Whose calls this run makes: each run in one ledger has a customer of its own.

    Raises LedgerError where the ledger has anything but demos in it. Nothing is written.
    """
    runs = 0
    if location != _MEMORY and Path(location).exists() and Path(location).stat().st_size:
        with UsageControl(location, create=False) as control:
            if any(entry.reason != _REASON for entry in control.audit()):
                raise LedgerError(
                    location=location,
                    reason="this ledger has a model of its own, and a demo would write into it",
                    remedy="nothing was changed: give the demo another path",
                )
            runs = len(control.export_model().customers)
    return f"{_CUSTOMER}-{runs + 1}" if runs else _CUSTOMER


# ------------------------------------------------------------------ what happens


def _play(control: UsageControl, customer_id: str, seed: int, seconds: float, tell: Tell) -> _Story:
    """A long call, the burst beside it, and what can be read afterwards."""
    long_call = control.reserve(
        resource_ids=LONG_CALL,
        credit_currency=TOKENS,
        amount=LONG_CALL_HELD,
        customer_id=customer_id,
        event_name="night run",
    )
    took, tally = burst(control, customer_id, seed=seed, seconds=seconds, tell=tell)
    roots = [control.tree(root, TOKENS, customer_id=customer_id) for root in ROOTS]
    long_call.settle(LONG_CALL_USED)
    return _Story(control.location, customer_id, seed, took, tally, roots, control.verify())


def _as_dict(story: _Story) -> dict[str, Any]:
    tally = story.tally
    return {
        "location": story.location,
        "customerId": story.customer_id,
        "seed": story.seed,
        "threads": THREADS,
        "seconds": round(story.seconds, 3),
        "decisions": tally.decisions,
        "decisionsPerSecond": round(tally.decisions / story.seconds),
        "admitted": tally.admitted,
        "denied": tally.denied,
        "booked": {TOKENS: tally.booked},
        "denial": None if tally.denial is None else tally.denial.as_dict(),
        "trees": [root.as_dict() for root in story.roots],
        "differences": [difference._asdict() for difference in story.differences],
    }


# ------------------------------------------------------------------ how it is told


def _say_beginning(screen: Screen, location: str, customer_id: str, seed: int) -> None:
    where = "in memory, gone afterwards (with a PATH it is kept there)" if location == _MEMORY else location
    say_fact(screen, "ledger", where)
    say_fact(screen, "seed", f"{seed} (with --seed {seed} the threads ask for the same again)")
    doing = (
        f"{THREADS} threads call for the users of {customer_id}. Each call names a user, a region and a "
        f"feature, and counts in every limit of theirs and above them"
    )
    say_fact(screen, "calls", doing)


@contextmanager
def _progress(screen: Screen, control: UsageControl, customer_id: str) -> Iterator[Tell]:
    """Tells how far it is: in one line that is written over, or in a few lines."""
    told = 0.0

    def tell(passed: float, tally: Tally) -> None:
        nonlocal told
        if not screen.live and passed - told < _LINE_SECONDS:
            return
        told = passed
        top = control.check(resource_ids=[ROOTS[0]], credit_currency=TOKENS, customer_id=customer_id).binding
        if top is None:
            return  # the ledger does not answer, and a call is about to say so
        counts = f"{tally.decisions:,} calls, {tally.admitted:,} admitted, {tally.denied:,} denied"
        if screen.live:
            drawn = bar(top.used, top.held, top.limit, _BAR, blocks=screen.blocks)
            line = cut(f"{drawn}  {top.resource_id}  {passed:.1f} s  {counts}", (screen.columns or 80) - 1)
            click.echo(f"\r{line}\x1b[K", nl=False)
        else:
            left = f"{number(top.remaining)} of {number(top.limit)} left"
            say(f"  {passed:.1f} s: {counts}; {top.resource_id} has {left}")

    try:
        yield tell
    finally:
        if screen.live:
            click.echo("\r\x1b[K", nl=False)


def _say_end(screen: Screen, story: _Story) -> None:
    tally = story.tally
    say()
    for line in trees(story.roots, screen):
        say(line)
    say()
    if tally.denial is not None:
        say_fact(screen, "a denial", f"{tally.denial}")
        if tally.denial.remedy is not None:
            say_fact(screen, "remedy", str(tally.denial.remedy))
    say_fact(
        screen,
        "decisions",
        f"{tally.decisions:,} in {story.seconds:.1f} s, {tally.decisions / story.seconds:,.0f} a second: "
        f"{tally.admitted:,} admitted and booked, {tally.denied:,} denied",
    )
    say_fact(screen, "limits", _limits_in_words(story.roots))
    freed = LONG_CALL_HELD - LONG_CALL_USED
    say_fact(
        screen,
        "a long call",
        f"held {LONG_CALL_HELD:,} all the while and used {LONG_CALL_USED:,}: {freed:,} are free again",
    )
    say_fact(screen, "verify", verified(story.differences))
    if story.location != _MEMORY:
        say_fact(screen, "kept", f"look again with: stiggctl doctor {story.location}")


def _limits_in_words(roots: list[TreeNode]) -> str:
    """Whether any was passed: a HARD one never is by calls that were admitted."""
    limits = [limit for root in roots for _, node in root.walk() for limit in node.limits]
    passed = [limit for limit in limits if limit.used + limit.held > limit.limit]
    hard = [limit.resource_id for limit in passed if limit.enforcement_type == "HARD"]
    told = f"passed: {', '.join(hard)}" if hard else "no HARD limit was passed"
    for limit in passed:
        if limit.enforcement_type == "SOFT":
            told += f"; {limit.resource_id} is SOFT and {number(limit.used + limit.held - limit.limit)} over"
    return told
