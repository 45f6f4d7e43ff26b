"""grants: what each was, what is left of it, and whose; from any process, and without making a file."""

import json
from pathlib import Path

from stiggctl import UsageControl

from .conftest import Run
from .terminal import on_a_terminal, shown


def granted(ours: Path) -> None:
    with UsageControl(ours) as control:
        for grant_id, amount, more in (
            ("paid", 1_000, {}),
            ("welcome", 50, {"kind": "PROMOTIONAL", "priority": 10}),
            ("later", 70, {"effective_at": "2999-01-01T00:00:00Z"}),
        ):
            control.grant_credits(
                customer_id="ours", credit_currency="ai-tokens", grant_id=grant_id, amount=amount, **more
            )
        control.grant_credits(customer_id="others", credit_currency="usd", grant_id="void", amount=3)
        control.void_grant("void")
        control.consume(resource_ids=["ana"], credit_currency="ai-tokens", customer_id="ours", amount=55)


def test_grants_stand_in_the_order_in_which_they_burn(run: Run, ours: Path) -> None:
    granted(ours)
    told = run("grants", ours)
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "ai-tokens of ours             used  held  left  limit",
        "welcome (spent, promotional)    50     0     0     50  ████████████████████████   100%",
        "paid                             5     0   995  1,000  █░░░░░░░░░░░░░░░░░░░░░░░     0%",
        "later (coming)                   0     0     0     70  ░░░░░░░░░░░░░░░░░░░░░░░░     0%",
        "█ used  ▒ held  ░ left",
        "",
        "usd of others  used  held  left  limit",
        "void (voided)     0     0     0      3  ░░░░░░░░░░░░░░░░░░░░░░░░     0%",
        "█ used  ▒ held  ░ left",
    ]


def test_those_of_one_customer_in_one_currency_and_as_json(run: Run, ours: Path) -> None:
    granted(ours)
    assert "void" not in run("grants", ours, "ours").stdout
    assert run("grants", ours, "ours", "--currency", "usd").stdout.split() == [
        "grants",
        "there",
        "are",
        "none",
    ]
    [one] = json.loads(run("grants", ours, "others", "--json").stdout)["grants"]
    assert (one["grantId"], one["status"], one["amount"], one["voidedAt"] is None) == (
        "void",
        "VOIDED",
        3,
        False,
    )
    told = run("grants", ours, "nobody")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "nobody" in told.stderr


def test_the_pool_of_a_request_is_told_as_such(run: Run, ours: Path) -> None:
    granted(ours)
    told = run(
        "check",
        ours,
        "--resource",
        "ana",
        "--currency",
        "ai-tokens",
        "--amount",
        "5000",
        "--customer",
        "ours",
    )
    assert "pool of ours (denies)" in told.stdout


def test_the_table_fits_a_narrow_terminal(ours: Path) -> None:
    granted(ours)
    for columns in (20, 40, 80):
        lines = [line[-1] for line in shown(on_a_terminal(columns, "grants", str(ours)))]
        assert all(line.columns <= columns for line in lines)
