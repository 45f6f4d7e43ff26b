"""Kept: a decision as JSON text, to be explained a month later with the numbers that it had.

Here: writing and reading it. Not here: which decisions are kept (holder/denials.py).

  KD1  What is read is the decision that was written: the same id, instant, numbers and sentence.
"""

import json
from typing import Any

from stiggctl.answers.decision import Decision, travelled
from stiggctl.answers.limits import AccessDeniedReason, RawLimit, Terms
from stiggctl.answers.sights import Circumstances, Refusal


def to_kept(decision: Decision) -> str:
    """The text of it, but for its id and instant: two of the same text are the same denial, twice."""
    reason, _, _, circumstances, currencies, raw = decision.as_it_travels()
    refusal = circumstances.refusal
    said: dict[str, Any] = {
        "reason": reason,
        "asked": currencies,
        "limits": [{**one._asdict(), "terms": one.terms._asdict()} for one in raw],
    }
    if refusal is not None:
        said["refusal"] = refusal._asdict()
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def from_kept(text: str, decision_id: str, at_us: int) -> Decision:
    """The decision of that text, id and instant."""
    said = json.loads(text)
    refusal = said.get("refusal")
    if refusal is not None:
        refusal = Refusal(**{**refusal, "reason": AccessDeniedReason(refusal["reason"])})
    reason = None if said["reason"] is None else AccessDeniedReason(said["reason"])
    raw = [_limit(one) for one in said["limits"]]
    asked = [(name, decimals, units) for name, decimals, units in said["asked"]]
    return travelled(reason, at_us, decision_id, Circumstances(refusal=refusal), asked, raw)


def _limit(said: dict[str, Any]) -> RawLimit:
    terms = Terms(**{**said["terms"], "changes": _pairs(said["terms"]["changes"])})
    return RawLimit(**{**said, "frees": _pairs(said["frees"]), "terms": terms})


def _pairs(said: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((at_us, units) for at_us, units in said)
