"""The command line as a person runs it: real processes, exit codes, one JSON document on stdout and nothing else."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text
from tests.support.command_line import KEY, Cli

from tidegate.sandbox import Sandbox
from tidegate.sandbox.keys import Key
from tidegate.store.engine import open_engine

Make = Callable[..., Sandbox]


@pytest.fixture
def engine(fresh_database_url: str) -> Iterator[Engine]:
    engine = open_engine(fresh_database_url, pool_size=1)
    yield engine
    engine.dispose()


@pytest.fixture
def cli(tmp_path: Path, fresh_database_url: str) -> Cli:
    return Cli(tmp_path, fresh_database_url)


def test_an_account_is_connected_imported_audited_queried_exported_and_let_go(
    cli: Cli, make_sandbox: Make, tmp_path: Path
) -> None:
    sandbox = make_sandbox(customers=25, months=3)
    connected = cli.connect(sandbox)
    assert (connected["name"], connected["livemode"]) == ("test", False)
    assert KEY not in json.dumps(connected)
    assert cli.json("status", code=1)["problems"][0]["code"] == "not_imported"

    first = cli("import", "--json")
    imported = json.loads(first.stdout)
    assert imported["state"] == "done"
    assert imported["resources"]["customers"]["stored"] == sandbox.truth()["customers"]
    assert "customers:" in first.stderr
    again = cli("import")
    assert "nothing new" in again.stdout
    assert cli.json("status")["problems"] == []

    audited = cli.json("audit", "--resource", "customers", "--resource", "invoices")
    assert [one["verdict"] for one in audited["resources"]] == ["equal", "equal"]
    sandbox.call(lambda: sandbox.state.delete("customers", next(iter(sandbox.state["customers"].ids)), None))
    different = cli("audit", "--resource", "customers", code=1)
    assert "DIFFERENT" in different.stdout

    counted = cli.json("sql", "select count(*) as n, '{\"a\": [1]}'::jsonb as doc from customers")
    assert counted["columns"] == ["n", "doc"]
    assert counted["rows"][0][1] == {"a": [1]}
    assert cli("sql", "select 1 as one, null as none", "--csv").stdout == "one,none\n1,\n"

    exported = cli.json("export", str(tmp_path / "out"))
    by_table = {one["table"]: one for one in exported["tables"]}
    lines = pyarrow.parquet.read_table(tmp_path / "out/invoice_lines.parquet")
    assert lines.num_rows == by_table["invoice_lines"]["rows"] == sandbox.truth()["invoice_lines"]
    assert str(lines.schema.field("updated_at").type) == "timestamp[us, tz=UTC]"
    cli("export", str(tmp_path / "out"), "--format", "csv")
    assert (tmp_path / "out/customers.csv").read_text().startswith("connection,id,created,")
    assert not list((tmp_path / "out").glob("*.part"))
    cli.connect(sandbox, "other")
    for name, code in (("other", 2), ("test", 0)):
        again = cli("export", str(tmp_path / "out"), "--connection", name, code=code)
        assert ("holds the export of test" in again.stderr) == (code == 2)
    cli("disconnect", "other", "--purge", "--confirm", "other")

    assert cli.json("disconnect", "test")["connection"] == "test"
    assert cli.json("import", code=2)["error"]["type"] == "ConnectionDisconnected"
    refused = cli("disconnect", "test", "--purge", code=2)
    assert "Nothing was deleted" in refused.stderr
    purged = cli.json("disconnect", "test", "--purge", "--confirm", "test")
    assert purged["deleted"]["stripe.customers"] == counted["rows"][0][0]
    status = cli.json("status")
    assert (status["connections"], status["problems"]) == ([], [])
    told = cli.json(
        "sql", "select action, subject from tidegate.audit_log where starts_with(actor, 'cli:') order by id"
    )
    assert [" ".join(row) for row in told["rows"]] == [
        "connection.connected test", "import.begun test", "import.begun test", "connection.connected other",
        "connection.purged other", "connection.disconnected test", "connection.purged test",
    ]  # fmt: skip


def test_what_cannot_be_imported_alone_is_refused_and_says_what_to_ask_for(cli: Cli, make_sandbox: Make) -> None:
    sandbox = make_sandbox(customers=1, months=1)
    cli.connect(sandbox)
    refused = cli.json("import", "--resource", "discounts", code=2)["error"]
    assert refused["type"] == "ResourceNotListed"
    assert "Ask for customers, subscriptions or invoices." in refused["message"]
    assert "Ask for invoices." in cli("import", "--resource", "invoice_lines", code=2).stderr
    assert cli.json("sql", "select count(*) from runs")["rows"] == [[0]]


def test_a_wrong_key_stores_nothing(cli: Cli, make_sandbox: Make) -> None:
    sandbox = make_sandbox(customers=1, months=1)
    options = ("connect", "--api-key", "-", "--api-base", sandbox.url)
    wrong = cli(*options, code=3, stdin="sk_test_wrong0000000000000000")
    assert wrong.stderr.startswith("error: Stripe does not accept this key")
    assert "same --name" not in wrong.stderr, "there is no connection yet"
    assert "wrong0000" not in wrong.stderr + wrong.stdout
    assert cli.json(*options, code=2, stdin="pk_test_1")["error"]["type"] == "UsageError"
    assert cli.json("status")["connections"] == []


def test_an_api_base_with_a_path_is_told(cli: Cli, make_sandbox: Make) -> None:
    base = f"{make_sandbox(customers=1, months=1).url}/v1"
    refused = cli("connect", "--api-key", "-", "--api-base", base, code=2, stdin=KEY)
    assert f"What answers at {base} is not Stripe's API" in refused.stderr
    assert "without a path" in refused.stderr


@pytest.mark.further
def test_a_revoked_key_ends_an_import_and_shows_as_a_problem(cli: Cli, make_sandbox: Make) -> None:
    sandbox = make_sandbox(customers=5, months=1)
    cli.connect(sandbox)
    sandbox.call(lambda: sandbox.server and sandbox.server.keys.add(Key(KEY, revoked=True)))
    failed = cli("import", code=3)
    assert "does not accept the key" in failed.stderr
    assert cli.json("sql", "select count(*) from customers")["rows"] == [[0]]
    assert [one["code"] for one in cli.json("status", code=3)["problems"]][:1] == ["key_invalid"]


def test_stripe_out_of_reach(cli: Cli) -> None:
    error = cli.json("connect", "--api-key", "-", "--api-base", "http://127.0.0.1:1", code=3, stdin=KEY)["error"]
    assert error["type"] == "StripeUnreachable"


@pytest.mark.parametrize("command", ["status", "import", "audit", "migrate", "doctor", "tokens list"])
def test_the_database_out_of_reach(tmp_path: Path, command: str) -> None:
    away = Cli(tmp_path, "postgresql://someone:s3cret@127.0.0.1:1/none")
    done = away(*command.split(), "--json", code=3)
    assert "could not be reached" in json.dumps(json.loads(done.stdout))
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.wide
def test_commands_that_read_do_not_migrate_and_say_what_to_run(tmp_path: Path, empty_database_url: str) -> None:
    cli = Cli(tmp_path, empty_database_url)
    for command in ("status", "audit", "inbox list", "tokens list"):
        assert cli.json(*command.split(), code=2)["error"]["type"] == "MigrationNeeded"
    assert cli.json("doctor", code=2)["healthy"] is False
    assert cli.json("doctor", code=2, DATABASE_URL="nonsense s3cret")["healthy"] is False
    assert "DATABASE_URL is not a database URL" in cli("doctor", code=2, DATABASE_URL="nonsense s3cret").stdout
    assert cli.json("migrate")["before"] == ""
    assert cli("migrate").stdout.startswith("The schema is at")
    assert cli.json("status")["connections"] == []


@pytest.mark.wide
def test_several_connections_want_a_name_and_never_mix(cli: Cli, make_sandbox: Make) -> None:
    one, two = make_sandbox(customers=3, months=1), make_sandbox(customers=4, months=1, seed=2)
    cli.connect(one, "one")
    cli.connect(two, "two")
    for command in ("import", "audit", "catch-up", "inbox list", "export out"):
        error = cli.json(*command.split(), code=2)["error"]
        assert error["type"] == "ConnectionAmbiguous"
        assert "one, two" in error["message"]
    assert cli.json("import", "--connection", "three", code=2)["error"]["type"] == "ConnectionUnknown"
    assert cli.json("import", "--connection", "two")["connection"] == "two"
    counts = cli.json("sql", "select connection, count(*) from customers where deleted_at is null group by 1")
    assert counts["rows"] == [["two", two.truth()["customers"]]]
    names = [each["name"] for each in cli.json("status", "--connection", "two")["connections"]]
    assert names == ["two"]


def test_a_resource_that_is_none_is_refused_with_the_nearest(cli: Cli, make_sandbox: Make) -> None:
    cli.connect(make_sandbox(customers=1, months=1))
    error = cli.json("import", "--resource", "customer", code=2)["error"]
    assert error["type"] == "ResourceUnknown"
    assert "customers" in error["message"]


@pytest.mark.wide
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_import_that_is_told_to_stop_goes_on_the_next_time(
    cli: Cli, make_sandbox: Make, number: signal.Signals, code: int
) -> None:
    sandbox = make_sandbox(profile="bulk", customers=1500, invoices=1500, latency=0.1)
    cli.connect(sandbox)
    with cli.start("import", "--json", TIDEGATE_IMPORT_READERS="2") as running:
        assert running.stderr is not None
        assert "done" in running.stderr.readline()  # a small resource was read: the import is under way
        running.send_signal(number)
        out, err = running.communicate(timeout=30)
    assert running.returncode == code, err
    assert "goes on from here" in err
    stopped = json.loads(out)
    assert stopped["state"] == "interrupted"
    resumed = cli.json("import")
    assert (resumed["state"], resumed["resumed"]) == ("done", True)
    assert resumed["run"] == stopped["run"]


@pytest.mark.wide
def test_events_of_the_inbox_are_listed_shown_replayed_and_discarded(
    cli: Cli, make_sandbox: Make, engine: Engine
) -> None:
    cli.connect(make_sandbox(customers=1, months=1))
    with engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.inbox (connection, event_id, type, created, source, body, state, error)
values ('test', 'evt_1', 'customer.updated', now(), 'webhook', '{}', 'parked', 'broken'),
       ('test', 'evt_2', 'customer.updated', now(), 'webhook', '{}', 'parked', 'broken')""")
        )
    assert {one["event_id"] for one in cli.json("inbox", "list")["events"]} == {"evt_1", "evt_2"}
    assert cli.json("inbox", "show", "evt_1")["error"] == "broken"
    assert cli.json("inbox", "show", "evt_3", code=2)["error"]["type"] == "EventUnknown"
    assert cli.json("inbox", "replay", code=2)["error"]["type"] == "UsageError"
    assert cli.json("inbox", "replay", "evt_1")["replayed"] == 1
    assert cli.json("inbox", "discard", "evt_2")["discarded"] == 1
    with engine.connect() as db:
        states = {row.event_id: row.state for row in db.execute(text("select event_id, state from tidegate.inbox"))}
        rung = db.scalar(text("select count(*) from tidegate.procrastinate_jobs where task_name = 'drain'"))
    assert states == {"evt_1": "waiting", "evt_2": "skipped"}
    assert rung == 1


