"""Five hundred tasks want credits at once; the limit is for a thousand.

Each task sets 7 credits aside, asks a model, and settles for the 5 that were really used. What does not
fit is denied at once, and asks again when the others have settled: what they did not use is free by then.
Nothing here waits for anything but the model: decisions are made in memory, and bookings are written by
another thread, many in one commit.

Run it: python examples/asyncio_burst.py. It prints:

    wave 1: 500 ask for 7 each, 142 fit, 358 denied; 710 used, 290 left
    wave 2: 358 ask for 7 each, 41 fit, 317 denied; 915 used, 85 left
    wave 3: 317 ask for 7 each, 12 fit, 305 denied; 975 used, 25 left
    wave 4: 305 ask for 7 each, 3 fit, 302 denied; 990 used, 10 left
    wave 5: 302 ask for 7 each, 1 fit, 301 denied; 995 used, 5 left
    the last denial: feature-draft has 5 of 1000 ai-tokens left (995 used, 0 held); 7 were asked for
    its remedy: SHRINK to 5
    199 events are in the ledger, for 995 credits; differences: []
"""

import asyncio

from stiggctl import AccessDenied, Decision, Reservation, UsageControl

MODEL = {
    "resourceTypes": [{"id": "feature"}],
    "resources": [{"id": "feature-draft", "resourceTypeId": "feature", "customerId": "cust-nordwind"}],
    "allocations": [{"resourceId": "feature-draft", "creditCurrency": "ai-tokens", "limit": 1000}],
}
TASKS = 500
RESERVED, USED = 7, 5


async def set_aside(control: UsageControl) -> Reservation | Decision:
    """One task asks: a reservation, or the decision that denies it."""
    try:
        return await control.areserve(
            resource_ids=["feature-draft"], credit_currency="ai-tokens", amount=RESERVED, event_name="draft"
        )
    except AccessDenied as denied:
        return denied.decision


async def ask_model_and_settle(reservation: Reservation) -> None:
    """One task goes on."""
    await asyncio.sleep(0)  # where a model would be awaited
    await reservation.asettle(USED)


async def wave(control: UsageControl, tasks: int) -> list[Decision]:
    """So many tasks at once: all ask, then those that were admitted settle. Returns the denials."""
    answers = await asyncio.gather(*(set_aside(control) for _ in range(tasks)))
    admitted = [answer for answer in answers if isinstance(answer, Reservation)]
    await asyncio.gather(*map(ask_model_and_settle, admitted))
    return [answer for answer in answers if isinstance(answer, Decision)]


async def main() -> None:
    """Wave after wave, until a whole wave is denied."""
    with UsageControl(":memory:") as control:
        control.apply(MODEL)
        asking = TASKS
        for number in range(1, 6):
            denials = await wave(control, asking)
            limit = control.tree("feature-draft", "ai-tokens")
            print(
                f"wave {number}: {asking} ask for {RESERVED} each, {asking - len(denials)} fit, "
                f"{len(denials)} denied; {limit.used} used, {limit.remaining} left"
            )
            asking = len(denials)
        denial = (await wave(control, asking))[0]
        print(f"the last denial: {denial}")
        if denial.remedy is not None:
            print(f"its remedy: {denial.remedy.kind} to {denial.remedy.amount}")
        events = list(control.events())
        booked = sum(event.amounts["ai-tokens"] for event in events)
        print(
            f"{len(events)} events are in the ledger, for {booked} credits; differences: {control.verify()}"
        )


if __name__ == "__main__":
    asyncio.run(main())
