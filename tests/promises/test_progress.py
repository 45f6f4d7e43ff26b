"""Progress: who applies a large model is told how far it is, and may still say no."""

from collections.abc import Callable
from typing import Any

import pytest

from stiggctl import InvalidModel, LedgerUnavailable, Progress, UsageControl

from .saying import TOKENS, at_once, flat, numbers

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
PHASES = ["reading", "checking", "planning", "writing"]


class Enough(BaseException):
    """What a progress bar raises whose user pressed a key: no Exception."""


class Told:
    """Hears what is told, and at the n-th telling does something."""

    def __init__(self, at: int = -1, what: Callable[[], object] = lambda: None) -> None:
        self.heard: list[Progress] = []
        self._at, self._what = at, what

    def __call__(self, progress: Progress) -> None:
        self.heard.append(progress)
        if len(self.heard) == self._at:
            self._what()

    def of(self, phase: str) -> list[tuple[int, int | None]]:
        return [(one.done, one.total) for one in self.heard if one.phase == phase]


def company(users: int) -> dict[str, Any]:
    """So many users, each with a limit: an entry for the type, two for each of them."""
    return flat({f"user-{at}": 10 for at in range(users)})


def test_each_phase_is_told_from_nothing_to_all_and_in_order(control: UsageControl) -> None:
    told = Told()
    applied = control.apply(company(700), progress=told)
    assert [one.phase for one in told.heard] == sorted((one.phase for one in told.heard), key=PHASES.index)
    assert {one.phase for one in told.heard} == set(PHASES)
    entries = sum(map(len, company(700).values()))
    assert told.of("reading") == [(0, None), (entries, entries)]
    for phase in ("checking", "planning"):
        heard = told.of(phase)
        total = heard[0][1]
        assert total is not None
        assert [one for _, one in heard] == [total] * len(heard)
        assert [done for done, _ in heard] == sorted({done for done, _ in heard})  # each higher than the last
        assert (heard[0][0], heard[-1][0]) == (0, total)
        assert 10 < len(heard) <= 102
    assert told.of("planning")[-1][1] == entries
    ((done, rows),) = told.of("writing")
    assert done == 0
    assert rows is not None
    assert rows >= len(applied.created)


def test_where_nothing_is_to_be_written_no_writing_is_told(control: UsageControl) -> None:
    control.apply(company(3))
    again, dry = Told(), Told()
    assert not control.apply(company(3), progress=again)
    assert control.apply(company(4), progress=dry, dry_run=True)
    assert {one.phase for one in again.heard} == {one.phase for one in dry.heard} == set(PHASES[:3])


def test_one_that_raises_has_nothing_applied_whenever_that_is(control: UsageControl) -> None:
    control.apply(company(2))
    before, written = control.export_model(), len(list(control.audit()))
    count = Told()
    control.apply(company(5), progress=count, dry_run=True)

    def enough() -> None:
        raise Enough

    for at in range(1, len(count.heard) + 2):  # the last is before the writing
        told = Told(at, enough)
        with pytest.raises(Enough):
            control.apply(company(5), progress=told)
        assert len(told.heard) == at
        assert control.export_model() == before
        assert len(list(control.audit())) == written
    assert told.heard[-1].phase == "writing"
    assert len(control.apply(company(5)).created) == 6


def test_nothing_is_locked_meanwhile(control: UsageControl) -> None:
    """Not in the thread that applies, nor in another: each may spend, report and look."""
    control.apply(flat({"a": 1000}))

    def spends() -> None:
        assert control.consume(**ASK, amount=1)
        assert control.report(customer_id="c", amount=1, **ASK)
        assert control.check(**ASK)

    def both() -> None:
        spends()
        assert at_once([spends]) == [None]

    count = Told()
    control.apply(flat({"a": 1000, "b": 5}), progress=count, dry_run=True)
    for at in range(1, len(count.heard) + 2):
        told = Told(at, both)
        assert control.apply(flat({"a": 1000, f"b{at}": at}), progress=told)
        assert len(told.heard) >= at
    spent = 4 * (len(count.heard) + 1)
    assert numbers(control, "a") == {"a": (spent, 0, 1000 - spent)}
    assert control.verify() == []


def test_where_somebody_changes_the_model_meanwhile_it_is_checked_anew(control: UsageControl) -> None:
    control.apply(flat({"a": 1000}))
    told = Told()

    def hook(progress: Progress) -> None:
        told(progress)
        if progress.phase == "writing" and len(told.of("writing")) == 1:
            control.set_allocation(resource_id="a", credit_currency=TOKENS, limit=7)

    control.apply(flat({"a": 1000, "b": 5}), progress=hook)
    phases = list(dict.fromkeys((one.phase, at) for at, one in enumerate(told.heard)))
    begun = [phase for phase, at in phases if told.heard[at].done == 0]
    assert begun == [*PHASES, "checking", "planning", "writing"]
    assert numbers(control, "a") == {"a": (0, 0, 1000)}


def test_who_may_not_write_or_has_a_wrong_model_is_told_so_as_ever(control: UsageControl) -> None:
    told = Told()
    with pytest.raises(InvalidModel):
        control.apply({"resources": [{"id": "a", "resourceTypeId": "nothing"}]}, progress=told)
    assert {one.phase for one in told.heard} == {"reading", "checking"}
    assert told.of("checking")[-1][0] < told.of("checking")[-1][1]  # type: ignore[operator]  # it is known
    refused = LedgerUnavailable(location="bar", reason="it is full", remedy="empty it")

    def full(_: Progress) -> None:
        raise refused

    with pytest.raises(LedgerUnavailable) as error:
        control.apply(company(1), progress=full)
    assert error.value is refused


def test_how_far_it_is_reads_well() -> None:
    assert str(Progress(phase="writing", done=0, total=402_004)) == "writing: 0 of 402,004"
    assert str(Progress(phase="reading", done=0, total=None)) == "reading: 0 of ?"
