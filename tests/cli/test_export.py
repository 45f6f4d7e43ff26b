"""export: what was booked, as files; exact, whole or not at all, and in bounded memory."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from stiggctl import BookedEvent, UsageControl
from stiggctl.amounts import AMOUNT_MAX, DECIMALS_MAX, to_amount
from stiggctl.cli.formats import FORMATS
from stiggctl.reports.rows import EVENT_COLUMNS, Plain, rows_of_event

from .conftest import Run, RunReally, files
from .terminal import on_a_terminal, shown

SOURCE = "urn:uuid:5fe36653-f237-440a-8a1e-901b535447af"

ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@st.composite
def amounts(draw: st.DrawFn) -> int | Decimal:
    """Whatever a ledger can hold."""
    return to_amount(draw(st.integers(-AMOUNT_MAX, AMOUNT_MAX)), draw(st.integers(0, DECIMALS_MAX)))


values = st.one_of(ids, st.booleans(), st.integers(-(2**64), 2**64), st.decimals("-1e9", "1e9", places=6))
instants = st.integers(-(2**40), 2**42).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)


@st.composite
def booked(draw: st.DrawFn) -> BookedEvent:
    """An event with ids of any script, and amounts of any size."""
    charged = draw(st.dictionaries(ids, amounts(), min_size=1, max_size=3))
    return BookedEvent(
        event_id=str(draw(st.integers(1))),
        customer_id=draw(ids),
        event_name=draw(st.none() | ids),
        idempotency_key=draw(st.none() | ids),
        dimensions=draw(st.dictionaries(ids, values, max_size=3)),
        amounts=charged,
        overage=max(charged.values()),
        resource_ids=tuple(draw(st.lists(ids, max_size=3))),
        occurred_at=draw(instants),
        booked_at=draw(instants),
        reservation_id=draw(st.none() | ids),
        reverses=draw(st.none() | st.just("7")),
        adjusts=None,
        late=draw(st.booleans()),
        expired=draw(st.booleans()),
        estimated=draw(st.booleans()),
        unattributed=tuple(draw(st.lists(ids, max_size=2))),
        overages=charged,
    )


def rows(events: list[BookedEvent]) -> list[dict[str, Plain]]:
    return [row for event in events for row in rows_of_event(event)]


def written(name: str, events: list[BookedEvent]) -> bytes:
    to = io.BytesIO()
    FORMATS[name](events, to, SOURCE)
    return to.getvalue()


@given(st.lists(booked(), max_size=4))
def test_csv_has_every_row_as_it_is(events: list[BookedEvent]) -> None:  # FO1
    text = written("csv", events).decode()
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    expected = rows(events)
    assert len(found) == len(expected)
    for one, row in zip(found, expected, strict=True):
        assert tuple(one) == tuple(EVENT_COLUMNS)
        assert Decimal(one["amount"]) == row["amount"]
        assert "e" not in one["amount"].lower()
        assert datetime.fromisoformat(one["occurred_at"]) == row["occurred_at"]
        assert one["late"] == ("true" if row["late"] else "false")
        for name in (
            "event_id",
            "customer_id",
            "event_name",
            "idempotency_key",
            "resource_ids",
            "dimensions",
        ):
            assert one[name] == (row[name] or "")


@given(st.lists(booked(), max_size=4))
def test_json_lines_have_every_event_as_it_is(events: list[BookedEvent]) -> None:
    text = written("jsonl", events).decode()
    assert text.count("\n") == len(events)
    assert [json.loads(line) for line in text.split("\n")[:-1]] == [
        json.loads(json.dumps(event.as_dict())) for event in events
    ]


@given(st.lists(booked(), max_size=4))
def test_cloudevents_are_a_batch_of_version_1_0(events: list[BookedEvent]) -> None:
    found = json.loads(written("cloudevents", events))
    assert len(found) == len(events)
    for one, event in zip(found, events, strict=True):
        assert (one["specversion"], one["id"], one["source"]) == ("1.0", event.event_id, SOURCE)
        assert one["type"]
        assert datetime.fromisoformat(one["time"]) == event.occurred_at
        assert one["data"] == json.loads(json.dumps(event.as_dict()))
        # A subject is text without control characters, or is left out.
        assert one.get("subject") in ({event.customer_id} if event.customer_id.isprintable() else {None})


@given(st.lists(booked(), max_size=4))
def test_parquet_amounts_are_exact_decimals(events: list[BookedEvent]) -> None:  # FO1
    table = parquet.read_table(io.BytesIO(written("parquet", events)))
    assert table.schema.field("amount").type == pa.decimal128(38, 18)
    assert table.schema.field("occurred_at").type == pa.timestamp("us", tz="UTC")
    assert tuple(table.column_names) == tuple(EVENT_COLUMNS)
    assert table.to_pylist() == rows(events)


def test_the_largest_and_the_smallest_amounts_fit_a_parquet_decimal() -> None:
    for units in (AMOUNT_MAX, -AMOUNT_MAX, 1, -1):
        for decimals in (0, 1, 9, DECIMALS_MAX):
            event = one_event(to_amount(units, decimals))
            [row] = parquet.read_table(io.BytesIO(written("parquet", [event]))).to_pylist()
            assert row["amount"] == to_amount(units, decimals)


def one_event(amount: int | Decimal = 1) -> BookedEvent:
    at = datetime(2026, 1, 15, tzinfo=UTC)
    return BookedEvent(
        "1", "ours", "chat", None, {}, {"usd": amount}, 0, ("ana",), at, at, None, None, None,
        late=False, expired=False, estimated=False, unattributed=(), overages={"usd": 0},
    )  # fmt: skip


@pytest.mark.parametrize("name", list(FORMATS))
def test_no_more_than_some_thousand_events_wait_to_be_written(name: str) -> None:  # FO2
    pulled = waiting = 0

    def many() -> Iterator[BookedEvent]:
        nonlocal pulled
        for _ in range(70_000):
            pulled += 1
            yield one_event()

    class Sink(io.BytesIO):
        def write(self, some: Any) -> int:
            nonlocal waiting, pulled
            waiting, pulled = max(waiting, pulled), 0
            return super().write(some)

        def writelines(self, lines: Any) -> None:
            for line in lines:
                self.write(line)

    FORMATS[name](many(), Sink(), SOURCE)
    assert 0 < waiting <= 20_001


# ------------------------------------------------------------------ the verb


def test_a_file_ends_in_its_format(run: Run, ours: Path, tmp_path: Path) -> None:
    for ending in ("csv", "jsonl", "parquet"):
        told = run("export", ours, f"out.{ending}")
        assert (told.exit_code, told.stderr) == (0, "")
        assert told.stdout.startswith(f"exported     1 events to out.{ending}, ")
        assert (tmp_path / f"out.{ending}").stat().st_size > 0
    told = run("export", ours, "out.json", "--format", "cloudevents", "--json")
    assert json.loads(told.stdout) == {
        "file": "out.json",
        "format": "cloudevents",
        "events": 1,
        "bytes": (tmp_path / "out.json").stat().st_size,
    }
    [one] = json.loads((tmp_path / "out.json").read_text())
    with UsageControl(ours, create=False) as control:
        assert one["data"] == next(control.events()).as_dict()
    doctor = json.loads(run("doctor", ours, "--json").stdout)
    assert one["source"] == f"urn:uuid:{doctor['ledgerId']}"
    assert run("export", ours, "out.xls").exit_code == 2
    assert run("export", ours, "-", "--json").exit_code == 2


def test_to_stdout_goes_the_export_alone(run: Run, ours: Path) -> None:
    assert run("export", ours, "-", "--format", "jsonl").stdout.count("\n") == 1
    first, second = run("export", ours, "-").stdout.splitlines()
    assert first.split(",") == list(EVENT_COLUMNS)
    assert ",ai-tokens,5,0," in second


def test_what_is_exported_is_chosen_by_customer_and_time(run: Run, ours: Path) -> None:
    with UsageControl(ours) as control:
        control.put_customer("others")
        for day in (10, 11):
            control.report(
                customer_id="others", resource_ids=[], credit_currency="ai-tokens", amount=day,
                timestamp=f"2026-01-{day}T12:00:00Z",
            )  # fmt: skip

    def exported(*words: str) -> list[int]:
        told = run("export", ours, "-", "--format", "jsonl", *words)
        assert told.exit_code == 0
        return [json.loads(line)["amounts"]["ai-tokens"] for line in told.stdout.splitlines()]

    assert exported() == [5, 10, 11]
    assert exported("--customer", "others") == [10, 11]
    assert exported("--since", "2026-01-11") == [5, 11]
    assert exported("--until", "2026-01-11") == [10]
    assert run("export", ours, "-", "--customer", "nobody").exit_code == 1


def test_a_file_is_replaced_whole_or_not_at_all(
    run: Run, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # EX1
    (tmp_path / "out.csv").write_text("as it was")
    before = files(tmp_path)

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", failing)
    told = run("export", ours, "out.csv")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "No space left" in told.stderr
    assert files(tmp_path) == before
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run("export", ours, "out.csv").exit_code == 0
    assert (tmp_path / "out.csv").read_text().startswith("event_id,")
    assert set(files(tmp_path)) == set(before)


def test_no_ledger_is_ever_replaced(run: Run, ours: Path, tmp_path: Path) -> None:
    with UsageControl(tmp_path / "other.db") as other:
        other.put_customer("others")
    (tmp_path / "link.csv").symlink_to(ours)
    before = files(tmp_path)
    for to in ("ours.db", "./ours.db", "link.csv", "ours.db-wal", "other.db"):
        told = run("export", ours, to, "--format", "csv")
        assert (told.exit_code, told.stdout) == (1, ""), to
        assert "name another file" in told.stderr
    assert files(tmp_path) == before
    assert run("export", "none.db", "out.csv").exit_code == 1
    assert run("export", ours, "no/such/place.csv").exit_code == 1
    assert files(tmp_path) == before


def test_without_its_package_parquet_says_how_to_get_it(
    run: Run, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # FO3
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = run("export", ours, "out.parquet")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "stiggctl[export]" in told.stderr
    assert not (tmp_path / "out.parquet").exists()
    assert run("export", ours, "out.csv").exit_code == 0


def test_on_a_terminal_it_tells_how_far_it_is_in_one_line(ours: Path, tmp_path: Path) -> None:
    with UsageControl(ours) as control:
        control.report_many(
            [
                {"customerId": "ours", "resourceIds": ["ana"], "creditCurrency": "ai-tokens", "amount": 1}
                for _ in range(2_500)
            ]
        )
    for columns in (30, 80):
        line, *_ = shown(on_a_terminal(columns, "export", str(ours), str(tmp_path / "out.csv")))
        told = [state.text for state in line]
        assert sum("exporting" in state for state in told) == 3
        assert sum("1,001 of 2,501" in state for state in told) == (columns == 80)
        assert all(state.columns < columns for state in line if "exporting" in state.text)


def test_in_a_pipe_nothing_is_told_but_what_was_asked_for(run_really: RunReally, ours: Path) -> None:
    done = run_really("export", str(ours), "-", "--format", "jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["amounts"] == {"ai-tokens": 5}
