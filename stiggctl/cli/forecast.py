"""Forecast: which limits of a ledger run out first, at their present pace.

Here: the verb. Not here: how it is reckoned (control.forecast).
"""

import sys

import click

from stiggctl import Forecast
from stiggctl.cli.answering import Screen, as_json_option, say_fact, say_json
from stiggctl.cli.locating import opened_to_read

#: On a terminal the first screen tells what is urgent; who wants all of them says how many.
SHOWN = 20


@click.command()
@click.argument("path")
@click.argument("resources", nargs=-1, metavar="[RESOURCE]...")
@click.option("--currency", metavar="ID", help="Only this currency; left out: all.")
@click.option("--customer", metavar="ID", help="Only this customer's.")
@click.option(
    "--limits", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="So many, the soonest."
)
@as_json_option
def forecast(
    *,
    path: str,
    resources: tuple[str, ...],
    currency: str | None,
    customer: str | None,
    limits: int,
    as_json: bool,
) -> None:
    """Tell when limits of the ledger PATH run out if spending goes on as it did; the soonest first.

    With RESOURCEs: the limits of their path, as check looks at them, and the pool. Without: every limit
    and pool of which something is used or held.
    """
    screen = Screen.of(sys.stdout)
    with opened_to_read(path) as control:
        found = control.forecast(list(resources) or None, currency, customer_id=customer)
    if as_json:
        say_json({"forecasts": [one.as_dict() for one in found[:limits]]})
        return
    if not found:
        say_fact(screen, "forecast", "nothing is used of any limit")
    for one in found[:limits]:
        say_fact(screen, _when(one), str(one))
    if len(found) > limits:
        say_fact(screen, "not shown", f"{len(found) - limits} more, which last longer")


def _when(one: Forecast) -> str:
    """The day on which it runs out, as a label."""
    if one.runs_out_at is None:
        return "-"
    return "now" if one.runs_out_at == one.at else f"{one.runs_out_at:%Y-%m-%d}"
