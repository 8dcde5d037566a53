"""Every sort of source is read for real: types, what is refused, what is out of reach, what breaks in the middle."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow
import pytest
from sqlalchemy import Engine, text
from tests.support import databases

from tidegate.errors import ModelInvalid, ModelRowsInvalid, SourceUnreachable, TidegateError
from tidegate.outbound.sources import by_ibis, reading
from tidegate.outbound.specs import Model
from tidegate.outbound.staging import opened, told
from tidegate.outbound.standing import Known
from tidegate.store.engine import open_engine
from tidegate.workflows.outbound import source_reading

Rows = list[dict[str, Any]]
PEOPLE = [(1, "O'Brien", 12.5, True), (2, "Ünï 🎉", None, False), (3, None, 0.25, None)]


@dataclass
class Source:
    """A source with a table `people` (id, name, score, active); `other`: a change that somebody else makes."""

    url: str
    seen: Callable[[], int]

    def __call__(self, sql: str = "", table: str = "people") -> Rows:
        model = Model(key="m", source="s", sql=sql, table="" if sql else table, primary_key=("id",))
        with reading.reading(self.url, model) as rows:
            return rows.read_all().to_pylist()


@pytest.fixture(scope="module")
def warehouse_url(server_url: str) -> Iterator[str]:
    with databases.scratch(server_url, migrated=False) as url:
        yield url


def postgres_source(url: str) -> Source:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("""
drop table if exists people; create table people (id int primary key, name text, score float8, active bool);
create sequence if not exists counter""")
        db.cursor().executemany("insert into people values (%s, %s, %s, %s)", PEOPLE)

    def seen() -> int:
        with psycopg.connect(url) as db:
            [found] = db.execute("select count(*) from people")
            return found[0]

    return Source(url, seen)


def duckdb_source(folder: Path) -> Source:
    path = folder / "ware house's.duckdb"
    with duckdb.connect(path) as db:
        db.execute("create table people (id int, name text, score double, active bool); create sequence counter")
        db.executemany("insert into people values (?, ?, ?, ?)", PEOPLE)

    def seen() -> int:
        with duckdb.connect(path, read_only=True) as db:
            return db.execute("select count(*) from people").fetchall()[0][0]

    return Source(f"duckdb://{path}".replace(" ", "%20"), seen)


def sqlite_source(folder: Path) -> Source:
    path = folder / "ware house's.db"
    with sqlite3.connect(path) as db:
        db.execute("create table people (id integer, name text, score real, active integer)")
        db.executemany("insert into people values (?, ?, ?, ?)", PEOPLE)
    db.close()

    def seen() -> int:
        db = sqlite3.connect(path)
        try:
            return db.execute("select count(*) from people").fetchone()[0]
        finally:
            db.close()

    return Source(f"sqlite://{path}", seen)


def files_source(folder: Path, ending: str) -> Source:
    form = "json" if ending == "ndjson" else ending
    files = folder / "it's files"
    files.mkdir()
    with duckdb.connect() as db:
        db.execute("create table people (id int, name text, score double, active bool)")
        db.executemany("insert into people values (?, ?, ?, ?)", PEOPLE)
        where = str(files / f"people.{ending}").replace("'", "''")
        db.execute(f"copy people to '{where}' (format {form}{', header' if form == 'csv' else ''})")
    (files / "broken.parquet").write_text("this is none")
    return Source(f"file://{files}", lambda: len(list(files.iterdir())) + 1)


SORTS = ("postgres", "duckdb", "sqlite", "parquet", "csv", "ndjson")


@pytest.fixture(params=SORTS)
def source(request: pytest.FixtureRequest, warehouse_url: str, tmp_path: Path) -> Source:
    match request.param:
        case "postgres":
            return postgres_source(warehouse_url)
        case "duckdb":
            return duckdb_source(tmp_path)
        case "sqlite":
            return sqlite_source(tmp_path)
        case ending:
            return files_source(tmp_path, ending)


def test_a_table_and_a_query_are_read(source: Source) -> None:
    assert [(r["id"], r["name"], r["score"], r["active"] if r["active"] is None else bool(r["active"]))
            for r in sorted(source(), key=lambda row: row["id"])] == PEOPLE  # fmt: skip
    assert source("select id, upper(name) as name from people where id = 1; -- the first\n".partition(";")[0]) == [
        {"id": 1, "name": "O'BRIEN"}
    ]
    assert source("select id from people where id > 1 order by id -- no more\n;") == [{"id": 2}, {"id": 3}]
    assert source("with one as (select * from people where id < 0) select id from one") == []


WRITES = [
    "insert into people values (9, 'x', 1, true)",
    "delete from people",
    "update people set name = 'x'",
    "drop table people",
    "create table more (id int)",
    "create table more as select * from people",
    "select 1 as id; delete from people",
    "select 1 as id; commit; delete from people",
    "commit; delete from people; select 1 as id",
    "with gone as (delete from people returning id) select id from gone",
    "copy people to '{folder}/out.csv'",
    "attach '{folder}/out.db' as more",
    "select * into more from people",
    "vacuum",
    "set search_path = public",
    "",
]


@pytest.mark.parametrize("sql", WRITES)
def test_a_model_that_writes_is_refused(source: Source, sql: str, tmp_path: Path) -> None:
    before = {one.name for one in tmp_path.iterdir()}
    with pytest.raises(ModelInvalid):
        source(sql.format(folder=tmp_path) or " ")
    assert source.seen() == 3
    assert {one.name for one in tmp_path.iterdir()} == before


POSTGRES_EFFECTS = [
    "select nextval('counter') as id",
    "select set_config('transaction_read_only', 'off', false) as id, nextval('counter')",
    "select set_config('transaction_read_only', 'off', true) as id from people for update",
    "select * from people for update",
]


@pytest.mark.parametrize("sql", POSTGRES_EFFECTS)
def test_functions_that_write_are_refused_by_postgres(warehouse_url: str, sql: str) -> None:
    source = postgres_source(warehouse_url)
    with pytest.raises(ModelInvalid, match=r"read-only|read-write"):
        source(sql)


def test_a_large_object_is_refused_or_rolled_back(warehouse_url: str) -> None:
    """PostgreSQL lets a transaction that reads make one until version 16."""
    with suppress(ModelInvalid):
        postgres_source(warehouse_url)("select lo_create(0)::int as id")
    with psycopg.connect(warehouse_url) as db:
        assert db.execute("select count(*) from pg_largeobject_metadata").fetchone() == (0,)


def test_nothing_beside_the_files_is_read(tmp_path: Path) -> None:
    for source in (files_source(tmp_path, "csv"), duckdb_source(tmp_path)):
        for elsewhere in ("/etc/passwd", str(tmp_path / "it's files/../secret.csv").replace("'", "''")):
            with pytest.raises(ModelInvalid, match="Permission"):
                source(f"select 1 as id from read_csv('{elsewhere}') people")


def test_what_is_wrong_with_a_query_is_told(source: Source) -> None:
    for sql, said in [("select id, nme from people", "nme"), ("select id from poeple", "poeple"), ("selct", "m")]:
        with pytest.raises(ModelInvalid, match=said):
            source(sql)
    with pytest.raises(ModelInvalid, match="several columns are called id"):
        source("select id, name as id from people")
    with pytest.raises(ModelInvalid, match="no column can be called _key"):
        source("select id, name as _key from people")
    with pytest.raises(ModelInvalid, match="elsewhere"):
        source(table="elsewhere")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://nobody:geheim@127.0.0.1:1/none",
        "duckdb:///nowhere/at/all.duckdb",
        "duckdb://",
        "sqlite:///nowhere/at/all.db",
        "file:///nowhere/at/all",
        "elasticsearch://host/x",
        "mysql://nobody:geheim@127.0.0.1:1/none",
    ],
)
def test_a_source_out_of_reach_is_told_without_its_password(url: str) -> None:
    with pytest.raises(SourceUnreachable, match="The source s cannot be read: ") as refused:
        Source(url, lambda: 0)("select 1 as id")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("kind", ["duckdb", "sqlite", "file"])
def test_a_file_that_is_something_else_is_out_of_reach(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("people.parquet" if kind == "file" else "data.bin")
    path.write_text("something else entirely, and long enough to be read as a page of a file\n" * 100)
    with pytest.raises(SourceUnreachable):
        Source(f"{kind}://{path}", lambda: 0)("select * from people")


POSTGRES_TYPES = """
select 1 as id, 12.50::numeric(10, 2) as price, 0.1 + 0.2 as total, 12345678901234567890 as big,
  '2026-03-31 12:00+02'::timestamptz as at, '2026-03-31 12:00'::timestamp as plain, '2026-03-31'::date as day,
  true as yes, '{"a": [1, true, "x"]}'::jsonb as doc, '"text"'::json as json_text, 'true'::jsonb as json_yes,
  array['a', 'b'] as tags, array[1, 2] as numbers, '7f3c4d52-0d1f-4f43-9b26-5f6d9a3c2b10'::uuid as uuid,
  null::text as nothing, interval '1 day' as span, 'x'::bpchar as padded, 3::int2 as small, 1.5::float4 as float"""


def test_postgres_types_arrive_exactly(warehouse_url: str) -> None:
    [row] = postgres_source(warehouse_url)(POSTGRES_TYPES)
    assert row == {
        "id": 1,
        "price": Decimal("12.50"),
        "total": Decimal("0.3"),
        "big": Decimal("12345678901234567890"),
        "at": datetime(2026, 3, 31, 10, tzinfo=UTC),
        "plain": datetime(2026, 3, 31, 12),  # noqa: DTZ001
        "day": date(2026, 3, 31),
        "yes": True,
        "doc": '{"a": [1, true, "x"]}',
        "json_text": "text",
        "json_yes": "true",
        "tags": '["a", "b"]',
        "numbers": "[1, 2]",
        "uuid": "7f3c4d52-0d1f-4f43-9b26-5f6d9a3c2b10",
        "nothing": None,
        "span": "1 day, 0:00:00",
        "padded": "x",
        "small": 3,
        "float": 1.5,
    }


def staged_rows(url: str, sql: str, names: list[str]) -> list[dict[str, Any]]:
    """A model's rows as a plan looks at them, by the order of their keys."""
    model = Model(key="m", source="s", sql=sql, primary_key=("id",))
    nobody = pyarrow.schema([("key", pyarrow.string()), ("hash", pyarrow.int64())]).empty_table()
    with opened() as staged:
        with reading.reading(url, model) as rows:
            staged.read("m", rows, ["id"], names, "1")
        staged.stand(Known(nobody, nobody, lambda _: nobody))
        staged.pair("", folds=False)
        return [row for batch in staged.batches() for row in told(batch)]


