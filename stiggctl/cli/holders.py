"""Holders: the processes that spend from a ledger, and what each holds and hides.

Here: the verb. Not here: what a process has (control.holders).
"""

import sys
from datetime import datetime

import click

from stiggctl import HolderShare, HolderState, HolderStatus
from stiggctl.amounts import plain
from stiggctl.cli.answering import Screen, as_json_option, say, say_fact, say_json
from stiggctl.cli.letters import printable
from stiggctl.cli.locating import opened_to_read
from stiggctl.windows import to_text, to_us


@click.command()
@click.argument("path")
@as_json_option
def holders(*, path: str, as_json: bool) -> None:
    """Show the processes that spend from the ledger PATH: who is alive, what each holds and hides.

    What a process hides it may spend without asking; others that need it ask for it. One that only
    checks or reads is none of them.
    """
    screen = Screen.of(sys.stdout)
    with opened_to_read(path) as control:
        found = control.holders()
    if as_json:
        say_json({"holders": [one.as_dict() for one in found]})
        return
    if not found:
        say_fact(screen, "processes", "none")
    for one in found:
        say_fact(screen, "process", _in_words(one))
        for share in one.shares:
            say(f"  {_of(share)}: {_numbers(share)}")


def _in_words(one: HolderState) -> str:
    dead = one.status is HolderStatus.DEAD
    said = [f"{one.pid} on {printable(one.host)} is {'dead' if dead else 'alive'}"]
    if not (one.is_up_to_date or dead):
        said.append("has not seen the last change of the model")
    if one.holds_until is not None:
        said.append(f"holds until {_text(one.holds_until)}")
    return ", ".join(said)


def _text(at: datetime) -> str:
    return to_text(to_us(at, "at"))


def _of(share: HolderShare) -> str:
    what = f"grant {share.grant_id}" if share.resource_id is None else share.resource_id
    since = "" if share.window_start is None else f" since {_text(share.window_start)}"
    return printable(f"{what} of {share.customer_id}{since}")


def _numbers(share: HolderShare) -> str:
    return f"{plain(share.held)} {printable(share.credit_currency)} held, {plain(share.hidden)} hidden"
