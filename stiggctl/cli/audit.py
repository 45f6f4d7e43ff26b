"""Audit: who changed what of a ledger's model, when and why.

Here: the verb, and how a line of the audit is told. Not here: who writes it (control).
"""

import sys
from collections.abc import Iterator
from typing import Any

import click

from stiggctl import AuditEntry
from stiggctl.answers.json_form import camel, json_value
from stiggctl.cli.answering import Screen, as_json_option, say, say_fact, say_json_list
from stiggctl.cli.asking import span_options
from stiggctl.cli.letters import printable, wrapped
from stiggctl.cli.locating import opened_to_read, read_from
from stiggctl.cli.when import instant_of

_INDENT = "  "


@click.command()
@click.argument("path")
@click.option("--customer", metavar="ID", help="Only changes of this customer's.")
@span_options("Changes")
@as_json_option
def audit(
    *, path: str, customer: str | None, since: str | None, until: str | None, timezone: str, as_json: bool
) -> None:
    """Show who changed what of the model in the ledger PATH, when and why; oldest first.

    With --json also what was there before, and after.
    """
    with opened_to_read(path) as control:
        found = control.audit(customer, since=instant_of(since, timezone), until=instant_of(until, timezone))
        with read_from(found) as entries:
            if as_json:
                say_json_list("audit", map(_as_dict, entries))
            else:
                _say(Screen.of(sys.stdout), entries)


def _as_dict(entry: AuditEntry) -> dict[str, Any]:
    return {camel(name): json_value(value) for name, value in entry._asdict().items()}


def _say(screen: Screen, found: Iterator[AuditEntry]) -> None:
    nothing = True
    for entry in found:
        nothing = False
        by = "" if entry.actor is None else f" by {entry.actor}"
        columns = None if screen.columns is None else max(1, screen.columns - len(_INDENT))
        first, *more = wrapped(printable(f"{entry.at:%Y-%m-%d %H:%M:%S}Z  {entry.verb}{by}"), screen.columns)
        say(screen.paint(first, bold=True))
        for line in more:
            say(line)
        whose = "" if entry.customer_id is None else f" of {entry.customer_id}"
        for told in (f"{entry.subject}{whose}", entry.reason):
            for line in () if told is None else wrapped(printable(told), columns):
                say(_INDENT + line)
    if nothing:
        say_fact(screen, "audit", "there is nothing")
