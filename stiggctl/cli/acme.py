"""Acme: the company that the demo plays with: who belongs to what, and what each may spend.

Here: its model, and who calls how often. Not here: the calls (burst.py), what is told of them
(demo.py).
"""

from typing import Any

TOKENS = "ai-tokens"

#: resource -> (type, parent, limit, enforcement); without a limit of its own, those above it count.
_PLACES: dict[str, tuple[str, str | None, int | None, str]] = {
    "org-acme": ("org", None, 60_000, "HARD"),
    "dept-marketing": ("dept", "org-acme", 30_000, "HARD"),
    "team-growth": ("team", "dept-marketing", 15_000, "HARD"),
    "user-alice": ("user", "team-growth", None, "HARD"),
    "user-bob": ("user", "team-growth", 2_000, "HARD"),
    "team-brand": ("team", "dept-marketing", 20_000, "HARD"),
    "user-渡辺": ("user", "team-brand", 5_000, "HARD"),
    "dept-support": ("dept", "org-acme", 25_000, "HARD"),
    "team-desk": ("team", "dept-support", 25_000, "HARD"),
    "user-dana": ("user", "team-desk", None, "HARD"),
    "agent-nightly": ("user", "team-desk", 8_000, "HARD"),
    "amer": ("region", None, 50_000, "HARD"),
    "emea": ("region", None, 12_000, "SOFT"),
    "feature-chat": ("feature", None, None, "HARD"),
    "feature-enrichment": ("feature", None, 20_000, "HARD"),
}
_PARENT_TYPES = {"org": None, "dept": "org", "team": "dept", "user": "team", "region": None, "feature": None}

ROOTS = tuple(name for name, (_, parent, _, _) in _PLACES.items() if parent is None)
#: Who calls, how often in proportion, and from where.
CALLERS = (
    ("user-alice", 6, "emea"),
    ("user-bob", 5, "emea"),
    ("user-渡辺", 2, "amer"),
    ("user-dana", 5, "amer"),
    ("agent-nightly", 1, "amer"),
)
FEATURES = ("feature-chat", "feature-enrichment")
#: What one long call holds from the beginning to the end of the burst, and what it uses then.
LONG_CALL = ("agent-nightly", "amer", "feature-chat")
LONG_CALL_HELD, LONG_CALL_USED = 1_500, 1_180


def model(customer_id: str) -> dict[str, Any]:
    """Acme as a model, as one would write it in JSON."""
    return {
        "customers": [{"id": customer_id, "name": "Acme Inc."}],
        "creditCurrencies": [{"id": TOKENS, "name": "AI tokens"}],
        "resourceTypes": [
            {"id": name, "parentResourceTypeId": parent} for name, parent in _PARENT_TYPES.items()
        ],
        "resources": [
            {"id": name, "resourceTypeId": kind, "parentResourceId": parent, "customerId": customer_id}
            for name, (kind, parent, _, _) in _PLACES.items()
        ],
        "allocations": [
            {
                "resourceId": name,
                "creditCurrency": TOKENS,
                "customerId": customer_id,
                "limit": limit,
                "enforcementType": enforcement,
            }
            for name, (_, _, limit, enforcement) in _PLACES.items()
            if limit is not None
        ],
    }
