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
-- May this holder write, and what for? Always one row; `state` null: no such holder (Fenced).
SELECT ledger.change,
       (SELECT state FROM holders WHERE id = :holder) AS state,
       (SELECT count(*) FROM holders WHERE state = 0) AS alive
  FROM ledger;

-- name: numbers
-- The cells of those ids as one holder sees them. One that is missing has been closed.
-- Always one row.
SELECT json_group_array(json_array(
         c.id, c.allocation, c.resource, c.window_start_us, c.lim, c.used, c.granted, c.hush_until,
         coalesce(s.granted, 0), coalesce(s.exact, 1),
         json((SELECT json_group_array(json_array(o.granted, o.until_us))
                 FROM shares AS o WHERE o.cell = c.id AND o.until_us > 0))))
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
-- Cells by allocation, resource and window. One that is missing: no such allocation. `id` null:
-- not open yet. Always one row.
SELECT json_group_array(json_array(
         json_extract(asked.value, '$[1]'), json_extract(asked.value, '$[2]'), a.id, a.lim,
         a.customer, a.currency,
         c.id, c.used, c.granted, c.lim, coalesce(s.granted, 0), coalesce(s.exact, 1),
         json((SELECT json_group_array(json_array(o.granted, o.until_us))
                 FROM shares AS o WHERE o.cell = c.id AND o.until_us > 0))))
  FROM json_each(:keys) AS asked
  JOIN allocations AS a ON a.id = json_extract(asked.value, '$[0]')
  LEFT JOIN cells AS c
    ON c.allocation = a.id AND c.resource = json_extract(asked.value, '$[1]')
   AND c.window_start_us = json_extract(asked.value, '$[2]')
  LEFT JOIN shares AS s ON s.cell = c.id AND s.holder = :holder AND s.until_us = 0;

-- name: open_cell
-- `used` is the sum of its events; nothing is granted. It is not open: `cells_by_key` said so in
-- this transaction.
INSERT INTO cells (allocation, resource, window_start_us, lim, used)
SELECT id, :resource, :window_start_us, lim, :used FROM allocations WHERE id = :allocation;

-- name: last_event
-- Null: there is none.
SELECT max(id) FROM events;

-- name: used_until
-- The sum of a resource's events in a currency, up to an event, in two halves: what nobody
-- limited has no bound, and may be more than 64 bits hold. A walk over one customer's part of
-- an index, and none where the resource never was on a path. Null: no events.
SELECT sum(amount_units >> 32), sum(amount_units & 0xffffffff)
  FROM events
 WHERE EXISTS (SELECT 1 FROM path_resources WHERE resource = :resource)
   AND customer = :customer AND currency = :currency AND id <= :last_event
   AND path IN (SELECT path FROM path_resources WHERE resource = :resource);

-- name: used_since
-- The same over what came after that event: few rows, by their ids.
SELECT sum(amount_units >> 32), sum(amount_units & 0xffffffff)
  FROM events
 WHERE id > :last_event AND +customer = :customer AND currency = :currency
   AND path IN (SELECT path FROM path_resources WHERE resource = :resource);

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
SELECT id, name, host, boot, pid, lock_inode, state, ttl_max_ms FROM holders WHERE state = 0 ORDER BY id;

-- name: enlist
-- Only where `live_holders` gave no row, in the same transaction.
INSERT INTO holders (name, host, boot, pid, lock_inode, ttl_max_ms)
VALUES (:name, :host, :boot, :pid, :lock_inode, :ttl_max_ms);

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

-- ================================================================ usage: is it what it should be

-- name: quick_check
-- One row "ok", or one for each thing that is wrong with the file.
PRAGMA quick_check;

-- name: cells_with_sums
-- Every cell beside the sum of its events (two halves) and of its shares. `customer`, `resource_id`
-- and the currency are null where what they name is gone.
WITH by_path AS MATERIALIZED (
       SELECT path, currency, sum(amount_units >> 32) AS high, sum(amount_units & 0xffffffff) AS low
         FROM events GROUP BY path, currency),
     by_resource AS MATERIALIZED (
       SELECT r.resource, by_path.currency, sum(high) AS high, sum(low) AS low
         FROM by_path JOIN path_resources AS r ON r.path = by_path.path
        GROUP BY r.resource, by_path.currency),
     by_cell AS MATERIALIZED (SELECT cell, sum(granted) AS granted FROM shares GROUP BY cell)
