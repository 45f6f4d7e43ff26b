"""In a notebook answers show themselves, whatever is in a name, and data frames are made of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stiggctl import InvalidRequest, UsageControl, columns
from stiggctl.answers.markup import Bar, table, text
from stiggctl.testing import ManualClock

from .saying import TOKENS

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "it's & <b>bold</b>",
    "渡辺さん",
    "\u202eevil\u0007",
    "two\nlines",
    "</table></div>",
    "javascript:alert(1)",
]


class Seen(HTMLParser):
    """What a browser would make of it: elements, their attributes, and text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(markup)
        self.close()
        assert self.open == []  # what was opened was closed, in order

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def require_harmless(self) -> None:
        """Only elements that show text, and nothing that loads or runs (MK1, MK2)."""
        assert {tag for tag, _ in self.elements} <= {
            "div",
            "span",
            "bdi",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }
        for _, attributes in self.elements:
            assert attributes.keys() <= {"style"}
            assert "url" not in (attributes.get("style") or "")


def visible(said: str) -> str:
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in said)


def answers(control: UsageControl, name: str) -> list[Any]:
    control.apply(
        {
            "creditCurrencies": [{"id": TOKENS}, {"id": "usd", "decimals": 9}],
            "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
            "resources": [
                {"id": f"team {name}", "resourceTypeId": "team", "customerId": name},
                {"id": name, "resourceTypeId": "user", "parentResourceId": f"team {name}"},
            ],
            "allocations": [
                {
                    "resourceId": f"team {name}", "creditCurrency": TOKENS, "limit": 1000,
                    "enforcementType": "SOFT",
                },
                {
                    "resourceId": name, "creditCurrency": TOKENS, "limit": 100, "scope": {name: name},
                    "cadence": "day",
                },
            ],
        }
    )  # fmt: skip
    ask: dict[str, Any] = {"resource_ids": [name], "customer_id": name, "dimensions": {name: name}}
    receipt = control.consume(**ask, credit_currency=TOKENS, amount=95, event_name=name)
    control.report(
        customer_id=name, resource_ids=[name, name + "?"], amounts={TOKENS: 61, "usd": "0.000000123"}
    )
    control.suspend(f"team {name}", reason=name, customer_id=name)
    denied = control.check(**ask, credit_currency=TOKENS, requested_usage=50)
    control.resume(f"team {name}", customer_id=name)
    return [
        denied,
        control.check(**ask, credit_currency=TOKENS, requested_usage=50),
        control.check(**ask, credit_currency=TOKENS, requested_usage=1),
        receipt,
        control.tree(f"team {name}", TOKENS, customer_id=name),
        control.usage(group_by="resource", bucket="day"),
        control.usage(group_by="event"),
    ]


@pytest.mark.parametrize("name", NASTY)
def test_whatever_a_name_has_in_it_is_shown_and_never_read_as_markup(
    opened: Callable[..., UsageControl], name: str
) -> None:
    for answer in answers(opened(":memory:"), name):
        seen = Seen(answer._repr_html_())
        seen.require_harmless()
        assert visible(name) in seen.text


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_all_text_is_only_text(said: str) -> None:  # MK1
    seen = Seen(f"<div>{text(said)}</div>")
    seen.require_harmless()
    assert seen.text == visible(said)


def test_a_decision_shows_what_it_is_and_what_would_help(acme: UsageControl, ask: dict[str, Any]) -> None:
    seen = Seen(acme.check(**ask, requested_usage=500)._repr_html_())
    assert "denied user-01 has 200 of 200 ai-tokens left" in seen.text
    assert "remedy: ask for at most 200" in seen.text
    assert "denies" in seen.text  # MK3: a word, beside the colour
    assert Seen(acme.check(**ask, requested_usage=5)._repr_html_()).text.startswith("allowed")


