"""Somebody is forgotten: no byte of the file says who it was, and every sum is what it was."""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    AmbiguousResource,
    DenialExplained,
    IdempotencyConflict,
    InvalidRequest,
    LedgerTrouble,
    ResourceNotFound,
    UsageControl,
)
from stiggctl.testing import ManualClock

from .saying import TOKENS

WHO = "ana.lovelace@example.com"
NAME = "Ana Lovelace"
MODEL: dict[str, Any] = {
    "creditCurrencies": [{"id": TOKENS}, {"id": "usd", "decimals": 9}],
    "resourceTypes": [
        {"id": "team"},
        {
            "id": "user",
            "parentResourceTypeId": "team",
            "properties": {
                "tier": {"type": "ENUM", "values": ["GOLD", "BASE"]},
                "office": {"type": "STRING"},
                "phone": {"type": "NUMBER", "required": True},
                "mail": {"type": "STRING", "required": True},
                "city": {"type": "STRING"},
                "staff": {"type": "BOOLEAN"},
            },
        },
        {"id": "agent", "parentResourceTypeId": "user"},
    ],
    "resources": [
        {"id": "growth", "resourceTypeId": "team", "customerId": "acme"},
        {
            "id": WHO,
            "name": NAME,
            "resourceTypeId": "user",
            "parentResourceId": "growth",
            "properties": {
                "tier": "GOLD", "office": "Berlin-7", "phone": 491234567, "mail": WHO, "city": "Altona",
                "staff": True,
            },
        },
        {
            "id": "bo", "resourceTypeId": "user", "parentResourceId": "growth",
            "properties": {"phone": 1, "mail": "bo"},
        },
        {"id": "agent-7", "resourceTypeId": "agent", "parentResourceId": WHO},
    ],
    "allocations": [
        {"resourceId": "growth", "creditCurrency": TOKENS, "limit": 10_000},
        {"resourceId": "growth", "creditCurrency": TOKENS, "limit": 700, "scope": {"user_id": ["bo", WHO]},
         "thresholds": [1]},
        {"id": f"{WHO}-daily", "resourceId": WHO, "creditCurrency": TOKENS, "limit": 900, "cadence": "day",
         "thresholds": [1]},
        {
            "resourceTypeId": "user", "where": {"office": "Berlin-7"}, "customerId": "acme",
            "creditCurrency": TOKENS, "limit": 800,
        },
    ],
    "rates": [
        {
            "customerId": "acme", "eventName": "chat", "creditCurrency": TOKENS, "credits": 7,
            "where": {"user": WHO},
        },
        {"customerId": "acme", "eventName": "chat", "creditCurrency": TOKENS, "credits": 3},
    ],
}  # fmt: skip


def used(control: UsageControl) -> None:
    """Whatever an application says of somebody."""
    control.apply(MODEL, actor=WHO)
    control.put_resource(
        WHO, resource_type_id="user", parent_resource_id="growth", name="Ada Lovelace",
        properties=MODEL["resources"][1]["properties"],
    )  # fmt: skip
    control.put_resource(
        WHO, resource_type_id="user", parent_resource_id="growth", name=NAME,
        properties=MODEL["resources"][1]["properties"],
    )  # fmt: skip
    control.override_limit(
        WHO,
        TOKENS,
        add=50,
        cadence="day",
        until="2026-02-01T00:00:00Z",
        actor=WHO,
        reason=f"{NAME}, {WHO}: launch",
    )
    control.override_limit(
        "growth", TOKENS, limit=9_000, until="2026-02-01T00:00:00Z", reason=f"as for {WHO}."
    )
    for at in range(20):
        control.report(
            customer_id="acme", event_name="chat", idempotency_key=f"{WHO}/{at}",
            dimensions={"user_id": WHO, "model": "large", "at": at, "cost": Decimal("0.10")},
        )  # fmt: skip
        control.report(
            customer_id="acme",
            event_name="chat",
            resource_ids=["bo"],
            dimensions={"user_id": "bo", "user": WHO},
        )
    control.consume(
        resource_ids=["agent-7"], credit_currency=TOKENS, amount=11, idempotency_key="agent-key",
        dimensions={"userId": WHO},
    )  # fmt: skip
    several = control.report(
        customer_id="acme", resource_ids=[WHO], amounts={TOKENS: 2, "usd": "0.000000123"},
        idempotency_key=f"several of {WHO}",
    )  # fmt: skip
    control.reverse(several.event_id, reason=f"{NAME} asked for it", actor=WHO)
    control.report(
        customer_id="acme", resource_ids=["growth"], credit_currency=TOKENS, amount=1,
        dimensions={"note": "nobody's"}, idempotency_key="of growth",
    )  # fmt: skip
    control.suspend(WHO, reason=f"{NAME} left", until="2026-01-16T00:00:00Z", actor="ann")
    control.resume(WHO)
    control.suspend(WHO, reason=f"{NAME} left", until="2026-01-16T00:00:00Z", actor="ann")


