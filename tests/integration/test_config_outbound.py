"""Sources, models and syncs in tidegate.yaml: applied, told with their lines, exported and read again the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tidegate.errors import ConfigInvalid, ManagedByFile
from tidegate.outbound import specs, syncs
from tidegate.store.engine import open_engine
from tidegate.workflows.config import config_file
from tidegate.workflows.config.config_export import export
from tidegate.workflows.config.config_sections import read
from tidegate.workflows.config.config_yaml import dump
from tidegate.workflows.outbound.sources import define
from tidegate.workflows.previewing import preview, settle

ENVIRONMENT = {"WAREHOUSE_URL": "postgresql://me:geheim@warehouse/db"}
FILE = """\
sources:
  - {key: warehouse, url: {env: WAREHOUSE_URL}}
  - {key: files, url: "duckdb:///data.duckdb"}
models:
  - {key: accounts, source: warehouse, sql: "select * from accounts", primary_key: id}
  - {key: lines, source: files, table: lines, primary_key: [account, month]}
syncs:
  - key: customers
    model: accounts
    resource: customers
    match: {email: email}
    fields:
      name: company
      email: email
      address: {line1: street, country: country_code}
      description: {template: "{{ company | upcase }}"}
      metadata: {tier: tier}
    delete: nothing
    stops: {updates: 50}
"""


@pytest.fixture
def engine(fresh_database_url: str) -> Iterator[Engine]:
    engine = open_engine(fresh_database_url)
    with engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.connections (name, account, livemode, rate, endpoint_rate, api_key)
values ('acme', 'acct_1', false, 0, 0, '\\x00')""")
        )
    yield engine
    engine.dispose()


def change(said: str, **more: Any) -> Any:
    return config_file.apply(read(said, "f.yaml", ENVIRONMENT), "ada", **more)


def apply(engine: Engine, said: str = FILE, **more: Any) -> list[tuple[str, str, str]]:
    return steps(settle(engine, change(said, **more), anyway=True))


def planned(engine: Engine, said: str, **more: Any) -> list[tuple[str, str, str]]:
    return steps(preview(engine, change(said, **more)))


def steps(found: Any) -> list[tuple[str, str, str]]:
    return [(step["action"], step["section"], step["subject"]) for step in found.result["steps"]]


def exported(engine: Engine) -> str:
    with engine.connect() as db:
        return dump(export(db))


def test_a_file_is_applied_and_exported_and_then_nothing_differs(engine: Engine) -> None:
    assert apply(engine) == [
        ("create", "sources", "warehouse"),
        ("create", "sources", "files"),
        ("create", "models", "accounts"),
        ("create", "models", "lines"),
        ("create", "syncs", "customers"),
    ]
    assert planned(engine, FILE) == []
    file = exported(engine)
    assert "geheim" not in file
    assert "{env: WAREHOUSE_URL}" in file
    assert planned(engine, file, prune=True) == []
    with engine.connect() as db:
        assert syncs.sync(db, "customers").stops.updates == 50
        assert db.scalar(text("select count(*) from tidegate.sources where url is not null")) == 0
    with engine.begin() as db:
        for table in ("syncs", "models", "sources"):
            for one in syncs.every(db, table):
                syncs.remove(db, table, one["key"], "file")
    apply(engine, file)
    assert exported(engine) == file


def test_what_the_file_manages_is_changed_there_only(engine: Engine) -> None:
    apply(engine)
    with pytest.raises(ManagedByFile), engine.begin() as db:
        syncs.define_model(db, specs.model({"key": "accounts", "source": "files", "table": "a", "primary_key": "id"}))
    with pytest.raises(ManagedByFile), engine.begin() as db:
        syncs.remove(db, "syncs", "customers")
    other = FILE.replace("tier: tier", "tier: level").replace("select * from accounts", "select * from customers")
    assert planned(engine, other) == [("change", "models", "accounts"), ("change", "syncs", "customers")]
    [_, step] = settle(engine, change(other), anyway=True).result["steps"]
    assert (step["before"]["fields"]["metadata"], step["now"]["fields"]["metadata"]) == (
        {"tier": "tier"},
        {"tier": "level"},
    )
    assert apply(engine, other) == []


