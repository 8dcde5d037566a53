"""`tidegate sql`: one read-only query on the store, as a table, CSV or JSON."""

import csv
import json
import sys
from collections.abc import Sequence
from itertools import islice
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson, one_form

if TYPE_CHECKING:
    from tidegate.store.readonly import Answer

TABLE_ROWS = 1000
"""A table is laid out whole, so it shows no more rows than this; CSV and JSON stream all."""
SPOOL_BYTES = 1_000_000
"""A JSON answer larger than this waits in a temporary file."""


def sql(
    query: Annotated[str, typer.Argument(help="Tables of schema stripe and tidegate need no prefix; - reads stdin.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Answer as CSV with a header.")] = False,
    timeout: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Give up after so long.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Query the store, read-only: `tidegate sql "select status, count(*) from subscriptions group by 1"`.

    It is asked with the rights of the role tidegate_reader, which sees everything but stored credentials.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.operation.read_store import read_store

    one_form(as_csv=as_csv, as_json=as_json)
    statement = sys.stdin.read() if query == "-" else query
    with opened() as hub, read_store(hub.engine, statement, seconds=timeout) as (answer, lacking):
        if lacking:
            show.remark(f"Read-only, without the tables that hold secrets. {lacking} `tidegate doctor` says more.")
        if as_csv:
            _csv(answer)
        elif as_json:
            _json(answer)
        else:
            _table(answer)


def _table(answer: "Answer") -> None:
    from tidegate.cli import show
    from tidegate.store.values import as_text

    rows = [[as_text(value) for value in row] for row in islice(answer.rows, TABLE_ROWS)]
    show.table(answer.columns, rows)
    if next(answer.rows, None) is not None:
        show.remark(f"These are the first {TABLE_ROWS:,} rows; --csv and --json give all.")


def _csv(answer: "Answer") -> None:
    from tidegate.store.values import as_text

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    for row in answer.rows:
        writer.writerow([as_text(value) for value in row])


def _json(answer: "Answer") -> None:
    """{"columns": […], "rows": [[…], …]}; set aside until whole: a query that fails midway prints none."""
    from tidegate.store.values import plain

    def encoded(value: Sequence[Any]) -> str:
        return json.dumps(list(value), default=plain, ensure_ascii=False)

    with SpooledTemporaryFile(SPOOL_BYTES, "w+", encoding="utf-8") as file:
        file.write(f'{{"columns": {encoded(answer.columns)}, "rows": [')
        for number, row in enumerate(answer.rows):
            file.write(("," if number else "") + "\n" + encoded(row))
        file.write("\n]}\n")
        file.seek(0)
        copyfileobj(file, sys.stdout)
