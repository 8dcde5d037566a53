"""Compares the mirror with Stripe: reads a resource's lists again and finds what is missing, vanished or different."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text

from tidegate.errors import ENDS_THE_WORK, StripeObjectMissing, TidegateError
from tidegate.mirror.arrivals import Arrival, Lost
from tidegate.mirror.compare_rows import Differences, compare_page
from tidegate.mirror.pages import read_objects, retrieve
from tidegate.mirror.ranges import of_clock
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.endpoints import list_path
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.resources.test_clocks import TEST_CLOCKS

NAMED = 20  # ids listed per finding; the numbers are whole
AT_ONCE = 100
READERS = 4
FINDINGS = ("missing", "vanished", "stale", "incomplete", "columns", "orphans", "dangling")
EXCUSABLE = ("missing", "vanished", "stale", "incomplete", "dangling")
"""What a change that the mirror has not been told yet can explain."""


class Seen(NamedTuple):
    """What one look at Stripe showed: objects, and what of them could not be read."""

    arrivals: Sequence[Arrival]
    lost: Sequence[Lost]


@dataclass(slots=True)
class Comparison(Differences):
    """How a resource's mirror differs from Stripe.

    `in_stripe` counts what Stripe shows, in lists or by id; `stored` the live rows. `missing` are in Stripe only,
    `vanished` in the mirror only (without a tombstone), `stale` have other content than Stripe shows, `incomplete` lack
    children or have others, `columns` have typed columns that do not say what their JSON says, `orphans` are children
    whose parent is not there or is deleted while they are not, `dangling` are objects (`customers/cus_1`) that a row
    names, that Stripe has, and that have no row, not even a tombstone. `unreadable` counts what is recorded so and what
    could not be read now. `changed_meanwhile` counts objects that changed after they were read or whose change Stripe
    has told only since the mirror was last caught up: no difference.
    """

    resource: str = ""
    stored: int = 0
    in_stripe: int = 0
    vanished: list[str] = field(default_factory=list[str])
    orphans: list[str] = field(default_factory=list[str])
    dangling: list[str] = field(default_factory=list[str])
    unreadable: int = 0
    error: str = ""
    refused: TidegateError | None = None

    @property
    def verdict(self) -> str:
        """`equal`, `different`, or `not_compared` when Stripe refused."""
        if self.error:
            return "not_compared"
        return "different" if self.unreadable or any(getattr(self, name) for name in FINDINGS) else "equal"

    @property
    def suspicious(self) -> bool:
        """Whether a change that the mirror has not been told yet could explain a finding."""
        return any(getattr(self, name) for name in EXCUSABLE)

    def excuse(self, changed: Mapping[str, Collection[str]]) -> None:
        """Takes out objects that are known to have changed since the mirror was last caught up; ids by resource."""
        mine = changed.get(self.resource, ())
        others = {f"{resource}/{id_}" for resource, ids in changed.items() for id_ in ids}
        for name in EXCUSABLE:
            found: list[str] = getattr(self, name)
            kept = [id_ for id_ in found if id_ not in (others if name == "dangling" else mine)]
            self.changed_meanwhile += len(found) - len(kept)
            setattr(self, name, kept)

    def as_json(self) -> dict[str, Any]:
        """The comparison as a JSON object; lists are cut at 20 ids, `counts` are whole."""
        return {
            "resource": self.resource,
            "verdict": self.verdict,
            "stored": self.stored,
            "in_stripe": self.in_stripe,
            **{name: getattr(self, name)[:NAMED] for name in FINDINGS},
            "counts": {name: len(getattr(self, name)) for name in FINDINGS},
            "changed_meanwhile": self.changed_meanwhile,
            "unreadable": self.unreadable,
            "error": self.error,
        }


def compare(
    engine: Engine, account: str, api: StripeApi, resource: Resource, tell: Callable[[int], None] = lambda _: None
) -> Comparison:
    """Reads every list of a resource and compares each object with the mirror, its children included.

    `tell` hears how many objects were read so far. What Stripe refuses is told in `error`. Raises StripeKeyInvalid and
    Unreachable. No transaction is open while Stripe is asked.
    """
    result = Comparison(resource=resource.name)
    with engine.connect() as db:
        db.execute(text("drop table if exists pg_temp.seen"))
        db.execute(text("create temp table seen (id text primary key) on commit preserve rows"))
        db.commit()
        try:
            for page in _lists(api, resource, db, account):
                _look_at(db, account, resource, page, result, tell)
            _look_for_unlisted(db, account, api, resource, result, tell)
        except ENDS_THE_WORK:
            raise
        except TidegateError as error:
            result.error, result.refused = str(error), error
            result.vanished.clear()  # who is refused a look cannot say that nothing is there
        finally:
            db.rollback()
            db.execute(text("drop table pg_temp.seen"))
            db.commit()
        _look_back(db, account, resource, result)
    return result


def _look_at(
    db: Connection,
    account: str,
    resource: Resource,
    page: Seen,
    result: Comparison,
    tell: Callable[[int], None],
) -> None:
    alive = [arrival for arrival in page.arrivals if not arrival.deleted]
    illegible = {one.object_id for one in page.lost}
    result.illegible |= illegible
    compare_page(db, account, resource, alive, result)
    result.in_stripe += len(alive) + len(illegible)
    db.execute(
        text("insert into seen select unnest(cast(:ids as text[])) on conflict do nothing"),
        {"ids": [*(arrival.id for arrival in alive), *illegible]},
    )
    db.commit()
    tell(result.in_stripe)


def _lists(api: StripeApi, resource: Resource, db: Connection, account: str) -> Iterator[Seen]:
    """Every page of every list of the resource; a parent that Stripe has no more has no list."""
    if resource.singleton:
        page = retrieve(api, resource)
        yield Seen(page.arrivals, page.lost)
        return
    for path, parent in _paths(resource, db, account):
        for variant in _variants(resource, db, account):
            try:
                yield from _list(api, resource, path, variant, parent)
            except StripeObjectMissing:
                if not parent:
                    raise


def _list(api: StripeApi, resource: Resource, path: str, variant: Mapping[str, Any], parent: str) -> Iterator[Seen]:
    after, more = "", True
    passed = set[str]()
    while more:
        page = read_objects(api, resource, path, variant, after=after, passed=passed, parent=parent)
        yield Seen(page.arrivals, page.lost)
        after, more = page.last, page.has_more


def _variants(resource: Resource, db: Connection, account: str) -> Iterator[dict[str, Any]]:
    """The parameters of each listing; of one read per test clock once for each clock that is stored."""
    for number, variant in enumerate(resource.variants):
        clocks = _live_ids(db, account, TEST_CLOCKS) if resource.by_clock(number) else [""]
        yield from (of_clock(variant, clock) for clock in clocks)


def _paths(resource: Resource, db: Connection, account: str) -> Sequence[tuple[str, str]]:
    """Where the resource is listed, with the parent's id where it is listed per parent."""
    if not resource.per_parent:
        return [(str(resource.path), "")]
    parents = _live_ids(db, account, RESOURCES[resource.per_parent])
    return [(list_path(str(resource.path), parent), parent) for parent in parents]


