"""`tidegate audit`: compares the mirror with Stripe and says what differs."""

from typing import Any

import typer

from tidegate.cli.options import AsJson, ConnectionName, Resources

FINDINGS = ("missing", "vanished", "stale", "incomplete", "columns", "orphans", "dangling")


def audit(resource: Resources = None, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Compare the mirror with Stripe, object by object. Exit 1 on any difference."""
    from tidegate.cli import progress, show
    from tidegate.cli.hub import opened
    from tidegate.cli.progress import Step
    from tidegate.workflows.mirror import audit as workflow

    with opened() as hub:
        account = hub.account(connection)
        with hub.stripe(account) as api, progress.shown() as tell:
            result = workflow.audit(
                hub.engine,
                account,
                api,
                resource or (),
                lambda name, objects, ended: tell(
                    Step(name, objects, done=ended is not None, error=ended.error if ended else "")
                ),
            )
    if as_json:
        show.document(result)
    else:
        print_audit(result)
    if not result["clean"]:
        raise typer.Exit(1)


def print_audit(result: dict[str, Any]) -> None:
    """The verdict per resource with the counts that say something, some ids of what differs, and the verdict in all."""
    from tidegate.cli import show

    columns = ("resource", "verdict", "stored", "in_stripe")
    counts = [{**one["counts"], "unreadable": one["unreadable"]} for one in result["resources"]]
    found = [name for name in (*FINDINGS, "unreadable") if any(one[name] for one in counts)]
    rows = [
        [*(one[column] for column in columns), *(each[name] for name in found)]
        for one, each in zip(result["resources"], counts, strict=True)
    ]
    show.table(["resource", "verdict", "stored", "in Stripe", *found], rows)
    print_findings(result)
    if behind := result["behind_seconds"]:
        show.line(
            f"The mirror is behind by {show.duration(behind)}, so that no later change excuses a difference: "
            "run `tidegate catch-up`, then audit again."
        )
    if changed := sum(one["changed_meanwhile"] for one in result["resources"]):
        show.line(f"{changed:,} objects changed meanwhile (since they were read, or since the mirror was caught up).")
    compared = sum(one["in_stripe"] for one in result["resources"])
    show.line(
        f"{result['connection']} is {_verdict(result)}: {compared:,} objects compared in "
        f"{show.duration(result['seconds'])}."
    )


def _verdict(result: dict[str, Any]) -> str:
    """In words; what Stripe refused to show is no difference."""
    verdicts = [one["verdict"] for one in (*result["resources"], *result["checks"])]
    if "different" in verdicts:
        return "DIFFERENT from Stripe"
    refused = verdicts.count("not_compared")
    return f"equal to Stripe but for {refused:,} that could NOT BE COMPARED" if refused else "equal to Stripe"


def print_findings(result: dict[str, Any]) -> None:
    """Some ids of what differs, and why something could not be compared."""
    from tidegate.cli import show

    for one in result["resources"]:
        for name in FINDINGS:
            if one[name]:
                more = one["counts"][name] - len(one[name])
                show.line(
                    f"{one['resource']}, {name}: {', '.join(one[name])}{f' and {more:,} more' if more > 0 else ''}"
                )
    show.reasons({one["resource"]: one["error"] for one in result["resources"] if one["error"]})
    for one in result["checks"]:
        if one["broken"]:
            show.line(f"invariant {one['check']}, broken by {one['count']:,}: {', '.join(one['broken'])}")
