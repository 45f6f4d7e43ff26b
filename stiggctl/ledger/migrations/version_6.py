"""Version 6: the view for people tells amounts and instants exactly.

Never edited once released: a change is another version.

The view `usage` had amounts and instants as REAL, which rounds. Now both are made of integers: an amount
is an integer where its currency has no decimals, else text as the library writes it, "0.000000123";
`amount_units` and `decimals` are there for sums. The resources of an event are read from its path's own
row: a look for them by path was a walk over all paths, for every event.
"""

# What is shown of a number of units, {units}, without a REAL anywhere. A power of ten is written out and
# read as an integer; 18 decimals still fit. The text that rtrim is given begins with the point, so the
# zeros at its end go, and the point where nothing else is left. `||` binds before `/` and `%`.
_POWER = "CAST('1' || substr('000000000000000000', 1, currencies.decimals) AS INTEGER)"
_AMOUNT = f"""
    CASE currencies.decimals WHEN 0 THEN {{units}} ELSE
         iif({{units}} < 0, '-', '') || (abs({{units}}) / {_POWER}) || rtrim(
             '.' || substr('000000000000000000' || (abs({{units}}) % {_POWER}), -currencies.decimals), '.0')
    END"""

# An instant, {us}, as ISO 8601 with six digits: texts in the order of what they say, also before 1970.
_INSTANT = """
    strftime('%Y-%m-%dT%H:%M:%S', ({us} - ({us} % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
    || printf('.%06dZ', ({us} % 1000000 + 1000000) % 1000000)"""

# The row id of a resource: eight bytes of a path's members, after the first `at.byte` of them; as SQLite
# reads no number from bytes, digit by digit. The first digits are zeros: ids are less than 2 ** 48.
_DIGITS = "hex(substr(paths.members, at.byte + 1, 8))"
_MEMBER = " + ".join(
    f"((instr('0123456789ABCDEF', substr({_DIGITS}, {17 - place}, 1)) - 1) << {4 * (place - 1)})"
    for place in range(1, 13)
)

STATEMENTS: tuple[str, ...] = (
    # ---------------------------------------------------------------- for people
    "DROP VIEW usage",
    f"""
    CREATE VIEW usage AS
    SELECT e.id                                              AS event,
           customers.customer_id                             AS customer_id,
           e.event_name                                      AS event_name,
           currencies.currency_id                            AS credit_currency,
           {_AMOUNT.format(units="e.amount_units")}          AS amount,
           {_AMOUNT.format(units="e.overage_units")}         AS overage,
           {_INSTANT.format(us="e.occurred_at_us")}          AS occurred_at,
           {_INSTANT.format(us="e.booked_at_us")}            AS booked_at,
           (WITH RECURSIVE at (byte) AS (
              SELECT 0 UNION ALL SELECT byte + 8 FROM at WHERE byte + 8 < length(paths.members))
            SELECT json_group_array(resources.resource_id)
              FROM at JOIN resources ON resources.id = {_MEMBER}
             WHERE length(paths.members) > 0)                AS resource_ids,
           e.dimensions                                      AS dimensions,
           CASE e.namespace WHEN 0 THEN e.key END            AS idempotency_key,
           e.reverses                                        AS reverses,
           e.amount_units                                    AS amount_units,
           currencies.decimals                               AS decimals
      FROM events AS e
      LEFT JOIN customers ON customers.id = e.customer
      LEFT JOIN currencies ON currencies.id = e.currency
      LEFT JOIN paths ON paths.id = e.path
    """,  # noqa: S608 - what is filled in stands above
)
