"""Ids: 1 to 255 characters of any script, compared as given."""

from typing import Any

import pytest

from stiggctl import InvalidRequest, ResourceNotFound, UsageControl

from .saying import TOKENS, Say, event_ids, flat, numbers

ODD = [
    "отдел-маркетинга",
    "营销部",
    "فريق",
    "日本語 の チーム",
    "👩‍💻",
    "\u00e9",  # é as one character
    "e\u0301",  # é as e and a combining accent: another id
    "É",
    "e",
    "it's",
    'say "hi"',
    "line\nbreak",
    "tab\there",
    "null",
    "None",
    "0",
    "-1",
    " ",
    " padded ",
    "%s %d {x} {0}",
    "'; DROP TABLE cells; --",
    "a/b\\c",
    "*",
    "_",
    "%",
    "\u202eright to left",
    "\u200b",
    "x" * 255,
    "ü" * 255,
    "😀" * 255,
]
WRONG = ["", "x" * 256, "nul\0inside", "\ud800", "a\udfffb"]


def test_ids_of_any_script_are_each_themselves(control: UsageControl, say: Say) -> None:
    model = flat({name: 1000 + place for place, name in enumerate(ODD)}, customer_id="клиент'\"\n")
    control.apply(model)
    for place, name in enumerate(ODD):
        receipt = say("consume", resource_ids=[name], credit_currency=TOKENS, amount=place)
        assert receipt.charged == place
    for place, name in enumerate(ODD):
        assert numbers(control, name) == {name: (place, 0, 1000)}
        denied = say("check", resource_ids=[name], credit_currency=TOKENS, requested_usage=1001)
        assert denied.binding.resource_id == name
        assert str(denied).encode()
    assert not control.apply(control.export_model(), prune=True).changed


def test_as_attribution_keys_event_names_and_keys_too(control: UsageControl, say: Say) -> None:
    control.apply(flat(dict.fromkeys(ODD)) | {"creditCurrencies": [{"id": TOKENS}]})
    for name in ODD:
        receipt = say(
            "report",
            customer_id="c",
            event_name=name,
            idempotency_key=name,
            dimensions={"node": name},
            credit_currency=TOKENS,
            amount=1,
        )
        assert (receipt.duplicate, tuple(receipt.unattributed)) == (False, ())
    assert len(event_ids(control, "c")) == len(ODD)
    assert [event.event_name for event in control.events(customer_id="c")] == ODD


def test_a_currency_and_a_customer_of_any_script(control: UsageControl, say: Say) -> None:
    model = flat({"a": 10}, customer_id="客户")
    for entry in model["allocations"]:
        entry["creditCurrency"] = "кредиты 💶"
    control.apply(model)
    say("consume", resource_ids=["a"], credit_currency="кредиты 💶", amount=3)
    assert numbers(control, "a", customer_id="客户", credit_currency="кредиты 💶") == {"a": (3, 0, 7)}


@pytest.mark.parametrize("name", WRONG, ids=ascii)
@pytest.mark.parametrize("verb", ["check", "consume", "reserve"])
def test_what_is_no_id_is_refused(control: UsageControl, say: Say, verb: str, name: str) -> None:
    control.apply(flat({"a": 10}))
    amount = {} if verb == "check" else {"amount": 1}
    with pytest.raises((InvalidRequest, ResourceNotFound)) as refused:
        say(verb, resource_ids=["a", name], credit_currency=TOKENS, **amount)
    assert str(refused.value).encode(errors="strict")
    assert numbers(control, "a") == {"a": (0, 0, 10)}


@pytest.mark.parametrize("name", WRONG, ids=ascii)
def test_what_is_no_key_is_refused(control: UsageControl, say: Say, name: str) -> None:
    control.apply(flat({"a": 10}))
    ask: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS, "idempotency_key": name}
    with pytest.raises(InvalidRequest):
        say("consume", **ask, amount=1)
    with pytest.raises(InvalidRequest):
        say("reserve", **ask, amount=1)
    assert numbers(control, "a") == {"a": (0, 0, 10)}
    assert event_ids(control, "c") == []


@pytest.mark.parametrize("name", [5, None, b"a", 1.5, True, ("a",)], ids=repr)
def test_what_is_no_text_is_no_id(control: UsageControl, say: Say, name: Any) -> None:
    control.apply(flat({"a": 10}))
    with pytest.raises(InvalidRequest):
        say("check", resource_ids=["a", name], credit_currency=TOKENS)
    with pytest.raises(InvalidRequest):
        say("consume", resource_ids=[name], credit_currency=TOKENS, amount=1)


def test_dimensions_of_any_script_come_back_as_given(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": None}) | {"creditCurrencies": [{"id": TOKENS}]})
    dimensions = {"модель": "gpt-五", "line\nbreak": "'\"", "empty": "", "👩‍💻": "%s", "n": -5}
    say(
        "report",
        customer_id="c",
        event_name="e",
        resource_ids=["a"],
        credit_currency=TOKENS,
        amount=1,
        dimensions=dimensions,
    )
    (event,) = control.events(customer_id="c")
    assert dict(event.dimensions) == dimensions
