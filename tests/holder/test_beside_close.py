"""Beside close: what another thread is at when the control is closed comes to an end that it may tell."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stiggctl import ControlClosed, InvalidRequest, Receipt, Reservation, UsageControl
from stiggctl.testing import ManualClock

from .faulty import ANN, BOB, Calls, charges, make_faulty, numbers


@pytest.fixture
def control(control: UsageControl) -> UsageControl:
    """It is a holder, with room for ann."""
    control.reserve(**ANN, amount=1).release()
    control._holder.keeper.stop()
    return control


class Halting:
    """A page at which one of its verbs halts, until the control was closed."""

    def __init__(self, page: Any, verb: str) -> None:
        self._page, self._verb = page, verb
        self.reached, self.go = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        what = getattr(self._page, name)
        if name != self._verb:
            return what

        def halting(*given: Any) -> Any:
            self.reached.set()
            assert self.go.wait(30)
            return what(*given)

        return halting


Call = Callable[[UsageControl, Reservation], object]


@pytest.mark.parametrize(
    ("verb", "call", "outcome", "booked", "waits"),
    [
        pytest.param(
            "write",
            lambda control, _: control.reserve(**ANN, amount=9),
            ControlClosed,
            0,
            False,
            id="reserve",
        ),
        pytest.param("write", lambda _, held: held.extend(2), ControlClosed, 0, False, id="extend"),
        pytest.param("clear", lambda _, held: held.settle(4), Receipt, 4, True, id="settle"),
        pytest.param("clear", lambda _, held: held.release(), type(None), 0, False, id="release"),
    ],
)
def test_who_is_at_the_page_when_it_is_closed_is_told_what_is_so(
    control: UsageControl,
    clock: ManualClock,
    tmp_path: Path,
    verb: str,
    call: Call,
    outcome: type,
    booked: int,
    waits: bool,
) -> None:
    """H3, KP1: a receipt of what is booked, or that it is closed; no error of the page.

    A booking clears the page before its exchange ends: who closes waits for that.
    """
    held, keeping = control.reserve(**ANN, amount=5), control._holder.keeping
    halting = Halting(keeping._page, verb)
    keeping._page = halting  # type: ignore[assignment]  # it does what a page does
    calls = Calls(lambda: call(control, held))
    assert halting.reached.wait(20)
    closes = Calls(control.close)
    if not waits:
        closes.done()
    halting.go.set()
    closes.done()
    (answer,) = calls.done()
    assert type(answer) is outcome, answer
    with UsageControl(tmp_path / "usage.db", clock=clock) as again:
        clock.advance(seconds=601)
        assert numbers(again, "ann")["ann"] == (booked, 0)
        assert again.reserve(**ANN, amount=100 - booked).amount == 100 - booked
        assert charges(again) == [booked] * (booked > 0)
        assert again.verify() == []


def test_a_close_that_is_refused_in_the_middle_of_a_call_is_done_when_it_is_said_again(
    control: UsageControl, clock: ManualClock, tmp_path: Path
) -> None:
    """LK1, H3: as a signal handler says it while its own thread books."""
    faulty, refused = make_faulty(control), []

    def handler() -> None:
        with pytest.raises(InvalidRequest) as error:
            control.close()
        refused.append(error.value.where)

    faulty.before.append(handler)
    assert control.consume(**BOB, amount=1).charged == 1
    assert refused == ["the call"]
    assert control.consume(**BOB, amount=2).charged == 2  # nothing is closed yet
    holder = control._holder
    control.close()
    assert holder._closed
    assert holder._presence is None
    with pytest.raises(ControlClosed):
        control.consume(**BOB, amount=3)
    with UsageControl(tmp_path / "usage.db", clock=clock) as again:
        assert again._holder is not holder
        assert again.consume(**BOB, amount=4).charged == 4
        assert charges(again) == [1, 2, 4]
