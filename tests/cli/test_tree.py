"""tree: every tree, or one, in each currency; what is booked and held, from any process."""

import json
from pathlib import Path

import pytest

from stiggctl import UsageControl

from .conftest import Run, files, somebody_holding
from .terminal import on_a_terminal, shown

TWO = {
    "creditCurrencies": [{"id": "usd", "decimals": 2}],
    "resources": [
        {"id": "bob", "resourceTypeId": "user", "customerId": "ours"},
        {"id": "eve", "resourceTypeId": "user", "customerId": "others"},
    ],
    "allocations": [{"resourceId": "bob", "creditCurrency": "usd", "limit": "1.50"}],
}


def test_one_tree_in_one_currency(run: Run, ours: Path) -> None:
    told = run("tree", ours, "ana", "--currency", "ai-tokens")
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "ai-tokens  used  held  left  limit",
        "ana           5     0    95    100  █░░░░░░░░░░░░░░░░░░░░░░░     5%",
        "█ used  ▒ held  ░ left",
    ]


def test_without_a_root_every_tree_of_every_customer_and_currency(run: Run, ours: Path) -> None:
    with UsageControl(ours) as control:
        control.apply(TWO)
    told = run("tree", ours).stdout.splitlines()
    assert told == [
        "customer     others",
        "ai-tokens  used  held  left  limit",
        "eve           0     0",
        "█ used  ▒ held  ░ left",
        "",
        "customer     others",
        "usd  used  held  left  limit",
        "eve     0     0",
        "█ used  ▒ held  ░ left",
        "",
        "customer     ours",
        "ai-tokens  used  held  left  limit",
        "ana           5     0    95    100  █░░░░░░░░░░░░░░░░░░░░░░░     5%",
        "bob           0     0",
        "█ used  ▒ held  ░ left",
        "",
        "customer     ours",
        "usd  used  held  left  limit",
        "ana     0     0",
        "bob     0     0   1.5    1.5  ░░░░░░░░░░░░░░░░░░░░░░░░     0%",
        "█ used  ▒ held  ░ left",
    ]
    assert "ana" not in run("tree", ours, "--customer", "others").stdout
    assert "usd" not in run("tree", ours, "--currency", "ai-tokens").stdout
    assert "usd" in run("tree", ours, "bob").stdout


def test_json_has_the_customer_and_the_node(run: Run, ours: Path) -> None:
    with UsageControl(ours) as control:
        control.apply(TWO)
        ana = control.tree("ana", "ai-tokens").as_dict()
    shown_trees = json.loads(run("tree", ours, "--json").stdout)["trees"]
    assert [(one["customerId"], one["resourceId"], one["creditCurrency"]) for one in shown_trees] == [
        ("others", "eve", "ai-tokens"),
        ("ours", "ana", "ai-tokens"),
        ("ours", "bob", "ai-tokens"),
        ("others", "eve", "usd"),
        ("ours", "ana", "usd"),
        ("ours", "bob", "usd"),
    ]
    assert {"customerId": "ours", **ana} in shown_trees


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody",), "no resource 'nobody'"),
        (("--customer", "our"), "no customer 'our' (did you mean 'ours'?)"),
        (("--currency", "usd"), "no credit currency 'usd'; there are 'ai-tokens'"),
        (("ana", "--currency", "usd"), "no credit currency 'usd'; there are 'ai-tokens'"),
    ],
)
def test_what_is_not_there_is_an_error(run: Run, ours: Path, words: tuple[str, ...], said: str) -> None:
    told = run("tree", ours, *words)
    assert (told.exit_code, told.stdout) == (1, "")
    (line,) = told.stderr.splitlines()
    assert said in line


def test_a_ledger_with_nothing_in_it_says_so(run: Run, tmp_path: Path) -> None:
    UsageControl(tmp_path / "new.db").close()
    told = run("tree", "new.db")
    assert (told.exit_code, told.stdout) == (0, "trees        there is no resource\n")
    with UsageControl(tmp_path / "new.db") as control:
        control.apply({**TWO, "allocations": [], "creditCurrencies": [], "resourceTypes": [{"id": "user"}]})
    assert run("tree", "new.db").stdout == "trees        there is no credit currency\n"


def test_what_another_process_holds_shows(run: Run, ours: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    run("tree", ours)
    assert files(tmp_path) == before
    with somebody_holding(ours):
        assert "ana           5    40    55    100" in run("tree", ours).stdout


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_it_fits_the_terminal(ours: Path, columns: int) -> None:
    with UsageControl(ours) as control:
        parent = "ana"
        for at in range(12):
            child = f"渡辺-שלום-{at}-" + "e\N{COMBINING ACUTE ACCENT}" * 60
            control.put_resource(child, resource_type_id="user", parent_resource_id=parent)
            parent = child
        control.set_allocation(resource_id=parent, credit_currency="ai-tokens", limit=10**17)
    lines = [line[-1] for line in shown(on_a_terminal(columns, "tree", str(ours)))]
    assert all(line.columns <= columns for line in lines)
    assert sum("渡" in line.text for line in lines) == 12