def test_a_number_that_fits_no_column_is_wrong_in_its_row_alone(warehouse_url: str) -> None:
    sql = """
select * from (values ('1', 'NaN'::numeric, 'NaN'::numeric(6, 2)), ('2', 1e-20, 9999.99), ('3', 1e30, -9999.99),
  ('4', '-Infinity', null), ('5', -12345678901234567890123456.123456789012, 0), ('6', null, 1)) t(id, rate, price)"""
    [one, two, three, four, five, six] = staged_rows(warehouse_url, sql, ["rate", "price"])
    assert [sorted(row["_wrong"]) for row in (one, two, three, four, five, six)] == [
        ["price", "rate"], ["rate"], ["rate"], ["rate"], [], [],
    ]  # fmt: skip
    assert one["_wrong"]["rate"] == (
        "it is NaN, infinite, or has more than 26 digits before the point or 12 after it: "
        "round it, or cast the column to text"
    )
    assert (one["rate"], one["price"], two["price"]) == (None, None, Decimal("9999.99"))
    assert (five["rate"], six["rate"]) == (Decimal("-12345678901234567890123456.123456789012"), None)
    source = postgres_source(warehouse_url)
    assert source("select 1 as id, 1e-20::numeric(38, 20) as rate") == [{"id": 1, "rate": Decimal("1e-20")}]


