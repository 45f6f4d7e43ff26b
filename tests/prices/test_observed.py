"""Observed: whole responses and chunks of streams, in whatever order they come: the last word counts."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from stiggctl.prices import StreamUsage, Usage, UsageUnclear, usage_of
from stiggctl.prices.observed import Observed
from tests.prices import payloads
from tests.prices.test_streams import STREAMS, USAGE, Known, delta, gemini, litellm, messages, openai

WHOLE: list[Callable[[Usage], Any]] = [
    payloads.chat,
    payloads.responses,
    payloads.messages,
    payloads.gemini,
    payloads.converse,
]
NOTHING = [None, 5, "data: [DONE]", b"", [], {}, {"type": "ping"}, {"usage": None}, object()]

each_shape = pytest.mark.parametrize("shape", WHOLE, ids=lambda shape: shape.__name__)
each_stream = pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.__name__)


@each_shape
@pytest.mark.parametrize("as_seen", [lambda whole: whole, payloads.as_objects], ids=["mappings", "objects"])
def test_a_whole_response_is_told_whole(shape: Callable[[Usage], Any], as_seen: Callable[[Any], Any]) -> None:
    observed, given = Observed(), as_seen(shape(replace(USAGE, reasoning=0)))  # Bedrock tells none
    observed.add(given)
    assert observed.is_final
    assert observed.usage() == usage_of(given)


@each_shape
def test_of_two_responses_the_last_counts(shape: Callable[[Usage], Any]) -> None:
    """OB1."""
    observed = Observed()
    observed.add(shape(replace(USAGE, reasoning=0)))
    later = Usage(input=7, output=3)
    observed.add(shape(later))
    assert observed.is_final
    assert (observed.usage().total, observed.usage().total_input) == (10, 7)


@each_stream
@pytest.mark.parametrize("as_seen", [lambda chunk: chunk, payloads.as_objects], ids=["mappings", "objects"])
def test_a_stream_is_told_as_far_as_it_came(
    stream: Callable[[], list[tuple[Any, Known, bool]]], as_seen: Callable[[Any], Any]
) -> None:
    observed = Observed()
    for chunk, known, final in stream():
        observed.add(as_seen(copy.deepcopy(chunk)))
        assert observed.is_stream
        assert observed.is_final == final
        if known is None:
            with pytest.raises(UsageUnclear):
                observed.usage()
        else:
            usage = observed.usage()
            assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == known


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_what_tells_nothing_takes_nothing_away_from_a_stream(nothing: Any) -> None:
    """OB2."""
    for stream in (messages, openai):
        observed = Observed()
        for chunk, _, _ in stream():
            observed.add(nothing)
            observed.add(chunk)
        observed.add(nothing)
        assert observed.is_final
        assert observed.usage().total == USAGE.total


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_what_tells_nothing_is_unclear_by_itself(nothing: Any) -> None:
    """OB2."""
    observed = Observed()
    with pytest.raises(UsageUnclear):
        observed.usage()
    observed.add(nothing)
    assert not observed.is_final
    with pytest.raises(UsageUnclear):
        observed.usage()


class Untold(Exception):
    """One that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no sentence")

    __repr__ = __str__


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> object:
        raise Untold


class HostileDict(dict[str, object]):
    """The same, as a mapping."""

    def get(self, *_: object) -> object:
        raise Untold


class HostileList(list[object]):
    """The same, as a list."""

    def __iter__(self) -> Iterator[object]:
        raise Untold


class HostileTruth:
    """Is neither true nor false, as an array is."""

    def __bool__(self) -> bool:
        raise Untold


