"""Explain: why a request was denied, or what an event cost and who paid.

Here: the verb, and how an explanation is laid out. Not here: what it consists of (control.explain),
tables (tables.py, listing.py).
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import click

from stiggctl import DenialExplained, EventExplained, LimitState
from stiggctl.cli.answering import Screen, as_json_option, say, say_fact, say_json
from stiggctl.cli.letters import cut, number, padded, printable, width_of
from stiggctl.cli.listing import listed
from stiggctl.cli.locating import opened_to_read
from stiggctl.cli.tables import limits


@click.command()
@click.argument("path")
@click.argument("id_", metavar="ID")
@click.argument("other", required=False, metavar="[OTHER]")
@as_json_option
def explain(*, path: str, id_: str, other: str | None, as_json: bool) -> None:
    """Tell why a request was denied by the ledger PATH; or of an event, what it cost and who paid.

    ID is the decision id of a denial (`stiggctl denials` lists them), the id of an event, or that of a
    reservation that was settled. With the ID of a denial and an OTHER one, or an event that went through:
    what was not the same.
    """
    with opened_to_read(path) as control:
        found = control.explain(id_) if other is None else control.explain(id_, other)
    if as_json:
        say_json(found.as_dict())
    elif isinstance(found, DenialExplained):
        _say_denial(Screen.of(sys.stdout), found)
    else:
        _say_event(Screen.of(sys.stdout), found)


# ------------------------------------------------------------------ a denial


def _say_denial(screen: Screen, found: DenialExplained) -> None:
    denial, decision = found.denial, found.decision
    say_fact(screen, "denied", str(decision))
    say_fact(screen, "reason", f"{denial.reason}")
    whom = ", ".join(denial.resource_ids) or "nobody"
    say_fact(screen, "asked", f"{denial.verb} for {whom}, at {_instant(decision.at)}")
    if denial.customer_id is not None:
        say_fact(screen, "customer", denial.customer_id)
    if denial.event_name is not None:
        say_fact(screen, "event", denial.event_name)
    if denial.dimensions:
        said = ", ".join(f"{name}={value}" for name, value in sorted(denial.dimensions.items()))
        say_fact(screen, "dimensions", said)
    if denial.times > 1:
        say_fact(screen, "the same", f"{denial.times:,} times from {_instant(denial.first_at)} on")
    for line in found.would_pass:
        say_fact(screen, "would pass", line)
    for lift in found.lifts:
        say_fact(screen, "override", str(lift))
    for one in found.difference or ():
        say_fact(screen, "differs", one)
    if found.difference == ():
        say_fact(screen, "differs", "nothing that was kept")
    _say_limits(screen, decision.limits)
    spent = [(", ".join(one.resource_ids), number(one.amount), f"{one.events:,}") for one in found.filled_by]
    if decision.binding is not None:
        _say_table(screen, f"spent of {decision.binding.resource_id}", spent)
    _say_lines(listed(found.last_events, screen))


# ------------------------------------------------------------------ an event


def _say_event(screen: Screen, found: EventExplained) -> None:
    event = found.event
    say_fact(screen, "event", f"{event.event_id} {event.event_name or ''}".strip())
    say_fact(screen, "at", _instant(event.occurred_at))
    say_fact(screen, "charged to", ", ".join(event.resource_ids) or event.customer_id)
    if event.reservation_id is not None:
        say_fact(screen, "reserved as", event.reservation_id)
    for charged in found.charged:
        say_fact(screen, "cost", f"{_amount(charged.amount, charged.credit_currency)}: {charged.why}")
    for paid in found.paid_by:
        say_fact(screen, "paid by", f"{paid.grant_id}: {_amount(paid.amount, paid.credit_currency)}")
    for other in found.adjustments:
        amounts = ", ".join(_amount(amount, name) for name, amount in other.amounts.items())
        say_fact(screen, "adjusted by", f"event {other.event_id}: {amounts}")
    if found.reversed_by is not None:
        say_fact(screen, "taken back", f"by event {found.reversed_by}")
    _say_limits(screen, found.limits)


# ------------------------------------------------------------------ parts


def _say_limits(screen: Screen, states: Sequence[LimitState]) -> None:
    _say_lines(limits(states, screen))


def _say_lines(lines: Iterable[str]) -> None:
    """After an empty line, where there are any."""
    for at, line in enumerate(lines):
        if at == 0:
            say()
        say(line)


def _say_table(screen: Screen, heading: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Who, how much, in how many events; who is cut where there is no room."""
    if not rows:
        return
    lines = [(printable(heading), "amount", "events"), *((printable(who), *rest) for who, *rest in rows)]
    widths = [max(width_of(line[at]) for line in lines) for at in range(3)]
    room = widths[0] if screen.columns is None else screen.columns - widths[1] - widths[2] - 4
    if room < 1:  # then who it was matters most
        room, widths[1:] = screen.columns or 1, []
    room = min(room, widths[0])
    say()
    for at, (who, *rest) in enumerate(lines):
        told = padded(cut(who, room, ellipsis=screen.ellipsis), room)
        told += "".join("  " + one.rjust(width) for one, width in zip(rest, widths[1:], strict=False))
        say(screen.paint(told.rstrip(), dim=at == 0))


def _amount(amount: int | Decimal, currency: str) -> str:
    return f"{number(amount)} {currency}"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
