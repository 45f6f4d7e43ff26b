"""The contract of a ledger: what ledger.Ledger and ledger.Reader promise, whatever keeps the rows."""
