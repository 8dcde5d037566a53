"""The page of exports: each table of the mirror as CSV at once, and how the command writes all of them to files."""

from starlette.responses import Response, StreamingResponse

from tidegate.web.chosen import chosen, shown
from tidegate.web.pages import Page, Visit
from tidegate.workflows.operation import export


def tables(visit: Visit) -> Response:
    """What can be exported, and how."""
    return visit.render("mirror/export.html", chosen=chosen(visit), tables=export.tables())


def one(visit: Visit) -> Response:
    """A table of a connection as CSV."""
    account, table = shown(visit), visit.request.path_params["table"]
    lines = export.lines(visit.hub.engine, account, table)
    headers = {"Content-Disposition": f'attachment; filename="{account.name}-{table}.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


PAGES = (Page("/export", tables, "revenue"), Page("/export/{table}.csv", one, "revenue"))