def numbers(control: UsageControl, who: str) -> Any:
    """Every sum that there is, in the order of the tree."""
    limits = [
        [(one.cadence, one.limit, one.used, one.held, one.remaining) for one in node.limits]
        for _, node in control.tree("growth", TOKENS).walk()
        if node.resource_id != who
    ]
    own = control.tree(who, TOKENS)
    return (
        limits,
        [(one.cadence, one.limit, one.used, one.held, one.remaining) for one in own.limits],
        own.used,
        control.usage(customer_id="acme", group_by="event")[0].amounts,
        control.usage(resource_id=who)[0].amounts,
        sorted(row.amounts[TOKENS] for row in control.usage(customer_id="acme", group_by="user_id")),
        control.grants(),
    )


def said_of(path: Path, *words: str) -> list[str]:
    """Which of these are in some byte of the ledger, its log and index."""
    data = b"".join(one.read_bytes() for one in path.parent.iterdir() if one.is_file())
    return [word for word in words if word.encode() in data]


WORDS = (WHO, NAME, "Ada Lovelace", "Lovelace", "491234567", "Altona", "agent-key", f"{WHO}/7", "several of")


def test_no_byte_of_the_file_says_who_it_was_and_no_sum_is_another(
    control: UsageControl, ledger_path: str
) -> None:  # ER1, FG1
    used(control)
    before = numbers(control, WHO)
    assert said_of(Path(ledger_path), *WORDS) == list(WORDS)
    erased = control.erase(WHO, actor="dpo", reason=f"request 17 of {WHO}")
    assert said_of(Path(ledger_path), *WORDS) == []  # while it is open: the log was cut
    assert not erased.remains
    assert control.verify() == []
    assert numbers(control, erased.resource_id) == before
    control.close()
    assert said_of(Path(ledger_path), *WORDS) == []
    with UsageControl(ledger_path) as again:
        assert again.verify() == []


def test_a_large_ledger_keeps_no_copy_in_its_unused_bytes(ledger_path: str) -> None:  # RM1
    """Where pages are split copies stay, if nobody overwrites them."""
    chance = random.Random(5)
    with UsageControl(ledger_path) as control:
        control.apply(MODEL)
        events = []
        for at in range(6_000):
            who = WHO if at % 5 == 0 else "bo"
            key = f"{chance.getrandbits(64):x}/{who}/{at}"
            padding = "x" * chance.choice([0, 10, 3_000]) if at % 100 == 0 else ""
            said = {"user_id": who, "padding": padding}
            events.append(
                {
                    "customerId": "acme",
                    "idempotencyKey": key,
                    "amount": 1,
                    "creditCurrency": TOKENS,
                    "dimensions": said,
                }
            )
        assert not [one for one in control.report_many(events) if isinstance(one, Exception)]
        erased = control.erase(WHO)
        assert (erased.events, erased.idempotency_keys) == (1_200, 1_200)
        keys = [event["idempotencyKey"] for event in events if WHO in event["idempotencyKey"]]
        assert said_of(Path(ledger_path), WHO, *keys) == []
        assert control.verify() == []


