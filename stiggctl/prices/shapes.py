"""Shapes: what the numbers of each provider's response mean, as classes that share nothing.

Here: one function a shape; what is inside of what, which the table in
docs/how-to/price-a-response.md says for people. Not here: which shape a response has
(responses.py), whole streams (streams.py).

What always holds:
  SH1  A number that is a part of another is taken out of it once; one that stands beside it is not.
  SH2  Parts that are more than their whole, or a total that is not the sum, raise UsageUnclear.
  SH3  Where a response leaves open which of two classes tokens are in, they are in the dearer one.
"""

from collections.abc import Mapping
from typing import Final

from stiggctl.prices.errors import UsageUnclear
from stiggctl.prices.told import Told, agreed

#: Cheapest first: where it is left open which of them were read from a cache.
MEDIA: Final = ("video", "image", "audio")
#: Kept for the shorter of a provider's times; all others count as the longer, which is no cheaper.
_SHORT: Final = frozenset({"5m", "30m"})

Counts = dict[str, int]


def chat(usage: Told) -> Counts:
    """OpenAI's chat completions, and all who speak as they do (LiteLLM, OpenRouter, xAI, DeepSeek).

    Cached and written tokens, audio and images are inside of prompt_tokens. Reasoning is inside of
    completion_tokens, or beside it (xAI, Gemini): total_tokens tells which.

    >>> chat(Told({"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42,
    ...            "completion_tokens_details": {"reasoning_tokens": 20}}))["output"]
    10
    """
    prompt = usage.needed("prompt_tokens")
    total = usage.count_or_none("total_tokens")
    completion = usage.count_or_none("completion_tokens")
    if completion is None:
        if total != prompt:  # an embedding has none, and its total says so
            usage.needed("completion_tokens")
        completion = 0
    details = usage.part("prompt_tokens_details", "input_tokens_details")
    cached = agreed(
        usage.at("cached tokens"),
        details.count("cached_tokens"),
        usage.count("cached_tokens"),
        usage.count("prompt_cache_hit_tokens"),
        usage.count("cache_read_input_tokens"),
    )
    written = agreed(
        usage.at("cache writes"),
        details.count("cache_write_tokens"),
        details.count("cache_creation_tokens"),
        details.count("cache_creation_input_tokens"),
        usage.count("cache_creation_input_tokens"),
    )
    return _openai(usage, prompt, completion, total, cached, written, details)


def responses(usage: Told) -> Counts:
    """OpenAI's Responses, images and Realtime: as chat completions, in other words."""
    details = usage.part("input_tokens_details", "input_token_details", "prompt_tokens_details")
    written = agreed(
        usage.at("cache writes"),
        details.count("cache_write_tokens"),
        details.count("cache_creation_input_tokens"),
    )
    return _openai(
        usage,
        usage.needed("input_tokens"),
        usage.needed("output_tokens"),
        usage.count_or_none("total_tokens"),
        details.count("cached_tokens"),
        written,
        details,
    )


def _openai(
    usage: Told, prompt: int, completion: int, total: int | None, cached: int, written: int, details: Told
) -> Counts:
    made = usage.part(
        "completion_tokens_details", "output_tokens_details", "output_token_details", "completion_details"
    )
    reasoning = agreed(
        made.at("reasoning_tokens"), made.count("reasoning_tokens"), usage.count("reasoning_tokens")
    )
    beside = _beside(usage, prompt + completion, reasoning, total)
    by_time = details.part("cache_creation_token_details", "cache_write_tokens_details", "cache_creation")
    counts = _input(
        details,
        prompt,
        cached,
        _written(
            by_time,
            written,
            short=by_time.count("ephemeral_5m_input_tokens")
            + by_time.count("ephemeral_30m_input_tokens")
            + by_time.count("ttl_30m_tokens"),
            long=by_time.count("ephemeral_1h_input_tokens")
            + by_time.count("ephemeral_12h_input_tokens")
            + by_time.count("ttl_12h_tokens"),
        ),
        {medium: details.count(f"{medium}_tokens") for medium in MEDIA},
        _cached_media(details),
    )
    inside = 0 if beside else reasoning
    counts |= _output(made, completion, inside, {medium: made.count(f"{medium}_tokens") for medium in MEDIA})
    counts["reasoning"] = beside or reasoning
    counts["web_searches"] = agreed(
        usage.at("web_search_requests"),
        usage.part("server_tool_use").count("web_search_requests"),
        details.count("web_search_requests"),  # LiteLLM's place for Gemini's
    )
    return counts


