"""Asking: options that several verbs have, and how what people write in them is read.

Here: who and why of a change, CURRENCY=NUMBER and KEY=VALUE. Not here: dates and instants (when.py);
whether an instant, an id or an amount can be meant (the control judges that, and says so).
"""

from collections.abc import Callable, Sequence

import click

customer_option = click.option(
    "--customer", metavar="ID", help="Whose resource, where several customers have it."
)
timezone_option = click.option(
    "--timezone", metavar="ZONE", default="UTC", help="Of dates; left out: UTC. An instant has its own."
)


def stamp_options(verb: click.decorators.FC) -> click.decorators.FC:
    """--actor and --reason of a verb that changes the model."""
    verb = click.option("--reason", metavar="TEXT", help="Why, for the audit and for denials.")(verb)
    return click.option("--actor", metavar="NAME", help="Who changes it, for the audit.")(verb)


def span_options(what: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """--since and --until of a verb that looks back."""

    def add(verb: click.decorators.FC) -> click.decorators.FC:
        verb = timezone_option(verb)
        verb = click.option("--until", metavar="WHEN", help="Until when, likewise; it is not included.")(verb)
        return click.option(
            "--since", metavar="WHEN", help=f"{what} from then on: 2026-01-31, or an instant; included."
        )(verb)

    return add


def numbers_by_name(texts: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Options that are NAME=NUMBER, each name once."""
    named: dict[str, str] = {}
    for text in texts:
        # An id may have a "=" in it, a number has none.
        name, there, number = text.rpartition("=")
        if not there:
            raise click.BadOptionUsage(option, f"--{option} {text!r} is not {form}.")
        if name in named:
            raise click.BadOptionUsage(option, f"{name!r} is given twice.")
        named[name] = number
    return named


def parted(text: str, option: str) -> tuple[str, str]:
    """An option that is KEY=VALUE."""
    key, there, value = text.partition("=")
    if not there:
        raise click.BadOptionUsage(option, f"--{option} {text!r} is not KEY=VALUE.")
    return key, value


def values_by_key(texts: Sequence[str], option: str) -> dict[str, list[str]] | None:
    """Options that are KEY=VALUE, a key as often as it has values; None where there are none."""
    values: dict[str, list[str]] = {}
    for text in texts:
        key, value = parted(text, option)
        values.setdefault(key, []).append(value)
    return values or None
