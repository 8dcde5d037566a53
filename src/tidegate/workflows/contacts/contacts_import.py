"""Takes contacts from a list of yours: checked whole first, then written by batches, or tried and taken back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import changes, csv_rows, linking, recording
from tidegate.contacts.csv_rows import Line
from tidegate.contacts.match import Kind
from tidegate.contacts.recording import Recorded
from tidegate.contacts.records import Record
from tidegate.errors import ContactFileInvalid
from tidegate.workflows.contacts.contacts_edit import follow_up
from tidegate.workflows.previewing import tried
from tidegate.workflows.refresh import refresh_all

BATCH = 500
TOLD = 100
"""Problems of a file that are told; all are counted."""

Opens = Callable[[], AbstractContextManager[Iterable[str]]]
"""Opens the file's lines; it is read twice."""
Progress = Callable[[str, int, int | None], None]


@dataclass(slots=True)
class Imported:
    """What an import did, or with `dry_run` would do: lines read, contacts created and updated, customers linked by
    billing id, memberships; `matched`: customers that matching then linked.
    """

    lines: int = 0
    created: int = 0
    updated: int = 0
    linked: int = 0
    joined: int = 0
    matched: int = 0
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """As the API and `--json` answer it."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return told | {"unchanged": self.lines - self.created - self.updated, "changed": self.changed}

    @property
    def changed(self) -> bool:
        """Whether it wrote anything, or would."""
        return any((self.created, self.updated, self.linked, self.joined, self.matched))

    def add(self, done: Recorded) -> None:
        """Adds what one batch did."""
        self.created += done.created
        self.updated += len(done.updated)
        self.linked += len(done.linked)


@dataclass(slots=True)
class Checked:
    """What was found wrong with a file, by line, and how many contacts it has."""

    lines: int = 0
    count: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    ids: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    keys: dict[int, int] = field(default_factory=dict[int, int])
    customers: dict[str, int] = field(default_factory=dict[str, int])
    accounts: dict[str, int] = field(default_factory=dict[str, int])

    def wrong(self, line: int, problem: str) -> None:
        """Notes a problem; the first hundred are kept in words."""
        self.count += 1
        if len(self.problems) < TOLD:
            self.problems.append((line, problem))

    def told(self) -> str:
        """The problems in words, by line."""
        return "; ".join(f"line {line}: {problem}" for line, problem in sorted(self.problems))


def import_contacts(
    engine: Engine,
    livemode: bool,
    account: Account | None,
    opens: Opens,
    by: str,
    *,
    name: str = "the file",
    kind: Kind = "account",
    dry_run: bool = False,
    progress: Progress = lambda _step, _done, _total: None,
) -> Imported:
    """Takes a CSV file of contacts (`csv_rows`). `account`: the connection of its billing ids. Its lines are taken as
    often as you like: what is there already is not made again.

    Raises ContactFileInvalid, with the lines and before anything is written.
    """
    checked = check(engine, livemode, account, opens, kind, progress)
    if checked.count:
        raise ContactFileInvalid(file=name, count=checked.count, problems=checked.told())
    if dry_run:

        def trying(db: Connection) -> Imported:
            would = Imported(lines=checked.lines, dry_run=True)
            _write(lambda: nullcontext(db), livemode, account, opens, by, kind, would, progress)
            would.matched += _match_all(db, livemode)
            return would

        return tried(engine, trying)
    done = Imported(lines=checked.lines)
    _write(engine.begin, livemode, account, opens, by, kind, done, progress)
    for one in _accounts(engine, livemode):
        found = refresh_all(engine, one, progress=lambda n, total: progress("customers", n, total))
        done.matched += found.linked
    if done.changed:
        with engine.begin() as db:
            changes.note(db, "import", by, what={"file": name, **done.as_json()})
    return done


def check(
    engine: Engine, livemode: bool, account: Account | None, opens: Opens, kind: Kind, progress: Progress
) -> Checked:
    """Reads the whole file and compares it with what is known, writing nothing."""
    found = Checked()
    with opens() as lines, engine.connect() as db:
        for some in _batches(csv_rows.read(lines, kind)):
            sound = [line for line in some if _check_alone(line, found)]
            _check_known(db, livemode, account, sound, found)
            found.lines += len(sound)
            progress("checking", found.lines, None)
            db.rollback()
        asked = [Record("account", id_) for id_ in found.accounts if ("account", id_) not in found.ids]
        for record, key in zip(asked, recording.known(db, livemode, asked), strict=True):
            if key is None:
                found.wrong(found.accounts[record.id], f"there is no account {record.id}, here or in the file")
    return found


def _check_alone(line: Line, found: Checked) -> bool:
    """Whether the line may be right, as far as the lines before it tell."""
    for problem in line.problems:
        found.wrong(line.number, problem)
    if line.problems:
        return False
    record = line.record
    first = found.ids.setdefault((record.kind, record.id.strip()), line.number)
    if first != line.number:
        found.wrong(line.number, f"{record.kind}:{record.id} stands in line {first} already")
        return False
    for customer in record.billing_ids:
        first = found.customers.setdefault(customer, line.number)
        if first != line.number:
            found.wrong(line.number, f"the customer {customer} stands in line {first} already")
    if record.account is not None:
        found.accounts.setdefault(record.account.strip(), line.number)
    return True


def _check_known(
    db: Connection, livemode: bool, account: Account | None, lines: Sequence[Line], found: Checked
) -> None:
    records = [line.record for line in lines]
    for line, key in zip(lines, recording.known(db, livemode, records), strict=True):
        if key is not None and (first := found.keys.setdefault(key, line.number)) != line.number:
            found.wrong(line.number, f"{line.record.id} is another id of the contact of line {first}")
    if account is None:
        for line in lines:
            if line.record.billing_ids:
                found.wrong(line.number, "it has billing ids, and it is not said of which connection")
        return
    taken = recording.by_hand_elsewhere(db, account.name, livemode, records)
    for line in lines:
        for customer in line.record.billing_ids:
            if customer in taken:
                found.wrong(line.number, f"{customer} is linked to {taken[customer]} by hand; unlink it first")


def _write(
    transaction: Callable[[], AbstractContextManager[Connection]],
    livemode: bool,
    account: Account | None,
    opens: Opens,
    by: str,
    kind: Kind,
    done: Imported,
    progress: Progress,
) -> None:
    memberships: list[tuple[int, str, str | None]] = []
    written = 0
    connection = account.name if account else None
    with opens() as lines:
        for some in _batches(csv_rows.read(lines, kind)):
            records = [line.record for line in some]
            with transaction() as db:
                if not done.dry_run:
                    linking.lock(db, patient=True)
                one = recording.record(db, livemode, records, connection=connection, by=by, made_by="csv")
                follow_up(db, one)
            done.add(one)
            memberships += [
                (key, record.account, record.role)
                for key, record in zip(one.keys, records, strict=True)
                if record.account is not None
            ]
            written += len(some)
            progress("contacts", written, done.lines)
    for at in range(0, len(memberships), BATCH):
        with transaction() as db:
            done.joined += recording.join(db, livemode, memberships[at : at + BATCH])


def _match_all(db: Connection, livemode: bool) -> int:
    linked = 0
    for connection in db.scalars(_CONNECTIONS, {"livemode": livemode}).all():
        customers = db.scalars(_EVERY, {"connection": connection}).all()
        for at in range(0, len(customers), BATCH):
            matched = linking.link(db, connection, livemode, customers[at : at + BATCH])
            linked += sum(1 for one in matched.told if one.type == "contact.linked")
    return linked


def _accounts(engine: Engine, livemode: bool) -> list[Account]:
    with engine.connect() as db:
        return [one for one in accounts.every(db) if one.livemode == livemode]


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while some := list(islice(lines, BATCH)):
        yield some


_CONNECTIONS = text("select name from tidegate.connections where livemode = :livemode order by name")

_EVERY = text("select id from stripe.customers where connection = :connection order by created nulls last, id")
