"""Observed: the usage of one call, from whatever its caller has of the answer: whole, or in chunks.

Here: which of the two it is, and which word is the last. Not here: what the numbers mean (shapes.py),
what a stream has told so far (streams.py), what it costs.

What always holds:
  OB1  The last word counts: a whole response replaces all before it, a chunk goes on with its stream.
  OB2  Observing never raises; that nothing can be told is told by `usage`.
"""

from typing import Final

from stiggctl.prices.errors import UsageUnclear
from stiggctl.prices.responses import usage_of
from stiggctl.prices.streams import StreamUsage, response_id_of
from stiggctl.prices.told import Told, unreadable
from stiggctl.prices.usage import Usage

#: The events of a Bedrock stream before the one with its usage.
_CONVERSE: Final = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
)
#: The types of events that come first.
_FIRST: Final = frozenset({"message_start", "response.created"})
#: The words in which a response tells its usage, or a usage alone its input.
_USAGE: Final = ("usage", "prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount")

#: What has none of these either is no response.
_WHOLE: Final = ("object", "choices", "content", "output")


class Observed:
    """What one call has observed; for one thread at a time. It keeps no text.

    >>> observed = Observed()
    >>> observed.add({"model": "gpt-5", "object": "chat.completion",
    ...               "usage": {"prompt_tokens": 12, "completion_tokens": 30}})
    >>> observed.usage().output, observed.is_final
    (30, True)
    """

    __slots__ = ("_stream", "_unread", "_whole")

    def __init__(self) -> None:
        self._stream: StreamUsage | None = None
        self._unread: UsageUnclear | None = None  #: why the last word could not be read
        self._whole: Usage | UsageUnclear | None = None

    @property
    def is_final(self) -> bool:
        """Whether the usage was told whole: by a response, or with the end of a stream."""
        if self._unread is not None:
            return False
        return isinstance(self._whole, Usage) if self._stream is None else self._stream.is_final

    @property
    def is_stream(self) -> bool:
        """Whether the last word was a chunk."""
        return self._stream is not None

    def usage(self) -> Usage:
        """What was told so far; raises UsageUnclear where that is nothing, or contradicts itself."""
        if self._unread is not None:
            raise self._unread
        if self._stream is not None:
            return self._stream.usage()
        if isinstance(self._whole, Usage):
            return self._whole
        raise self._whole or UsageUnclear(where="response", value=None, expected="a response with usage")

    def add(self, response: object, *, provider: str | None = None, model: str | None = None) -> None:
        """Take in a whole response, or a chunk of a stream; `provider` and `model` as usage_of has them."""
        self._unread = None
        try:
            self._add(response, provider, model)
        except UsageUnclear as error:
            self._unread = error
        except Exception as error:  # noqa: BLE001 - a response is a stranger's
            self._unread = unreadable("response", error)

    def _add(self, response: object, provider: str | None, model: str | None) -> None:
        told, stream = Told(response), self._stream
        if is_chunk(told) or (stream is not None and not stream.is_final and _goes_on(told)):
            if stream is None or self._begins(told, stream):
                stream = self._stream = StreamUsage(provider=provider, model=model)
            stream.add(response)
            return
        if stream is not None and not told.has(*_USAGE) and not (stream.is_final and told.has(*_WHOLE)):
            return  # something between a stream's chunks or after them: "[DONE]"
        self._stream = None
        try:
            self._whole = usage_of(response, provider=provider, model=model)
        except UsageUnclear as error:
            self._whole = error

    @staticmethod
    def _begins(told: Told, stream: StreamUsage) -> bool:
        """Whether it is of another response than the stream's so far.

        Were it taken for one of a stream that has ended, a second one that is cut would cost what
        the first did, and be told by nobody.
        """
        if told.text("type") in _FIRST or told.has("messageStart"):
            return True
        response_id = response_id_of(told)
        if response_id is not None and stream.response_id is not None:
            # Of a chat that has not ended, each chunk may have an id of its own.
            return response_id != stream.response_id and (stream.is_final or told.has("candidates"))
        return stream.is_final and _answers(told)


def is_chunk(told: Told) -> bool:
    """Whether it is a part of a stream, or may be one: Gemini has one shape for both.

    >>> is_chunk(Told({"type": "message_delta"})), is_chunk(Told({"type": "message"}))
    (True, False)
    """
    kind = told.text("type")
    if kind is not None and kind != "message":
        return True
    if (told.text("object") or "").endswith(".chunk"):
        return True
    if told.has("usageMetadata", "usage_metadata", "candidates", *_CONVERSE):
        return True
    if any(choice.has("delta") for choice in told.parts("choices")):
        return True
    return told.has("metadata") and told.part("metadata").part("usage").has("inputTokens")


def _answers(told: Told) -> bool:
    """Whether it has a part of an answer, or what comes before one: not what may follow its usage."""
    running = (each.has("delta") and not each.has("finish_reason") for each in told.parts("choices"))
    return told.has("candidates", "prompt_filter_results") or any(running)


def _goes_on(told: Told) -> bool:
    """Whether it is a chunk by what came before it: one that has no choice any more, but the usage."""
    return told.has("choices") and told.text("object") != "chat.completion"
