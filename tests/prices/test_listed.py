"""List prices: over all models of the list, to the last digit; and what the list does not have."""

import decimal
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from stiggctl.prices import ContractPrice, PriceNotFound, Usage, cost_of, estimate, usage_of
from stiggctl.prices.listed import _KEYS
from stiggctl.prices.tariff import exactly
from stiggctl.prices.usage import TOKEN_CLASSES
from tests.prices import payloads

pytest.importorskip("genai_prices", reason="the list is an extra: pip install genai-prices")

from genai_prices import Usage as TheirUsage
from genai_prices import __version__ as their_version
from genai_prices import data_snapshot, types

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
INSTANTS = [datetime(2024, 5, 1, 3, tzinfo=UTC), datetime(2026, 10, 13, 17, 30, tzinfo=UTC), NOON]
#: Prices of other things than tokens; what they price is in no usage of ours.
OTHER = {
    "audio_hours",
    "input_audio_hours",
    "input_annotated_document_kpages",
    "input_document_kpages",
    "input_mchars",
    "input_text_messages_kcount",
    "output_citation_mtok",
    "storage_searches_kcount",
}
INPUTS = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "input_audio",
    "input_image",
    "input_video",
)


def models() -> list[tuple[Any, Any]]:
    return [
        (provider, model) for provider in data_snapshot.get_snapshot().providers for model in provider.models
    ]


def reachable() -> Iterator[tuple[str, str, Any]]:
    """(provider, name, model): those that are found by their own name; a pattern before takes some others."""
    for provider, model in models():
        try:
            found = data_snapshot.get_snapshot().find_provider_model(model.id, None, provider.id, None)
        except LookupError:
            continue
        yield provider.id, model.id, found[1]


def priced(prices: Any, name: str) -> Any:
    return getattr(prices, _KEYS[name][0], None)


def random_usage(seed: random.Random, prices: Any) -> Usage:
    """Tokens of the classes that this model has a price for, itself or as a part of another."""
    names = []
    if priced(prices, "input") is not None:
        names += [name for name in TOKEN_CLASSES if "output" not in name and name != "reasoning"]
    if priced(prices, "output") is not None:
        names += [name for name in TOKEN_CLASSES if "output" in name or name == "reasoning"]
    if priced(prices, "web_searches") is not None:
        names.append("web_searches")
    most = seed.choice([10, 5_000, 400_000])
    return Usage(**{name: seed.choice([0, seed.randint(0, most)]) for name in names})


def theirs(usage: Usage) -> TheirUsage:
    """The same in genai-prices' words, where a whole has its parts inside."""
    return TheirUsage(
        input_tokens=usage.total_input,
        cache_read_tokens=usage.cache_read + usage.cache_read_audio + usage.cache_read_image,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_5m_tokens=usage.cache_write_5m,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.total_output,
        output_reasoning_tokens=usage.reasoning,
        input_audio_tokens=usage.input_audio + usage.cache_read_audio,
        cache_audio_read_tokens=usage.cache_read_audio,
        input_image_tokens=usage.input_image + usage.cache_read_image,
        cache_image_read_tokens=usage.cache_read_image,
        input_video_tokens=usage.input_video,
        output_audio_tokens=usage.output_audio,
        output_image_tokens=usage.output_image,
        output_video_tokens=usage.output_video,
        web_searches=usage.web_searches,
    )


def by_hand(prices: Any, usage: Usage) -> Fraction:
    """The sum in Fractions, class by class: what the list says of it, or of what it is a part of."""
    whole = {
        "cache_read_audio": "cache_read",
        "cache_read_image": "cache_read",
        "cache_write_5m": "cache_write",
    }
    whole |= {"cache_write_1h": "cache_write", "reasoning": "output"}
    total = Fraction(0)
    for name in (*TOKEN_CLASSES, "web_searches"):
        count, at = getattr(usage, name), name
        while count and priced(prices, at) is None:
            if at == "cache_read" and name in {"cache_read_audio", "cache_read_image"}:
                at = name.replace("cache_read", "input")
            else:
                at = whole.get(at, "output" if "output" in at else "input")
        if count:
            price = priced(prices, at)
            dollars = price if isinstance(price, Decimal) else price.base
            for tier in getattr(price, "tiers", ()):
                dollars = tier.price if usage.total_input > tier.start else dollars
            total += Fraction(dollars) * count / _KEYS[at][1]
    if (fee := priced(prices, "requests")) is not None:
        total += Fraction(fee) / 1_000
    return total


