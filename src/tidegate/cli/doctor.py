"""`tidegate doctor`: examines the installation."""

from typing import TYPE_CHECKING

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from tidegate.settings import Settings
    from tidegate.workflows.operation.doctor import Finding


def doctor(as_json: AsJson = False) -> None:
    """Examine settings, disk, database and keys. Exit 1 on something wrong, 2 with a database that cannot be used as it
    is set up or migrated, 3 with one out of reach.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import configured

    findings, code = examine(configured())
    if as_json:
        show.document({"healthy": code == 0, "checks": [finding._asdict() for finding in findings]})
    else:
        show.table(["check", "", "found"], [(one.check, one.state, one.detail) for one in findings])
        for one in findings:
            if one.remedy:
                show.line(f"{one.check}: {one.remedy}")
    raise typer.Exit(code)


def examine(config: "Settings") -> tuple[list["Finding"], int]:
    """Every finding, and the exit code they come to; an unreachable database is one of them."""
    from tidegate.cli.hub import opened
    from tidegate.errors import TidegateError, outcome
    from tidegate.workflows.operation import doctor

    findings, code = [*doctor.installation(config), _assets()], 0
    try:
        with opened() as hub:
            findings += doctor.database(hub.engine, config)
            findings += doctor.keys(hub.engine, config)
    except TidegateError as error:
        findings.append(doctor.failed("database", error))
        code = outcome(error)[0]
    return findings, code or int(any(one.state == "wrong" for one in findings))


def _assets() -> "Finding":
    """Whether the page's assets are there."""
    from tidegate.errors import AssetMissing
    from tidegate.web.assets import Assets
    from tidegate.workflows.operation.doctor import Finding, failed

    try:
        Assets()
    except AssetMissing as error:
        return failed("assets", error)
    return Finding("assets", "ok", "the page's assets are built")
