"""Override: another limit for a while. Here: the verb. Not here: what it does (control.override_limit)."""

import click

from stiggctl.cli.answering import as_json_option
from stiggctl.cli.asking import customer_option, stamp_options, timezone_option, values_by_key
from stiggctl.cli.changes import say_change
from stiggctl.cli.locating import opened_to_read
from stiggctl.cli.when import instant_of


@click.command()
@click.argument("path")
@click.argument("resource")
@click.argument("currency")
@click.option("--limit", metavar="NUMBER", help="In place of what the limit is; or")
@click.option("--add", metavar="NUMBER", help="so much more than it is.")
@click.option("--until", metavar="WHEN", required=True, help="When it ends: 2026-01-31, or an instant.")
@click.option("--since", metavar="WHEN", help="From when on; left out: from now on.")
@timezone_option
@click.option("--cadence", metavar="CADENCE", help="Of the limits that are meant: day, P1M, …")
@click.option(
    "--scope", "scopes", multiple=True, metavar="KEY=VALUE", help="Of the limits that are meant; repeatable."
)
@customer_option
@stamp_options
@as_json_option
def override(
    *,
    path: str,
    resource: str,
    currency: str,
    limit: str | None,
    add: str | None,
    until: str,
    since: str | None,
    timezone: str,
    cadence: str | None,
    scopes: tuple[str, ...],
    customer: str | None,
    actor: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Change the limits of RESOURCE in CURRENCY for a while, in the ledger PATH.

    It ends by itself, and the limits are as before. The same again replaces it: nothing is added twice.
    """
    if (limit is None) == (add is None):
        raise click.UsageError("Give either --limit or --add.")
    with opened_to_read(path) as control:
        applied = control.override_limit(
            resource,
            currency,
            limit=limit,
            add=add,
            until=instant_of(until, timezone) or until,
            since=instant_of(since, timezone),
            cadence=cadence,
            scope=values_by_key(scopes, "scope"),
            customer_id=customer,
            actor=actor,
            reason=reason,
        )
    say_change(path, applied, as_json=as_json)
