"""kill −9 while usage is rated anew: what a crash left half, another call makes whole, and nothing twice.

AD2, AD3, RV1.
"""

import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stiggctl import UsageControl

from .rerater import BOOK, REVERSED_EACH

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
EVENTS = 60
DEATHS = 6
#: Calls of the library: from the first look to the last commit, and beyond.
CALLS_MIN, CALLS_MAX = 500, 80_000


def dollars(control: UsageControl, amount: str) -> None:
    control.set_price(model="m", per_million={"input": amount})


def usage(control: UsageControl) -> None:
    """A dollar each, of which a grant pays all but the last; later events have other instants."""
    control.apply(
        {
            "creditCurrencies": [{"id": "usd", "decimals": 2}],
            "resourceTypes": [{"id": "user"}],
            "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": "c"}],
            "allocations": [{"resourceId": "ana", "creditCurrency": "usd", "limit": 1000, "cadence": "day"}],
            "grants": [
                {"id": "g", "customerId": "c", "creditCurrency": "usd", "amount": EVENTS - 30},
                {"id": "h", "customerId": "c", "creditCurrency": "usd", "amount": 200},
            ],
        }
    )
    dollars(control, "1")
    said = {"price_source": "contract", "input_tokens": 10**6, "model": "m"}
    control.report_many(
        {
            "customerId": "c",
            "idempotencyKey": f"k{at}",
            "creditCurrency": "usd",
            "amount": 1,
            "resourceIds": ["ana"],
            "timestamp": NOON - timedelta(hours=at),
            "dimensions": said,
        }
        for at in range(EVENTS)
    )


def net(control: UsageControl) -> dict[str, Any]:
    """What each event comes to that was not reversed; None: what was reversed has something left."""
    events = list(control.events())
    gone = {one.reverses for one in events}
    found: dict[str, Any] = {}
    for one in events:
        if one.reverses is None and one.event_id not in gone:
            first = one.adjusts or one.event_id
            found[first] = found.get(first, 0) + one.amounts["usd"]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_who_is_killed_half_way_is_finished_by_another(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    path, chance = tmp_path / "usage.db", random.Random(seed)
    with UsageControl(path) as control:
        usage(control)
        ids = [one.event_id for one in control.events()]
    reversed_ = set(ids[::REVERSED_EACH])
    prices = {Decimal(1)}
    for death in range(DEATHS):
        price = Decimal(chance.choice([30, 50, 150, 200])) / 100
        prices.add(price)
        with UsageControl(path) as control:
            dollars(control, str(price))
        run = [
            sys.executable,
            "-m",
            "tests.crashes.rerater",
            str(path),
            str(chance.randrange(CALLS_MIN, CALLS_MAX)),
        ]
        ended = subprocess.run(run, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
        assert ended.returncode in {0, -signal.SIGKILL}
        with UsageControl(path) as control:
            assert control.verify() == []
            whole = {name: amount for name, amount in net(control).items() if name not in reversed_}
            assert set(whole) == set(ids) - reversed_
            assert set(whole.values()) <= prices
            if death % 2:
                control.rerate(**BOOK)
                assert control.rerate(**BOOK).adjustments == 0
                whole = {name: amount for name, amount in net(control).items() if name not in reversed_}
                assert set(whole.values()) == {price}
                # Of what was reversed by now nothing is left: not by who died between a commit and its look.
                gone = {one.reverses for one in control.events()}
                assert (
                    not {one.adjusts for one in control.events() if one.event_id not in gone}
                    & gone
                    & set(ids)
                )
    with UsageControl(path) as control:
        for one in ids:
            control.reverse(one, reason="all")
        assert net(control) == {}
        assert {one.used for one in control.grants()} == {0}
        assert control.verify() == []
