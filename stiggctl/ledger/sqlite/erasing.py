"""Erasing: a resource's id, name and properties go from every row that has them, in one transaction.

Here: which tables have them, and how each is gone through. Not here: how a text is rewritten
(forgetting.py), what remains in the file's unused bytes (remains.py).

A table that comes to say something of a resource gets a function of its own, and a place in PLACES.

What always holds:
  ER1  All of it or nothing. Amounts, instants, paths and cells are not touched: every sum is what it was.
  ER2  Events and the limits that count them by a dimension change in the same transaction: what was in a
       scope stays in it.
  ER3  Nothing that is left can be compared with a guess: the fingerprint of an event is a hash of what
       was said, and is replaced as its key is.
"""

import json
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from stiggctl.definitions import json_text
from stiggctl.events import COVERED
from stiggctl.ledger import Stale
from stiggctl.ledger.forgetting import Forgotten
from stiggctl.ledger.records import KEYS_OF_USERS, Erasure, Forgot
from stiggctl.ledger.sqlite import remains
from stiggctl.ledger.sqlite.statements import SQL

#: A fingerprint that no report has: as long as one, random.
_FINGERPRINT_BYTES = 16 + 4 * len(COVERED)
#: What stands for the fingerprint of events that the library books under keys of its own.
_OF_OURS = (b"reverse", b"adjust")
# Events that are read before they are rewritten: in one list a million would take a gigabyte.
_EVENTS_AT_A_TIME = 2_000


def erase(cursor: sqlite3.Cursor, erasure: Erasure) -> Forgot:
    """Rewrite every row that says something of it, and write the audit line that says so. Raises Stale."""
    (_, _, _, change) = cursor.execute(SQL["state"]).fetchone()
    if change != erasure.expected_change:
        raise Stale
    names = frozenset(_names(cursor, erasure))
    forgotten = Forgotten(
        erasure.resource_id, erasure.token, frozenset(erasure.attribution_keys), names - {erasure.resource_id}
    )
    counts: Counter[str] = Counter()
    for erase_there in PLACES:
        counts += erase_there(cursor, erasure, forgotten) or Counter()
    forgot = Forgot(change + 1, counts["events"], counts["keys"])
    cursor.execute(SQL["append_audit"], _audit_line(erasure, forgotten, forgot))
    cursor.execute(SQL["raise_customer_version"], {"customer_id": erasure.customer_id})
    cursor.execute(SQL["raise_versions"], {"for_all": 0})
    remains.mark(cursor)
    return forgot


def _names(cursor: sqlite3.Cursor, erasure: Erasure) -> Iterator[str]:
    """How it is and was called: by its row, and by the audit."""
    if erasure.name:
        yield erasure.name
    by_id = Forgotten(erasure.resource_id, erasure.token, frozenset())
    for _, _, _, _, before, after in _audit_of(cursor, erasure):
        yield from by_id.names_in(before)
        yield from by_id.names_in(after)


def _audit_line(erasure: Erasure, forgotten: Forgotten, forgot: Forgot) -> dict[str, object]:
    said = {
        "id": erasure.token,
        "events": forgot.events,
        "idempotencyKeys": forgot.keys,
        "note": "a report that is sent again under a key of these is new usage",
    }
    return {
        "at_us": erasure.at_us,
        "customer_id": erasure.customer_id,
        "actor": forgotten.text(erasure.actor, about=True),
        "reason": forgotten.text(erasure.reason, about=True),
        "verb": "erase",
        "subject": f"resource {erasure.token}",
        "before": None,
        "after": json_text(said),
    }


# ------------------------------------------------------------------ the model


def _in_resources(cursor: sqlite3.Cursor, erasure: Erasure, _: Forgotten) -> None:
    row = {
        "resource": erasure.resource,
        "token": erasure.token,
        "properties": erasure.properties,
        "suspension": erasure.suspension,
    }
    cursor.execute(SQL["erase_resource"], row)


def _in_allocations(cursor: sqlite3.Cursor, erasure: Erasure, forgotten: Forgotten) -> None:
    found = cursor.execute(SQL["allocations_to_erase"], {"customer": erasure.customer}).fetchall()
    rows = []
    for allocation, allocation_id, resource, scope in found:
        own = resource == erasure.resource and allocation_id is not None
        named = forgotten.own_id(allocation_id) if own else forgotten.text(allocation_id)
        row = {"allocation": allocation, "allocation_id": named, "scope": forgotten.scope(scope)}
        if (named, row["scope"]) != (allocation_id, scope):
            rows.append(row)
    cursor.executemany(SQL["erase_allocation"], rows)


def _in_overrides(cursor: sqlite3.Cursor, erasure: Erasure, forgotten: Forgotten) -> None:
    found = cursor.execute(SQL["overrides_to_erase"], {"customer": erasure.customer}).fetchall()
    rows = []
    for override, resource, scope, reason, actor in found:
        about = resource == erasure.resource
        said = (
            forgotten.scope(scope),
            forgotten.text(reason, about=about),
            forgotten.text(actor, about=about),
        )
        if said != (scope, reason, actor):
            rows.append({"override": override, "scope": said[0], "reason": said[1], "actor": said[2]})
    cursor.executemany(SQL["erase_override"], rows)


