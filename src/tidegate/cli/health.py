"""`tidegate health`: of all contacts together, or of one with the part of each component."""

from typing import Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName


def health(
    contact: Annotated[str | None, typer.Argument(metavar="CONTACT", help="Its id; without one all together.")] = None,
    by: Annotated[
        Literal["owner", "segment"] | None, typer.Option("--by", help="Of all together, by owner or by segment.")
    ] = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show how healthy contacts are: all weighted by their MRR, or one with each component's part and its history."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.stages import paid
    from tidegate.contacts import directory
    from tidegate.lifecycle import happened, listing, portfolio, rulebook

    with opened() as hub, hub.engine.connect() as db:
        told: dict[str, Any]
        if contact is None:
            livemode = hub.livemode_if_any(connection)
            told = portfolio.portfolio(db, livemode)
            if by is not None:
                told |= {"by": by, "groups": portfolio.portfolio_by(db, by, livemode)}
        else:
            found = directory.find(db, hub.livemode(connection), contact)
            told = {"contact": found.ref} | (listing.health(db, found.key) or {})
        weights = {one.key: one.weight for one in rulebook.components(db)}
    if as_json:
        show.document(told)
        return
    if contact is None:
        rows = [(one["band"], one["contacts"], paid(one["mrr"])) for one in told["bands"]]
        show.table(["health", "contacts", "MRR"], rows)
        show.line(f"Of all, weighted by MRR: {weighted(told)}")
        if by is not None:
            _print_groups(by, told["groups"])
        return
    parts: dict[str, Any] = told.get("parts") or {}
    show.table(["component", "weight", "score"], [(key, weight, parts.get(key)) for key, weight in weights.items()])
    covered = told.get("coverage")
    show.line(f"{told['contact']}: {_score(told.get('health'))}, of {float(covered or 0):.0%} of the weight.")
    rows = [(one["at"], one["health"], happened.points(one["moved"])) for one in told.get("history", [])[:12]]
    show.table(["at", "health", "by"], rows)


def _print_groups(by: str, groups: list[dict[str, Any]]) -> None:
    from tidegate.cli import show
    from tidegate.cli.stages import paid

    bands = ("poor", "fair", "good", "unknown")
    rows = [
        [one["key"] or "nobody", one["contacts"], paid(one["mrr"]), weighted(one)]
        + [one["bands"].get(band, {}).get("contacts", 0) for band in bands]
        for one in groups
    ]
    show.line()
    show.table([by, "contacts", "MRR", "health", *bands], rows)


def weighted(told: dict[str, Any]) -> str:
    """A health weighted by MRR; where nothing makes several currencies one, of each: `87.3 of USD, 91 of EUR`."""
    several = [f"{one['health']} of {one['currency'].upper()}" for one in told["by_currency"]]
    return ", ".join(several) if len(several) > 1 else _score(told["health"])


def _score(said: object) -> str:
    return "unknown" if said is None else f"{said}"
