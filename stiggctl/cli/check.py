"""Check: whether a call would be admitted now, and what each limit says to it.

Here: the verb, its amounts, and how a decision is told. Not here: tables (tables.py).
"""

import sys
from collections.abc import Sequence

import click

from stiggctl import Decision
from stiggctl.cli.answering import Exit, Screen, as_json_option, say, say_fact, say_json
from stiggctl.cli.asking import parted
from stiggctl.cli.locating import opened_to_read
from stiggctl.cli.tables import limits


@click.command()
@click.argument("path")
@click.option(
    "--resource", "resources", multiple=True, required=True, metavar="ID", help="Whom to ask for; repeatable."
)
@click.option("--currency", metavar="ID", help="The currency of the one --amount.")
@click.option(
    "--amount",
    "amounts",
    multiple=True,
    metavar="[CURRENCY=]NUMBER",
    help="How much. Of several currencies: each as CURRENCY=NUMBER, without --currency.",
)
@click.option("--customer", metavar="ID", help="Whose resources, where several customers have them.")
@click.option(
    "--dimension",
    "dimensions",
    multiple=True,
    metavar="KEY=VALUE",
    help="As it will be reported; repeatable.",
)
@as_json_option
@click.pass_context
def check(
    ctx: click.Context,
    *,
    path: str,
    resources: tuple[str, ...],
    currency: str | None,
    amounts: tuple[str, ...],
    customer: str | None,
    dimensions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Ask the ledger PATH whether a call would be admitted now; nothing is held or booked.

    Exit code 0: it would be; 3: it would be denied. One currency: --currency ai-tokens --amount 50,
    where an amount left out is one smallest unit. Several, all or nothing: --amount ai-tokens=500
    --amount usd=0.02.
    """
    several = _by_currency(currency, amounts)
    told = dict(parted(one, "dimension") for one in dimensions)
    with opened_to_read(path) as control:
        decision = control.check(
            resource_ids=list(resources),
            credit_currency=currency,
            requested_usage=amounts[0] if amounts and several is None else None,
            amounts=several,
            customer_id=customer,
            dimensions=told or None,
        )
    if as_json:
        say_json(decision.as_dict())
    else:
        _say(Screen.of(sys.stdout), decision)
    ctx.exit(Exit.DONE if decision.has_access else Exit.DENIED)


# ------------------------------------------------------------------ what was asked


def _by_currency(currency: str | None, amounts: Sequence[str]) -> dict[str, str] | None:
    """The amounts by currency, where they name theirs; None where --currency does."""
    if currency is not None:
        if len(amounts) > 1:
            raise click.BadOptionUsage(
                "amount", "With --currency give one --amount; of several currencies each as CURRENCY=NUMBER."
            )
        return None
    if not amounts:
        raise click.BadOptionUsage("currency", "Give --currency, or --amount as CURRENCY=NUMBER.")
    named: dict[str, str] = {}
    for one in amounts:
        # An id may have a "=" in it, a number has none.
        name, there, number = one.rpartition("=")
        if not there:
            raise click.BadOptionUsage(
                "amount", f"{one!r} names no currency: give --currency, or CURRENCY=NUMBER."
            )
        if name in named:
            raise click.BadOptionUsage("amount", f"{name!r} is given twice.")
        named[name] = number
    return named


# ------------------------------------------------------------------ how it is told


def _say(screen: Screen, decision: Decision) -> None:
    if decision.has_access:
        say_fact(screen, "allowed", str(decision))
    else:
        say_fact(screen, "denied", str(decision))
        say_fact(screen, "reason", f"{decision.access_denied_reason}")
    if decision.remedy is not None:
        say_fact(screen, "remedy", str(decision.remedy))
    table = limits(decision.limits, screen)
    if table:
        say()
    for line in table:
        say(line)
