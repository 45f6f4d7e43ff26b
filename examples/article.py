"""A company's tree of limits, a question before each AI call, a report after it.

Nordwind, a customer, has an organization with departments, teams and users. Each user has a seat, and
some have limits of their own; a region has one too. Before a summary is written the question is asked
for the user and the region at once; afterwards the usage event is sent, and its rate says what it cost.
Ines has 40 credits, and a summary costs 12.

Run it: python examples/article.py. It prints:

    18 entries were made
    summary 1: 40 left for Ines, written, charged 12
    summary 2: 28 left for Ines, written, charged 12
    summary 3: 16 left for Ines, written, charged 12
    summary 4: BUDGET_EXCEEDED: user-ines has 4 of 40 ai-tokens left (36 used, 0 held); 12 were asked for
    sent again: the same event, charged once
    org-nordwind        36 of 5000
      dept-research     36 of 2000
        team-papers     36 without a limit
          user-ines     36 of 40
          user-tomas    0 without a limit
    every counter is the sum of its events: True
"""

from stiggctl import UsageControl

RESOURCE_TYPES = {
    "resourceTypes": [
        {"id": "org", "properties": {"displayName": {"type": "STRING", "required": True}}},
        {"id": "dept", "parentResourceTypeId": "org", "properties": {"costCenter": {"type": "NUMBER"}}},
        {"id": "team", "parentResourceTypeId": "dept"},
        {
            "id": "user",
            "parentResourceTypeId": "team",
            "properties": {"seat": {"type": "ENUM", "values": ["BASIC", "FULL"], "required": True}},
        },
        {"id": "region"},
    ]
}
RESOURCES = {
    "resources": [
        {
            "id": "org-nordwind",
            "resourceTypeId": "org",
            "customerId": "cust-nordwind",
            "properties": {"displayName": "Nordwind AS"},
        },
        {
            "id": "dept-research",
            "resourceTypeId": "dept",
            "parentResourceId": "org-nordwind",
            "properties": {"costCenter": 310},
        },
        {"id": "team-papers", "resourceTypeId": "team", "parentResourceId": "dept-research"},
        {
            "id": "user-ines",
            "resourceTypeId": "user",
            "parentResourceId": "team-papers",
            "properties": {"seat": "BASIC"},
        },
        {
            "id": "user-tomas",
            "resourceTypeId": "user",
            "parentResourceId": "team-papers",
            "properties": {"seat": "FULL"},
        },
        {"id": "nordics", "resourceTypeId": "region", "customerId": "cust-nordwind"},
    ]
}
# Without an enforcementType a limit is HARD.
ALLOCATIONS = {
    "allocations": [
        {"resourceId": "org-nordwind", "creditCurrency": "ai-tokens", "limit": 5000},
        {"resourceId": "dept-research", "creditCurrency": "ai-tokens", "limit": 2000},
        {"resourceId": "user-ines", "creditCurrency": "ai-tokens", "limit": 40},
        {"resourceId": "nordics", "creditCurrency": "ai-tokens", "limit": 3000, "enforcementType": "SOFT"},
    ],
    "rates": [{"eventName": "summary", "creditCurrency": "ai-tokens", "credits": 12}],
}


def write_summary(number: int) -> str:
    """Where a model would be asked."""
    return f"summary {number}"


def main() -> None:
    """Describe, then ask and report until the answer is no."""
    with UsageControl(":memory:") as control:
        applied = control.apply({**RESOURCE_TYPES, **RESOURCES, **ALLOCATIONS})
        print(f"{len(applied.created)} entries were made")

        event = {}
        for number in range(1, 5):
            entitlement = control.check(
                resource_ids=["user-ines", "nordics"], credit_currency="ai-tokens", requested_usage=12
            )
            if not entitlement.has_access:
                print(f"summary {number}: {entitlement.access_denied_reason}: {entitlement}")
                break
            written = write_summary(number)
            event = {
                "customerId": "cust-nordwind",
                "eventName": "summary",
                "idempotencyKey": f"summary-{number}",
                "dimensions": {"user_id": "user-ines", "region": "nordics"},
            }
            receipt = control.report(event)
            print(f"{written}: {entitlement.remaining} left for Ines, written, charged {receipt.charged}")

        again = control.report(event)
        print(f"sent again: {'the same event, charged once' if again.duplicate else 'charged twice!'}")

        for depth, node in control.tree("org-nordwind", "ai-tokens").walk():
            limit = "without a limit" if node.limit is None else f"of {node.limit}"
            print(f"{'  ' * depth + node.resource_id:<18}  {node.used} {limit}")
        print(f"every counter is the sum of its events: {control.verify() == []}")


if __name__ == "__main__":
    main()
