"""usage: totals by what and when, and the margin, in any width; beside other processes, making no file."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stiggctl import UsageControl
from stiggctl.cli.answering import Screen
from stiggctl.cli.totals import Line, table

from .conftest import Run, files, somebody_holding
from .terminal import on_a_terminal, shown

MODEL = {
    "creditCurrencies": [{"id": "ai-tokens"}, {"id": "usd", "decimals": 9}, {"id": "a=b"}],
    "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
    "resources": [
        {"id": "growth", "resourceTypeId": "team", "customerId": "acme"},
        {"id": "ana", "resourceTypeId": "user", "parentResourceId": "growth"},
        {"id": "渡辺", "resourceTypeId": "user", "customerId": "others"},
    ],
}
#: Hours after the last one of 2025, feature, tokens, dollars; the last is of others, and has no feature.
EVENTS = [
    (0, "chat", 2_000, "3.5"),
    (2, "summarize", 300, "4"),
    (30, "chat", 1_000, "1"),
    (31, None, 50, "0.1"),
]


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    path = tmp_path / "acme.db"
    with UsageControl(path) as control:
        control.apply(MODEL)
        for hours, feature, tokens, dollars in EVENTS:
            control.report(
                customer_id="acme" if feature else "others",
                resource_ids=["ana" if feature else "渡辺"],
                event_name="call",
                amounts={"ai-tokens": tokens, "usd": dollars},
                dimensions={"feature": feature} if feature else {},
                timestamp=datetime(2025, 12, 31, 23, tzinfo=UTC) + timedelta(hours=hours),
            )
    return path


def lines(run: Run, *words: object) -> list[str]:
    told = run("usage", *words)
    assert (told.exit_code, told.stderr) == (0, "")
    return told.stdout.splitlines()


def test_one_total_with_currencies_as_columns(run: Run, acme: Path) -> None:
    assert lines(run, acme) == ["       events  ai-tokens  usd", "total       4      3,350  8.6"]
    assert lines(run, acme, "--currency", "usd", "--customer", "acme") == [
        "       events  usd",
        "total       3  8.5",
    ]


def test_a_feature_that_loses_money_is_marked(run: Run, acme: Path) -> None:
    """TO2."""
    assert lines(run, acme, "--by", "feature", "--worth", "ai-tokens=0.01") == [
        "feature    events  ai-tokens  usd  margin",
        "chat            2      3,000  4.5    25.5",
        "summarize       1        300    4      -1 loss",
        "(none)          1         50  0.1     0.4",
    ]
    gains = lines(run, acme, "--worth", "ai-tokens=1", "--worth", "a=b=7")
    assert gains == ["       events  ai-tokens  usd   margin", "total       4      3,350  8.6  3,341.4"]
    assert lines(run, acme, "--worth", "usd=1", "--cost", "ai-tokens")[1].endswith("-3,341.4 loss")


def test_buckets_are_named_as_the_clocks_of_the_zone_show_them(run: Run, acme: Path) -> None:
    assert lines(run, acme, "--bucket", "day") == [
        "day         events  ai-tokens  usd",
        "2025-12-31       1      2,000  3.5",
        "2026-01-01       1        300    4",
        "2026-01-02       2      1,050  1.1",
    ]
    assert lines(run, acme, "--bucket", "P1M", "--timezone", "Europe/Amsterdam") == [
        "P1M      events  ai-tokens  usd",
        "2026-01       4      3,350  8.6",
    ]
    assert lines(run, acme, "--bucket", "YEAR")[1].split()[0] == "2025"
    assert lines(run, acme, "--bucket", "week")[1].split()[0] == "2025-12-29"
    assert lines(run, acme, "--bucket", "hour")[1].startswith("2025-12-31 23:00  ")
    hours = lines(run, acme, "--bucket", "PT12H", "--by", "feature", "--timezone", "Asia/Kathmandu")
    assert hours[:3] == [
        "PT12H                   feature    events  ai-tokens  usd",
        "2025-12-31 17:45+05:45  chat            1      2,000  3.5",
        "2026-01-01 05:45+05:45  summarize       1        300    4",
    ]


def test_the_first_day_of_all_has_a_name_too(run: Run, acme: Path) -> None:
    with UsageControl(acme) as control:
        long_ago = {"timestamp": "0001-01-01T00:00:00Z", "resource_ids": ["ana"], "customer_id": "acme"}
        control.report(**long_ago, amounts={"usd": 1})
    assert lines(run, acme, "--bucket", "day", "--timezone", "America/New_York")[1].startswith("0001-01-01  ")


@pytest.mark.parametrize(
    ("asked", "events"),
    [
        (("--since", "2026-01-01"), "3"),
        (("--since", "2026-01-01", "--timezone", "Europe/Amsterdam"), "4"),
        (("--until", "2026-01-01"), "1"),
        (("--until", "2026-01-02T05:00:00Z"), "2"),
        (("--since", "2026-01-01T02:00:00+01:00", "--until", "2026-01-02"), "1"),
        (("--event", "call"), "4"),
        (("--resource", "growth"), "3"),
        (("--customer", "others"), "1"),
    ],
)
def test_only_what_is_asked_for_is_summed(run: Run, acme: Path, asked: tuple[str, ...], events: str) -> None:
    assert lines(run, acme, *asked)[1].split()[1] == events


def test_resources_of_several_customers_stand_apart(run: Run, acme: Path) -> None:
    assert lines(run, acme, "--by", "resource", "--currency", "ai-tokens") == [
        "customer     acme",
        "resource  events  ai-tokens",
        "ana            3      3,300",
        "growth         3      3,300",
        "",
        "customer     others",
        "resource  events  ai-tokens",
        "渡辺           1         50",
    ]
    assert lines(run, acme, "--by", "resource", "--customer", "acme", "--type", "team") == [
        "resource  events  ai-tokens  usd",
        "growth         3      3,300  8.5",
    ]


def test_json_has_the_rows_and_their_margins(run: Run, acme: Path) -> None:
    with UsageControl(acme) as control:
        rows = control.usage(group_by="feature", bucket="day")
    [first, *_] = json.loads(run("usage", acme, "--by", "feature", "--bucket", "day", "--json").stdout)[
        "usage"
    ]
    assert first == rows[0].as_dict()
    told = json.loads(run("usage", acme, "--by", "feature", "--worth", "ai-tokens=0.01", "--json").stdout)
    assert [one["margin"] for one in told["usage"]] == ["25.5", "-1", "0.4"]
    assert json.loads(run("usage", acme, "--until", "1999-01-01", "--json").stdout)["usage"][0]["events"] == 0


def test_where_nothing_was_booked_it_says_so(run: Run, acme: Path) -> None:
    assert lines(run, acme, "--until", "1999-01-01") == ["usage        there is none"]
    assert lines(run, acme, "--until", "1999-01-01", "--by", "feature") == ["usage        there is none"]


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (("--by", "resources"), 1, 'did you mean "resource"?'),
        (("--bucket", "daily"), 1, "did you mean 'day'?"),
        (("--timezone", "Amsterdam", "--since", "2026-01-01"), 1, "did you mean 'Europe/Amsterdam'?"),
        (("--since", "2026-02-30"), 1, "since: got '2026-02-30'"),
        (("--customer", "nobody"), 1, "no customer 'nobody'"),
        (("--currency", "eur"), 1, "no credit currency 'eur'"),
        (("--worth", "ai-tokens=0.01", "--cost", "eur"), 1, "cost: got 'eur'"),
        (("--worth", "ai-tokens=x"), 1, "worth['ai-tokens']: got 'x'"),
        (("--worth", "0.01"), 2, "'0.01' is not CURRENCY=NUMBER"),
        (("--worth", "a=1", "--worth", "a=2"), 2, "'a' is given twice"),
    ],
)
def test_what_cannot_be_meant_is_an_error(
    run: Run, acme: Path, asked: tuple[str, ...], code: int, said: str
) -> None:
    told = run("usage", acme, *asked)
    assert (told.exit_code, told.stdout) == (code, "")
    assert said in told.stderr


def test_it_reads_beside_another_process_and_makes_no_file(run: Run, ours: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    run("usage", ours, "--by", "resource", "--bucket", "day")
    assert files(tmp_path) == before
    told = run("usage", tmp_path / "none.db")
    assert (told.exit_code, told.stdout) == (1, "")
    assert files(tmp_path) == before
    with somebody_holding(ours):
        assert lines(run, ours)[1].split() == ["total", "1", "5"]  # what is held is not used


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_it_fits_the_terminal(ours: Path, columns: int) -> None:
    """TO1."""
    with UsageControl(ours) as control:
        control.apply(MODEL)
        for name in ("渡辺-שלום-" + "e\N{COMBINING ACUTE ACCENT}" * 60, "x" * 99, "two\nlines", "short"):
            control.report(
                customer_id="ours",
                resource_ids=["ana"],
                amounts={"ai-tokens": 10**17, "usd": "99999.123456789", "a=b": 1},
                dimensions={"feature": name},
            )
    told = {}
    for asked in (
        ("--by", "feature"),
        ("--by", "feature", "--bucket", "hour"),
        ("--by", "feature", "--bucket", "day", "--worth", "ai-tokens=0", "--timezone", "Asia/Tokyo"),
        ("--bucket", "hour", "--timezone", "Asia/Tokyo", "--worth", "ai-tokens=0.01"),
        ("--by", "resource"),
    ):
        told[asked] = [line[-1] for line in shown(on_a_terminal(columns, "usage", str(ours), *asked))]
        assert all(line.columns <= columns for line in told[asked]), told[asked]
    by_feature = told["--by", "feature"]
    assert sum("渡" in line.text for line in by_feature) == 1
    assert any(line.text.startswith("not shown: ") for line in by_feature) == (columns < 80)


def test_a_narrow_terminal_keeps_the_margin_longest() -> None:
    """TO1."""
    rows = [Line(None, None, f"feature-{n}", 5, {"margin": 7, "usd": 9}, margin=-n) for n in range(3)]

    def heading(columns: int) -> list[str]:
        return table(rows, None, "feature", Screen(columns=columns))[0].split()

    assert heading(60) == ["feature", "events", "margin", "usd", "margin"]
    assert heading(40) == ["feature", "margin", "usd", "margin"]
    assert heading(34) == ["feature", "margin", "margin"]
    assert heading(25) == ["feature", "margin"]
    assert heading(12) == ["feature"]
    assert table(rows, None, "feature", Screen(columns=25))[-1] == "not shown: events, margi…"
