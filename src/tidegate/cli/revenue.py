"""`tidegate revenue`: by what the ledger is kept, and which customers it leaves out."""

from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, Choices, ConnectionName, chosen

app = typer.Typer(help="What counts as revenue, and who does not.", no_args_is_help=True)
policy = typer.Typer(help="By what the ledger is kept.", no_args_is_help=True)
app.add_typer(policy, name="policy")

Preset = Annotated[str | None, typer.Option("--preset", metavar="P", help="default, stripe or chartmogul.")]
Base = Annotated[
    str | None, typer.Option("--base-currency", metavar="C", help="Reports add up in this currency; '' for none.")
]
Zone = Annotated[str | None, typer.Option("--time-zone", metavar="Z", help="Whose days and months count.")]
Identity = Annotated[
    str | None,
    typer.Option("--identity", metavar="I", help="Whom billing events tell of: own_id, email or customer."),
]
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Stripe's id, cus_….")]


@policy.command("show")
def show_policy(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Show by what the ledger is kept: each setting, whether a vendor leaves it open, and the editions before."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.revenue import ledger_policy

    with opened(may_migrate=True) as hub:
        told = ledger_policy.shown(hub.engine, hub.account(connection))
    if as_json:
        show.document(told)
        return
    _say(told)
    if told["edition"] is None:
        show.line("No ledger is begun yet: the first refresh does.")
    else:
        show.line(f"Edition {told['edition']} of {len(told['editions'])}.")


@policy.command()
def preview(
    preset: Preset = None,
    choices: Choices = None,
    base_currency: Base = None,
    time_zone: Zone = None,
    identity: Identity = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Say what another policy would change, by month and kind of movement. Stores nothing."""
    from tidegate.cli import amounts, show
    from tidegate.cli.hub import opened
    from tidegate.workflows.revenue import ledger_policy

    with opened(may_migrate=True) as hub:
        given = _given(preset, choices, base_currency, time_zone, identity)
        told = ledger_policy.preview(hub.engine, hub.account(connection), given)
    if as_json:
        show.document(told)
    else:
        _say(told)
        _say_difference(told, "would be")
        amounts.say_assumed(told["assumed"], "--set")


@policy.command()
def adopt(
    preset: Preset = None,
    choices: Choices = None,
    base_currency: Base = None,
    time_zone: Zone = None,
    identity: Identity = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Keep the ledger by another policy from now on, its past included. The edition before stays for comparison."""
    from tidegate.cli import amounts, show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.revenue import ledger_policy

    with opened(may_migrate=True) as hub:
        given = _given(preset, choices, base_currency, time_zone, identity)
        told = ledger_policy.adopt(hub.engine, hub.account(connection), given, person())
    if as_json:
        show.document(told)
    else:
        _say_difference(told, "is")
        show.line(f"Edition {told['edition']} of {told['connection']}'s ledger is in force.")
        if told["events"]:
            show.line(f"{told['events']:,} billing events were written, told otherwise or reversed.")
        amounts.say_assumed(told["assumed"], "--set")


@app.command()
def exclude(
    customer: Customer,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: a test, staff, fraud, ….")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Leave a customer out of revenue, its past included."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.revenue import exclusions

    with opened(may_migrate=True) as hub:
        told = exclusions.exclude(hub.engine, hub.account(connection), customer, reason, person())
    if as_json:
        show.document(told)
    else:
        show.line(f"{customer} does not count any more: {reason}. {_changed(told)}")


@app.command()
def include(customer: Customer, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Count a customer again that was left out, its past included."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.revenue import exclusions

    with opened(may_migrate=True) as hub:
        told = exclusions.include(hub.engine, hub.account(connection), customer, person())
    if as_json:
        show.document(told)
    else:
        show.line(f"{customer} counts again. {_changed(told)}")


@app.command()
def excluded(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """List the customers that are left out of revenue, and why."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.revenue import exclusions

    with opened(may_migrate=True) as hub:
        found = exclusions.excluded(hub.engine, hub.account(connection))
    if as_json:
        show.document({"excluded": found})
    elif found:
        show.table(["customer", "reason", "by", "at"], [[*one.values()] for one in found])
    else:
        show.line("Nobody is left out.")


def _changed(told: dict[str, Any]) -> str:
    return f"Rows changed: {told['movements']:,} of movements, {told['events']:,} of billing events."


def _given(
    preset: str | None,
    choices: list[str] | None,
    base_currency: str | None,
    time_zone: str | None,
    identity: str | None,
) -> dict[str, Any]:
    return {
        "preset": preset,
        "choices": chosen(choices),
        "base_currency": base_currency,
        "time_zone": time_zone,
        "identity": identity,
    }


def _say(told: dict[str, Any]) -> None:
    from tidegate.cli import show
    from tidegate.pricing.policy import SETTINGS

    rows = [
        [name, value, "the vendor leaves it open" if name in told["assumed"] else "", SETTINGS[name].about]
        for name, value in told["settings"].items()
    ]
    show.line(
        f"{told['connection']}: {told['preset']}, days of {told['time_zone']}, base {told['base_currency'] or '-'}, "
        f"events by {told['identity']}"
    )
    show.table(["setting", "choice", "", "about"], rows)


def _say_difference(told: dict[str, Any], verb: str) -> None:
    from fractions import Fraction

    from tidegate.cli import show
    from tidegate.money import shown
    from tidegate.pricing.value import whole

    def said(amount: int, currency: str) -> str:
        return shown(whole(Fraction(amount, 1_000_000)), currency)

    for currency, (before, now) in told["mrr"].items():
        show.line(f"MRR {verb} {said(now, currency)}; it was {said(before, currency)}.")
    rows = [
        [one["month"], one["kind"], *(said(one[name], one["currency"]) for name in ("before", "now"))]
        for one in told["months"]
    ]
    if rows:
        show.table(["month", "kind", "before", "now"], rows)
    else:
        show.line("No month differs.")
