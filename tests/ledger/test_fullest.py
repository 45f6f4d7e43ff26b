"""The fullest cells: where a report looks first."""

from .world import NOW_US, World

FAR_US = NOW_US + 365 * 86_400_000_000


def fullest(world: World, held: dict[str, int] | None = None, most: int = 9) -> list[str]:
    """By name, the fullest first."""
    by_id = {world.ids[name]: units for name, units in (held or {}).items()}
    with world.ledger.reader() as reader:
        limits, pools = reader.fullest(by_id, NOW_US, most=most)
        assert pools == []
        rows = {row.id: row.resource_id for row in reader.resources_by_row([one for _, one in limits])}
    return [rows[resource] for _, resource in limits]


def test_the_largest_part_of_a_limit_comes_first_and_nothing_used_is_not_among_them(world: World) -> None:
    """a may have 100, b 50, root, over both, 1,000."""
    assert fullest(world) == []
    world.exchange(world.booking("k", 30, ["root", "a"]), world.booking("l", 20, ["b"]))
    assert fullest(world) == ["b", "a", "root"]
    assert fullest(world, most=2) == ["b", "a"]


def test_what_is_held_counts_beside_what_is_used(world: World) -> None:
    world.exchange(world.booking("k", 30, ["root", "a"]))
    assert fullest(world, {"b": 16}) == ["b", "a", "root"]
    assert fullest(world, {"b": 14}) == ["a", "b", "root"]
    assert fullest(world, {"b": 14, "root": 400}) == ["root", "a", "b"]


def test_counters_as_large_as_they_may_be_are_compared(world: World) -> None:
    """A product past 64 bits is no error, and no less than any other."""
    world.exchange(world.booking("k", 1, ["a"]))
    assert fullest(world, {"b": 9 * 10**18}) == ["b", "a"]
