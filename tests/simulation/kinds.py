"""Kinds of things that happen in a run, and must: what never takes place is not shown to be safe.

Here: their names, as `Host.seen` counts them. Not here: how they come about (fates.py, callers.py, host.py).
"""

#: In a fifth of the seeds or more: thirty seeds have each of them.
KINDS = frozenset(
    {
        "calls of a closed control",
        "carl: limit",
        "carl: move",
        "carl: none",
        "carl: window",
        "checks",
        "clock set back",
        "clock set forward",
        "closes",
        "deaths",
        "deaths after enlist",
        "deaths before enlist",
        "deaths that hold something",
        "deaths with an exchange under way",
        "denied for BUDGET_EXCEEDED",
        "denied for INSUFFICIENT_CREDITS",
        "denied for LEDGER_UNAVAILABLE",
        "duplicate receipts",
        "exchanges of an old model",
        "expired receipts",
        "extensions",
        "forks",
        "hours that began",
        "ledger calls of unknown outcome",
        "ledger calls that failed",
        "limits lowered",
        "limits raised",
        "named for not having seen a change",
        "overrides",
        "page records written word by word",
        "processes stopped",
        "processes stopped longer than their ttl",
        "quiet ends in company",
        "receipts with an overage",
        "releases",
        "reservations",
        "settles in a forked child",
        "slow ledger calls",
        "steps of two that recall at once",
        "threads stopped",
    }
)
#: Seldom: in CI's seeds all the same.
RARE = frozenset(
    {
        "buckets that left a rolling window",
        "deaths after a record was cleared",
        "deaths after bury",
        "deaths after change_model",
        "deaths after exchange",
        "deaths after obey",
        "deaths after open_cells",
        "deaths before exchange",
        "deaths in a settle",
        "deaths in the middle of a page record",
        "denied for SHARE_UNAVAILABLE",
        "grants added",
        "grants that ended under a hold",
        "grants voided",
        "grants voided under a hold",
        "late receipts",
        "overrides that ended",
        "two that want what the other has",
        "unbacked receipts",
    }
)