SELECT c.id, c.allocation, resources.resource_id, currencies.currency_id,
       c.used, coalesce(by_resource.high, 0), coalesce(by_resource.low, 0),
       c.granted, coalesce(by_cell.granted, 0)
  FROM cells AS c
  LEFT JOIN allocations AS a ON a.id = c.allocation
  LEFT JOIN resources ON resources.id = c.resource
  LEFT JOIN currencies ON currencies.id = a.currency
  LEFT JOIN by_resource ON by_resource.resource = c.resource AND by_resource.currency = a.currency
  LEFT JOIN by_cell ON by_cell.cell = c.id
 ORDER BY c.id;

-- name: shares_gone_wrong
-- Negative ones, and those of a cell that is not there. No row: none is.
SELECT cell, holder, until_us, granted,
       EXISTS (SELECT 1 FROM cells WHERE cells.id = shares.cell) AS has_cell
  FROM shares
 WHERE granted < 0 OR NOT EXISTS (SELECT 1 FROM cells WHERE cells.id = shares.cell)
 ORDER BY cell, holder, until_us;

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
-- The currencies in which a customer has a limit or usage. No row: none yet.
SELECT c.id FROM currencies AS c
 WHERE EXISTS (SELECT 1 FROM allocations WHERE customer = :customer AND currency = c.id)
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
-- It and everything below it, ancestors first. No row: there is no such resource.
WITH RECURSIVE down (id, depth) AS (
  SELECT id, 0 FROM resources WHERE customer = :customer AND resource_id = :resource_id
   UNION ALL
  SELECT r.id, down.depth + 1 FROM down JOIN resources AS r ON r.parent = down.id WHERE down.depth < 100000
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
-- All of them.
SELECT a.id, a.customer, a.allocation_id, a.resource, r.resource_id, a.currency, a.lim, a.enforcement
  FROM allocations AS a JOIN resources AS r ON r.id = a.resource
 ORDER BY a.id;

-- name: allocations_of
-- Of a customer.
SELECT a.id, a.customer, a.allocation_id, a.resource, r.resource_id, a.currency, a.lim, a.enforcement
  FROM allocations AS a JOIN resources AS r ON r.id = a.resource
 WHERE a.customer = :customer
 ORDER BY a.id;

-- name: allocations_on
-- On those resources. No row: nothing limits them.
SELECT a.id, a.customer, a.allocation_id, a.resource, r.resource_id, a.currency, a.lim, a.enforcement
  FROM json_each(:resources) AS asked
  JOIN allocations AS a ON a.resource = asked.value
  JOIN resources AS r ON r.id = a.resource
 ORDER BY a.id;

-- name: rates
-- The live ones; `customer_id` null: for all.
SELECT rates.id, customers.customer_id, rates.event_name, rates.currency, rates.credits, rates.terms
  FROM rates LEFT JOIN customers ON customers.id = rates.customer
 WHERE rates.retired_at_us IS NULL AND (:event_name IS NULL OR rates.event_name = :event_name)
 ORDER BY rates.id;

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
   AND (EXISTS (SELECT 1 FROM allocations AS a JOIN cells AS c ON c.allocation = a.id WHERE a.currency = u.id)
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

-- name: close_moved_shares
-- Before `put_named_allocation`: an allocation that turns to another resource or currency counts
-- anew, so its cells go, and their shares with them.
DELETE FROM shares WHERE cell IN (
  SELECT c.id FROM allocations AS a JOIN cells AS c ON c.allocation = a.id
   WHERE a.customer = (SELECT id FROM customers WHERE customer_id = :customer_id)
     AND a.allocation_id = :allocation_id
     AND (a.resource <> (SELECT id FROM resources
                          WHERE customer = a.customer AND resource_id = :resource_id)
          OR a.currency <> (SELECT id FROM currencies WHERE currency_id = :currency_id)));

-- name: close_moved_cells
-- After `close_moved_shares`, with the same condition.
DELETE FROM cells WHERE allocation IN (
  SELECT a.id FROM allocations AS a
   WHERE a.customer = (SELECT id FROM customers WHERE customer_id = :customer_id)
     AND a.allocation_id = :allocation_id
     AND (a.resource <> (SELECT id FROM resources
                          WHERE customer = a.customer AND resource_id = :resource_id)
          OR a.currency <> (SELECT id FROM currencies WHERE currency_id = :currency_id)));

-- name: put_named_allocation
-- Its key is its id. Resource and currency exist (NOT NULL refuses those that do not).
INSERT INTO allocations (customer, allocation_id, resource, currency, lim, enforcement)
SELECT customers.id, :allocation_id,
       (SELECT r.id FROM resources AS r WHERE r.customer = customers.id AND r.resource_id = :resource_id),
       (SELECT u.id FROM currencies AS u WHERE u.currency_id = :currency_id), :limit_units, :enforcement
  FROM (SELECT (SELECT id FROM customers WHERE customer_id = :customer_id) AS id) AS customers
 WHERE true
    ON CONFLICT (customer, allocation_id) DO UPDATE
   SET resource = excluded.resource, currency = excluded.currency, lim = excluded.lim,
       enforcement = excluded.enforcement;

-- name: put_unnamed_allocation
-- Its key is its resource and currency.
INSERT INTO allocations (customer, allocation_id, resource, currency, lim, enforcement)
SELECT customers.id, NULL,
       (SELECT r.id FROM resources AS r WHERE r.customer = customers.id AND r.resource_id = :resource_id),
       (SELECT u.id FROM currencies AS u WHERE u.currency_id = :currency_id), :limit_units, :enforcement
  FROM (SELECT (SELECT id FROM customers WHERE customer_id = :customer_id) AS id) AS customers
 WHERE true
    ON CONFLICT (resource, currency) WHERE allocation_id IS NULL DO UPDATE
   SET lim = excluded.lim, enforcement = excluded.enforcement;

-- name: set_limit
-- Of the open cells of an allocation, found by its id or (null) by resource and currency. Where
-- less is left than was granted already, nobody draws a surplus for a while. No row changed: no
-- cell of it is open, or its limit is what it was.
UPDATE cells
   SET lim = :limit_units,
       hush_until = CASE WHEN granted > 0 AND used + granted > :limit_units
                         THEN max(hush_until, :hush_until) ELSE hush_until END
 WHERE lim <> :limit_units
   AND allocation = CASE WHEN :allocation_id IS NOT NULL
     THEN (SELECT a.id FROM customers AS u JOIN allocations AS a
               ON a.customer = u.id AND a.allocation_id = :allocation_id
            WHERE u.customer_id = :customer_id)
     ELSE (SELECT a.id FROM customers AS u
             JOIN resources AS r ON r.customer = u.id AND r.resource_id = :resource_id
             JOIN allocations AS a ON a.resource = r.id AND a.allocation_id IS NULL
             JOIN currencies AS c ON c.id = a.currency
            WHERE u.customer_id = :customer_id AND c.currency_id = :currency_id) END;

-- name: close_shares
-- First of three: what ends an allocation ends its cells and their shares with it.
DELETE FROM shares WHERE cell IN (SELECT id FROM cells WHERE allocation = :allocation);

-- name: close_cells
-- Second of three. Holds settle without them.
DELETE FROM cells WHERE allocation = :allocation;

-- name: remove_allocation
-- Third of three.
DELETE FROM allocations WHERE id = :allocation;

-- name: retire_rate
-- By its row. Rates are never deleted: events name them.
UPDATE rates SET retired_at_us = :at_us WHERE id = :rate AND retired_at_us IS NULL;

-- name: retire_rate_like
-- The live one of the same key, before another takes its place. No row changed: there was none.
UPDATE rates SET retired_at_us = :at_us
 WHERE retired_at_us IS NULL AND event_name = :event_name
   AND customer = CASE WHEN :customer_id IS NULL THEN 0
                       ELSE (SELECT id FROM customers WHERE customer_id = :customer_id) END
   AND currency = (SELECT id FROM currencies WHERE currency_id = :currency_id);

-- name: put_rate
-- The unique index refuses a second live one of a key.
INSERT INTO rates (customer, event_name, currency, credits, terms)
VALUES (CASE WHEN :customer_id IS NULL THEN 0 ELSE (SELECT id FROM customers WHERE customer_id = :customer_id)
        END, :event_name, (SELECT id FROM currencies WHERE currency_id = :currency_id), :credits, :terms);

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
