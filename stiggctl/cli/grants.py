"""Grants: the prepaid credits that customers of a ledger have, and what is left of each.

Here: the verb. Not here: how they are drawn (tables.py), which of them pays (control.grants).
"""

import sys

import click

from stiggctl.cli.answering import Screen, as_json_option, say, say_fact, say_json
from stiggctl.cli.locating import opened_to_read
from stiggctl.cli.tables import grants as table_of_grants


@click.command()
@click.argument("path")
@click.argument("customer", required=False)
@click.option("--currency", metavar="ID", help="Only this currency; left out: all.")
@as_json_option
def grants(*, path: str, customer: str | None, currency: str | None, as_json: bool) -> None:
    """Show the prepaid credits of CUSTOMER in the ledger PATH; without CUSTOMER, of every customer.

    Those that are open come first, in the order in which they burn; then those that begin later, then
    those that have expired or were voided.
    """
    screen = Screen.of(sys.stdout)
    with opened_to_read(path) as control:
        found = control.grants(customer, currency)
    if as_json:
        say_json({"grants": [one.as_dict() for one in found]})
    elif not found:
        say_fact(screen, "grants", "there are none")
    else:
        for line in table_of_grants(found, screen):
            say(line)
