"""The demo's part on the lifecycle: how contacts stand, a month of the simulated company, and what it moved."""

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.cli.steps import Steps
    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub
    from tidegate.workflows.demo.demo import Simulated
    from tidegate.workflows.demo.demo_delivery import Receiver

MONTH, PERIOD = 30, 15
"""Days for which the company lives on once more, and after how many of them its events are read as well: Stripe keeps
them for no longer than 30.
"""
WITHIN = 90.0
"""Seconds for a step that waits for the worker."""


def placed(hub: "Hub", simulated: "Simulated", steps: "Steps") -> None:
    """Everybody placed for the first time, which nobody is told of, and the offered actions switched on."""
    from tidegate.workflows.demo import demo_lifecycle
    from tidegate.workflows.demo.demo_delivery import KEY

    kept = demo_lifecycle.begin(hub.engine, simulated, KEY).kept
    steps.done("lifecycle", f"{kept.moved:,} contacts placed, {kept.opened:,} alerts of their past, nobody told of it")


def lived(
    hub: "Hub", account: "Account", simulated: "Simulated", receiver: "Receiver", steps: "Steps"
) -> dict[str, Any]:
    """How contacts stand, and what a month moves of that: {before, after, moves, moved, new, opened, resolved, fired,
    received, events}. `received`: messages of actions that came to the receiver in that month, by action.
    """
    from tidegate.workflows.demo import demo_lifecycle
    from tidegate.workflows.demo.demo_delivery import wait_until_sent

    first = demo_lifecycle.look(hub.engine, simulated)
    wait_until_sent(hub.engine, receiver, WITHIN)
    before, came = demo_lifecycle.standing(hub.engine, account, first.at), receiver.by_action()
    stages = ", ".join(f"{one['contacts']:,} {one['name']}" for one in before["stages"] if one["contacts"])
    steps.done("stages", f"{stages}; {_total(before['alerts'], 'alerts'):,} alerts open")
    events = _month(hub, account, simulated)
    second = demo_lifecycle.look(hub.engine, simulated)
    wait_until_sent(hub.engine, receiver, WITHIN)
    found = demo_lifecycle.moved(hub.engine, account, first.at, second.at)
    received = {name: count - came.get(name, 0) for name, count in receiver.by_action().items()}
    kept = second.kept
    steps.done("month", f"{events:,} events of {MONTH} days; {found['moved']:,} contacts moved, {kept.fired:,} actions")
    return found | {
        "before": before,
        "after": demo_lifecycle.standing(hub.engine, account, second.at),
        "opened": kept.opened,
        "resolved": kept.resolved,
        "fired": kept.fired,
        "received": {name: count for name, count in received.items() if count},
        "events": events,
    }


def joined(hub: "Hub", account: "Account", simulated: "Simulated", steps: "Steps") -> None:
    """The company's clock brought to this machine's, by which workers look at the lifecycle from now on."""
    from tidegate.workflows.demo.demo_lifecycle import release

    events = simulated.live_to(int(time.time()))
    _handled(hub, account, simulated)
    _refreshed(hub, account)
    release(hub.engine)
    steps.done("today", f"{events:,} events until now; the company lives on by this machine's clock")


def _month(hub: "Hub", account: "Account", simulated: "Simulated") -> int:
    """Lets the month pass and all that came of it be handled by the worker; returns how many events it made."""
    events = 0
    for _ in range(0, MONTH, PERIOD):
        events += simulated.advance(PERIOD)
        _handled(hub, account, simulated)
    _refreshed(hub, account)
    return events


def _handled(hub: "Hub", account: "Account", simulated: "Simulated") -> None:
    """Waits until the mirror has all that happened."""
    from tidegate.workflows.demo.demo import caught_up, wait_for_deliveries, wait_for_drain

    wait_for_deliveries(simulated, WITHIN)
    wait_for_drain(hub.engine, account.name, WITHIN)  # or both would handle the same events
    with hub.stripe(account) as api:
        caught_up(hub.engine, account, api, WITHIN)
    wait_for_drain(hub.engine, account.name, WITHIN)


def _refreshed(hub: "Hub", account: "Account") -> None:
    """Waits until all that is derived follows from it."""
    from tidegate.workflows.demo.demo import wait
    from tidegate.workflows.demo.demo_contacts import refreshed
    from tidegate.workflows.refresh import refresh_changed

    refresh_changed(hub.engine, account)  # beside the worker, which waits whether more events come
    wait(lambda: refreshed(hub.engine, account), WITHIN, lambda: "changed customers still wait for their refresh")


def tell(lifecycle: dict[str, Any]) -> None:
    """Stages, segments, health and alerts before and after the month, and what moved."""
    from tidegate.cli import show

    before, after = lifecycle["before"], lifecycle["after"]
    show.line()
    show.line(f"Lifecycle on {before['at'][:10]}, and {MONTH} days later:")
    show.table(
        ["stage", "contacts", "MRR", "then", "MRR then"],
        [
            (one["name"], one["contacts"], _money(one["mrr"]), then["contacts"], _money(then["mrr"]))
            for one, then in zip(before["stages"], after["stages"], strict=True)
        ],
    )
    for title, part, name, count in _COUNTED:
        show.line()
        show.table([title, count, "then"], _beside(before[part], after[part], name, count))
    show.line()
    for line in summary(lifecycle):
        show.line(line)


def summary(lifecycle: dict[str, Any]) -> list[str]:
    """What the month moved, in words."""
    moves = ", ".join(f"{one['contacts']:,} {one['from']} → {one['to']}" for one in lifecycle["moves"])
    sent = ", ".join(f"{count:,} {name}" for name, count in lifecycle["received"].items())
    before, after = (
        {one["currency"]: f"{one['health']:.1f}" for one in lifecycle[when]["health"]} for when in ("before", "after")
    )
    healths = [
        f"{name.upper()} {before.get(name, 'unknown')} → {after.get(name, 'unknown')}" for name in before | after
    ]
    shown = ", ".join(healths) or "unknown"
    return [
        f"{lifecycle['moved']:,} contacts moved" + (f": {moves}" if moves else "") + f"; {lifecycle['new']:,} are new.",
        f"{lifecycle['opened']:,} alerts opened, {lifecycle['resolved']:,} resolved. Portfolio health: {shown}.",
        f"Actions fired {lifecycle['fired']:,} times; the receiver has {sum(lifecycle['received'].values()):,} of them"
        + (f": {sent}." if sent else "."),
    ]


_COUNTED = (
    ("segment", "segments", "name", "contacts"),
    ("health", "bands", "band", "contacts"),
    ("open alerts", "alerts", "name", "alerts"),
)
"""Tables: title, part of what stands, the column that names, the one that counts."""


def _beside(
    before: list[dict[str, Any]], after: list[dict[str, Any]], name: str, count: str
) -> list[tuple[str, int, int]]:
    then = {one[name]: one[count] for one in after}
    first = {one[name]: one[count] for one in before}
    return [(one, first.get(one, 0), then.get(one, 0)) for one in first | then]


def _total(counted: list[dict[str, Any]], count: str) -> int:
    return sum(one[count] for one in counted)


def _money(amounts: list[dict[str, Any]]) -> str:
    from tidegate.money import shown

    return ", ".join(shown(one["mrr"], one["currency"]) for one in amounts) or "–"
