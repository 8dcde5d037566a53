"""`tidegate status`: every connection's mirror, freshness, inbox and problems."""

from datetime import datetime
from typing import Any

import typer

from tidegate.cli.options import AsJson, ConnectionName

LACKING = "permission_missing"


def status(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Say how current the mirror is and what is wrong. Exit 1 with problems, 3 when nothing can be reached."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.operation import status as workflow

    with opened() as hub:
        found = workflow.status(
            hub.engine,
            [connection] if connection else None,
            poll_seconds=hub.settings.poll_seconds,
            sweep_hour=hub.settings.sweep_hour,
            home=hub.embedded_home,
        )
    if as_json:
        show.document(found)
    else:
        _print(found)
    raise typer.Exit(exit_code(found))


def exit_code(found: dict[str, Any]) -> int:
    """0 without problems; 3 when every connection that has a key is out of Stripe's reach; else 1."""
    from tidegate.connections.problems import CUT_OFF

    if not found["problems"]:
        return 0
    cut_off = {one["connection"] for one in found["problems"] if one["code"] in CUT_OFF}
    connected = {one["name"] for one in found["connections"] if one["connected"]}
    return 3 if connected and connected <= cut_off else 1


def _print(found: dict[str, Any]) -> None:
    from tidegate.cli import show

    database = found["database"]
    groups = ", ".join(f"{name} {show.size(octets)}" for name, octets in database["groups"].items())
    show.line(f"PostgreSQL {database['version']}, {show.size(database['bytes'])} ({groups})")
    _print_problems([problem for problem in found["problems"] if not problem["connection"]])
    _print_usage(found["usage"])
    _print_alerts(found["alerts"])
    if not found["connections"]:
        show.line(
            "No Stripe account is connected yet: `tidegate connect`, or `tidegate demo` to look around without a key."
        )
    for one in found["connections"]:
        show.line()
        kind = f"{one['mode']} mode" + (", simulated" if one["sandbox"] else "")
        show.line(f"{one['name']}: {one['display_name']} ({one['account']}, {kind}), {one['freshness']}")
        resources = [each for each in one["resources"] if each["stored"] or each["deleted"] or each["unreadable"]]
        if resources:
            columns = ("resource", "stored", "deleted", "unreadable", "newest")
            show.table(columns, [[each[column] for column in columns] for each in resources])
        inbox = one["inbox"]
        show.line(
            f"inbox: {inbox['waiting']:,} waiting, {inbox['parked']:,} parked; {one['refetches']:,} objects to refetch"
        )
        if run := one["run"]:
            began, ended = _moment(run["started_at"]), _moment(run["finished_at"])
            without = f" without {', '.join(one['left_out'])}" if one["left_out"] else ""
            show.line(f"last import: {run['state']}{without}, began {began}, ended {ended}")
        _print_sweeps(one)
        _print_permissions(one["permissions"])
        _print_accounts(one)
        _print_problems(one["problems"])
    _print_schedules(found["schedules"])


def _print_alerts(alerts: list[dict[str, Any]]) -> None:
    """How many alerts of the hub itself stand, and of how many nobody was told."""
    from tidegate.cli import show

    if alerts:
        untold = sum(not one["routed_to"] for one in alerts)
        said = f", {untold:,} of them told to nobody" if untold else ""
        show.line(f"system alerts: {len(alerts):,} stand{said} (`tidegate alerts list --system`)")


def _print_schedules(schedules: list[dict[str, Any]]) -> None:
    """What runs when."""
    from tidegate.cli import show

    show.line()
    rows = [
        (
            one["what"],
            one["of"],
            one["when"],
            _moment(one["last_at"]),
            _moment(one["next_at"]) if one["next_at"] else "",
        )
        for one in schedules
    ]
    show.table(["schedule", "of", "when", "last", "next"], rows)


def _print_usage(usage: dict[str, int]) -> None:
    """What of the usage that was consumed is not told to Stripe's meters, if anything."""
    from tidegate.cli import show

    words = {"waiting": "waiting", "without_customer": "of contacts without a customer", "failed": "failed",
             "unknown": "of unknown outcome"}  # fmt: skip
    told = [f"{usage[name]:,} {said}" for name, said in words.items() if usage[name]]
    if told:
        show.line(f"usage not told to Stripe: {', '.join(told)} (`tidegate usage list`)")


def _print_sweeps(one: dict[str, Any]) -> None:
    from tidegate.cli import show
    from tidegate.cli.import_ import mended

    upcoming = f"next: {_moment(one['next_sweep_at'])}" if one["next_sweep_at"] else ""
    if sweep := one["sweep"]:
        failed = "".join(f"; {name}: {problem}" for name, problem in sweep["problems"].items())
        found = f", {mended(sweep['mended'])}" if sweep["state"] in {"done", "incomplete"} else ""
        told = f"{sweep['state']}, began {_moment(sweep['started_at'])}{found}{failed}"
        show.line(f"last sweep: {told}{'; ' if upcoming else ''}{upcoming}")
    elif upcoming:
        show.line(f"sweeps: none yet; {upcoming}")


def _print_permissions(found: list[dict[str, Any]]) -> None:
    """Each named, by state; when they were looked at."""
    from tidegate.cli import show

    if not found:
        return
    show.line(f"permissions, looked at {_moment(min(one['checked_at'] for one in found))}:")
    for state in ("refused", "unknown", "granted"):
        if names := [one["name"] for one in found if one["state"] == state]:
            show.line(f"  {state}: {', '.join(names)}")


def _print_accounts(one: dict[str, Any]) -> None:
    """Of a platform; and through which one it is connected."""
    from tidegate.cli import show

    if one["platform"]:
        show.line(f"connected through the platform {one['platform']}")
    if one["accounts"] is not None:
        show.line(
            f"platform of {len(one['accounts'])} accounts, next looked at {_moment(one['accounts_looked_at_next'])}"
        )
        rows = [[each[name] for name in ("connection", "account", "display_name", "state")] for each in one["accounts"]]
        if rows:
            show.table(("connection", "account", "name", "state"), rows)


def _print_problems(found: list[dict[str, Any]]) -> None:
    """Each with its remedy; of permissions that lack, which are all mended alike, only the first in full."""
    from tidegate.cli import show

    lacking = [problem["subject"] for problem in found if problem["code"] == LACKING]
    told = [problem for problem in found if problem["code"] != LACKING or problem["subject"] == lacking[0]]
    for problem in told:
        subject = f" {problem['subject']}" if problem["subject"] else ""
        since = f" since {_moment(problem['since'])}" if problem["since"] else ""
        show.line(f"PROBLEM {problem['code']}{subject}{since}: {problem['detail']}")
        if problem["code"] == LACKING and len(lacking) > 1:
            show.line(f"        Nor may it read {', '.join(lacking[1:])}.")
        show.line(f"        {problem['remedy']}")


def _moment(told: str | None) -> str:
    """`2026-09-01 12:30 UTC` for an ISO 8601 time."""
    return f"{datetime.fromisoformat(told):%Y-%m-%d %H:%M} UTC" if told else "not yet"
