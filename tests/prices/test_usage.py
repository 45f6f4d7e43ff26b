"""The record: disjoint counts that are counts, and what an event says of them."""

import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.errors import shown
from stiggctl.events import DIMENSIONS_BYTES_MAX, DIMENSIONS_MAX, read_dimensions
from stiggctl.prices import Usage, UsageUnclear
from stiggctl.prices.usage import ALWAYS_SAID, COUNT_MAX, INPUT_CLASSES, OUTPUT_CLASSES, TOKEN_CLASSES

COUNTS = st.integers(0, 10**7)
NAMES = st.none() | st.sampled_from(["gpt-5", "claude-sonnet-4-5"])
USAGES = st.builds(
    Usage,
    **{name: st.just(0) | COUNTS for name in (*TOKEN_CLASSES, "web_searches")},
    model=NAMES,
    provider=NAMES,
    served=st.sampled_from([(), (("service_tier", "flex"),), (("processing", "batch"), ("speed", "fast"))]),
)


@given(USAGES)
def test_the_total_is_the_sum_of_all_classes(usage: Usage) -> None:
    """TU1."""
    assert usage.total == sum(getattr(usage, name) for name in TOKEN_CLASSES)
    assert usage.total == usage.total_input + usage.total_output
    assert set(INPUT_CLASSES) | set(OUTPUT_CLASSES) == set(TOKEN_CLASSES)
    assert not set(INPUT_CLASSES) & set(OUTPUT_CLASSES)


@given(USAGES)
def test_an_event_tells_a_usage_whole(usage: Usage) -> None:
    """TU3."""
    said = usage.as_dimensions()
    assert Usage.of_dimensions({"user_id": "ana", **said}) == usage
    assert Usage.of_dimensions({name: Decimal(v) if isinstance(v, int) else v for name, v in said.items()})
    assert read_dimensions(said) == said
    assert pickle.loads(pickle.dumps(usage)) == usage


def test_an_event_of_every_class_has_room_for_others() -> None:
    name = "x" * 255
    served = (("processing", "batch"), ("service_tier", "priority"), ("speed", "fast"))
    counts = dict.fromkeys((*TOKEN_CLASSES, "web_searches"), COUNT_MAX)
    said = Usage(**counts, model=name, provider=name, served=served).as_dimensions()
    assert len(said) <= DIMENSIONS_MAX - 10
    assert sum(len(key) + len(str(value)) for key, value in said.items()) < DIMENSIONS_BYTES_MAX // 2


def test_common_classes_are_always_said_and_seldom_ones_when_used() -> None:
    said = Usage(input=1, output_image=5).as_dimensions()
    assert {f"{name}_tokens" for name in ALWAYS_SAID} | {"output_image_tokens"} == set(said)
    assert set(Usage(model="m", provider="p").as_dimensions()) >= {"model", "provider"}


@pytest.mark.parametrize(
    "count",
    [-1, True, 5.0, "5", None, Decimal(5), COUNT_MAX + 1, float("nan"), 10**5_000],
    ids=lambda count: shown(count)[:20],
)
@pytest.mark.parametrize("name", [*TOKEN_CLASSES, "web_searches"])
def test_what_is_no_count_is_refused(name: str, count: Any) -> None:
    """TU2."""
    with pytest.raises(UsageUnclear, match=name) as refused:
        Usage(**{name: count})
    assert str(refused.value)


def test_a_usage_is_not_changed() -> None:
    usage = Usage(input=1)
    with pytest.raises(AttributeError):
        usage.input = 2


@pytest.mark.parametrize(
    "dimensions",
    [{}, {"model": "gpt-5"}, {"input_tokens": "5"}, {"input_tokens": Decimal("0.5")}, {"output_tokens": -1}],
)
def test_an_event_without_counts_is_no_usage(dimensions: dict[str, object]) -> None:
    with pytest.raises(UsageUnclear):
        Usage.of_dimensions(dimensions)


@pytest.mark.parametrize("name", ["model", "provider"])
def test_names_are_text(name: str) -> None:
    with pytest.raises(UsageUnclear, match=name):
        Usage(**{name: 5})


def test_two_that_say_the_same_are_equal() -> None:
    served = (("speed", "fast"), ("processing", "batch"))
    assert Usage(served=served) == Usage(served=served[::-1])
