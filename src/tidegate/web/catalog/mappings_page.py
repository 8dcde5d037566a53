"""The pages of mappings: what waits for one, what prices and products mean, and how that is said, changed or undone."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.catalog import features, ignoring, kept, mappings, names, packages
from tidegate.catalog.mappings import Wanted
from tidegate.catalog.proposals import Left, Suggestion
from tidegate.catalog.terms import RESETS
from tidegate.connections.accounts import Account
from tidegate.errors import CatalogInvalid, CatalogUnknown, ManagedByFile, TermsInvalid
from tidegate.web import csv_answers
from tidegate.web.catalog import terms_form
from tidegate.web.choosing import account, livemode_if_any, offered
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.previews import Asked, previewed
from tidegate.workflows.catalog import catalog_changes, catalog_suggest

EXPORTED = (
    "id", "connection", "price", "product", "product_name", "nickname", "package", "feature", "terms", "per_quantity",
    "contacts", "managed_by", "created_at", "created_by",
)  # fmt: skip
WAITING = (
    "price", "product", "product_name", "nickname", "unit_amount", "currency", "interval", "interval_count",
    "subscriptions", "customers", "since",
)  # fmt: skip
SUGGESTED = ("name", "kind", "key", "why", "gives", "mapped", "subscriptions", "customers", "contacts")
LEFT = ("of", "id", "name", "why", "subscriptions")
NOTHING: dict[str, Any] = {"suggested": True, "waiting": [], "mappings": [], "kept": [], "ignored": []}
PER_QUANTITY = {"": None, "yes": True, "no": False}


def listing(visit: Visit) -> Response:
    """What waits, what is mapped, what holders keep, what is ignored."""
    return _listed(visit)


def form(visit: Visit) -> Response:
    """What one price, or its product, is to mean."""
    asked = visit.request.query_params
    return _form(visit, Texts({name: asked.get(name, "") for name in ("price", "product", "target", "of")}))


def put(visit: Visit) -> Response:
    """Shows whom a mapping changes, and makes it."""
    typed = Texts(visit.form)
    name = account(visit).name
    try:
        wanted = _wanted(visit, name)
        if wanted is None:
            return _form(visit, typed, Texts(target="Choose a package or a feature."))
        change = catalog_changes.set_mapping(wanted, keep_holders=typed["holders"] != "change")
        return previewed(visit, change, Asked(f"Map {wanted.source}", "Map it", _back(name), _put))
    except TermsInvalid as error:
        field = "value" if "value" in str(error.facts["problem"]) else "limit"
        return _form(visit, typed, Texts({field: str(error.facts["problem"]).capitalize()}))
    except (CatalogInvalid, CatalogUnknown, ManagedByFile) as error:
        return _form(visit, typed, Texts(target=str(error)))


def remove(visit: Visit) -> Response:
    """Shows who loses what with a mapping, and removes it."""
    number = int(visit.request.path_params["mapping"])
    try:
        with visit.hub.engine.connect() as db:
            row = mappings.one(db, number)
            keep = visit.form.get("holders") != "change"
            change = catalog_changes.remove_mapping(db, number, visit.actor, keep_holders=keep)
        title, back = f"Remove {mappings.shown(row)}", _back(row["connection"])
        if keep:
            other = ("Instead: take it from whoever has it, too", {"holders": "change"})
        else:
            title, other = f"{title}, for everybody", ("Instead: whoever has it keeps it", {"holders": "keep"})
        asked = Asked(title, "Remove it", back, _put, grave=True, other=other)
        return previewed(visit, change, asked)
    except ManagedByFile as error:
        return _listed(visit, 422, refused=str(error))


def release(visit: Visit) -> Response:
    """Shows who loses what that they keep, and ends that."""
    name, price = account(visit).name, visit.form.get("price", "")
    if not price:
        return _listed(visit, 422, refused="Say which price.")
    change = catalog_changes.release_kept(name, price, None, visit.actor)
    return previewed(visit, change, Asked(f"Nobody keeps what {price} meant", "End it", _back(name), grave=True))


def ignore(visit: Visit) -> Response:
    """Lets a price mean nothing, after saying what that does; or lets it wait again."""
    name, price, heed = account(visit).name, visit.form.get("price", ""), visit.form.get("heed") == "yes"
    try:
        change = catalog_changes.ignore_price(name, price, visit.actor, heed=heed)
        title, act = (f"Let {price} wait again", "Do it") if heed else (f"Ignore {price}", "Ignore it")
        told = "It gives nobody anything, and is not asked about any more. It can be taken back."
        return previewed(visit, change, Asked(title, act, _back(name), lambda _: [] if heed else [told]))
    except CatalogInvalid as error:
        return _listed(visit, 422, refused=str(error))


def suggestions(visit: Visit) -> Response:
    """What products and prices are taken for, and why; and what is left to a person."""
    return _suggested(visit)


def accept(visit: Visit) -> Response:
    """Shows what the picked suggestions make, and for whom, and makes it."""
    name = account(visit).name
    picked = [field.partition(":")[2] for field in visit.form if field.startswith("pick:")]
    if not picked:
        return _suggested(visit, 422, "Pick at least one.")
    with visit.hub.engine.connect() as db:
        try:
            chosen = catalog_suggest.chosen(_proposed(visit, db, name)[0], picked)
        except CatalogUnknown as error:
            return _suggested(visit, 422, str(error))
    title = f"Accept {len(chosen)} {'suggestion' if len(chosen) == 1 else 'suggestions'}"
    try:
        change = catalog_suggest.acceptance(name, chosen, visit.actor)
        return previewed(visit, change, Asked(title, "Accept", _back(name), _accepted))
    except (CatalogInvalid, CatalogUnknown, ManagedByFile) as error:
        return _suggested(visit, 422, str(error))


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The mappings of a connection, narrowed down as the page was."""
    search = visit.request.query_params.get("search", "")
    return [row for row in _every(visit, account(visit).name) if _matches(row, search)]