HOSTILE: list[Any] = [
    Hostile(),
    HostileDict(),
    {"usage": Hostile()},
    {"usage": HostileDict()},
    {"object": "chat.completion.chunk", "choices": HostileList([1])},
    {"object": "chat.completion.chunk", "choices": [Hostile()], "usage": {"prompt_tokens": 5}},
    {"usageMetadata": {"promptTokenCount": 5, "promptTokensDetails": HostileList([1])}},
    {"usageMetadata": {"promptTokenCount": HostileTruth()}},
    {"object": "chat.completion.chunk", "choices": [], "model": HostileTruth()},
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_what_raises_when_it_is_read_is_unclear(hostile: Any) -> None:
    """OB2, TD3: and its error can be told, whatever it was."""
    observed = Observed()
    observed.add(hostile)
    assert not observed.is_final
    with pytest.raises(UsageUnclear) as refused:
        observed.usage()
    assert str(refused.value)
    observed.add(payloads.chat(USAGE))
    assert (observed.is_final, observed.usage().total) == (True, USAGE.total)


@pytest.mark.parametrize("hostile", [HOSTILE[at] for at in (0, 1, 4, 5)], ids=[0, 1, 4, 5])
def test_a_chunk_that_raises_when_it_is_read_takes_nothing_away(hostile: Any) -> None:
    """OB2, TS3: what follows it is of the same stream."""
    observed, told = Observed(), StreamUsage()
    for chunk, _, _ in messages():
        observed.add(chunk)
        told.add(chunk)
        told.add(hostile)
        if chunk["type"] == "ping":
            observed.add(hostile)
    assert (observed.is_final, observed.usage().total) == (True, USAGE.total)


def test_a_second_response_without_usage_is_unclear() -> None:
    """OB1."""
    for first in ([payloads.chat(USAGE)], [chunk for chunk, _, _ in openai()]):
        observed = Observed()
        for each in first:
            observed.add(each)
        observed.add({"object": "chat.completion", "model": "a-model", "choices": []})
        assert not observed.is_final
        with pytest.raises(UsageUnclear):
            observed.usage()


@pytest.mark.parametrize("stream", [messages, gemini], ids=["messages", "gemini"])
def test_a_second_stream_begins_anew(stream: Callable[[], list[tuple[Any, Known, bool]]]) -> None:
    """OB1."""
    observed = Observed()
    for chunk, _, _ in [*stream(), *stream()]:
        observed.add(chunk)
    assert (observed.is_final, observed.usage().total) == (True, USAGE.total)


@pytest.mark.parametrize("first", STREAMS, ids=lambda stream: f"after {stream.__name__}")
@each_stream
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])
def test_a_second_stream_is_told_as_far_as_it_came(
    first: Callable[[], list[tuple[Any, Known, bool]]],
    stream: Callable[[], list[tuple[Any, Known, bool]]],
    named: bool,
) -> None:
    """OB1: what the first one cost is no word on the second, however early that is cut."""
    observed = Observed()
    for chunk, _, _ in first():
        observed.add(_named(chunk, "first") if named else chunk)
    for chunk, known, final in stream():
        observed.add(_named(chunk, "second") if named else chunk)
        assert observed.is_final == final
        if known is None:
            with pytest.raises(UsageUnclear, match="none has come yet"):
                observed.usage()
        else:
            usage = observed.usage()
            assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == known


def _named(chunk: Any, name: str) -> Any:
    """With the id that its provider gives to all chunks of a response."""
    if "choices" in chunk:
        return {**chunk, "id": name}
    if "candidates" in chunk:
        return {**chunk, "responseId": name}
    for part in ("response", "message"):
        if part in chunk:
            return {**chunk, part: {**chunk[part], "id": name}}
    return chunk


def test_a_stream_that_is_tried_again_tells_nothing_of_the_first() -> None:
    """OB1: Gemini tells its numbers piece by piece, and those of a broken stream are another's."""
    observed = Observed()
    begun = {"promptTokenCount": 7, "thoughtsTokenCount": 5}
    observed.add({"responseId": "a", "candidates": [{}], "usageMetadata": begun})
    ended = {"promptTokenCount": 7, "candidatesTokenCount": 3}
    observed.add({"responseId": "b", "candidates": [{"finishReason": "STOP"}], "usageMetadata": ended})
    assert (observed.is_final, observed.usage().output, observed.usage().reasoning) == (True, 3, 0)


def test_a_chunk_after_the_usage_begins_no_other_response() -> None:
    """OB1: it has the same id, or says nothing of the answer."""
    for trailing in (_named(delta(0), "a"), {**delta(0), "choices": []}, {"type": "response.unknown"}):
        observed = Observed()
        for chunk, _, _ in openai():
            observed.add(_named(chunk, "a"))
        observed.add(trailing)
        assert (observed.is_final, observed.usage().total) == (True, USAGE.total)


def test_chunks_that_each_have_an_id_of_their_own_are_one_stream() -> None:
    observed = Observed()
    for at, (chunk, known, final) in enumerate(litellm()):
        observed.add(_named(chunk, f"chunk {at}"))
        assert observed.is_final == final
        assert known is None or observed.usage().total == USAGE.total


def test_nothing_of_a_former_stream_is_in_the_next() -> None:
    """OB1."""
    begun = {
        "type": "message_start",
        "message": {"model": "m", "usage": {"input_tokens": 7, "output_tokens": 1}},
    }
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
    observed = Observed()
    for chunk in [*(chunk for chunk, _, _ in messages()), begun, ended]:
        observed.add(chunk)
    assert (observed.is_final, observed.usage()) == (
        True,
        Usage(input=7, output=3, model="m", provider="anthropic"),
    )


def test_the_end_of_a_stream_begins_no_other() -> None:
    """OB1."""
    observed = Observed()
    text = {"content": {"parts": [{"text": "a"}]}}
    observed.add({"candidates": [text], "usageMetadata": {"promptTokenCount": 7}})
    observed.add(
        {"candidates": [{**text, "finishReason": "STOP"}], "usageMetadata": {"candidatesTokenCount": 3}}
    )
    assert (observed.is_final, observed.usage().input, observed.usage().output) == (True, 7, 3)


def test_a_last_chunk_that_does_not_say_so_goes_on() -> None:
    observed = Observed()
    observed.add({"model": "a-model", "choices": [{"index": 0, "delta": {"content": "a"}}]})
    observed.add({"model": "a-model", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    observed.add({"choices": [], "usage": payloads.chat(USAGE)["usage"]})
    assert observed.is_final
    assert (observed.usage().model, observed.usage().total) == ("a-model", USAGE.total)
