"""Auditing: every way in which a mirror can be wrong is found, what merely changes is not, and no key is no verdict."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, text
from tests.support.builders import customer
from tests.support.hubs import copied
from tests.support.importing import stripe
from tests.support.live import NOWHERE, Live
from tests.support.replies import Change, changed, refusal, told
from tests.support.standing import Standing, standing

from tidegate.cli.audit import print_audit
from tidegate.errors import StripeKeyInvalid, StripeUnreachable, UsageError
from tidegate.mirror.compare import FINDINGS
from tidegate.sandbox.answers import Request
from tidegate.sandbox.http import Reply
from tidegate.sandbox.keys import Key
from tidegate.wiring import Hub
from tidegate.workflows.mirror import audit as auditing
from tidegate.workflows.mirror.audit import audit
from tidegate.workflows.operation.status import status

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


@pytest.fixture(scope="module")
def company(server_url: str, secret_key: str) -> Iterator[Standing]:
    """A small company, imported and caught up."""
    with standing(server_url, secret_key, seconds=1, customers=10, months=3) as company:
        yield company


@pytest.fixture
def database_url(company: Standing, server_url: str) -> Iterator[str]:
    """Every test of this module has a copy of its own."""
    with copied(server_url, company.database) as url:
        yield url


@pytest.fixture
def live(company: Standing, hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """The company, and its mirror."""
    return company.live(hub, make_sandbox)


def findings(live: Live, *names: str, **options: Any) -> dict[str, dict[str, int]]:
    """What an audit finds: per resource that is not equal, its findings and how many."""
    result = live.audit(*names, **options)
    wrong = {
        one["resource"]: {name: n for name, n in one["counts"].items() if n}
        | ({"unreadable": one["unreadable"]} if one["unreadable"] else {})
        for one in result["resources"]
        if one["verdict"] != "equal"
    }
    assert result["clean"] is not bool(wrong)
    return wrong


def test_a_mirror_that_is_equal_is_clean(live: Live) -> None:
    result = live.audit()
    assert (result["state"], result["clean"]) == ("done", True)
    assert {one["verdict"] for one in result["resources"]} == {"equal"}
    assert all(one["stored"] == one["in_stripe"] for one in result["resources"])
    verdicts = live.rows("select resource, verdict from tidegate.comparisons where run = :run", run=result["run"])
    assert len(verdicts) == len(result["resources"]) + len(result["checks"])
    assert live.one("select state from tidegate.runs where kind = 'audit'") == "done"


@pytest.mark.parametrize(
    ("harm", "wrong"),
    [
        ("delete from stripe.customers where id = (select min(id) from stripe.customers where deleted_at is null)",
         {"customers": {"missing": 1}}),
        ("update stripe.customers set deleted_at = updated_at where id = "
         "(select min(id) from stripe.customers where deleted_at is null)", {"customers": {"missing": 1}}),
        ("insert into stripe.customers (connection, id, updated_at, certainty, data) "
         "values ('acme', 'cus_never', now(), 1, '{}')", {"customers": {"vanished": 1}}),
        ("insert into stripe.product_features (connection, id, updated_at, certainty, data) "
         "values ('acme', 'prodft_never', now(), 1, '{}')", {"product_features": {"vanished": 1}}),
        ("update stripe.prices set data = data || '{\"nickname\": \"other\"}' where id = "
         "(select min(id) from stripe.prices)", {"prices": {"stale": 1}}),
        ("update stripe.subscriptions set status = 'other' where id = (select min(id) from stripe.subscriptions)",
         {"subscriptions": {"columns": 1}}),
        ("update stripe.subscription_items set quantity = 77 "
         "where id = (select min(id) from stripe.subscription_items)",
         {"subscriptions": {"columns": 1}}),
        ("update stripe.invoices set due_date = now() where id = (select min(id) from stripe.invoices)",
         {"invoices": {"columns": 1}}),
        ("delete from stripe.invoice_lines where invoice = (select min(invoice) from stripe.invoice_lines)",
         {"invoices": {"incomplete": 1}}),
        ("update stripe.invoice_lines set data = '{}' where (invoice, id) = "
         "(select invoice, id from stripe.invoice_lines order by 1, 2 limit 1)", {"invoices": {"incomplete": 1}}),
        ("insert into stripe.subscription_items (connection, subscription, id, updated_at, certainty, data) "
         "values ('acme', 'sub_gone', 'si_1', now(), 1, '{}')", {"subscriptions": {"orphans": 1}}),
        ("insert into tidegate.unreadable (connection, resource, object_id, field, reason) "
         "values ('acme', 'charges', 'ch_1', 'amount', 'is text')", {"charges": {"unreadable": 1}}),
    ],
    ids=["missing", "wrongly deleted", "vanished", "vanished, not retrievable", "stale", "a column", "a child's column",
         "a time", "children gone", "a child's content", "orphan", "unreadable"],
)  # fmt: skip
def test_what_is_wrong_in_the_mirror_is_found(live: Live, harm: str, wrong: dict[str, dict[str, int]]) -> None:
    assert live.run(harm) >= 1
    assert findings(live) == wrong


def test_every_finding_is_made_by_a_test() -> None:
    harms = {name for mark in test_what_is_wrong_in_the_mirror_is_found.pytestmark for name in FINDINGS  # pyright: ignore[reportFunctionMemberAccess]
             if name in str(mark.args[1])}  # fmt: skip
    assert harms | {"dangling"} == set(FINDINGS), "dangling has tests of its own"


def test_what_stripe_changed_without_a_word_is_found(live: Live) -> None:
    ids = live.sandbox.call(lambda: list(live.sandbox.state["customers"].ids))
    live.put(live.full("customers", ids[0]) | {"name": "Changed"})
    live.put(customer("cus_new", created=live.now))
    live.remove("charges", live.full("charges")["id"])
    assert findings(live) == {"customers": {"missing": 1, "stale": 1}, "charges": {"vanished": 1}}


def test_what_no_list_shows_but_stripe_has_is_not_vanished(live: Live) -> None:
    """Inline prices for example; they are compared by id."""
    price = live.full("prices")
    live.put(price | {"id": "price_inline", "active": None})
    live.run("insert into tidegate.refetches (connection, resource, object_id, reason) "
             "values ('acme', 'prices', 'price_inline', 'referenced')")  # fmt: skip
    live.drain()
    asked = live.requests("GET /v1/prices/{id}")
    assert findings(live) == {}
    assert live.requests("GET /v1/prices/{id}") == asked + 2, "the lists show neither it nor the company's own"
    live.run("""update stripe.prices set data = data || '{"nickname": "other"}' where id = 'price_inline'""")
    assert findings(live) == {"prices": {"stale": 1}}


@pytest.mark.parametrize("drained", [True, False], ids=["the mirror has it", "the mirror has not heard yet"])
def test_what_changes_during_the_audit_is_no_difference(live: Live, drained: bool) -> None:
    ids = live.sandbox.call(lambda: list(live.sandbox.state["customers"].ids))
    happened: list[str] = []

    def meanwhile(resource: str, _objects: int, _ended: object) -> None:
        if resource != "customers" or happened:
            return
        happened.append(resource)
        live.sandbox.advance(10)
        live.put(live.full("customers", ids[0]) | {"name": "Changed"}, "customer.updated")
        live.put(customer("cus_new", created=live.now), "customer.created")
        live.put(live.full("products") | {"name": "Changed"}, "product.updated")
        live.remove("customers", ids[1], "customer.deleted")
        if drained:
            live.catch_up()

    assert findings(live, "customers", "products", progress=meanwhile) == {}
    assert happened


def test_what_was_changed_just_before_and_is_not_told_yet_is_no_difference(live: Live) -> None:
    live.sandbox.advance(1)
    live.put(live.full("customers") | {"name": "Changed"}, "customer.updated")
    result = live.audit("customers")
    assert (result["clean"], result["resources"][0]["changed_meanwhile"]) == (True, 1)
    live.run("update tidegate.connections set complete_as_of = now() + interval '10 years'")
    assert findings(live, "customers") == {"customers": {"stale": 1}}, "once the mirror promises to have it, it is"


@pytest.mark.wide
def test_what_is_told_for_long_excuses_nothing(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    live.sandbox.advance(20 * 60)
    live.put(live.full("customers") | {"name": "Changed"}, "customer.updated")
    result = live.audit("customers")
    assert (result["clean"], result["resources"][0]["counts"]["stale"]) == (False, 1)
    assert result["behind_seconds"] >= 20 * 60
    print_audit(result)
    assert "The mirror is behind by 2" in capsys.readouterr().out
    live.catch_up()
    assert live.audit("customers")["behind_seconds"] is None


def test_the_text_says_how_many_were_excused(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    live.sandbox.advance(1)
    live.put(live.full("customers") | {"name": "Changed"}, "customer.updated")
    print_audit(live.audit("customers"))
    assert "1 objects changed meanwhile" in capsys.readouterr().out


def with_first(old: bytes, new: bytes, path: str = "/v1/customers") -> Change:
    """Answers a list with the first place of `old` replaced."""

    def change(request: Request, reply: Reply) -> Reply | None:
        return told(reply.body.replace(old, new, 1)) if request.path == path else None

    return change


@pytest.mark.parametrize(
    "odd", [rb"\u0000", rb"\ud800", rb"half \udc00 of a pair"], ids=["U+0000", "lone high", "lone low"]
)
def test_an_object_that_no_jsonb_holds_is_unreadable_and_the_others_are_compared(live: Live, odd: bytes) -> None:
    live.run("update stripe.customers set data = data || '{\"name\": \"other\"}' where id = "
             "(select max(id) from stripe.customers where deleted_at is null)")  # fmt: skip
    changed(live.sandbox, with_first(b'"object":"customer"', b'"object":"customer","odd":"' + odd + b'"'))
    wrong = findings(live, "customers")["customers"]
    assert wrong in ({"unreadable": 1, "stale": 1}, {"unreadable": 1})
    assert live.one("select count(*) from tidegate.comparisons where resource = 'customers'") == 1


def test_what_cannot_even_be_told_apart_is_unreadable_and_not_equal(live: Live) -> None:
    changed(live.sandbox, with_first(b'"data":[{', b'"data":[{"object":"customer"},{'))
    assert findings(live, "customers") == {"customers": {"unreadable": 1}}


def test_a_stored_object_whose_body_cannot_be_read_now_has_not_vanished(live: Live) -> None:
    """Neither in the list nor by its id."""
    first = live.sandbox.call(lambda: live.sandbox.state["customers"].ids[0])
    named, unnamed = f'"id":"{first}"'.encode(), b'"id":"\\u0000"'

    def change(request: Request, reply: Reply) -> Reply | None:
        return told(reply.body.replace(named, unnamed)) if request.path.startswith("/v1/customers") else None

    changed(live.sandbox, change)
    assert findings(live, "customers") == {"customers": {"unreadable": 1}}


def test_what_comes_inside_another_is_compared_with_that(live: Live) -> None:
    live.run("delete from stripe.invoice_lines where invoice = (select min(invoice) from stripe.invoice_lines)")
    result = live.audit("invoice_lines", "invoices")
    assert [one["resource"] for one in result["resources"]] == ["invoices"]
    assert findings(live, "invoice_lines") == {"invoices": {"incomplete": 1}}


def test_what_stripe_lists_nowhere_is_refused(live: Live) -> None:
    with pytest.raises(UsageError, match=r"lists no discounts.* subscriptions, invoices and customers"):
        live.audit("discounts", "products")
    assert live.rows("select from tidegate.runs where kind = 'audit'") == []


NAMED = "(select min(customer) from stripe.subscriptions where deleted_at is null)"


def test_a_reference_to_what_the_mirror_lacks_and_stripe_has_is_dangling(live: Live) -> None:
    customer = live.one(f"select {NAMED}")
    live.run("delete from stripe.customers where id = :id", id=customer)
    (found,) = live.audit("subscriptions")["resources"]
    assert (found["verdict"], found["dangling"]) == ("different", [f"customers/{customer}"])
    assert findings(live) == {"customers": {"missing": 1}}, "one cause is one finding"


def test_a_reference_to_what_stripe_has_not_either_is_not_dangling(live: Live) -> None:
    invoice = live.one("select min(invoice) from stripe.invoice_payments where deleted_at is null")
    live.run("delete from stripe.invoices where id = :id", id=invoice)
    assert findings(live, "invoice_payments") == {"invoice_payments": {"dangling": 1}}
    live.remove("invoices", invoice)
    assert findings(live, "invoice_payments") == {}


def test_a_tombstone_is_enough_for_a_reference(live: Live) -> None:
    live.run(f"update stripe.customers set deleted_at = updated_at where id = {NAMED}")
    assert findings(live, "subscriptions") == {}


def test_a_child_s_reference_is_looked_at_too(live: Live) -> None:
    price = live.one("select min(price) from stripe.subscription_items where deleted_at is null")
    live.run("delete from stripe.prices where id = :id", id=price)
    (found,) = live.audit("subscriptions")["resources"]
    assert f"prices/{price}" in found["dangling"]


def test_a_reference_to_what_the_key_may_not_list_is_not_called_dangling(live: Live) -> None:
    live.run(f"delete from stripe.customers where id = {NAMED}")
    names = [name for name in live.sandbox.state.collections if name != "customers"]
    key(live, permissions=dict.fromkeys(names, "read"))
    assert findings(live, "customers", "subscriptions") == {"customers": {}}
    assert findings(live, "subscriptions") == {}, "what the last audit was refused is not asked for one by one"


def test_a_list_that_stripe_does_not_have_is_not_compared(live: Live) -> None:
    def gone(request: Request, reply: Reply) -> Reply | None:
        unknown = refusal(404, "", "Unrecognized request URL.")
        return unknown if request.path.startswith(("/v1/disputes", "/v1/charges/")) else None

    changed(live.sandbox, gone)
    live.run("insert into stripe.charges (connection, id, updated_at, certainty, data) "
             "values ('acme', 'ch_never', now(), 1, '{}')")  # fmt: skip
    result = live.audit("disputes", "charges")
    assert [one["verdict"] for one in result["resources"]] == ["not_compared", "not_compared"]
    assert all("Unrecognized request URL" in one["error"] for one in result["resources"])
    assert [one["counts"]["vanished"] for one in result["resources"]] == [0, 0]


def test_a_parent_that_is_gone_has_no_list_and_its_children_vanished(live: Live) -> None:
    product = live.one("select min(product) from stripe.product_features where deleted_at is null")
    children = live.one("select count(*) from stripe.product_features where product = :p", p=product)
    live.remove("products", product)
    assert findings(live, "product_features") == {"product_features": {"vanished": children}}


@pytest.mark.wide
def test_an_audit_of_everything_checks_the_invariants(live: Live) -> None:
    live.run("insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, data) "
             "select connection, resource, 'in_never', at, certainty, digest, data from tidegate.versions "
             "where resource = 'invoices' limit 1")  # fmt: skip
    result = live.audit()
    assert result["clean"] is False
    assert {one["verdict"] for one in result["resources"]} == {"equal"}
    assert result["checks"] == [
        {"check": "versions", "verdict": "different", "count": 1, "broken": ["invoices/in_never"]}
    ]
    (problem,) = status(live.hub.engine)["problems"]
    assert (problem["code"], problem["detail"]) == ("audit_failed", "Different: invariant versions.")
    live.run("delete from tidegate.versions where object_id = 'in_never'")
    assert live.audit()["clean"] is True
    assert status(live.hub.engine)["problems"] == []


def test_a_later_domain_adds_its_invariants(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(db: Connection, account: str) -> dict[str, list[str]]:
        return {"ledger": [f"{account}/1"] if db.scalar(text("select 1")) else []}

    monkeypatch.setattr(auditing, "CHECKS", (*auditing.CHECKS, check))
    result = live.audit()
    assert [(one["check"], one["broken"]) for one in result["checks"]] == [("versions", []), ("ledger", ["acme/1"])]
    assert result["clean"] is False


def key(live: Live, **facts: Any) -> None:
    assert live.sandbox.server is not None
    ring = live.sandbox.server.keys
    live.sandbox.call(lambda: ring.add(Key(live.sandbox.key, **facts)))


def test_what_the_key_may_not_read_is_not_compared_and_the_rest_is(live: Live) -> None:
    names = [name for name in live.sandbox.state.collections if name != "disputes"]
    key(live, permissions=dict.fromkeys(names, "read"))
    result = live.audit()
    verdicts = {one["resource"]: one for one in result["resources"]}
    assert result["clean"] is False
    assert {name for name, one in verdicts.items() if one["verdict"] == "not_compared"} == {"disputes"}
    assert "permission" in verdicts["disputes"]["error"]
    assert verdicts["disputes"]["counts"]["vanished"] == 0
    (problem,) = live.rows("select code, subject from tidegate.problems")
    assert dict(problem) == {"code": "permission_missing", "subject": "GET /v1/disputes"}
    key(live)
    live.audit("disputes")
    assert live.one("select count(*) from tidegate.problems") == 0


def test_a_key_that_is_refused_ends_the_audit_without_a_verdict(live: Live) -> None:
    key(live, revoked=True)
    with pytest.raises(StripeKeyInvalid):
        live.audit()
    assert live.one("select state from tidegate.runs where kind = 'audit'") == "interrupted"
    assert live.one("select count(*) from tidegate.comparisons") == 0
    assert live.one("select code from tidegate.problems") == "key_invalid"


def test_a_host_that_does_not_answer_ends_the_audit_without_a_verdict(live: Live) -> None:
    with stripe(live.sandbox.key, NOWHERE) as api, pytest.raises(StripeUnreachable):
        audit(live.hub.engine, live.account, api, ["customers"])
    assert live.one("select code from tidegate.problems") == "unreachable"


def test_progress_counts_on_page_by_page_and_says_how_a_resource_ended(live: Live) -> None:
    for n in range(150):
        live.put(customer(f"cus_{n:03}", created=live.now))
    told: list[tuple[int, str]] = []
    live.audit("customers", progress=lambda _, objects, ended: told.append((objects, ended.verdict if ended else "")))
    in_all = len(live.sandbox.call(lambda: live.sandbox.state["customers"].ids))
    assert told == [(100, ""), (in_all, ""), (in_all, "different")]


def test_no_transaction_is_open_while_stripe_is_asked(live: Live) -> None:
    idle = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in trans%'"
    seen: list[int] = []
    read = live.sandbox.server
    assert read is not None
    respond = read.respond

    def watching(request: Any) -> Any:
        if request.path.startswith("/v1/"):
            seen.append(live.one(idle))
        return respond(request)

    live.sandbox.server.respond = watching  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    live.audit("customers")
    assert seen
    assert set(seen) == {0}