def waiting_exported(visit: Visit) -> list[dict[str, Any]]:
    """The prices of a connection that wait for a mapping."""
    name = account(visit).name
    with visit.hub.engine.connect() as db:
        ignored = ignoring.every(db, name)
    return _waiting(visit, name, [*_every(visit, name), *ignored])


def suggested_exported(visit: Visit) -> list[dict[str, Any]]:
    """What is suggested for a connection: what each gives, and the prices and products that would mean it."""
    connection = account(visit).name
    with visit.hub.engine.connect() as db:
        return [_told(one) for one in _proposed(visit, db, connection)[0]]


def left_exported(visit: Visit) -> list[dict[str, Any]]:
    """The products of a connection that are left to a person."""
    connection = account(visit).name
    with visit.hub.engine.connect() as db:
        return [{name: getattr(one, name) for name in LEFT} for one in _proposed(visit, db, connection)[1]]


PAGES = (
    Page("/mappings", listing),
    Page("/mappings.csv", csv_answers.of("mappings", EXPORTED, exported)),
    Page("/mappings/waiting.csv", csv_answers.of("waiting-prices", WAITING, waiting_exported)),
    Page("/mappings/map", form, "admin"),
    Page("/mappings/map", put, "admin", "POST"),
    Page("/mappings/{mapping:int}/remove", remove, "admin", "POST"),
    Page("/mappings/release", release, "admin", "POST"),
    Page("/mappings/ignore", ignore, "admin", "POST"),
    Page("/mappings/suggestions", suggestions),
    Page("/mappings/suggestions.csv", csv_answers.of("suggestions", SUGGESTED, suggested_exported)),
    Page("/mappings/suggestions/left.csv", csv_answers.of("left-to-you", LEFT, left_exported)),
    Page("/mappings/suggestions", accept, "admin", "POST"),
)


def _back(connection: str) -> str:
    return f"/mappings?{urlencode({'connection': connection})}"


def _put(result: dict[str, Any]) -> list[str]:
    if not result["kept"]:
        return []
    one = result["kept"] == 1
    said = f"{result['kept']:,} {'price' if one else 'prices'} of subscriptions {'keeps' if one else 'keep'} what "
    return [f"{said}{'it means' if one else 'they mean'} to them now."]


def _accepted(result: dict[str, Any]) -> list[str]:
    return [f"`{one['name']}`, with {len(one['mappings']):,} mappings." for one in result["accepted"]]


def _wanted(visit: Visit, connection: str) -> Wanted | None:
    """The mapping that the form says; None: nothing was chosen. Raises TermsInvalid, CatalogUnknown."""
    said = visit.form
    kind, _, key = said.get("target", "").partition(":")
    if not key or kind not in {"package", "feature"}:
        return None
    of = "product" if said.get("of") == "product" or not said.get("price") else "price"
    terms = None
    if kind == "feature":
        with visit.hub.engine.connect() as db:
            type_ = features.one(db, key)["type"]
        terms = terms_form.checked(key, type_, *(said.get(name, "") for name in ("limit", "value", "reset")))
    per_quantity = PER_QUANTITY.get(said.get("per_quantity", ""))
    return Wanted(connection, **{of: said.get(of), kind: key}, terms=terms, per_quantity=per_quantity, by=visit.actor)  # pyright: ignore[reportArgumentType]


