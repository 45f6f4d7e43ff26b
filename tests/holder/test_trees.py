"""What is loaded, what is kept, and how a torn stripe is mended (T1, T2, MD1, WK1)."""

import gc
import threading
from collections.abc import Iterator
from types import FrameType, FunctionType, ModuleType
from typing import Any, Literal
from weakref import ReferenceType

import pytest

from stiggctl import AccessDenied, CustomerNotFound, ResourceNotFound, UsageControl
from stiggctl.decision.cells import CUSTOMER
from stiggctl.decision.holds import HELD
from stiggctl.holder.waiting import Wake

ASK: dict[str, Any] = {"credit_currency": "t"}


#: Fifty users of a team, each with a limit.
MODEL = {
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "team", "resourceTypeId": "team", "customerId": "c"},
        *({"id": f"user-{at}", "resourceTypeId": "user", "parentResourceId": "team"} for at in range(50)),
    ],
    "allocations": [
        {"resourceId": "team", "creditCurrency": "t", "limit": 1000},
        *({"resourceId": f"user-{at}", "creditCurrency": "t", "limit": 10} for at in range(50)),
    ],
}


@pytest.fixture
def control() -> Any:
    with UsageControl(":memory:") as control:
        control.apply(MODEL)
        yield control


def leaves(control: UsageControl) -> set[str]:
    """The resources that are in memory."""
    return set(control._holder.stripes["c"].strands["t"].leaves) - {CUSTOMER}


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


def kept(root: object) -> Iterator[object]:
    """Everything that is kept as long as that is, but for code."""
    seen, left = {id(root)}, [root]
    while left:
        one = left.pop()
        yield one
        text_keys = one if isinstance(one, dict) else ()  # of which the collector knows nothing
        for more in (*gc.get_referents(one), *text_keys):
            if id(more) not in seen and not isinstance(more, type | ModuleType | FunctionType | FrameType):
                seen.add(id(more))
                left.append(more)


@pytest.mark.parametrize("policy", ["error", "deny", "ignore"])
def test_of_ten_thousand_unknown_ids_none_is_kept_whatever_the_policy(
    policy: Literal["error", "deny", "ignore"],
) -> None:
    """T2: neither by itself nor among known ones, of a resource or a customer, by whatever verb."""
    with UsageControl(":memory:", unknown_resources=policy) as control:
        control.apply(MODEL)
        control.consume(resource_ids=["user-7"], amount=1, **ASK)
        known = [one for one in kept(control._holder) if isinstance(one, str) and "user-7" in one]
        assert known, "it does not look where ids are kept"

        def ask(unknown: str, at: int) -> None:
            if at % 10 == 0:
                control.report(customer_id="c", resource_ids=["user-7", unknown], amount=0, **ASK)
            elif at % 10 == 1:
                control.reserve(resource_ids=[unknown, "user-7"], amount=0, **ASK).release()
            elif at % 10 == 2:
                control.check(resource_ids=["user-7"], customer_id=unknown, **ASK)
            elif at % 10 == 3:
                control.check(resource_ids=[unknown], customer_id="c", **ASK)
            else:
                control.check(resource_ids=["user-7", unknown], **ASK)

        def ask_for(many: range) -> int:
            refused = 0
            for at in many:
                try:
                    ask(f"nobody-{at}", at)
                except (ResourceNotFound, CustomerNotFound, AccessDenied):
                    refused += 1
            return refused

        def things() -> int:
            control.denials_dropped()  # what waits to be kept is kept now, in the ledger
            gc.collect()
            found = list(kept(control._holder))
            assert [one for one in found if isinstance(one, str) and "nobody-" in one] == []
            # sqlite3 forgets which cursors a connection had two hundred at a time.
            return sum(not isinstance(one, ReferenceType) for one in found)

        ask_for(range(20))  # caches of statements, a page
        before = things()
        refused = ask_for(range(20, 10_020))
        assert refused == {"error": 9_000, "deny": 1_000, "ignore": 1_000}[policy]
        assert things() - before < 100
        assert leaves(control) == {"user-7", "team"}


def test_a_torn_stripe_is_mended_before_anything_is_decided_on_it(control: UsageControl) -> None:
    held = control.reserve(resource_ids=["user-7"], amount=4, **ASK)
    stripe = control._holder.stripes["c"]
    with stripe.lock:
        for place in stripe.holds[held._number][HELD][0][0]:
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
