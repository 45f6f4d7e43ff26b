"""Payloads: what providers would answer that used just this, by the rule that each of them documents.

Each builder is the reference for its shape: it puts disjoint classes together as the provider's documents
say, and a test takes them apart again.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from stiggctl.prices import Usage


def chat(usage: Usage, *, beside: bool = False) -> dict[str, Any]:
    """OpenAI's chat completions; with `beside` as xAI has reasoning: beside of completion_tokens."""
    completion = usage.output + usage.output_audio + usage.output_image + usage.output_video
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": usage.model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {
            "prompt_tokens": usage.total_input,
            "completion_tokens": completion + (0 if beside else usage.reasoning),
            "total_tokens": usage.total,
            "prompt_tokens_details": {
                "cached_tokens": usage.cache_read + usage.cache_read_audio + usage.cache_read_image,
                "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
                "cache_creation_token_details": {
                    "ephemeral_5m_input_tokens": usage.cache_write_5m,
                    "ephemeral_1h_input_tokens": usage.cache_write_1h,
                },
                "audio_tokens": usage.input_audio + usage.cache_read_audio,
                "image_tokens": usage.input_image + usage.cache_read_image,
                "video_tokens": usage.input_video,
                "cached_tokens_details": {
                    "text_tokens": usage.cache_read,
                    "audio_tokens": usage.cache_read_audio,
                    "image_tokens": usage.cache_read_image,
                },
            },
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning,
                "audio_tokens": usage.output_audio,
                "image_tokens": usage.output_image,
                "video_tokens": usage.output_video,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


def responses(usage: Usage) -> dict[str, Any]:
    """OpenAI's Responses."""
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": usage.model,
        "service_tier": "default",
        "usage": {
            "input_tokens": usage.total_input,
            "input_tokens_details": {
                "cached_tokens": usage.cache_read,
                "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
                "cache_write_tokens_details": {
                    "ttl_30m_tokens": usage.cache_write_5m,
                    "ttl_12h_tokens": usage.cache_write_1h,
                },
            },
            "output_tokens": usage.output + usage.reasoning,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.total,
        },
    }


def messages(usage: Usage) -> dict[str, Any]:
    """Anthropic's messages."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": usage.model,
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": usage.input,
            "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
            "cache_read_input_tokens": usage.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": usage.cache_write_5m,
                "ephemeral_1h_input_tokens": usage.cache_write_1h,
            },
            "output_tokens": usage.output + usage.reasoning,
            "output_tokens_details": {"thinking_tokens": usage.reasoning},
            "server_tool_use": {"web_search_requests": usage.web_searches, "web_fetch_requests": 0},
            "service_tier": "standard",
        },
    }


def gemini(usage: Usage, *, tools: int = 0) -> dict[str, Any]:
    """Gemini's generateContent; so many of the plain input tokens came from tools."""
    given = {
        "TEXT": usage.input + usage.cache_read - tools,
        "AUDIO": usage.input_audio + usage.cache_read_audio,
        "IMAGE": usage.input_image + usage.cache_read_image,
        "VIDEO": usage.input_video,
    }
    made = {
        "TEXT": usage.output,
        "AUDIO": usage.output_audio,
        "IMAGE": usage.output_image,
        "VIDEO": usage.output_video,
    }
    cached = {"TEXT": usage.cache_read, "AUDIO": usage.cache_read_audio, "IMAGE": usage.cache_read_image}
    return {
        "modelVersion": usage.model,
        "candidates": [{"index": 0, "finishReason": "STOP", "content": {"parts": [{"text": "hi"}]}}],
        "usageMetadata": {
            "promptTokenCount": sum(given.values()),
            "cachedContentTokenCount": sum(cached.values()),
            "toolUsePromptTokenCount": tools,
            "candidatesTokenCount": sum(made.values()),
            "thoughtsTokenCount": usage.reasoning,
            "totalTokenCount": usage.total,
            "promptTokensDetails": _modalities(given),
            "cacheTokensDetails": _modalities(cached),
            "candidatesTokensDetails": _modalities(made),
            "toolUsePromptTokensDetails": _modalities({"TEXT": tools}),
        },
    }


def _modalities(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in counts.items() if count]


def converse(usage: Usage) -> dict[str, Any]:
    """Bedrock's Converse, which names no model."""
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
        "stopReason": "end_turn",
        "usage": {
            "inputTokens": usage.input,
            "outputTokens": usage.output,
            "totalTokens": usage.total,
            "cacheReadInputTokens": usage.cache_read,
            "cacheWriteInputTokens": usage.cache_write_5m + usage.cache_write_1h,
            "cacheDetails": [
                {"ttl": "1h", "inputTokens": usage.cache_write_1h},
                {"ttl": "5m", "inputTokens": usage.cache_write_5m},
            ],
        },
        "metrics": {"latencyMs": 500},
    }


def as_objects(thing: Any) -> Any:
    """The same as an SDK's objects would be: attributes instead of keys, all the way down."""
    if isinstance(thing, Mapping):
        return SimpleNamespace(**{name: as_objects(value) for name, value in thing.items()})
    return [as_objects(each) for each in thing] if isinstance(thing, list) else thing


def snake_case(thing: Any) -> Any:
    """The same with keys as Google's Python SDK spells them."""
    if isinstance(thing, Mapping):
        return {
            "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name): snake_case(
                value
            )
            for name, value in thing.items()
        }
    return [snake_case(each) for each in thing] if isinstance(thing, list) else thing
