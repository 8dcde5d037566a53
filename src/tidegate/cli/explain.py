"""`tidegate explain`: why something is as it is, step by step."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tidegate.cli.entitlements import ContactRef
from tidegate.cli.options import AsJson, ConnectionName
from tidegate.entitlements.paths import step_in_words
from tidegate.entitlements.words import in_words

app = typer.Typer(help="Why something is as it is.", no_args_is_help=True)


@app.command()
def entitlement(
    contact: ContactRef,
    feature: Annotated[str, typer.Argument(metavar="FEATURE", help="Which feature.")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show the path from the contact to a feature: link, customer, subscription, item, price, mapping, package."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.entitlements.explain import entitlement as explained

    with opened() as hub:
        found = explained(hub.engine, hub.livemode(connection), contact, feature)
    if as_json:
        show.document(found)
        return
    show.line(f"{found['contact']}, {feature}: {in_words(found)}.")
    for path in found["paths"]:
        show.line()
        for depth, step in enumerate(path):
            show.line(f"{'  ' * depth}{'← ' if depth else ''}{step_in_words(step)}")


@app.command()
def link(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Stripe's id, cus_….")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show whom a Stripe customer stands for and how that is known; or why there is no link."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.contacts.explaining import explain_link

    with opened() as hub, hub.engine.connect() as db:
        account = hub.account(connection)
        found = explain_link(db, account.name, customer)
    if as_json:
        show.document(found)
        return
    show.line(f"{customer} of {account.name}: {found['contact'] or 'no contact'}. {found['reason']}")
    if found["steps"]:
        show.line()
        rows = [
            (one["step"], one["looked_for"], ", ".join(who["contact"] for who in one["found"]), one["says"])
            for one in found["steps"]
        ]
        show.table(["step", "looked for", "found", "says"], rows)


@app.command()
def mrr(
    who: Annotated[str, typer.Argument(metavar="CUSTOMER|CONTACT", help="cus_…, or an id of a contact.")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show how the MRR of a customer or contact comes about, step by step; of a zero, why it is one."""
    from datetime import UTC, datetime

    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.revenue.explain_mrr import explain_mrr

    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            found = explain_mrr(db, account, who, datetime.now(UTC))
    if as_json:
        show.document(found)
        return
    for one in found["subscriptions"]:
        for line in subscription_in_lines(one):
            show.line(line)
    for line in _totals(found):
        show.line(line)


def subscription_in_lines(one: dict[str, Any]) -> Iterator[str]:
    """A subscription's MRR, and of each item the steps that lead to its part; of metered ones the usage beside it."""
    from tidegate.money import shown

    why = f": {one['why_not']}" if one["why_not"] else ""
    reason = one["excluded"]
    excluded = "" if reason is None else f"; left out, the customer is excluded: {reason or 'nobody said why'}"
    worth = shown(one["mrr"], one["currency"])
    yield f"{one['subscription']} of {one['customer']}, {one['status']}: {worth}{why}{excluded}"
    for item in one["items"]:
        yield f"  {item['quantity']:,} × {item['price']}{' (metered)' if item['metered'] else ''}"
        for step in item["steps"]:
            yield f"    {step['shown']:>18}  {step['text']}"
        if item["metered"]:
            usage = shown(item["usage"], one["currency"])
            yield f"    {usage:>18}  of usage a month, by the last closed period; shown apart"
        if item["problem"]:
            yield f"    {'?':>18}  {item['problem']}"
        if item["provenance"]:
            yield f"    {'':>18}  so since {item['since'][:10]}, {item['provenance']} from {item['source']}"


def _totals(found: dict[str, Any]) -> list[str]:
    from tidegate.money import shown

    name = found["contact"] or found["who"]
    if not found["subscriptions"]:
        return [f"{name} has no subscription and never had one: {found['reason']}"]
    sums = ", ".join(shown(one["mrr"], one["currency"]) for one in found["mrr"]) or "nothing"
    return [f"{name}: {sums} a month under the policy {found['policy']}."]


@app.command()
def stage(contact: ContactRef, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Show which stages hold of a contact and which do not, test by test, and where it was before."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.lifecycle.explain_stage import explain_stage

    with opened() as hub:
        found = explain_stage(hub.engine, hub.livemode(connection), contact)
    if as_json:
        show.document(found)
        return
    for one in found["stages"]:
        here = " ← it is here" if one["key"] == found["stage"] else ""
        show.line(f"{one['name']}: {'holds' if one['holds'] else 'does not hold'}{here}")
        for reason in one["reasons"]:
            show.line(f"  {reason}")
    show.line()
    rows = [(one["kind"], one["key"], one["entered_at"], one["left_at"]) for one in found["history"]]
    show.table(["", "key", "since", "until"], rows)
