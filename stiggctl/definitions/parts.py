"""The parts of a model, as people write them: frozen, each knowing what may stand in it.

Here: UsageModel and its parts. Not here: what may stand in one field (values.py), reading
documents (reading.py), whether the parts fit each other (validation.py).

What always holds:
  DF2  Keys are read in camelCase or snake_case and written in camelCase.
  DF3  What is left out is its default; an unknown key is never ignored.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic.alias_generators import to_camel

from stiggctl.amounts import DECIMALS_MAX
from stiggctl.definitions.text import json_text
from stiggctl.definitions.thresholds import THRESHOLDS, Thresholds
from stiggctl.definitions.values import (
    A_FILTER,
    A_NAME,
    AN_AMOUNT,
    AN_ANCHOR,
    AN_ID,
    AN_INSTANT,
    Anchor,
    AsList,
    CadenceText,
    Filter,
    Id,
    Instant,
    Key,
    Name,
    Number,
    PropertyValue,
    ZoneName,
)

Enforcement = Literal["HARD", "SOFT"]
GrantKind = Literal["PAID", "PROMOTIONAL"]
Kind = Literal["STRING", "NUMBER", "BOOLEAN", "ENUM"]

_A_CADENCE = "a duration of one unit, such as PT1H, P1D or P1M, or hour, day, week, month or year"
# Room for tiers between tiers; nobody orders more of them by number.
PRIORITY_MAX = 1_000

_A_ZONE = 'an IANA time zone, such as "UTC" or "Europe/Amsterdam"'


class Part(BaseModel):
    """What all parts have in common: frozen, exact keys in either case, written in camelCase."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        # model_copy(update=…) checks nothing, so a part that comes as an object is read again.
        revalidate_instances="always",
    )

    def as_dict(self) -> dict[str, Any]:
        """What stands in it, with camelCase keys; what is None is left out."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Customer(Part):
    """A tenant: it owns resources and allocations, and nothing crosses customers."""

    id: Id = Field(description=AN_ID)
    name: Name | None = Field(None, description=A_NAME)


class CreditCurrency(Part):
    """A unit of credits, with fixed decimals: "ai-tokens" has 0, "usd" 9."""

    id: Id = Field(description=AN_ID)
    name: Name | None = Field(None, description=A_NAME)
    decimals: int = Field(
        0, strict=True, ge=0, le=DECIMALS_MAX, description=f"a whole number from 0 to {DECIMALS_MAX}"
    )


class Property(Part):
    """What one property of a resource may be."""

    type: Kind = Field(description="STRING, NUMBER, BOOLEAN or ENUM")
    required: bool = Field(default=False, strict=True, description="true or false")
    values: Annotated[tuple[Name, ...], AsList] | None = Field(
        None, description="a list of texts, the values of an ENUM"
    )


def attribution_keys_of(type_id: str) -> tuple[str, ...]:
    """The dimensions that name a resource of the type, where its definition does not say.

    >>> attribution_keys_of("user"), attribution_keys_of("cost_center")
    (('user', 'user_id', 'userId'), ('cost_center', 'cost_center_id', 'costCenterId'))
    """
    first, *rest = [word for word in re.split(r"[_\s-]+", type_id) if word] or [type_id]
    camel = first + "".join(word[:1].upper() + word[1:] for word in rest) + "Id"
    return tuple(dict.fromkeys((type_id, f"{type_id}_id", camel)))


class ResourceType(Part):
    """A kind of resource: its parent's kind, its properties, the dimensions that name one."""

    id: Id = Field(description=AN_ID)
    name: Name | None = Field(None, description=A_NAME)
    customer_id: Id | None = Field(None, description=AN_ID)
    parent_resource_type_id: Id | None = Field(None, description=AN_ID)
    attribution_keys: Annotated[tuple[Key, ...], AsList] = Field(
        default_factory=lambda read: attribution_keys_of(read["id"]),
        description="a list of dimension keys, each text of 1 to 258 characters",
    )
    properties: dict[Id, Property] = Field(
        default={}, description="an object: a property's name (an id) to its type, required and values"
    )


class Resource(Part):
    """A node of a customer's trees: a user, a team, a region, a feature."""

    id: Id = Field(description=AN_ID)
    resource_type_id: Id = Field(description=AN_ID)
    parent_resource_id: Id | None = Field(None, description=AN_ID)
    customer_id: Id | None = Field(None, description=AN_ID)
    name: Name | None = Field(None, description=A_NAME)
    properties: dict[Id, PropertyValue] = Field(
        default={}, description="an object: a property's name to its value"
    )