def _live_ids(db: Connection, account: str, resource: Resource) -> Sequence[str]:
    ids = db.scalars(
        text(
            f"select id from stripe.{resource.table} where connection = :connection and deleted_at is null order by id"
        ),
        {"connection": account},
    ).all()
    db.commit()
    return ids


def _look_for_unlisted(
    db: Connection, account: str, api: StripeApi, resource: Resource, result: Comparison, tell: Callable[[int], None]
) -> None:
    """Asks Stripe by id for what is in the mirror and in no list: inline prices for example exist and are not listed.

    What it does not know any more has vanished.
    """
    after = ""
    with ThreadPoolExecutor(READERS, thread_name_prefix="audit") as pool:
        while ids := _unlisted(db, account, resource, after):
            after = ids[-1]
            if not resource.retrievable:
                result.vanished += ids
                continue
            pages = list(pool.map(partial(look_up, api, resource), ids))
            found = Seen([one for page in pages for one in page.arrivals], [one for page in pages for one in page.lost])
            gone = [id_ for id_, page in zip(ids, pages, strict=True) if not page.lost and _none_alive(page)]
            _look_at(db, account, resource, found, result, tell)
            result.vanished += gone


def _unlisted(db: Connection, account: str, resource: Resource, after: str) -> Sequence[str]:
    ids = db.scalars(
        text(f"""
select t.id from stripe.{resource.table} t
where t.connection = :connection and t.id > :after and t.deleted_at is null
  and not exists (select from seen s where s.id = t.id)
order by t.id limit :limit"""),
        {"connection": account, "after": after, "limit": AT_ONCE},
    ).all()
    db.commit()
    return ids


def look_up(api: StripeApi, resource: Resource, object_id: str) -> Seen:
    """The object by its id; empty when Stripe has it no more. Raises the other errors of `retrieve`."""
    try:
        page = retrieve(api, resource, object_id)
    except StripeObjectMissing as error:
        if not _is_gone(error):
            raise  # it is the endpoint that does not exist here, not the object
        return Seen([], [])
    return Seen(page.arrivals, page.lost)


def _none_alive(page: Seen) -> bool:
    return all(arrival.deleted for arrival in page.arrivals)


def _is_gone(error: StripeObjectMissing) -> bool:
    return error.facts["code"] == "resource_missing"


def _look_back(db: Connection, account: str, resource: Resource, result: Comparison) -> None:
    """Counts what is stored and what could not be read, and finds children without their parent."""
    values = {"connection": account, "resource": resource.name}
    live = f"from stripe.{resource.table} t where t.connection = :connection and t.deleted_at is null"
    result.stored = int(db.scalar(text(f"select count(*) {live}"), values) or 0)
    unreadable = "select object_id from tidegate.unreadable where connection = :connection and resource = :resource"
    recorded = db.scalars(text(unreadable), values).all()
    result.unreadable = len(recorded) + len(result.illegible.difference(recorded))
    for nested in resource.nested:
        child = RESOURCES[nested.resource]
        result.orphans += db.scalars(
            text(f"""
select c.id from stripe.{child.table} c where c.connection = :connection and c.deleted_at is null and not exists (
  select from stripe.{resource.table} p
  where p.connection = c.connection and p.id = c.{child.parent} and p.deleted_at is null)"""),
            values,
        ).all()
    db.commit()
