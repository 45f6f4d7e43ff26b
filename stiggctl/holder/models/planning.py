"""Planning: a model against what the ledger has, into the rows that have to be written.

Here: which entries are new, changed or as they were. Not here: those that limit or price
(limits.py), what is wrong in a model (validation/), what of the ledger a model does not name
(pruning.py).

What always holds:
  MP1  Nothing is planned of a model that has a problem.
  MP2  A model that was applied plans nothing: equal entries have equal rows.
  MP3  An entry replaces the former one of its key whole; what is left out is the default.
  MP4  No row of usage is written or read, but for whether a currency's decimals may change.
  MP5  Only customers whose paths may change get a new version: a name is in no path, nor is a
       property that no template asks for.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from stiggctl.definitions import SILENT, Draft, Resource, ResourceType, Telling, entries_of
from stiggctl.errors import InvalidModel
from stiggctl.holder.models import entries, limits
from stiggctl.holder.models.meant import only_customer
from stiggctl.holder.models.present import Present, present_for
from stiggctl.holder.models.standing import known_for, shadows
from stiggctl.holder.models.writing import Stamp, Writing, ancestors_first
from stiggctl.ledger import Reader
from stiggctl.ledger.records import (
    CurrencyWrite,
    CustomerWrite,
    ResourceRow,
    ResourceWrite,
    TypeRow,
    TypeWrite,
)
from stiggctl.validation import (
    CHECKS,
    Owners,
    Whole,
    grants_lack_owner,
    owners_of,
    problems_of,
    without_owner,
)

T = TypeVar("T")


class Plan:
    """A valid model, what the ledger has of it, and the writing that makes the one of the other."""

    __slots__ = (
        "_asked",
        "draft",
        "keeps_archived",
        "owners",
        "present",
        "reader",
        "telling",
        "whole",
        "writing",
    )

    def __init__(
        self,
        draft: Draft,
        reader: Reader,
        stamp: Stamp,
        *,
        keeps_archived: bool = False,
        telling: Telling = SILENT,
    ) -> None:
        """Raises InvalidModel with all problems of the model.

        `keeps_archived`: what is archived stays so although it is named (a move is no restore).
        """
        #: By customer and type id: the properties that templates ask for.
        self._asked: dict[str, dict[str | None, set[str]]] = {}
        telling.begin("checking", len(CHECKS))
        lacking = without_owner(draft)
        self.telling = telling
        self.draft = draft
        self.reader = reader
        self.keeps_archived = keeps_archived
        self.owners: Owners = owners_of(
            draft,
            reader.customers_with(sorted(lacking)) if lacking else {},
            only_customer(reader) if grants_lack_owner(draft) else None,
        )
        self.present: Present = present_for(draft, self.owners, reader)
        known = known_for(draft, self.owners, self.present, reader, at_us=stamp.at_us)
        self.whole = Whole(draft, known, self.owners)
        if problems := problems_of(self.whole, telling):
            raise InvalidModel(problems=problems)
        telling.end(len(CHECKS))
        self.writing = Writing(self.present.state.change, stamp)

    def write(self) -> Writing:
        """Every entry, in the order in which rows refer to each other."""
        entries = entries_of(self.draft.model)
        self.telling.begin("planning", entries)
        self._currencies()
        self._customers()
        self._types()
        self._resources()
        limits.write_allocations(self)
        limits.write_overrides(self)
        limits.write_grants(self)
        limits.write_rescaled(self)
        limits.write_rates(self)
        limits.write_prices(self)
        self.telling.end(entries)
        return self.writing

    def told(self, entries: Sequence[T], owners: Sequence[str | None]) -> Iterator[tuple[T, str | None]]:
        """Entries with whose they are; each counts when the next is asked for."""
        return self.telling.each(zip(entries, owners, strict=True))

    # ------------------------------------------------------------------ currencies, customers

    def _currencies(self) -> None:
        named = {entry.id: (entry.name, entry.decimals) for entry in self.draft.model.credit_currencies}
        model = self.draft.model
        for currency_id in [
            *(limit.credit_currency for limit in model.allocations),
            *(grant.credit_currency for grant in model.grants),
        ]:
            if currency_id not in self.present.currencies:
                named.setdefault(currency_id, (None, 0))
        for currency_id, (name, decimals) in named.items():
            row = self.present.currencies.get(currency_id)
            subject = entries.currency_name(currency_id)
            if row is not None and (row.name, row.decimals) == (name, decimals):
                self.writing.keep(subject, None)
                continue
            write = CurrencyWrite(currency_id=currency_id, name=name, decimals=decimals)
            self.writing.change.currencies.append(write)
            before = None if row is None else entries.currency_entry(row)
            self.writing.tell(subject, None, before, entries.currency_entry(write))
            if row is None or row.decimals != decimals:
                self.writing.touch(None)  # who looked for it in vain looks again

    def _customers(self) -> None:
        named = {entry.id: entry.name for entry in self.draft.model.customers}
        implied = dict.fromkeys(owner for owner in self.owners.resources if owner is not None)
        # A grant makes its customer, but does not let one that was archived in again.
        lacking = set(self.owners.grants) - self.present.customers.keys()
        implied |= dict.fromkeys(
            owner for owner in self.owners.grants if owner is not None and owner in lacking
        )
        for customer_id in (*named, *(each for each in implied if each not in named)):
            row = self.present.customers.get(customer_id)
            name = named.get(customer_id, row.name if row else None)
            archived = row.archived_at_us if row is not None and self.keeps_archived else None
            subject = entries.customer_name(customer_id)
            if row is not None and (row.name, row.archived_at_us) == (name, archived):
                if customer_id in named:
                    self.writing.keep(subject, None)
                continue
            write = CustomerWrite(customer_id=customer_id, name=name, archived_at_us=archived)
            self.writing.change.customers.append(write)
            before = None if row is None else entries.customer_entry(row)
            self.writing.tell(subject, customer_id, before, entries.customer_entry(write), shown=subject)
            if row is None or row.archived_at_us != archived:
                self.writing.touch(customer_id)

    # ------------------------------------------------------------------ types, resources

    def _types(self) -> None:
        for entry in self.draft.model.resource_types:
            row = self.present.types.get((entry.customer_id, entry.id))
            subject = entries.type_name(entry.id)
            if row is not None and _is_type(row, entry):
                self.writing.keep(subject, entry.customer_id)
                continue
            write = TypeWrite(
                customer_id=entry.customer_id,
                type_id=entry.id,
                name=entry.name,
                parent_type_id=entry.parent_resource_type_id,
                attribution_keys=entry.attribution_keys,
                properties=entries.schema_text(entry.properties),
            )
            self.writing.change.types.append(write)
            before = None if row is None else entries.type_entry(row)
            self.writing.tell(subject, entry.customer_id, before, entries.type_entry(write))
            self.writing.touch(entry.customer_id)

    def _resources(self) -> None:
        writes: list[ResourceWrite] = []
        for entry, owner in self.told(self.draft.model.resources, self.owners.resources):
            assert owner is not None  # else there was a problem
            key = self.whole.type_key(owner, entry.resource_type_id)
            assert key is not None
            row = self.present.resources.get((owner, entry.id))
            write = ResourceWrite(
                customer_id=owner,
                resource_id=entry.id,
                type_id=entry.resource_type_id,
                type_customer_id=key[0],
                parent_resource_id=entry.parent_resource_id,
                name=entry.name,
                properties=entries.properties_text(entry.properties),
                archived_at_us=row.archived_at_us if row is not None and self.keeps_archived else None,
                suspension=None if row is None else row.suspension,  # no model suspends or resumes
            )
            subject = entries.resource_name(entry.id)
            if row is None:
                same_path = False
            else:
                same_properties = row.properties == write.properties
                same_path = (
                    self.present.type_keys[row.type] == key
                    and row.parent_resource_id == write.parent_resource_id
                    and row.archived_at_us == write.archived_at_us
                    and (same_properties or not self._matches_anew(owner, row, entry))
                )
                if same_path and row.name == write.name and same_properties:
                    self.writing.keep(subject, owner)
                    continue
            writes.append(write)
            before = None if row is None else entries.resource_entry(owner, row)
            self.writing.tell(subject, owner, before, entries.resource_entry(owner, write))
            if not same_path:
                self.writing.touch(owner)
        writes += self._retargeted()
        self.writing.change.resources.extend(ancestors_first(writes))

    def _matches_anew(self, owner: str, row: ResourceRow, entry: Resource) -> bool:
        """Whether a property changes that a template of its type asks for."""
        if owner not in self._asked:
            asked = self._asked[owner] = {}
            for template in self.reader.templates(self.present.customers[owner].id):
                names = asked.setdefault(template.type_id, set())
                names.update(entries.filter_of(template.where) or ())
        was = entries.properties_of(row.properties)
        matter = self._asked[owner].get(row.type_id, set())
        return any(was.get(name) != entry.properties.get(name) for name in matter)

    def _retargeted(self) -> Iterator[ResourceWrite]:
        """Resources that the model does not name, whose type is the customer's own from now on (WM3)."""
        for customer_id, type_id in sorted(shadows(self.draft, self.present)):
            shared = self.present.types[None, type_id].id
            for row in self.reader.resources(self.present.customers[customer_id].id):
                named = self.whole.nodes.get((customer_id, row.resource_id))
                if row.type == shared and (named is None or named.place is None):
                    yield rewritten(customer_id, row, type_customer_id=customer_id)


def rewritten(customer_id: str, row: ResourceRow, *, type_customer_id: str | None) -> ResourceWrite:
    """A resource's row as it stands, to be written with a change."""
    return ResourceWrite(
        customer_id=customer_id,
        resource_id=row.resource_id,
        type_id=row.type_id,
        type_customer_id=type_customer_id,
        parent_resource_id=row.parent_resource_id,
        name=row.name,
        properties=row.properties,
        archived_at_us=row.archived_at_us,
        suspension=row.suspension,
    )


def _is_type(row: TypeRow, entry: ResourceType) -> bool:
    return (
        row.name == entry.name
        and row.parent_type_id == entry.parent_resource_type_id
        and tuple(row.attribution_keys) == entry.attribution_keys
        and entries.type_of(row).properties == entry.properties
    )
