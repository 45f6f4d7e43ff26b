"""Listed: list prices, as genai-prices has them.

Here: finding a model in its data, the prices in force at an instant, its version. Not here: what a
usage then costs (cost.py): its own arithmetic rounds as the host's Decimal context says, and is not used.

What always holds:
  LP1  genai-prices is imported when the first list price is asked for, and read in our own Decimal
       context; without it PriceNotFound names the extra.
  LP2  Which price stands in for a missing one is genai-prices' own rule: that of the class it is part of.
  LP3  A way of being served (priority, fast, one that is not known here) for which the list has no price
       is refused, for it may be dearer; one that is not (flex, batch) is billed at the usual price.
"""

import decimal
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from stiggctl.amounts import CONTEXT
from stiggctl.importing import importing
from stiggctl.prices.errors import PriceNotFound
from stiggctl.prices.tariff import Price, Tariff, exactly
from stiggctl.prices.usage import USUAL, Usage

#: Our classes in genai-prices' words, and of how many its prices are.
_KEYS: Final = {
    "input": ("input_mtok", 10**6),
    "cache_read": ("cache_read_mtok", 10**6),
    "cache_write": ("cache_write_mtok", 10**6),
    "cache_write_5m": ("cache_write_5m_mtok", 10**6),
    "cache_write_1h": ("cache_write_1h_mtok", 10**6),
    "output": ("output_mtok", 10**6),
    "reasoning": ("output_reasoning_mtok", 10**6),
    "input_audio": ("input_audio_mtok", 10**6),
    "output_audio": ("output_audio_mtok", 10**6),
    "cache_read_audio": ("cache_audio_read_mtok", 10**6),
    "input_image": ("input_image_mtok", 10**6),
    "cache_read_image": ("cache_image_read_mtok", 10**6),
    "output_image": ("output_image_mtok", 10**6),
    "input_video": ("input_video_mtok", 10**6),
    "output_video": ("output_video_mtok", 10**6),
    "web_searches": ("web_searches_kcount", 10**3),
    "requests": ("requests_kcount", 10**3),
}

#: A class, then the classes that it is a part of, nearest first (LP2). Where two of a chain could be
#: meant (cached audio: a part of cached, and of audio), genai-prices has a price for the class itself.
_CHAINS: Final = {
    "cache_read": ("cache_read", "input"),
    "cache_write_5m": ("cache_write_5m", "cache_write", "input"),
    "cache_write_1h": ("cache_write_1h", "cache_write", "input"),
    "reasoning": ("reasoning", "output"),
    "input_audio": ("input_audio", "input"),
    "output_audio": ("output_audio", "output"),
    "cache_read_audio": ("cache_read_audio", "cache_read", "input_audio", "input"),
    "input_image": ("input_image", "input"),
    "cache_read_image": ("cache_read_image", "cache_read", "input_image", "input"),
    "output_image": ("output_image", "output"),
    "input_video": ("input_video", "input"),
    "output_video": ("output_video", "output"),
}

#: Ways of being served that cost less than the usual one, or whose price is paid beforehand.
_NO_DEARER: Final = frozenset({"batch", "flex", "reserved", "scale"})
_NO_LIST: Final = 'the price list is not installed: pip install "stiggctl[prices]"'
#: As many names as are read at a glance.
_NAMES_MAX: Final = 3
_NAME_MAX: Final = 255
#: More unknown names than that are told apart by nobody; each takes some hundred bytes.
_NAMES_KEPT: Final = 1_024


