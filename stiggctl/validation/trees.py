"""Checks of customers, and of resources in their trees.

Here: customers and resources once each, whose a resource is, its type and its parent, no cycle.
Not here: what properties a resource has (schemas.py).

Type parents bind where given: a parent must be of the type that the resource's type names as
its parent type. A resource without a parent is a root, whatever its type: an organisation that
is modelled from below (the users first, their teams later) is valid at every step, and the
article's own lists leave parents out. A type without a parent type stands anywhere.
"""

from collections.abc import Iterator, Sequence

from stiggctl.definitions import Allocation, Found, Grant, Override, Price, Rate, Resource, ResourceType
from stiggctl.errors import shown
from stiggctl.validation.schemas import cycles
from stiggctl.validation.whole import Node, ResourceKey, Whole


def customers_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each customer."""
    seen: set[str] = set()
    for place, customer in enumerate(whole.model.customers):
        if customer.id in seen:
            yield Found("customers", place, ("id",), customer.id, "one entry for each customer")
        seen.add(customer.id)


def customers_are_known(whole: Whole) -> Iterator[Found]:
    """Types, limits and prices are of a customer that exists; a resource or a grant makes its own."""
    model = whole.model
    lists: tuple[tuple[str, Sequence[ResourceType | Allocation | Override | Rate | Price]], ...] = (
        ("resource_types", model.resource_types),
        ("allocations", model.allocations),
        ("overrides", model.overrides),
        ("rates", model.rates),
        ("prices", model.prices),
    )
    for entries, listed in lists:
        for place, entry in enumerate(listed):
            owner = entry.customer_id
            if owner is None or owner in whole.customers:
                continue
            if not whole.draft.unreadable.keys() & {"customers", "resources", "grants"}:
                expected = (
                    f"a customer that exists, or that the model defines{whole.hint(owner, whole.customers)}"
                )
                yield Found(entries, place, ("customer_id",), owner, expected)


def resources_are_once(whole: Whole) -> Iterator[Found]:
    """One entry for each resource of a customer."""
    yield from once_of_a_customer("resources", whole.model.resources, whole.owners.resources)


def once_of_a_customer(
    entries: str, listed: Sequence[Resource | Grant], owners: Sequence[str | None]
) -> Iterator[Found]:
    """One entry for each id of a customer, in a list of entries that customers have."""
    seen: set[tuple[str, str]] = set()
    for place, (entry, owner) in enumerate(zip(listed, owners, strict=True)):
        if owner is None:
            continue
        if (owner, entry.id) in seen:
            expected = f"one entry for each {entries.removesuffix('s')} of {shown(owner)}"
            yield Found(entries, place, ("id",), entry.id, expected)
        seen.add((owner, entry.id))


def resources_have_an_owner(whole: Whole) -> Iterator[Found]:
    """Every resource is of a customer: named, its parent's, or the only one that the model names."""
    if whole.draft.unreadable:
        return  # an entry that could not be read may be the one that says it
    orphans = {
        entry.id
        for entry, owner in zip(whole.model.resources, whole.owners.resources, strict=True)
        if owner is None
    }
    for place, entry in enumerate(whole.model.resources):
        if whole.owners.resources[place] is None and entry.parent_resource_id not in orphans:
            yield Found("resources", place, ("customer_id",), None, whole.whose())


def resource_types_are_known(whole: Whole) -> Iterator[Found]:
    """A resource's type is the customer's own, or one for all."""
    for place, (entry, owner) in enumerate(zip(whole.model.resources, whole.owners.resources, strict=True)):
        type_id = entry.resource_type_id
        if whole.type_key(owner, type_id) is not None:
            continue
        if not whole.draft.may_be_unreadable("resource_types", type_id):
            known = (known_id for customer_id, known_id in whole.types if customer_id in {None, owner})
            expected = f"a resource type that exists{whole.hint(type_id, known)}"
            yield Found("resources", place, ("resource_type_id",), type_id, expected)


def parents_are_known_and_fit(whole: Whole) -> Iterator[Found]:
    """A parent is a resource of the same customer, of the parent type where there is one."""
    for place, (entry, owner) in enumerate(zip(whole.model.resources, whole.owners.resources, strict=True)):
        parent_id = entry.parent_resource_id
        if parent_id is None or owner is None:
            continue
        parent = whole.nodes.get((owner, parent_id))
        if parent is None:
            if not whole.draft.may_be_unreadable("resources", parent_id):
                expected = f"a resource of customer {shown(owner)}{whole.hint_of_resource(owner, parent_id)}"
                yield Found("resources", place, ("parent_resource_id",), parent_id, expected)
            continue
        type_key = whole.type_key(owner, entry.resource_type_id)
        if type_key is None or whole.type_key(owner, parent.type_id) is None:
            continue  # that is told at the type
        wanted = whole.parent_type(type_key)
        if wanted is not None and wanted != parent.type_id:
            expected = (
                f"a resource of type {shown(wanted)}, as type {shown(entry.resource_type_id)} says"
                f" ({shown(parent_id)} is of type {shown(parent.type_id)})"
            )
            yield Found("resources", place, ("parent_resource_id",), parent_id, expected)


def resources_form_no_cycle(whole: Whole) -> Iterator[Found]:
    """No resource is above itself."""

    def above(key: ResourceKey) -> ResourceKey | None:
        parent_id = whole.nodes[key].parent_id
        if parent_id is None or (key[0], parent_id) not in whole.nodes:
            return None
        return key[0], parent_id

    starts = ((node.customer_id, node.resource_id) for node in whole.owned_resources())
    for cycle in cycles(starts, above):
        nodes = [whole.nodes[key] for key in cycle]
        # The ledger has no cycle, so one of them stands elsewhere in it, or not at all.
        place = min(node.place for node in nodes if node.place is not None and _is_moved(whole, node))
        parent_id = whole.model.resources[place].parent_resource_id
        loop = " > ".join(shown(node.resource_id) for node in (*nodes[:8], nodes[0]))
        expected = f"a parent that is not below it ({loop})"
        yield Found("resources", place, ("parent_resource_id",), parent_id, expected)


def _is_moved(whole: Whole, node: Node) -> bool:
    former = whole.known.resources.get((node.customer_id, node.resource_id))
    return former is None or former.parent_id != node.parent_id
