"""Streams, cut at every chunk: what was told by then, once, and whether it is all."""

import copy
import enum
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.prices import StreamUsage, Usage, UsageUnclear, usage_of
from tests.prices import payloads

#: What is known after each chunk: (input, cache_read, output, reasoning), or None; and whether it is final.
Known = tuple[int, int, int, int] | None

USAGE = Usage(input=25, cache_read=100, output=15, reasoning=40, model="a-model")
ALL: Known = (25, 100, 15, 40)


def delta(index: int, *, ends: bool = False, **more: Any) -> dict[str, Any]:
    finish = "stop" if ends else None
    choice = {"index": index, "delta": {"content": "a"}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "model": "a-model", "choices": [choice], "usage": None, **more}


def openai() -> list[tuple[Any, Known, bool]]:
    usage = payloads.chat(USAGE)["usage"]
    return [
        (
            {"object": "chat.completion.chunk", "model": "", "choices": [], "prompt_filter_results": []},
            None,
            False,
        ),
        (delta(0), None, False),
        (delta(0, ends=True), None, False),
        ({"object": "chat.completion.chunk", "model": "a-model", "choices": [], "usage": usage}, ALL, True),
    ]


def deepseek() -> list[tuple[Any, Known, bool]]:
    """The usage comes with the chunk that ends."""
    return [
        (delta(0), None, False),
        (delta(0, ends=True, usage=payloads.chat(USAGE)["usage"]), ALL, True),
    ]


def litellm() -> list[tuple[Any, Known, bool]]:
    """The chunk with usage has a choice, which had ended before."""
    return [
        (delta(0), None, False),
        (delta(0, ends=True), None, False),
        (delta(0, usage=payloads.chat(USAGE)["usage"]), ALL, True),
    ]


def running() -> list[tuple[Any, Known, bool]]:
    """Usage with each chunk, cumulative, of two choices that end one after the other."""
    chunks: list[tuple[Any, Known, bool]] = []
    for output, ends in ((5, []), (10, [0]), (15, [0, 1])):
        usage = payloads.chat(Usage(input=25, cache_read=100, output=output, reasoning=40))["usage"]
        choices = [delta(at, ends=at in ends)["choices"][0] for at in (0, 1)]
        chunks.append((delta(0, usage=usage) | {"choices": choices}, (25, 100, output, 40), ends == [0, 1]))
    return chunks


def responses() -> list[tuple[Any, Known, bool]]:
    whole = payloads.responses(USAGE)
    begun = {**whole, "status": "in_progress", "usage": None}
    return [
        ({"type": "response.created", "response": begun}, None, False),
        ({"type": "response.in_progress", "response": begun}, None, False),
        ({"type": "response.output_text.delta", "delta": "a"}, None, False),
        ({"type": "response.completed", "response": whole}, ALL, True),
    ]


def messages() -> list[tuple[Any, Known, bool]]:
    whole = payloads.messages(USAGE)
    begun = {**whole, "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    begun["usage"].pop("output_tokens_details")
    details = whole["usage"]["output_tokens_details"]
    return [
        ({"type": "message_start", "message": begun}, (25, 100, 1, 0), False),
        (
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
            (25, 100, 1, 0),
            False,
        ),
        ({"type": "ping"}, (25, 100, 1, 0), False),
        ({"type": "content_block_delta", "index": 0, "delta": {"text": "a"}}, (25, 100, 1, 0), False),
        (
            {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 9}},
            (25, 100, 9, 0),
            False,
        ),
        (
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"input_tokens": 25, "output_tokens": 55, "output_tokens_details": details},
            },
            ALL,
            True,
        ),
        ({"type": "message_stop"}, ALL, True),
    ]


def gemini() -> list[tuple[Any, Known, bool]]:
    whole = payloads.gemini(USAGE)
    begun = {"promptTokenCount": 125, "cachedContentTokenCount": 100, "totalTokenCount": 125}
    middle = {
        "promptTokenCount": 125,
        "candidatesTokenCount": 6,
    }  # proto leaves out what is 0, or not yet told
    running = [{"content": {"parts": [{"text": "a"}]}}]
    return [
        ({"candidates": running, "modelVersion": "a-model", "usageMetadata": begun}, (25, 100, 0, 0), False),
        ({"candidates": running, "modelVersion": "a-model"}, (25, 100, 0, 0), False),
        ({"candidates": running, "usageMetadata": middle}, (25, 100, 6, 0), False),
        (whole, ALL, True),
    ]


