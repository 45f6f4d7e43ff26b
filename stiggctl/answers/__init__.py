"""Answers: what people read of a decision, a limit and a booking.

Here: decision.py, limits.py, receipt.py, and what they are made from (sights.py); what hooks are told
(happenings.py).
Not here: how they come about (decision/, holder/). Numbers arrive as integer units and
leave as int or Decimal of the currency.
"""

from stiggctl.answers.decision import Decision
from stiggctl.answers.happenings import (
    DecisionMade,
    GrantExpiring,
    Happening,
    ThresholdCrossed,
    UsageBooked,
    Verb,
)
from stiggctl.answers.limits import FOR_EVER, NOT_LIMITS, AccessDeniedReason, LimitState, RawLimit, Terms
from stiggctl.answers.receipt import OpenReservation, Receipt
from stiggctl.answers.remedy import Remedy, RemedyKind
from stiggctl.answers.sights import Circumstances, Describes, Identities, NoLimits, Refusal, Sight

__all__ = [
    "FOR_EVER",
    "NOT_LIMITS",
    "AccessDeniedReason",
    "Circumstances",
    "Decision",
    "DecisionMade",
    "Describes",
    "GrantExpiring",
    "Happening",
    "Identities",
    "LimitState",
    "NoLimits",
    "OpenReservation",
    "RawLimit",
    "Receipt",
    "Refusal",
    "Remedy",
    "RemedyKind",
    "Sight",
    "Terms",
    "ThresholdCrossed",
    "UsageBooked",
    "Verb",
]