def rounded_up(exact: Fraction) -> Decimal:
    scaled = exact * 10**9
    return Decimal(-(-scaled.numerator // scaled.denominator)).scaleb(-9)


# ------------------------------------------------------------------ all of the list


def test_the_list_has_exact_prices_under_names_that_are_known_here() -> None:
    known = {key for key, _ in _KEYS.values()} | OTHER
    seen = set()
    for _, model in models():
        listed = [each.prices for each in model.prices] if isinstance(model.prices, list) else [model.prices]
        for prices in [*listed, *(variant.prices for variant in model.price_variants or ())]:
            for key, value in vars(prices).items():
                seen.add(key)
                tiers = getattr(value, "tiers", ())
                for each in (getattr(value, "base", value), *(tier.price for tier in tiers)):
                    assert value is None or type(each) is Decimal
                    assert value is None or exactly(each, 1) is not None
    assert seen <= known


@pytest.mark.parametrize("at", INSTANTS, ids=str)
def test_over_all_models_the_amount_is_the_sum_by_hand_rounded_up_once(at: datetime) -> None:
    """CO1, LP2, TF3; and the same as genai-prices' own arithmetic, which rounds otherwise."""
    seed, seen, without = random.Random(7), 0, 0
    for provider, name, model in reachable():
        prices = model.get_prices(at)
        usage = random_usage(seed, prices)
        with decimal.localcontext() as host:
            host.prec, host.traps[decimal.Inexact] = 5, True
            try:
                cost = cost_of(usage, name, at, provider=provider)
            except PriceNotFound:
                cost = None
        if cost is None:
            assert not {key for key in vars(prices) if key not in OTHER}, name
            without += 1
            continue
        exact = by_hand(prices, usage)
        assert cost.exact == exact == sum((Fraction(text) for text in cost.by_class.values()), Fraction(0))
        assert cost.amount == rounded_up(exact)
        with decimal.localcontext(prec=60):
            assert Fraction(prices.calc_price(theirs(usage))["total_price"]) == exact
        usual = Fraction(prices.calc_price(theirs(usage))["total_price"])
        assert abs(Fraction(cost.amount) - usual) < Fraction(1, 10**9) + exact / 10**20
        seen += 1
    assert seen > 2_000
    assert without < 250


def test_over_all_models_an_estimate_is_an_upper_bound() -> None:
    """CO3."""
    seed, seen, tight = random.Random(8), 0, 0
    texts = ("cache_read", "cache_write_5m", "cache_write_1h")
    for provider, name, model in reachable():
        prices = model.get_prices(NOON)
        if priced(prices, "input") is None or priced(prices, "output") is None:
            continue
        given, made = seed.choice([10, 3_000, 500_000]), seed.choice([0, 10, 50_000])
        most = estimate(name, given, made, provider=provider, at=NOON)
        without = estimate(name, given, made, provider=provider, at=NOON, caching=False)
        assert without.exact <= most.exact
        for _ in range(3):
            cuts = sorted(seed.randint(0, given) for _ in texts)
            parts = [here - before for before, here in zip([0, *cuts], cuts, strict=False)]
            reasoning = seed.randint(0, made)
            usage = Usage(
                **dict(zip(texts, parts, strict=True)),
                input=seed.choice([0, given - cuts[-1]]),
                reasoning=reasoning,
                output=seed.randint(0, made - reasoning),
            )
            assert cost_of(usage, name, NOON, provider=provider).exact <= most.exact
            plain = Usage(input=usage.total_input, output=made)
            assert cost_of(plain, name, NOON, provider=provider).exact <= without.exact
        tight += (
            without.exact == cost_of(Usage(input=given, output=made), name, NOON, provider=provider).exact
        )
        seen += 1
    assert seen > 1_500
    assert tight > seen * 9 // 10  # a bound, and for most models the very cost of the largest response


@pytest.mark.parametrize(
    "way", [("service_tier", "priority"), ("service_tier", "flex"), ("processing", "batch")]
)
def test_how_it_was_served_has_its_own_price_or_is_refused_where_it_would_be_dearer(
    way: tuple[str, str],
) -> None:
    """LP3."""
    seen, refused = 0, 0
    for provider, name, model in reachable():
        usage = Usage(input=1_000_000, output=1_000, served=(way,))
        usual = model.get_prices(NOON)
        if priced(usual, "input") is None or priced(usual, "output") is None:
            continue
        own = any(model is each for each in _provider(provider).models)
        served = model.get_prices(NOON, dict([way])) if own else usual
        if way[1] == "priority" and vars(served) == vars(usual):
            with pytest.raises(PriceNotFound, match="priority"):
                cost_of(usage, name, NOON, provider=provider)
            refused += 1
            continue
        assert cost_of(usage, name, NOON, provider=provider).exact == by_hand(served, usage)
        seen += vars(served) != vars(usual)
    assert seen > 20
    assert bool(refused) == (way[1] == "priority")


@pytest.mark.parametrize("way", [("service_tier", "ultrafast"), ("service_tier", "new"), ("speed", "new")])
def test_a_way_of_being_served_that_is_not_known_is_not_the_usual_one(way: tuple[str, str]) -> None:
    """LP3."""
    usage = Usage(input=1_000_000, served=(way,))
    with pytest.raises(PriceNotFound, match=way[1]):
        cost_of(usage, "gpt-5", NOON)


@pytest.mark.parametrize("tier", ["flex", "scale", "reserved", "default", "standard"])
def test_what_is_usual_cheaper_or_paid_beforehand_costs_no_more_than_usual(tier: str) -> None:
    """LP3."""
    usual = cost_of(Usage(input=1_000_000), "gpt-5", NOON).exact
    assert 0 < cost_of(Usage(input=1_000_000, served=(("service_tier", tier),)), "gpt-5", NOON).exact <= usual


def _provider(name: str) -> Any:
    return next(each for each in data_snapshot.get_snapshot().providers if each.id == name)


# ------------------------------------------------------------------ the host


def test_the_hosts_decimal_context_changes_nothing_and_is_not_changed() -> None:
    """CO1, LP1; in a process that imports the list only then."""
    code = """
import decimal, sys
from decimal import Decimal
from stiggctl.prices import ContractPrice, Usage, cost_of, estimate
assert "genai_prices" not in sys.modules
host = decimal.getcontext()
host.prec = 5
for signal in (decimal.Inexact, decimal.Rounded, decimal.FloatOperation, decimal.Subnormal):
    host.traps[signal] = True
before = repr(host)
usage = Usage(input=1234567, cache_read=7654321, output=98765, reasoning=4321, model="gpt-5")
agreed = ContractPrice(model="gpt-5", per_million={"input": "1.2345678", "output": Decimal("9.87654321")})
print(cost_of(usage, at="2026-11-20T12:00:00Z").amount, cost_of(usage, contracts=[agreed]).amount)
print(estimate("gpt-5", 123457, 98765, at="2026-11-20T12:00:00Z").by_class)
assert repr(decimal.getcontext()) == before
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    usage = Usage(input=1_234_567, cache_read=7_654_321, output=98_765, reasoning=4_321, model="gpt-5")
    first = cost_of(usage, at=NOON).amount
    exact = Fraction("1.2345678") * (1_234_567 + 7_654_321) / 10**6 + Fraction("9.87654321") * 103_086 / 10**6
    assert run.stdout.splitlines()[0] == f"{first} {rounded_up(exact)}"


def test_threads_with_contexts_of_their_own_get_one_amount() -> None:
    """CO1."""
    usage = Usage(input=1_234_567, output=98_765, model="claude-sonnet-4-5")
    start, found = threading.Barrier(8), []

    def work(prec: int) -> None:
        decimal.setcontext(decimal.Context(prec=prec, rounding=decimal.ROUND_DOWN))
        start.wait(10)
        found.extend(cost_of(usage, at=NOON).amount for _ in range(50))

    threads = [threading.Thread(target=work, args=(prec,)) for prec in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [cost_of(usage, at=NOON).amount] * 400


# ------------------------------------------------------------------ single prices


def test_a_response_becomes_money() -> None:
    usage = usage_of(
        payloads.chat(Usage(input=200, cache_read=1_000, output=30, reasoning=70, model="gpt-5-2025-08-07"))
    )
    cost = cost_of(usage, at="2025-12-01T00:00:00Z")
    assert cost.amount == Decimal("0.001375")  # 1.25, 0.125 and 10 dollars for a million
    assert (cost.model, cost.provider, cost.source) == ("gpt-5", "openai", "list")
    assert cost.version == f"genai-prices {their_version}"
    assert dict(cost.by_class) == {
        "input": "0.00025",
        "cache_read": "0.000125",
        "output": "0.0003",
        "reasoning": "0.0007",
    }


def test_a_price_change_is_a_matter_of_the_instant() -> None:
    changed = 0
    for provider, name, model in reachable():
        for each in model.prices if isinstance(model.prices, list) else ():
            if isinstance(each.constraint, types.StartDateConstraint):
                first = datetime.combine(each.constraint.start_date, datetime.min.time(), tzinfo=UTC)
                for at in (first, first - timedelta(microseconds=1)):
                    prices = model.get_prices(at)
                    if priced(prices, "input") is not None:
                        usage = Usage(input=10**6)
                        found = cost_of(usage, name, at, provider=provider)
                        assert found.exact == by_hand(prices, usage)
                        changed += 1
    assert changed > 100


@pytest.mark.parametrize("total", [200_000, 200_001])
def test_all_tokens_cost_what_the_size_of_the_whole_input_says(total: int) -> None:
    """TF3."""
    usage = Usage(
        input=total - 100_000, cache_read=60_000, cache_write_5m=40_000, output=10, model="gemini-2.5-pro"
    )
    cost = cost_of(usage, at=NOON)
    assert cost.by_class["output"] == ("0.0001" if total == 200_000 else "0.00015")


def test_a_contract_comes_before_the_list() -> None:
    agreed = ContractPrice(model="gpt-5*", provider="openai", per_million={"input": 1, "output": 1})
    usage = Usage(input=10**6, model="gpt-5")
    assert cost_of(usage, at=NOON, contracts=[agreed]).source == "contract"
    assert cost_of(usage, at=NOON, contracts=[agreed], provider="azure").source == "list"
    assert cost_of(usage, "gpt-4.1", at=NOON, contracts=[agreed]).source == "list"


@pytest.mark.parametrize(
    ("name", "provider"), [("openai/gpt-5", None), ("anthropic/claude-sonnet-4-5", None), ("gpt-5", "OpenAI")]
)
def test_names_as_people_write_them_are_found(name: str, provider: str | None) -> None:
    assert cost_of(Usage(input=1), name, NOON, provider=provider).exact > 0


@pytest.mark.parametrize(
    ("name", "provider", "meant"),
    [
        ("gpt-nope-5", None, None),
        ("gtp-5-mini", None, "gpt-5-mini"),
        ("claude-sonet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("gpt-5", "opnai", None),
        ("x" * 10_000, None, None),
        ("openai/nothing-such", None, None),
        ("", None, None),
    ],
)
def test_an_unknown_model_is_never_free(name: str, provider: str | None, meant: str | None) -> None:
    """CO2."""
    with pytest.raises(PriceNotFound) as missing:
        cost_of(Usage(input=1), name, NOON, provider=provider)
    assert meant is None or meant in missing.value.known
    assert meant is None or meant in str(missing.value)
    with pytest.raises(PriceNotFound):
        estimate(name, 1, 1, provider=provider, at=NOON)


def test_a_response_that_names_no_model_is_refused_until_it_is_named() -> None:
    usage = usage_of(payloads.converse(Usage(input=10**6)))
    with pytest.raises(PriceNotFound, match="give `model`"):
        cost_of(usage, at=NOON)
    assert cost_of(usage, "amazon.nova-pro-v1:0", NOON).exact > 0


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (Usage(output=5, model="text-embedding-3-small", provider="openai"), "output tokens"),
        (Usage(input=5, model="whisper-large-v3", provider="groq"), "input tokens|any price of tokens"),
        (Usage(input=5, model="deepseek-chat:free", provider="openrouter"), "any price of tokens"),
        (Usage(web_searches=1, model="gpt-4", provider="openai"), "web searches"),
    ],
)
def test_what_was_used_and_has_no_price_is_refused(usage: Usage, reason: str) -> None:
    """CO2, TF2."""
    with pytest.raises(PriceNotFound, match=reason):
        cost_of(usage, at=NOON)


def test_prices_that_were_fetched_say_when(monkeypatch: pytest.MonkeyPatch) -> None:
    own = data_snapshot.get_snapshot()
    fetched = data_snapshot.DataSnapshot(providers=list(own.providers), from_auto_update=True, timestamp=NOON)
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", fetched)
    cost = cost_of(Usage(input=1, model="gpt-5"), at=NOON)
    assert cost.version == f"genai-prices {their_version} of 2026-11-20T12:00:00Z"


TIER_OF_A_FLOAT = types.TieredPrices(base=Decimal(1), tiers=[types.Tier(start=0, price=0.5)])


@pytest.mark.parametrize("price", [0.5, Decimal("NaN"), Decimal(-1), "1", TIER_OF_A_FLOAT])
def test_a_list_that_was_tampered_with_has_no_price(monkeypatch: pytest.MonkeyPatch, price: Any) -> None:
    """TF1."""
    model = types.ModelInfo(
        id="m", match=types.ClauseEquals(equals="m"), prices=types.ModelPrice(input_mtok=price)
    )
    provider = types.Provider(
        id="p", name="P", api_pattern="p", model_match=types.ClauseEquals(equals="m"), models=[model]
    )
    fetched = data_snapshot.DataSnapshot(providers=[provider], from_auto_update=False)
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", fetched)
    with pytest.raises(PriceNotFound, match="no exact price"):
        cost_of(Usage(input=1, model="m"), at=NOON)


def test_left_out_the_instant_is_now() -> None:
    assert cost_of(Usage(input=1, model="gpt-5")).exact > 0


def test_a_naive_instant_is_refused() -> None:
    from stiggctl.errors import InvalidTimestamp  # noqa: PLC0415 - of this test alone

    with pytest.raises(InvalidTimestamp):
        cost_of(Usage(input=1, model="gpt-5"), at=NOON.replace(tzinfo=None))


def test_another_providers_ways_of_serving_are_not_this_ones() -> None:
    """LP3: Azure has models at OpenAI's prices, but not OpenAI's priority."""
    azure = _provider("azure")
    borrowed = [
        model
        for model in _provider("openai").models
        if any(variant.when == {"service_tier": "priority"} for variant in model.price_variants or ())
        and azure.find_model(model.id, all_providers=data_snapshot.get_snapshot().providers) is model
    ]
    assert borrowed
    served = (("service_tier", "priority"),)
    for model in borrowed:
        assert cost_of(Usage(input=1), model.id, NOON, provider="azure").exact > 0
        with pytest.raises(PriceNotFound, match="priority"):
            cost_of(Usage(input=1, served=served), model.id, NOON, provider="azure")


def test_a_dearer_way_that_had_no_price_yet_is_refused() -> None:
    """LP3."""
    model = next(
        model
        for model in _provider("openai").models
        for variant in model.price_variants or ()
        if variant.when == {"service_tier": "fast"} and variant.constraint is not None
    )
    first = next(each.constraint for each in model.price_variants if each.when == {"service_tier": "fast"})
    usage = Usage(input=10**6, served=(("service_tier", "fast"),))
    at = datetime.combine(first.start_date, datetime.min.time(), tzinfo=UTC)
    assert cost_of(usage, model.id, at).exact > cost_of(Usage(input=10**6), model.id, at).exact
    with pytest.raises(PriceNotFound, match="fast"):
        cost_of(usage, model.id, at - timedelta(microseconds=1))


def test_reasoning_has_its_own_price_where_the_list_has_one() -> None:
    """LP2."""
    seen = 0
    for provider, name, model in reachable():
        prices = model.get_prices(NOON)
        if (own := priced(prices, "reasoning")) is not None:
            cost = cost_of(Usage(reasoning=10**6, output=10**6), name, NOON, provider=provider)
            assert Fraction(cost.by_class["reasoning"]) == Fraction(own)
            assert Fraction(cost.by_class["output"]) == Fraction(priced(prices, "output"))
            seen += 1
    assert seen