def test_a_token_is_made_listed_and_revoked(cli: Cli) -> None:
    made = cli("tokens", "create", "ci", "--scope", "operate")
    assert made.stdout.startswith("tg_")
    assert "tg_" not in made.stderr
    listed = cli("tokens", "list", "--json").stdout
    assert made.stdout.strip() not in listed
    [token] = json.loads(listed)["tokens"]
    assert token["scopes"] == ["operate"]
    assert cli.json("tokens", "revoke", str(token["id"]))["revoked_at"]
    assert cli.json("tokens", "revoke", str(token["id"]), code=2)["error"]["type"] == "TokenUnknown"


@pytest.mark.parametrize(
    "statement",
    [
        "delete from customers",
        "delete from customers returning id",
        "with gone as (delete from customers returning id) select * from gone",
        "explain analyze delete from customers",
        "select 1; drop table stripe.customers",
        "explain select 1; drop table stripe.customers",
        "show search_path; drop table stripe.customers",
        "select id into copied from customers",
        "commit",
        "set transaction read write",
        "do $$ begin perform 1; end $$",
        "",
    ],
)
def test_sql_only_reads(cli: Cli, statement: str) -> None:
    assert cli.json("sql", statement, code=2)["error"]["type"] == "NotReadOnly"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("selec 1", 'The query failed: syntax error at or near "selec".'),
        ("select 1,\n from customers", 'The query failed: syntax error at or near "from" (line 2).'),
        ("select * from nosuch", 'The query failed: relation "nosuch" does not exist.'),
        ("select 1/0", "The query failed: division by zero."),
        ("select pg_sleep(9)", "The query failed: it took longer than 1s; allow it more time (`--timeout`)."),
    ],
)
def test_sql_says_in_the_databases_words_what_is_wrong(cli: Cli, statement: str, told: str) -> None:
    error = cli.json("sql", statement, "--timeout", "1", code=2)["error"]
    assert (error["type"], error["message"]) == ("QueryRefused", told)


