"""What is loaded, what is kept, and how a torn stripe is mended (T1, T2, MD1, WK1)."""

import threading
from typing import Any

import pytest

from stiggctl import ResourceNotFound, UsageControl
from stiggctl.holder.waiting import Wake

ASK: dict[str, Any] = {"credit_currency": "t"}


@pytest.fixture
def control() -> Any:
    """Fifty users of a team, each with a limit."""
    with UsageControl(":memory:") as control:
        control.apply(
            {
                "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
                "resources": [
                    {"id": "team", "resourceTypeId": "team", "customerId": "c"},
                    *(
                        {"id": f"user-{at}", "resourceTypeId": "user", "parentResourceId": "team"}
                        for at in range(50)
                    ),
                ],
                "allocations": [
                    {"resourceId": "team", "creditCurrency": "t", "limit": 1000},
                    *({"resourceId": f"user-{at}", "creditCurrency": "t", "limit": 10} for at in range(50)),
                ],
            }
        )
        yield control


def leaves(control: UsageControl) -> set[str]:
    """The resources that are in memory."""
    return set(control._holder.stripes["c"].strands["t"].leaves)


def test_only_what_is_named_and_what_is_above_it_is_loaded(control: UsageControl) -> None:
    control.consume(resource_ids=["user-7"], amount=1, **ASK)
    assert leaves(control) == {"user-7", "team"}
    control.check(resource_ids=["user-8"], **ASK)
    assert leaves(control) == {"user-7", "user-8", "team"}


def test_an_id_that_no_resource_has_is_never_kept(control: UsageControl) -> None:
    control.consume(resource_ids=["user-7"], amount=1, **ASK)
    for at in range(100):
        with pytest.raises(ResourceNotFound):
            control.check(resource_ids=[f"nobody-{at}"], **ASK)
        with pytest.raises(ResourceNotFound):
            control.check(resource_ids=["user-7", f"nobody-{at}"], **ASK)
    assert leaves(control) == {"user-7", "team"}
    strand = control._holder.stripes["c"].strands["t"]
    assert sum(len(branch.tails) for branch in strand.branches.values()) == 1


def test_a_torn_stripe_is_mended_before_anything_is_decided_on_it(control: UsageControl) -> None:
    held = control.reserve(resource_ids=["user-7"], amount=4, **ASK)
    stripe = control._holder.stripes["c"]
    with stripe.lock:
        for place in stripe.holds[held._number].held[0][0]:
            stripe.numbers[place] += 4  # as if an interrupt had come in the middle of putting back
        stripe.tear()
    (team, user) = control.check(resource_ids=["user-7"], requested_usage=0, **ASK).limits
    assert (team.held, user.held) == (4, 4)
    assert not control.check(resource_ids=["user-7"], requested_usage=7, **ASK)
    held.release()
    assert control.check(resource_ids=["user-7"], requested_usage=10, **ASK)


def test_to_be_woken_twice_is_as_once_and_before_the_sleep_is_not_lost() -> None:
    wake = Wake()
    wake.up()
    wake.up()
    wake.sleep()  # returns at once
    slept = threading.Thread(target=wake.sleep)
    slept.start()
    wake.up()
    slept.join(30)
    assert not slept.is_alive()
