"""Ignored prices of tidegate.yaml: let mean nothing, heeded again, and written out."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy import Connection

from tidegate.catalog import ignoring, journal
from tidegate.connections import accounts
from tidegate.errors import UsageError

if TYPE_CHECKING:
    from tidegate.workflows.config.config_steps import Applying

FILE = "file"
SECTION = "ignored_prices"


class IgnoredEntry(BaseModel):
    """An entry of `ignored_prices`: the id of a price, or that and its connection."""

    model_config = ConfigDict(extra="forbid")

    price: str
    connection: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, said: Any) -> Any:
        return {"price": said} if isinstance(said, str) else said


def define(db: Connection, applying: "Applying") -> None:
    """Lets the prices that the file names mean nothing. Raises ConfigInvalid, with the line."""
    from tidegate.workflows.config.config_steps import noted

    known = {(row["connection"], row["price"]): row for row in ignoring.all_of_them(db)}
    for entry in applying.sections.ignored_prices or ():
        with applying.at(entry):
            connection = _connection(db, applying, entry)
            if ignoring.ignore(db, connection, entry.price, applying.by, FILE):
                journal.note(db, applying.by, "price.ignored", entry.price, connection=connection)
                noted(applying, SECTION, entry.price, known.get((connection, entry.price)), {"managed_by": FILE})


def leave(db: Connection, applying: "Applying") -> None:
    """What the file named and names no longer waits for a mapping again, with `prune`; else it is let go."""
    if applying.sections.ignored_prices is None:
        return
    named = {(_connection(db, applying, one), one.price) for one in applying.sections.ignored_prices}
    for row in ignoring.all_of_them(db):
        connection, price = row["connection"], row["price"]
        if not row["managed_by"] or (connection, price) in named:
            continue
        if applying.prune:
            ignoring.heed(db, connection, price, by_file=True)
            journal.note(db, applying.by, "price.heeded", price, connection=connection)
        else:
            ignoring.release(db, connection, price)
        applying.note("remove" if applying.prune else "release", SECTION, price)


def export(db: Connection, several: bool) -> dict[str, Any]:
    """The section as plain values. `several`: connections, so that each entry names its own."""
    rows = ignoring.all_of_them(db)
    if several:
        return {SECTION: [{"price": one["price"], "connection": one["connection"]} for one in rows]}
    return {SECTION: [one["price"] for one in rows]}


def _connection(db: Connection, applying: "Applying", entry: IgnoredEntry) -> str:
    """The connection that an entry names, or the only one. Raises ConfigInvalid, with the line."""
    try:
        return accounts.named(db, entry.connection).name
    except UsageError as error:
        told = str(error).replace("`--connection NAME`", "`connection: NAME`")
        raise applying.sections.document.wrong(applying.sections.of(entry), told) from error
