"""Connecting an account, giving it new keys, letting go of it, and deleting everything of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support.builders import customer, event, subscription
from tests.support.importing import connected, imported, stored, stripe
from tests.support.live import NOWHERE, Live
from tests.support.replies import Change, changed, in_live_mode
from tests.support.serving import serving

from tidegate.connections import accounts, problems, runs
from tidegate.errors import (
    ConnectionMissing,
    ConnectionUnknown,
    ImportRunning,
    OtherAccount,
    StripeAccountHidden,
    StripeKeyInvalid,
    StripeModeWrong,
    StripeUnreachable,
    UsageError,
)
from tidegate.sandbox.keys import Key
from tidegate.wiring import Hub
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.mirror.connect import ConnectRequest, connect
from tidegate.workflows.mirror.disconnect import count_for_purge, disconnect, purge

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

MakeSandbox = Callable[..., "Sandbox"]


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def sandbox(make_sandbox: MakeSandbox) -> "Sandbox":
    return make_sandbox(customers=3, months=1)


def add_key(sandbox: "Sandbox", secret: str, **facts: Any) -> str:
    assert sandbox.server is not None
    ring = sandbox.server.keys
    sandbox.call(lambda: ring.add(Key(secret, **facts)))
    return secret


def names(hub: Hub) -> list[str]:
    with hub.engine.connect() as db:
        return [one.name for one in accounts.every(db)]


def secrets(hub: Hub, name: str = "acme") -> accounts.Credentials:
    with hub.engine.connect() as db:
        return accounts.credentials(db, name, hub.vault)


def test_a_connection_knows_its_account_and_stripes_limits(hub: Hub, sandbox: "Sandbox") -> None:
    account = connected(hub, sandbox, "", rate=None, endpoint_rate=None)
    assert (account.name, account.livemode, account.sandbox) == ("test", False, True)
    assert account.account.startswith("acct_")
    assert account.display_name
    assert (account.rate, account.endpoint_rate) == (25.0, 25.0)


def test_no_secret_is_stored_in_clear(hub: Hub, sandbox: "Sandbox") -> None:
    connected(hub, sandbox, webhook_secrets=("whsec_hidden",))
    with hub.engine.connect() as db:
        row = bytes(db.scalar(text("select convert_to(c::text, 'UTF8') from tidegate.connections c")) or b"")
        sealed = db.execute(text("select api_key, webhook_secrets from tidegate.connections")).one()
    for secret in (sandbox.key, "whsec_hidden"):
        assert secret.encode() not in row
        assert all(secret.encode() not in bytes(one) for one in sealed)
    assert secrets(hub) == accounts.Credentials(sandbox.key, "", ("whsec_hidden",))
    assert sandbox.key not in repr(secrets(hub))


def test_a_key_that_stripe_does_not_accept_stores_nothing(hub: Hub, sandbox: "Sandbox") -> None:
    with pytest.raises(StripeKeyInvalid):
        connected(hub, sandbox, api_key="sk_test_wrong")
    assert names(hub) == []


def test_a_key_that_may_not_read_its_account_stores_nothing_and_says_what_it_lacks(
    hub: Hub, sandbox: "Sandbox"
) -> None:
    add_key(sandbox, "rk_test_blind", permissions={"customers": "read"})
    with pytest.raises(StripeAccountHidden, match=r"rak_accounts_read.* nothing was stored"):
        connected(hub, sandbox, api_key="rk_test_blind")
    assert names(hub) == []


@pytest.mark.parametrize("key", ["", "pk_test_123", "whsec_123", "sk_other_123", "hello"])
def test_what_is_no_secret_key_is_refused_before_stripe_is_asked(hub: Hub, sandbox: "Sandbox", key: str) -> None:
    with pytest.raises(UsageError, match="not a Stripe secret key"):
        connected(hub, sandbox, api_key=key)
    assert sandbox.stats()["total"] == 0


@pytest.mark.parametrize("name", ["a/b", "Ünal", "two words", "x" * 61, "UPPER", "../x"])
def test_a_name_that_could_not_stand_in_a_url_is_refused(hub: Hub, sandbox: "Sandbox", name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a name"):
        connected(hub, sandbox, name)


def test_a_base_where_nobody_answers_is_said_and_stores_nothing(hub: Hub, sandbox: "Sandbox") -> None:
    with pytest.raises(StripeUnreachable):
        connected(hub, sandbox, api_base=NOWHERE)
    assert names(hub) == []


def test_a_base_that_is_not_stripe_is_said(hub: Hub, sandbox: "Sandbox") -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"hello": "world"}'})

    with serving(other) as url, pytest.raises(UsageError, match=r"not Stripe's API"):
        connected(hub, sandbox, api_base=url)


def test_the_same_name_takes_new_keys_and_keeps_what_is_not_given(hub: Hub, sandbox: "Sandbox") -> None:
    connected(hub, sandbox, rate=7, endpoint_rate=3, webhook_secrets=("whsec_1",))
    with hub.engine.begin() as db:
        problems.note(db, "acme", "key_invalid", "revoked")
        problems.note(db, "acme", "events_lost", "gone")
    renewed = add_key(sandbox, "rk_test_renewed")
    account = connected(hub, sandbox, api_key=f" {renewed}\n", rate=None, endpoint_rate=None, api_base="")
    assert account.api_base == sandbox.url, "the key is asked about where the connection asks"
    assert secrets(hub) == accounts.Credentials(renewed, "", ("whsec_1",))
    assert (account.rate, account.endpoint_rate) == (7.0, 3.0)
    with hub.engine.connect() as db:
        assert [one["code"] for one in problems.listing(db, "acme")] == ["events_lost"], "the old key's are over"
    assert names(hub) == ["acme"]


def test_without_a_name_a_known_account_keeps_its_own(hub: Hub, sandbox: "Sandbox", make_sandbox: MakeSandbox) -> None:
    connected(hub, sandbox, "acme")
    assert connected(hub, sandbox, "").name == "acme"
    other = make_sandbox(customers=3, months=1, seed=2)
    if other.state["accounts"].ids != sandbox.state["accounts"].ids:
        assert connected(hub, other, "").name == "test"


def test_a_name_belongs_to_its_account(hub: Hub, sandbox: "Sandbox") -> None:
    connected(hub, sandbox)
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.connections set account = 'acct_other'"))
    with pytest.raises(OtherAccount, match="acct_other"):
        connected(hub, sandbox)
    assert secrets(hub).api_key == sandbox.key


def test_live_and_test_mode_of_one_account_are_two_connections(hub: Hub, sandbox: "Sandbox") -> None:
    connected(hub, sandbox)
    live_key = add_key(sandbox, "sk_live_other")
    changed(sandbox, in_live_mode)
    with pytest.raises(OtherAccount, match="live mode"):
        connected(hub, sandbox, api_key=live_key)
    assert connected(hub, sandbox, "", api_key=live_key, rate=None, endpoint_rate=None).name == "live"
    assert names(hub) == ["acme", "live"]


@pytest.mark.parametrize(("key", "change", "found"), [("sk_live_other", None, "test"), ("", in_live_mode, "live")])
def test_what_answers_in_the_other_mode_is_not_connected(
    hub: Hub, sandbox: "Sandbox", key: str, change: Change | None, found: str
) -> None:
    if change:
        changed(sandbox, change)
    with pytest.raises(StripeModeWrong, match=f"shows {found}-mode data"):
        connected(hub, sandbox, api_key=add_key(sandbox, key) if key else sandbox.key)
    assert names(hub) == []


def test_a_key_that_may_not_read_the_balance_is_connected_all_the_same(hub: Hub, sandbox: "Sandbox") -> None:
    add_key(sandbox, "rk_test_few", permissions={"accounts": "read", "customers": "read"})
    changed(sandbox, in_live_mode)
    assert not connected(hub, sandbox, api_key="rk_test_few").livemode
    with pytest.raises(StripeModeWrong, match="cus_"):
        imported(hub, hub.account("acme"), "customers")
    assert set(stored(hub).values()) == {0}


def test_an_import_of_the_other_mode_stores_nothing_and_says_so_until_it_is_right(hub: Hub, sandbox: "Sandbox") -> None:
    account = connected(hub, sandbox)
    restore = changed(sandbox, in_live_mode)
    with pytest.raises(StripeModeWrong):
        imported(hub, account)
    assert set(stored(hub).values()) == {0}
    with hub.engine.connect() as db:
        assert [one["code"] for one in problems.listing(db, "acme")] == ["mode_wrong"]
    restore()
    imported(hub, account, "products")
    with hub.engine.connect() as db:
        assert problems.listing(db, "acme") == []


def test_events_of_the_other_mode_are_not_taken(hub: Hub, sandbox: "Sandbox") -> None:
    live = Live(hub, sandbox)
    live.put(customer("cus_new", created=live.now), "customer.created")
    changed(sandbox, in_live_mode)
    with pytest.raises(StripeModeWrong, match="evt_"):
        live.catch_up()
    assert live.one("select count(*) from tidegate.inbox") == 0


def test_a_write_key_is_of_the_same_account_and_mode(hub: Hub, sandbox: "Sandbox", make_sandbox: MakeSandbox) -> None:
    with pytest.raises(UsageError, match="same mode"):
        connected(hub, sandbox, write_key="sk_live_1")
    with pytest.raises(StripeKeyInvalid):
        connected(hub, sandbox, write_key="sk_test_wrong")
    assert names(hub) == []
    connected(hub, sandbox, write_key=add_key(sandbox, "rk_test_writes"))
    assert secrets(hub).write_key == "rk_test_writes"


def test_a_write_key_of_another_account_is_refused(hub: Hub, sandbox: "Sandbox", make_sandbox: MakeSandbox) -> None:
    other = make_sandbox(customers=3, months=1)
    body = other.call(lambda: dict(other.state.full("accounts", other.state["accounts"].ids[0])))
    other.call(lambda: other.state.delete("accounts", body["id"]))
    other.call(lambda: other.state.put(body | {"id": "acct_other"}))
    add_key(other, "sk_test_other")

    def opening(key: str, base: str | None) -> Any:
        return stripe(key, other.url if key == "sk_test_other" else base)

    request = ConnectRequest(sandbox.key, name="acme", write_key="sk_test_other", api_base=sandbox.url)
    with pytest.raises(UsageError, match="belongs to acct_other"):
        connect(hub.engine, hub.vault, request, opening, "cli:test")
    assert names(hub) == []


def test_disconnected_it_forgets_its_keys_and_keeps_its_data(hub: Hub, sandbox: "Sandbox") -> None:
    account = connected(hub, sandbox, write_key=add_key(sandbox, "sk_test_w"), webhook_secrets=("whsec_1",))
    imported(hub, account, "customers")
    before = stored(hub)
    with hub.engine.begin() as db:
        problems.note(db, "acme", "key_invalid", "revoked")
    assert disconnect(hub.engine, "acme", "cli:test").disconnected_at is not None
    with hub.engine.connect() as db:
        kept = db.execute(text("select api_key, write_key, webhook_secrets from tidegate.connections")).one()
        assert tuple(kept) == (None, None, None)
        assert accounts.every(db, connected=True) == []
        assert problems.listing(db, "acme") == []
        with pytest.raises(ConnectionMissing):
            accounts.credentials(db, "acme", hub.vault)
    assert stored(hub) == before
    assert connected(hub, sandbox).disconnected_at is None, "and it can be connected again"


def test_an_unknown_name_is_said_with_those_that_are_known(hub: Hub, sandbox: "Sandbox") -> None:
    connected(hub, sandbox)
    for let_go in (disconnect, purge):
        with pytest.raises(ConnectionUnknown, match="Known: acme"):
            let_go(hub.engine, "nobody", "cli:test")
    with pytest.raises(ConnectionUnknown, match="Known: acme"):
        count_for_purge(hub.engine, "nobody")


def full_of_everything(hub: Hub, sandbox: "Sandbox", name: str) -> Live:
    """A connection that has left rows in every table it can."""
    live = Live(hub, sandbox, name)
    imported(hub, live.account)
    live.told(event("customer.subscription.updated", subscription("sub_x", status="past_due"), 100))
    live.told(event("customer.created", customer("cus_bad", description="\0"), 100, "evt_bad"))
    live.drain(base=NOWHERE)
    live.audit("customers")
    with hub.engine.begin() as db:
        problems.note(db, name, "events_lost", "gone")
        db.execute(
            text(
                "insert into rate_budget (connection, endpoint, ceiling, slowed_to) values (:n, '', 1, 1) "
                "on conflict do nothing"
            ),
            {"n": live.account.budget},
        )
        db.execute(
            text("insert into refetches (connection, resource, object_id, reason) values (:n, 'prices', 'p', 'doubt')"),
            {"n": name},
        )
        Doorbell(hub.engine).ring("drain", connection=name, db=db)
    return live


def mentions(hub: Hub, name: str) -> dict[str, int]:
    """Rows per table of ours that hold the connection's name anywhere, but for who did what to it, which stays; the
    name must be a rare word.
    """
    with hub.engine.connect() as db:
        tables = db.execute(
            text("select table_schema, table_name from information_schema.tables "
                 "where table_schema in ('stripe', 'tidegate') and table_type = 'BASE TABLE' "
                 "and table_name <> 'audit_log'")
        ).all()  # fmt: skip
        counts = {
            f"{schema}.{table}": db.scalar(
                text(f"select count(*) from {schema}.{table} t where t::text like '%' || :name || '%'"), {"name": name}
            )
            for schema, table in tables
        }
    return {table: n for table, n in counts.items() if n}


def test_a_purge_leaves_no_row_that_names_the_connection(hub: Hub, sandbox: "Sandbox") -> None:
    full_of_everything(hub, sandbox, "zzpurged")
    full_of_everything(hub, sandbox, "zzkept")
    before = mentions(hub, "zzpurged")
    assert len(before) > 20, "there is something to forget"
    kept = mentions(hub, "zzkept")
    previewed = count_for_purge(hub.engine, "zzpurged")
    assert count_for_purge(hub.engine, "zzpurged") == previewed, "counting deletes nothing"
    assert purge(hub.engine, "zzpurged", "cli:test") == previewed
    assert mentions(hub, "zzpurged") == {}
    assert mentions(hub, "zzkept") == kept
    assert names(hub) == ["zzkept"]


@pytest.mark.parametrize("kind", ["import", "catch_up"])
def test_no_purge_while_work_is_under_way(hub: Hub, sandbox: "Sandbox", kind: str) -> None:
    connected(hub, sandbox)
    with runs.exclusive(hub.engine, "acme", kind) as alone:
        assert alone
        with pytest.raises(ImportRunning):
            purge(hub.engine, "acme", "cli:test")
    assert names(hub) == ["acme"]
    purge(hub.engine, "acme", "cli:test")
    assert names(hub) == []
