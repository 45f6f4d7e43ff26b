"""Errors, one by one: their facts, their sentence, and what becomes of both when they travel."""

import copy
import pickle
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import errors
from stiggctl.errors import (
    AccessDenied,
    AmbiguousResource,
    BudgetExhausted,
    ControlClosed,
    CurrencyNotFound,
    CustomerNotFound,
    DecisionNotFound,
    EventNotFound,
    GrantNotFound,
    IdempotencyConflict,
    InvalidAmount,
    InvalidModel,
    InvalidRequest,
    InvalidTimestamp,
    LedgerCorrupt,
    LedgerError,
    LedgerUnavailable,
    LedgerVersionError,
    Problem,
    RateNotFound,
    ReservationNotFound,
    ResourceNotFound,
    StiggctlError,
    nearest,
    shown,
)


class Denial:
    """Stands for a Decision: what an AccessDenied needs of one is its sentence."""

    def __str__(self) -> str:
        return "user-01 has 139 of 200 ai-tokens left; 140 were asked for"


ARGUMENT: dict[str, Any] = {"where": "amount", "value": 0.1, "expected": "an int"}
PLACE: dict[str, Any] = {"location": "usage.db", "reason": "it is not a ledger", "remedy": "name another"}
EXAMPLES: list[StiggctlError] = [
    AccessDenied(decision=Denial()),  # type: ignore[arg-type]  # as said above
    BudgetExhausted(decision=Denial()),  # type: ignore[arg-type]  # as said above
    InvalidModel(problems=(Problem("allocations[3].limit", -5, "zero or more"),)),
    InvalidAmount(**ARGUMENT),
    InvalidTimestamp(**ARGUMENT),
    InvalidRequest(**ARGUMENT),
    CustomerNotFound(customer_id="cust-acme", known=("cust-acme-inc",)),
    ResourceNotFound(resource_ids=("user-1", "emea"), customer_id="cust-acme-inc"),
    AmbiguousResource(resource_ids=("user-01",), customer_ids=("a", "b")),
    CurrencyNotFound(credit_currency="ai-token", known=("ai-tokens", "usd")),
    RateNotFound(event_name="chat", customer_id=None),
    GrantNotFound(grant_id="g-1"),
    EventNotFound(event_id="17"),
    DecisionNotFound(decision_id="d-1"),
    ReservationNotFound(reservation_id="r-1"),
    IdempotencyConflict(
        customer_id="c", idempotency_key="k", first_event_id="17", differs=("amount", "timestamp")
    ),
    ControlClosed(location="usage.db"),
    LedgerError(**PLACE),
    LedgerCorrupt(**PLACE),
    LedgerVersionError(**PLACE),
    LedgerUnavailable(**PLACE, holder_pid=4711),
]
each = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def kinds(kind: type[StiggctlError]) -> Iterator[type[StiggctlError]]:
    for below in kind.__subclasses__():
        yield below
        yield from kinds(below)


def named(value: object) -> str:
    """A test's id: short, of plain letters, and for any value."""
    return ascii(shown(value))[1:20]


def portraits(error: StiggctlError) -> dict[str, str]:
    return {name: repr(fact) for name, fact in vars(error).items() if not isinstance(fact, Denial)}


def test_there_is_an_example_of_every_error() -> None:
    public = {kind for kind in kinds(StiggctlError) if not kind.__name__.startswith("_")}
    public = {kind for kind in public if kind.__module__ == errors.__name__}
    assert {type(error) for error in EXAMPLES} == public


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        branch, _, name = line.partition("── ")
        if name:
            drawn.append((len(branch), name.split()[0]))
    for at, (depth, name) in enumerate(drawn):
        parent = next((above for far, above in reversed(drawn[:at]) if far < depth), "StiggctlError")
        ancestors = [kind.__name__ for kind in getattr(errors, name).__mro__[1:] if kind.__name__[0] != "_"]
        assert ancestors[0] == parent, name
    assert {name for _, name in drawn} == {type(error).__name__ for error in EXAMPLES}


