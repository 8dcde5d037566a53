"""Compares the mirror with Stripe: reads a resource's lists again and finds what is missing, vanished or different."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.errors import TidegateError
from tidegate.mirror.arrivals import Arrival
from tidegate.mirror.pages import read_objects, retrieve
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Resource

NAMED = 20  # ids listed per finding; the numbers are whole


@dataclass(slots=True)
class Comparison:
    """How a resource's mirror differs from Stripe.

    `in_stripe` counts what the lists show; `stored` the live rows. `missing` are in Stripe only, `vanished` in the
    mirror only (without a tombstone), `stale` have an older or other content than Stripe shows, `incomplete` lack
    children. `changed_meanwhile` counts objects whose mirrored version is newer than what was read, which is no
    difference.
    """

    resource: str
    stored: int = 0
    in_stripe: int = 0
    missing: list[str] = field(default_factory=list[str])
    vanished: list[str] = field(default_factory=list[str])
    stale: list[str] = field(default_factory=list[str])
    incomplete: list[str] = field(default_factory=list[str])
    orphans: list[str] = field(default_factory=list[str])
    changed_meanwhile: int = 0
    unreadable: int = 0
    error: str = ""

    @property
    def verdict(self) -> str:
        """`equal`, `different`, or `not_compared` when Stripe refused."""
        if self.error:
            return "not_compared"
        wrong = self.missing or self.vanished or self.stale or self.incomplete or self.orphans or self.unreadable
        return "different" if wrong else "equal"

    def as_json(self) -> dict[str, Any]:
        """The comparison as a JSON object; lists are cut at 20 ids, `counts` are whole."""
        findings = ("missing", "vanished", "stale", "incomplete", "orphans")
        return {
            "resource": self.resource,
            "verdict": self.verdict,
            "stored": self.stored,
            "in_stripe": self.in_stripe,
            **{name: getattr(self, name)[:NAMED] for name in findings},
            "counts": {name: len(getattr(self, name)) for name in findings},
            "changed_meanwhile": self.changed_meanwhile,
            "unreadable": self.unreadable,
            "error": self.error,
        }


def compare(
    engine: Engine, account: str, api: StripeApi, resource: Resource, tell: Callable[[int], None] = lambda _: None
) -> Comparison:
    """Reads every list of a resource and compares each object with the mirror, its children included.

    `tell` hears how many objects were read. What Stripe refuses is told in `error`; a lost key or host is raised.
    """
    result = Comparison(resource.name)
    with engine.connect() as db:
        db.execute(text("create temp table if not exists seen (id text primary key) on commit preserve rows"))
        db.execute(text("truncate seen"))
        db.commit()
        try:
            for arrivals in _lists(api, resource, db, account):
                _compare_page(db, account, resource, arrivals, result)
                result.in_stripe += len(arrivals)
                tell(len(arrivals))
        except TidegateError as error:
            result.error = str(error)
        _look_back(db, account, resource, result)
        db.commit()
    return result


def _lists(api: StripeApi, resource: Resource, db: Connection, account: str) -> Iterator[list[Arrival]]:
    """Every page of every list of the resource, as arrivals; nothing of a page is held in a transaction while
    reading.
    """
    if resource.singleton:
        yield retrieve(api, resource).arrivals
        return
    for path, parent in _paths(resource, db, account):
        for variant in resource.variants:
            after, more = "", True
            while more:
                page = read_objects(api, resource, path, variant, after=after, parent=parent)
                yield page.arrivals
                after, more = page.last, page.has_more


def _paths(resource: Resource, db: Connection, account: str) -> Sequence[tuple[str, str]]:
    """Where the resource is listed, with the parent's id where it is listed per parent."""
    if not resource.per_parent:
        return [(str(resource.path), "")]
    parents = db.scalars(
        text(
            f"select id from stripe.{RESOURCES[resource.per_parent].table} "
            "where connection = :connection and deleted_at is null order by id"
        ),
        {"connection": account},
    ).all()
    db.commit()
    return [(str(resource.path).format(parent=parent), parent) for parent in parents]


def _compare_page(
    db: Connection, account: str, resource: Resource, arrivals: Sequence[Arrival], result: Comparison
) -> None:
    bodies = {arrival.id: arrival for arrival in arrivals}
    rows = db.execute(
        text(f"""
select o.id, t.id is null or t.deleted_at is not null as missing, t.data = cast(o.body as jsonb) as same,
       extract(epoch from t.updated_at)::bigint as at
from unnest(cast(:ids as text[]), cast(:bodies as text[])) as o(id, body)
left join stripe.{resource.table} t on t.connection = :connection and t.id = o.id"""),
        {"connection": account, "ids": list(bodies), "bodies": [a.body for a in bodies.values()]},
    )
    for row in rows:
        if row.missing:
            result.missing.append(row.id)
        elif not row.same and row.at > bodies[row.id].at:
            result.changed_meanwhile += 1
        elif not row.same:
            result.stale.append(row.id)
    for nested in resource.nested:
        _compare_children(db, account, RESOURCES[nested.resource], nested.field, arrivals, result)
    db.execute(
        text("insert into seen select unnest(cast(:ids as text[])) on conflict do nothing"), {"ids": list(bodies)}
    )
    db.commit()


def _compare_children(
    db: Connection, account: str, child: Resource, name: str, arrivals: Sequence[Arrival], result: Comparison
) -> None:
    wanted = {a.id: len(bodies) for a in arrivals for n, bodies, _ in a.reading.nested if n.field == name}
    stored = db.execute(
        text(f"""
select {child.parent} as parent, count(*) as n from stripe.{child.table}
where connection = :connection and {child.parent} = any(:parents) group by 1"""),
        {"connection": account, "parents": list(wanted)},
    )
    have = {row.parent: row.n for row in stored}
    result.incomplete += [
        parent for parent, n in wanted.items() if have.get(parent, 0) != n and parent not in result.missing
    ]


def _look_back(db: Connection, account: str, resource: Resource, result: Comparison) -> None:
    """What is in the mirror only, what could not be read, and children without their parent."""
    values = {"connection": account, "resource": resource.name}
    live = f"from stripe.{resource.table} t where t.connection = :connection and t.deleted_at is null"
    result.stored = int(db.scalar(text(f"select count(*) {live}"), values) or 0)
    result.unreadable = int(
        db.scalar(
            text("select count(*) from tidegate.unreadable where connection = :connection and resource = :resource"),
            values,
        )
        or 0
    )
    for nested in resource.nested:
        child = RESOURCES[nested.resource]
        result.orphans += db.scalars(
            text(f"""
select c.id from stripe.{child.table} c where c.connection = :connection and not exists (
  select from stripe.{resource.table} p where p.connection = c.connection and p.id = c.{child.parent})"""),
            values,
        ).all()
    if not result.error:
        result.vanished += db.scalars(
            text(f"select t.id {live} and not exists (select from seen s where s.id = t.id) order by t.id"), values
        ).all()
