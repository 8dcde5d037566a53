"""Holds a model's rows against what was sent of them, in DuckDB: which are new, other, gone, or to be tried again."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from tidegate.errors import ModelRowsInvalid
from tidegate.outbound import taking
from tidegate.outbound.cells import cells
from tidegate.outbound.quoting import literal, quoted
from tidegate.outbound.sources.batches import UTC
from tidegate.outbound.standing import Known
from tidegate.outbound.taking import KeyProblems

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1GB"
BATCH = 1_000
"""Rows that are decided about at once, while the database is asked about as many."""


class Counts(NamedTuple):
    """Rows of the model and of the state, by what became of them."""

    rows: int
    known: int
    new: int
    changed: int
    again: int
    gone: int
    unchanged: int


@dataclass(slots=True)
class Staging:
    """A model's rows and the state of a sync, side by side."""

    db: "DuckDBPyConnection"

    def read(self, model: str, rows: Any, primary_key: Sequence[str], columns: Sequence[str], version: str) -> None:
        """Takes the model's rows in (a pyarrow.RecordBatchReader): of them the key and these columns, with a hash of
        what each says, its key with it: so the hashes alone tell which rows stayed the same.

        `version`: a fingerprint of how rows are sent, so that another way makes every row differ. Raises ModelInvalid
        for a column that it lacks, and ModelRowsInvalid for keys that are null or not unique.
        """
        found = taking.take(self.db, model, rows, primary_key, columns, version)
        if found.problems:
            raise ModelRowsInvalid(model=model, problem=found.problems[0])

    def counted(self) -> int:
        """How many rows were read."""
        [(count,)] = self.db.execute("select count(*) from model").fetchall()
        return int(count)

    def key_problems(self, model: str, rows: Any, primary_key: Sequence[str]) -> KeyProblems:
        """How many rows there are, and which keys are null or not unique. Raises ModelInvalid as `read` does."""
        return taking.take(self.db, model, rows, primary_key)

    def stand(self, known: Known) -> None:
        """Takes the state in and holds the rows against it, by their hashes; keys are read of those that differ, and
        not carried through the join: that of a million rows would take more than twice as long.
        """
        self.db.execute("create table noted (resource varchar, way varchar, name varchar, value varchar, ids varchar)")
        self._take_state(known)
        self.db.execute("""
create table apart as
select m.rowid as place, m."_hash" as hash, s.hash as lost from model m full join state s on s.hash = m."_hash"
where m."_hash" is null or s.hash is null""")
        lost = self.db.execute("select lost from apart where lost is not null").fetchall()
        self.db.register("told", known.named([one for (one,) in lost]))
        self.db.execute("""
create table differing as
select coalesce(f.key, l.key) as key, f.hash,
  case when l.key is null then 'new' when f.key is null then 'gone' else 'changed' end as what
from (select "_key" as key, "_hash" as hash from model where rowid in (select place from apart)) f
full join (select key from told where hash in (select lost from apart where lost is not null)) l on l.key = f.key""")
        self.db.unregister("told")
        self._add("select key from open")

    def _take_state(self, known: Known) -> None:
        self.db.register("known_open", known.open)
        self.db.register("known", known.hashes)
        self.db.execute("create table open as select key from known_open; create table state as select hash from known")
        self.db.unregister("known_open")
        self.db.unregister("known")

    def _add(self, keys: str) -> None:
        """Adds rows of the model by their keys (a query of `key`) that are looked at though they stayed the same."""
        self.db.execute(f"""
insert into differing
select "_key", "_hash", 'again' from model
where "_key" in (select key from ({keys})) and "_key" not in (select key from differing)""")

    def touch(self, keys: Sequence[str]) -> None:
        """Adds rows that are looked at though they stayed the same: their objects changed in Stripe."""
        import pyarrow

        self.db.register("touched", pyarrow.table({"key": pyarrow.array(keys, pyarrow.string())}))
        self._add("select key from touched")
        self.db.unregister("touched")

    def lacking(self, keys: Sequence[str]) -> list[str]:
        """Those of these keys that the model has no row of."""
        if not keys:
            return []
        found = self.db.execute(
            """
select key from (select unnest(cast(? as varchar[])) as key) where key not in (select "_key" from model) order by 1""",
            [list(keys)],
        )
        return [key for (key,) in found.fetchall()]

    def touch_naming(self, column: str, is_meant: Callable[[Any], bool]) -> None:
        """Adds rows of the model that say in a column what is meant."""
        rows = self.db.cursor().sql(f'select "_key", {quoted(column)} from model').to_arrow_reader(100_000)
        for keys, values in (batch.columns for batch in rows):
            said = zip(keys.to_pylist(), cells(values).values, strict=True)
            self.touch([key for key, value in said if is_meant(value)])

    def touch_saying(self, keys: Sequence[str], column: str, values: Sequence[str], *, folds: bool) -> None:
        """Adds those of these rows that say one of these in a column; `folds`: in lower case."""
        import pyarrow

        self.db.register("saying", pyarrow.table({"said": pyarrow.array(values, pyarrow.string())}))
        self.db.register("asked_keys", pyarrow.table({"key": pyarrow.array(keys, pyarrow.string())}))
        said = f"trim({quoted(column)}::varchar)"
        self._add(f"""select "_key" as key from model
where {f"lower({said})" if folds else said} in (select said from saying)
  and "_key" in (select key from asked_keys)""")
        self.db.unregister("saying")
        self.db.unregister("asked_keys")

    def note(self, named: Sequence[tuple[Any, Sequence[str]]]) -> None:
        """Keeps what rows name (`field_map.fill.Sought`) and the ids that it stands for, beside the rows."""
        import pyarrow

        if not named:
            return
        columns = {part: [getattr(one, part) for one, _ in named] for part in ("resource", "way", "name", "value")}
        self.db.register("naming", pyarrow.table(columns | {"ids": [",".join(ids) for _, ids in named]}))
        self.db.execute("insert into noted by name select * from naming")
        self.db.unregister("naming")

    def noted(self, batch: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """What `note` kept, each once, by batches: (resource, way, name, value, ids joined by commas)."""
        found = self.db.cursor().execute("select distinct * from noted")
        while some := found.fetchmany(batch):
            yield some

    def touch_all(self) -> None:
        """Adds every row of the model: a full resync."""
        self._add('select "_key" as key from model')

    def leave(self, rows: Sequence[tuple[str, int]]) -> None:
        """Adds rows (key and hash) that left the model before, where it has them no more: they are looked at again."""
        import pyarrow

        keys, hashes = ([one[place] for one in rows] for place in (0, 1))
        told = {"key": pyarrow.array(keys, pyarrow.string()), "hash": pyarrow.array(hashes, pyarrow.int64())}
        self.db.register("left_before", pyarrow.table(told))
        self.db.execute("""
insert into differing select key, null, 'gone' from left_before where key not in (select "_key" from model);
insert into state select hash from left_before where key not in (select "_key" from model)""")
        self.db.unregister("left_before")

    def departed(self, keys: Collection[str]) -> set[str]:
        """Those of these keys that the model has no more."""
        found = self.db.execute(
            "select key from differing where what = 'gone' and key in (select unnest(?))", [list(keys)]
        )
        return {key for (key,) in found.fetchall()} if keys else set()

    def counts(self) -> Counts:
        """How many rows there are of each sort."""
        [(rows,)] = self.db.execute("select count(*) from model").fetchall()
        [(known,)] = self.db.execute("select count(*) from state").fetchall()
        found = dict(self.db.execute("select what, count(*) from differing group by 1").fetchall())
        new, changed, again, gone = (found.get(name, 0) for name in ("new", "changed", "again", "gone"))
        return Counts(rows, known, new, changed, again, gone, rows - new - changed - again)

    def gone(self) -> list[str]:
        """The keys that the model no longer has, in their order."""
        return [
            key for (key,) in self.db.execute("select key from differing where what = 'gone' order by 1").fetchall()
        ]

    def pair(self, column: str, *, folds: bool) -> None:
        """Finds the rows that were not sent yet and say the same in a column (empty: in none) as others of the model;
        `folds`: whatever the case.
        """
        if not column:
            self.db.execute("create or replace table twins (key varchar, keys varchar[])")
            return
        name = f"trim({quoted(column)}::varchar)"
        said = f"lower({name})" if folds else name
        self.db.execute(f"""
create or replace temp table named as
select d.key, {said} as said from differing d join model m on m."_key" = d.key
where (d.what = 'new' or d.key in (select key from open)) and {name} <> ''""")
        [(any_,)] = self.db.execute("select count(*) > 0 from named").fetchall()
        self.db.execute(f"""
create or replace table twins as
with shared as (
  select {said} as said, list("_key" order by "_key") as keys from model
  where {any_} and {said} in (select said from named) group by 1 having count(*) > 1)
select key, keys from named join shared using (said)""")

    def batches(self, limit: int | None = None, keys: Sequence[str] | None = None) -> Iterator[Any]:
        """The differing rows of the model in the order of keys, as pyarrow.RecordBatches of up to `BATCH` (`told` makes
        rows of them). `limit`: only so many; `keys`: only these.
        """
        wanted = "true" if keys is None else f"d.key in ({', '.join(literal(key) for key in keys) or 'null'})"
        found = self.db.cursor().sql(f"""
select m.* exclude ("_null"), d.what as "_what", t.keys as "_twins"
from differing d join model m on m."_key" = d.key left join twins t on t.key = d.key where d.what <> 'gone' and {wanted}
order by d.key {f"limit {limit}" if limit is not None else ""}""")
        yield from found.to_arrow_reader(BATCH)

    def rows_of(self, keys: Collection[str]) -> list[dict[str, Any]]:
        """The model's rows of these keys, as `told` makes them, but for their twins."""
        if not keys:
            return []
        wanted = ", ".join(literal(key) for key in sorted(keys))
        found = self.db.cursor().sql(f"""
select m.* exclude ("_null") from model m where "_key" in ({wanted})""")
        return [row for batch in found.to_arrow_reader(BATCH) for row in told(batch)]

    def keep_gone(self, file: Path) -> None:
        """Writes the keys that the model no longer has to a Parquet file, for other processes (`gone_of`)."""
        gone = "select key from differing where what = 'gone'"
        self.db.execute(f"copy ({gone}) to {literal(str(file))} (format parquet)")


def told(batch: Any) -> list[dict[str, Any]]:
    """The rows of a batch of `Staging.batches`: {_key, _hash, _what, _twins, _wrong, columns…}.

    `_wrong`: what is wrong with values that cannot be told, and are None here, by their columns. `_twins`: the keys
    of the rows that `pair` found to be the same, its own among them, or None.
    """
    names = [*batch.schema.names, "_wrong"]
    columns = [cells(column) for column in batch.columns]
    wrong: list[dict[str, str]] = [{} for _ in range(batch.num_rows)]
    values = zip(*(column.values for column in columns), wrong, strict=True)
    rows = [dict(zip(names, row, strict=True)) for row in values]
    for name, column in zip(batch.schema.names, columns, strict=True):
        for place, problem in column.wrong.items():
            wrong[place][name] = problem
    return rows


def gone_of(file: Path, keys: Collection[str]) -> set[str]:
    """Those of these keys that `Staging.keep_gone` wrote to a file."""
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet

    if not keys:
        return set()
    compute: Any = pyarrow.compute
    column = pyarrow.parquet.read_table(file).column("key")
    meant = compute.is_in(column, value_set=pyarrow.array(list(keys), pyarrow.string()))
    return set(column.filter(meant).to_pylist())


@contextmanager
def opened() -> Generator[Staging]:
    """A staging area of its own, which keeps what does not fit into memory in a temporary folder."""
    import duckdb

    with (
        TemporaryDirectory(prefix="tidegate-plan-") as folder,
        duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": folder}) as db,
    ):
        db.execute(UTC)
        yield Staging(db)