def test_what_is_named_no_longer_is_released_or_pruned(engine: Engine) -> None:
    apply(engine)
    less = FILE[: FILE.index("syncs:")] + "syncs: []\n"
    assert planned(engine, less, prune=True) == [("remove", "syncs", "customers")]
    assert apply(engine, less) == [("release", "syncs", "customers")]
    assert planned(engine, less, prune=True) == []  # free since it was released
    apply(engine)
    nothing = "sources: []\nmodels: []\n"
    with pytest.raises(ConfigInvalid, match="The model accounts is named by the syncs customers"):
        apply(engine, nothing, prune=True)
    assert apply(engine, nothing + "syncs: []\n", prune=True) == [
        ("remove", "syncs", "customers"),
        ("remove", "models", "accounts"),
        ("remove", "models", "lines"),
        ("remove", "sources", "files"),
        ("remove", "sources", "warehouse"),
    ]


def test_what_was_made_elsewhere_is_taken_over(engine: Engine) -> None:
    with engine.begin() as db:
        define(db, "files", "duckdb:///data.duckdb", "", lambda: pytest.fail("nothing is to be sealed"))
    assert apply(engine)[1] == ("manage", "sources", "files")


WRONG = [
    ("url: {env: WAREHOUSE_URL}", "url: {env: NOWHERE}", "line 2: .*has no NOWHERE"),
    ("{env: WAREHOUSE_URL}", '"postgresql://me:x@y/z"', "line 2: .*the URL holds a secret"),
    ("duckdb:///data", "excel:///data", "line 3: .*there is no sort of source excel://"),
    ("source: warehouse", "source: warehous", "line 5: .*no source warehous. Is it warehouse?"),
    ("table: lines, ", "", "line 6: .*either `sql` or a `table`"),
    ("model: accounts", "model: acounts", "line 8: .*no model acounts"),
    ("resource: customers", "resource: custommers", "line 10: .*resource"),
    ("match: {email: email}", "match: {name: email}", "line 11: match: customers are matched by one of"),
    ("      name: company", "      nmae: company", "line 13: .*nmae"),
    ("line1: street", "line7: street", "line 15: .*line7"),
    ("company | upcase", "company | upcas", "line 16: .*no filter upcas; is it upcase"),
    ("delete: nothing", "delete: {how: remove, prorate: true}", "line 18: delete.prorate: it means nothing"),
    ("updates: 50", "updates: many", "line 19: "),
    ("delete: nothing", "deletes: nothing", "line 18: there is no key deletes. Did you mean delete?"),
]


@pytest.mark.parametrize(("said", "instead", "told"), WRONG)
def test_what_is_wrong_is_told_with_its_line(engine: Engine, said: str, instead: str, told: str) -> None:
    assert said in FILE
    with pytest.raises(ConfigInvalid, match=told):
        apply(engine, FILE.replace(said, instead, 1))
    with engine.connect() as db:
        assert syncs.every(db, "sources") == []


def test_everything_that_is_wrong_with_a_sync_is_told_at_once(engine: Engine) -> None:
    wrong = FILE.replace("      name: company", "      nmae: company").replace(
        "match: {email: email}", "match: {name: x}"
    )
    with pytest.raises(ConfigInvalid, match=r"line 11: match: .*; line 13: .*nmae"):
        apply(engine, wrong)


def test_an_export_refuses_secrets_in_the_clear(engine: Engine) -> None:
    class Sealing:
        def seal(self, secret: str) -> bytes:
            return secret[::-1].encode()

    with engine.begin() as db:
        define(db, "pg", ENVIRONMENT["WAREHOUSE_URL"], "", Sealing)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigInvalid, match="the source pg holds a secret") as refused:
        exported(engine)
    assert "geheim" not in str(refused.value)
    with engine.begin() as db:
        define(db, "pg", "", "WAREHOUSE_URL", Sealing)  # pyright: ignore[reportArgumentType]
    assert "{key: pg, url: {env: WAREHOUSE_URL}}" in exported(engine)


def test_syncs_that_match_by_the_same_metadata_key_are_told(engine: Engine) -> None:
    marked = FILE.replace("match: {email: email}", "match: {metadata: {id: id}}")
    [_, entry] = marked.split("syncs:\n")
    apply(engine, marked)
    other = marked + entry.replace("- key: customers", "- key: others")
    [step] = preview(engine, change(other)).result["steps"]
    assert (step["subject"], step["alike"]) == ("others", ["customers"])
    apart = marked + entry.replace("- key: customers", "- key: others").replace("{id: id}", "{other_id: id}")
    [step] = preview(engine, change(apart)).result["steps"]
    assert (step["subject"], "alike" in step) == ("others", False)
