"""The pages of the mirror: how much there is of each resource, its objects, and one of them with its versions."""

import json
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.connections.accounts import Account
from tidegate.contacts import directory
from tidegate.errors import ResourceUnknown
from tidegate.mirror import browsing
from tidegate.stripe_api import dashboard
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Resource
from tidegate.web import wording
from tidegate.web.chosen import shown
from tidegate.web.mirror.status_page import StatusReading
from tidegate.web.pages import Page, Texts, Visit

OBJECTS = 50
"""Objects of a page."""
FAULTS = 1_000
"""Of what could not be read so much is shown."""
UNREADABLE = "unreadable"
TABLES = {one.table: one for one in RESOURCES.values()}


def pages(reading: StatusReading) -> tuple[Page, ...]:
    """The pages. `reading`: how every connection stands."""

    def resources(visit: Visit) -> Response:
        return visit.render("mirror/mirror.html", **reading.facts(), wrong=Texts(), typed=Texts())

    def find(visit: Visit) -> Response:
        account, object_id = shown(visit), visit.request.query_params.get("id", "").strip()
        with visit.hub.engine.connect() as db:
            resource = browsing.find(db, account.name, object_id) if object_id else ""
        if resource:
            return visit.go(object_page(account.name, RESOURCES[resource], object_id))
        wrong = f"{account.name} has no object with this id." if object_id else "Give an id, such as cus_…."
        typed = Texts(id=object_id, connection=account.name)
        return visit.render("mirror/mirror.html", 422, **reading.facts(), wrong=Texts(id=wrong), typed=typed)

    return (
        Page("/mirror", resources),
        Page("/mirror/find", find),
        Page("/mirror/{connection}/{table}", objects),
        Page("/mirror/{connection}/{table}/{id:path}", one),
    )


def objects(visit: Visit) -> Response:
    """A page of a resource's objects, the newest first."""
    account, resource = _asked(visit)
    after, state = (visit.request.query_params.get(name, "") for name in ("after", "state"))
    if state == UNREADABLE:
        return _unreadable(visit, account, resource)
    state = state if state in browsing.STATES else ""
    with visit.hub.engine.connect() as db:
        found = browsing.objects(db, account.name, resource, state=state, after=after, limit=OBJECTS)
    said = {"state": state} if state else {}
    more = f"{visit.request.url.path}?{urlencode(said | {'after': found.next})}" if found.next else ""
    facts: dict[str, Any] = {"account": account, "resource": resource, "known": RESOURCES, "more": more}
    facts |= {"state": state, "states": (*browsing.STATES, UNREADABLE)}
    facts["inside"] = browsing.inside_of(resource) if resource.parent else None
    return visit.render(
        "mirror/objects.html",
        columns=browsing.shown(resource),
        rows=found.rows,
        begun=not after,
        page_of=object_page,
        **facts,
    )


def one(visit: Visit) -> Response:
    """An object as it is stored, with what it names, whose it is, and its versions."""
    account, resource = _asked(visit)
    object_id, parent = visit.request.path_params["id"], visit.request.query_params.get("parent", "")
    with visit.hub.engine.connect() as db:
        stored = browsing.one(db, account.name, resource, object_id, parent)
        versions = browsing.versions(db, account.name, resource, object_id)
        customer = object_id if resource.name == "customers" else stored.customer
        contact = directory.of_customer(db, account.name, customer) if customer else None
    facts: dict[str, Any] = {"account": account, "resource": resource, "stored": stored, "contact": contact}
    facts |= {"body": said(stored.data), "versions": [(one, said(one.version.data)) for one in versions]}
    return visit.render("mirror/object.html", outside=_outside(account, resource, stored), page_of=object_page, **facts)


def object_page(connection: str, resource: Resource, object_id: str, parent: str = "") -> str:
    """Where the page of an object is; `parent`: of what comes inside another, the id of that."""
    inside = f"?{urlencode({'parent': parent})}" if parent else ""
    return wording.object_page(object_id, resource.table, connection) + inside


def said(value: Any) -> str:
    """JSON as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _asked(visit: Visit) -> tuple[Account, Resource]:
    table = visit.request.path_params["table"]
    if table not in TABLES:
        raise ResourceUnknown(name=table[:60], nearest="", known=", ".join(TABLES))
    return shown(visit, visit.request.path_params["connection"]), TABLES[table]


def _unreadable(visit: Visit, account: Account, resource: Resource) -> Response:
    with visit.hub.engine.connect() as db:
        rows = browsing.unreadable(db, account.name, resource, FAULTS + 1)
    told: dict[str, Any] = {"rows": rows[:FAULTS], "more": len(rows) > FAULTS, "most": FAULTS}
    return visit.render("mirror/unreadable.html", account=account, resource=resource, page_of=object_page, **told)


def _outside(account: Account, resource: Resource, stored: browsing.Object) -> str:
    """The object in Stripe's dashboard; empty: it is simulated, deleted, or comes inside another."""
    if account.sandbox or stored.deleted_at or resource.parent:
        return ""
    where: dict[str, Any] = {"account": account.account, "livemode": account.livemode}
    return dashboard.page(resource.object, stored.id, **where) or dashboard.search(stored.id, **where)