def test_what_remains_of_before_goes_too(ledger_path: str) -> None:  # RM1
    chance = random.Random(5)
    with UsageControl(ledger_path) as control:
        control.apply(MODEL)
    with closing(sqlite3.connect(ledger_path, isolation_level=None)) as older:
        older.execute("PRAGMA secure_delete = OFF")
        older.execute("CREATE TABLE of_before (key TEXT UNIQUE)")
        for _ in range(4_000):
            older.execute("INSERT INTO of_before VALUES (?)", (f"{chance.getrandbits(64):x}/{WHO}",))
        older.execute("DELETE FROM of_before")
        older.execute("DROP TABLE of_before")
    assert said_of(Path(ledger_path), WHO) == [WHO]
    with UsageControl(ledger_path) as control:
        control.erase(WHO)
        assert said_of(Path(ledger_path), WHO) == []
        assert control.verify() == []


def test_of_several_erasures_the_last_writes_the_file_anew(
    control: UsageControl, ledger_path: str
) -> None:  # RM2
    used(control)
    assert control.erase(WHO, compact=False).remains
    assert said_of(Path(ledger_path), WHO) == [WHO]
    assert not control.erase("bo").remains
    assert said_of(Path(ledger_path), WHO) == []
    with pytest.raises(ResourceNotFound):
        control.erase("bo")


