"""Whole responses: every class of every provider's shape, and whatever in them cannot be."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stiggctl.prices import StreamUsage, Usage, UsageUnclear, usage_of
from tests.prices import payloads

COUNTS = st.just(0) | st.integers(1, 10**6)
COMMON = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
MEDIA = (
    "input_audio",
    "output_audio",
    "cache_read_audio",
    "input_image",
    "cache_read_image",
    "output_image",
    "input_video",
    "output_video",
)

#: The classes that each shape can tell, its builder, and the provider that the shape itself tells.
SHAPES: dict[str, tuple[tuple[str, ...], Callable[[Usage], Any], str | None]] = {
    "chat": ((*COMMON, *MEDIA), payloads.chat, None),
    "chat, reasoning beside": (
        (*COMMON, *MEDIA),
        lambda usage: payloads.chat(usage, beside=True),
        None,
    ),
    "responses": (COMMON, payloads.responses, None),
    "messages": ((*COMMON, "web_searches"), payloads.messages, "anthropic"),
    "gemini": (
        ("input", "cache_read", "output", "reasoning", *MEDIA),
        lambda usage: payloads.gemini(usage, tools=usage.input // 2),
        "google",
    ),
    "converse": (
        ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output"),
        payloads.converse,
        "aws",
    ),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)


def built(shape: str, counts: Mapping[str, int]) -> tuple[Usage, Any]:
    """A usage, and the response that tells it."""
    _, build, provider = SHAPES[shape]
    usage = Usage(**counts, model=None if shape == "converse" else "a-model", provider=provider)
    return usage, build(usage)


@each_shape
@given(data=st.data())
def test_classes_put_together_by_the_providers_rule_are_taken_apart(shape: str, data: st.DataObject) -> None:
    """SH1, RS1, TD1."""
    counts = {name: data.draw(COUNTS, label=name) for name in SHAPES[shape][0]}
    assume(any(counts.values()))
    usage, response = built(shape, counts)
    before = copy.deepcopy(response)
    assert usage_of(response) == usage
    assert usage_of(payloads.as_objects(response)) == usage
    assert response == before
    if shape == "gemini":
        assert usage_of(payloads.snake_case(response)) == usage
        assert usage_of(payloads.as_objects(payloads.snake_case(response))) == usage


@pytest.mark.parametrize(("shape", "name"), [(shape, name) for shape in SHAPES for name in SHAPES[shape][0]])
def test_every_class_of_every_shape_is_found_alone(shape: str, name: str) -> None:
    usage, response = built(shape, {name: 1_000})
    assert usage_of(response) == usage


@each_shape
def test_the_usage_alone_is_a_response_too(shape: str) -> None:
    usage, response = built(shape, {"input": 5, "cache_read": 7, "output": 3})
    alone = usage_of(response.get("usage") or response["usageMetadata"], model="m", provider="p")
    assert alone.as_dimensions() == {**usage.as_dimensions(), "model": "m", "provider": "p"}


# ------------------------------------------------------------------ what cannot be


def paths(thing: Any, *above: Any) -> Iterator[tuple[Any, ...]]:
    """Where the counts of a payload stand."""
    members = (
        thing.items() if isinstance(thing, Mapping) else enumerate(thing) if isinstance(thing, list) else ()
    )
    for name, value in members:
        if isinstance(value, int):
            yield (*above, name)
        yield from paths(value, *above, name)


def changed(response: Any, path: tuple[Any, ...], value: Any) -> Any:
    response = copy.deepcopy(response)
    part = response
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return response


NOT_READ = {"accepted_prediction_tokens", "rejected_prediction_tokens", "text_tokens", "web_fetch_requests"}


@each_shape
@pytest.mark.parametrize(
    "value", [True, 5.0, "5", -1, 10**13, [], MagicMock()], ids=lambda value: repr(value)[:9]
)
def test_no_count_that_is_none_is_let_through(shape: str, value: Any) -> None:
    """TD2."""
    classes = SHAPES[shape][0]
    _, response = built(shape, {name: 10 + at for at, name in enumerate(classes)})
    tried = 0
    for key in ("usage", "usageMetadata"):
        for path in paths(response.get(key, {})):
            if path[-1] in NOT_READ:
                continue
            tried += 1
            with pytest.raises(UsageUnclear) as refused:
                usage_of(changed(response, (key, *path), value))
            assert str(refused.value)
    assert tried > 4


@each_shape
@given(data=st.data())
def test_a_count_that_was_changed_is_never_a_smaller_usage_unseen(shape: str, data: st.DataObject) -> None:
    """SH2: with a total told, parts that no longer sum up are refused or were only moved between classes."""
    counts = {name: data.draw(st.integers(1, 1_000)) for name in SHAPES[shape][0]}
    usage, response = built(shape, counts)
    key = "usageMetadata" if shape == "gemini" else "usage"
    path = data.draw(st.sampled_from([path for path in paths(response[key]) if path[-1] not in NOT_READ]))
    try:
        found = usage_of(changed(response, (key, *path), data.draw(st.integers(0, 3_000))))
    except UsageUnclear:
        return
    if shape not in {"messages", "converse"}:  # Anthropic tells no total, Bedrock's may have no cache in it
        assert found.total >= usage.total or "total" in str(path[-1]).lower()


NOTHING: list[Any] = [
    None,
    {},
    [],
    "usage",
    5,
    object(),
    {"usage": None},
    {"usage": {}},
    {"usageMetadata": {}},
    {"object": "response", "status": "in_progress", "usage": None},
    {"usage": {"completion_tokens": 5}},
    {"usage": {"total_tokens": 5}},
    {"usage": {"prompt_tokens": 5}},
    {"usage": {"prompt_tokens": 5, "total_tokens": 9}},
    {"type": "message", "usage": {"input_tokens": 5}},
    {"type": "message", "usage": {"output_tokens": 5}},
    {"usage": {"inputTokens": 5}},
    {"usageMetadata": {"candidatesTokenCount": 5}},
    MagicMock(),
]


@pytest.mark.parametrize("response", NOTHING, ids=lambda response: repr(response)[:50])
def test_a_response_without_usage_is_no_usage_of_nothing(response: Any) -> None:
    """RS2."""
    with pytest.raises(UsageUnclear):
        usage_of(response)


@each_shape
def test_a_response_that_counts_nothing_is_no_usage_of_nothing(shape: str) -> None:
    """RS2: LiteLLM and others fill in zeros where their provider told no usage."""
    _, response = built(shape, {})
    with pytest.raises(UsageUnclear, match="at least one token"):
        usage_of(response)


def openai_usage(prompt: int, completion: int, total: int | None = None, **details: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
        "prompt_tokens_details": {
            name: count for name, count in details.items() if name != "reasoning_tokens"
        },
        "completion_tokens_details": {"reasoning_tokens": details.get("reasoning_tokens", 0)},
    }


CONTRADICTIONS: dict[str, Any] = {
    "more cached than prompt": openai_usage(10, 5, cached_tokens=11),
    "more cached and written than prompt": openai_usage(10, 5, cached_tokens=6, cache_write_tokens=5),
    "more audio than prompt": openai_usage(10, 5, audio_tokens=11),
    "more reasoning than completion": openai_usage(10, 5, reasoning_tokens=6),
    "a total that is too small": openai_usage(10, 5, total=14),
    "a total with less reasoning": openai_usage(10, 5, total=17, reasoning_tokens=3),
    "two numbers for cached": {**openai_usage(10, 5, cached_tokens=3), "cache_read_input_tokens": 4},
    "more cached audio than audio": openai_usage(
        10, 5, cached_tokens=5, audio_tokens=3, cached_tokens_details={"audio_tokens": 4}
    ),
    "more cached by medium than cached": openai_usage(
        10, 5, cached_tokens=2, audio_tokens=5, cached_tokens_details={"audio_tokens": 4}
    ),
    "more writes by time than writes": {
        "input_tokens": 5,
        "output_tokens": 5,
        "cache_creation_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 4},
    },
    "more thinking than output": {
        "input_tokens": 5,
        "output_tokens": 5,
        "cache_read_input_tokens": 0,
        "output_tokens_details": {"thinking_tokens": 6},
    },
    "the words of two providers": {
        "input_tokens": 5,
        "output_tokens": 5,
        "cache_read_input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 3},
    },
    "another model's tokens": {
        "input_tokens": 5,
        "output_tokens": 5,
        "cache_read_input_tokens": 0,
        "iterations": [{"type": "advisor_message", "model": "x", "input_tokens": 5, "output_tokens": 5}],
    },
    "a total that is no sum": {"inputTokens": 5, "outputTokens": 5, "totalTokens": 11},
    "more thoughts than the total": {
        "promptTokenCount": 5,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 4,
        "totalTokenCount": 10,
    },
    "more cached than the prompt": {
        "promptTokenCount": 5,
        "cachedContentTokenCount": 6,
        "totalTokenCount": 5,
    },
}


@pytest.mark.parametrize("usage", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_contradicts_itself_is_refused(usage: dict[str, Any]) -> None:
    """SH2."""
    with pytest.raises(UsageUnclear) as refused:
        usage_of({"usage": usage})
    assert "expected" in str(refused.value)


# ------------------------------------------------------------------ each provider's own ways


def test_reasoning_that_only_the_total_has_is_reasoning() -> None:
    """SH3: Gemini in OpenAI's words tells its thoughts in the total and nowhere else."""
    usage = usage_of({"usage": {"prompt_tokens": 758, "completion_tokens": 102, "total_tokens": 1_725}})
    assert (usage.input, usage.output, usage.reasoning) == (758, 102, 865)