def _every(visit: Visit, connection: str) -> list[dict[str, Any]]:
    """The mappings in force, each with how many contacts it gives something."""
    held = visit.report("held_now", {"livemode": livemode_if_any(visit)})["mappings"]
    with visit.hub.engine.connect() as db:
        return [row | {"contacts": held.get(str(row["id"]), 0)} for row in mappings.every(db, connection)]


def _listed(visit: Visit, status: int = 200, refused: str = "") -> Response:
    choice = offered(visit)
    search = visit.request.query_params.get("search", "")
    if not choice["connection"]:
        return visit.render("catalog/mappings.html", status, **choice, refused=refused, search=search, **NOTHING)
    name = choice["connection"]
    every = _every(visit, name)
    with visit.hub.engine.connect() as db:
        facts = {
            "mappings": [row for row in every if _matches(row, search)],
            "kept": kept.every(db, name),
            "ignored": ignoring.every(db, name),
        }
        waiting = _waiting(visit, name, [*every, *facts["ignored"]])
        suggested = "suggested" in visit.request.query_params
        proposed = _proposed(visit, db, name)[0] if waiting and suggested else []
    by_source = {row.get("price") or row.get("product"): one for one in proposed for row in one.mappings}
    for row in waiting:
        row["proposed"] = by_source.get(row["price"]) or by_source.get(row["product"])
    return visit.render(
        "catalog/mappings.html",
        status,
        refused=refused,
        waiting=waiting,
        suggested=suggested,
        search=search,
        **facts,
        **choice,
    )


def _waiting(visit: Visit, connection: str, settled: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What waits, as far as it was not mapped or ignored since that was read."""
    done = {(name, row[name]) for row in settled for name in ("price", "product") if row.get(name)}
    waiting = visit.report("unmapped", {"connection": connection})
    return [row for row in waiting if done.isdisjoint({("price", row["price"]), ("product", row["product"])})]


def _proposed(visit: Visit, db: Connection, connection: str) -> tuple[list[Suggestion], list[Left]]:
    """What is suggested, and what is left to a person."""
    return catalog_suggest.found_of(db, connection, visit.report("seen", {"connection": connection}))


def _told(one: Suggestion) -> dict[str, Any]:
    """A suggestion as it is exported."""
    gives = list((one.package or {}).get("features", ())) or [each["key"] for each in one.features]
    told = {"gives": gives, "mapped": [row.get("price") or row.get("product") for row in one.mappings]}
    return {name: getattr(one, name) for name in SUGGESTED if name not in told} | told


def _matches(row: dict[str, Any], search: str) -> bool:
    """Whether a mapping is of, or leads to, something with this in its id or name."""
    texts = (row[name] or "" for name in ("price", "product", "product_name", "nickname", "package", "feature"))
    return not search or any(search.casefold() in text.casefold() for text in texts)


def _form(visit: Visit, typed: Texts, wrong: Texts | None = None) -> Response:
    chosen: Account = account(visit)
    price, product = typed["price"], typed["product"]
    with visit.hub.engine.connect() as db:
        waits: list[dict[str, Any]] = visit.report("unmapped", {"connection": chosen.name}) if price else []
        waiting = next((row for row in waits if row["price"] == price), None)
        facts: dict[str, Any] = {
            "packages": packages.every(db),
            "features": features.every(db),
            "known": mappings.in_force(db, chosen.name, price or None, product or None),
            "named": names.prices(db, {(chosen.name, price)}).get((chosen.name, price), "") if price else "",
            "waiting": waiting,
        }
    said = {"typed": typed, "wrong": wrong or Texts(), "connection": chosen.name, "resets": RESETS}
    return visit.render("catalog/mapping.html", 422 if wrong else 200, **facts, **said)


def _suggested(visit: Visit, status: int = 200, refused: str = "") -> Response:
    choice = offered(visit)
    found, left = [], []
    if choice["connection"]:
        with visit.hub.engine.connect() as db:
            found, left = _proposed(visit, db, choice["connection"])
    return visit.render("catalog/suggestions.html", status, suggestions=found, left=left, refused=refused, **choice)
