"""Reading a model: mapping, JSON text, file or UsageModel into parts, and all that is wrong.

Here: which document it is; a Draft, that is, the entries that could be read, with the places
and the spellings in which people wrote them, and the problems of the others.
Not here: what may stand in a part (parts.py), whether entries fit each other (validation.py).

What always holds:
  DF4  Reading stops at no problem: what can be read is read, and every problem is kept.
  DF5  A path names a key as it was written, and an entry's place in the list as written.
  DF6  One fault is one problem: what follows from it is not told again.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from stiggctl.definitions import places
from stiggctl.definitions.documents import Twice, parsed, text_of
from stiggctl.definitions.explaining import Wrong, explained
from stiggctl.definitions.parts import PARTS, Part, UsageModel
from stiggctl.definitions.places import Steps
from stiggctl.errors import InvalidModel, InvalidRequest, Problem

# An entry with such a field wrong is read with this in its place, so that its other fields are
# looked at too. The others say which entry it is: without one nothing more can be said of it.
_STAND_INS: Mapping[str, object] = {
    "name": None,
    "limit": 0,
    "enforcement_type": "HARD",
    "decimals": 0,
    "properties": {},
    "attribution_keys": (),
    "parent_resource_id": None,
    "parent_resource_type_id": None,
    "credits": 0,
    "terms": (),
    "per_million": {},
    "each": {},
    "where": None,
    "cadence": None,
    "timezone": None,
    "anchor": None,
    "rolling": False,
    "scope": None,
    "add": 0,
    "amount": 1,
    "priority": 50,
    "kind": "PAID",
    "reason": None,
    "actor": None,
    "effective_at": None,
    "expires_at": None,
}
# Of a list in which the field must be there.
_NEEDED: Mapping[tuple[str, str], object] = {("overrides", "expires_at"): "9999-12-31T00:00:00Z"}


class Found(NamedTuple):
    """One thing wrong in an entry that could be read; a check's finding."""

    entries: str  #: which list: "allocations"
    place: int  #: of the entry in the draft's model
    steps: Steps  #: names of fields inside it
    value: object
    expected: str


