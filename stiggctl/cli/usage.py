"""Usage: what was booked in a ledger, summed by what and when, with the margin in it.

Here: the verb, and how buckets are called. Not here: how rows are drawn (totals.py), how options are
read (asking.py, when.py), what rows are (control.usage).
"""

import sys
from collections.abc import Sequence
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import click

from stiggctl.cli.answering import Screen, as_json_option, say, say_fact, say_json
from stiggctl.cli.asking import numbers_by_name
from stiggctl.cli.letters import printable
from stiggctl.cli.locating import opened_to_read
from stiggctl.cli.totals import Line, table
from stiggctl.cli.when import instant_of

#: With which a duration of a unit ends.
_LETTERS = {"hour": "H", "day": "D", "week": "W", "month": "M", "year": "Y"}


@click.command()
@click.argument("path")
@click.option("--by", metavar="WHAT", help='"resource", "event", "customer", or the name of a dimension.')
@click.option("--bucket", metavar="CADENCE", help="hour, day, week, month, year, or a duration: PT6H, P3M.")
@click.option("--timezone", metavar="ZONE", default="UTC", help="Of buckets and dates; left out: UTC.")
@click.option("--since", metavar="WHEN", help="From when: 2026-01-31, or an instant; it is included.")
@click.option("--until", metavar="WHEN", help="Until when, likewise; it is not included.")
@click.option("--customer", metavar="ID", help="Only this customer's.")
@click.option("--resource", metavar="ID", help="Only what was charged to it or below it.")
@click.option("--type", "resource_type", metavar="ID", help="With --by resource: only those of this type.")
@click.option("--event", metavar="NAME", help="Only events of this name.")
@click.option("--currency", metavar="ID", help="Only this currency; left out: all.")
@click.option(
    "--worth",
    "worths",
    multiple=True,
    metavar="CURRENCY=NUMBER",
    help="What one credit is worth: shows the margin; repeatable.",
)
@click.option("--cost", metavar="ID", default="usd", help="What the provider charged in; left out: usd.")
@as_json_option
def usage(
    *,
    path: str,
    by: str | None,
    bucket: str | None,
    timezone: str,
    since: str | None,
    until: str | None,
    customer: str | None,
    resource: str | None,
    resource_type: str | None,
    event: str | None,
    currency: str | None,
    worths: tuple[str, ...],
    cost: str,
    as_json: bool,
) -> None:
    """Show what was booked in the ledger PATH: one total, or summed --by what, in each --bucket.

    Without a bucket the largest come first. By resource an event counts at each that it was charged to and
    at all above: those rows overlap. With --worth ai-tokens=0.01 the margin is shown: what was charged, in
    money, less what the provider charged in --cost; below nothing it is a loss.
    """
    worth = numbers_by_name(worths, "worth", "CURRENCY=NUMBER")
    screen = Screen.of(sys.stdout)
    with opened_to_read(path) as control:
        rows = control.usage(
            customer,
            group_by=by,
            bucket=bucket,
            timezone=timezone,
            since=instant_of(since, timezone),
            until=instant_of(until, timezone),
            credit_currency=currency,
            resource_id=resource,
            resource_type_id=resource_type,
            event_name=event,
        )
    margins = [row.margin(worth, cost) if worth else None for row in rows]
    if as_json:
        more = [{} if margin is None else {"margin": f"{margin:f}"} for margin in margins]
        say_json({"usage": [{**row.as_dict(), **each} for row, each in zip(rows, more, strict=True)]})
        return
    if not any(row.events for row in rows):
        say_fact(screen, "usage", "there is none")
        return
    zone = ZoneInfo(timezone)
    lines = [
        Line(
            owner=row.customer_id if by == "resource" else None,
            bucket=None if row.bucket_start is None else _label(row.bucket_start, f"{bucket}", zone),
            name=None if by is None else "(none)" if row.key is None else printable(row.key),
            events=row.events,
            amounts=row.amounts,
            margin=margin,
        )
        for row, margin in zip(rows, margins, strict=True)
    ]
    _say(screen, lines, bucket, None if by is None else by.removeprefix("dimensions."))


def _say(screen: Screen, lines: Sequence[Line], bucket: str | None, by: str | None) -> None:
    """A table for each owner; one where there is none."""
    owners = list(dict.fromkeys(line.owner for line in lines))
    for at, owner in enumerate(owners):
        if at:
            say()
        if len(owners) > 1:
            say_fact(screen, "customer", f"{owner}")
        for line in table([one for one in lines if one.owner == owner], bucket, by, screen):
            say(line)


def _label(start: datetime, bucket: str, zone: tzinfo) -> str:
    """A bucket as its beginning, as the clocks of the zone show it, no longer than it has to be.

    >>> start = datetime(2026, 1, 31, 23, tzinfo=ZoneInfo("UTC"))
    >>> [_label(start, bucket, ZoneInfo("Europe/Amsterdam")) for bucket in ("P3M", "day", "hour", "year")]
    ['2026-02', '2026-02-01', '2026-02-01 00:00+01:00', '2026']
    """
    try:
        local = start.astimezone(zone)
    except OverflowError:  # the first or last day that a datetime can write
        local = start
    match _LETTERS.get(bucket.lower(), bucket[-1:].upper()):
        case "H":
            return local.isoformat(sep=" ", timespec="minutes").removesuffix("+00:00")
        case "M":
            return local.isoformat()[: len("2026-01")]
        case "Y":
            return local.isoformat()[: len("2026")]
        case _:
            return local.isoformat()[: len("2026-01-31")]