def test_a_key_that_is_no_number_refuses_the_model(warehouse_url: str) -> None:
    with pytest.raises(ModelInvalid, match=r"the column id has the value NaN, .* cast it, such as id::text"):
        postgres_source(warehouse_url)("select 'NaN'::numeric as id")


def test_times_without_end_in_postgres_are_wrong_in_their_rows_alone(warehouse_url: str) -> None:
    sql = """
select * from (values ('1', 'infinity'::date, 'infinity'::timestamp, '-infinity'::timestamptz),
  ('2', '2026-01-31', '2026-01-31 23:30', '2026-01-31 23:30+01'), ('3', '12000-01-01', null, '0044-03-15 BC')
) t(id, day, moment, instant)"""
    names = ["day", "moment", "instant"]
    [one, two, three] = staged_rows(warehouse_url, sql, names)
    assert [sorted(row["_wrong"]) for row in (one, two, three)] == [sorted(names), [], ["day", "instant"]]
    assert set(one["_wrong"].values()) == {"it is infinite, or beyond the years 1 to 9999"}
    assert [str(two[name]) for name in names] == ["2026-01-31", "2026-01-31 23:30:00", "2026-01-31 22:30:00+00:00"]
    assert three["moment"] is None


def test_duckdb_types_arrive_exactly(tmp_path: Path) -> None:
    [row] = duckdb_source(tmp_path)("""
select 1 as id, 12.50::decimal(10, 2) as price, timestamptz '2026-03-31 12:00+02' as at, date '2026-03-31' as day,
  ['a', 'b'] as tags, {'a': 1} as doc, 'x'::enum('x', 'y') as kind, 10::hugeint as big, null as nothing""")
    assert row["at"] == datetime(2026, 3, 31, 10, tzinfo=UTC)
    assert {name: row[name] for name in ("price", "day", "tags", "doc", "kind", "nothing")} == {
        "price": Decimal("12.50"),
        "day": date(2026, 3, 31),
        "tags": ["a", "b"],
        "doc": {"a": 1},
        "kind": "x",
        "nothing": None,
    }


