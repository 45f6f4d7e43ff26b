"""Two processes that want the same at the same time: one of them gets it, and which is the same for all."""

from pathlib import Path

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .company import describe, insisted
from .test_several import workers
from .troubled import NOON


def test_of_two_requests_of_two_processes_that_fit_only_one_by_one_exactly_one_is_admitted(
    tmp_path: Path,
) -> None:
    """Both ask for what the other may hide, both give it back, one draws it: the other's denial is true."""
    path = tmp_path / "usage.db"
    describe(path, 100)
    with workers(path, 2, "troubled") as two:
        for one in two:
            assert insisted(one, "consume_for", "first", 1) == 1
        for _ in range(15):
            for one in two:
                one.begin("reserve", 60, 600)
            answers = [one.answer() for one in two]
            answers = [
                insisted(one, "reserve", 60, 600) if isinstance(answer, dict) else answer
                for one, answer in zip(two, answers, strict=True)
            ]
            assert sorted(map(str, (answer == 60 for answer in answers))) == ["False", "True"], answers
            [denied] = [answer for answer in answers if answer != 60]
            assert denied["denied"] == "BUDGET_EXCEEDED"
            assert two[answers.index(60)]("release") is None


def test_models_that_two_processes_apply_at_once_are_applied_whole_one_after_the_other(
    tmp_path: Path,
) -> None:
    """The later one wins, in all of it; and what both spend meanwhile never passes the larger."""
    path = tmp_path / "usage.db"
    describe(path, 100)
    with workers(path, 4, "troubled") as [one, other, *spenders]:
        for spender in spenders:
            spender.begin("consume_all", 1, 400)
        for limit in range(10):
            one.begin("apply_limits", 100 + limit, f"one {limit}")
            other.begin("apply_limits", 200 + limit, f"other {limit}")
            one.answer(), other.answer()
        admitted = sum(spender.answer() for spender in spenders)
        assert admitted <= 209
        with UsageControl(path, clock=ManualClock(NOON)) as control:
            assert control.verify() == []
            model = control.export_model()
            limits = {one.resource_id: one.limit for one in model.allocations}
            names = {one.id: one.name for one in model.resources}
            assert limits["team"] in (109, 209)
            said = f"{'one' if limits['team'] == 109 else 'other'} 9"
            assert (limits["user"], names["team"], names["user"]) == (limits["team"] * 10, said, said)
            left = max(0, int(limits["team"]) - admitted)
            assert control.check(resource_ids=["user"], credit_currency="ai-tokens").remaining == left
