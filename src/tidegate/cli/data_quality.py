"""`tidegate data-quality`: what in the data makes figures of revenue doubtful."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidegate.cli.options import AsJson, ConnectionName


def data_quality(
    check: Annotated[str | None, typer.Option(metavar="NAME", help="Only what this check finds.")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Objects of each check that are shown.")] = 10,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Name the objects that make figures of revenue doubtful, each with its page in Stripe's dashboard."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.revenue import quality
    from tidegate.workflows.revenue.data_quality import data_quality

    quality.known(check)
    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            document = data_quality(db, account, datetime.now(UTC))
    for name in ("checks", "objects"):
        document[name] = [one for one in document[name] if check in (None, one["check"])]
    if as_json:
        show.document(document)
        return
    for one in document["checks"]:
        if not one["objects"]:
            continue
        show.line(f"{one['check']}: {one['objects']:,}. {one['about']}")
        rows = [row for row in document["objects"] if row["check"] == one["check"]]
        show.table(["what", "name", "because", "in Stripe"],
                   [[row["id"], row["name"], row["detail"], row["link"]] for row in rows[:limit]])  # fmt: skip
        if len(rows) > limit:
            show.line(f"… and {len(rows) - limit:,} more (--json lists all)")
        show.line()
    nothing = [one["check"] for one in document["checks"] if not one["objects"]]
    if nothing:
        show.line(f"Nothing found by {', '.join(nothing)}.")