@each
def test_it_survives_every_protocol_with_its_facts_and_its_sentence(error: StiggctlError) -> None:
    """E3."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        read = pickle.loads(pickle.dumps(error, protocol))
        assert type(read) is type(error)
        assert portraits(read) == portraits(error)
        assert (str(read), repr(read)) == (str(error), repr(error))


@each
def test_a_copy_has_the_same_facts_not_copies_of_them(error: StiggctlError) -> None:
    for made in (copy.copy(error), copy.deepcopy(error)):
        assert made is not error
        assert type(made) is type(error)
        assert vars(made) == vars(error)
        assert all(vars(made)[name] is fact for name, fact in vars(error).items())
        assert str(made) == str(error)


@each
def test_a_note_travels_too(error: StiggctlError) -> None:
    noted = copy.copy(error)
    noted.add_note("while the nightly import ran")
    assert pickle.loads(pickle.dumps(noted)).__notes__ == ["while the nightly import ran"]
    assert not hasattr(error, "__notes__")


@each
def test_its_repr_is_its_name_and_its_sentence(error: StiggctlError) -> None:
    assert repr(error) == f"{type(error).__name__}({str(error)!r})"
    assert str(error).strip() == str(error) != ""


@each
def test_its_sentence_is_made_from_its_facts(error: StiggctlError) -> None:
    """E1: change a fact, and the sentence has changed."""
    assert str(error) not in vars(error).values()
    for name, fact in vars(error).items():
        if isinstance(fact, str):
            other = copy.copy(error)
            setattr(other, name, "something-else")
            assert "something-else" in str(other), name


def test_a_plain_one_keeps_its_words() -> None:
    error = pickle.loads(pickle.dumps(StiggctlError("so", 1)))
    assert (type(error), error.args) == (StiggctlError, ("so", 1))


class Unruly:
    """It refuses to be shown, and to be pickled."""

    def __repr__(self) -> str:
        raise RuntimeError

    def __reduce__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "value", [threading.Lock(), lambda: 1, iter(lambda: 1, 2), Unruly(), [threading.Lock()]], ids=named
)
def test_a_fact_that_cannot_be_pickled_travels_as_it_looked(value: object) -> None:
    """E3: a value anybody may have passed does not cost the error its journey."""
    error = InvalidAmount(where="amount", value=value, expected="an int")
    read = pickle.loads(pickle.dumps(error))
    assert str(read) == str(error)
    assert isinstance(read.value, errors.LeftBehind)
    assert read.value.text == shown(value)
    problem = Problem("limit", value, "an int")
    assert str(pickle.loads(pickle.dumps(problem))) == str(problem)
    model = InvalidModel(problems=(problem,))
    assert str(pickle.loads(pickle.dumps(model))) == str(model)


def test_a_reservation_stays_in_its_process_and_the_error_does_not() -> None:
    error = LedgerUnavailable(**PLACE, result={"answer": 42}, reservation=threading.Lock())
    assert copy.copy(error).reservation is error.reservation
    read = pickle.loads(pickle.dumps(error))
    assert read.result == {"answer": 42}
    assert isinstance(read.reservation, errors.LeftBehind)


HUGE: list[object] = [10**10_000, -(10**10_000), [10**10_000], "x" * 10**6, Decimal("1" * 10**5), Unruly()]


@pytest.mark.parametrize(
    "value", [*HUGE, ["x"] * 10**5, {n: n for n in range(10**4)}, "\ud800\n\0", b"\n"], ids=named
)
def test_a_sentence_is_one_short_line_whatever_was_given(value: object) -> None:
    """E2."""
    sentence = str(InvalidRequest(where="dimensions", value=value, expected="something else"))
    assert len(sentence) < 1_000
    assert sentence.isprintable()
    sentence.encode()


def test_an_id_of_full_length_is_shown_whole() -> None:
    longest = "user-" + "é" * 250
    assert longest in str(ResourceNotFound(resource_ids=(longest,), customer_id=None))


def test_a_float_is_called_one() -> None:
    assert shown(5.0) == "5.0 (a float)"
    assert shown(5) == "5"


def test_an_int_too_long_to_be_written_is_told_by_its_size() -> None:
    assert shown(10**10_000) == "<an int of 33220 bits>"
    assert shown([10**10_000]) == "[<an int of 33220 bits>]"


def test_what_only_bears_the_name_of_a_known_kind_is_told_by_its_name() -> None:
    """E2: reprlib goes by names, and would ask this for its length."""
    assert shown(type("dict", (), {})()) == "<dict>"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidAmount(**ARGUMENT), "amount: got 0.1 (a float), expected an int"),
        (
            CurrencyNotFound(credit_currency="USD", known=("ai-tokens", "usd")),
            "no credit currency 'USD' (did you mean 'usd'?); there are 'ai-tokens', 'usd'",
        ),
        (
            CurrencyNotFound(credit_currency="eur", known=()),
            "no credit currency 'eur'; none is defined yet",
        ),
        (
            CustomerNotFound(customer_id="cust-acme", known=("other", "cust-acme-inc")),
            (
                "no customer 'cust-acme' (did you mean 'cust-acme-inc'?); "
                "name one that exists, or define it with put_customer"
            ),
        ),
        (
            AmbiguousResource(resource_ids=("user-01",), customer_ids=("a", "b")),
            "2 customers have 'user-01': 'a', 'b'; say which one with customer_id",
        ),
        (LedgerError(**PLACE), "usage.db: it is not a ledger; name another"),
        (
            LedgerUnavailable(
                location="usage.db", reason="it is open elsewhere", remedy="end it", holder_pid=4711
            ),
            "usage.db: it is open elsewhere (process 4711); end it",
        ),
    ],
)
def test_a_sentence_says_what_was_given_where_and_what_would_be_right(
    error: StiggctlError, sentence: str
) -> None:
    assert str(error) == sentence


def test_a_denial_speaks_through_its_decision() -> None:
    for kind in (AccessDenied, BudgetExhausted):
        assert str(kind(decision=Denial())) == str(Denial())  # type: ignore[arg-type]  # as said above


def test_a_conflict_says_what_differs_and_what_to_do() -> None:
    conflict = str(next(error for error in EXAMPLES if isinstance(error, IdempotencyConflict)))
    for part in ("'k'", "'c'", "event 17", "another amount, timestamp", "nothing was booked", "new key"):
        assert part in conflict


@pytest.mark.parametrize(
    ("count", "said", "more"), [(1, 1, None), (20, 20, None), (21, 20, 1), (500, 20, 480)]
)
def test_an_invalid_model_lists_twenty_problems_and_counts_the_rest(
    count: int, said: int, more: int | None
) -> None:
    problems = tuple(Problem(f"allocations[{at}].limit", -at, "zero or more") for at in range(1, count + 1))
    first, *lines = str(InvalidModel(problems=problems)).splitlines()
    assert first.startswith(f"the model has {count} problem{'s' * (count > 1)};")
    assert [line.strip() for line in lines[:said]] == [str(problem) for problem in problems[:said]]
    assert lines[said:] == ([] if more is None else [f"  and {more} more: see .problems"])


def test_many_names_are_counted_not_listed() -> None:
    ids = tuple(f"r-{at}" for at in range(1_000))
    said = str(ResourceNotFound(resource_ids=ids, customer_id="c"))
    assert "'r-7' and 992 more of customer 'c'" in said
    assert "'r-8'" not in said


def test_the_nearest_name_is_looked_for_within_bounds() -> None:
    def names() -> Iterator[str]:
        yield from (f"currency-{at}" for at in range(1_000))
        pytest.fail("it read more names than a hint is worth")

    assert nearest("currency-17", names()) == "currency-17"
    assert nearest("ai-tokens", []) is None
    assert nearest("usd", ["USD"]) == "USD"
    assert nearest("USD", ["usd"]) == "usd"
    assert nearest("ai-tokens", ["entirely", "different"]) is None
