"""Forgetting: what a row says, without the names of somebody who is erased.

Here: texts, dimensions, scopes and audit entries, rewritten; pure. Not here: which rows (sqlite/erasing.py),
what a resource keeps of its properties (holder/erasing.py).

What always holds:
  FG1  In the place of the id stands one token, the same everywhere: what counted together counts
       together. It is random, and says nothing of the id.
  FG2  An id is replaced where it is one: a dimension under an attribution key, a value of a scope, an id
       in an entry. In running text only as a word of its own: "ana" is not in "banana", nor in "ana-2".
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stiggctl.definitions import json_text, json_value
from stiggctl.events import canonical_text, dimensions_json, dimensions_of

_TOKEN = re.compile(r"erased-[0-9a-f]{32}")
#: Dimensions that the library writes itself, with what somebody gave as a reason, or as their own name.
_OF_OURS = ("reversal_reason", "reversal_actor", "rerate_reason", "rerate_actor")


def new_token() -> str:
    """An id that nobody has, and that says nothing."""
    return f"erased-{secrets.token_hex(16)}"


def is_token(resource_id: str) -> bool:
    """Whether it may be one: then a process may know the resource by its former id."""
    return _TOKEN.fullmatch(resource_id) is not None


class Forgotten(NamedTuple):
    """Who is erased, and what stands in their place."""

    resource_id: str
    token: str
    attribution_keys: frozenset[str]  #: of the resource's type: a dimension of that key names it
    names: frozenset[str] = frozenset()  #: how people called it

    # ---------------------------------------------------------------- text

    def text(self, said: str | None, *, about: bool = False) -> str | None:
        """Running text without the id as a word; `about` it: without its names too."""
        if said is None:
            return None
        for name in sorted({self.resource_id, *self.names} if about else {self.resource_id}, key=len)[::-1]:
            if name in said:
                word = re.escape(name)
                said = re.sub(rf"(?<![\w@-])(?<!\w\.){word}(?![\w@-])(?!\.\w)", self.token, said)
        return said

    def mentions(self, said: str | None) -> bool:
        """Whether running text has the id as a word."""
        return said is not None and self.text(said) != said

    # ---------------------------------------------------------------- rows

    def scope(self, scope: str) -> str:
        """A scope, or the `where` of a rate, with the token as the value."""
        if not any(key in scope for key in self.attribution_keys):
            return scope
        asked: dict[str, list[str]] = json_value(scope)
        for key in self.attribution_keys & asked.keys():
            asked[key] = sorted(self._id(value) for value in asked[key])
        return json_text(asked)

    def dimensions(self, said: str, *, about: bool) -> str:
        """An event's dimensions; of an event that is `about` it also without its names in reasons."""
        dimensions = dimensions_of(said)
        left = dict(dimensions)
        for key in self.attribution_keys & left.keys():
            if canonical_text(left[key], key) == self.resource_id:
                left[key] = self.token
        for key in _OF_OURS:
            value = left.get(key)
            if isinstance(value, str):
                left[key] = self.text(value, about=about) or ""
        return said if left == dimensions else dimensions_json(left)

    def unattributed(self, said: str | None) -> str | None:
        """Ids that no resource had."""
        if said is None:
            return None
        ids: list[str] = json_value(said)
        return json_text([self._id(one) for one in ids]) if self.resource_id in ids else said

    def own_id(self, limit_id: str) -> str:
        """The id of a limit that is its own; it may be made of its id, "ana-daily"."""
        return limit_id.replace(self.resource_id, self.token)

    # ---------------------------------------------------------------- audit

    def names_in(self, entry: str | None) -> Iterable[str]:
        """How an entry of it calls it."""
        if entry is not None and self.resource_id in entry:
            found = json_value(entry)
            if isinstance(found, dict) and self._is_own(found) and isinstance(found.get("name"), str):
                yield found["name"]

    def ids_in(self, entry: str | None) -> Iterable[str]:
        """The ids of its own limits, where they are made of its id."""
        if entry is not None and self.resource_id in entry:
            found = json_value(entry)
            if isinstance(found, dict) and found.get("resourceId") == self.resource_id:
                own = found.get("id")
                if isinstance(own, str) and self.resource_id in own:
                    yield own

    def entry(self, entry: str | None) -> str | None:
        """An entry of the audit: its own without name and properties, others without its id."""
        if entry is None:
            return None
        found = json_value(entry)
        return json_text(self._value(found)) if self._value(found) != found else entry

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._id(value) if value == self.resource_id else self.text(value, about=True)
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if isinstance(value, Mapping):
            for owner, limit_id in _LIMITS:
                if value.get(owner) == self.resource_id and isinstance(value.get(limit_id), str):
                    value = {**value, limit_id: self.own_id(value[limit_id])}
            kept = {key: one for key, one in value.items() if not self._is_own(value) or key not in _OWN}
            return {key: self._value(one) for key, one in kept.items()}
        return value

    def _is_own(self, entry: Mapping[str, Any]) -> bool:
        return entry.get("id") == self.resource_id and "resourceTypeId" in entry

    def _id(self, value: str) -> str:
        return self.token if value == self.resource_id else value


#: Where an entry of a limit, in the audit and in a denial, says what it is on, and its id.
_LIMITS = (("resourceId", "id"), ("resource_id", "allocation_id"))
#: What an entry of a resource says of it beside where it stands.
_OWN = frozenset({"name", "properties"})
