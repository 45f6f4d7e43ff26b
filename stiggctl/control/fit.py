"""Fit: which of several calls may be made, and how large; and by which limit the others may not.

Here: what is asked (`Candidate`) and what is answered (`Fit`, `Refused`). Not here: what a candidate may
cost (bidding.py), how it is decided (fitting.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import plain
from stiggctl.answers import Decision, LimitState
from stiggctl.answers.json_form import json_value
from stiggctl.errors import InvalidRequest, StiggctlError

#: A count larger than a million times any context window is a mistake.
_TOKENS_MAX = 10**12


@dataclass(frozen=True, slots=True)
class Candidate:
    """A call that might be made: which model, how much goes in, how much may come out.

    >>> Candidate("gpt-5", 1_200, 4_000, 500)
    Candidate(model='gpt-5', input_tokens=1200, max_output_tokens=4000, minimum_output_tokens=500)
    """

    model: str  #: as prices, rates and scopes name it
    input_tokens: int
    max_output_tokens: int  #: reasoning is inside of it, as providers have it
    minimum_output_tokens: int | None = None  #: fewer would be of no use; left out: all of them are needed
    provider: str | None = field(default=None, kw_only=True, repr=False)
    #: False: the request asks for no cache, of a provider that bills none unasked
    caching: bool = field(default=True, kw_only=True, repr=False)
    #: as `estimate` has it: {"service_tier": "priority"}
    served: Mapping[str, str] | None = field(default=None, kw_only=True, repr=False, hash=False)

    def __post_init__(self) -> None:
        for name in ("model", "provider"):
            text = getattr(self, name)
            if not (isinstance(text, str) and text) and not (name == "provider" and text is None):
                raise InvalidRequest(where=f"Candidate.{name}", value=text, expected="a name, as text")
        if self.served is not None:
            _check_served(self.served)
        _check(self.input_tokens, "input_tokens", 0, _TOKENS_MAX)
        _check(self.max_output_tokens, "max_output_tokens", 1, _TOKENS_MAX)
        if self.minimum_output_tokens is not None:
            _check(self.minimum_output_tokens, "minimum_output_tokens", 0, self.max_output_tokens)

    @property
    def least_output_tokens(self) -> int:
        """With fewer than these it is not made."""
        if self.minimum_output_tokens is None:
            return self.max_output_tokens
        return self.minimum_output_tokens


def _check(count: object, name: str, least: int, most: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not least <= count <= most:
        expected = f"a count of tokens, as an int from {least} to {most}"
        raise InvalidRequest(where=f"Candidate.{name}", value=count, expected=expected)


def _check_served(served: object) -> None:
    if not isinstance(served, Mapping) or not all(
        isinstance(each, str) and each for pair in served.items() for each in pair
    ):
        expected = 'how it is to be served, as text: {"service_tier": "priority"}'
        raise InvalidRequest(where="Candidate.served", value=served, expected=expected)


class Refused(NamedTuple):
    """A candidate that may not be made, and why."""

    candidate: Candidate
    #: the denial: where a limit denies, of its least; None where nothing says what it costs
    decision: Decision | None
    error: StiggctlError | None = None  #: PriceNotFound, or what else its cost cannot be told for

    @property
    def binding(self) -> LimitState | None:
        """The limit that denies it."""
        return None if self.decision is None else self.decision.binding

    def __str__(self) -> str:
        return f"{self.candidate.model}: {self.error if self.decision is None else self.decision}"

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "model": self.candidate.model,
            "decision": None if self.decision is None else self.decision.as_dict(),
            "error": None if self.error is None else str(self.error),
        }


class Fit(NamedTuple):
    """The first candidate that fits all limits, with as much output as fits; and those before it.

    `bool(fit)` is whether one does; `str(fit)` is a sentence.
    """

    candidate: Candidate | None  #: None: none fits
    max_output_tokens: int  #: the largest that fits; 0 where none does
    amounts: Mapping[str, int | Decimal]  #: what that may cost, by currency: to be set aside
    decision: Decision | None  #: the one that admits it, or the denial of the last candidate
    refused: tuple[Refused, ...]  #: those that do not fit, in the order in which they were asked

    @property
    def has_access(self) -> bool:
        """Whether one fits."""
        return self.candidate is not None

    def __bool__(self) -> bool:
        return self.candidate is not None

    @property
    def model(self) -> str | None:
        """The model of the candidate that fits."""
        return None if self.candidate is None else self.candidate.model

    @property
    def amount(self) -> int | Decimal | None:
        """What it may cost, where that is one currency; else None (see `amounts`)."""
        return next(iter(self.amounts.values())) if len(self.amounts) == 1 else None

    def __str__(self) -> str:
        refused = "; ".join(map(str, self.refused))
        if self.candidate is None:
            return f"no candidate fits: {refused}"
        costs = " and ".join(f"{plain(amount)} {name}" for name, amount in self.amounts.items())
        instead = f", instead of {refused}" if refused else ""
        return f"{self.candidate.model} with {self.max_output_tokens} output tokens, for {costs}{instead}"

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {
            "hasAccess": self.has_access,
            "model": self.model,
            "maxOutputTokens": self.max_output_tokens,
            "amounts": {name: json_value(amount) for name, amount in self.amounts.items()},
            "refused": [one.as_dict() for one in self.refused],
        }
