"""A trace of a model's requests, replayed by several threads through users, teams and features.

The trace is a CSV of TIMESTAMP,ContextTokens,GeneratedTokens, as the Azure LLM inference traces of 2023
are (github.com/Azure/AzurePublicDataset, CC BY 4.0); without one, a bursty hour is made from a seed. Before
each request its context and a guess of the answer are set aside; after it, what was used is settled. Each
limit is a part of what the whole trace takes. A trace does not say who asked for what: that is drawn by lot.

Run it: python examples/replay_trace.py [TRACE.csv] [--ledger usage.db] [--threads 4] [--seed 7]. It prints,
with numbers a little different each time, for threads do not take turns twice alike:

    3,104 requests in 60 minutes, 37 in the busiest second (seed 7)
    4 threads: 5,224 decisions a second, 2,363 of 3,104 admitted and booked
    nordwind         3,939,262 of 4,912,393
      growth         2,067,878 of 2,068,376
        growth-1     1,078,044
    ...
    denied 135 times: growth has 498 of 2068376 ai-tokens left (2067878 used, 0 held); 1235 were asked for...
    denied 467 times: summarize has 432 of 1034188 ai-tokens left (1033756 used, 0 held)...
    denied 139 times: support-1 has 45 of 258547 ai-tokens left (258502 used, 0 held); 853 were asked for...
    every counter is the sum of its events: True
"""

import argparse
import csv
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from stiggctl import AccessDenied, Decision, UsageControl

TEAMS = ("growth", "platform", "support")
USERS = {f"{team}-{number}": team for team in TEAMS for number in (1, 2)}
FEATURES = ("chat", "complete", "summarize")
#: How much of the whole trace each may use; the others are limited by what is above them only.
PARTS = {"nordwind": 0.95, "growth": 0.4, "platform": 0.6, "support-1": 0.05, "summarize": 0.2}
GUESS = 500  #: tokens of an answer, before it is there
Row = tuple[datetime, int, int]  #: when, tokens of the context, tokens generated


def read(path: Path) -> Iterator[Row]:
    """The rows of a trace."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        for at, context, generated in list(csv.reader(file))[1:]:
            yield datetime.fromisoformat(at), int(context), int(generated)


def made(chance: random.Random) -> Iterator[Row]:
    """A bursty hour: mostly a request every few seconds, now and then dozens in one."""
    at = start = datetime(2026, 1, 15, 12, tzinfo=UTC)
    while at < start + timedelta(hours=1):
        for _ in range(chance.choice([1, 1, 1, 1, 1, 40])):
            yield at, int(chance.lognormvariate(7, 0.8)), int(chance.expovariate(1 / 200))
            at += timedelta(seconds=chance.expovariate(30))
        at += timedelta(seconds=chance.expovariate(1 / 10))


def model(total: int) -> dict[str, Any]:
    """Users below their teams below the company, features beside them."""
    above = {"nordwind": None, **dict.fromkeys(TEAMS, "nordwind"), **USERS, **dict.fromkeys(FEATURES)}
    resources = [{"id": one, "resourceTypeId": "node", "parentResourceId": above[one]} for one in above]
    limits = [(one, int(total * part)) for one, part in PARTS.items()]
    return {
        "customers": [{"id": "cust-nordwind"}],
        "resourceTypes": [{"id": "node"}],
        "resources": resources,
        "allocations": [
            {"resourceId": one, "creditCurrency": "ai-tokens", "limit": up} for one, up in limits
        ],
    }


def call(control: UsageControl, row: Row, user: str, feature: str) -> Decision | None:
    """Set aside, ask the model, settle; the decision that denied it, if one did."""
    _, context, generated = row
    ask: dict[str, Any] = {"resource_ids": [user, feature], "credit_currency": "ai-tokens"}
    try:
        held = control.reserve(**ask, amount=context + GUESS, event_name=feature)
    except AccessDenied as denied:
        return denied.decision
    held.settle(context + generated)  # between the two the model would be asked
    return None


def replay(control: UsageControl, rows: list[Row], chance: random.Random, threads: int) -> None:
    """All of it, as fast as it goes; then who used what, and what was denied and why."""
    users = chance.choices(list(USERS), weights=range(len(USERS), 0, -1), k=len(rows))
    features = chance.choices(FEATURES, weights=(3, 2, 3), k=len(rows))
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        told = list(pool.map(partial(call, control), rows, users, features))
    speed = f"{len(rows) / (time.perf_counter() - began):,.0f} decisions a second"
    print(f"{threads} threads: {speed}, {told.count(None):,} of {len(rows):,} admitted and booked")
    for root in ("nordwind", *FEATURES):
        for depth, node in control.tree(root, "ai-tokens").walk():
            limit = "" if node.limit is None else f" of {node.limit:,}"
            print(f"{'  ' * depth + node.resource_id:<14}{node.used:>12,}{limit}")
    denied = [(one.binding.resource_id, one) for one in told if one is not None and one.binding]
    times, last = Counter(limit for limit, _ in denied), dict(denied)
    for limit in sorted(last):
        print(f"denied {times[limit]:,} times: {last[limit]}")
    print(f"every counter is the sum of its events: {control.verify() == []}")


def main() -> None:
    """Read or make a trace, describe a company that it is too much for, replay."""
    parser = argparse.ArgumentParser(description="Replays a trace of a model's requests through limits.")
    parser.add_argument("trace", nargs="?", type=Path, help="TIMESTAMP,ContextTokens,GeneratedTokens as CSV")
    parser.add_argument("--ledger", default=":memory:", help="a file to replay into; left out: none is kept")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7, help="of the lots, and of the hour that is made")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    rows = list(read(asked.trace) if asked.trace else made(chance))
    minutes = (rows[-1][0] - rows[0][0]) / timedelta(minutes=1)
    most = max(Counter(f"{at:%c}" for at, _, _ in rows).values())
    print(
        f"{len(rows):,} requests in {minutes:.0f} minutes, {most} in the busiest second (seed {asked.seed})"
    )
    with UsageControl(asked.ledger) as control:
        control.apply(model(sum(context + generated for _, context, generated in rows)))
        replay(control, rows, chance, asked.threads)


if __name__ == "__main__":
    main()