def test_what_is_not_full_never_looks_full() -> None:
    for used, held, limit, shown in (
        (999, 0, 1000, "99%"), (1000, 0, 1000, "100%"), (0, 0, 0, "full"), (-5, 0, 10, "-50%"),
        (0, 999, 1000, "99%"), (Decimal("0.999999999"), 0, 1, "99%"), (3, 8, 10, "110%"),
    ):  # fmt: skip
        seen = Seen(table(["x"], [[Bar(used, held, limit)]]))
        assert seen.text.endswith(shown)
        widths = [
            int(style.split("width:")[1].split("%")[0])
            for tag, attributes in seen.elements
            if tag == "span" and "height:100%" in (style := attributes["style"] or "")
        ]
        assert len(widths) == 2
        assert min(widths) >= 0
        assert (sum(widths) == 100) == (used + held >= limit)


def test_of_very_many_rows_the_first_are_shown_and_the_rest_counted() -> None:
    seen = Seen(table(["n"], ([n] for n in range(12_345))))
    assert seen.text.count("\n") == 0
    assert "and 11,845 more rows" in seen.text
    assert len(seen.elements) < 2_000


def test_a_tree_that_is_deeper_than_pythons_stack_is_shown(opened: Callable[..., UsageControl]) -> None:
    control = opened(":memory:")
    resources = [{"id": "0", "resourceTypeId": "node", "customerId": "c"}]
    resources += [
        {"id": str(n), "resourceTypeId": "node", "parentResourceId": str(n - 1)} for n in range(1, 1_500)
    ]
    control.apply(
        {"creditCurrencies": [{"id": TOKENS}], "resourceTypes": [{"id": "node"}], "resources": resources}
    )
    tree = control.tree("0", TOKENS)
    Seen(tree._repr_html_()).require_harmless()
    assert columns(tree)["depth"] == list(range(1_500))
    assert [node.resource_id for _, node in tree.walk()] == [str(n) for n in range(1_500)]


# ------------------------------------------------------------------ columns


def test_all_columns_are_as_long_and_have_plain_values(opened: Callable[..., UsageControl]) -> None:  # FL1
    control = opened(":memory:", clock=ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC)))
    every: list[Any] = answers(control, "ana")
    control.grant_credits(customer_id="ana", credit_currency=TOKENS, grant_id="g", amount=5)
    every += [list(control.events()), control.grants(), control.usage(since="2000-01-01T00:00:00Z")]
    for answer in every:
        found = columns(answer)
        assert len(set(map(len, found.values()))) == 1
        assert {
            type(value) for cells in found.values() for value in cells
        } <= {str, int, bool, Decimal, datetime, type(None)}  # fmt: skip


def test_amounts_are_decimals_in_every_currency(opened: Callable[..., UsageControl]) -> None:  # FL2
    control = opened(":memory:")
    answers(control, "ana")
    events = columns(control.events())
    assert events["credit_currency"] == [TOKENS, TOKENS, "usd"]
    assert events["amount"] == [Decimal(95), Decimal(61), Decimal("0.000000123")]
    assert {type(amount) for amount in events["amount"]} == {Decimal}
    assert events["overage"] == [0, 0, 0]
    usage = columns(control.usage(group_by="customer"))
    assert (usage["key"], usage["amount"]) == (["ana", "ana"], [Decimal(156), Decimal("0.000000123")])
    nothing = columns(control.usage(until="2000-01-01T00:00:00Z"))
    assert (nothing["events"], nothing["credit_currency"], nothing["amount"]) == ([0], [None], [None])


def test_a_stream_and_several_answers_make_columns(acme: UsageControl, ask: dict[str, Any]) -> None:
    decisions = [acme.check(**ask, requested_usage=n) for n in (5, 500)]
    found = columns(decisions)
    assert found["resource_id"].count("user-01") == 2
    assert found["allowed"].count(False) == 1
    assert columns(iter(())) == {}
    assert columns(acme.usage(group_by="event")) == {}


@pytest.mark.parametrize("given", ["usage", 5, None, {"a": 1}, [1], [object()]])
def test_what_is_no_answer_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequest, match="usage, events, grants"):
        columns(given)


def test_records_of_two_kinds_make_no_columns(acme: UsageControl, ask: dict[str, Any]) -> None:
    both: Any = [acme.check(**ask), acme.tree("user-01", TOKENS)]
    with pytest.raises(InvalidRequest, match="one kind"):
        columns(both)