def test_without_room_to_write_the_file_anew_it_is_erased_and_told(
    control: UsageControl, ledger_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(control)
    troubles: list[LedgerTrouble] = []
    control.subscribe(troubles.append, kinds=LedgerTrouble)

    def full(_: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("stiggctl.ledger.sqlite.remains.leave_none", full)
    erased = control.erase(WHO)
    assert erased.remains
    assert len(troubles) == 1
    monkeypatch.undo()
    with pytest.raises(ResourceNotFound):
        control.erase(WHO)  # again: it ends what was left
    assert said_of(Path(ledger_path), WHO) == []
    assert control.verify() == []


def test_the_token_stands_everywhere_in_the_place_of_the_id(control: UsageControl) -> None:  # FG1, FG2, ER2
    used(control)
    erased = control.erase(WHO, actor="dpo")
    token = erased.resource_id
    model = control.export_model()
    resource = next(one for one in model.resources if one.id == token)
    assert resource.name is None
    # What a template counts by, what is one of a few kinds, and what its type asks for.
    assert resource.properties == {
        "mail": "erased",
        "office": "Berlin-7",
        "phone": 0,
        "staff": True,
        "tier": "GOLD",
    }
    assert next(one for one in model.resources if one.id == "agent-7").parent_resource_id == token
    scopes = [one.scope for one in model.allocations if one.scope]
    assert scopes == [{"user_id": tuple(sorted(["bo", token]))}]
    assert f"{token}-daily" in {one.id for one in model.allocations}
    assert {"user": (token,)} in [one.where for one in model.rates]
    overrides = {one.resource_id: (one.actor, one.reason) for one in model.overrides}
    assert overrides == {token: (token, f"{token}, {token}: launch"), "growth": (None, f"as for {token}.")}
    assert not control.apply(model)
    events = list(control.events())
    own = [one for one in events if token in one.resource_ids]
    assert len(own) == erased.events - 20  # and 20 that only say it
    assert {one.dimensions.get("user_id") for one in events[:40]} == {token, "bo"}
    assert events[0].dimensions == {"user_id": token, "model": "large", "at": 0, "cost": Decimal("0.10")}
    assert events[1].dimensions == {"user_id": "bo", "user": token}
    assert [one.dimensions for one in events if one.reverses] == [
        {"reversal_reason": f"{token} asked for it", "reversal_actor": token}
    ]
    assert events[-1].idempotency_key == "of growth"
    [*_, line] = control.audit()
    assert (line.verb, line.actor, line.subject, line.before) == ("erase", "dpo", f"resource {token}", None)
    assert (
        json.loads(f"{line.after}")["note"] == "a report that is sent again under a key of these is new usage"
    )
    assert {one.subject for one in control.audit()} >= {f"resource {token}", "resource bo", "resource growth"}


def test_a_report_that_is_sent_again_under_an_erased_key_is_new_usage(control: UsageControl) -> None:
    used(control)
    erased = control.erase(WHO)
    keys = [one.idempotency_key for one in control.events() if one.idempotency_key]
    assert len(set(keys)) == len(keys)
    assert sum(WHO in key for key in keys) == 0
    again = control.report(
        customer_id="acme", event_name="chat", idempotency_key=f"{WHO}/7", dimensions={"user_id": "bo"}
    )
    assert not again.duplicate
    kept = {"resource_ids": ["growth"], "credit_currency": TOKENS, "idempotency_key": "of growth"}
    assert control.report(**kept, customer_id="acme", amount=1, dimensions={"note": "nobody's"}).duplicate
    with pytest.raises(IdempotencyConflict):
        control.report(**kept, customer_id="acme", amount=2)
    assert control.usage(resource_id=erased.resource_id)[0].events == 23


def test_the_fingerprint_of_what_was_said_is_gone(control: UsageControl, ledger_path: str) -> None:  # ER3
    used(control)
    with closing(sqlite3.connect(ledger_path)) as looking:
        asked = "SELECT id, fingerprint FROM events ORDER BY id"
        before = dict(looking.execute(asked))
        control.erase(WHO)
        now = dict(looking.execute(asked))
    assert now.keys() == before.keys()
    kept = {event for event, fingerprint in now.items() if before[event] == fingerprint}
    # That of the reversal says nothing; growth's own is about nobody.
    assert {before[event] for event in kept} == {b"reverse", before[max(before)]}
    assert {len(one) for event, one in now.items() if event not in kept} == {40}


def test_a_reversal_of_an_erased_event_is_found_again(control: UsageControl) -> None:
    used(control)
    first = next(control.events())
    erased = control.erase(WHO)
    back = control.reverse(first.event_id, reason="late")
    assert not back.duplicate
    assert control.reverse(first.event_id, reason="late").duplicate
    assert erased.resource_id in {limit.resource_id for limit in back.limits}
    assert control.verify() == []


def test_limits_templates_and_overrides_go_on_under_the_token(control: UsageControl) -> None:
    used(control)
    control.resume(WHO)
    before = control.check(resource_ids=[WHO], credit_currency=TOKENS, dimensions={"user_id": WHO})
    token = control.erase(WHO).resource_id
    ask: dict[str, Any] = {
        "resource_ids": [token],
        "credit_currency": TOKENS,
        "dimensions": {"user_id": token},
    }
    now = control.check(**ask)
    assert now.remaining == before.remaining
    assert [(one.limit, one.used) for one in now.limits] == [(one.limit, one.used) for one in before.limits]
    control.consume(**ask, amount=now.remaining)
    with pytest.raises(AccessDenied):
        control.consume(**ask, amount=1)
    control.suspend(token)
    assert control.verify() == []


def test_a_suspension_goes_on_without_who(control: UsageControl) -> None:
    used(control)
    token = control.erase(WHO).resource_id
    denied = control.check(resource_ids=[token], credit_currency=TOKENS)
    assert str(denied).startswith(f"resource {token} is suspended until 2026-01-16T00:00:00Z; ")


def test_an_id_that_was_erased_is_made_anew_as_another_resource(control: UsageControl) -> None:  # RN1
    used(control)
    control.resume(WHO)
    ask = {"resource_ids": [WHO], "credit_currency": TOKENS}
    held = control.reserve(**ask, amount=100, dimensions={"user_id": WHO})
    token = control.erase(WHO).resource_id
    control.put_resource(
        WHO, resource_type_id="user", parent_resource_id="growth", properties={"phone": 2, "mail": "new"}
    )
    control.set_allocation(resource_id=WHO, credit_currency=TOKENS, limit=60, cadence="day")
    control.consume(**ask, amount=60)
    with pytest.raises(AccessDenied):
        control.consume(**ask, amount=1)
    assert held.settle(40).charged == 40
    assert control.usage(resource_id=WHO)[0].amounts == {TOKENS: 60}
    assert [one.held for one in control.tree(token, TOKENS).limits] == [0, 0]
    assert control.tree(WHO, TOKENS).used == 60
    assert control.verify() == []
    again = control.erase(WHO)
    assert again.resource_id != token
    assert control.usage(resource_id=again.resource_id)[0].amounts == {TOKENS: 60}
    twice = control.erase(token).resource_id  # nothing is left to erase but the token
    assert control.usage(resource_id=twice)[0].events == 24
    assert control.verify() == []


@pytest.mark.parametrize("end", ["settle", "release", "extend", "expire"])
def test_what_is_held_goes_on_under_the_token(
    control: UsageControl, clock: Any, ledger_path: str, end: str
) -> None:  # RN2
    used(control)
    control.resume(WHO)
    ask: dict[str, Any] = {"resource_ids": [WHO], "credit_currency": TOKENS, "dimensions": {"user_id": WHO}}
    held = control.reserve(**ask, amount=100, idempotency_key="mine", ttl_seconds=60)
    before = control.check(**ask).limits
    erased = control.erase(WHO)
    token = erased.resource_id
    ask = {**ask, "resource_ids": [token], "dimensions": {"user_id": token}}
    [kept] = control.reservations()
    assert (kept.resource_ids, kept.dimensions) == ((token,), {"user_id": token})
    now = control.check(**ask).limits
    assert [(one.used, one.held, one.limit) for one in now] == [
        (one.used, one.held, one.limit) for one in before
    ]
    if end == "extend":
        held.extend(20)
        assert {one.held for one in control.check(**ask).limits} == {120}
    if end == "release":
        held.release()
    elif end == "expire":
        clock.advance(seconds=61)
        assert {one.held for one in control.check(**ask).limits} == {0}
        assert held.settle(5).expired
    else:
        assert held.settle(70).charged == 70
        last = list(control.events())[-1]
        assert last.resource_ids == ("growth", token)
        assert last.dimensions == {"user_id": token}
    assert {one.held for one in control.check(**ask).limits} == {0}
    assert said_of(Path(ledger_path), WHO) == []
    assert control.verify() == []


def test_several_that_are_erased_while_they_hold_are_told_apart(control: UsageControl) -> None:
    used(control)
    control.resume(WHO)
    said = {"user_id": WHO, "team": "growth"}
    held = control.reserve(resource_ids=[WHO], credit_currency=TOKENS, amount=10, dimensions=said)
    team = control.erase("growth").resource_id
    who = control.erase(WHO).resource_id
    held.settle(10)
    assert list(control.events())[-1].dimensions == {"user_id": who, "team": team}
    assert control.verify() == []


def test_ids_that_only_look_alike_stay(control: UsageControl) -> None:  # FG2
    control.apply(
        {
            "resourceTypes": [{"id": "user"}],
            "resources": [
                {"id": name, "resourceTypeId": "user", "customerId": "acme", "name": name.upper()}
                for name in ("ana", "ana-2", "banana", "ana.b", "ANA", "5")
            ],
            "allocations": [
                {"id": f"of {name}", "resourceId": name, "creditCurrency": TOKENS, "limit": 1}
                for name in ("ana-2", "banana", "ana.b")
            ],
        },
        reason="ana, ana-2 and banana; not ana.b, but ana.",
    )
    for value in ("ana", "ana-2", "banana", 5, "5.0"):
        control.report(
            customer_id="acme", credit_currency=TOKENS, amount=1, dimensions={"user": value, "other": "ana"}
        )
    token = control.erase("ana").resource_id
    five = control.erase("5").resource_id
    assert [one.dimensions["user"] for one in control.events()] == [token, "ana-2", "banana", five, "5.0"]
    assert {one.dimensions["other"] for one in control.events()} == {"ana"}  # under no attribution key
    assert {one.id for one in control.export_model().allocations} == {"of ana-2", "of banana", "of ana.b"}
    reasons = {one.reason for one in control.audit() if one.verb == "apply"}
    assert f"{token}, ana-2 and banana; not ana.b, but {token}." in reasons


def test_only_the_customers_own_is_erased(control: UsageControl) -> None:
    for customer in ("acme", "other"):
        control.apply(
            {
                "resourceTypes": [{"id": "user"}],
                "resources": [{"id": "ana", "resourceTypeId": "user", "customerId": customer}],
            }
        )
        control.report(
            customer_id=customer,
            credit_currency=TOKENS,
            amount=3,
            dimensions={"user": "ana"},
            idempotency_key="k",
        ) if control.export_model().credit_currencies else control.apply(
            {"creditCurrencies": [{"id": TOKENS}]}
        )
    with pytest.raises(AmbiguousResource):
        control.erase("ana")
    before = [one.as_dict() for one in control.events("other")]
    control.erase("ana", customer_id="acme")
    assert [one.as_dict() for one in control.events("other")] == before
    assert control.erase("ana").customer_id == "other"


def test_a_denial_that_was_just_given_is_forgotten_too(control: UsageControl, ledger_path: str) -> None:
    used(control)
    assert not control.check(resource_ids=[WHO], credit_currency=TOKENS)  # noted, and not written yet
    token = control.erase(WHO).resource_id
    assert {token} == {one for denial in control.denials() for one in denial.resource_ids}
    control.close()
    assert said_of(Path(ledger_path), WHO) == []


def test_what_was_denied_is_still_explained_and_nothing_tells_who_it_was(
    control: UsageControl, ledger_path: str
) -> None:
    """The digest by which the same denial is found goes, too: who guesses an id could try it."""
    used(control)
    denied = control.check(resource_ids=[WHO], credit_currency=TOKENS, requested_usage=10**9)
    token = control.erase(WHO).resource_id
    explained = control.explain(denied.decision_id)
    assert isinstance(explained, DenialExplained)
    assert explained.denial.resource_ids == (token,)
    assert explained.decision.requested == denied.requested
    assert {one.limit for one in explained.decision.limits} == {one.limit for one in denied.limits}
    assert WHO not in str(explained)
    assert WHO not in json.dumps(explained.as_dict())
    control.close()
    with sqlite3.connect(ledger_path) as connection:
        assert connection.execute("SELECT DISTINCT kind FROM denials").fetchall() == [(0,)]
    connection.close()


def test_a_denial_of_nobodys_is_forgotten_too(tmp_path: Path) -> None:
    """Whose it is was not known: an id beside it was nobody's."""
    path = tmp_path / "usage.db"
    with UsageControl(path, unknown_resources="deny") as control:
        control.apply(MODEL)
        control.put_customer("other")
        assert not control.check(resource_ids=[WHO, "nobody"], credit_currency=TOKENS)
        [denial] = control.denials()
        assert denial.customer_id is None
        control.erase(WHO)
    assert said_of(path, WHO) == []


def test_what_cannot_be_meant_changes_nothing(control: UsageControl, ledger_path: str) -> None:
    used(control)
    lines = len(list(control.audit()))
    for wrong, error in (
        ({"resource_id": "nobody"}, ResourceNotFound),
        ({"resource_id": WHO, "customer_id": "nobody"}, Exception),
        ({"resource_id": WHO, "reason": "\0"}, InvalidRequest),
        ({"resource_id": ""}, InvalidRequest),
    ):
        with pytest.raises(error):
            control.erase(**wrong)
    assert len(list(control.audit())) == lines
    assert said_of(Path(ledger_path), WHO) == [WHO]


def test_a_reader_that_looks_on_keeps_the_log_and_is_told(
    opened: Callable[..., UsageControl], ledger_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stiggctl.ledger.sqlite.remains.PATIENCE_SECONDS", 0.05)
    control = opened(ledger_path, clock=ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC)))
    used(control)
    events = control.events()
    first = next(events)
    assert control.erase(WHO).remains
    assert WHO in first.resource_ids
    assert said_of(Path(ledger_path), WHO) == [WHO]
    assert len(list(events)) == 43  # as they were when it began
    monkeypatch.undo()
    assert not control.erase("bo").remains
    assert said_of(Path(ledger_path), WHO) == []
