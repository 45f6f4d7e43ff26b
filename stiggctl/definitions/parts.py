"""The parts of a model, as people write them: frozen, each knowing what may stand in it.

Here: UsageModel and its parts; which text is an id, which value is an amount or a property.
Not here: reading documents (reading.py), whether the parts fit each other (validation.py).

What always holds:
  DF1  A number is what was written: int, Decimal or text. A float or a bool is refused.
  DF2  Keys are read in camelCase or snake_case and written in camelCase.
  DF3  What is left out is its default; an unknown key is never ignored.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from stiggctl.amounts import DECIMALS_MAX, Amount
from stiggctl.definitions.text import json_text

# Names are for people: a sentence fits, a page does not.
NAME_MAX = 1_000
# A property is looked at, not searched: longer text belongs into the application's own tables.
TEXT_MAX = 4_000
# JSON's readers elsewhere keep 15 to 17 digits at best; 38 leave room for any id or amount.
DIGITS_MAX = 38

AN_ID = "text of 1 to 255 characters, without NUL or a lone surrogate"
A_NAME = f"text of at most {NAME_MAX:,} characters, without NUL or a lone surrogate"
AN_AMOUNT = 'an int, a Decimal or text such as "5" or "0.02"'
A_TEXT = f"text of at most {TEXT_MAX:,} characters, without NUL or a lone surrogate"
A_VALUE = f"text of at most {TEXT_MAX:,} characters, an int, a Decimal or a bool"

Enforcement = Literal["HARD", "SOFT"]
Kind = Literal["STRING", "NUMBER", "BOOLEAN", "ENUM"]
Value = str | int | Decimal | bool


def _refused(expected: str) -> PydanticCustomError:
    return PydanticCustomError("refused", expected)


def _read_amount(value: object) -> object:
    # How large and how precise it may be depends on the currency: validation.py asks to_units.
    if isinstance(value, float):
        raise _refused(f"{AN_AMOUNT}; a float is not exact: write text or Decimal")
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise _refused(AN_AMOUNT)
    return value


def _read_value(value: object) -> object:
    if isinstance(value, float):
        raise _refused('an int or a Decimal; a float is not exact: write Decimal("0.5")')
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = str.__str__(value)  # of a StrEnum its text, not its name
        if len(text) > TEXT_MAX or "\0" in text or not _is_unicode(text):
            raise _refused(A_TEXT)
        return text
    if isinstance(value, int):
        if not -(10**DIGITS_MAX) < value < 10**DIGITS_MAX:
            raise _refused(f"a number of at most {DIGITS_MAX} digits")
        return int(value)
    if isinstance(value, Decimal):
        if not _is_short(value):
            raise _refused(f"a number of at most {DIGITS_MAX} digits")
        return value
    raise _refused(A_VALUE)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_short(number: Decimal) -> bool:
    _sign, digits, exponent = number.as_tuple()
    return isinstance(exponent, int) and len(digits) <= DIGITS_MAX and -DIGITS_MAX <= exponent <= DIGITS_MAX


def is_id(value: object) -> bool:
    """Whether it may be an id.

    >>> is_id("user-01"), is_id("日本"), is_id(""), is_id("a" * 256), is_id(5)
    (True, True, False, False, False)
    """
    return isinstance(value, str) and 1 <= len(value) <= 255 and "\0" not in value and _is_unicode(value)


def is_name(value: object) -> bool:
    """Whether it may be a name, or say who changed something and why."""
    return isinstance(value, str) and len(value) <= NAME_MAX and "\0" not in value and _is_unicode(value)


def _read_list(value: object) -> object:
    # pydantic would take sets and generators too: one has no order, the other no second reading.
    if not isinstance(value, list | tuple):
        raise _refused("a list")
    return value


Id = Annotated[str, Field(strict=True, min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
# Of a type with an id of 255 characters, the default key id + "_id" is still one.
Key = Annotated[str, Field(strict=True, min_length=1, max_length=258, pattern=r"^[^\x00]+$")]
Name = Annotated[str, Field(strict=True, max_length=NAME_MAX, pattern=r"^[^\x00]*$")]
Number = Annotated[Amount, PlainValidator(_read_amount)]
PropertyValue = Annotated[Value, PlainValidator(_read_value)]
_AsList = BeforeValidator(_read_list)


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
    values: Annotated[tuple[Name, ...], _AsList] | None = Field(
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
    attribution_keys: Annotated[tuple[Key, ...], _AsList] = Field(
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
    """A limit on a resource in a currency."""

    id: Id | None = Field(None, description=AN_ID)
    resource_id: Id = Field(description=AN_ID)
    credit_currency: Id = Field(description=AN_ID)
    customer_id: Id | None = Field(None, description=AN_ID)
    limit: Number = Field(description=AN_AMOUNT)
    enforcement_type: Enforcement = Field("HARD", description="HARD or SOFT")


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
    credits: Number = Field(0, description=AN_AMOUNT)
    terms: Annotated[tuple[RateTerm, ...], _AsList] = Field(
        (), description="a list of {dimension, credits, per}"
    )


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

    customers: Annotated[tuple[Customer, ...], _AsList] = Field((), description="a list of {id, name}")
    credit_currencies: Annotated[tuple[CreditCurrency, ...], _AsList] = Field(
        (), description="a list of {id, name, decimals}"
    )
    resource_types: Annotated[tuple[ResourceType, ...], _AsList] = Field(
        (), description="a list of {id, name, parentResourceTypeId, attributionKeys, properties}"
    )
    resources: Annotated[tuple[Resource, ...], _AsList] = Field(
        (), description="a list of {id, resourceTypeId, parentResourceId, customerId, name, properties}"
    )
    allocations: Annotated[tuple[Allocation, ...], _AsList] = Field(
        (), description="a list of {resourceId, creditCurrency, customerId, limit, enforcementType}"
    )
    rates: Annotated[tuple[Rate, ...], _AsList] = Field(
        (), description="a list of {eventName, creditCurrency, credits, terms}"
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
    (UsageModel, "rates"): Rate,
    (ResourceType, "properties"): Property,
    (Rate, "terms"): RateTerm,
}
