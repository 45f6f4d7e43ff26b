"""Many customers in one process: what a call does never depends on how many there are."""

from typing import Any

import pytest

from stiggctl import UsageControl

MANY = 20
T: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": "t"}


class Counted(dict[str, Any]):
    """The stripes of a holder; how often all of them were gone through."""

    walks = 0

    def values(self) -> Any:
        Counted.walks += 1
        return super().values()


@pytest.fixture
def control(control: UsageControl) -> UsageControl:
    """It has decided for each of them; and each call from here on is watched."""
    names = [f"customer-{number}" for number in range(MANY)]
    control.apply(
        {
            "resources": [{"id": "ann", "resourceTypeId": "org", "customerId": name} for name in names],
            "allocations": [
                {"resourceId": "ann", "customerId": name, "creditCurrency": "t", "limit": 100}
                for name in names
            ],
        }
    )
    for name in names:
        control.reserve(customer_id=name, **T, amount=1).release()
    holder = control._holder
    holder.keeper.stop()  # which goes through all four times a second
    assert len(holder.stripes) == MANY
    holder.stripes = Counted(holder.stripes)
    Counted.walks = 0
    return control


def test_no_call_goes_through_all_customers(control: UsageControl) -> None:
    """Neither what asks the ledger nor what does not, nor what gives back."""
    one: dict[str, Any] = {"customer_id": "customer-3", **T}
    holder = control._holder
    control.reserve(**one, amount=1).release()
    held = control.reserve(**one, amount=20)
    held.extend(5)
    held.settle(20)
    control.consume(**one, amount=5)
    control.report(event_name="e", **one, amount=5)
    assert not control.check(**one, requested_usage=100)
    stripe = holder.stripes["customer-3"]
    with stripe.lock:
        stripe.owe(1, 0)
    assert holder.giving == {stripe}
    holder.recalls.beat(0)
    assert not holder.giving
    assert Counted.walks == 0
    assert control.verify() == []