def _beside(usage: Told, seen: int, reasoning: int, total: int | None) -> int:
    """The reasoning that the total has beyond prompt and completion; 0: it is inside (SH2).

    Gemini's endpoint in OpenAI's words has it in the total and nowhere else.
    """
    if total is None or total == seen:
        return 0
    if total > seen and reasoning in {0, total - seen}:
        return total - seen
    expected = f"{seen}, or with {reasoning} of reasoning {seen + reasoning}: the sum of what is told"
    raise UsageUnclear(where=usage.at("total_tokens"), value=total, expected=expected)


def messages(usage: Told, model: str | None = None) -> Counts:
    """Anthropic's messages: what is cached stands beside input_tokens; thinking is inside of output_tokens.

    >>> messages(Told({"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5}))["input"]
    10
    """
    counts = _turn(usage)
    for each in usage.parts("iterations"):
        kind, whose = each.text("type"), each.text("model")
        if kind == "compaction":  # which is in no other number
            for name, count in _turn(each).items():
                counts[name] += count
        elif kind not in {"message", "fallback_message"} or whose not in {None, model}:
            raise UsageUnclear(where=each.where, value=kind, expected="tokens of the response's own model")
    counts["web_searches"] = usage.part("server_tool_use").count("web_search_requests")
    return counts


def _turn(usage: Told) -> Counts:
    by_time = usage.part("cache_creation")
    short, long = by_time.count("ephemeral_5m_input_tokens"), by_time.count("ephemeral_1h_input_tokens")
    written = usage.count_or_none("cache_creation_input_tokens")
    thinking = usage.part("output_tokens_details").count("thinking_tokens")
    return {
        "input": usage.needed("input_tokens"),
        "cache_read": usage.count("cache_read_input_tokens"),
        **_written(by_time, short + long if written is None else written, short=short, long=long),
        **_output(usage, usage.needed("output_tokens"), thinking, {}),
        "reasoning": thinking,
    }


def converse(usage: Told) -> Counts:
    """Bedrock's Converse: what is cached stands beside inputTokens."""
    read, written = usage.count("cacheReadInputTokens"), usage.count("cacheWriteInputTokens")
    given, made = usage.needed("inputTokens"), usage.needed("outputTokens")
    total = usage.count_or_none("totalTokens")
    if total not in {None, given + made, given + made + read + written}:
        expected = f"{given + made + read + written}, the sum of what is told"
        raise UsageUnclear(where=usage.at("totalTokens"), value=total, expected=expected)
    times: dict[bool, int] = {True: 0, False: 0}
    for each in usage.parts("cacheDetails"):
        times[each.text("ttl") in _SHORT] += each.count("inputTokens")
    return {
        "input": given,
        "cache_read": read,
        **_written(usage.part("cacheDetails"), written, short=times[True], long=times[False]),
        "output": made,
    }