def test_xai_counts_reasoning_beside_the_completion() -> None:
    response = {
        "model": "grok-4",
        "usage": {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "prompt_tokens_details": {"cached_tokens": 6, "audio_tokens": 0, "image_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0},
            "num_sources_used": 0,
            "cost_in_usd_ticks": 1,
        },
    }
    usage = usage_of(response)
    assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == (26, 6, 9, 94)


def test_openrouter_names_itself_and_its_cost_is_not_looked_at() -> None:
    """RS3."""
    response = {
        "id": "gen-1",
        "provider": "Anthropic",
        "model": "anthropic/claude-sonnet-4.5",
        "usage": {
            **openai_usage(194, 2, cached_tokens=20, cache_write_tokens=100),
            "cost": 0.95,
            "is_byok": False,
            "cost_details": {"upstream_inference_cost": 19},
        },
    }
    usage = usage_of(response)
    assert (usage.input, usage.cache_read, usage.cache_write_5m, usage.output) == (74, 20, 100, 2)
    assert (usage.provider, usage.model) == ("openrouter", "anthropic/claude-sonnet-4.5")


def test_litellm_tells_anthropics_cache_in_its_own_words() -> None:
    class ModelResponse(dict[str, Any]):
        _hidden_params = {"custom_llm_provider": "bedrock"}  # noqa: RUF012 - as LiteLLM's is

        def __getattr__(self, name: str) -> Any:
            return self.get(name)

    usage = {
        **openai_usage(350, 40, cached_tokens=200, cache_creation_tokens=100),
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 200,
        "server_tool_use": {"web_search_requests": 2},
        "speed": "fast",
        "service_tier": "standard",
    }
    usage["prompt_tokens_details"]["cache_creation_token_details"] = {"ephemeral_1h_input_tokens": 60}
    response = ModelResponse(model="claude-sonnet-4-5", usage=usage)
    found = usage_of(_with_hidden(response))
    assert (found.input, found.cache_read, found.cache_write_5m, found.cache_write_1h) == (50, 200, 0, 100)
    assert (found.provider, found.web_searches, found.served) == ("aws", 2, (("speed", "fast"),))


def _with_hidden(response: Any) -> Any:
    found = payloads.as_objects(dict(response))
    found._hidden_params = type(response)._hidden_params
    return found


def test_qwens_cache_writes_stand_with_the_details_of_the_prompt() -> None:
    """As Alibaba's Model Studio answers: written tokens cost more than others."""
    details = {
        "text_tokens": 2_059,
        "cached_tokens": 0,
        "cache_type": "ephemeral",
        "cache_creation_input_tokens": 2_048,
        "cache_creation": {"ephemeral_5m_input_tokens": 2_048},
    }
    usage = {**openai_usage(2_059, 201), "prompt_tokens_details": details}
    found = usage_of({"model": "qwen-plus", "usage": usage})
    assert (found.input, found.cache_write_5m, found.cache_write_1h) == (11, 2_048, 0)
    del details["cache_creation"]
    assert usage_of({"model": "qwen-plus", "usage": usage}) == found
    for place in ("input_tokens_details", "prompt_tokens_details"):  # of Responses, of DashScope's own
        other = {"input_tokens": 2_059, "output_tokens": 201, "total_tokens": 2_260, place: details}
        assert usage_of({"model": "qwen-plus", "usage": other}) == found


@pytest.mark.parametrize("place", ["server_tool_use", "prompt_tokens_details"])
def test_searches_that_litellm_counts_are_billed(place: str) -> None:
    usage = openai_usage(5, 3)
    usage[place] = {**usage.get(place, {}), "web_search_requests": 2}
    assert usage_of({"usage": usage}).web_searches == 2


def test_what_is_neither_true_nor_false_is_read_by_what_is_in_it() -> None:
    """TD3: an array raises when it is asked for its truth."""

    class Array:
        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

    usage = openai_usage(5, 3, cached_tokens_details=Array())
    assert usage_of({"usage": usage, "hidden_params": Array()}).total == 8


def test_searches_told_twice_count_once() -> None:
    usage = openai_usage(5, 3, web_search_requests=2) | {"server_tool_use": {"web_search_requests": 2}}
    assert usage_of({"usage": usage}).web_searches == 2


def test_cached_tokens_of_no_told_medium_are_counted_where_they_cost_more() -> None:
    """SH3: of 100 tokens 80 are cached and 50 are audio, so at least 30 are both."""
    usage = usage_of({"usage": openai_usage(100, 5, cached_tokens=80, audio_tokens=50)})
    assert (usage.input, usage.cache_read, usage.input_audio, usage.cache_read_audio) == (0, 50, 20, 30)
    usage = usage_of({"usage": openai_usage(100, 5, cached_tokens=30, audio_tokens=50)})
    assert (usage.input, usage.cache_read, usage.input_audio, usage.cache_read_audio) == (20, 30, 50, 0)


def test_cache_writes_of_no_told_time_are_the_longest_that_occurs() -> None:
    """SH3."""
    usage = {"input_tokens": 5, "output_tokens": 1, "cache_creation_input_tokens": 100}
    assert usage_of({"usage": usage}).cache_write_5m == 100
    usage["cache_creation"] = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    found = usage_of({"usage": usage})
    assert (found.cache_write_5m, found.cache_write_1h) == (10, 90)


def test_a_compaction_is_in_no_other_number_of_anthropics() -> None:
    turn = {"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 7}
    usage = {**turn, "iterations": [{"type": "message", **turn}, {"type": "compaction", **turn}]}
    found = usage_of({"type": "message", "model": "claude-opus-4-6", "usage": usage})
    assert (found.input, found.output, found.cache_read) == (200, 40, 14)


def test_an_embedding_has_no_completion() -> None:
    found = usage_of({"object": "list", "usage": {"prompt_tokens": 8, "total_tokens": 8}})
    assert (found.input, found.output) == (8, 0)


def test_an_image_of_openai() -> None:
    usage = {
        "input_tokens": 50,
        "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
        "output_tokens": 4_000,
        "output_tokens_details": {"image_tokens": 3_900, "text_tokens": 100},
        "total_tokens": 4_050,
    }
    found = usage_of({"usage": usage}, model="gpt-image-1.5")
    assert (found.input, found.input_image, found.output, found.output_image) == (10, 40, 100, 3_900)


def test_a_realtime_response_of_openai() -> None:
    usage = {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119,
            "audio_tokens": 13,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 54, "audio_tokens": 10},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    found = usage_of({"object": "realtime.response", "usage": usage})
    assert (found.input, found.cache_read, found.input_audio, found.cache_read_audio) == (65, 54, 3, 10)
    assert (found.output, found.output_audio) == (30, 91)


def test_plain_counts_are_the_same_in_both_providers_words() -> None:
    found = usage_of({"usage": {"input_tokens": 5, "output_tokens": 3}})
    assert (found.input, found.output, found.provider) == (5, 3, None)


@pytest.mark.parametrize("with_cache", [True, False])
def test_bedrocks_total_may_be_with_the_cache_or_without(with_cache: bool) -> None:
    total = 15 + (7 if with_cache else 0)
    found = usage_of(
        {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": total, "cacheReadInputTokens": 7}}
    )
    assert (found.input, found.cache_read, found.output) == (10, 7, 5)


SERVED: list[tuple[dict[str, Any], tuple[tuple[str, str], ...]]] = [
    ({"service_tier": "priority"}, (("service_tier", "priority"),)),
    ({"service_tier": "flex"}, (("service_tier", "flex"),)),
    ({"service_tier": "default"}, ()),
    ({"type": "message", "usage": {"service_tier": "batch"}}, (("processing", "batch"),)),
    ({"type": "message", "usage": {"service_tier": "standard", "speed": "fast"}}, (("speed", "fast"),)),
    ({"usageMetadata": {"trafficType": "ON_DEMAND_FLEX"}}, (("service_tier", "flex"),)),
    ({"usageMetadata": {"trafficType": "ON_DEMAND"}}, ()),
    ({"usageMetadata": {"serviceTier": "PRIORITY"}}, (("service_tier", "priority"),)),
    (
        {"usage": {"inputTokens": 1, "outputTokens": 1}, "serviceTier": {"type": "flex"}},
        (("service_tier", "flex"),),
    ),
]


@pytest.mark.parametrize(("beside", "served"), SERVED, ids=repr)
def test_how_it_was_served_is_kept_where_it_may_cost_otherwise(
    beside: dict[str, Any], served: tuple[tuple[str, str], ...]
) -> None:
    if "usageMetadata" in beside:
        beside = {"usageMetadata": {**beside["usageMetadata"], "promptTokenCount": 1}}
    elif "inputTokens" not in beside.get("usage", {}):
        beside = {**beside, "usage": {**beside.get("usage", {}), "input_tokens": 1, "output_tokens": 1}}
    assert usage_of(beside).served == served


def test_an_answer_names_stand_behind_what_the_caller_says() -> None:
    _, response = built("messages", {"input": 1})
    found = usage_of(response, provider="aws", model="anthropic.claude-v2")
    assert (found.provider, found.model) == ("aws", "anthropic.claude-v2")


def test_cached_tokens_of_several_media_are_taken_from_the_cheapest_first() -> None:
    """SH3: all 100 are media, so all 60 cached ones are too: images first, then audio."""
    usage = usage_of({"usage": openai_usage(100, 5, cached_tokens=60, audio_tokens=50, image_tokens=50)})
    assert (usage.input_image, usage.cache_read_image) == (0, 50)
    assert (usage.input_audio, usage.cache_read_audio, usage.cache_read) == (40, 10, 0)


@pytest.mark.parametrize("as_seen", [lambda whole: whole, payloads.as_objects], ids=["mappings", "objects"])
@pytest.mark.parametrize("name", ["automatic_function_calling_history", "automaticFunctionCallingHistory"])
def test_rounds_that_the_sdk_made_before_are_in_no_number(name: str, as_seen: Callable[[Any], Any]) -> None:
    """RS4: Google's SDK calls functions, and the model again; its answer tells the last round alone."""
    whole = payloads.gemini(Usage(input=5, output=3, model="a-model"))
    assert usage_of(as_seen({**whole, name: []})) == usage_of(whole)
    rounds = as_seen({**whole, name: [{"parts": [{"text": "a secret"}]}]})
    told = StreamUsage()
    told.add(rounds)
    for usage in (lambda: usage_of(rounds), told.usage):
        with pytest.raises(UsageUnclear, match="the last of several rounds") as refused:
            usage()
        assert "secret" not in repr(refused.value.__dict__)


def test_a_document_is_made_of_images() -> None:
    details = [{"modality": "DOCUMENT", "tokenCount": 258}, {"modality": "TEXT", "tokenCount": 2}]
    usage = usage_of({"usageMetadata": {"promptTokenCount": 260, "promptTokensDetails": details}})
    assert (usage.input, usage.input_image) == (2, 258)


def test_what_a_response_says_it_is_comes_before_the_words_of_its_usage() -> None:
    """RS1."""
    plain = {"input_tokens": 5, "output_tokens": 3}
    assert usage_of({"type": "message", "usage": plain}).provider == "anthropic"
    both = {**plain, "cache_read_input_tokens": 2, "input_tokens_details": {"cached_tokens": 2}}
    found = usage_of({"object": "response", "usage": both})
    assert (found.input, found.cache_read, found.provider) == (3, 2, None)