def converse() -> list[tuple[Any, Known, bool]]:
    usage = payloads.converse(Usage(input=25, cache_read=100, output=55))["usage"]
    return [
        ({"messageStart": {"role": "assistant"}}, None, False),
        ({"contentBlockDelta": {"delta": {"text": "a"}}}, None, False),
        ({"messageStop": {"stopReason": "end_turn"}}, None, False),
        ({"metadata": {"usage": usage, "metrics": {"latencyMs": 5}}}, (25, 100, 55, 0), True),
    ]


STREAMS = [openai, deepseek, litellm, running, responses, messages, gemini, converse]
each = pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.__name__)


@each
@pytest.mark.parametrize("as_seen", [lambda chunk: chunk, payloads.as_objects], ids=["mappings", "objects"])
def test_at_every_cut_the_usage_is_what_was_told_by_then(
    stream: Callable[[], list[tuple[Any, Known, bool]]], as_seen: Callable[[Any], Any]
) -> None:
    """TS1, TS2."""
    told = StreamUsage()
    for chunk, known, final in stream():
        told.add(as_seen(copy.deepcopy(chunk)))
        assert told.is_final == final
        if known is None:
            with pytest.raises(UsageUnclear, match="none has come yet"):
                told.usage()
        else:
            usage = told.usage()
            assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == known
            assert usage == told.usage()


@each
def test_a_stream_that_came_whole_is_as_the_response_that_did_not_stream(
    stream: Callable[[], list[tuple[Any, Known, bool]]],
) -> None:
    told = StreamUsage(model="a-model")
    for chunk, _, _ in stream():
        told.add(chunk)
    usage = told.usage()
    assert usage.model == "a-model"
    assert usage.total == USAGE.total
    whole = {
        "messages": payloads.messages(USAGE),
        "gemini": payloads.gemini(USAGE),
        "responses": payloads.responses(USAGE),
        "openai": payloads.chat(USAGE),
    }.get(stream.__name__)
    assert whole is None or usage_of(whole) == usage


@each
@given(data=st.data())
def test_chunks_that_come_twice_count_once(
    stream: Callable[[], list[tuple[Any, Known, bool]]], data: st.DataObject
) -> None:
    """TS1."""
    once, twice = StreamUsage(), StreamUsage()
    for chunk, _, _ in stream():
        once.add(chunk)
        for _ in range(data.draw(st.integers(1, 3))):
            twice.add(chunk)
    assert twice.usage() == once.usage()
    assert twice.is_final


@pytest.mark.parametrize("kind", ["response.incomplete", "response.failed", "response.done"])
def test_a_response_that_ends_otherwise_ends_too(kind: str) -> None:
    told = StreamUsage()
    told.add({"type": kind, "response": payloads.responses(USAGE)})
    assert told.is_final
    assert told.usage() == usage_of(payloads.responses(USAGE))


def test_the_end_without_its_usage_is_not_final() -> None:
    told = StreamUsage()
    told.add(messages()[0][0])
    told.add({"type": "message_stop"})
    assert not told.is_final
    assert told.usage().output == 1