def test_sqlite_columns_are_what_they_hold(tmp_path: Path) -> None:
    [*rows] = sqlite_source(tmp_path)("""
select 1 as id, 1 as whole, 1.5 as mixed, 'a' as some, x'00ff' as raw, null as none
union all select 2, 2, 2, 3, null, null""")
    assert rows == [
        {"id": 1, "whole": 1, "mixed": 1.5, "some": "a", "raw": b"\x00\xff", "none": None},
        {"id": 2, "whole": 2, "mixed": 2.0, "some": "3", "raw": None, "none": None},
    ]


BREAKS = {
    "postgres": "select g as id, 1 / (20000 - g) as x from generate_series(1, 30000) g",
    "duckdb": "select i as id, case when i = 25000 then error('broken off') end as x from range(30000) t(i)",
    "sqlite": """
with recursive g(i) as (select 1 union all select i + 1 from g where i < 30000)
select i as id, case when i = 25000 then abs(-9223372036854775807 - 1) end as x from g""",
}


@pytest.mark.parametrize("sort", BREAKS)
def test_what_breaks_in_the_middle_is_told_and_leaves_nothing(sort: str, warehouse_url: str, tmp_path: Path) -> None:
    source = {
        "postgres": lambda: postgres_source(warehouse_url),
        "duckdb": lambda: duckdb_source(tmp_path),
        "sqlite": lambda: sqlite_source(tmp_path),
    }[sort]()
    model = Model(key="m", source="s", sql=BREAKS[sort], primary_key=("id",))
    with (
        pytest.raises(TidegateError, match=r"division by zero|broken off|integer overflow") as refused,
        opened() as staged,
        reading.reading(source.url, model) as rows,
    ):
        staged.read("m", rows, ["id"], ["x"], "1")
    assert isinstance(refused.value, ModelInvalid | SourceUnreachable)


def test_a_server_that_goes_away_in_the_middle_is_told(warehouse_url: str) -> None:
    source = postgres_source(warehouse_url)
    model = Model(key="m", source="s", sql="select g as id from generate_series(1, 3000000) g", primary_key=("id",))

    def read() -> None:
        with opened() as staged, reading.reading(source.url, model) as rows:
            first = rows.read_next_batch()
            assert first.num_rows == 10_000
            with psycopg.connect(warehouse_url) as db:
                db.execute("""
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and query like '%tidegate_model%' and pid <> pg_backend_pid()""")
            staged.read("m", rows, ["id"], [], "1")

    with pytest.raises(SourceUnreachable, match="The source s cannot be read: "):
        read()


def test_the_consumers_own_errors_stay_what_they_are(source: Source) -> None:
    model = Model(key="m", source="s", sql="select 1 as id union all select 1", primary_key=("id",))
    with (
        pytest.raises(ModelRowsInvalid, match=r"id is not unique: 1 \(2 times\)"),
        opened() as staged,
        reading.reading(source.url, model) as rows,
    ):
        staged.read("m", rows, ["id"], [], "1")


def test_a_reader_that_stops_early_leaves_the_source_well(source: Source) -> None:
    model = Model(key="m", source="s", table="people", primary_key=("id",))
    counted: list[int] = []
    with reading.reading(source.url, model, progress=counted.append) as rows:
        rows.read_next_batch()
    with reading.reading(source.url, model, progress=counted.append) as rows:
        rows.read_all()
    assert counted[-1] == 3
    assert source.seen() == 3


def test_two_readers_of_one_duckdb_file(tmp_path: Path) -> None:
    source = duckdb_source(tmp_path)
    model = Model(key="m", source="s", table="people", primary_key=("id",))
    with reading.reading(source.url, model) as one, reading.reading(source.url, model) as other:
        assert one.read_all().num_rows == other.read_all().num_rows == 3


def test_rows_come_by_batches_and_never_the_whole(warehouse_url: str, tmp_path: Path) -> None:
    wide = "select g as id, repeat(md5(g::text), 40) as x from generate_series(1, 200000) g"
    model = Model(key="m", source="s", sql=wide, primary_key=("id",))
    before = pyarrow.total_allocated_bytes()
    with reading.reading(postgres_source(warehouse_url).url, model) as rows:
        most = 0
        for batch in rows:
            most = max(most, batch.num_rows)
            assert pyarrow.total_allocated_bytes() - before < 80_000_000  # of 256 MB
    assert most == 10_000


