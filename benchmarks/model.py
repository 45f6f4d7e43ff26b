"""A model to measure on: one request that touches so many limits, in three trees.

Here: resource types, resources and limits, and the ids that a request names. Not here: what is
asked of it (decide.py, book.py).
"""

from typing import Any

TOKENS = "ai-tokens"
CUSTOMER = "cust-acme-inc"


def model(limits: int) -> tuple[dict[str, Any], list[str]]:
    """A model, and what a request names: a user some levels deep, a region, a feature.

    Each of them and of what is above them has one HARD limit, so high that it never denies.

    >>> described, ids = model(4)
    >>> ids, [one["id"] for one in described["resources"]]
    (['user', 'emea', 'chat'], ['company', 'user', 'emea', 'chat'])
    """
    assert limits >= 4
    chain = ["company", *(f"unit-{depth}" for depth in range(1, limits - 3)), "user"]
    resources: list[dict[str, str]] = []
    for above, one in zip([None, *chain], chain, strict=False):
        parent = {} if above is None else {"parentResourceId": above}
        resources.append({"id": one, "resourceTypeId": "member", "customerId": CUSTOMER, **parent})
    resources += [{"id": one, "resourceTypeId": "label", "customerId": CUSTOMER} for one in ("emea", "chat")]
    return {
        "resourceTypes": [{"id": "member"}, {"id": "label"}],
        "resources": resources,
        "allocations": [
            {"resourceId": one["id"], "creditCurrency": TOKENS, "limit": 10**15} for one in resources
        ],
    }, ["user", "emea", "chat"]
