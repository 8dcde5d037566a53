"""The demo's part on contacts: whose the customers are, what the prices mean, and what one contact may use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.cli.steps import Steps
    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub
    from tidegate.workflows.demo.demo_contacts import Understood

WITHIN = 90.0
"""Seconds for the worker to refresh what has changed."""


def understood(hub: "Hub", account: "Account", steps: "Steps") -> int:
    """Whose the customers are and what the prices mean; returns how many mappings were accepted."""
    from tidegate.workflows.demo.demo_contacts import understand

    done = understand(hub.engine, account)
    steps.done(
        "contacts", f"{done.contacts:,} contacts; {done.linked:,} customers linked, {done.in_review:,} in review"
    )
    steps.done("catalog", f"{done.accepted:,} mappings accepted as suggested, {done.unmapped:,} prices left to you")
    return done.accepted


def known(hub: "Hub", account: "Account", accepted: int, steps: "Steps") -> dict[str, Any]:
    """What is known of contacts after all that happened, with an example of what one may use."""
    from tidegate.errors import TidegateError
    from tidegate.workflows.demo.demo import wait
    from tidegate.workflows.demo.demo_contacts import refreshed, summary
    from tidegate.workflows.entitlements.entitlements import Check, check, with_names

    wait(lambda: refreshed(hub.engine, account), WITHIN, lambda: "changed customers still wait for their refresh")
    done = summary(hub.engine, account, accepted)
    [answer] = check(hub.engine, [Check(account.livemode, done.example)])
    if isinstance(answer, TidegateError):
        raise answer
    with hub.engine.connect() as db:
        answer = with_names(db, answer)
    steps.done("refresh", _standing(done))
    return done.as_json() | {"answer": answer, "home": str(hub.settings.home)}


def tell(contacts: dict[str, Any]) -> None:
    """An example of what a contact may use and why, and where to look further."""
    from tidegate.cli import show
    from tidegate.cli.entitlements import print_answer

    show.line()
    print_answer(contacts["answer"])
    show.line()
    home = f"TIDEGATE_HOME={contacts['home']}"
    show.line(f"Ask again: {home} tidegate entitlements {contacts['example']}")
    show.line(f"{contacts['in_review']:,} customers wait for a person: {home} tidegate contacts review list")
    show.line(f"{contacts['unmapped']:,} prices wait for a meaning: {home} tidegate mappings queue")


def _standing(done: "Understood") -> str:
    return f"{done.contacts:,} contacts; {done.linked:,} customers linked, {done.in_review:,} in review"
