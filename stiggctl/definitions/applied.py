"""Applied: what a change of the model did.

Here: the record that apply and the single changes return. Not here: how it comes about
(holder/models.py).
"""

from dataclasses import dataclass, fields
from typing import Any

from pydantic.alias_generators import to_camel

# What a screen shows; the fields have all.
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a change of the model did, each entry by a readable name.

    An entry stands in one of the first four. Usage is never touched.

    >>> applied = Applied(created=("resource user-01 of cust-acme-inc",), unchanged=("customer a",))
    >>> print(applied)
    1 created, 1 unchanged
      created: resource user-01 of cust-acme-inc
    """

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  #: replaced, moved, suspended or restored
    unchanged: tuple[str, ...] = ()
    archived: tuple[str, ...] = ()  #: archived; removed or ended early (limits, prices); voided (grants)
    not_named: tuple[str, ...] = ()  #: what apply(…, prune=True) would have archived or removed
    waiting_for: tuple[str, ...] = ()  #: processes that decide by the former model for a moment more

    def __bool__(self) -> bool:
        """Whether anything was written."""
        return bool(self.created or self.changed or self.archived)

    def as_dict(self) -> dict[str, Any]:
        """The lists under camelCase keys, for JSON."""
        return {to_camel(each.name): list(getattr(self, each.name)) for each in fields(self)}

    def __repr__(self) -> str:
        counts = (f"{each.name}={len(getattr(self, each.name))}" for each in fields(self))
        return f"<Applied {' '.join(counts)}>"

    def __str__(self) -> str:
        """The counts, and the names of what is not as it was."""
        told = [(each.name, getattr(self, each.name)) for each in fields(self)]
        counts = [f"{len(names)} {name.replace('_', ' ')}" for name, names in told if names]
        lines = [", ".join(counts) or "nothing named, nothing changed"]
        for name, names in told:
            if names and name != "unchanged":
                more = len(names) - _NAMES_SHOWN
                shown = ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
                lines.append(f"  {name.replace('_', ' ')}: {shown}")
        return "\n".join(lines)
