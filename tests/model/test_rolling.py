"""Rolling limits of a model: read, checked, written, read back, beside the calendar's of one cadence."""

import json
from typing import Any

import pytest

from stiggctl.errors import InvalidModel, InvalidRequest

from .desk import Desk
from .fake import FakeLedger
from .test_limits import DAY_US, limit, model, override, problems


@pytest.mark.parametrize("cadence", ["PT1H", "hour", "PT36H", "P1D", "day", "P30D", "P365D", "P1W", "week"])
def test_hours_days_and_weeks_roll_and_a_zone_changes_nothing(desk: Desk, cadence: str) -> None:
    entries = [
        limit(cadence=cadence, rolling=True),
        limit(resourceId="bob", cadence=cadence, rolling=True, timezone="Europe/Amsterdam"),
        limit(resourceTypeId="user", cadence=cadence, rolling=True, where={"tier": "GOLD"}),
    ]
    desk.apply(model(allocations=entries))
    assert [one.rolling for one in desk.export().allocations] == [True, True, True]
    with desk.ledger.reader() as reader:
        assert all(row.rolling for row in reader.allocations())


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, {"rolling": "a cadence beside it"}),
        ({"cadence": "month"}, {"cadence": "hours, days or weeks"}),
        ({"cadence": "P1Y"}, {"cadence": "hours, days or weeks"}),
        ({"cadence": "P1D", "anchor": "2026-01-31"}, {"anchor": "no anchor beside rolling"}),
        ({"cadence": "P1D", "anchor": "0001-01-01", "timezone": "Asia/Tokyo"}, {"anchor": "no anchor"}),
        ({"anchor": "2026-01-31"}, {"rolling": "a cadence beside it", "anchor": "no anchor beside rolling"}),
        (
            {"cadence": "P1M", "anchor": "2026-01-31T00:00:00Z"},
            {"cadence": "hours, days or weeks", "anchor": "no anchor beside rolling"},
        ),
        ({"cadence": "fortnight", "anchor": "2026-01-31"}, {"cadence": "P1D", "anchor": "no anchor"}),
        ({"cadence": "P1M", "timezone": "Nowhere"}, {"cadence": "hours, days", "timezone": "an IANA"}),
    ],
)
@pytest.mark.parametrize("on", [{}, {"resourceTypeId": "user"}])
def test_a_rolling_limit_that_contradicts_itself_is_refused_in_all_its_places(
    fields: dict[str, Any], wrong: dict[str, str], on: dict[str, Any]
) -> None:
    found = problems(Desk(FakeLedger()), allocations=[limit(), limit(**on, rolling=True, **fields)])
    assert found.keys() == {f"allocations[1].{key}" for key in wrong}
    for key, expected in wrong.items():
        assert expected in found[f"allocations[1].{key}"]


def test_what_is_wrong_is_told_as_it_was_written(desk: Desk) -> None:
    with pytest.raises(InvalidModel) as caught:
        desk.apply(model(allocations=[limit(cadence="P1D", rolling=True, anchor="2026-01-31")]))
    [problem] = caught.value.problems
    assert (problem.path, problem.value) == ("allocations[0].anchor", "2026-01-31")


def test_a_resource_has_a_daily_limit_and_a_rolling_one(desk: Desk) -> None:
    entries = [
        limit(cadence="P1D"),
        limit(cadence="P1D", rolling=True, scope={"model": "gpt-5"}),
        limit(cadence="P1D", rolling=True, limit=7),
        limit(cadence="P1D", scope={"model": "gpt-5"}),
        limit(resourceTypeId="user", cadence="P1D", rolling=True),
    ]
    applied = desk.apply(model(allocations=entries))
    assert applied.created[-5:] == (
        "allocation of t on ana (P1D) of c",
        "allocation of t on ana (rolling P1D, model gpt-5) of c",
        "allocation of t on ana (rolling P1D) of c",
        "allocation of t on ana (P1D, model gpt-5) of c",
        "allocation of t on each user (rolling P1D)",
    )
    assert not desk.apply(model(allocations=entries), prune=True)
    exported = desk.export()
    assert [(one.resource_id, one.rolling, one.limit) for one in exported.allocations] == [
        (None, True, 5),
        ("ana", False, 5),
        ("ana", True, 7),
        ("ana", False, 5),
        ("ana", True, 5),
    ]
    assert [one.get("rolling") for one in exported.as_dict()["allocations"]] == [True, None, True, None, True]
    text = exported.model_dump_json()
    assert text.count("rolling") == 3
    for prune in (False, True):
        assert not desk.apply(text, prune=prune)
    other = Desk(FakeLedger())
    other.apply(text)
    assert other.export() == exported
    other = Desk(FakeLedger())
    other.apply(model(allocations=entries[::-1]))
    assert other.export() == exported
    # Each is another limit: the one that is named no more is the one that goes.
    assert desk.apply(model(allocations=[entries[0], *entries[2:]]), prune=True).archived == (
        "allocation of t on ana (rolling P1D, model gpt-5) of c",
    )


