-- The statements of the SQLite ledger. Each is named; its comment gives the rule that it keeps
-- and what "no row" means. `now` is always a parameter.
--
-- Packed: the row after VALUES is repeated, 2, 4, 8 … times (sqlite/statements.py), because each
-- step of a statement gives up the GIL, and getting it back may take milliseconds. For the same
-- reason many rows come back as one JSON array. Neither RETURNING nor UPDATE … FROM nor a list
-- after IN stands on the path of a booking: each builds a table in memory first, which takes
-- longer (30 to 100 µs) than all else that a booking does.

-- ================================================================ usage: the exchange

-- name: guard
-- May this holder write, and what for? Always one row; `state` null: no such holder (Fenced). `watched`:
-- whether anything has thresholds; else nobody looks for one.
SELECT ledger.change,
       (SELECT state FROM holders WHERE id = :holder) AS state,
       (SELECT count(*) FROM holders WHERE state = 0) AS alive,
       EXISTS (SELECT 1 FROM allocations WHERE thresholds <> '[]')
       OR EXISTS (SELECT 1 FROM grants WHERE thresholds <> '[]') AS watched
  FROM ledger;

-- name: numbers
-- The cells of those ids as one holder sees them. One that is missing has been closed.
-- Always one row.
SELECT json_group_array(json_array(
         c.id, c.allocation, c.resource, c.window_start_us, c.lim, c.used, c.granted, c.hush_until,
         coalesce(s.granted, 0), coalesce(s.exact, 1),
         json((SELECT json_group_array(json_array(o.granted, o.until_us))
                 FROM shares AS o WHERE o.cell = c.id AND o.until_us > 0)),
         c.opens, c.width_us,
         (SELECT coalesce(sum(o.granted), 0) FROM shares AS o
           WHERE o.cell = c.id AND o.until_us = 0 AND o.exact = 0 AND o.holder <> :holder)))
  FROM json_each(:cells) AS asked
  JOIN cells AS c ON c.id = asked.value
  LEFT JOIN shares AS s ON s.cell = c.id AND s.holder = :holder AND s.until_us = 0;

-- name: append_events
-- Packed. As many rows changed as were given: all keys were new, and the ids are consecutive.
-- Fewer: some key was taken, by an earlier event or within the batch; the transaction is then
-- rolled back and done again with care. The unique index decides, so two processes cannot both
-- be first.
INSERT OR IGNORE INTO events (customer, namespace, key, part, currency, amount_units, overage_units, path,
                              event_name, dimensions, occurred_at_us, booked_at_us, reservation, reverses,
                              rate, flags, unattributed, fingerprint)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: set_cells
-- Packed. Each row is there (`numbers` read it in this transaction, or nobody wrote since), so
-- each conflicts and is an update by id: the one form of a packed update that needs no table
-- in memory.
INSERT INTO cells (id, allocation, resource, window_start_us, lim, used, granted)
VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET used = excluded.used, granted = excluded.granted;

-- name: set_shares
-- Packed. The shares of a living holder. The table refuses a negative one.
INSERT INTO shares (cell, holder, granted, exact)
VALUES (?, ?, ?, ?)
    ON CONFLICT (cell, holder, until_us) DO UPDATE SET granted = excluded.granted, exact = excluded.exact;

-- name: append_payments
-- Packed. What a grant paid of a part, once each: the parts are new in this transaction.
INSERT INTO event_grants (grant_id, event, amount) VALUES (?, ?, ?);

-- name: add_to_buckets
-- Packed. What a batch adds to the buckets of rolling cells.
INSERT INTO buckets (cell, start_us, used)
VALUES (?, ?, ?)
    ON CONFLICT (cell, start_us) DO UPDATE SET used = buckets.used + excluded.used;

-- name: buckets_of
-- Of those cells, oldest first. Always one row; a cell without any is not in it.
SELECT json_group_array(json_array(b.cell, b.start_us, b.used))
  FROM json_each(:cells) AS asked JOIN buckets AS b ON b.cell = asked.value;

-- name: hush_cells
-- Until then a draw carries no surplus. Never shortens.
UPDATE cells SET hush_until = max(hush_until, :until_us)
 WHERE id IN (SELECT value FROM json_each(:cells));

-- name: drop_ended_orphans
-- What dead holders held, once their reservations have ended. `cells.granted` follows in the
-- same transaction (`set_cells`).
DELETE FROM shares WHERE cell = :cell AND until_us > 0 AND until_us <= :now_us;

-- name: path_of
-- No row: nobody took this path yet.
SELECT id FROM paths WHERE customer = :customer AND members = :members;

-- name: append_path
-- Only after `path_of` found none, in the same transaction.
INSERT INTO paths (customer, members) VALUES (:customer, :members);

-- name: append_path_resources
-- What the path named and all ancestors, as they are now.
INSERT INTO path_resources (resource, path) SELECT value, :path FROM json_each(:members);

-- ================================================================ usage: cells

-- name: cells_by_key
-- Cells by allocation, resource and window. One that is missing: no such allocation, or no such
-- resource. `id` null: not open yet. The customer is the resource's: a template may be for all.
-- Buckets are null of a cell that does not roll. Always one row.
SELECT json_group_array(json_array(
         a.id, r.id, json_extract(asked.value, '$[2]'), r.customer, a.currency,
         c.id, c.closes, c.lim, c.used, c.granted, coalesce(s.granted, 0), coalesce(s.exact, 1),
         json((SELECT json_group_array(json_array(o.granted, o.until_us))
                 FROM shares AS o WHERE o.cell = c.id AND o.until_us > 0)),
         c.opens, c.width_us,
         CASE WHEN c.width_us IS NOT NULL
              THEN json((SELECT json_group_array(json_array(b.start_us, b.used))
                           FROM buckets AS b WHERE b.cell = c.id)) END,
         (SELECT coalesce(sum(o.granted), 0) FROM shares AS o
           WHERE o.cell = c.id AND o.until_us = 0 AND o.exact = 0 AND o.holder <> :holder)))
  FROM json_each(:keys) AS asked
  JOIN allocations AS a ON a.id = json_extract(asked.value, '$[0]')
  JOIN resources AS r ON r.id = json_extract(asked.value, '$[1]')
  LEFT JOIN cells AS c
    ON c.allocation = a.id AND c.resource = r.id AND c.window_start_us = json_extract(asked.value, '$[2]')
  LEFT JOIN shares AS s ON s.cell = c.id AND s.holder = :holder AND s.until_us = 0;

-- name: cells_of_grants_by_key
-- The same of grants, whose cells have no resource. One that is missing: no such grant.
SELECT json_group_array(json_array(
         g.id, 0, json_extract(asked.value, '$[2]'), g.customer, g.currency,
         c.id, c.closes, c.lim, c.used, c.granted, coalesce(s.granted, 0), coalesce(s.exact, 1),
         json((SELECT json_group_array(json_array(o.granted, o.until_us))
                 FROM shares AS o WHERE o.cell = c.id AND o.until_us > 0)),
         NULL, NULL, NULL,
         (SELECT coalesce(sum(o.granted), 0) FROM shares AS o
           WHERE o.cell = c.id AND o.until_us = 0 AND o.exact = 0 AND o.holder <> :holder)))
  FROM json_each(:keys) AS asked
  JOIN grants AS g ON g.id = json_extract(asked.value, '$[0]')
  LEFT JOIN cells AS c
    ON c.allocation = g.id AND c.resource = 0 AND c.window_start_us = json_extract(asked.value, '$[2]')
  LEFT JOIN shares AS s ON s.cell = c.id AND s.holder = :holder AND s.until_us = 0;

-- name: open_cell
-- `used` is the sum of its events; nothing is granted. It is not open: `cells_by_key` said so in
-- this transaction.
INSERT INTO cells (allocation, resource, window_start_us, closes, opens, width_us, lim, used)
VALUES (:allocation, :resource, :window_start_us, :window_end_us, :opens_us, :width_us, :limit_units, :used);

-- name: move_cell
-- Of an open cell that counts another time than it did: a zone's rules moved the end of its window, or
-- a rolling one moves on, or back with the clock. What is granted stays.
UPDATE cells SET closes = :window_end_us, opens = :opens_us, width_us = :width_us, used = :used
 WHERE id = :cell;

-- name: drop_buckets
-- Of one rolling cell, those that begin before it opens.
DELETE FROM buckets WHERE cell = :cell AND start_us < :until_us;

-- name: put_buckets
-- Of one cell that has none of these: [[start, units], …].
INSERT INTO buckets (cell, start_us, used)
SELECT :cell, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:buckets);

-- name: set_limit_of_cell
-- Of one open cell: an override began or ended. Where less is left than was granted already,
-- nobody draws a surplus for a while.
UPDATE cells
   SET lim = :limit_units,
       hush_until = CASE WHEN granted > 0 AND used + granted > :limit_units
                         THEN max(hush_until, :hush_until) ELSE hush_until END
 WHERE id = :cell;

-- name: last_event
-- Null: there is none.
SELECT max(id) FROM events;

-- name: used_until
-- The sum of a resource's events in a currency and a window, up to an event, in two halves: what
-- nobody limited has no bound, and may be more than 64 bits hold. A walk over a part of an index,
-- and none where the resource never was on a path. Null: no events.
SELECT sum(amount_units >> 32), sum(amount_units & 0xffffffff)
  FROM events
 WHERE EXISTS (SELECT 1 FROM path_resources WHERE resource = :resource)
   AND customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
   AND currency = :currency AND id <= :last_event
   AND path IN (SELECT path FROM path_resources WHERE resource = :resource);

-- name: instant_after
-- When the event took place that comes so many after the first of those that `used_until` would
-- sum. No row: there are not so many.
SELECT occurred_at_us
  FROM events
 WHERE EXISTS (SELECT 1 FROM path_resources WHERE resource = :resource)
   AND customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
   AND currency = :currency AND id <= :last_event
   AND EXISTS (SELECT 1 FROM path_resources AS r WHERE r.resource = :resource AND r.path = events.path)
 ORDER BY occurred_at_us LIMIT 1 OFFSET :events;

