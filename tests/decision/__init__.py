"""The decision, without ledger, clock or threads: every numbered rule of its rooms, shown."""
