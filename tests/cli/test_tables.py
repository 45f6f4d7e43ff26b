"""Tables: bars that say what is, and lines that fit whatever the names are."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stiggctl import LimitState, TreeNode, UsageControl
from stiggctl.cli.answering import Screen
from stiggctl.cli.letters import width_of
from stiggctl.cli.tables import bar, percent, trees

from .conftest import unpainted

AMOUNTS = st.integers(0, 10**18) | st.decimals(0, 10**9, places=9)


def node(name: str, *, used: Any = 0, held: Any = 0, limit: Any = 100, children: Any = ()) -> TreeNode:
    """A resource with one limit; of None: with none."""
    remaining = None if limit is None else max(0, limit - used - held)
    utilisation = Decimal(int((used + held) * 10_000 / limit)).scaleb(-4) if limit else None
    return TreeNode(
        resource_id=name,
        resource_type_id="user",
        name=None,
        credit_currency="ai-tokens",
        limit=limit,
        used=used,
        held=held,
        remaining=remaining,
        utilisation=utilisation,
        limits=(),
        archived=False,
        suspended=False,
        children=tuple(children),
    )


NODES = st.recursive(
    st.builds(node, st.text(min_size=1, max_size=255), used=AMOUNTS, held=AMOUNTS, limit=st.none() | AMOUNTS),
    lambda below: st.builds(node, st.text(min_size=1), children=st.lists(below, max_size=3)),
    max_leaves=8,
)


@given(st.lists(NODES, min_size=1, max_size=3), st.integers(1, 200), st.booleans(), st.booleans())
def test_no_line_is_wider_than_its_terminal(
    roots: list[TreeNode], columns: int, blocks: bool, coloured: bool
) -> None:
    """TB1."""
    for line in trees(roots, Screen(columns=columns, coloured=coloured, blocks=blocks)):
        seen = unpainted(line)
        assert width_of(seen) <= columns
        assert seen.isprintable() or "\N{ZERO WIDTH JOINER}" in seen


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.integers(1, 40))
def test_a_bar_is_full_only_where_the_limit_is(used: Any, held: Any, limit: Any, cells: int) -> None:
    """TB2."""
    drawn = bar(used, held, limit, cells, blocks=True)
    assert len(drawn) == cells
    assert ("░" not in drawn) == (used + held >= limit)
    assert ("█" in drawn) == (used > 0) or cells == 1 or limit == 0
    assert drawn == "".join(sorted(drawn, key="█▒░".index))
    if held > 0 and used == 0 < limit:
        assert "▒" in drawn or cells == 1


def test_nearly_full_does_not_look_full() -> None:
    assert bar(999_999, 0, 1_000_000, 8, blocks=True) == "███████░"
    assert bar(999_998, 1, 1_000_000, 8, blocks=True) == "██████▒░"
    assert percent(Decimal("0.9999")) == "99%"


def test_what_is_over_shows_as_more_than_all() -> None:
    assert bar(150, 0, 100, 4, blocks=True) == "████"
    assert percent(Decimal("1.5")) == "150%"


def lines(roots: list[TreeNode], **screen: Any) -> list[str]:
    return trees(roots, Screen(**screen))


FAMILY = node(
    "org",
    used=4_200,
    held=100,
    limit=10_000,
    children=[node("a", used=1, limit=None, children=[node("b")]), node("c", used=95, limit=100)],
)


def test_a_tree_reads_as_one() -> None:
    assert lines([FAMILY]) == [
        "ai-tokens   used  held   left   limit",
        "org        4,200   100  5,700  10,000  █████████▒░░░░░░░░░░░░░░    43%",
        "├ a            1     0",
        "│ └ b          0     0    100     100  ░░░░░░░░░░░░░░░░░░░░░░░░     0%",
        "└ c           95     0      5     100  ██████████████████████░░    95%",
        "█ used  ▒ held  ░ left",
    ]


def test_without_blocks_it_is_drawn_with_letters() -> None:
    assert lines([FAMILY], blocks=False, columns=60)[1:5] == [
        "org        4,200   100  5,700  10,000  #####=........    43%",
        "|-a            1     0",
        "| `-b          0     0    100     100  ..............     0%",
        "`-c           95     0      5     100  #############.    95%",
    ]


def test_a_narrow_terminal_gives_up_the_limit_then_what_is_held_then_the_bar() -> None:
    long = [node("department-of-everything", used=40_000, held=1_000, limit=100_000)]
    headings = {columns: lines(long, columns=columns)[0].split()[1:] for columns in (80, 60, 50, 40, 30, 5)}
    assert headings == {
        80: ["used", "held", "left", "limit"],
        60: ["used", "held", "left"],
        50: ["used", "left"],
        40: ["used", "left"],
        30: [],
        5: [],
    }
    assert "█" in lines(long, columns=50)[1]
    assert "█" not in lines(long, columns=40)[1]


def test_wide_names_keep_the_columns_straight() -> None:
    rows = lines(
        [node("渡辺"), node("👩‍💻 dev"), node("e\N{COMBINING ACUTE ACCENT}"), node("plain")], columns=80
    )
    places = {width_of(row[: row.index("100")]) for row in rows[1:5]}
    assert len(places) == 1


def test_small_money_has_no_exponent() -> None:
    (_, row, _) = lines([node("a", used=Decimal("1E-9"), limit=Decimal(1000))])
    assert row.split()[1] == "0.000000001"


def test_a_name_that_would_break_the_screen_is_escaped() -> None:
    (_, row, _) = lines([node("evil\n\x1b[2Jid")])
    assert row.startswith(r"evil\n\x1b[2Jid  ")


def test_a_name_is_cut_before_its_mark(opened) -> None:
    control: UsageControl = opened(":memory:")
    name = "a-name-that-nobody-reads-to-its-very-end"
    control.apply(
        {
            "resourceTypes": [{"id": "region"}],
            "resources": [{"id": name, "resourceTypeId": "region", "customerId": "ours"}],
            "allocations": [
                {"resourceId": name, "creditCurrency": "ai-tokens", "limit": 10, "enforcementType": "SOFT"}
            ],
        }
    )
    control.suspend(name)
    (_, row, _) = lines([control.tree(name, "ai-tokens")], columns=80)
    assert row.startswith("a-name-th")
    assert "… (soft, suspended)  " in row
    assert isinstance(control.tree(name, "ai-tokens").limits[0], LimitState)


def test_a_deep_tree_leaves_room_for_its_names() -> None:
    deep = node("leaf")
    for at in range(3_000):
        deep = node(f"n{at}", children=[deep])
    rows = lines([deep], columns=80)
    assert len(rows) == 3_003
    assert "leaf" in rows[-2]


def test_colours_say_how_near_a_limit_is() -> None:
    rows = lines([node("low", used=1), node("near", used=90), node("full", used=100)], coloured=True)
    assert ["\x1b[32m" in rows[1], "\x1b[33m" in rows[2], "\x1b[31m" in rows[3]] == [True, True, True]