-- name: used_until_by_bucket
-- What `used_until` sums, apart for each bucket of so many microseconds. Always one row.
SELECT json_group_array(json_array('', start_us, high, low))
  FROM (SELECT occurred_at_us - (occurred_at_us % :width_us + :width_us) % :width_us AS start_us,
               sum(amount_units >> 32) AS high, sum(amount_units & 0xffffffff) AS low
          FROM events
         WHERE EXISTS (SELECT 1 FROM path_resources WHERE resource = :resource)
           AND customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
           AND currency = :currency AND id <= :last_event
           AND path IN (SELECT path FROM path_resources WHERE resource = :resource)
         GROUP BY start_us);

-- name: used_until_by_dimensions
-- The same, apart for each text of dimensions too; with width 0 there is one bucket. Always one row; as
-- many in it as there are such texts, so of a part of a window that has few events (`instant_after`).
SELECT json_group_array(json_array(dimensions, start_us, high, low))
  FROM (SELECT dimensions, sum(amount_units >> 32) AS high, sum(amount_units & 0xffffffff) AS low,
               CASE :width_us WHEN 0 THEN 0
                    ELSE occurred_at_us - (occurred_at_us % :width_us + :width_us) % :width_us END AS start_us
          FROM events
         WHERE customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
           AND currency = :currency AND id <= :last_event
           AND EXISTS (SELECT 1 FROM path_resources AS r
                        WHERE r.resource = :resource AND r.path = events.path)
         GROUP BY dimensions, start_us);

-- name: used_since
-- The same over what came after an event, up to another one: few rows, by their ids. Not `path IN`:
-- that would list all paths of the resource first, and the root of a tree may have a million.
SELECT sum(amount_units >> 32), sum(amount_units & 0xffffffff)
  FROM events
 WHERE id > :first_event AND id <= :last_event AND +customer = :customer AND currency = :currency
   AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
   AND EXISTS (SELECT 1 FROM path_resources AS r WHERE r.resource = :resource AND r.path = events.path);

-- name: used_since_by_dimensions
-- What `used_since` sums, apart for each text of dimensions and bucket, as `used_until_by_dimensions`
-- has it. Always one row.
SELECT json_group_array(json_array(dimensions, start_us, high, low))
  FROM (SELECT dimensions, sum(amount_units >> 32) AS high, sum(amount_units & 0xffffffff) AS low,
               CASE :width_us WHEN 0 THEN 0
                    ELSE occurred_at_us - (occurred_at_us % :width_us + :width_us) % :width_us END AS start_us
          FROM events
         WHERE id > :first_event AND id <= :last_event AND +customer = :customer AND currency = :currency
           AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
           AND EXISTS (SELECT 1 FROM path_resources AS r
                        WHERE r.resource = :resource AND r.path = events.path)
         GROUP BY dimensions, start_us);

-- name: paid_until
-- What a grant paid, up to an event, in two halves as in `used_until`. Null: nothing.
SELECT sum(amount >> 32), sum(amount & 0xffffffff)
  FROM event_grants
 WHERE grant_id = :grant AND event <= :last_event;

-- name: paid_in_window_until
-- The same of the events of a window: a walk over the events in it, not over all that it ever paid.
SELECT sum(p.amount >> 32), sum(p.amount & 0xffffffff)
  FROM events AS e CROSS JOIN event_grants AS p ON p.grant_id = :grant AND p.event = e.id
 WHERE e.customer = :customer AND e.occurred_at_us >= :since_us AND e.occurred_at_us < :until_us
   AND e.id <= :last_event;

-- name: paid_since
-- The same of events after one, up to another: few rows, by their ids.
SELECT sum(p.amount >> 32), sum(p.amount & 0xffffffff)
  FROM event_grants AS p CROSS JOIN events AS e ON e.id = p.event
 WHERE p.grant_id = :grant AND p.event > :first_event AND p.event <= :last_event
   AND e.occurred_at_us >= :since_us AND e.occurred_at_us < :until_us;

-- name: used_under
-- What all events under some resources sum to, in two halves of the bits as in `used_until`.
-- A resource without a row has none.
WITH by_path AS MATERIALIZED (
       SELECT path, sum(amount_units >> 32) AS high, sum(amount_units & 0xffffffff) AS low
         FROM events WHERE customer = :customer AND currency = :currency GROUP BY path)
SELECT r.resource, sum(high), sum(low)
  FROM by_path CROSS JOIN path_resources AS r ON r.path = by_path.path
 WHERE r.resource IN (SELECT value FROM json_each(:resources))
 GROUP BY r.resource;

-- ================================================================ usage: holders

-- name: live_holders
-- No row: nobody has this ledger.
SELECT h.id, h.name, h.host, h.boot, h.pid, h.lock_inode, h.state, h.ttl_max_ms, coalesce(s.version, 0)
  FROM holders AS h LEFT JOIN seen AS s ON s.holder = h.id
 WHERE h.state = 0
 ORDER BY h.id;

-- name: enlist
-- Only where `live_holders` gave nobody that is unknown to who enlists, in the same transaction.
INSERT INTO holders (name, host, boot, pid, lock_inode, ttl_max_ms)
VALUES (:name, :host, :boot, :pid, :lock_inode, :ttl_max_ms);

-- name: obey
-- The last change of the model by which a living holder decides. No row changed: it is buried, or
-- never enlisted (Fenced). Never falls.
INSERT INTO seen (holder, version)
SELECT id, :change FROM holders WHERE id = :holder AND state = 0
    ON CONFLICT (holder) DO UPDATE SET version = max(seen.version, excluded.version);

-- name: forget_seen
-- Who is buried decides by nothing any more.
DELETE FROM seen WHERE holder = :holder;

-- name: recalled
-- Cells of which somebody wants what others have to spare, and a holder has a share that may carry some.
-- The few that are recalled now are found by `cells_recalled`, however many shares it has. No row: none.
SELECT c.id, s.granted,
       CASE c.resource WHEN 0 THEN (SELECT customer FROM grants WHERE id = c.allocation)
                       ELSE (SELECT customer FROM resources WHERE id = c.resource) END
  FROM cells AS c INDEXED BY cells_recalled
  JOIN shares AS s ON s.cell = c.id AND s.holder = :holder AND s.until_us = 0
 WHERE c.hush_until > 0 AND c.hush_until > :now_us AND s.exact = 0 AND s.granted > 0
 ORDER BY c.id;

-- name: holdings
-- All that holders that are not buried were granted, and of what; a cell whose names are gone is left out.
SELECT s.holder, c.id, u.customer_id, r.resource_id, NULL, m.currency_id, m.decimals, c.window_start_us,
       s.granted, s.exact
  FROM shares AS s
  JOIN cells AS c ON c.id = s.cell AND c.resource > 0
  JOIN resources AS r ON r.id = c.resource
  JOIN customers AS u ON u.id = r.customer
  JOIN allocations AS a ON a.id = c.allocation
  JOIN currencies AS m ON m.id = a.currency
 WHERE s.until_us = 0 AND s.granted > 0
 UNION ALL
SELECT s.holder, c.id, u.customer_id, NULL, g.grant_id, m.currency_id, m.decimals, c.window_start_us,
       s.granted, s.exact
  FROM shares AS s
  JOIN cells AS c ON c.id = s.cell AND c.resource = 0
  JOIN grants AS g ON g.id = c.allocation
  JOIN customers AS u ON u.id = g.customer
  JOIN currencies AS m ON m.id = g.currency
 WHERE s.until_us = 0 AND s.granted > 0
 ORDER BY 1, 2;

-- name: fullest_cells
-- Of the open cells of resources those of which the largest part is used, or held as `held` says
-- ({cell: units}): customer and resource, the fullest first, at most so many. Only roughly in that order: in
-- millionths, by the limit as the cell has it. Who asks reckons exactly.
WITH held AS MATERIALIZED (SELECT CAST(key AS INTEGER) AS cell, value AS units FROM json_each(:held)),
     fullest AS (SELECT c.id, c.resource,
                        (c.used + coalesce(h.units, 0)) * 1000000 / max(c.lim, 1) AS part
                   FROM cells AS c LEFT JOIN held AS h ON h.cell = c.id
                  WHERE c.resource > 0 AND c.used + coalesce(h.units, 0) > 0
                    AND c.window_start_us <= :now_us AND (c.closes IS NULL OR c.closes > :now_us)
                  ORDER BY part DESC, c.id
                  LIMIT :most)
SELECT r.customer, f.resource
  FROM fullest AS f JOIN resources AS r ON r.id = f.resource
 ORDER BY f.part DESC, f.id;

-- name: fullest_pools
-- The same of pools: customers, by the grants of a currency that are open, as far as they have cells.
WITH held AS MATERIALIZED (SELECT CAST(key AS INTEGER) AS cell, value AS units FROM json_each(:held))
SELECT g.customer
  FROM cells AS c JOIN grants AS g ON g.id = c.allocation LEFT JOIN held AS h ON h.cell = c.id
 WHERE c.resource = 0 AND (c.closes IS NULL OR c.closes > :now_us)
 GROUP BY g.customer, g.currency
HAVING sum(c.used) + sum(coalesce(h.units, 0)) > 0
 ORDER BY (sum(c.used) + sum(coalesce(h.units, 0))) * 1000000 / max(sum(c.lim), 1) DESC, g.customer
 LIMIT :most;

-- name: shares_in
-- What living holders other than one were granted of some cells. No row: nothing.
SELECT s.cell, s.holder, s.granted, s.exact
  FROM json_each(:cells) AS asked
  JOIN shares AS s ON s.cell = asked.value AND s.until_us = 0
 WHERE s.holder <> :holder AND s.granted > 0
 ORDER BY s.cell, s.holder;

-- name: ttl_of_live
-- No row: never enlisted, or buried.
SELECT ttl_max_ms FROM holders WHERE id = :holder AND state = 0;

-- name: raise_ttl
-- No row changed: never enlisted, or buried (Fenced). Never lowers.
UPDATE holders SET ttl_max_ms = max(ttl_max_ms, :ttl_max_ms) WHERE id = :holder AND state = 0;

-- name: bury
-- Its exchanges are Fenced from here on.
UPDATE holders SET state = 1 WHERE id = :holder;

-- name: shares_of
-- All that it was granted while it lived. No row: nothing.
SELECT cell, granted FROM shares WHERE holder = :holder AND until_us = 0 ORDER BY cell;

