"""Version 1: the tables of usage, the tables of the model, and a view for people.

Never edited once released: a change is another version.

Usage and configuration share no table (L5). All amounts are integers of the currency's
smallest unit, all instants microseconds since 1970 in UTC. Rows that others name by number
(holders, cells, resources, allocations, types) take their ids from AUTOINCREMENT, so an id
is never used twice: what names a cell that has gone must find none, not another's.
"""

STATEMENTS: tuple[str, ...] = (
    # ---------------------------------------------------------------- the ledger itself
    """
    CREATE TABLE ledger (              -- one row; a copy of the file has the same id
      id             TEXT PRIMARY KEY,
      schema_version INTEGER NOT NULL,
      model_version  INTEGER NOT NULL,
      change         INTEGER NOT NULL, -- raised by every change of the model
      created_at_us  INTEGER NOT NULL
    ) STRICT
    """,
    # ---------------------------------------------------------------- usage
    """
    CREATE TABLE holders (
      id          INTEGER PRIMARY KEY AUTOINCREMENT,
      name        TEXT    NOT NULL UNIQUE,    -- names its lock file and its page
      host        TEXT    NOT NULL,
      boot        TEXT    NOT NULL,
      pid         INTEGER NOT NULL,
      lock_inode  INTEGER NOT NULL,
      state       INTEGER NOT NULL DEFAULT 0, -- 0 lives, 1 is buried
      ttl_max_ms  INTEGER NOT NULL,
      lease_until INTEGER                     -- in a fleet only
    ) STRICT
    """,
    "CREATE INDEX holders_live ON holders (id) WHERE state = 0",
    """
    CREATE TABLE cells (
      id              INTEGER PRIMARY KEY AUTOINCREMENT,
      allocation      INTEGER NOT NULL,
      resource        INTEGER NOT NULL,
      window_start_us INTEGER NOT NULL,           -- 0: for ever
      lim             INTEGER NOT NULL,
      used            INTEGER NOT NULL DEFAULT 0, -- the sum of its events
      granted         INTEGER NOT NULL DEFAULT 0, -- the sum of its shares
      hush_until      INTEGER NOT NULL DEFAULT 0, -- until then a draw carries no surplus
      opens           INTEGER,
      closes          INTEGER,
      UNIQUE (allocation, resource, window_start_us)
    ) STRICT
    """,
    """
    CREATE TABLE seen (          -- the last `ledger.change` that a holder obeys
      holder  INTEGER PRIMARY KEY,
      version INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE shares (                  -- the columns of the key first, or quick_check complains
      cell     INTEGER NOT NULL,           --   of all others in a table without rowid (SQLite 3.40)
      holder   INTEGER NOT NULL,
      until_us INTEGER NOT NULL DEFAULT 0, -- 0: the holder lives; else when a dead one's holds end
      granted  INTEGER NOT NULL CHECK (granted >= 0),
      exact    INTEGER NOT NULL,           -- 1: it carries no surplus
      PRIMARY KEY (cell, holder, until_us)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX shares_holder ON shares (holder)",
    """
    CREATE TABLE events (                   -- one row a currency; part 0 always exists
      id             INTEGER PRIMARY KEY,
      customer       INTEGER NOT NULL,
      namespace      INTEGER NOT NULL,      -- 0 keys of users, 1 ours
      key            TEXT    NOT NULL,
      part           INTEGER NOT NULL DEFAULT 0,
      currency       INTEGER NOT NULL,
      amount_units   INTEGER NOT NULL,
      overage_units  INTEGER NOT NULL,
      path           INTEGER NOT NULL,
      event_name     TEXT,
      dimensions     TEXT    NOT NULL,
      occurred_at_us INTEGER NOT NULL,
      booked_at_us   INTEGER NOT NULL,
      reservation    TEXT,
      reverses       INTEGER,
      rate           INTEGER,
      flags          INTEGER NOT NULL DEFAULT 0, -- 1 late, 2 expired, 4 estimated, 8 unbacked
      unattributed   TEXT,
      fingerprint    BLOB    NOT NULL,
      UNIQUE (customer, namespace, key, part)
    ) STRICT
    """,
    # The columns after the instant make sums over a customer's events a walk over the index
    # alone (a million take 0.07 s); an index by path instead would cost every booking a page.
    "CREATE INDEX events_time ON events (customer, occurred_at_us, path, currency, amount_units)",
    "CREATE INDEX events_reversal ON events (reverses) WHERE reverses IS NOT NULL",
    """
    CREATE TABLE paths (
      id       INTEGER PRIMARY KEY,
      customer INTEGER NOT NULL,
      members  BLOB    NOT NULL,      -- row ids of resources, sorted, 8 bytes each, big end first
      UNIQUE (customer, members)
    ) STRICT
    """,
    """
    CREATE TABLE path_resources (     -- what a path named, and its ancestors, as they were
      resource INTEGER NOT NULL,
      path     INTEGER NOT NULL,
      PRIMARY KEY (resource, path)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE event_grants (       -- how an event drained the pool
      event    INTEGER NOT NULL,
      grant_id INTEGER NOT NULL,
      amount   INTEGER NOT NULL,
      PRIMARY KEY (event, grant_id)
    ) STRICT, WITHOUT ROWID
    """,
    # ---------------------------------------------------------------- the model
    """
    CREATE TABLE customers (
      id             INTEGER PRIMARY KEY AUTOINCREMENT,
      customer_id    TEXT    NOT NULL UNIQUE,
      name           TEXT,
      model_version  INTEGER NOT NULL DEFAULT 1,
      archived_at_us INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE currencies (
      id          INTEGER PRIMARY KEY AUTOINCREMENT,
      currency_id TEXT    NOT NULL UNIQUE,
      name        TEXT,
      decimals    INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE resource_types (
      id               INTEGER PRIMARY KEY AUTOINCREMENT,
      customer         INTEGER NOT NULL DEFAULT 0, -- 0: for all
      type_id          TEXT    NOT NULL,
      name             TEXT,
      parent_type_id   TEXT,
      attribution_keys TEXT    NOT NULL,           -- JSON
      properties       TEXT    NOT NULL,           -- JSON
      UNIQUE (customer, type_id)
    ) STRICT
    """,
    """
    CREATE TABLE resources (
      id             INTEGER PRIMARY KEY AUTOINCREMENT,
      customer       INTEGER NOT NULL,
      resource_id    TEXT    NOT NULL,
      type           INTEGER NOT NULL,
      parent         INTEGER,
      name           TEXT,
      properties     TEXT    NOT NULL,             -- JSON
      archived_at_us INTEGER,
      suspension     TEXT,                         -- JSON
      UNIQUE (customer, resource_id)
    ) STRICT
    """,
    "CREATE INDEX resources_id ON resources (resource_id)",
    "CREATE INDEX resources_parent ON resources (parent)",
    "CREATE INDEX resources_type ON resources (type)",
    """
    CREATE TABLE allocations (
      id            INTEGER PRIMARY KEY AUTOINCREMENT,
      customer      INTEGER NOT NULL,
      allocation_id TEXT,
      resource      INTEGER NOT NULL,
      currency      INTEGER NOT NULL,
      lim           INTEGER NOT NULL,
      enforcement   TEXT    NOT NULL,
      UNIQUE (customer, allocation_id)
    ) STRICT
    """,
    """
    CREATE UNIQUE INDEX allocations_unnamed ON allocations (resource, currency)
     WHERE allocation_id IS NULL
    """,
    "CREATE INDEX allocations_resource ON allocations (resource)",
    """
    CREATE TABLE rates (
      id            INTEGER PRIMARY KEY AUTOINCREMENT,
      customer      INTEGER NOT NULL DEFAULT 0,    -- 0: for all
      event_name    TEXT    NOT NULL,
      currency      INTEGER NOT NULL,
      credits       TEXT    NOT NULL,              -- a decimal number
      terms         TEXT    NOT NULL,              -- JSON
      retired_at_us INTEGER
    ) STRICT
    """,
    """
    CREATE UNIQUE INDEX rates_live ON rates (event_name, customer, currency)
     WHERE retired_at_us IS NULL
    """,
    """
    CREATE TABLE audit (
      id          INTEGER PRIMARY KEY,
      at_us       INTEGER NOT NULL,
      customer_id TEXT,                            -- null: for all
      actor       TEXT,
      reason      TEXT,
      verb        TEXT    NOT NULL,
      subject     TEXT    NOT NULL,
      before      TEXT,                            -- JSON
      after       TEXT                             -- JSON
    ) STRICT
    """,
    "CREATE INDEX audit_customer ON audit (customer_id)",
    # ---------------------------------------------------------------- for people
    """
    CREATE VIEW usage AS
    SELECT e.id                                              AS event,
           customers.customer_id                             AS customer_id,
           e.event_name                                      AS event_name,
           currencies.currency_id                            AS credit_currency,
           CASE currencies.decimals WHEN 0 THEN e.amount_units
                ELSE e.amount_units / CAST('1e' || currencies.decimals AS REAL) END AS amount,
           CASE currencies.decimals WHEN 0 THEN e.overage_units
                ELSE e.overage_units / CAST('1e' || currencies.decimals AS REAL) END AS overage,
           strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_at_us / 1e6, 'unixepoch') AS occurred_at,
           strftime('%Y-%m-%dT%H:%M:%fZ', e.booked_at_us / 1e6, 'unixepoch')   AS booked_at,
           (SELECT json_group_array(resources.resource_id)
              FROM path_resources JOIN resources ON resources.id = path_resources.resource
             WHERE path_resources.path = e.path)             AS resource_ids,
           e.dimensions                                      AS dimensions,
           CASE e.namespace WHEN 0 THEN e.key END            AS idempotency_key,
           e.reverses                                        AS reverses
      FROM events AS e
      LEFT JOIN customers ON customers.id = e.customer
      LEFT JOIN currencies ON currencies.id = e.currency
    """,
)