def test_a_rolling_limit_stands_once(desk: Desk) -> None:
    entries = [limit(cadence="P1D"), limit(cadence="P1D", rolling=True), limit(cadence="day", rolling=True)]
    assert problems(desk, allocations=entries) == {
        "allocations[2].resourceId": (
            "one entry for each resource, currency, scope, cadence and rolling, or an id for each"
        )
    }
    doubtful = [limit(cadence="P1D"), limit(cadence="P1D", rolling="yes")]
    assert problems(desk, allocations=doubtful).keys() == {"allocations[1].rolling"}


def test_a_limit_with_an_id_may_begin_to_roll(desk: Desk) -> None:
    desk.apply(model(allocations=[limit(id="l", cadence="P1D")]))
    before = desk.versions()
    applied = desk.apply(model(allocations=[limit(id="l", cadence="P1D", rolling=True)]))
    assert applied.changed == ("allocation l of c",)
    assert desk.versions() != before
    line = desk.audit()[-1]
    assert "rolling" not in json.loads(line.before or "")
    assert json.loads(line.after or "")["rolling"] is True


def test_a_rolling_limit_is_one_call_and_removed_by_how_it_counts(desk: Desk) -> None:
    desk.apply(model())
    on = {"resource_id": "ana", "credit_currency": "t"}
    for counting in ({}, {"cadence": "P1D"}, {"cadence": "P1D", "rolling": True}):
        assert desk.do("set_allocation", **on, limit=5, **counting).created
    with pytest.raises(InvalidModel, match=r"allocations\[0\]\.rolling"):
        desk.do("set_allocation", **on, limit=5, rolling=True)
    # What is left out is the default, as for set_allocation.
    assert desk.do("remove_allocation", **on, cadence="P1D").archived == (
        "allocation of t on ana (P1D) of c",
    )
    desk.do("set_allocation", **on, limit=5, cadence="P1D")
    assert desk.do("remove_allocation", **on, cadence="P1D", rolling=False).archived == (
        "allocation of t on ana (P1D) of c",
    )
    with pytest.raises(InvalidRequest, match="a limit that exists"):
        desk.do("remove_allocation", **on, cadence="P1D", rolling=False)
    with pytest.raises(InvalidRequest, match="rolling: got 1"):
        desk.do("remove_allocation", **on, rolling=1)
    assert desk.do("remove_allocation", **on, rolling=True).archived == (
        "allocation of t on ana (rolling P1D) of c",
    )
    # Where it is the only one, resource and currency name it.
    desk.do("remove_allocation", **on)
    desk.do("set_allocation", **on, limit=5, cadence="P1D", rolling=True)
    assert desk.do("remove_allocation", **on).archived == ("allocation of t on ana (rolling P1D) of c",)


def test_an_override_of_a_cadence_changes_the_calendars_and_the_rolling_one(desk: Desk) -> None:
    both = [limit(cadence="P1D"), limit(cadence="P1D", rolling=True)]
    assert desk.apply(
        model(allocations=both, overrides=[override()])
    ).created  # of one cadence: nothing to say
    assert desk.apply({"overrides": [override(cadence="P1D")]}).created
    until_us = desk.now_us + DAY_US
    on = {"resource_id": "ana", "credit_currency": "t"}
    assert desk.do("override_limit", **on, add=5, until_us=until_us, cadence="P1D").changed
    weekly = [*both, limit(cadence="P1W", rolling=True)]
    other = Desk(FakeLedger())
    assert problems(other, allocations=weekly, overrides=[override()]) == {
        "overrides[0].cadence": "the cadence of one of the limits there are: P1D or P1W"
    }
