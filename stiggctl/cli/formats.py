"""Formats: booked events as CSV, JSON lines, CloudEvents or Parquet.

Here: events -> bytes, as they come. Not here: which events, and where the bytes go (export.py), the
columns of rows (reports/rows.py).

What always holds:
  FO1  Nothing is rounded: a number is written with all of its digits, in Parquet as a decimal.
  FO2  However many events there are, no more than some thousand rows of them are kept.
  FO3  A format that a package is lacking for is refused before a byte is written.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from stiggctl import BookedEvent, InvalidRequest
from stiggctl.answers.json_form import json_value
from stiggctl.reports.rows import EVENT_COLUMNS, Plain, rows_of_event
from stiggctl.windows import to_text, to_us

if TYPE_CHECKING:
    import pyarrow as pa

#: Writes events to a stream; `source` names the ledger, for formats that say where events come from.
Write = Callable[[Iterable[BookedEvent], BinaryIO, str], None]

# Rows of one group of a Parquet file, or one write. A row takes about 2 kB while it waits; with few
# rows a group compresses badly, and a reader has to seek for each.
_ROWS_AT_A_TIME = 20_000
_LINES_AT_A_TIME = 1_000
# A 64-bit number of units, whatever decimals the currency has: 19 digits before the point where it has
# none, 18 behind it at the most.
_PRECISION, _SCALE = 38, 18


def _write_csv(events: Iterable[BookedEvent], to: BinaryIO, source: str) -> None:
    """RFC 4180: a line of names, a row for each event and currency."""
    del source
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(EVENT_COLUMNS)
    for some in _in_parts(_rows(events), _LINES_AT_A_TIME):
        writer.writerows([_cell(value) for value in row.values()] for row in some)
        to.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    to.write(text.getvalue().encode())  # where there is no event: the names


def _cell(value: Plain) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(json_value(value))


def _write_lines(events: Iterable[BookedEvent], to: BinaryIO, source: str) -> None:
    """A JSON object for each event, and a newline."""
    del source
    to.writelines(
        "".join(f"{_json(one)}\n" for one in some).encode()
        for some in _in_parts((event.as_dict() for event in events), _LINES_AT_A_TIME)
    )


def _write_cloudevents(events: Iterable[BookedEvent], to: BinaryIO, source: str) -> None:
    """A batch of CloudEvents 1.0: one JSON array, an event a line."""
    separator = b"[\n"
    for some in _in_parts((_cloudevent(event, source) for event in events), _LINES_AT_A_TIME):
        to.write(separator + ",\n".join(map(_json, some)).encode())
        separator = b",\n"
    to.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _cloudevent(event: BookedEvent, source: str) -> dict[str, Any]:
    """The event in its envelope; `id` and `source` together name it for ever."""
    # A subject has no control characters, and an id may: then only the data says whose it is.
    subject = {"subject": event.customer_id} if event.customer_id.isprintable() else {}
    return {
        "specversion": "1.0",
        "id": event.event_id,
        "source": source,
        "type": "stiggctl.usage.booked",
        **subject,
        "time": to_text(to_us(event.occurred_at, "occurred_at")),
        "datacontenttype": "application/json",
        "data": event.as_dict(),
    }


def _write_parquet(events: Iterable[BookedEvent], to: BinaryIO, source: str) -> None:
    """A row for each event and currency, in groups of some thousand."""
    del source
    pa = _pyarrow()
    from pyarrow.parquet import ParquetWriter  # noqa: PLC0415 - as _pyarrow

    schema = pa.schema([(name, _type_of(pa, kind)) for name, kind in EVENT_COLUMNS.items()])
    with ParquetWriter(to, schema, compression="zstd") as writer:
        for some in _in_parts(_rows(events), _ROWS_AT_A_TIME):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))


def _type_of(pa: Any, kind: type) -> "pa.DataType":
    if kind is Decimal:
        return pa.decimal128(_PRECISION, _SCALE)
    if kind is datetime:
        return pa.timestamp("us", tz="UTC")
    return pa.bool_() if kind is bool else pa.string()


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - half a second, and only Parquet needs it
    except ImportError:
        expected = "a format that is installed: for Parquet, pip install 'stiggctl[export]'"
        raise InvalidRequest(where="format", value="parquet", expected=expected) from None
    return pa


FORMATS: dict[str, Write] = {
    "csv": _write_csv,
    "jsonl": _write_lines,
    "cloudevents": _write_cloudevents,
    "parquet": _write_parquet,
}


def writer_of(name: str) -> Write:
    """What writes that format; raises InvalidRequest where a package for it is lacking (FO3)."""
    if name == "parquet":
        _pyarrow()
    return FORMATS[name]


def _rows(events: Iterable[BookedEvent]) -> Iterator[dict[str, Plain]]:
    for event in events:
        yield from rows_of_event(event)


def _in_parts(items: Iterator[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    while some := list(islice(items, most)):
        yield some


def _json(answer: dict[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False)