def test_sql_shows_and_explains(cli: Cli) -> None:
    assert cli.json("sql", "show transaction_read_only") == {"columns": ["transaction_read_only"], "rows": [["on"]]}
    plan = cli("sql", "-", stdin="-- how\n /* would */ explain select 'a%s' from customers where id like '%'").stdout
    assert "QUERY PLAN" in plan
    assert "customers" in plan


@pytest.mark.further
def test_the_doctor_finds_a_key_that_does_not_decrypt(cli: Cli, make_sandbox: Make) -> None:
    cli.connect(make_sandbox(customers=1, months=1))
    healthy = cli.json("doctor")
    (disk,) = [one for one in healthy["checks"] if one["check"] == "disk"]
    assert "the database's own disk has cannot be told from here" in disk["detail"]
    assert healthy["healthy"] is True
    states = {one["check"]: one["state"] for one in healthy["checks"]}
    assert states["key of test"] == states["database"] == states["connections"] == "ok"
    assert states["workers"] == "warning"
    lost = cli.json("doctor", code=1, TIDEGATE_SECRET_KEY=Fernet.generate_key().decode())
    assert "the secret key of TIDEGATE_SECRET_KEY" in json.dumps(lost)
    assert [one["check"] for one in lost["checks"] if one["state"] == "wrong"] == ["key of test"]
    malformed = cli.json("doctor", code=1, TIDEGATE_SECRET_KEY="zzz")
    assert [one["check"] for one in malformed["checks"] if one["state"] == "wrong"] == ["secret key", "keys"]