def list_tariff(usage: Usage, model: str | None, at: datetime) -> Tariff:
    """The list prices of a model at an instant; PriceNotFound where the list has none."""
    if model is None:
        reason = "the response names none; give `model`"
        raise PriceNotFound(model=None, provider=usage.provider, reason=reason)
    with decimal.localcontext(CONTEXT):
        try:
            with importing():
                import genai_prices.data_snapshot as listed  # noqa: PLC0415 - an extra, when asked (LP1)
        except ImportError:
            raise PriceNotFound(model=model, provider=usage.provider, reason=_NO_LIST) from None
        snapshot = listed.get_snapshot()
        provider, found = _find(snapshot, model, usage.provider)
        own = any(found is each for each in provider.models)
        served = dict(usage.served) if own else {}  # another provider's ways of serving are not this one's
        _refuse_dearer(usage, found if own else None, provider.id, model, at)
        prices = _prices(found.get_prices(at, served), provider.id, found.id)
    if not prices:
        reason = "the list has it, without any price of tokens"
        raise PriceNotFound(model=model, provider=provider.id, reason=reason)
    return Tariff(provider.id, found.id, "list", _version(snapshot), prices, _CHAINS)


def _find(snapshot: Any, model: str, provider: str | None) -> tuple[Any, Any]:
    """The provider and the model that a response's names mean."""
    # With a prefix, as LiteLLM writes it ("openai/gpt-5"), the prefix is the provider, if one is called so.
    asked = "litellm" if provider is None and "/" in model else provider
    if len(model) <= _NAME_MAX:
        with suppress(LookupError):
            provider_and_model: tuple[Any, Any] = snapshot.find_provider_model(model, None, asked, None)
            return provider_and_model
    raise PriceNotFound(
        model=model,
        provider=provider,
        reason="the list does not have it",
        known=_nearest(_version(snapshot), model[:_NAME_MAX], provider),
    )


@lru_cache(maxsize=_NAMES_KEPT)
def _nearest(version: str, model: str, provider: str | None) -> tuple[str, ...]:
    """Names that were perhaps meant: of this provider, or of all where it is none that is known.

    Of the list of that version. Finding them takes 10 ms, and who rates a month of usage anew may ask for
    one name a million times.
    """
    with importing():
        import genai_prices.data_snapshot as listed  # noqa: PLC0415 - as above

    del version  # what is remembered is of it
    snapshot = listed.get_snapshot()
    whose = [each for each in snapshot.providers if each.id == provider] or snapshot.providers
    names = sorted({model.id for each in whose for model in each.models})
    return tuple(get_close_matches(model.casefold(), names, n=_NAMES_MAX))


def _refuse_dearer(usage: Usage, own: Any | None, provider: str, model: str, at: datetime) -> None:
    """LP3."""
    served = dict(usage.served)
    for name, value in served.items():
        if value in USUAL or value in _NO_DEARER:
            continue
        variants = (own.price_variants if own is not None else None) or ()
        if not any(
            variant.when.get(name) == value
            and variant.when.items() <= served.items()
            and (variant.constraint is None or variant.constraint.active(at))
            for variant in variants
        ):
            reason = f"it was served with {name} {value!r}, for which the list has no price"
            raise PriceNotFound(model=model, provider=provider, reason=reason)


def _prices(listed: Any, provider: str, model: str) -> Mapping[str, Price]:
    found: dict[str, Price] = {}
    for name, (key, per) in _KEYS.items():
        value = vars(listed).get(key)
        if value is None:
            continue
        tiers = getattr(value, "tiers", ())
        base = exactly(getattr(value, "base", value), per)
        above = [(tier.start, exactly(tier.price, per)) for tier in tiers]
        if base is None or any(price is None for _, price in above):
            reason = f"the list's {key} is {value!r}, which is no exact price"
            raise PriceNotFound(model=model, provider=provider, reason=reason)
        found[name] = Price(base, tuple(sorted((at, Fraction(price or 0)) for at, price in above)))
    return found


def _version(snapshot: Any) -> str:
    """Which prices they are: those that came with the package, or those it fetched since, and when."""
    with importing():
        from genai_prices import __version__  # noqa: PLC0415 - as above
        from genai_prices.data import providers  # noqa: PLC0415 - as above

    if snapshot.providers is providers:
        return f"genai-prices {__version__}"
    fetched = snapshot.timestamp.astimezone(UTC)  # a naive one is the host's local time
    return f"genai-prices {__version__} of {fetched:%Y-%m-%dT%H:%M:%SZ}"
