"""Contract prices: which of several is meant, what they lack, and that they need no list."""

import itertools
import pickle
import random
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from stiggctl.errors import InvalidAmount, InvalidRequest, InvalidTimestamp, shown
from stiggctl.prices import ContractPrice, PriceNotFound, Usage, cost_of, estimate

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def contract(dollars: int, model: str = "gpt-5", **more: Any) -> ContractPrice:
    return ContractPrice(model=model, per_million={"input": dollars, "output": dollars}, **more)


def paid(
    contracts: list[ContractPrice], *, model: str = "gpt-5", provider: str | None = None, at: Any = NOON
) -> int:
    """Dollars for a million tokens: which contract it was."""
    usage = Usage(input=10**6, model=model, provider=provider)
    return int(cost_of(usage, at=at, contracts=contracts).amount)


#: From the most particular to the least; each fits gpt-5 of openai at noon.
ORDER = [
    contract(1, "gpt-5", provider="openai", effective_at="2026-01-10T00:00:00Z"),
    contract(2, "gpt-5", provider="openai", effective_at="2026-01-01T00:00:00Z"),
    contract(3, "gpt-5", provider="openai"),
    contract(4, "gpt-5", effective_at="2026-01-14T00:00:00Z"),
    contract(5, "gpt-5"),
    contract(6, "gpt-5*", provider="openai"),
    contract(7, "gpt-5*"),
    contract(8, "gpt*", effective_at="2026-01-14T00:00:00Z"),
    contract(9, "*"),
]


@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(range(len(ORDER)), 2)])
def test_the_most_particular_contract_in_force_prices_a_response(first: int, second: int) -> None:
    """CT1."""
    pair = [ORDER[first], ORDER[second]]
    assert paid(pair, provider="openai") == paid(pair[::-1], provider="openai") == first + 1


def test_the_order_in_which_contracts_are_written_decides_nothing_else() -> None:
    shuffled = ORDER[:]
    random.Random(5).shuffle(shuffled)
    assert paid(shuffled, provider="openai") == 1
    assert paid(shuffled, model="gpt-5-mini", provider="openai") == 6
    assert paid(shuffled, model="gpt-5", provider="azure") == 4
    assert paid(shuffled, model="GPT-5", provider="OpenAI") == 1
    assert paid(shuffled, model="claude", provider="anthropic") == 9


def test_only_a_star_and_a_question_mark_stand_for_other_letters() -> None:
    """CT1: the brackets of a name are its own."""
    agreed = [contract(1, "claude[1m]*"), contract(2, "*")]
    assert paid(agreed, model="claude[1m]") == 1
    assert paid(agreed, model="claude[1m]-2026") == 1
    assert paid(agreed, model="claudem") == 2
    assert paid([contract(1, "gpt-5[a-z]"), contract(2, "gpt-?x")], model="gpt-5x") == 2


def test_a_response_that_does_not_tell_its_provider_fits_contracts_of_any() -> None:
    """CT1."""
    assert paid([contract(3, provider="azure"), contract(5)]) == 3


@pytest.mark.parametrize(
    ("at", "dollars"),
    [
        ("2025-12-31T23:59:59.999999Z", 9),
        ("2026-01-01T00:00:00Z", 1),
        ("2026-01-31T23:59:59.999999Z", 1),
        ("2026-02-01T00:00:00Z", 9),
    ],
)
def test_a_contract_begins_with_its_first_instant_and_ends_before_its_last(at: str, dollars: int) -> None:
    month = contract(1, effective_at="2026-01-01T00:00:00Z", expires_at=datetime(2026, 2, 1, tzinfo=UTC))
    assert paid([contract(9, "*"), month], at=at) == dollars


