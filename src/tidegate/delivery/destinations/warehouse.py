"""A warehouse: events as rows of a table in PostgreSQL or DuckDB, and contacts, as they are now, as rows of another."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from pydantic import field_validator

from tidegate.delivery import addresses
from tidegate.delivery.messages import DELIVERED, UPDATED, Message, Verdict
from tidegate.delivery.options import Options
from tidegate.delivery.shapes import instant, plain
from tidegate.errors import AddressRefused

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}([.][A-Za-z_][A-Za-z0-9_]{0,62})?")
_PARAMETERS = {"host", "port", "sslmode", "application_name"}
"""What a URL of PostgreSQL may say after its `?`; `host`: the folder of a socket."""
_TYPES = {"happened_at": "timestamptz", "updated_at": "timestamptz", "data": "json", "properties": "json"}
Statement = tuple[str, tuple[Any, ...]]
"""SQL whose values are `?`, and the values."""


class WarehouseOptions(Options):
    """`url`: `postgresql://user:password@host/database` or `duckdb:///folder/file.duckdb`; it is kept as a secret.
    `table`: where events go, a row each. `contacts`: where contacts go with the chosen `properties`, a row each. Both
    are made where they are not there, and may be `schema.table`.
    """

    secret: ClassVar[frozenset[str]] = frozenset({"url"})

    url: str
    table: str = "tidegate_events"
    contacts: str = "tidegate_contacts"
    in_flight: int = 1

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme == "duckdb":
            if parts.netloc or not _file(url).is_absolute() or _file(url).name == "":
                raise ValueError("a file of DuckDB is named whole: duckdb:///folder/file.duckdb")
        elif parts.scheme not in ("postgresql", "postgres"):
            raise ValueError("it begins with postgresql:// or duckdb://")
        elif unknown := {name for name, _ in parse_qsl(parts.query)} - _PARAMETERS:
            raise ValueError(f"after its ? it says {', '.join(sorted(_PARAMETERS))}, and not {sorted(unknown)[0]}")
        elif not _host(url) or "," in _host(url):
            raise ValueError("it names one host")
        elif not (str(parts.port or 1) + dict(parse_qsl(parts.query)).get("port", "")).isdecimal():
            raise ValueError("its port is a number")
        return url

    @field_validator("table", "contacts")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no table: letters, digits and _, with a schema before it as schema.table")
        return name


class Warehouse:
    """Up to 1,000 messages in a transaction. An event is there once, by its id, however often it is sent; a contact has
    one row, which a renaming moves, and a merging or a forgetting deletes, where such events are sent.
    """

    options = WarehouseOptions
    batch = 1000
    properties: tuple[str, ...] = ()
    events = ("*",)

    def shown(self, options: WarehouseOptions, messages: Sequence[Message], as_of: datetime) -> list[Mapping[str, Any]]:
        """The table and the row of each."""
        return [_row(options, one) for one in messages]

    def write(self, options: WarehouseOptions, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """Writes the rows, all or none."""
        speak = _duckdb if urlsplit(options.url).scheme == "duckdb" else _postgresql
        statements = [one for message in messages for one in _statements(options, message)]
        return [speak(options, statements)] * len(messages)


def _row(options: WarehouseOptions, message: Message) -> dict[str, Any]:
    properties = {name: plain(value) for name, value in options.renamed(message.properties).items()}
    contact = message.person.ref if message.person else None
    if message.type == UPDATED:
        return {
            "table": options.contacts,
            "contact": contact,
            "updated_at": instant(message.at),
            "properties": properties,
        }
    return {
        "table": options.table,
        "id": message.id,
        "type": message.type,
        "happened_at": instant(message.at),
        "contact": contact,
        "name": options.called(message.name),
        "data": {name: plain(value) for name, value in message.data.items()},
        "properties": properties,
    }


def _statements(options: WarehouseOptions, message: Message) -> list[Statement]:
    """What writes a message, and what it does to the row of the contact that it is about."""
    row = _row(options, message)
    table = _quoted(row.pop("table"))
    values = tuple(msgspec.json.encode(one).decode() if isinstance(one, dict) else one for one in row.values())
    marks = ", ".join(f"cast(? as {_TYPES.get(name, 'text')})" for name in row)
    insert = f"insert into {table} ({', '.join(row)}) values ({marks}) on conflict"
    if message.type == UPDATED:
        return [
            (
                f"{insert} (contact) do update set updated_at = excluded.updated_at, properties = excluded.properties",
                values,
            )
        ]
    return [(f"{insert} (id) do nothing", values), *_moved(_quoted(options.contacts), message)]


def _moved(contacts: str, message: Message) -> list[Statement]:
    """What was erased from an event by now names nobody, and moves nobody."""
    said = {name: value for name, value in message.data.items() if isinstance(value, str)}
    delete = f"delete from {contacts} where contact = ?"
    match message.type, said:
        case "contact.renamed", {"from": before, "to": now}:
            return [(delete, (now,)), (f"update {contacts} set contact = ? where contact = ?", (now, before))]
        case "contact.merged", {"from": gone}:
            return [(delete, (gone,))]
        case "contact.forgotten", {"kind": kind, "external_id": id_}:
            return [(delete, (f"{kind}:{id_}",))]
        case _:
            return []


def _made(options: WarehouseOptions) -> list[str]:
    """What makes the tables."""
    return [
        f"""create table if not exists {_quoted(options.table)} (id text primary key, type text not null,
  happened_at timestamptz not null, contact text, name text not null, data json not null, properties json not null)""",
        f"""create table if not exists {_quoted(options.contacts)} (contact text primary key,
  updated_at timestamptz not null, properties json not null)""",
    ]


def _quoted(name: str) -> str:
    return ".".join(f'"{part}"' for part in name.split("."))


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.hostname or dict(parse_qsl(parts.query)).get("host", "")


def _file(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _postgresql(options: WarehouseOptions, statements: Sequence[Statement]) -> Verdict:
    import psycopg

    try:
        with psycopg.connect(**_place(options), autocommit=False) as db:
            for sql in _missing(options, lambda table: bool(_there(db, table))):
                db.execute(sql.encode())
            with db.pipeline():
                for sql, values in statements:
                    db.execute(sql.replace("?", "%s").encode(), values)
    except AddressRefused as error:
        return Verdict("refused", None, str(error))
    except (psycopg.ProgrammingError, psycopg.errors.InvalidAuthorizationSpecification) as error:
        return Verdict("refused", None, _said(error))
    except (psycopg.Error, OSError) as error:
        return Verdict("temporary", None, _said(error))
    return DELIVERED


def _place(options: WarehouseOptions) -> dict[str, Any]:
    """Where to connect to: the address that was looked at, and none that the name leads to a moment later; without
    any password but the URL's. Raises AddressRefused.
    """
    parts, host = urlsplit(options.url), _host(options.url)
    said = dict(parse_qsl(parts.query))
    place: dict[str, Any] = {
        "host": host, "user": unquote(parts.username or ""), "password": unquote(parts.password or ""),
        "passfile": os.devnull, "dbname": unquote(parts.path.lstrip("/")),
        "connect_timeout": max(2, round(options.timeout)), "options": f"-c statement_timeout={options.timeout:g}s",
        **{name: value for name, value in said.items() if name != "host"},
        "port": parts.port or int(said.get("port", 5432)),
    }  # fmt: skip
    if host.startswith("/"):
        if not options.allow_private:
            raise AddressRefused(host=host, address="a socket of this machine")
        return place
    found = addresses.checked(host, place["port"], allow_private=options.allow_private)
    return place | {"hostaddr": found[0][1]}


def _there(db: Any, table: str) -> Any:
    return db.execute("select to_regclass(%s)", (_quoted(table),)).fetchone()[0]


def _missing(options: WarehouseOptions, there: Callable[[str], bool]) -> list[str]:
    """What makes the tables that are not there; who may only write into them need not be allowed to."""
    named = zip((options.table, options.contacts), _made(options), strict=True)
    return [sql for table, sql in named if not there(table)]


def _duckdb(options: WarehouseOptions, statements: Sequence[Statement]) -> Verdict:
    """The file is another process's while that has it open for writing: it is tried again."""
    import duckdb

    try:
        with duckdb.connect(str(_file(options.url))) as db:
            db.execute("begin")
            for sql in _made(options):
                db.execute(sql)
            for sql, values in statements:
                db.execute(sql, values)
            db.execute("commit")
    except duckdb.ProgrammingError as error:
        return Verdict("refused", None, _said(error))
    except (duckdb.Error, OSError) as error:
        return Verdict("temporary", None, _said(error))
    return DELIVERED


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
