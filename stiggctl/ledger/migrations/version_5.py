"""Version 5: thresholds of limits and grants, and the warnings that they give.

Never edited once released: a change is another version.

A threshold is a whole number of hundredths of a percent. The indexes of those that have any are empty
in a ledger that has none: so whoever books learns by one look that there is nothing to look for.
"""

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE allocations ADD COLUMN thresholds TEXT NOT NULL DEFAULT '[]'",  # JSON, ascending
    "CREATE INDEX allocations_watched ON allocations (id) WHERE thresholds <> '[]'",
    "ALTER TABLE grants ADD COLUMN thresholds TEXT NOT NULL DEFAULT '[]'",
    "CREATE INDEX grants_watched ON grants (id) WHERE thresholds <> '[]'",
    """
    CREATE TABLE warnings (                       -- each is recorded once, by the key
      id               INTEGER PRIMARY KEY AUTOINCREMENT,
      kind             INTEGER NOT NULL,          -- 0 a threshold was crossed, 1 a grant is about to expire
      allocation       INTEGER NOT NULL,          -- its row; with resource 0 a grant's
      resource         INTEGER NOT NULL,
      window_start_us  INTEGER NOT NULL,          -- of a rolling limit: when its window began then
      threshold        INTEGER NOT NULL,          -- 0 of what expires
      former           INTEGER NOT NULL DEFAULT 0, -- 0: of what the limit counts now; else of what it did
      window_end_us    INTEGER,
      at_us            INTEGER NOT NULL,
      used             INTEGER NOT NULL,
      lim              INTEGER NOT NULL,
      event            INTEGER,                   -- null: no event crossed it, but another limit, say
      customer         INTEGER NOT NULL,
      currency         INTEGER NOT NULL,
      name             TEXT,                      -- the id of the allocation, or of the grant
      cadence          TEXT,                      -- this and what follows: as it was then
      rolling          INTEGER NOT NULL,
      scope            TEXT    NOT NULL,
      teller           INTEGER NOT NULL DEFAULT 0, -- the holder that is about to tell it
      taken_until_us   INTEGER NOT NULL DEFAULT 0, -- until then no other tells it
      told_at_us       INTEGER,                   -- null: no hook has heard of it
      UNIQUE (allocation, resource, window_start_us, threshold, kind, former)
    ) STRICT
    """,
    "CREATE INDEX warnings_time ON warnings (customer, at_us)",
    "CREATE INDEX warnings_untold ON warnings (at_us) WHERE told_at_us IS NULL",
)
