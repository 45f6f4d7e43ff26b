"""Version 7: denials that are kept, to be explained.

Never edited once released: a change is another version.

A row stands for one denial, or for as many of the same request with the same numbers as came soon after
each other.
"""

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE denials (
      id           INTEGER PRIMARY KEY AUTOINCREMENT,
      customer     INTEGER NOT NULL,        -- 0: nobody knows whose
      decision_id  TEXT    NOT NULL UNIQUE, -- of the first
      other_ids    TEXT    NOT NULL,        -- JSON: [id, instant] of the others, as many as are kept
      first_at_us  INTEGER NOT NULL,
      last_at_us   INTEGER NOT NULL,
      times        INTEGER NOT NULL,
      verb         TEXT    NOT NULL,
      reason       TEXT    NOT NULL,
      resource_ids TEXT    NOT NULL,        -- JSON: those that were named, in their order
      dimensions   TEXT    NOT NULL,        -- JSON
      event_name   TEXT,
      decision     TEXT    NOT NULL,        -- JSON: what was asked, and its numbers (answers/kept.py)
      kind         INTEGER NOT NULL         -- a digest of verb to decision, to find the same by; 0: erased
    ) STRICT
    """,
    "CREATE INDEX denials_time ON denials (last_at_us)",
    "CREATE INDEX denials_kind ON denials (kind, first_at_us)",
    "ALTER TABLE ledger ADD COLUMN denials_dropped INTEGER NOT NULL DEFAULT 0",
)
