"""Reports: what the ledger tells, in plain form: functions over rows.

Here: the tree of limits, usage and its totals, grants, events. Not here: decisions (decision/), how rows
are read (ledger/).
"""