def test_files_that_are_one_table_twice(tmp_path: Path) -> None:
    source = files_source(tmp_path, "csv")
    with duckdb.connect() as db:
        db.execute(f"copy (select 1 as id) to '{tmp_path / 'other.parquet'!s}'")
    (tmp_path / "it's files/people.json").write_text("[]")
    with pytest.raises(ModelInvalid, match=r"people.csv and people.json are both the table people"):
        source()


def test_what_a_csv_says_stays_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(
        "id,zip,phone,long,price,when,day,us,odd's,share\n"
        "1,01234,+4915112345,12345678901234567890,49.90,2026-03-31T12:00:00Z,2026-03-31,03/04/2026,007,0.5\n"
        "2,99999,,98765432109876543210,5,2026-04-01T12:00:00Z,2026-04-01,12/04/2026,8,0.25\n"
    )
    [row, _] = Source(f"file://{tmp_path}", lambda: 0)("select * from people order by id")
    assert row == {
        "id": 1,
        "zip": "01234",
        "phone": "+4915112345",
        "long": Decimal("12345678901234567890"),
        "price": 49.9,
        "when": datetime(2026, 3, 31, 12, tzinfo=UTC),
        "day": date(2026, 3, 31),
        "us": "03/04/2026",
        "odd's": "007",
        "share": 0.5,
    }


@pytest.mark.filterwarnings("ignore:The 'future.infer_string'")  # of Ibis, about pandas
def test_the_other_warehouses_are_read_by_ibis_and_only_by_queries(tmp_path: Path) -> None:
    """SQLite through Ibis stands in for the servers that the extras reach; what is refused never gets there."""
    source = sqlite_source(tmp_path)
    model = Model(key="m", source="s", table="people", primary_key=("id",))
    with by_ibis.reading(source.url, model, 'select * from "people" -- all') as rows:
        assert [(row["id"], row["name"]) for row in rows.read_all().to_pylist()] == [one[:2] for one in PEOPLE]
    with pytest.raises(ModelInvalid, match="nme"), by_ibis.reading(source.url, model, "select nme from people"):
        pass
    for sql in WRITES:
        if not sql.startswith(("set ", "vacuum", "attach")):
            with pytest.raises(ModelInvalid):
                by_ibis.refuse_writes(model, sql, "mysql")
    for dialect in (*by_ibis.EXTRAS, "duckdb"):
        for sql in ("insert into people values (1)", "drop table people", "select 1; drop table people", "call x()"):
            with pytest.raises(ModelInvalid):
                by_ibis.refuse_writes(model, sql, dialect)
        by_ibis.refuse_writes(model, "with a as (select 1 as id) select * from a union all select 2", dialect)


@pytest.fixture
def store(fresh_database_url: str) -> Iterator[Engine]:
    engine = open_engine(fresh_database_url)
    yield engine
    engine.dispose()


def test_the_hubs_own_tables_are_a_source_without_its_secrets(store: Engine) -> None:
    with store.begin() as db:
        db.exec_driver_sql("""
insert into tidegate.tokens (name, digest, scopes) values ('monitoring', '\\x00', '{read}');
insert into tidegate.sources (key, url, shown) values ('w', '\\x00', 'postgresql://w')""")

    def read(sql: str) -> Rows:
        model = Model(key="m", source="hub", sql=sql, primary_key=("id",))
        with source_reading.rows(store, "tidegate://", model) as rows:
            return rows.read_all().to_pylist()

    assert read("select id, name from tokens") == [{"id": 1, "name": "monitoring"}]
    assert read("select key as id, shown from sources") == [{"id": "w", "shown": "postgresql://w"}]
    assert read("select id, data from customers") == []
    assert read("select * from contact_facts as c(id)") == []
    for sql in ("select * from tokens", "select key as id, url from sources", "select api_key as id from connections"):
        with pytest.raises(ModelInvalid, match="permission denied"):
            read(sql)
    for sql in (
        "delete from tokens",
        "select 1 as id; commit; delete from tokens",
        "select nextval('runs_id_seq') as id",
    ):
        with pytest.raises(ModelInvalid):
            read(sql)
    with store.connect() as db:
        logins = text("select count(*) from pg_roles where starts_with(rolname, 'tidegate_sql_')")
        assert db.scalar(logins) == 0
