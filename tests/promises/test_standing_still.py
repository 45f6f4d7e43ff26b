"""A thread stands still for longer than a ttl, anywhere in a consume: it is admitted anew, or not at all."""

from collections.abc import Iterator

import pytest

from stiggctl import AccessDenied, LedgerUnavailable, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Face, Say, event_ids, flat, numbers

#: More than a consume looks at the clock.
LOOKS_MAX = 16


class Leaping:
    """A clock that leaps by more than a ttl, at one look or at every one."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.at: int | None = None  #: the look at which it leaps
        self.always = False

    def now_us(self) -> int:
        if self.at is not None:
            self.at -= 1
        if self.always or self.at == 0:
            self._clock.advance(seconds=2)
        return self._clock.now_us()

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()


@pytest.fixture
def leaping(clock: ManualClock) -> Leaping:
    return Leaping(clock)


@pytest.fixture
def still(ledger_path: str, leaping: Leaping) -> Iterator[UsageControl]:
    """Each of a0, a1 … may spend 10; a ttl is a second."""
    with UsageControl(ledger_path, clock=leaping, reservation_ttl_seconds=1) as control:
        control.apply(flat({f"a{at}": 10 for at in range(LOOKS_MAX)}, customer_id="c"))
        yield control


@pytest.mark.parametrize("drawn", [False, True])
def test_a_consume_is_booked_as_admitted_wherever_it_stood_still(
    still: UsageControl, leaping: Leaping, face: Face, *, drawn: bool
) -> None:
    """R3: all of a limit, from memory or drawn; then nothing is held, and nothing is left."""
    say = Say(still, face)
    for at in range(LOOKS_MAX):
        ask = {"resource_ids": [f"a{at}"], "credit_currency": TOKENS}
        if not drawn:
            say("reserve", **ask, amount=10).release()
        leaping.at = at + 1
        receipt = say("consume", **ask, amount=10)
        leaping.at = None
        assert (receipt.charged, receipt.overage, receipt.expired) == (10, 0, False)
        assert numbers(still, f"a{at}")[f"a{at}"] == (10, 0, 0)
        with pytest.raises(AccessDenied):
            say("consume", **ask, amount=1)
    assert list(still.verify()) == []


def test_one_that_stands_still_every_time_gives_up_and_leaves_nothing(
    still: UsageControl, leaping: Leaping, face: Face
) -> None:
    """R3: the same key books it later."""
    say = Say(still, face)
    ask = {"resource_ids": ["a0"], "credit_currency": TOKENS}
    say("reserve", **ask, amount=10).release()
    leaping.always = True
    with pytest.raises(LedgerUnavailable, match="try again, with the same idempotency_key"):
        say("consume", **ask, amount=10, idempotency_key="k")
    leaping.always = False
    assert event_ids(still, "c") == []
    assert numbers(still, "a0")["a0"] == (0, 0, 10)
    receipt = say("consume", **ask, amount=10, idempotency_key="k")
    assert (receipt.charged, receipt.duplicate, receipt.expired) == (10, False, False)
    assert list(still.verify()) == []