-- name: drop_shares_of
-- What is withheld of them stays as `withhold` wrote it.
DELETE FROM shares WHERE holder = :holder AND until_us = 0;

-- name: withhold
-- What a dead holder held of a cell until then: nobody may draw it before.
INSERT INTO shares (cell, holder, granted, exact, until_us)
VALUES (:cell, :holder, :units, 1, :until_us)
    ON CONFLICT (cell, holder, until_us) DO UPDATE SET granted = shares.granted + excluded.granted;

-- name: free_cell
-- `cells.granted` falls by what was granted and is not withheld.
UPDATE cells SET granted = granted - :units WHERE id = :cell;

-- ================================================================ usage: events

-- name: event_by_key
-- All parts, part 0 first. No row: the key is free.
SELECT e.id, e.customer, e.namespace, e.key, e.part, e.currency, e.amount_units, e.overage_units,
       p.members, e.event_name, e.dimensions, e.occurred_at_us, e.booked_at_us, e.reservation,
       e.reverses, e.rate, e.flags, e.unattributed, e.fingerprint
  FROM events AS e JOIN paths AS p ON p.id = e.path
 WHERE e.customer = :customer AND e.namespace = :namespace AND e.key = :key
 ORDER BY e.part;

-- name: key_of_event
-- No row: no event has this id (those of further parts are nobody's).
SELECT customer, namespace, key FROM events WHERE id = :event AND part = 0;

-- name: key_of_reversal
-- No row: it was not reversed.
SELECT customer, namespace, key FROM events WHERE reverses = :event AND part = 0;

-- name: payments_of
-- How grants paid for an event, by the id of its part 0: one seek for each part and grant of the
-- customer. No row: none did.
SELECT e.part, g.id, g.grant_id, p.amount
  FROM events AS first
 CROSS JOIN events AS e
    ON e.customer = first.customer AND e.namespace = first.namespace AND e.key = first.key
 CROSS JOIN grants AS g ON g.customer = e.customer
 CROSS JOIN event_grants AS p ON p.grant_id = g.id AND p.event = e.id
 WHERE first.id = :event AND first.part = 0
 ORDER BY e.part, g.id;

-- name: events_of_all
-- In ledger order; the parts of an event follow each other. A filter that is null lets all pass.
SELECT e.id, e.customer, e.namespace, e.key, e.part, e.currency, e.amount_units, e.overage_units,
       p.members, e.event_name, e.dimensions, e.occurred_at_us, e.booked_at_us, e.reservation,
       e.reverses, e.rate, e.flags, e.unattributed, e.fingerprint
  FROM events AS e JOIN paths AS p ON p.id = e.path
 WHERE e.occurred_at_us >= :since_us AND e.occurred_at_us < :until_us
   AND (:event_name IS NULL OR e.event_name = :event_name)
   AND (:resource IS NULL OR e.path IN (SELECT path FROM path_resources WHERE resource = :resource))
 ORDER BY e.id;

-- name: events_of_customer
-- The same of one customer. The ids are found in the index alone; only they are sorted.
SELECT e.id, e.customer, e.namespace, e.key, e.part, e.currency, e.amount_units, e.overage_units,
       p.members, e.event_name, e.dimensions, e.occurred_at_us, e.booked_at_us, e.reservation,
       e.reverses, e.rate, e.flags, e.unattributed, e.fingerprint
  FROM events AS e JOIN paths AS p ON p.id = e.path
 WHERE e.id IN (SELECT id FROM events
                 WHERE customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
                   AND (:resource IS NULL
                        OR path IN (SELECT path FROM path_resources WHERE resource = :resource)))
   AND (:event_name IS NULL OR e.event_name = :event_name)
 ORDER BY e.id;

-- name: events_in_order
-- A customer's events from one instant until another, oldest first, so many at most: those after the
-- event `after` of the first instant, and none that was booked after the event `last`. All parts of
-- each. No row: there are no more.
SELECT e.id, e.customer, e.namespace, e.key, e.part, e.currency, e.amount_units, e.overage_units,
       p.members, e.event_name, e.dimensions, e.occurred_at_us, e.booked_at_us, e.reservation,
       e.reverses, e.rate, e.flags, e.unattributed, e.fingerprint
  FROM (SELECT id, customer, namespace, key, occurred_at_us
          FROM events
         WHERE customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
           AND (occurred_at_us > :since_us OR id > :after) AND id <= :last AND part = 0
           AND (:event_name IS NULL OR event_name = :event_name)
         ORDER BY occurred_at_us, id
         LIMIT :most) AS first
 CROSS JOIN events AS e
    ON e.customer = first.customer AND e.namespace = first.namespace AND e.key = first.key
 CROSS JOIN paths AS p ON p.id = e.path
 ORDER BY first.occurred_at_us, first.id, e.part;

-- name: adjustments_of
-- All parts of the adjustments of those events, in ledger order: a stretch of the index of keys for
-- each ("!" follows the space). No row: they have none.
SELECT e.id, e.customer, e.namespace, e.key, e.part, e.currency, e.amount_units, e.overage_units,
       p.members, e.event_name, e.dimensions, e.occurred_at_us, e.booked_at_us, e.reservation,
       e.reverses, e.rate, e.flags, e.unattributed, e.fingerprint
  FROM json_each(:events) AS asked
 CROSS JOIN events AS first ON first.id = asked.value
 CROSS JOIN events AS e
    ON e.customer = first.customer AND e.namespace = 1
   AND e.key >= 'adjust ' || first.id || ' ' AND e.key < 'adjust ' || first.id || '!'
 CROSS JOIN paths AS p ON p.id = e.path
 ORDER BY e.id;

-- name: reversals_of
-- Which of those events were reversed, and the id of the reversal. No row: none was.
SELECT e.reverses, e.id
  FROM json_each(:events) AS asked
 CROSS JOIN events AS e ON e.reverses = asked.value AND e.part = 0;

-- name: sums_apart
-- What a customer's events sum to (two halves) in each of some spans, apart by currency and by what
-- they have in common; and how many they are: without a currency, those whose part 0 it is. A dimension
-- is told with its kind in front; where SQLite would round it (a fraction, more than 64 bits), all
-- dimensions are. A row has five hundred sums. No row: no event.
SELECT json_group_array(json_array(g.span, iif(:apart = 'path', NULL, g.said), hex(p.members), g.currency,
                                   g.high, g.low, g.events))
  FROM (SELECT sums.*, (row_number() OVER ()) / 500 AS page
          FROM (SELECT s.key AS span,
                       CASE :apart
                            WHEN 'event' THEN e.event_name
                            WHEN 'path' THEN e.path
                            WHEN 'dimension' THEN
                                 (SELECT iif(typeof(value) = 'real', e.dimensions, type || ':' || value)
                                    FROM json_each(e.dimensions) WHERE key = :dimension) END AS said,
                       e.currency AS currency,
                       sum(e.amount_units >> 32) AS high, sum(e.amount_units & 0xffffffff) AS low,
                       sum(:currency IS NOT NULL OR e.part = 0) AS events
                  FROM json_each(:spans) AS s CROSS JOIN events AS e
                 WHERE e.customer = :customer
                   AND e.occurred_at_us >= json_extract(s.value, '$[0]')
                   AND e.occurred_at_us < json_extract(s.value, '$[1]')
                   AND (:currency IS NULL OR e.currency = :currency)
                   AND (:event_name IS NULL OR e.event_name = :event_name)
                   AND (:resource IS NULL OR EXISTS (SELECT 1 FROM path_resources AS r
                                                      WHERE r.resource = :resource AND r.path = e.path))
                 GROUP BY s.key, said, e.currency) AS sums) AS g
  LEFT JOIN paths AS p ON :apart = 'path' AND p.id = g.said
 GROUP BY g.page;

-- ================================================================ usage: is it what it should be

-- name: quick_check
-- One row "ok", or one for each thing that is wrong with the file.
PRAGMA quick_check;

-- name: used_that_differs
-- Cells that count everything for ever, and have used another number than their events sum to (two
-- halves); and cells that nothing is left of to say what they count. `resource_id` and the currency
-- are null where what they name is gone. Grants are apart (`paid_to_compare`). No row: none is.
WITH by_path AS MATERIALIZED (
       SELECT path, currency, sum(amount_units >> 32) AS high, sum(amount_units & 0xffffffff) AS low
         FROM events GROUP BY path, currency),
     by_resource AS MATERIALIZED (
       SELECT r.resource, by_path.currency, sum(high) AS high, sum(low) AS low
         FROM by_path JOIN path_resources AS r ON r.path = by_path.path
        GROUP BY r.resource, by_path.currency)
SELECT c.id, c.allocation, resources.resource_id, currencies.currency_id, c.used,
       coalesce(s.high, 0), coalesce(s.low, 0)
  FROM cells AS c
  LEFT JOIN allocations AS a ON a.id = c.allocation
  LEFT JOIN resources ON resources.id = c.resource
  LEFT JOIN currencies ON currencies.id = a.currency
  LEFT JOIN by_resource AS s ON s.resource = c.resource AND s.currency = a.currency
 WHERE c.resource <> 0
   AND ((c.closes IS NULL AND c.width_us IS NULL AND a.scope = '{}')
        OR a.id IS NULL OR resources.id IS NULL)
   AND NOT (c.used >> 32 = coalesce(s.high, 0) + (coalesce(s.low, 0) >> 32)
            AND c.used & 0xffffffff = coalesce(s.low, 0) & 0xffffffff)
 ORDER BY c.id;

-- name: customers_to_sweep
-- Those who have a cell with a window, that rolls, or with a scope. No row: nobody has.
SELECT DISTINCT r.customer
  FROM cells AS c
  JOIN allocations AS a ON a.id = c.allocation
  JOIN resources AS r ON r.id = c.resource
 WHERE c.closes IS NOT NULL OR c.width_us IS NOT NULL OR a.scope <> '{}';

-- name: cells_to_sweep
-- A customer's cells that have a window, roll or have a scope, in the order in which they begin; what is
-- for ever began before all. Of a rolling one each bucket too (its start is not null).
SELECT CASE WHEN c.width_us IS NOT NULL THEN ifnull(c.opens, 0)
            WHEN c.closes IS NULL THEN -9223372036854775808 ELSE c.window_start_us END,
       c.id, c.allocation, c.resource, r.resource_id, a.currency, u.currency_id, c.closes, a.scope, c.used,
       c.width_us, NULL
  FROM cells AS c
  JOIN allocations AS a ON a.id = c.allocation
  JOIN resources AS r ON r.id = c.resource
  LEFT JOIN currencies AS u ON u.id = a.currency
 WHERE r.customer = :customer AND (c.closes IS NOT NULL OR c.width_us IS NOT NULL OR a.scope <> '{}')
 UNION ALL
SELECT b.start_us, c.id, c.allocation, c.resource, r.resource_id, a.currency, u.currency_id,
       b.start_us + c.width_us, a.scope, b.used, c.width_us, b.start_us
  FROM cells AS c
  JOIN allocations AS a ON a.id = c.allocation
  JOIN resources AS r ON r.id = c.resource
  JOIN buckets AS b ON b.cell = c.id AND b.start_us >= c.opens AND b.start_us % c.width_us = 0
  LEFT JOIN currencies AS u ON u.id = a.currency
 WHERE r.customer = :customer
 ORDER BY 1;

-- name: buckets_gone_wrong
-- Those that are not empty of a cell that is not there or does not roll, of before it opens, or that
-- begin where no bucket of it begins. No row: none does.
SELECT b.cell, b.start_us, b.used
  FROM buckets AS b LEFT JOIN cells AS c ON c.id = b.cell
 WHERE b.used <> 0 AND NOT coalesce(b.start_us >= c.opens AND b.start_us % c.width_us = 0, false)
 ORDER BY b.cell, b.start_us;

-- name: paid_to_compare
-- The cells of grants, what each has used, and what its grant paid in its window (two halves). Currency
-- and customer are null where what names them is gone.
SELECT c.id, c.allocation, g.grant_id, u.customer_id, m.currency_id, c.used,
       CASE WHEN c.closes IS NULL
            THEN (SELECT json_array(sum(p.amount >> 32), sum(p.amount & 0xffffffff))
                    FROM event_grants AS p WHERE p.grant_id = g.id)
            ELSE (SELECT json_array(sum(p.amount >> 32), sum(p.amount & 0xffffffff))
                    FROM events AS e CROSS JOIN event_grants AS p ON p.grant_id = g.id AND p.event = e.id
                   WHERE e.customer = g.customer
                     AND e.occurred_at_us >= c.window_start_us AND e.occurred_at_us < c.closes) END
  FROM cells AS c
  LEFT JOIN grants AS g ON g.id = c.allocation
  LEFT JOIN customers AS u ON u.id = g.customer
  LEFT JOIN currencies AS m ON m.id = g.currency
 WHERE c.resource = 0
 ORDER BY c.id;

-- name: payments_gone_wrong
-- Parts of which grants paid more than they cost (two halves), and those that are not there or whose
-- grant is not. No row: none is.
SELECT p.event, e.amount_units, total(g.id IS NULL) AS unknown_grants,
       sum(p.amount >> 32), sum(p.amount & 0xffffffff)
  FROM event_grants AS p
  LEFT JOIN events AS e ON e.id = p.event
  LEFT JOIN grants AS g ON g.id = p.grant_id
 GROUP BY p.event
HAVING e.id IS NULL OR unknown_grants
    OR (e.amount_units >= 0
        AND (sum(p.amount >> 32) + (sum(p.amount & 0xffffffff) >> 32),
             sum(p.amount & 0xffffffff) & 0xffffffff) > (e.amount_units >> 32, e.amount_units & 0xffffffff))
 ORDER BY p.event;

-- name: instant_after_all
-- When a customer's event took place that comes so many after the first of a time. No row: there are
-- not so many in it.
SELECT occurred_at_us
  FROM events
 WHERE customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
 ORDER BY occurred_at_us LIMIT 1 OFFSET :events;

-- name: used_by_path
-- What a customer's events of a time sum to (two halves) by path, with its members, and currency.
-- Always one row.
SELECT json_group_array(json_array(hex(p.members), currency, '', high, low))
  FROM (SELECT path, currency, sum(amount_units >> 32) AS high, sum(amount_units & 0xffffffff) AS low
          FROM events
         WHERE customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
         GROUP BY path, currency) AS e
  JOIN paths AS p ON p.id = e.path;

-- name: used_by_path_and_dimensions
-- The same, apart for each text of dimensions. Always one row.
SELECT json_group_array(json_array(hex(p.members), currency, dimensions, high, low))
  FROM (SELECT path, currency, dimensions, sum(amount_units >> 32) AS high,
               sum(amount_units & 0xffffffff) AS low
          FROM events
         WHERE customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
         GROUP BY path, currency, dimensions) AS e
  JOIN paths AS p ON p.id = e.path;

-- name: granted_that_differs
-- Cells of which another number was granted than their shares sum to. `resource_id` and the currency
-- are null where what they name is gone; of a grant `resource` is 0. No row: none is.
SELECT c.resource, c.id, c.allocation, ifnull(resources.resource_id, g.grant_id), u.customer_id,
       currencies.currency_id, c.granted, coalesce(s.granted, 0)
  FROM cells AS c
  LEFT JOIN allocations AS a ON a.id = c.allocation AND c.resource <> 0
  LEFT JOIN grants AS g ON g.id = c.allocation AND c.resource = 0
  LEFT JOIN resources ON resources.id = c.resource
  LEFT JOIN customers AS u ON u.id = g.customer
  LEFT JOIN currencies ON currencies.id = ifnull(a.currency, g.currency)
  LEFT JOIN (SELECT cell, sum(granted) AS granted FROM shares GROUP BY cell) AS s ON s.cell = c.id
 WHERE c.granted <> coalesce(s.granted, 0)
 ORDER BY c.id;

-- name: shares_gone_wrong
-- Negative ones, and those of a cell that is not there. No row: none is.
SELECT cell, holder, until_us, granted,
       EXISTS (SELECT 1 FROM cells WHERE cells.id = shares.cell) AS has_cell
  FROM shares
 WHERE granted < 0 OR NOT EXISTS (SELECT 1 FROM cells WHERE cells.id = shares.cell)
 ORDER BY cell, holder, until_us;

-- ================================================================ warnings

-- name: any_watched
-- Whether anything has thresholds. Always one row.
SELECT EXISTS (SELECT 1 FROM allocations WHERE thresholds <> '[]')
       OR EXISTS (SELECT 1 FROM grants WHERE thresholds <> '[]');

-- name: thresholds_left
-- Of those cells: the thresholds that were not crossed yet in their windows. A rolling window has crossed
-- what was crossed since it began. No row: none has any, or all were crossed.
SELECT c.id, t.value
  FROM json_each(:cells) AS asked
  JOIN cells AS c ON c.id = asked.value
  LEFT JOIN allocations AS a ON c.resource <> 0 AND a.id = c.allocation
  LEFT JOIN grants AS g ON c.resource = 0 AND g.id = c.allocation
  JOIN json_each(coalesce(a.thresholds, g.thresholds, '[]')) AS t
 WHERE NOT EXISTS (SELECT 1 FROM warnings AS w
                    WHERE w.allocation = c.allocation AND w.resource = c.resource AND w.kind = 0
                      AND w.former = 0 AND w.threshold = t.value
                      AND CASE WHEN c.width_us IS NULL THEN w.window_start_us = c.window_start_us
                               ELSE w.at_us >= c.opens END)
 ORDER BY c.id, t.value;

-- name: record_crossings
-- What events crossed: [cell, threshold, used, limit, event] of each. The key decides: what was recorded
-- before is not again. A row back for each that is new.
INSERT INTO warnings (kind, allocation, resource, window_start_us, threshold, window_end_us, at_us, used, lim,
                      event, customer, currency, name, cadence, rolling, scope)
SELECT 0, c.allocation, c.resource, CASE WHEN c.width_us IS NULL THEN c.window_start_us ELSE c.opens END,
       json_extract(x.value, '$[1]'), c.closes, :at_us, json_extract(x.value, '$[2]'),
       json_extract(x.value, '$[3]'), json_extract(x.value, '$[4]'),
       coalesce(r.customer, g.customer), coalesce(a.currency, g.currency),
       CASE WHEN c.resource = 0 THEN g.grant_id ELSE a.allocation_id END,
       coalesce(a.cadence, g.cadence), coalesce(a.rolling, 0), coalesce(a.scope, '{}')
  FROM json_each(:crossed) AS x
  JOIN cells AS c ON c.id = json_extract(x.value, '$[0]')
  LEFT JOIN allocations AS a ON c.resource <> 0 AND a.id = c.allocation
  LEFT JOIN resources AS r ON r.id = c.resource
  LEFT JOIN grants AS g ON c.resource = 0 AND g.id = c.allocation
 WHERE true
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: cells_watched
-- The open cells of an allocation or grant that has thresholds, whose windows are not over; but those of
-- resources with an override of that currency: what their limit is, who next asks for it will say.
SELECT c.id
  FROM cells AS c
  LEFT JOIN allocations AS a ON c.resource <> 0 AND a.id = c.allocation
  LEFT JOIN grants AS g ON c.resource = 0 AND g.id = c.allocation
 WHERE c.allocation = :allocation AND (c.resource = 0) = :of_grant
   AND (c.closes IS NULL OR c.closes > :at_us) AND coalesce(a.thresholds, g.thresholds) <> '[]'
   AND NOT EXISTS (SELECT 1 FROM overrides AS o
                    WHERE o.resource = c.resource AND o.currency = a.currency AND o.expires_at_us > :at_us);

-- name: used_of
-- Used and limit of those cells. No row: none is open.
SELECT id, used, lim FROM cells WHERE id IN (SELECT value FROM json_each(:cells)) ORDER BY id;

-- name: crossed_as_former
-- What a limit crossed while it counted something else is of another limit: from now on it may again.
UPDATE warnings SET former = id WHERE allocation = :allocation AND (resource = 0) = :of_grant AND former = 0;

-- name: record_expiring
-- A grant that is about to expire, with what it has paid by now: once, whatever comes. A row back where
-- it is new.
INSERT INTO warnings (kind, allocation, resource, window_start_us, threshold, window_end_us, at_us, used, lim,
                      customer, currency, name, cadence, rolling, scope)
SELECT 1, id, 0, 0, 0, :ends_us, :at_us, :used, :limit_units, customer, currency, grant_id, cadence, 0, '{}'
  FROM grants
 WHERE id = :grant AND voided_at_us IS NULL
   AND NOT EXISTS (SELECT 1 FROM warnings WHERE allocation = :grant AND resource = 0 AND kind = 1)
RETURNING id;

-- name: grants_expiring
-- Those that expire in that time, and of which nobody was warned. No row: none does.
SELECT id, customer, grant_id, currency, amount_units, priority, kind, effective_at_us, expires_at_us,
       cadence, timezone, anchor_us, voided_at_us, thresholds
  FROM grants AS g
 WHERE voided_at_us IS NULL AND expires_at_us > :since_us AND expires_at_us <= :until_us
   AND ifnull(effective_at_us <= :since_us, true)
   AND NOT EXISTS (SELECT 1 FROM warnings AS w WHERE w.allocation = g.id AND w.resource = 0 AND w.kind = 1)
 ORDER BY id;

-- name: untold
-- Whether there is one of those kinds, as young as that, that somebody may tell now. Always one row.
SELECT EXISTS (SELECT 1 FROM warnings AS w
                WHERE told_at_us IS NULL AND at_us >= :since_us
                  AND kind IN (SELECT value FROM json_each(:kinds))
                  AND (taken_until_us <= :now_us
                       OR EXISTS (SELECT 1 FROM holders WHERE id = w.teller AND state = 1)));

-- name: take_untold
-- They are this holder's to tell, for a while: nobody else tells them, but where it is buried.
UPDATE warnings AS w
   SET teller = :holder, taken_until_us = :until_us
 WHERE told_at_us IS NULL AND at_us >= :since_us
   AND kind IN (SELECT value FROM json_each(:kinds))
   AND (taken_until_us <= :now_us
        OR EXISTS (SELECT 1 FROM holders WHERE id = w.teller AND state = 1))
RETURNING id;

-- name: told
-- All hooks have heard of it.
UPDATE warnings SET told_at_us = :now_us WHERE id = :warning AND told_at_us IS NULL;

-- name: warnings_by_row
-- Oldest first, with the texts of what they name.
SELECT w.id, w.kind, w.at_us, customers.customer_id, resources.resource_id, w.name,
       currencies.currency_id, currencies.decimals, w.threshold, w.used, w.lim, w.event, w.cadence,
       w.rolling, w.scope, w.window_start_us, w.window_end_us
  FROM json_each(:warnings) AS asked
  JOIN warnings AS w ON w.id = asked.value
  JOIN customers ON customers.id = w.customer
  JOIN currencies ON currencies.id = w.currency
  LEFT JOIN resources ON resources.id = w.resource
 ORDER BY w.id;

-- name: warnings_of
-- Of a customer (null: of all), of a kind; the start of the time included, its end not. Oldest first.
SELECT w.id, w.kind, w.at_us, customers.customer_id, resources.resource_id, w.name,
       currencies.currency_id, currencies.decimals, w.threshold, w.used, w.lim, w.event, w.cadence,
       w.rolling, w.scope, w.window_start_us, w.window_end_us
  FROM customers
  JOIN warnings AS w ON w.customer = customers.id
  JOIN currencies ON currencies.id = w.currency
  LEFT JOIN resources ON resources.id = w.resource
 WHERE ifnull(customers.id = :customer, true) AND w.kind = :kind
   AND w.at_us >= :since_us AND w.at_us < :until_us
 ORDER BY w.id;

-- ================================================================ the model: reading

-- name: state
-- Always one row.
SELECT id, schema_version, model_version, change FROM ledger;

-- name: currencies
-- All of them.
SELECT id, currency_id, name, decimals FROM currencies ORDER BY id;

-- name: customers
-- All of them, or the first so many (-1: all).
SELECT id, customer_id, name, model_version, archived_at_us FROM customers ORDER BY id LIMIT :most;

-- name: customers_named
-- One that is missing does not exist.
SELECT id, customer_id, name, model_version, archived_at_us
  FROM customers
 WHERE customer_id IN (SELECT value FROM json_each(:customer_ids))
 ORDER BY id LIMIT :most;

-- name: currencies_of
-- The currencies in which a customer has a limit, its own or a template for all, a grant, or usage. No
-- row: none yet.
SELECT c.id FROM currencies AS c
 WHERE EXISTS (SELECT 1 FROM allocations WHERE customer = :customer AND currency = c.id)
    OR EXISTS (SELECT 1 FROM allocations WHERE customer = 0 AND currency = c.id)
    OR EXISTS (SELECT 1 FROM grants WHERE customer = :customer AND currency = c.id)
    OR EXISTS (SELECT 1 FROM events WHERE customer = :customer AND currency = c.id)
 ORDER BY c.id;

-- name: customers_with
-- Which customers have a resource of that id. No row: nobody.
SELECT resources.resource_id, customers.customer_id
  FROM json_each(:resource_ids) AS asked
  JOIN resources ON resources.resource_id = asked.value
  JOIN customers ON customers.id = resources.customer;

-- name: types
-- `customer_id` null: for all.
SELECT t.id, customers.customer_id, t.type_id, t.name, t.parent_type_id, t.attribution_keys, t.properties
  FROM resource_types AS t LEFT JOIN customers ON customers.id = t.customer
 ORDER BY t.id;

-- name: ids_of_lineage
-- Those named and all their ancestors, each once, ancestors first: who is above stands as high as
-- its deepest descendant is long. The bound ends a circle, which only a damaged file has.
WITH RECURSIVE up (id, height) AS (
  SELECT id, 0 FROM resources
   WHERE customer = :customer AND resource_id IN (SELECT value FROM json_each(:resource_ids))
   UNION
  SELECT r.parent, up.height + 1
    FROM up JOIN resources AS r ON r.id = up.id
   WHERE r.parent IS NOT NULL AND up.height < 100000)
SELECT id FROM up GROUP BY id ORDER BY max(height) DESC, id;

-- name: ids_named
-- Those named that exist, of one customer or (null) of all, ancestors first.
WITH RECURSIVE named (id) AS MATERIALIZED (
       SELECT id FROM resources
        WHERE resource_id IN (SELECT value FROM json_each(:resource_ids))
          AND (:customer IS NULL OR customer = :customer)),
     up (id, height) AS (
       SELECT id, 0 FROM named
        UNION
       SELECT r.parent, up.height + 1
         FROM up JOIN resources AS r ON r.id = up.id
        WHERE r.parent IS NOT NULL AND up.height < 100000)
SELECT id FROM up WHERE id IN (SELECT id FROM named) GROUP BY id ORDER BY max(height) DESC, id;

-- name: ids_below
-- It and everything below it, to that depth, ancestors first. No row: there is no such resource.
WITH RECURSIVE down (id, depth) AS (
  SELECT id, 0 FROM resources WHERE customer = :customer AND resource_id = :resource_id
   UNION ALL
  SELECT r.id, down.depth + 1 FROM down JOIN resources AS r ON r.parent = down.id WHERE down.depth < :depth
   ORDER BY 2, 1)
SELECT id FROM down;

-- name: resources_by_row
-- In the order of the ids. One that is missing does not exist.
SELECT r.id, r.customer, r.resource_id, r.type, t.type_id, r.parent, p.resource_id, r.name, r.properties,
       r.archived_at_us, r.suspension
  FROM json_each(:rows) AS asked
  JOIN resources AS r ON r.id = asked.value
  JOIN resource_types AS t ON t.id = r.type
  LEFT JOIN resources AS p ON p.id = r.parent
 ORDER BY asked.key;

-- name: resources
-- Of one customer or (null) of all, ancestors before descendants, streamed.
WITH RECURSIVE down (id, depth) AS (
  SELECT id, 0 FROM resources WHERE parent IS NULL AND (:customer IS NULL OR customer = :customer)
   UNION ALL
  SELECT r.id, down.depth + 1 FROM down JOIN resources AS r ON r.parent = down.id WHERE down.depth < 100000
   ORDER BY 2, 1)
SELECT r.id, r.customer, r.resource_id, r.type, t.type_id, r.parent, p.resource_id, r.name, r.properties,
       r.archived_at_us, r.suspension
  FROM down
  JOIN resources AS r ON r.id = down.id
  JOIN resource_types AS t ON t.id = r.type
  LEFT JOIN resources AS p ON p.id = r.parent;

-- name: allocations
-- All of them, templates too.
SELECT a.id, a.customer, a.allocation_id, a.resource, r.resource_id, a.type, t.type_id, a.matching,
       a.currency, a.lim, a.enforcement, a.cadence, a.timezone, a.anchor_us, a.rolling, a.scope,
       a.effective_at_us, a.expires_at_us, a.thresholds
  FROM allocations AS a
  LEFT JOIN resources AS r ON r.id = a.resource
  LEFT JOIN resource_types AS t ON t.id = a.type
 ORDER BY a.id;

-- name: allocations_of
-- Of a customer, its templates too.
SELECT a.id, a.customer, a.allocation_id, a.resource, r.resource_id, a.type, t.type_id, a.matching,
       a.currency, a.lim, a.enforcement, a.cadence, a.timezone, a.anchor_us, a.rolling, a.scope,
       a.effective_at_us, a.expires_at_us, a.thresholds
  FROM allocations AS a
  LEFT JOIN resources AS r ON r.id = a.resource
  LEFT JOIN resource_types AS t ON t.id = a.type
 WHERE a.customer = :customer
 ORDER BY a.id;

-- name: allocations_on
-- On those resources. No row: nothing limits them but templates.
SELECT a.id, a.customer, a.allocation_id, a.resource, r.resource_id, a.type, t.type_id, a.matching,
       a.currency, a.lim, a.enforcement, a.cadence, a.timezone, a.anchor_us, a.rolling, a.scope,
       a.effective_at_us, a.expires_at_us, a.thresholds
  FROM json_each(:resources) AS asked
  JOIN allocations AS a ON a.resource = asked.value
  JOIN resources AS r ON r.id = a.resource
  LEFT JOIN resource_types AS t ON t.id = a.type
 ORDER BY a.id;

-- name: templates
-- The customer's and those for all. No row: there is none. The other index would have those of every
-- customer.
SELECT a.id, a.customer, a.allocation_id, a.resource, r.resource_id, a.type, t.type_id, a.matching,
       a.currency, a.lim, a.enforcement, a.cadence, a.timezone, a.anchor_us, a.rolling, a.scope,
       a.effective_at_us, a.expires_at_us, a.thresholds
  FROM allocations AS a INDEXED BY allocations_templates
  LEFT JOIN resources AS r ON r.id = a.resource
  LEFT JOIN resource_types AS t ON t.id = a.type
 WHERE a.resource = 0 AND a.customer IN (0, :customer)
 ORDER BY a.id;

-- name: scopes_of
-- The scopes of the customer's limits and of those for all, each once: one step down the index for
-- each, however many limits share it.
WITH RECURSIVE owners (customer) AS (VALUES (0), (:customer)),
     scopes (customer, scope) AS (
       SELECT customer, (SELECT min(a.scope) FROM allocations AS a
                          WHERE a.customer = owners.customer AND a.scope <> '{}')
         FROM owners
        UNION
       SELECT customer, (SELECT min(a.scope) FROM allocations AS a
                          WHERE a.customer = scopes.customer AND a.scope <> '{}' AND a.scope > scopes.scope)
         FROM scopes WHERE scope IS NOT NULL)
SELECT DISTINCT scope FROM scopes WHERE scope IS NOT NULL;

-- name: overrides
-- All of them, or of one customer.
SELECT o.id, o.customer, o.resource, r.resource_id, o.currency, o.cadence, o.scope, o.lim, o.add_units,
       o.reason, o.actor, o.effective_at_us, o.expires_at_us, o.put_at_us
  FROM overrides AS o JOIN resources AS r ON r.id = o.resource
 WHERE :customer IS NULL OR o.customer = :customer
 ORDER BY o.id;

-- name: overrides_on
-- On those resources. No row: their limits are as allocations say.
SELECT o.id, o.customer, o.resource, r.resource_id, o.currency, o.cadence, o.scope, o.lim, o.add_units,
       o.reason, o.actor, o.effective_at_us, o.expires_at_us, o.put_at_us
  FROM json_each(:resources) AS asked
  JOIN overrides AS o ON o.resource = asked.value
  JOIN resources AS r ON r.id = o.resource
 ORDER BY o.id;

-- name: grants
-- All of them.
SELECT id, customer, grant_id, currency, amount_units, priority, kind, effective_at_us, expires_at_us,
       cadence, timezone, anchor_us, voided_at_us, thresholds
  FROM grants ORDER BY id;

-- name: grants_of
-- Of a customer. No row: it never had one.
SELECT id, customer, grant_id, currency, amount_units, priority, kind, effective_at_us, expires_at_us,
       cadence, timezone, anchor_us, voided_at_us, thresholds
  FROM grants WHERE customer = :customer ORDER BY id;

-- name: grants_since
-- Of a customer, those that had not expired by then; and of each currency the last that had, which says
-- that there is a pool, and since when it is what it is. No row: it never had a grant.
SELECT id, customer, grant_id, currency, amount_units, priority, kind, effective_at_us, expires_at_us,
       cadence, timezone, anchor_us, voided_at_us, thresholds
  FROM grants
 WHERE customer = :customer
   AND (ifnull(expires_at_us > :since_us, true)
        OR id IN (SELECT id FROM (SELECT id, max(expires_at_us) FROM grants
                                   WHERE customer = :customer AND expires_at_us <= :since_us
                                   GROUP BY currency)))
 ORDER BY id;

-- name: prices
-- The live ones; `customer_id` null: for all.
SELECT prices.id, customers.customer_id, prices.provider, prices.model, prices.per_million, prices.each,
       prices.effective_at_us, prices.expires_at_us
  FROM prices LEFT JOIN customers ON customers.id = prices.customer
 WHERE prices.retired_at_us IS NULL
 ORDER BY prices.id;

-- name: rates
-- The live ones; `customer_id` null: for all.
SELECT rates.id, customers.customer_id, rates.event_name, rates.currency, rates.matching, rates.credits,
       rates.terms, rates.effective_at_us
  FROM rates LEFT JOIN customers ON customers.id = rates.customer
 WHERE rates.retired_at_us IS NULL AND (:event_name IS NULL OR rates.event_name = :event_name)
 ORDER BY rates.id;

-- name: rate_by_row
-- The retired ones too: events name them.
SELECT rates.id, customers.customer_id, rates.event_name, rates.currency, rates.matching, rates.credits,
       rates.terms, rates.effective_at_us
  FROM rates LEFT JOIN customers ON customers.id = rates.customer
 WHERE rates.id = :rate;

-- name: audit
-- Oldest first. A filter that is null lets all pass; `since_us` included, `until_us` not.
SELECT at_us, customer_id, actor, reason, verb, subject, before, after
  FROM audit
 WHERE (:customer_id IS NULL OR customer_id = :customer_id) AND at_us >= :since_us AND at_us < :until_us
 ORDER BY id;

-- ================================================================ the model: writing

-- name: decimals_in_use
-- Has this currency, with other decimals than these, an event or a cell? No row: no, it may change.
SELECT 1 FROM currencies AS u
 WHERE u.currency_id = :currency_id AND u.decimals <> :decimals
   AND (EXISTS (SELECT 1 FROM allocations AS a JOIN cells AS c ON c.allocation = a.id AND c.resource > 0
                 WHERE a.currency = u.id)
        OR EXISTS (SELECT 1 FROM grants AS g JOIN cells AS c ON c.allocation = g.id AND c.resource = 0
                    WHERE g.currency = u.id)
        OR EXISTS (SELECT 1 FROM events WHERE currency = u.id));

-- name: put_currency
-- Its key is its id; all else is replaced. Whether the decimals may change, `decimals_in_use` says.
INSERT INTO currencies (currency_id, name, decimals) VALUES (:currency_id, :name, :decimals)
    ON CONFLICT (currency_id) DO UPDATE SET name = excluded.name, decimals = excluded.decimals;

-- name: put_customer
-- Its key is its id. A new one starts with model version 1.
INSERT INTO customers (customer_id, name, archived_at_us) VALUES (:customer_id, :name, :archived_at_us)
    ON CONFLICT (customer_id) DO UPDATE SET name = excluded.name, archived_at_us = excluded.archived_at_us;

-- name: put_type
-- The customer exists, or is null: for all.
INSERT INTO resource_types (customer, type_id, name, parent_type_id, attribution_keys, properties)
VALUES (CASE WHEN :customer_id IS NULL THEN 0 ELSE (SELECT id FROM customers WHERE customer_id = :customer_id)
        END, :type_id, :name, :parent_type_id, :attribution_keys, :properties)
    ON CONFLICT (customer, type_id) DO UPDATE
   SET name = excluded.name, parent_type_id = excluded.parent_type_id,
       attribution_keys = excluded.attribution_keys, properties = excluded.properties;

-- name: remove_type
-- Nothing is of this type any more: who planned it saw to that.
DELETE FROM resource_types WHERE id = :type;

-- name: put_resource
-- Customer, type and parent exist; a parent that does not would be null and make a root, so it
-- is refused instead (`parent` is compared with what was named: NOT NULL fails on `properties`).
INSERT INTO resources (customer, resource_id, type, parent, name, properties, archived_at_us, suspension)
SELECT customers.id, :resource_id,
       (SELECT t.id FROM resource_types AS t
         WHERE t.type_id = :type_id
           AND t.customer = CASE WHEN :type_customer_id IS NULL THEN 0
                                 ELSE (SELECT id FROM customers WHERE customer_id = :type_customer_id) END),
       p.id, :name, CASE WHEN p.id IS NOT NULL OR :parent_resource_id IS NULL THEN :properties END,
       :archived_at_us, :suspension
  FROM (SELECT (SELECT id FROM customers WHERE customer_id = :customer_id) AS id) AS customers
  LEFT JOIN resources AS p ON p.customer = customers.id AND p.resource_id = :parent_resource_id
 WHERE true
    ON CONFLICT (customer, resource_id) DO UPDATE
   SET type = excluded.type, parent = excluded.parent, name = excluded.name, properties = excluded.properties,
       archived_at_us = excluded.archived_at_us, suspension = excluded.suspension;

-- name: allocation_as_rows
-- The rows that an allocation names: customer (0: for all), resource (0: a template), type, currency.
-- Null: what it names is not there, and the table refuses it. Always one row.
SELECT u.id,
       CASE WHEN :resource_id IS NULL THEN 0
            ELSE (SELECT id FROM resources WHERE customer = u.id AND resource_id = :resource_id) END,
       (SELECT id FROM resource_types
         WHERE type_id = :type_id
           AND customer = CASE WHEN :type_customer_id IS NULL THEN 0
                               ELSE (SELECT id FROM customers WHERE customer_id = :type_customer_id) END),
       (SELECT id FROM currencies WHERE currency_id = :currency_id)
  FROM (SELECT CASE WHEN :customer_id IS NULL THEN 0
                    ELSE (SELECT id FROM customers WHERE customer_id = :customer_id) END AS id) AS u;

-- name: allocation_named
-- By its id. No row: it is new.
SELECT id, resource, type, matching, currency, lim, cadence, timezone, anchor_us, rolling, scope
  FROM allocations
 WHERE customer = :customer AND allocation_id = :allocation_id;

-- name: allocation_like
-- One without an id by what it limits, as the index `allocations_unnamed` has it. No row: it is new.
-- `+`: what is compared with the bare value may decide for a partial index, so SQLite would prepare
-- the statement anew for each value (24 µs).
SELECT id, resource, type, matching, currency, lim, cadence, timezone, anchor_us, rolling, scope
  FROM allocations
 WHERE allocation_id IS NULL AND customer = :customer AND resource = +:resource
   AND ifnull(type, 0) = ifnull(:type, 0) AND matching = :where AND currency = :currency AND scope = :scope
   AND rolling = :rolling AND ifnull(cadence, '') = ifnull(:cadence, '');

-- name: append_allocation
-- Only where there is none of its key, in the same transaction.
INSERT INTO allocations (customer, allocation_id, resource, type, matching, currency, lim, enforcement,
                         cadence, timezone, anchor_us, rolling, scope, effective_at_us, expires_at_us,
                         thresholds)
VALUES (:customer, :allocation_id, :resource, :type, :where, :currency, :limit_units, :enforcement,
        :cadence, :timezone, :anchor_us, :rolling, :scope, :effective_at_us, :expires_at_us,
        :thresholds);

-- name: replace_allocation
-- All but its key.
UPDATE allocations
   SET resource = :resource, type = :type, matching = :where, currency = :currency, lim = :limit_units,
       enforcement = :enforcement, cadence = :cadence, timezone = :timezone, anchor_us = :anchor_us,
       rolling = :rolling, scope = :scope, effective_at_us = :effective_at_us,
       expires_at_us = :expires_at_us, thresholds = :thresholds
 WHERE id = :allocation;

-- name: set_limit
-- Of the open cells of an allocation, or of a grant (`of_grant`: its number may be an allocation's too),
-- whose windows are not over at `at_us`; others get it when they are next asked for. Where less is left
-- than was granted already, nobody draws a surplus for a while. No row changed: no cell of it is open, or
-- its limit is what it was.
UPDATE cells
   SET lim = :limit_units,
       hush_until = CASE WHEN granted > 0 AND used + granted > :limit_units
                         THEN max(hush_until, :hush_until) ELSE hush_until END
 WHERE lim <> :limit_units
   AND (resource = 0) = :of_grant
   AND id IN (SELECT id FROM cells WHERE allocation = :allocation AND closes IS NULL
               UNION ALL
              SELECT id FROM cells WHERE allocation = :allocation AND closes > :at_us);

-- name: any_template
-- No row: there is none.
SELECT 1 FROM allocations INDEXED BY allocations_templates WHERE resource = 0 LIMIT 1;

-- name: cells_of_template
-- For which resources cells of a template are open, and what says whether it counts them: whether they
-- are of its type (another of the same id will do), its `where`, and their properties.
SELECT c.allocation, c.resource, t.type_id = own.type_id, a.matching, r.properties
  FROM (SELECT DISTINCT allocation, resource FROM cells WHERE allocation = :allocation) AS c
  JOIN allocations AS a ON a.id = c.allocation
  JOIN resource_types AS t ON t.id = a.type
  JOIN resources AS r ON r.id = c.resource
  JOIN resource_types AS own ON own.id = r.type;

-- name: cells_of_templates_for
-- The same of all templates, for those resources ([customer id, resource id]).
SELECT a.id, r.id, t.type_id = own.type_id, a.matching, r.properties
  FROM json_each(:resources) AS asked
  JOIN customers AS u ON u.customer_id = json_extract(asked.value, '$[0]')
  JOIN resources AS r ON r.customer = u.id AND r.resource_id = json_extract(asked.value, '$[1]')
  JOIN resource_types AS own ON own.id = r.type
  JOIN allocations AS a INDEXED BY allocations_templates ON a.resource = 0 AND a.customer IN (0, u.id)
  JOIN resource_types AS t ON t.id = a.type
 WHERE EXISTS (SELECT 1 FROM cells AS c WHERE c.allocation = a.id AND c.resource = r.id);

-- name: close_shares
-- First of three: what ends an allocation, or has it or a grant (`of_grant`) count something else, ends
-- its cells and their shares with it.
DELETE FROM shares
 WHERE cell IN (SELECT id FROM cells WHERE allocation = :allocation AND (resource = 0) = :of_grant);

-- name: close_buckets
-- Second of three. A grant has none.
DELETE FROM buckets WHERE cell IN (SELECT id FROM cells WHERE allocation = :allocation AND resource <> 0);

-- name: close_cells
-- Third of three. Holds settle without them.
DELETE FROM cells WHERE allocation = :allocation AND (resource = 0) = :of_grant;

-- name: close_shares_for
-- First of three: a template counts this resource no more, until it matches again. Its cells go, with
-- their shares and buckets; a later one is summed from the events.
DELETE FROM shares
 WHERE cell IN (SELECT id FROM cells WHERE allocation = :allocation AND resource = :resource);

-- name: close_buckets_for
-- Second of three.
DELETE FROM buckets
 WHERE cell IN (SELECT id FROM cells WHERE allocation = :allocation AND resource = :resource);

-- name: close_cells_for
-- Third of three.
DELETE FROM cells WHERE allocation = :allocation AND resource = :resource;

-- name: remove_allocation
-- After its cells.
DELETE FROM allocations WHERE id = :allocation;

-- name: put_override
-- Its key is its resource, currency, cadence, scope and start. Where it says the same limit as before, it
-- was put when it was. Customer, resource and currency exist
-- (NOT NULL refuses those that do not).
INSERT INTO overrides (customer, resource, currency, cadence, scope, lim, add_units, reason, actor,
                       effective_at_us, expires_at_us, put_at_us)
SELECT customers.id,
       (SELECT r.id FROM resources AS r WHERE r.customer = customers.id AND r.resource_id = :resource_id),
       (SELECT u.id FROM currencies AS u WHERE u.currency_id = :currency_id),
       :cadence, :scope, :limit_units, :add_units, :reason, :actor, :effective_at_us, :expires_at_us, :at_us
  FROM (SELECT (SELECT id FROM customers WHERE customer_id = :customer_id) AS id) AS customers
 WHERE true
    ON CONFLICT (resource, currency, scope, ifnull(cadence, ''),
                 ifnull(effective_at_us, -9223372036854775808)) DO UPDATE
   SET lim = excluded.lim, add_units = excluded.add_units, reason = excluded.reason, actor = excluded.actor,
       expires_at_us = excluded.expires_at_us,
       put_at_us = CASE WHEN lim IS excluded.lim AND add_units IS excluded.add_units THEN put_at_us
                        ELSE excluded.put_at_us END;

-- name: remove_override
-- Cells follow when they are next asked for.
DELETE FROM overrides WHERE id = :override;

-- name: grant_named
-- What a grant of that key is now, as far as its cells depend on it. No row: it is new.
SELECT g.id, g.cadence, g.timezone, g.anchor_us
  FROM grants AS g JOIN customers AS u ON u.id = g.customer
 WHERE u.customer_id = :customer_id AND g.grant_id = :grant_id;

-- name: put_grant
-- Its key is its customer and id. Customer and currency exist (NOT NULL refuses those that do not).
-- What was voided stays void.
INSERT INTO grants (customer, grant_id, currency, amount_units, priority, kind, effective_at_us,
                    expires_at_us, cadence, timezone, anchor_us, thresholds)
SELECT (SELECT id FROM customers WHERE customer_id = :customer_id), :grant_id,
       (SELECT id FROM currencies WHERE currency_id = :currency_id), :amount_units, :priority, :kind,
       :effective_at_us, :expires_at_us, :cadence, :timezone, :anchor_us, :thresholds
 WHERE true
    ON CONFLICT (customer, grant_id) DO UPDATE
   SET currency = excluded.currency, amount_units = excluded.amount_units, priority = excluded.priority,
       kind = excluded.kind, effective_at_us = excluded.effective_at_us,
       expires_at_us = excluded.expires_at_us, cadence = excluded.cadence, timezone = excluded.timezone,
       anchor_us = excluded.anchor_us, thresholds = excluded.thresholds;

-- name: void_grant
-- By its row. No row changed: it was void already.
UPDATE grants SET voided_at_us = :at_us WHERE id = :grant AND voided_at_us IS NULL;

-- name: retire_price
-- By its row. Prices are never deleted: events name them.
UPDATE prices SET retired_at_us = :at_us WHERE id = :price AND retired_at_us IS NULL;

-- name: retire_price_like
-- The live one of the same key, before another takes its place. No row changed: there was none.
UPDATE prices SET retired_at_us = :at_us
 WHERE retired_at_us IS NULL AND model = :model AND provider IS :provider
   AND customer = CASE WHEN :customer_id IS NULL THEN 0
                       ELSE (SELECT id FROM customers WHERE customer_id = :customer_id) END
   AND effective_at_us IS :effective_at_us;

-- name: put_price
-- The unique index refuses a second live one of a key.
INSERT INTO prices (customer, provider, model, per_million, each, effective_at_us, expires_at_us)
VALUES (CASE WHEN :customer_id IS NULL THEN 0 ELSE (SELECT id FROM customers WHERE customer_id = :customer_id)
        END, :provider, :model, :per_million, :each, :effective_at_us, :expires_at_us);

-- name: retire_rate
-- By its row. Rates are never deleted: events name them.
UPDATE rates SET retired_at_us = :at_us WHERE id = :rate AND retired_at_us IS NULL;

-- name: retire_rate_like
-- The live one of the same key, before another takes its place. No row changed: there was none.
UPDATE rates SET retired_at_us = :at_us
 WHERE retired_at_us IS NULL AND event_name = :event_name
   AND customer = CASE WHEN :customer_id IS NULL THEN 0
                       ELSE (SELECT id FROM customers WHERE customer_id = :customer_id) END
   AND currency = (SELECT id FROM currencies WHERE currency_id = :currency_id)
   AND matching = :where AND effective_at_us IS :effective_at_us;

-- name: put_rate
-- The unique index refuses a second live one of a key.
INSERT INTO rates (customer, event_name, currency, matching, credits, terms, effective_at_us)
VALUES (CASE WHEN :customer_id IS NULL THEN 0 ELSE (SELECT id FROM customers WHERE customer_id = :customer_id)
        END, :event_name, (SELECT id FROM currencies WHERE currency_id = :currency_id), :where, :credits,
        :terms, :effective_at_us);

-- name: append_audit
-- Lines are only ever appended.
INSERT INTO audit (at_us, customer_id, actor, reason, verb, subject, before, after)
VALUES (:at_us, :customer_id, :actor, :reason, :verb, :subject, :before, :after);

-- name: raise_customer_version
-- No row changed: no such customer.
UPDATE customers SET model_version = model_version + 1 WHERE customer_id = :customer_id;

-- name: raise_versions
-- Every change of the model raises `change`; what is for all customers the model version too.
UPDATE ledger SET change = change + 1, model_version = model_version + :for_all;

-- ================================================================ erasing

-- name: erase_resource
-- By its row: it is the same resource, under another id.
UPDATE resources SET resource_id = :token, name = NULL, properties = :properties, suspension = :suspension
 WHERE id = :resource;

-- name: allocations_to_erase
-- All of a customer: any may count by a dimension.
SELECT id, allocation_id, resource, scope FROM allocations WHERE customer = :customer;

-- name: erase_allocation
-- What it counts is the same: its events say the same as its scope.
UPDATE allocations SET allocation_id = :allocation_id, scope = :scope WHERE id = :allocation;

-- name: overrides_to_erase
-- All of a customer; those that have ended too.
SELECT id, resource, scope, reason, actor FROM overrides WHERE customer = :customer;

-- name: erase_override
-- As `erase_allocation`.
UPDATE overrides SET scope = :scope, reason = :reason, actor = :actor WHERE id = :override;

-- name: rates_to_erase
-- A customer's own; the retired ones too.
SELECT id, matching FROM rates WHERE customer = :customer;

-- name: erase_rate
-- It prices the same events.
UPDATE rates SET matching = :where WHERE id = :rate;

-- name: warnings_to_erase
-- All of a customer.
SELECT id, resource, name, scope FROM warnings WHERE customer = :customer;

-- name: erase_warning
-- Which limit crossed what, and when, stays.
UPDATE warnings SET name = :name, scope = :scope WHERE id = :warning;

-- name: events_to_erase
-- A customer's events that were charged to a resource or below it, or that may say its id. In ledger order.
SELECT e.id
  FROM events AS e
 WHERE e.customer = :customer
   AND (EXISTS (SELECT 1 FROM path_resources AS r WHERE r.resource = :resource AND r.path = e.path)
        OR instr(e.dimensions, :said) > 0 OR instr(e.unattributed, :said) > 0)
 ORDER BY e.id;

-- name: events_as_they_are
-- What of them may say who it was; and whether they were charged to the resource or below it.
SELECT e.id, e.namespace, e.key, e.dimensions, e.unattributed, e.fingerprint,
       EXISTS (SELECT 1 FROM path_resources AS r WHERE r.resource = :resource AND r.path = e.path)
  FROM json_each(:events) AS asked JOIN events AS e ON e.id = asked.value
 ORDER BY e.id;

-- name: erase_event
-- No amount, instant or path: whatever is summed stays what it is.
UPDATE events
   SET key = :key, dimensions = :dimensions, unattributed = :unattributed, fingerprint = :fingerprint
 WHERE id = :event;

-- name: audit_to_erase
-- All lines of a customer, and those for all, which somebody of it may have been the actor of. The one
-- exception to lines that are only ever appended.
SELECT id, actor, reason, subject, before, after
  FROM audit WHERE customer_id = :customer_id OR customer_id IS NULL;

-- name: erase_audit_line
-- What was done, and when, stays.
UPDATE audit
   SET actor = :actor, reason = :reason, subject = :subject, before = :before, after = :after
 WHERE id = :line;

-- ================================================================ denials

-- name: row_of_customer
-- No row: there is no such customer.
SELECT id FROM customers WHERE customer_id = :customer_id;

-- name: customer_of_all
-- Whose resources they all are. No row: nobody's; two rows: that cannot be told.
SELECT customer
  FROM resources
 WHERE resource_id IN (SELECT value FROM json_each(:resource_ids))
 GROUP BY customer
HAVING count(*) = (SELECT count(DISTINCT value) FROM json_each(:resource_ids))
 LIMIT 2;

-- name: denial_of_the_same
-- The denial of the same request with the same numbers, if it was not long ago. No row: this is the first
-- of its kind. The digest finds it; what is equal decides.
SELECT id, decision_id, other_ids
  FROM denials
 WHERE kind = :kind AND first_at_us >= :since_us AND customer = :customer AND verb = :verb
   AND reason = :reason AND resource_ids = :resource_ids AND dimensions = :dimensions
   AND event_name IS :event_name AND decision = :decision
 ORDER BY first_at_us DESC LIMIT 1;

-- name: append_denial
-- One that was kept before under its id stays as it is: a write whose answer was lost is sent again.
INSERT OR IGNORE INTO denials (customer, decision_id, other_ids, first_at_us, last_at_us, times, verb, reason,
                     resource_ids, dimensions, event_name, decision, kind)
VALUES (:customer, :decision_id, :other_ids, :first_at_us, :last_at_us, :times, :verb, :reason,
        :resource_ids, :dimensions, :event_name, :decision, :kind);

-- name: add_to_denial
-- Each had the same numbers.
UPDATE denials
   SET times = times + :times, last_at_us = max(last_at_us, :last_at_us), other_ids = :other_ids
 WHERE id = :denial;

-- name: drop_denials
-- The oldest, where there are more than so many; how many denials each row was.
DELETE FROM denials WHERE id <= (SELECT max(id) FROM denials) - :most RETURNING times;

-- name: count_dropped_denials
-- That many are not kept any more, or never were.
UPDATE ledger SET denials_dropped = denials_dropped + :dropped;

-- name: denials_dropped
-- Always one row.
SELECT denials_dropped FROM ledger;

-- name: denials
-- The newest first, by the index, so that nothing is sorted; of a customer, of a reason, that named a
-- resource, in a time.
SELECT d.id, c.customer_id, d.decision_id, d.other_ids, d.first_at_us, d.last_at_us, d.times, d.verb,
       d.reason, d.resource_ids, d.dimensions, d.event_name, d.decision
  FROM denials AS d LEFT JOIN customers AS c ON c.id = d.customer
 WHERE (:customer IS NULL OR d.customer = :customer) AND (:reason IS NULL OR d.reason = :reason)
   AND d.last_at_us >= :since_us AND d.first_at_us < :until_us
   AND (:resource IS NULL OR EXISTS (SELECT 1 FROM json_each(d.resource_ids) AS r WHERE r.value = :resource))
 ORDER BY d.last_at_us DESC, d.id DESC;

-- name: denial_by_id
-- No row: it is not the first of its kind, or is not kept.
SELECT d.id, c.customer_id, d.decision_id, d.other_ids, d.first_at_us, d.last_at_us, d.times, d.verb,
       d.reason, d.resource_ids, d.dimensions, d.event_name, d.decision
  FROM denials AS d LEFT JOIN customers AS c ON c.id = d.customer
 WHERE d.decision_id = :decision_id;

-- name: denial_by_other_id
-- A walk over all of them: somebody asks now and then. No row: it is not kept.
SELECT d.id, c.customer_id, d.decision_id, d.other_ids, d.first_at_us, d.last_at_us, d.times, d.verb,
       d.reason, d.resource_ids, d.dimensions, d.event_name, d.decision
  FROM denials AS d LEFT JOIN customers AS c ON c.id = d.customer
 WHERE instr(d.other_ids, :said) > 0
 LIMIT 1;

-- name: latest_events
-- The last events that were charged to a resource, of those from one instant until another that were booked
-- by a third: so many at most, the newest first; all parts of each.
SELECT e.id, e.customer, e.namespace, e.key, e.part, e.currency, e.amount_units, e.overage_units,
       p.members, e.event_name, e.dimensions, e.occurred_at_us, e.booked_at_us, e.reservation,
       e.reverses, e.rate, e.flags, e.unattributed, e.fingerprint
  FROM (SELECT id, customer, namespace, key, occurred_at_us
          FROM events
         WHERE customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
           AND part = 0 AND booked_at_us <= :booked_us
           AND (:resource = 0
                OR EXISTS (SELECT 1 FROM path_resources AS r
                            WHERE r.resource = :resource AND r.path = events.path))
         ORDER BY occurred_at_us DESC, id DESC
         LIMIT :most) AS last
 CROSS JOIN events AS e
    ON e.customer = last.customer AND e.namespace = last.namespace AND e.key = last.key
 CROSS JOIN paths AS p ON p.id = e.path
 ORDER BY last.occurred_at_us DESC, last.id DESC, e.part;

-- name: spent_by
-- What was charged to a resource in a currency and a window, and was booked by an instant and up to an event,
-- by path: its members, two halves, how many events. No row: nothing was.
SELECT p.members, s.high, s.low, s.events
  FROM (SELECT path, sum(amount_units >> 32) AS high, sum(amount_units & 0xffffffff) AS low,
               count(*) AS events
          FROM events
         WHERE customer = :customer AND occurred_at_us >= :since_us AND occurred_at_us < :until_us
           AND currency = :currency AND booked_at_us <= :booked_us AND id <= :last_event
           AND EXISTS (SELECT 1 FROM path_resources AS r
                        WHERE r.resource = :resource AND r.path = events.path)
         GROUP BY path) AS s
  JOIN paths AS p ON p.id = s.path;

-- name: paid_by
-- The same of what some grants paid, each in its window.
SELECT p.members, s.high, s.low, s.events
  FROM (SELECT e.path, sum(paid.amount >> 32) AS high, sum(paid.amount & 0xffffffff) AS low,
               count(DISTINCT e.id) AS events
          FROM json_each(:grants) AS g
         CROSS JOIN event_grants AS paid ON paid.grant_id = json_extract(g.value, '$[0]')
         CROSS JOIN events AS e ON e.id = paid.event
         WHERE e.occurred_at_us >= json_extract(g.value, '$[1]')
           AND e.occurred_at_us < json_extract(g.value, '$[2]')
           AND e.booked_at_us <= :booked_us AND e.id <= :last_event
         GROUP BY e.path) AS s
  JOIN paths AS p ON p.id = s.path;

-- name: event_of_reservation
-- The event that a reservation's settle booked. No row: it was not settled. A walk over all events: somebody
-- asks now and then.
SELECT id FROM events WHERE reservation = :reservation AND part = 0 LIMIT 1;

-- name: denials_to_erase
-- All of a customer, and those of which nobody knows whose they are.
SELECT id, resource_ids, dimensions, decision FROM denials WHERE customer IN (:customer, 0);

-- name: erase_denial
-- Who was denied; when, and by what, stays. The digest goes: who guesses an id could tell it by that.
UPDATE denials SET resource_ids = :resource_ids, dimensions = :dimensions, decision = :decision, kind = 0
 WHERE id = :denial;

-- ================================================================ the file

-- name: schema_version
-- No row: the file was made, but its ledger was not (LedgerCorrupt).
SELECT schema_version FROM ledger;

-- name: create_ledger
-- Once, in the transaction that makes the tables.
INSERT INTO ledger (id, schema_version, model_version, change, created_at_us)
VALUES (:id, :schema_version, 1, 1, :created_at_us);

-- name: set_schema_version
-- In the transaction that migrates.
UPDATE ledger SET schema_version = :schema_version;
