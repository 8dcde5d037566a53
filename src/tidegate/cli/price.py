"""`tidegate price`: what a subscription is worth a month, step by step, from its JSON alone."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import AsJson, Choices, chosen

if TYPE_CHECKING:
    from tidegate.pricing.schedule import Scheduled
    from tidegate.pricing.value import Value


def price(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON as Stripe answers it; - reads standard input.")],
    policy: Annotated[str, typer.Option("--policy", metavar="P", help="default, stripe or chartmogul.")] = "default",
    choices: Choices = None,
    at: Annotated[datetime | None, typer.Option("--at", metavar="TIME", help="The instant, UTC; else now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a Stripe subscription of any API version is worth a month, and why. Asks Stripe nothing."""
    from tidegate.cli import amounts, show
    from tidegate.pricing.given import given
    from tidegate.pricing.policy import policy as chosen_policy
    from tidegate.pricing.schedule import scheduled
    from tidegate.pricing.subscription import value
    from tidegate.pricing.value import instant

    rules = chosen_policy(policy, chosen(choices))
    as_of = int((at.replace(tzinfo=UTC) if at else datetime.now(UTC)).timestamp())
    facts = given(_read(file))
    worth = value(facts, rules, as_of)
    ahead = scheduled(facts, rules, as_of)
    if as_json:
        told = worth.as_json(rules.name) | {"at": instant(as_of), "assumed": list(rules.assumed)}
        show.document(told | {"scheduled": [one.as_json(rules.name) for one in ahead]} if ahead else told)
        return
    _print(worth, ahead, rules.name)
    amounts.say_assumed(rules.assumed, "--set")


def _print(worth: "Value", ahead: Sequence["Scheduled"], policy: str) -> None:
    from tidegate.cli import show
    from tidegate.money import shown, shown_exactly
    from tidegate.pricing.value import instant, whole

    for item in worth.items:
        show.line(f"{item.item or 'item'}  {item.quantity:,} × {item.price}")
        for step in item.steps:
            show.line(f"    {shown_exactly(step.amount, worth.currency):>16}  {step.text}")
        if item.problem:
            show.line(f"    {'?':>16}  {item.problem}")
    show.line(f"{shown(whole(worth.mrr), worth.currency)} a month under the policy {policy}")
    if worth.ends_at is not None:
        show.line(f"It is to end at {instant(worth.ends_at)}.")
    for one in ahead:
        amount = shown(whole(one.value.mrr), one.value.currency)
        show.line(f"From {instant(one.starts_at)} it is scheduled to be worth {amount} a month.")


def _read(file: str) -> bytes:
    """The file's content, or standard input's."""
    from tidegate.errors import UsageError

    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(problem=f"{file} cannot be read: {error.strerror}.") from error