class Allocation(Part):
    """A limit in a currency: on a resource, or (a template) on each of a type that matches."""

    id: Id | None = Field(None, description=AN_ID)
    resource_id: Id | None = Field(None, description=AN_ID)
    resource_type_id: Id | None = Field(None, description=AN_ID)
    where: Filter | None = Field(None, description=A_FILTER)
    credit_currency: Id = Field(description=AN_ID)
    customer_id: Id | None = Field(None, description=AN_ID)
    limit: Number = Field(description=AN_AMOUNT)
    enforcement_type: Enforcement = Field("HARD", description="HARD or SOFT")
    cadence: CadenceText | None = Field(None, description=_A_CADENCE)
    timezone: ZoneName | None = Field(None, description=_A_ZONE)  #: None: UTC
    anchor: Anchor | None = Field(None, description=AN_ANCHOR)
    rolling: bool = Field(default=False, strict=True, description="true or false")
    scope: Filter | None = Field(None, description=A_FILTER)
    effective_at: Instant | None = Field(None, description=AN_INSTANT)
    expires_at: Instant | None = Field(None, description=AN_INSTANT)
    thresholds: Thresholds = Field((), description=THRESHOLDS)  #: percentages of the limit in force

    @property
    def is_template(self) -> bool:
        """Whether it is for each resource of a type, rather than on one."""
        return self.resource_id is None

    @model_serializer(mode="wrap")
    def _written(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = written(self)
        if not self.rolling:
            fields.pop("rolling", None)  # few roll, and to say so of each that does not would be noise
        if not self.thresholds:
            fields.pop("thresholds", None)
        return fields


class Override(Part):
    """A temporary change of the limits of a resource in a currency and scope, which ends by itself."""

    resource_id: Id = Field(description=AN_ID)
    credit_currency: Id = Field(description=AN_ID)
    customer_id: Id | None = Field(None, description=AN_ID)
    limit: Number | None = Field(None, description=AN_AMOUNT)
    add: Number | None = Field(None, description=AN_AMOUNT)
    cadence: CadenceText | None = Field(None, description=_A_CADENCE)
    scope: Filter | None = Field(None, description=A_FILTER)
    reason: Name | None = Field(None, description=A_NAME)
    actor: Name | None = Field(None, description=A_NAME)
    effective_at: Instant | None = Field(None, description=AN_INSTANT)
    expires_at: Instant = Field(description=AN_INSTANT)


class RateTerm(Part):
    """A part of a price that grows with a dimension: `credits` for each `per` of it."""

    dimension: Id = Field(description=AN_ID)
    credits: Number = Field(description=AN_AMOUNT)
    per: Number = Field(1, description=AN_AMOUNT)


class Rate(Part):
    """What an event costs in a currency: a fixed part, and terms."""

    event_name: Id = Field(description=AN_ID)
    credit_currency: Id = Field(description=AN_ID)
    customer_id: Id | None = Field(None, description=AN_ID)
    where: Filter | None = Field(None, description=A_FILTER)
    credits: Number = Field(0, description=AN_AMOUNT)
    terms: Annotated[tuple[RateTerm, ...], AsList] = Field(
        (), description="a list of {dimension, credits, per}"
    )
    effective_at: Instant | None = Field(None, description=AN_INSTANT)


class Grant(Part):
    """Prepaid credits of a customer; with a cadence so much in each window, which expires with it."""

    id: Id = Field(description=AN_ID)
    customer_id: Id | None = Field(None, description=AN_ID)
    credit_currency: Id = Field(description=AN_ID)
    amount: Number = Field(description=AN_AMOUNT)
    #: A lower one burns first.
    priority: int = Field(
        50, strict=True, ge=0, le=PRIORITY_MAX, description=f"a whole number from 0 to {PRIORITY_MAX:,}"
    )
    kind: GrantKind = Field("PAID", description="PAID or PROMOTIONAL")
    effective_at: Instant | None = Field(None, description=AN_INSTANT)
    expires_at: Instant | None = Field(None, description=AN_INSTANT)
    cadence: CadenceText | None = Field(None, description=_A_CADENCE)
    timezone: ZoneName | None = Field(None, description=_A_ZONE)  #: None: UTC
    anchor: Anchor | None = Field(None, description=AN_ANCHOR)
    thresholds: Thresholds = Field((), description=THRESHOLDS)  #: percentages of the amount

    @model_serializer(mode="wrap")
    def _written(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = written(self)
        if not self.thresholds:
            fields.pop("thresholds", None)
        return fields


class Price(Part):
    """What tokens of a model cost by contract, in dollars: for all, or for the responses of one customer."""

    provider: Id | None = Field(None, description=AN_ID)
    model: Id = Field(description=AN_ID)  #: its name, or a pattern with * and ?
    customer_id: Id | None = Field(None, description=AN_ID)
    per_million: dict[Id, Number] = Field(
        default={}, description="an object: a class of tokens, such as input, to dollars for a million"
    )
    each: dict[Id, Number] = Field(
        default={}, description="an object: requests or web_searches to dollars for each"
    )
    effective_at: Instant | None = Field(None, description=AN_INSTANT)
    expires_at: Instant | None = Field(None, description=AN_INSTANT)

    @model_serializer(mode="wrap")
    def _written(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = written(self)
        for name in ("perMillion", "per_million", "each"):
            if not fields.get(name, True):
                del fields[name]  # an empty one says nothing
        return fields


class UsageModel(Part):
    """All that people define: who may spend how much of what, and what usage costs.

    Every list may be left out. Keys are read in camelCase or snake_case and written in
    camelCase. Parts that contradict each other are found by apply, not here.

    >>> model = UsageModel.model_validate({"resources": [{"id": "emea", "resourceTypeId": "region"}]})
    >>> model.resources[0].resource_type_id
    'region'
    >>> model.as_dict()
    {'resources': ({'id': 'emea', 'resourceTypeId': 'region', 'properties': {}},)}
    """

    customers: Annotated[tuple[Customer, ...], AsList] = Field((), description="a list of {id, name}")
    credit_currencies: Annotated[tuple[CreditCurrency, ...], AsList] = Field(
        (), description="a list of {id, name, decimals}"
    )
    resource_types: Annotated[tuple[ResourceType, ...], AsList] = Field(
        (), description="a list of {id, name, parentResourceTypeId, attributionKeys, properties}"
    )
    resources: Annotated[tuple[Resource, ...], AsList] = Field(
        (), description="a list of {id, resourceTypeId, parentResourceId, customerId, name, properties}"
    )
    allocations: Annotated[tuple[Allocation, ...], AsList] = Field(
        (), description="a list of {resourceId or resourceTypeId, creditCurrency, limit, cadence, scope …}"
    )
    overrides: Annotated[tuple[Override, ...], AsList] = Field(
        (), description="a list of {resourceId, creditCurrency, limit or add, expiresAt …}"
    )
    rates: Annotated[tuple[Rate, ...], AsList] = Field(
        (), description="a list of {eventName, creditCurrency, credits, terms}"
    )
    grants: Annotated[tuple[Grant, ...], AsList] = Field(
        (), description="a list of {id, customerId, creditCurrency, amount, priority, kind, expiresAt …}"
    )
    prices: Annotated[tuple[Price, ...], AsList] = Field(
        (), description="a list of {provider, model, customerId, perMillion, each, effectiveAt, expiresAt}"
    )

    def as_dict(self) -> dict[str, Any]:
        """The model with camelCase keys; empty lists and what is None are left out."""
        return {key: entries for key, entries in super().as_dict().items() if entries}

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """The model as JSON text. Every number is one, and exact: pydantic writes a Decimal as text."""
        return json_text(self.model_dump(**options), indent=indent)


#: The part that an entry of a list, or a value of an object, is.
PARTS: Mapping[tuple[type[Part], str], type[Part]] = {
    (UsageModel, "customers"): Customer,
    (UsageModel, "credit_currencies"): CreditCurrency,
    (UsageModel, "resource_types"): ResourceType,
    (UsageModel, "resources"): Resource,
    (UsageModel, "allocations"): Allocation,
    (UsageModel, "overrides"): Override,
    (UsageModel, "rates"): Rate,
    (UsageModel, "grants"): Grant,
    (UsageModel, "prices"): Price,
    (ResourceType, "properties"): Property,
    (Rate, "terms"): RateTerm,
}