def test_the_doctor_makes_no_key_by_looking(cli: Cli, make_sandbox: Make, tmp_path: Path) -> None:
    """On an empty home, and on one whose key was lost: a new one would hide that."""
    home = str(tmp_path / "elsewhere")
    assert cli.json("doctor", TIDEGATE_HOME=home, TIDEGATE_SECRET_KEY="")["healthy"] is True
    cli.connect(make_sandbox(customers=1, months=1))
    lost = cli.json("doctor", code=1, TIDEGATE_HOME=home, TIDEGATE_SECRET_KEY="")
    (wrong,) = [one for one in lost["checks"] if one["state"] == "wrong"]
    assert "secret.key is not there, and what is stored for test opens with that key alone" in wrong["detail"]
    assert "Put it back" in wrong["remedy"]
    assert not (tmp_path / "elsewhere" / "secret.key").exists()


@pytest.mark.wide
def test_a_platform_is_shown_then_connected_and_let_go_with_its_accounts(cli: Cli, make_sandbox: Make) -> None:
    sandbox = make_sandbox(customers=3, months=1, connected=2)
    key = ("--api-key", "-", "--api-base", sandbox.url, "--name", "plat", "--rate", "0")
    shown = cli("connect", "--platform", *key, stdin=KEY)
    assert "plat-blue-kiln" in shown.stdout
    assert "--yes" in shown.stdout
    assert [one["name"] for one in cli.json("status", code=1)["connections"]] == ["plat"], "nobody said yes"
    done = cli.json("connect", "--platform", "--name", "plat", "--yes")
    assert (done["done"], done["name"]) == (True, "plat"), "the key it has is enough"
    assert done["fan_out_at"]
    children = sorted(one["connection"] for one in done["accounts"])
    assert children == ["plat-blue-kiln", "plat-fernwood-studio"]
    assert {one["verdict"] for one in done["accounts"]} == {"new"}
    assert cli.json("import", "--connection", children[0])["state"] == "done"
    assert cli.json("audit", "--connection", children[0])["clean"]
    assert cli.json("catch-up", "--connection", children[0])["gap"] is False

    refused = cli("disconnect", "plat", code=2)
    assert "2 accounts of the platform are disconnected with it: plat-blue-kiln, plat-fernwood-studio" in refused.stdout
    assert "Nothing was disconnected" in refused.stderr
    assert cli.json("disconnect", children[1])["accounts"] == []
    assert "stays connected" in cli("connect", "--platform", "--name", "plat").stdout
    assert cli.json("disconnect", "plat", "--confirm", "plat")["accounts"] == children
    refused = cli("disconnect", "plat", "--purge", code=2)
    assert "2 accounts of the platform are deleted with it" in refused.stdout
    assert "Nothing was deleted" in refused.stderr
    purged = cli.json("disconnect", "plat", "--purge", "--confirm", "plat")
    assert purged["deleted"]["stripe.customers"] == 3
    assert cli.json("status")["connections"] == []


