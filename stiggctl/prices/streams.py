"""Streams: the usage of a response that comes in chunks, as far as it has been told.

Here: which chunks tell usage, and what a later one replaces. Not here: what the numbers mean
(shapes.py), who reads the stream.

What always holds:
  TS1  Numbers of a stream are cumulative: a later one replaces an earlier one, none are added, and one
       that falls back to 0 was not told.
  TS2  After each chunk the usage is the one that the provider has told by then, or UsageUnclear where
       it has told none. It is final once the provider has told it together with the end.
  TS3  Taking a chunk in never raises, and keeps nothing of it but its usage and whose it is.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from stiggctl.prices.errors import UsageUnclear
from stiggctl.prices.responses import ROUNDS, rounds_before, usage_of
from stiggctl.prices.told import Told, field_of, plain
from stiggctl.prices.usage import Usage

#: The parts of a usage that comes piece by piece: Anthropic's, Gemini's.
_MESSAGE: Final = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "output_tokens_details",
    "server_tool_use",
    "service_tier",
    "speed",
    "iterations",
)
_GEMINI: Final = (
    ("promptTokenCount", "prompt_token_count"),
    ("cachedContentTokenCount", "cached_content_token_count"),
    ("candidatesTokenCount", "candidates_token_count"),
    ("responseTokenCount", "response_token_count"),
    ("thoughtsTokenCount", "thoughts_token_count"),
    ("toolUsePromptTokenCount", "tool_use_prompt_token_count"),
    ("promptTokensDetails", "prompt_tokens_details"),
    ("cacheTokensDetails", "cache_tokens_details"),
    ("candidatesTokensDetails", "candidates_tokens_details"),
    ("responseTokensDetails", "response_tokens_details"),
    ("toolUsePromptTokensDetails", "tool_use_prompt_tokens_details"),
    ("trafficType", "traffic_type"),
    ("serviceTier", "service_tier"),
)
_ENDS: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"}
)


class StreamUsage:
    """The usage of one stream; for one thread at a time. It is no record of the text.

    >>> told = StreamUsage()
    >>> told.add({"type": "message_start", "message": {
    ...     "model": "claude-sonnet-4-5", "usage": {"input_tokens": 25, "output_tokens": 1}}})
    >>> told.usage().output, told.is_final
    (1, False)
    >>> told.add({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
    ...           "usage": {"output_tokens": 15}})
    >>> told.usage().input, told.usage().output, told.is_final
    (25, 15, True)
    """

    __slots__ = (
        "_about",
        "_counted",
        "_ended",
        "_model",
        "_pieces",
        "_provider",
        "_running",
        "_shapes",
        "is_final",
        "response_id",
    )

    #: Whether the provider has told the usage together with the end.
    is_final: bool
    #: By which the provider tells this response from another, where it does.
    response_id: str | None

    def __init__(self, *, provider: str | None = None, model: str | None = None) -> None:
        """`provider` and `model` as usage_of takes them."""
        self._provider = provider
        self._model = model
        self._about: dict[str, object] = {}  # what usage_of reads: the usage, and beside it the model
        self._pieces: dict[str, object] = {}
        self._shapes: set[str] = set()
        self._running: dict[int, bool] = {}  # choices or candidates by index: False once it has ended
        self._ended = self._counted = False
        self.is_final = False
        self.response_id = None

    def usage(self) -> Usage:
        """What has been told so far; raises UsageUnclear where that is nothing, or contradicts itself."""
        if len(self._shapes) > 1:
            raise UsageUnclear(
                where="stream", value=sorted(self._shapes), expected="the chunks of one response"
            )
        if "usage" not in self._about and "usageMetadata" not in self._about:
            raise UsageUnclear(where="stream", value=None, expected="a chunk with usage: none has come yet")
        return usage_of(self._about, provider=self._provider, model=self._model)

    def add(self, chunk: object) -> None:
        """Take a chunk in: an event or a chunk as the provider's client yields it."""
        with suppress(Exception):  # one that cannot be read has told nothing
            self._add(Told(chunk))

    def _add(self, told: Told) -> None:
        kind = told.text("type") or ""
        self.response_id = response_id_of(told) or self.response_id
        if kind in {"message_start", "message_delta", "message_stop"}:
            self._message(told, kind)
        elif kind.startswith("response.") and told.has("response"):
            self._response(told.part("response"), kind)
        elif told.has("usageMetadata", "usage_metadata") or told.has("candidates"):
            self._gemini(told)
        elif told.has("metadata") and told.part("metadata").part("usage").has("inputTokens"):
            self._converse(told.part("metadata"))
        elif told.has("choices") or told.part("usage").has("prompt_tokens"):
            self._chat(told)

    def _message(self, told: Told, kind: str) -> None:
        message = told.part("message") if kind == "message_start" else told
        self._ended = self._ended or kind == "message_stop" or told.part("delta").has("stop_reason")
        # Before the first message_delta the output has only begun.
        self._counted = self._counted or (kind == "message_delta" and told.has("usage"))
        if message.has("usage"):
            self._shapes.add("messages")
            usage = message.part("usage").thing
            self._take({name: value for name in _MESSAGE if (value := field_of(usage, name)) is not None})
            self._about |= {"type": "message", "usage": self._pieces}
        self._keep(message, "model")
        self.is_final = self._ended and self._counted

    def _response(self, response: Told, kind: str) -> None:
        self._keep(response, "model", "service_tier", "object", "hidden_params", "_hidden_params", "provider")
        self._about.setdefault("object", "response")
        if response.has("usage"):
            self._shapes.add("responses")
            self._about["usage"] = response.part("usage").thing
            self.is_final = kind in _ENDS

    def _gemini(self, told: Told) -> None:
        usage = told.part("usageMetadata", "usage_metadata")
        if model := told.text("modelVersion", "model_version"):
            self._about["model"] = model
        if rounds := rounds_before(told):
            self._about[ROUNDS[0]] = [None] * rounds
        for each in told.parts("candidates"):
            self._hear(each, ends=_has_reason(each, "finishReason", "finish_reason"))
        blocked = _has_reason(told.part("promptFeedback", "prompt_feedback"), "blockReason", "block_reason")
        self._ended = self._ended or blocked
        if usage.thing:
            self._shapes.add("gemini")
            now = {
                names[0]: value
                for names in _GEMINI
                for name in names
                if (value := field_of(usage.thing, name)) is not None
            }
            self._take(now)
            total = field_of(usage.thing, "totalTokenCount")
            total = field_of(usage.thing, "total_token_count") if total is None else total
            if total or any(isinstance(value, int) and value for value in now.values()):
                self._pieces["totalTokenCount"] = total  # an older one is no sum of newer counts
            self._about["usageMetadata"] = self._pieces
            self.is_final = self._ended or (bool(self._running) and not any(self._running.values()))

    def _converse(self, metadata: Told) -> None:
        self._shapes.add("converse")
        self._about["usage"] = metadata.part("usage").thing
        self._keep(metadata, "serviceTier")
        self.is_final = True

    def _chat(self, told: Told) -> None:
        choices = list(told.parts("choices"))
        for choice in choices:
            self._hear(choice, ends=choice.has("finish_reason"))
        self._keep(told, "model", "service_tier", "provider", "hidden_params", "_hidden_params")
        if told.has("usage"):
            self._shapes.add("chat")
            self._about["usage"] = told.part("usage").thing
            self.is_final = not choices or not any(self._running.values())

    def _take(self, numbers: Mapping[str, object]) -> None:
        """Numbers of a usage that comes piece by piece; a 0 after more was not told (TS1)."""
        self._pieces |= {
            name: value for name, value in numbers.items() if value or not self._pieces.get(name)
        }

    def _hear(self, choice: Told, *, ends: bool) -> None:
        """One of the answers that a response may have goes on, or ends."""
        index = field_of(choice.thing, "index")
        at = index if isinstance(index, int) else 0
        self._running[at] = self._running.get(at, True) and not ends

    def _keep(self, told: Told, *names: str) -> None:
        for name in names:
            if value := field_of(told.thing, name):  # an empty one says nothing
                self._about[name] = value


def _has_reason(told: Told, *names: str) -> bool:
    """Whether it says why something ended. Proto always has one, of 0 or unspecified where there is none."""
    reason = plain(told.part(*names).thing)
    if isinstance(reason, str):
        return bool(reason) and not reason.endswith("UNSPECIFIED")
    return isinstance(reason, int) and reason != 0


def response_id_of(told: Told) -> str | None:
    """The id that a provider gives to all chunks of one response, where the chunk has it.

    >>> response_id_of(Told({"id": "chatcmpl-1", "choices": []})), response_id_of(Told({"type": "ping"}))
    ('chatcmpl-1', None)
    """
    for name in ("response", "message"):
        if told.has(name):
            return told.part(name).text("id")
    return told.text("id") if told.has("choices") else told.text("responseId", "response_id")
