"""A second process: it spends beside the first, from the same limits."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, flat, numbers

#: What the other process runs: one line of JSON out, for each thing it tried.
OTHER = """
import json, sys
from stiggctl import UsageControl, LedgerUnavailable, StiggctlError

path, policy, tries = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
ask = {"resource_ids": ["a"], "credit_currency": "ai-tokens"}
report = {"customer_id": "c", "event_name": "e", "amount": 1, **ask}
control = UsageControl(path, on_ledger_failure=policy)
verbs = {
    "check": lambda: [control.check(**ask).has_access, control.check(**ask).remaining],
    "tree": lambda: control.tree("a", "ai-tokens").used,
    "export_model": lambda: len(control.export_model().resources),
    "verify": lambda: len(list(control.verify())),
    "events": lambda: len(list(control.events(customer_id="c"))),
    "reserve": lambda: control.reserve(**ask, amount=1).amount,
    "consume": lambda: control.consume(**ask, amount=1).charged,
    "report": lambda: control.report(**report).charged,
    "apply": lambda: bool(control.apply({"customers": [{"id": "new"}]}).created),
    "suspend": lambda: bool(control.suspend("a")),
}
for name in tries:
    try:
        told = ["ok", verbs[name]()]
    except LedgerUnavailable as error:
        told = ["LedgerUnavailable", error.holder_pid, str(error)]
    except StiggctlError as error:
        told = [type(error).__name__, str(error)]
    print(json.dumps(told), flush=True)
control.close()
"""


def in_another_process(path: str, *tries: str, policy: str = "fail_closed") -> list[list[Any]]:
    """What came of each verb, said in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", OTHER, path, policy, json.dumps(tries)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def held(ledger_path: str) -> Iterator[UsageControl]:
    """A control whose process is a holder: a was given 10, 3 are used and 2 are held."""
    with UsageControl(ledger_path) as control:  # with the clock that the other process has
        control.apply(flat({"a": 10}))
        control.consume(resource_ids=["a"], credit_currency=TOKENS, amount=3)
        control.reserve(resource_ids=["a"], credit_currency=TOKENS, amount=2)
        yield control


def test_a_second_process_spends_what_the_first_leaves_and_no_more(
    held: UsageControl, ledger_path: str
) -> None:
    """H2, to the unit: 3 are used and 2 are held of 10."""
    told = in_another_process(ledger_path, *["consume"] * 6, "report", "check")
    assert told[:5] == [["ok", 1]] * 5
    assert told[5][0] == "AccessDenied"
    assert "0 of 10" in told[5][1]
    assert told[6:] == [["ok", 1], ["ok", [False, 0]]]
    assert not held.check(resource_ids=["a"], credit_currency=TOKENS)
    assert numbers(held, "a") == {"a": (9, 2, 0)}


@pytest.mark.parametrize("verb", ["apply", "suspend"])
def test_a_second_process_changes_what_the_first_goes_by(
    held: UsageControl, ledger_path: str, verb: str
) -> None:
    """Before its call returns: the first obeys within a beat."""
    assert in_another_process(ledger_path, verb) == [["ok", True]]
    if verb == "suspend":
        assert held.check(resource_ids=["a"], credit_currency=TOKENS).access_denied_reason == "SUSPENDED"
        with pytest.raises(AccessDenied):
            held.reserve(resource_ids=["a"], credit_currency=TOKENS, amount=1)
    else:
        assert "new" in [customer.id for customer in held.export_model().customers]


def test_a_second_process_may_look(held: UsageControl, ledger_path: str) -> None:
    told = in_another_process(ledger_path, "check", "tree", "export_model", "verify", "events")
    assert told == [["ok", [True, 5]], ["ok", 3], ["ok", 1], ["ok", 0], ["ok", 1]]
    assert held.consume(resource_ids=["a"], credit_currency=TOKENS, amount=5).charged == 5
    assert in_another_process(ledger_path, "check") == [["ok", [False, 0]]]


def test_once_the_first_has_closed_the_second_goes_on(held: UsageControl, ledger_path: str) -> None:
    held.close()
    told = in_another_process(ledger_path, "consume", "report", "apply", "check", "verify")
    assert [answer[0] for answer in told] == ["ok"] * 5
    with UsageControl(ledger_path) as reopened:
        assert numbers(reopened, "a") == {"a": (5, 2, 3)}


def test_a_process_that_only_looks_is_in_nobodys_way(ledger_path: str, clock: ManualClock) -> None:
    # H2
    with UsageControl(ledger_path, clock=clock) as control:
        control.apply(flat({"a": 10}))
    with UsageControl(ledger_path, clock=clock) as looking:
        assert looking.check(resource_ids=["a"], credit_currency=TOKENS)
        assert looking.tree("a", TOKENS).used == 0
        assert in_another_process(ledger_path, "consume", "check") == [["ok", 1], ["ok", [True, 9]]]
        assert looking.check(resource_ids=["a"], credit_currency=TOKENS).remaining == 9


def test_what_a_process_held_when_it_ended_is_withheld_to_its_end(ledger_path: str) -> None:
    with UsageControl(ledger_path) as control:
        control.apply(flat({"a": 10}))
    assert in_another_process(ledger_path, "reserve", "reserve", "consume") == [["ok", 1]] * 3
    with UsageControl(ledger_path) as control:
        assert numbers(control, "a") == {"a": (1, 2, 7)}
        assert control.consume(resource_ids=["a"], credit_currency=TOKENS, amount=7).charged == 7
        assert list(control.verify()) == []
