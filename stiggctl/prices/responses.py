"""Responses: which shape a provider's response has, and what it tells beside the numbers.

Here: the shape from the words of its usage; model, provider, and how it was served. Not here: what
the numbers mean (shapes.py), streams (streams.py).

What always holds:
  RS1  The shape follows from the words that the response uses, never from a guess at its model.
  RS2  A response without usage raises UsageUnclear, also where zeros stand for it; it is never a usage
       of nothing.
  RS3  A cost that a provider names itself (OpenRouter, LiteLLM, xAI) is not looked at.
  RS4  A response that tells of rounds before it, whose usage is in no number of it, raises UsageUnclear.
"""

from typing import Final

from stiggctl.prices import shapes
from stiggctl.prices.errors import UsageUnclear
from stiggctl.prices.told import Told, field_of
from stiggctl.prices.usage import USUAL, Usage

_SHAPES: Final = (
    "the usage of a response of OpenAI, Anthropic, Gemini, Bedrock Converse, or one in their words"
)

#: Where Google's SDK has what it said and heard before the last round.
ROUNDS: Final = ("automatic_function_calling_history", "automaticFunctionCallingHistory")

#: LiteLLM's names for providers, where the price list has another.
_PROVIDERS: Final = {
    "azure_ai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "together_ai": "together",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "xai": "x-ai",
}
_TRAFFIC: Final = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}


def usage_of(response: object, *, provider: str | None = None, model: str | None = None) -> Usage:
    """What a response used, from whichever provider it is; objects and mappings alike.

    `provider` and `model` stand before what the response tells of them: Bedrock tells no model, and
    few tell their provider. Raises UsageUnclear where usage is missing, is no count, or contradicts
    itself; nothing is guessed.

    >>> usage = usage_of({"model": "gpt-5", "object": "chat.completion", "usage": {
    ...     "prompt_tokens": 1_200, "prompt_tokens_details": {"cached_tokens": 1_000},
    ...     "completion_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 70}}})
    >>> usage.input, usage.cache_read, usage.output, usage.reasoning, usage.model
    (200, 1000, 30, 70, 'gpt-5')
    """
    told = Told(response)
    found = told.text("model", "modelVersion", "model_version")
    usage = told.part("usageMetadata", "usage_metadata", "usage")
    if not told.has("usageMetadata", "usage_metadata", "usage"):
        usage = Told(response, "usage")  # the usage alone, perhaps
    whose: str | None = None
    if usage.has("promptTokenCount", "prompt_token_count"):
        if rounds := rounds_before(told):
            expected = "one round: this is the usage of the last of several rounds, made by the SDK"
            raise UsageUnclear(where=ROUNDS[0], value=rounds, expected=expected)
        whose, counts = "google", shapes.gemini(usage)
    elif usage.has("prompt_tokens"):
        counts = shapes.chat(usage)
    elif usage.has("inputTokens"):
        whose, counts = "aws", shapes.converse(usage)
    elif usage.has("input_tokens"):
        if _is_message(told, usage):
            whose, counts = "anthropic", shapes.messages(usage, found)
        else:
            counts = shapes.responses(usage)
    else:
        raise UsageUnclear(where="usage", value=field_of(response, "usage"), expected=_SHAPES)
    if not any(counts.values()):
        expected = "at least one token: zeros tell no usage"
        raise UsageUnclear(where=usage.where, value=usage.thing, expected=expected)
    return Usage(
        **counts,
        model=found if model is None else model,
        provider=(_provider(told, usage) or whose) if provider is None else provider,
        served=_served(told, usage),
    )


def rounds_before(told: Told) -> int:
    """How much Google's SDK said and heard before this response, calling functions by itself (RS4)."""
    return len(list(told.parts(*ROUNDS)))


def _is_message(told: Told, usage: Told) -> bool:
    """Whether input_tokens are Anthropic's, which have nothing cached inside."""
    if told.text("type") == "message":
        return True
    if told.text("object") in {"response", "realtime.response"}:
        return False
    cached_beside = usage.has("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
    cached_inside = usage.has("input_tokens_details", "input_token_details", "prompt_tokens_details")
    if cached_beside and cached_inside:
        raise UsageUnclear(where=usage.where, value=usage.thing, expected="one provider's words, not two's")
    return cached_beside


def _provider(told: Told, usage: Told) -> str | None:
    """The provider that the response names: OpenRouter itself, LiteLLM the one behind it."""
    for name in ("hidden_params", "_hidden_params"):
        behind = told.part(name).text("custom_llm_provider")
        if behind is not None:
            return _PROVIDERS.get(behind, behind)
    # OpenRouter's `provider` is who served it; who bills it is OpenRouter.
    return "openrouter" if told.text("provider") or usage.has("is_byok", "cost_details") else None


def _served(told: Told, usage: Told) -> tuple[tuple[str, str], ...]:
    """How it was served, where that may have another price than the usual."""
    tier = told.text("service_tier") or usage.text("service_tier", "serviceTier")
    tier = tier or told.part("serviceTier").text("type")
    tier = tier or _TRAFFIC.get(usage.text("trafficType", "traffic_type") or "")
    speed = usage.text("speed")
    served = []
    if tier == "batch":
        served.append(("processing", "batch"))
    elif tier is not None and tier.lower() not in USUAL:
        served.append(("service_tier", tier.lower()))
    if speed is not None and speed not in USUAL:
        served.append(("speed", speed))
    return tuple(served)
