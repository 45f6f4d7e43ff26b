"""Reports: what the ledger tells, in plain form: functions over rows.

Here: the tree of limits, events, the audit, verification. Not here: decisions (decision/),
how rows are read (ledger/).
"""