def _in_rates(cursor: sqlite3.Cursor, erasure: Erasure, forgotten: Forgotten) -> None:
    found = cursor.execute(SQL["rates_to_erase"], {"customer": erasure.customer}).fetchall()
    rows = [
        {"rate": rate, "where": where}
        for rate, former in found
        if (where := forgotten.scope(former)) != former
    ]
    cursor.executemany(SQL["erase_rate"], rows)


def _in_warnings(cursor: sqlite3.Cursor, erasure: Erasure, forgotten: Forgotten) -> None:
    """What a warning says of its limit: its id, and what it counted then."""
    found = cursor.execute(SQL["warnings_to_erase"], {"customer": erasure.customer}).fetchall()
    rows = []
    for warning, resource, name, scope in found:
        own = resource == erasure.resource and name is not None
        said = forgotten.own_id(name) if own else forgotten.text(name), forgotten.scope(scope)
        if said != (name, scope):
            rows.append({"warning": warning, "name": said[0], "scope": said[1]})
    cursor.executemany(SQL["erase_warning"], rows)


def _in_denials(cursor: sqlite3.Cursor, erasure: Erasure, forgotten: Forgotten) -> None:
    """Who was denied, by their own limits or by others'."""
    found = cursor.execute(SQL["denials_to_erase"], {"customer": erasure.customer}).fetchall()
    rows = []
    for denial, resources, dimensions, decision in found:
        said = (
            forgotten.entry(resources),
            forgotten.dimensions(dimensions, about=False),
            forgotten.entry(decision),
        )
        if said != (resources, dimensions, decision):
            row = {"resource_ids": said[0], "dimensions": said[1], "decision": said[2]}
            rows.append({"denial": denial, **row})
    cursor.executemany(SQL["erase_denial"], rows)


# ------------------------------------------------------------------ usage


def _in_events(cursor: sqlite3.Cursor, erasure: Erasure, forgotten: Forgotten) -> Counter[str]:
    """Those that were charged to it or below it, and those that say its id; with their users' keys."""
    asked = {
        "customer": erasure.customer,
        "resource": erasure.resource,
        # As it stands in JSON, be it text or a number: more are found than say it.
        "said": json_text(erasure.resource_id)[1:-1],
    }
    found = [event for (event,) in cursor.execute(SQL["events_to_erase"], asked)]
    counts: Counter[str] = Counter()
    former, key = "", ""
    for at in range(0, len(found), _EVENTS_AT_A_TIME):
        asked = {
            "events": json.dumps(found[at : at + _EVENTS_AT_A_TIME]),
            "resource": erasure.resource,
        }
        rows = []
        for event, namespace, was, said, unknown, fingerprint, charged in cursor.execute(
            SQL["events_as_they_are"], asked
        ).fetchall():
            dimensions = forgotten.dimensions(said, about=bool(charged))
            unattributed = forgotten.unattributed(unknown)
            if not charged and (dimensions, unattributed) == (said, unknown):
                continue
            if was != former:  # the parts of an event follow each other, and share their key
                former, key = was, secrets.token_hex(16) if namespace == KEYS_OF_USERS else was
                counts["events"] += 1
                counts["keys"] += key != was
            rows.append(
                {
                    "event": event,
                    "key": key,
                    "dimensions": dimensions,
                    "unattributed": unattributed,
                    "fingerprint": fingerprint
                    if fingerprint in _OF_OURS
                    else secrets.token_bytes(_FINGERPRINT_BYTES),
                }
            )
        cursor.executemany(SQL["erase_event"], rows)
    return counts


# ------------------------------------------------------------------ the audit


def _in_audit(cursor: sqlite3.Cursor, erasure: Erasure, forgotten: Forgotten) -> None:
    rows = []
    for line, actor, reason, subject, before, after in _audit_of(cursor, erasure):
        entries = forgotten.entry(before), forgotten.entry(after)
        about = entries != (before, after) or forgotten.mentions(subject)
        told = subject
        for own in {*forgotten.ids_in(before), *forgotten.ids_in(after)}:
            told = told.replace(own, forgotten.own_id(own))
        row = {
            "line": line,
            "actor": forgotten.text(actor, about=about),
            "reason": forgotten.text(reason, about=about),
            "subject": forgotten.text(told, about=about),
            "before": entries[0],
            "after": entries[1],
        }
        if tuple(row.values())[1:] != (actor, reason, subject, before, after):
            rows.append(row)
    cursor.executemany(SQL["erase_audit_line"], rows)


def _audit_of(cursor: sqlite3.Cursor, erasure: Erasure) -> list[tuple[Any, ...]]:
    return cursor.execute(SQL["audit_to_erase"], {"customer_id": erasure.customer_id}).fetchall()


#: Where something of a resource stands: each function rewrites the rows of one place. Those that return
#: counts tell how many events and keys these were.
PLACES: tuple[Callable[[sqlite3.Cursor, Erasure, Forgotten], Counter[str] | None], ...] = (
    _in_resources,
    _in_allocations,
    _in_overrides,
    _in_rates,
    _in_warnings,
    _in_denials,
    _in_events,
    _in_audit,
)
