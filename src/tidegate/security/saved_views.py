"""Named views of lists: what somebody looks at again and again, by the query of its address; theirs, or for all."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.dialects.postgresql import insert

from tidegate.errors import UserInvalid, ViewUnknown
from tidegate.security.tables import saved_views

LONGEST_NAME, LONGEST_QUERY = 80, 2_000  # characters
MOST = 100
"""Views of one list that somebody has."""


@dataclass(frozen=True, slots=True)
class View:
    """A view of the list at `page`, such as `/contacts`; `owner`: the actor who saved it."""

    id: int
    owner: str
    page: str
    name: str
    query: str
    shared: bool

    @property
    def address(self) -> str:
        """Where it is shown."""
        return f"{self.page}?{self.query}" if self.query else self.page


_SHOWN = [saved_views.c[name] for name in View.__dataclass_fields__]


def of_page(db: Connection, owner: str, page: str) -> list[View]:
    """The owner's views of a list and those that are shared, by name."""
    seen = or_(saved_views.c.owner == owner, saved_views.c.shared)
    wanted = select(*_SHOWN).where(saved_views.c.page == page, seen).order_by(saved_views.c.name, saved_views.c.id)
    return [View(**row) for row in db.execute(wanted.limit(2 * MOST)).mappings()]


def save(db: Connection, owner: str, page: str, name: str, query: str, *, shared: bool) -> View:
    """A view, in place of the owner's of that name. Raises UserInvalid for a name or query that is none."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UserInvalid(field="name", problem=f"it needs 1 to {LONGEST_NAME} printable characters.")
    if len(query) > LONGEST_QUERY:
        raise UserInvalid(field="name", problem="what is looked at is too long to be kept.")
    if sum(one.owner == owner for one in of_page(db, owner, page)) >= MOST:
        raise UserInvalid(field="name", problem=f"there are {MOST} views already; delete one first.")
    values = {"owner": owner, "page": page, "name": name, "query": query, "shared": shared}
    made = insert(saved_views).values(values)
    made = made.on_conflict_do_update(
        index_elements=["owner", "page", "name"], set_={"query": query, "shared": shared}
    ).returning(*_SHOWN)
    return View(**db.execute(made).mappings().one())


def remove(db: Connection, number: int, owner: str, *, any_owner: bool = False) -> View:
    """The view, which is no more; only its owner's, but for who may remove anybody's. Raises ViewUnknown."""
    whose = [] if any_owner else [saved_views.c.owner == owner]
    row = (
        db.execute(delete(saved_views).where(saved_views.c.id == number, *whose).returning(*_SHOWN)).mappings().first()
    )
    if row is None:
        raise ViewUnknown(view=number)
    return View(**row)
