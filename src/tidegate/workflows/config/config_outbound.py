"""Sources, models and syncs of tidegate.yaml: made so, taken away, and written out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from tidegate.connections import accounts
from tidegate.errors import ConfigInvalid, UsageError
from tidegate.outbound import sharing, specs, syncs
from tidegate.outbound.dues import ORDER
from tidegate.outbound.sources.location import has_secret
from tidegate.outbound.specs import Model, Sync
from tidegate.workflows.outbound.sources import checked

if TYPE_CHECKING:
    from tidegate.workflows.config.config_sections import Sections, SourceEntry
    from tidegate.workflows.config.config_steps import Applying

FILE = syncs.FILE
SECTIONS = ("syncs", "models", "sources")
"""In the order in which they are taken away: what names others first."""


def define(db: Connection, applying: "Applying") -> None:
    """Makes sources, models and syncs what the file says. Raises ConfigInvalid, with the line."""
    known = {section: {one["key"]: one for one in syncs.every(db, section)} for section in SECTIONS}
    for source in applying.sections.sources or ():
        with applying.at(source):
            _source(db, applying, source, known["sources"].get(source.key))
    for model in applying.sections.models or ():
        with applying.at(model):
            before = known["models"].get(model.key)
            if _noted(applying, "models", model.key, before and model_entry(before), model_entry(_row(model)), before):
                syncs.define_model(db, model, FILE)
    for sync in sorted(applying.sections.syncs or (), key=lambda one: ORDER.index(one.resource)):
        with applying.at(sync):
            connection = _connection(db, applying.sections, sync)
            before, now = known["syncs"].get(sync.key), _spec(sync, connection)
            alike = sharing.alike(db, sync, connection)
            if _noted(applying, "syncs", sync.key, before and _stored(before), now, before, alike=alike):
                syncs.define_sync(db, sync, connection, FILE)


def leave(db: Connection, applying: "Applying") -> None:
    """Removes what the file managed and names no longer, with `prune`; else lets it be changed elsewhere."""
    for section in SECTIONS:
        entries: Sequence[Any] | None = getattr(applying.sections, section)
        if entries is None:
            continue
        named = {one.key for one in entries}
        for row in syncs.every(db, section):
            if not row["managed_by"] or row["key"] in named:
                continue
            if applying.prune:
                with applying.pruning():
                    syncs.remove(db, section, row["key"], FILE)
            else:
                syncs.release(db, section, row["key"])
            applying.note("remove" if applying.prune else "release", section, row["key"])


def export(db: Connection, several: bool) -> dict[str, Any]:
    """The three sections as plain values. Raises ConfigInvalid for a source whose URL holds a password."""
    return {
        "sources": [_source_entry(db, one) for one in syncs.every(db, "sources")],
        "models": [model_entry(one) for one in syncs.every(db, "models")],
        "syncs": [_sync_entry(one, several) for one in syncs.every(db, "syncs")],
    }


def _source(db: Connection, applying: "Applying", entry: "SourceEntry", known: Mapping[str, Any] | None) -> None:
    variable = applying.sections.variable(entry, "url")
    if not variable and has_secret(entry.url):
        told = "the URL holds a secret; put it into the environment and say url: {env: NAME}."
        raise applying.sections.document.wrong((*applying.sections.of(entry), "url"), f"sources → {told}")
    url = f"${variable}" if variable else checked(entry.key, entry.url)
    before = known and {"url": known["url"]}
    if _noted(applying, "sources", entry.key, before, {"url": url}, known):
        syncs.define_source(db, entry.key, sealed=None, env=variable, shown=url, managed_by=FILE)


def _noted(
    applying: "Applying", section: str, key: str, before: Mapping[str, Any] | None, now: Mapping[str, Any],
    row: Mapping[str, Any] | None, alike: Sequence[str] = (),
) -> bool:  # fmt: skip
    """Whether something differs, with a step that tells what; `alike`: syncs that take the same objects for theirs."""
    more = {"alike": list(alike)} if alike else {}
    if before is None:
        applying.note("create", section, key, now=dict(now), **more)
        return True
    other = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    if not other:
        if row and row["managed_by"] == FILE:
            return False
        applying.note("manage", section, key)
        return True
    changed = {name: before.get(name) for name in other}
    applying.note("change", section, key, before=changed, now={name: now.get(name) for name in other}, **more)
    return True


def _connection(db: Connection, sections: "Sections", entry: Sync) -> str:
    try:
        return accounts.named(db, entry.connection).name
    except UsageError as error:
        told = str(error).replace("`--connection NAME`", "`connection: NAME`")
        raise sections.document.wrong(sections.of(entry), told) from error


def _row(model: Model) -> dict[str, Any]:
    return model.model_dump() | {"table_name": model.table}


def model_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """A model as an entry of the file."""
    entry: dict[str, Any] = {"key": row["key"], "source": row["source"]}
    entry |= {"sql": row["sql"]} if row["sql"] else {"table": row["table_name"]}
    keys = list(row["primary_key"])
    return entry | {"primary_key": keys[0] if len(keys) == 1 else keys}


def _spec(sync: Sync, connection: str) -> dict[str, Any]:
    """All that a sync says, but for what is as it is without being said."""
    return sync.model_dump(mode="json", exclude_defaults=True) | {"connection": connection}


def _stored(row: Mapping[str, Any]) -> dict[str, Any]:
    return _spec(specs.sync(row["spec"]), row["connection"])


def _sync_entry(row: Mapping[str, Any], several: bool) -> dict[str, Any]:
    spec = _stored(row)
    entry = {"key": spec.pop("key")} | spec
    return entry if several else {name: value for name, value in entry.items() if name != "connection"}


def _source_entry(db: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    if row["env"]:
        return {"key": row["key"], "url": {"env": row["env"]}}
    if syncs.source(db, row["key"]).url is not None:
        problem = (
            f"the source {row['key']} holds a secret, which no file may. Put its URL into a variable and say so: "
            f"`tidegate sources add {row['key']} --env NAME`."
        )
        raise ConfigInvalid(file="export", problem=problem)
    return {"key": row["key"], "url": row["url"]}