def gemini(usage: Told) -> Counts:
    """Gemini's generateContent: cached is inside of the prompt; thoughts and tool results stand beside.

    >>> gemini(Told({"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 7,
    ...              "thoughtsTokenCount": 50, "totalTokenCount": 157}))["input"]
    60
    """
    prompt = usage.needed("promptTokenCount", "prompt_token_count")
    tools = usage.count("toolUsePromptTokenCount", "tool_use_prompt_token_count")
    made = usage.count(
        "candidatesTokenCount", "candidates_token_count", "responseTokenCount", "response_token_count"
    )
    thoughts = usage.count("thoughtsTokenCount", "thoughts_token_count")
    total = usage.count_or_none("totalTokenCount", "total_token_count")
    media = _modalities(usage, "promptTokensDetails", "prompt_tokens_details")
    for medium, count in _modalities(
        usage, "toolUsePromptTokensDetails", "tool_use_prompt_tokens_details"
    ).items():
        media[medium] = media.get(medium, 0) + count
    cached_media = None
    if usage.has("cacheTokensDetails", "cache_tokens_details"):
        cached_media = _modalities(usage, "cacheTokensDetails", "cache_tokens_details")
    counts = _input(
        usage,
        prompt + tools,
        usage.count("cachedContentTokenCount", "cached_content_token_count"),
        {},
        media,
        cached_media,
    )
    by_medium = _modalities(usage, "candidatesTokensDetails", "candidates_tokens_details")
    by_medium = by_medium or _modalities(usage, "responseTokensDetails", "response_tokens_details")
    counts |= _output(usage, made, 0, by_medium)
    seen = prompt + tools + made
    if thoughts and total == seen:
        expected = f"{seen + thoughts}, with the thoughts"
        raise UsageUnclear(where=usage.at("totalTokenCount"), value=total, expected=expected)
    counts["reasoning"] = _beside(usage, seen, thoughts, total) or thoughts
    return counts


def _modalities(usage: Told, *names: str) -> Counts:
    """Tokens by medium. A document is billed as the images that it is made of."""
    found: Counts = {}
    for each in usage.parts(*names):
        medium = (each.text("modality") or "").lower()
        medium = "image" if medium == "document" else medium
        count = each.count("tokenCount", "token_count")
        if medium in MEDIA:
            found[medium] = found.get(medium, 0) + count
    return found


# ------------------------------------------------------------------ wholes into parts


def _written(by_time: Told, written: int, *, short: int, long: int) -> Counts:
    """Cache writes by how long they are kept; those of no told time as the dearer that occurs (SH3)."""
    rest = written - short - long
    if rest < 0:
        raise UsageUnclear(where=by_time.where, value=short + long, expected=f"at most {written}, all writes")
    return {"cache_write_5m": short + (0 if long else rest), "cache_write_1h": long + (rest if long else 0)}


def _cached_media(details: Told) -> Counts | None:
    cached = details.part("cached_tokens_details")
    if not cached.has("text_tokens", *(f"{medium}_tokens" for medium in MEDIA)):
        return None  # it is left open
    return {medium: cached.count(f"{medium}_tokens") for medium in MEDIA}


def _input(
    told: Told,
    total: int,
    cached: int,
    written: Counts,
    media: Mapping[str, int],
    cached_media: Mapping[str, int] | None,
) -> Counts:
    """The classes of an input whose total has all of the others inside (SH1)."""
    plain = total - sum(written.values()) - sum(media.values())
    if cached_media is None:
        # Which of the media were cached is left open: as few as can be, the cheapest first (SH3).
        cached_media, over = {}, max(0, cached - max(0, plain))
        for medium in MEDIA:
            cached_media[medium] = min(over, media.get(medium, 0))
            over -= cached_media[medium]
    read = {medium: cached_media.get(medium, 0) for medium in MEDIA}
    if cached < sum(read.values()):
        expected = f"at most {cached}, all that was cached"
        raise UsageUnclear(where=told.where, value=read, expected=expected)
    left = {medium: media.get(medium, 0) - read[medium] for medium in MEDIA}
    counts = {
        **written,
        **{f"input_{medium}": count for medium, count in left.items()},
        "cache_read_audio": read["audio"],
        "cache_read_image": read["image"],
        "cache_read": cached - read["audio"] - read["image"],
        "input": plain - (cached - sum(read.values())),
    }
    _none_below_zero(told, counts, total)
    return counts


def _output(told: Told, total: int, reasoning: int, media: Mapping[str, int]) -> Counts:
    """The classes of an output whose total has reasoning and media inside (SH1)."""
    counts = {f"output_{medium}": media.get(medium, 0) for medium in MEDIA}
    counts["output"] = total - reasoning - sum(counts.values())
    _none_below_zero(told, counts, total)
    return counts


def _none_below_zero(told: Told, counts: Counts, total: int) -> None:
    for name, count in counts.items():
        if count < 0:
            expected = f"parts of at most {total} in all; {name} would be {count}"
            raise UsageUnclear(where=told.where, value=told.thing, expected=expected)
