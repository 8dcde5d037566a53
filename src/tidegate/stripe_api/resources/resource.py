"""What one mirrored Stripe object is: where it is listed, which columns it has, what hangs on it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidegate.stripe_api.shapes.base import Shape

EACH_TEST_CLOCK = "{test_clock}"
"""In a variant: the id of every test clock in turn. Lists hide what is on one unless they are asked for it."""

ColumnType = Literal["text", "bigint", "boolean", "timestamptz", "text[]"]


@dataclass(frozen=True, slots=True)
class Column:
    """A typed column: the shape's attribute of the same name, in SQL.

    `timestamptz` values are read as epoch seconds (Stripe's own unit). `refers_to` names the resource whose id (or ids,
    for `text[]`) the column holds; an id that the mirror lacks is fetched. A list that is `indexed` is one in the rows
    where it has something.
    """

    name: str
    type: ColumnType = "text"
    refers_to: str = ""
    indexed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Nested:
    """A list inside an object's body that is mirrored as rows of its own, e.g. an invoice's `lines`.

    `path` continues the list where Stripe cut it (`has_more`); `{id}` in it and in `params` stands for the parent's id.
    """

    field: str
    resource: str
    path: str
    params: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One kind of Stripe object. Adding one to the mirror is adding one of these to `RESOURCES`.

    name            table in schema `stripe` and Stripe's list path without `/v1/` (children: their own word)
    object          Stripe's `object`
    shape           the tolerant struct; its attributes named like the columns present one shape for every API version
    path            where it is listed and, with `/{id}`, retrieved; None: comes only with its parent or by event
    variants        listings that together show everything (Stripe hides by default), e.g. active and inactive prices;
                    one with EACH_TEST_CLOCK is read once per test clock
    created_filter  whether the listing takes `created[gte]`, so that ranges can be read in parallel
    per_parent      the resource whose ids fill `{parent}` in `path`: listed once per parent
    parent_field    with `per_parent`: the field (and column) that whoever lists fills with the parent's id, since
                    Stripe's bodies lack it
    permission      of a restricted key, that opens `path`; see `key_link` for how sure the name is
    test_mode_only  Stripe has it in test mode only
    singleton       `path` is one object, not a list (the account)
    expand          what to expand, as seen from the object; listings prefix `data.`
    nested          lists inside that become rows of their own
    stands_in       for what Stripe lists nowhere: the resources whose objects show it
    listed_by       the parameter that lists those which belong to one other object, whose id it takes
    parent          children: the column that holds the parent's id; the primary key includes it
    owned_by        the column that names whose customer's it is, of what names no customer itself
    deleted_by      event types that leave a tombstone
    kept_by         fields that, all null in what is fetched by id, say the same: Stripe still shows the object to who
                    has its id, in no list, and it can never be used again
    reusable_id     the id can be used again once its object is deleted, because whoever makes one may choose it; a
                    tombstone of any other resource is final
    versions        every distinct version is kept (the revenue history is made of them)
    shared          fields whose change is one to all customers that name the object, which is theirs in common
    refetch         events carry less than lists expand, so every event queues a fetch
    unannounced     objects come to be without an event, so whoever catches up reads the newest of the list, too
    reading         raise it when the shape reads stored JSON differently: the columns are then filled anew
    """

    name: str
    object: str
    shape: type[Shape]
    columns: tuple[Column, ...] = ()
    path: str | None = None
    variants: tuple[Mapping[str, Any], ...] = ({},)
    created_filter: bool = True
    per_parent: str = ""
    parent_field: str = ""
    permission: str = ""
    singleton: bool = False
    test_mode_only: bool = False
    expand: tuple[str, ...] = ()
    nested: tuple[Nested, ...] = ()
    stands_in: tuple[str, ...] = ()
    listed_by: str = ""
    parent: str = ""
    owned_by: str = ""
    deleted_by: frozenset[str] = frozenset()
    kept_by: tuple[str, ...] = ()
    reusable_id: bool = False
    versions: bool = False
    shared: tuple[str, ...] = ()
    refetch: bool = False
    unannounced: bool = False
    reading: int = 1

    @property
    def table(self) -> str:
        """The table's name in schema `stripe`: the list path with `/` as `_`."""
        return self.name.replace("/", "_")

    def by_clock(self, variant: int) -> bool:
        """Whether that one of the variants is read once per test clock."""
        return EACH_TEST_CLOCK in self.variants[variant].values()

    @property
    def retrievable(self) -> bool:
        """Whether one object can be fetched by `path/{id}`."""
        return self.path is not None and not self.per_parent and not self.singleton

    @property
    def askable(self) -> bool:
        """Whether Stripe can be asked what one object is like now, by its id or as the only one of its kind."""
        return self.retrievable or self.singleton
