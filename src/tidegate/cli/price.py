"""`tidegate price`: what a subscription is worth a month, step by step, from its JSON alone."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import AsJson


def price(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON as Stripe answers it; - reads standard input.")],
    policy: Annotated[str, typer.Option("--policy", metavar="P", help="default, stripe or chartmogul.")] = "default",
    choices: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another choice for one setting; may be repeated."),
    ] = None,
    at: Annotated[datetime | None, typer.Option("--at", metavar="TIME", help="The instant, UTC; else now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a Stripe subscription of any API version is worth a month, and why. Asks Stripe nothing."""
    from tidegate.cli import show
    from tidegate.errors import PolicyInvalid
    from tidegate.money import shown, shown_exactly
    from tidegate.pricing.given import given
    from tidegate.pricing.policy import policy as chosen_policy
    from tidegate.pricing.subscription import value
    from tidegate.pricing.value import whole

    chosen: dict[str, str] = {}
    for choice in choices or ():
        name, sign, wanted = choice.partition("=")
        if not sign:
            raise PolicyInvalid(problem=f"--set {choice} is no NAME=VALUE.")
        chosen[name.strip()] = wanted.strip()
    rules = chosen_policy(policy, chosen)
    as_of = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    worth = value(given(_read(file)), rules, int(as_of.timestamp()))
    if as_json:
        show.document(worth.as_json(rules.name) | {"assumed": list(rules.assumed)})
        return
    for item in worth.items:
        show.line(f"{item.item or 'item'}  {item.quantity:,} × {item.price}")
        for step in item.steps:
            show.line(f"    {shown_exactly(step.amount, worth.currency):>16}  {step.text}")
        if item.problem:
            show.line(f"    {item.problem}")
    show.line(f"{shown(whole(worth.mrr), worth.currency)} a month under the policy {rules.name}")
    if rules.assumed:
        show.remark(f"The policy leaves {', '.join(rules.assumed)} to you; taken as in the default policy, see --set.")


def _read(file: str) -> bytes:
    """The file's content, or standard input's."""
    from tidegate.errors import UsageError

    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(problem=f"{file} cannot be read: {error.strerror}.") from error