def test_a_contract_with_tokens_of_every_class() -> None:
    names = [name for name in Usage.__slots__ if name not in {"model", "provider", "served", "web_searches"}]
    prices = {name: Decimal(at + 1) / 8 for at, name in enumerate(names)}
    agreed = ContractPrice(model="m", per_million=prices, each={"web_searches": "0.01", "requests": "0.005"})
    usage = Usage(**dict.fromkeys(names, 3), web_searches=2, model="m")
    cost = cost_of(usage, at=NOON, contracts=[agreed])
    exact = sum(Fraction(price) * 3 / 10**6 for price in prices.values()) + Fraction(25, 1_000)
    assert cost.exact == exact
    assert set(cost.by_class) == {*names, "web_searches", "requests"}
    assert (cost.source, cost.model, cost.version) == ("contract", "m", "contract any/m from always")


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(cache_read=10**6, model="m"), 1),
        (Usage(reasoning=10**6, model="m"), 10),
        (Usage(cache_read_audio=10**6, model="m"), 32),
        (Usage(cache_read_image=10**6, model="m"), 8),
    ],
)
def test_what_is_never_dearer_costs_what_the_contract_says_of_the_whole(usage: Usage, dollars: int) -> None:
    """CT2."""
    prices = {"input": 1, "output": 10, "input_audio": 32, "input_image": 8}
    agreed = ContractPrice(model="m", per_million=prices)
    assert cost_of(usage, contracts=[agreed]).amount == dollars


@pytest.mark.parametrize(
    "name",
    ["cache_write_5m", "cache_write_1h", "input_audio", "output_audio", "output_image", "web_searches"],
)
def test_what_may_be_dearer_and_has_no_price_is_refused_also_where_the_list_has_one(name: str) -> None:
    """CT2, CO2, TF2."""
    agreed = ContractPrice(model="*", per_million={"input": 1, "output": 10})
    with pytest.raises(PriceNotFound, match=name.replace("web_searches", "web searches")):
        cost_of(Usage(**{name: 1}, model="claude-sonnet-4-5"), contracts=[agreed])


def test_a_price_of_nothing_is_a_price() -> None:
    assert cost_of(Usage(input=5, model="m"), contracts=[contract(0, "m")]).amount == 0


@pytest.mark.parametrize(
    "amount",
    [
        0.5,
        True,
        -1,
        "1,5",
        "",
        "NaN",
        Decimal("NaN"),
        Decimal("-0.1"),
        None,
        "1e99999",
        10**5_000,
        "1e-99999",
    ],
    ids=lambda amount: shown(amount)[:20],
)
def test_what_is_no_exact_price_is_refused(amount: Any) -> None:
    """TF1."""
    with pytest.raises(InvalidAmount, match="per_million") as refused:
        ContractPrice(model="m", per_million={"input": amount})
    assert str(refused.value)
    with pytest.raises(InvalidAmount, match="each"):
        ContractPrice(model="m", per_million={}, each={"requests": amount})


def test_a_class_that_there_is_not_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidRequest, match="cache_read"):
        ContractPrice(model="m", per_million={"cache_reads": 1})
    with pytest.raises(InvalidTimestamp):
        ContractPrice(model="m", per_million={}, effective_at="2026-01-01")


def test_its_errors_and_costs_travel() -> None:
    cost = cost_of(Usage(input=5, model="gpt-5"), contracts=ORDER)
    assert pickle.loads(pickle.dumps(cost)) == cost
    assert pickle.loads(pickle.dumps(ORDER[0])) == ORDER[0]


def test_an_estimate_by_contract_is_of_the_dearest_class() -> None:
    prices = {"input": 1, "cache_write_5m": "1.25", "cache_write_1h": 2, "output": 10, "reasoning": 12}
    agreed = [ContractPrice(model="m", per_million=prices, each={"requests": 1})]
    assert estimate("m", 10**6, 10**6, contracts=agreed).amount == 2 + 12 + 1
    assert estimate("m", 10**6, 0, contracts=agreed, caching=False).amount == 2


def test_a_cost_that_no_event_can_have_is_refused() -> None:
    agreed = [contract(10**12, "m")]
    with pytest.raises(InvalidAmount, match="the cost of 'm'"):
        cost_of(Usage(input=10**9, model="m"), contracts=agreed).amount  # noqa: B018 - that is what raises
