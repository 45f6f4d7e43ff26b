"""A dry run of apply: it says what apply would do, and nothing has happened."""

from pathlib import Path

import pytest

from stiggctl import ControlClosed, InvalidModel, UsageControl

from .saying import TOKENS, at_once, flat


def state(control: UsageControl) -> tuple[object, ...]:
    return control.export_model(), list(control.audit())


@pytest.mark.parametrize("prune", [False, True])
def test_a_dry_run_says_what_apply_then_does(control: UsageControl, *, prune: bool) -> None:
    control.apply(flat({"a": 5, "b": 6, "gone": 7}))
    change = flat({"a": 5, "b": 60, "new": 1})
    before = state(control)
    said = control.apply(change, prune=prune, dry_run=True)
    assert (len(said.created), len(said.changed), len(said.archived), len(said.not_named)) == (
        (2, 1, 2, 0) if prune else (2, 1, 0, 2)
    )
    assert state(control) == before
    assert control.apply(change, prune=prune) == said
    assert state(control) != before
    assert not control.apply(change, prune=prune, dry_run=True)


def test_a_dry_run_changes_no_decision(control: UsageControl) -> None:
    control.apply(flat({"a": 5}))
    ask = {"resource_ids": ["a"], "credit_currency": TOKENS}
    held = control.reserve(**ask, amount=3)
    assert control.apply(flat({"a": 1}), dry_run=True)
    assert control.check(**ask).remaining == 2
    assert held.settle(3).overage == 0


def test_a_dry_run_finds_every_problem(control: UsageControl) -> None:
    wrong = flat({"a": -1, "b": "0.5"})
    with pytest.raises(InvalidModel) as dry:
        control.apply(wrong, dry_run=True)
    with pytest.raises(InvalidModel) as wet:
        control.apply(wrong)
    assert dry.value.problems == wet.value.problems
    assert len(dry.value.problems) == 2


def test_a_dry_run_reads_only(ledger_path: str) -> None:
    UsageControl(ledger_path).close()
    before = {path.name: path.read_bytes() for path in Path(ledger_path).parent.iterdir()}
    with UsageControl(ledger_path, create=False) as control:
        assert control.apply(flat({"a": 1}), dry_run=True)
    assert {path.name: path.read_bytes() for path in Path(ledger_path).parent.iterdir()} == before
    with pytest.raises(ControlClosed):
        control.apply(flat({"a": 1}), dry_run=True)


def test_dry_runs_beside_changes_are_each_of_one_moment(control: UsageControl) -> None:
    """Models take turns; whichever a dry run meets, it is a whole one."""
    control.apply(flat({"a": 0, "b": 0}))

    def change() -> None:
        for limit in range(1, 30):
            control.apply(flat({"a": limit, "b": limit}))

    def look() -> list[int]:
        return [len(control.apply(flat({"a": 0, "b": 0}), dry_run=True).changed) for _ in range(30)]

    _, seen = at_once([change, look])
    assert isinstance(seen, list)
    assert set(seen) <= {0, 2}