@pytest.mark.parametrize("after", [0, None, 25, 30])
def test_a_count_that_falls_back_to_zero_was_not_told(after: int | None) -> None:
    """TS1: some servers that speak as Anthropic does tell the input first, and 0 of it at the end."""
    told = StreamUsage()
    told.add({"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}})
    usage = {"input_tokens": after, "output_tokens": 15, "cache_read_input_tokens": 0}
    told.add({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})
    assert told.is_final
    assert (told.usage().input, told.usage().output) == (after or 25, 15)


def test_a_count_that_begins_at_zero_is_told_later() -> None:
    """TS1."""
    told = StreamUsage()
    told.add({"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}})
    usage = {"input_tokens": 25, "output_tokens": 15, "cache_read_input_tokens": 7}
    told.add({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})
    assert (told.usage().input, told.usage().cache_read, told.usage().output) == (25, 7, 15)


def test_zeros_in_a_chunk_of_gemini_take_nothing_away() -> None:
    """TS1: proto has a usage of zeros in a chunk that tells none."""
    told = StreamUsage()
    told.add({"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}})
    told.add(
        {"candidates": [{"finishReason": 1}], "usageMetadata": {"promptTokenCount": 0, "totalTokenCount": 0}}
    )
    assert told.is_final
    assert (told.usage().input, told.usage().output) == (5, 2)


def test_a_blocked_prompt_ends_a_stream() -> None:
    told = StreamUsage()
    told.add({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}})
    assert told.is_final
    assert told.usage().input == 5


class Reason(enum.IntEnum):
    """As proto has it: there is always one, of 0 where none was given."""

    UNSPECIFIED = 0
    STOP = 1


class Named(enum.StrEnum):
    """As Google's SDK has it."""

    UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"
    BLOCKED = "BLOCKED_REASON_UNSPECIFIED"
    STOP = "STOP"


def proto(finish: object, block: object) -> SimpleNamespace:
    """A chunk as protocol buffers are: every field is there."""
    return SimpleNamespace(
        candidates=[SimpleNamespace(index=0, finish_reason=finish)],
        prompt_feedback=SimpleNamespace(block_reason=block),
        usage_metadata=SimpleNamespace(
            prompt_token_count=5, candidates_token_count=2, thoughts_token_count=0, total_token_count=7
        ),
    )


@pytest.mark.parametrize(
    ("finish", "block", "ended"),
    [
        (Reason.UNSPECIFIED, Reason.UNSPECIFIED, False),
        (Reason.STOP, Reason.UNSPECIFIED, True),
        (0, 0, False),
        (1, 0, True),
        (0, 1, True),
        (Named.UNSPECIFIED, None, False),
        (None, Named.BLOCKED, False),
        (Named.STOP, Named.BLOCKED, True),
    ],
)
def test_a_reason_that_is_none_ends_no_stream(finish: object, block: object, ended: bool) -> None:
    """TS2."""
    told = StreamUsage()
    told.add(proto(finish, block))
    assert told.is_final == ended
    assert told.usage().total == 7


def test_a_stream_of_several_candidates_ends_with_the_last_of_them() -> None:
    """TS2."""
    told = StreamUsage()
    for output, ends in ((5, []), (10, [1]), (15, [0])):
        candidates = [{"index": at, "finishReason": "STOP" if at in ends else None} for at in (0, 1)]
        told.add({"candidates": candidates, "usageMetadata": {"candidatesTokenCount": output}})
        assert told.is_final == (output == 15)


@pytest.mark.parametrize(
    "chunk", [None, 5, "data: [DONE]", b"", [], {}, {"type": 5}, {"usage": None}, object()]
)
def test_taking_in_never_raises(chunk: Any) -> None:
    """TS3."""
    told = StreamUsage()
    told.add(chunk)
    assert not told.is_final
    with pytest.raises(UsageUnclear):
        told.usage()


def test_a_count_that_is_none_raises_when_it_is_asked_for() -> None:
    """TS3."""
    told = StreamUsage()
    told.add({"choices": [], "usage": {"prompt_tokens": 5.0, "completion_tokens": 1}})
    with pytest.raises(UsageUnclear, match="prompt_tokens"):
        told.usage()


def test_the_chunks_of_two_responses_are_no_usage() -> None:
    told = StreamUsage()
    for chunk, _, _ in [*messages(), *openai()]:
        told.add(chunk)
    with pytest.raises(UsageUnclear, match="one response"):
        told.usage()


def test_a_chunk_that_names_nothing_takes_no_name_away() -> None:
    """Azure's chunks may have an empty model; LiteLLM's last one may name no provider."""
    told = StreamUsage()
    for chunk, _, _ in openai()[:-1]:
        told.add({**chunk, "_hidden_params": {"custom_llm_provider": "bedrock"}})
    told.add({**openai()[-1][0], "model": "", "_hidden_params": {}})
    assert (told.usage().model, told.usage().provider) == ("a-model", "aws")


def test_the_caller_names_what_a_stream_does_not() -> None:
    told = StreamUsage(provider="aws", model="amazon.nova-pro-v1:0")
    for chunk, _, _ in converse():
        told.add(chunk)
    assert (told.usage().provider, told.usage().model) == ("aws", "amazon.nova-pro-v1:0")


def test_usage_before_the_end_of_a_response_is_not_final() -> None:
    told = StreamUsage()
    told.add({"type": "response.in_progress", "response": payloads.responses(USAGE)})
    assert (told.is_final, told.usage().total) == (False, USAGE.total)