def test_the_sandbox_is_a_platform_when_asked(cli: Cli) -> None:
    running = cli.start("sandbox", "--port", "0", "--customers", "3", "--months", "1", "--connected", "2")
    assert running.stdout is not None
    assert running.stdout.readline().startswith("Simulated Stripe")
    assert running.stdout.readline().endswith("--platform\n")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)


def test_connecting_says_what_the_key_may_read_and_where_such_a_key_is_made(cli: Cli, make_sandbox: Make) -> None:
    from tidegate.sandbox.keys import Key

    links = cli.json("connect", "--show-key-link")
    assert links["live"].startswith("https://dashboard.stripe.com/apikeys/create?name=Tidegate&permissions")
    assert "rak_charge_read" in links["permissions"]
    assert links["test"] in cli("connect", "--show-key-link").stdout

    sandbox = make_sandbox(customers=2, months=1)
    assert sandbox.server is not None
    names = [name for name in sandbox.state.collections if name != "disputes"]
    ring, key = sandbox.server.keys, Key(KEY, dict.fromkeys([*names, "account", "accounts", "events"], "read"))
    sandbox.call(lambda: ring.add(key))
    found = {one["endpoint"]: one["allowed"] for one in cli.connect(sandbox)["permissions"]}
    assert found["GET /v1/charges"] is True
    assert found["GET /v1/disputes"] is False
    told = cli("connect", "--api-key", "-", "--api-base", sandbox.url, "--name", "test", stdin=KEY).stdout
    assert "MAY NOT READ GET /v1/disputes: " in told
    assert KEY not in told
    shown = cli.json("status", code=1)
    assert "permission_missing" in [one["code"] for one in shown["problems"]]
    assert {one["endpoint"]: one["allowed"] for one in shown["connections"][0]["permissions"]} == found
