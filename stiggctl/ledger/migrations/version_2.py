"""Version 2: limits with windows, templates and scopes; overrides; rates by dimension and from an instant on.

Never edited once released: a change is another version.

Columns are added where they can be: a table of a million rows is not written anew. What a row of
version 1 says stays as it was: for ever, of one resource, everything counts. An allocation of
resource 0 is a template; one of customer 0, a template for all customers. `cells.closes` was there
and unused: it is the end of a window, null for ever, and the start 0 says nothing of that.

Null differs from null in a unique index, so keys put something else in its place: type 0 and
cadence '' are nothing's, and no instant lies at the end of the integers.
"""

STATEMENTS: tuple[str, ...] = (
    # ---------------------------------------------------------------- allocations
    "ALTER TABLE allocations ADD COLUMN type INTEGER CHECK ((resource = 0) = (type IS NOT NULL))",
    # `where` in the records, which is a word of SQL: JSON, {property: [values as text]}.
    "ALTER TABLE allocations ADD COLUMN matching TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE allocations ADD COLUMN cadence TEXT",
    "ALTER TABLE allocations ADD COLUMN timezone TEXT NOT NULL DEFAULT 'UTC'",
    "ALTER TABLE allocations ADD COLUMN anchor_us INTEGER",
    "ALTER TABLE allocations ADD COLUMN rolling INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE allocations ADD COLUMN scope TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE allocations ADD COLUMN effective_at_us INTEGER",
    "ALTER TABLE allocations ADD COLUMN expires_at_us INTEGER",
    "DROP INDEX allocations_unnamed",
    """
    CREATE UNIQUE INDEX allocations_unnamed ON allocations
           (customer, resource, ifnull(type, 0), matching, currency, scope, rolling, ifnull(cadence, ''))
     WHERE allocation_id IS NULL
    """,
    "CREATE INDEX allocations_templates ON allocations (customer) WHERE resource = 0",
    "CREATE INDEX allocations_scoped ON allocations (customer, scope) WHERE scope <> '{}'",
    # Of a template with a year of windows, a new limit concerns those that are not over.
    "CREATE INDEX cells_closes ON cells (allocation, closes)",
    # ---------------------------------------------------------------- overrides
    """
    CREATE TABLE overrides (
      id              INTEGER PRIMARY KEY AUTOINCREMENT,
      customer        INTEGER NOT NULL,
      resource        INTEGER NOT NULL,
      currency        INTEGER NOT NULL,
      cadence         TEXT,                 -- of the limits that it changes; null: of whatever cadence
      scope           TEXT    NOT NULL,     -- theirs
      lim             INTEGER,              -- either another limit,
      add_units       INTEGER,              -- or so much more
      reason          TEXT,
      actor           TEXT,
      effective_at_us INTEGER,
      expires_at_us   INTEGER NOT NULL,
      CHECK ((lim IS NULL) <> (add_units IS NULL))
    ) STRICT
    """,
    """
    CREATE UNIQUE INDEX overrides_key ON overrides
           (resource, currency, scope, ifnull(cadence, ''), ifnull(effective_at_us, -9223372036854775808))
    """,
    "CREATE INDEX overrides_customer ON overrides (customer)",
    # ---------------------------------------------------------------- rates
    "ALTER TABLE rates ADD COLUMN matching TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE rates ADD COLUMN effective_at_us INTEGER",
    "DROP INDEX rates_live",
    """
    CREATE UNIQUE INDEX rates_live ON rates
           (event_name, customer, currency, matching, ifnull(effective_at_us, -9223372036854775808))
     WHERE retired_at_us IS NULL
    """,
)