@dataclass(slots=True, eq=False)
class Draft:
    """A model as far as it could be read, and what is wrong with the rest."""

    model: UsageModel
    written: Mapping[str, Any] | UsageModel
    problems: tuple[Problem, ...] = ()
    #: Of a list that lost entries: where those that are left were written.
    kept: dict[str, list[int]] = field(default_factory=dict)
    #: Ids of entries that could not be read (None: of one whose id could not).
    unreadable: dict[str, set[str | None]] = field(default_factory=dict)
    #: Fields that were wrong, by list and place as written.
    wrong: dict[tuple[str, int], set[Steps]] = field(default_factory=dict)

    def may_be_unreadable(self, entries: str, entry_id: str) -> bool:
        """Whether an entry that could not be read has that id, or might have it."""
        ids = self.unreadable.get(entries)
        return ids is not None and (entry_id in ids or None in ids)

    def is_wrong(self, entries: str, place: int, *steps: str | int) -> bool:
        """Whether that field was wrong as written, or one inside it, or one that it is in."""
        if not self.wrong:
            return False
        wrong = self.wrong.get((entries, self.place_written(entries, place)), ())
        return any(steps[: len(each)] == each or each[: len(steps)] == steps for each in wrong)

    def told(self, found: Found) -> Problem | None:
        """The finding as a problem; None where that field is wrong already."""
        if self.is_wrong(found.entries, found.place, *found.steps):
            return None
        steps = (found.entries, self.place_written(found.entries, found.place), *found.steps)
        return Problem(places.path(places.as_written(self.written, steps)), found.value, found.expected)

    def in_order(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """Problems as their entries come in the document, from top to bottom."""
        keys: Collection[str] = self.written.keys() if isinstance(self.written, Mapping) else ()
        lists = {str(key): number for number, key in enumerate(keys)}

        def order(problem: Problem) -> tuple[int, int]:
            entries, _, rest = problem.path.partition("[")
            number = re.match(r"\d+", rest)
            return lists.get(entries, len(lists)), int(number[0]) if number else -1

        return tuple(sorted(problems, key=order))

    def place_written(self, entries: str, place: int) -> int:
        """Where in its list as written an entry of the draft's model stands."""
        kept = self.kept.get(entries)
        return place if kept is None else kept[place]


def read(model: Mapping[str, Any] | str | Path | UsageModel) -> UsageModel:
    """The model that a mapping, JSON text, a file (a Path) or a UsageModel is.

    Raises InvalidModel with everything that cannot be read, InvalidRequest for what is no model
    at all. Whether the entries fit each other and the ledger is not looked at: apply does that.

    >>> read('{"customers": [{"id": "cust-acme-inc"}]}').customers[0].id
    'cust-acme-inc'
    >>> read({"customers": [{"idd": "cust-acme-inc"}]})
    Traceback (most recent call last):
    stiggctl.errors.InvalidModel: the model has 1 problem; nothing was applied
      customers[0].idd: got 'cust-acme-inc', expected a key that is known here: did you mean id?
    """
    draft = draft_of(model)
    if draft.problems:
        raise InvalidModel(problems=draft.problems)
    return draft.model


def draft_of(model: Mapping[str, Any] | str | Path | UsageModel | Draft) -> Draft:
    """The model as far as it can be read, with all problems of its own (DF4).

    Raises InvalidRequest for what is no model, InvalidModel where the document itself cannot be read.
    """
    if isinstance(model, Draft):
        return model
    if isinstance(model, UsageModel | Mapping):
        return _draft(model, ())
    if isinstance(model, Path):
        return _draft(*parsed(text_of(model)))
    text: object = model  # callers may pass anything
    if isinstance(text, str) and (text[:1].isspace() or text[:1] in {"{", "\ufeff"}):
        return _draft(*parsed(text))
    raise InvalidRequest(
        where="model",
        value=model,
        expected="a mapping, JSON text of an object, a UsageModel, or for a file a pathlib.Path",
    )


def _draft(document: object, twice: Twice) -> Draft:
    wrong = [Wrong(steps, value, "each key once in an object") for steps, value in twice]
    try:
        model = UsageModel.model_validate(document)
    except ValidationError as error:
        wrong += explained(document, error)
    else:
        if not wrong and isinstance(document, Mapping | UsageModel):
            return Draft(model, document)
    if isinstance(document, UsageModel):
        document = document.__dict__  # a copy with parts that nobody checked
    if not isinstance(document, Mapping):
        raise InvalidModel(problems=tuple(Problem("model", each.value, each.expected) for each in wrong))
    return _mended(document, wrong)


def _mended(document: Mapping[str, Any], wrong: Sequence[Wrong]) -> Draft:
    """A draft of what is left without the fields that are wrong."""
    draft = Draft(UsageModel(), document)
    draft.problems = draft.in_order(
        [Problem(places.path(each.steps), each.value, each.expected) for each in wrong if each.told]
    )
    lists_wrong: set[str | int] = set()
    for each in wrong:
        entries, *steps = places.field_steps(each.steps)
        if steps:
            draft.wrong.setdefault((str(entries), int(steps[0])), set()).add(tuple(steps[1:]))
        else:
            lists_wrong.add(entries)
    left: dict[str, list[object]] = {}
    for name in UsageModel.model_fields:
        listed = places.at(document, places.spelling(document, name))
        if name in lists_wrong:
            draft.unreadable[name] = {None}
        elif isinstance(listed, list | tuple):  # or it is left out
            mended = [_mended_entry(draft, name, place, entry) for place, entry in enumerate(listed)]
            left[name] = [entry for entry in mended if entry is not None]
            draft.kept[name] = [place for place, entry in enumerate(mended) if entry is not None]
    draft.model = UsageModel.model_validate(left)
    return draft


def _mended_entry(draft: Draft, entries: str, place: int, entry: object) -> object | None:
    """The entry without what is wrong in it; None where too little would be left of it."""
    wrong = draft.wrong.get((entries, place))
    if not wrong:
        return entry
    part = PARTS[UsageModel, entries]
    written = entry.__dict__ if isinstance(entry, Part) else entry if isinstance(entry, Mapping) else {}
    fields: dict[str | int, Any] = {places.names(part).get(key, key): each for key, each in written.items()}
    lost = () in wrong  # the entry is no object
    for first, *inside in filter(None, wrong):
        if first not in part.model_fields:
            fields.pop(first, None)
        elif first == "properties" and inside:
            fields[first] = {name: each for name, each in fields[first].items() if name != inside[0]}
        elif first in _STAND_INS:
            fields[first] = _NEEDED.get((entries, str(first)), _STAND_INS[str(first)])
        else:
            lost = True
    if not lost:
        return fields
    entry_id = None if ("id",) in wrong else fields.get("id")
    draft.unreadable.setdefault(entries, set()).add(entry_id)
    return None
