"""Version 3: grants, and what they paid; contract prices; rolling windows in buckets.

Never edited once released: a change is another version.

A grant's cell has resource 0 and, as its allocation, the grant's row. `event_grants` was there and
unused: it is made anew with the key by which it is summed. A rolling limit has one cell: `opens` is
from when on it counts, and its buckets stand beside it, so that it can move on without a walk over
the events that leave.
"""

STATEMENTS: tuple[str, ...] = (
    # ---------------------------------------------------------------- grants
    """
    CREATE TABLE grants (
      id              INTEGER PRIMARY KEY AUTOINCREMENT,
      customer        INTEGER NOT NULL,
      grant_id        TEXT    NOT NULL,
      currency        INTEGER NOT NULL,
      amount_units    INTEGER NOT NULL,     -- of a recurring one: in each window
      priority        INTEGER NOT NULL,     -- a lower one burns first
      kind            TEXT    NOT NULL CHECK (kind IN ('PAID', 'PROMOTIONAL')),
      effective_at_us INTEGER,
      expires_at_us   INTEGER,
      cadence         TEXT,                 -- a fresh amount in each window; null: it does not recur
      timezone        TEXT    NOT NULL DEFAULT 'UTC',
      anchor_us       INTEGER,
      voided_at_us    INTEGER,
      UNIQUE (customer, grant_id)
    ) STRICT
    """,
    "CREATE INDEX grants_currency ON grants (customer, currency)",
    "DROP TABLE event_grants",
    """
    CREATE TABLE event_grants (             -- how the parts of events drained the pool
      grant_id INTEGER NOT NULL,            -- the grant's row
      event    INTEGER NOT NULL,            -- the row of the part
      amount   INTEGER NOT NULL,
      PRIMARY KEY (grant_id, event)
    ) STRICT, WITHOUT ROWID
    """,
    # ---------------------------------------------------------------- prices
    """
    CREATE TABLE prices (
      id              INTEGER PRIMARY KEY AUTOINCREMENT,
      customer        INTEGER NOT NULL DEFAULT 0,    -- 0: for all
      provider        TEXT,                          -- null: whoever serves it
      model           TEXT    NOT NULL,              -- a name, or a pattern
      per_million     TEXT    NOT NULL,              -- JSON
      each            TEXT    NOT NULL,              -- JSON
      effective_at_us INTEGER,
      expires_at_us   INTEGER,
      retired_at_us   INTEGER
    ) STRICT
    """,
    """
    CREATE UNIQUE INDEX prices_live ON prices
           (customer, model, ifnull(provider, ''), ifnull(effective_at_us, -9223372036854775808))
     WHERE retired_at_us IS NULL
    """,
    # ---------------------------------------------------------------- overrides
    # One without a beginning begins then: it says nothing of windows that were over. Null: long ago.
    "ALTER TABLE overrides ADD COLUMN put_at_us INTEGER",
    # ---------------------------------------------------------------- rolling windows
    "ALTER TABLE cells ADD COLUMN width_us INTEGER",  # of a bucket; null: it does not roll
    """
    CREATE TABLE buckets (
      cell     INTEGER NOT NULL,
      start_us INTEGER NOT NULL,
      used     INTEGER NOT NULL,
      PRIMARY KEY (cell, start_us)
    ) STRICT, WITHOUT ROWID
    """,
)
