"""Entitlements over HTTP, as product code asks for them: answers, refusals, entity tags, tokens, overrides."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client, Response
from sqlalchemy import text
from tests.support.product import ADA, Product, sold
from tests.support.waiting import until

from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.security import tokens

HERE = f"/api/contacts/{ADA}/entitlements"


@pytest.fixture
def product(fresh_database_url: str) -> Iterator[Product]:
    with sold(fresh_database_url) as product:
        yield product


@pytest.fixture
def client(product: Product) -> Iterator[Client]:
    with product.client("entitlements") as client:
        yield client


def said(answer: Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_check_says_whether_and_why(client: Client) -> None:
    sso = said(client.get(f"{HERE}/sso"))
    assert (sso["granted"], sso["reason"], sso["contact"]) == (True, "granted", f"account:{ADA}")
    assert [(one["package"], one["version"]) for one in sso["packages"]] == [("pro", 1)]
    assert [(one["customer"], one["price"], one["package"]) for one in sso["sources"]] == [("cus_1", "price_1", "pro")]
    calls = said(client.get(f"{HERE}/calls"))
    assert (calls["limit"], calls["used"], calls["remaining"], calls["unit"]) == (1000, 0, 1000, "call")


def test_all_features_are_answered_at_once_and_alike(client: Client) -> None:
    every = said(client.get(HERE))
    assert sorted(every["features"]) == ["calls", "seats", "sso"]
    alone = said(client.get(f"{HERE}/calls"))
    assert every["features"]["calls"] == {key: alone[key] for key in alone if key not in ("contact", "packages")}
    assert every["packages"] == alone["packages"]


@pytest.mark.parametrize(
    ("path", "reason", "kind"),
    [
        ("/api/contacts/nobody/entitlements/sso", "contact_not_found", "contact-unknown"),
        ("/api/contacts/user:ada@example.com/entitlements/sso", "contact_not_found", "contact-unknown"),
        ("/api/contacts/nobody/entitlements", "contact_not_found", "contact-unknown"),
        (f"{HERE}/ssso", "feature_not_found", "catalog-unknown"),
    ],
)
def test_who_or_what_is_unknown_is_an_answer(client: Client, path: str, reason: str, kind: str) -> None:
    for method in ("GET", "POST"):
        if method == "POST" and path.endswith("/entitlements"):
            continue
        answer = client.request(method, path if method == "GET" else f"{path}/consume", json={"amount": 1})
        told = said(answer, 404)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (told["reason"], told["type"]) == (reason, f"urn:tidegate:problem:{kind}")
    assert "sso" in said(client.get(f"{HERE}/ssso"), 404)["detail"]


def test_an_id_of_a_user_and_an_account_must_say_which(product: Product, client: Client) -> None:
    with product.engine.begin() as db:
        directory.make(db, False, Making("user", ADA))
    assert said(client.get(f"{HERE}/sso"), 409)["detail"].endswith(f"Say which: account:{ADA} or user:{ADA}.")
    assert said(client.get(f"/api/contacts/account:{ADA}/entitlements/sso"))["granted"]


def test_what_a_caller_knows_already_is_not_sent_again(product: Product, client: Client) -> None:
    for path in (HERE, f"{HERE}/calls"):
        first = client.get(path)
        tag = first.headers["etag"]
        again = client.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        product.consume(client, 1)
        changed = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
        assert (changed.status_code, changed.headers["etag"] == tag) == (200, False)


def test_a_debit_is_all_or_nothing(product: Product, client: Client) -> None:
    product.limit("calls", 10)
    done = said(product.consume(client, 7))
    assert (done["allowed"], done["reason"], done["used"], done["remaining"]) == (True, "granted", 7, 3)
    refused = said(product.consume(client, 4))
    assert (refused["allowed"], refused["reason"], refused["used"]) == (False, "usage_limit_reached", 7)
    assert said(product.consume(client, 3))["allowed"]
    assert said(client.get(f"{HERE}/calls"))["reason"] == "usage_limit_reached"


def test_a_key_answers_the_same_and_debits_once(product: Product, client: Client) -> None:
    first = said(product.consume(client, 5, idempotency_key="k1"))
    again = said(product.consume(client, 5, idempotency_key="k1"))
    assert again == first | {"repeated": True}
    assert product.left(client) == 995
    told = said(product.consume(client, 6, idempotency_key="k1"), 422)
    assert "was used for consume 5" in told["detail"]
    refused = said(product.consume(client, 9999, idempotency_key="k2"))
    product.limit("calls", {"unlimited": True})
    assert said(product.consume(client, 9999, idempotency_key="k2")) == refused | {"repeated": True}


@pytest.mark.parametrize(
    ("order", "body", "status"),
    [
        ("consume", {"amount": 0}, 422),
        ("consume", {"amount": -1}, 422),
        ("consume", {"amount": 2**60}, 422),
        ("consume", {"amount": 1, "idempotency_key": ""}, 422),
        ("consume", {"amount": 1, "idempotency_key": "a\0b"}, 422),
        ("consume", {"amont": 1}, 422),
        ("usage", {"set": -1}, 422),
        ("usage", {}, 422),
        ("release", {}, 422),
        ("release", {"amount": 1, "reservation": 1}, 422),
        ("reserve", {"amount": 1, "seconds": 0}, 422),
        ("reserve", {"amount": 1, "seconds": 10**7}, 422),
        ("confirm", {"reservation": 77}, 422),
        ("confirm", {"reservation": 2**70}, 422),
        ("consume", {}, 200),
    ],
)
def test_what_cannot_be_counted_is_refused(client: Client, order: str, body: dict[str, Any], status: int) -> None:
    said(client.post(f"{HERE}/calls/{order}", json=body), status)


def test_only_what_is_metered_is_counted(product: Product, client: Client) -> None:
    assert "not metered" in said(product.consume(client, 1, feature="sso"), 422)["detail"]


def test_seats_are_set_and_released(product: Product, client: Client) -> None:
    def post(order: str, **body: Any) -> dict[str, Any]:
        return said(client.post(f"{HERE}/seats/{order}", json=body))

    assert post("usage", set=8)["used"] == 8
    assert (post("usage", set=11)["allowed"], product.left(client, "seats")) == (False, 2)
    assert post("release", amount=3)["used"] == 5
    assert post("usage", set=2)["used"] == 2
    assert post("release", amount=9)["used"] == 0
    assert post("usage", set=10)["remaining"] == 0
    product.limit("seats", 4)
    over = said(client.get(f"{HERE}/seats"))
    assert (over["granted"], over["reason"], over["used"], over["limit"]) == (False, "over_limit", 10, 4)
    assert said(product.consume(client, 1, feature="seats"))["reason"] == "over_limit"
    assert post("usage", set=5)["allowed"]
    assert post("usage", set=4)["reason"] == "granted"


def test_a_reservation_is_confirmed_with_what_was_used(product: Product, client: Client) -> None:
    def post(order: str, status: int = 200, **body: Any) -> dict[str, Any]:
        return said(client.post(f"{HERE}/calls/{order}", json=body), status)

    product.limit("calls", 10)
    reserved = post("reserve", amount=6, idempotency_key="job-1")
    assert reserved["expires_at"] > "2026"
    assert post("reserve", amount=6, idempotency_key="job-1") == reserved | {"repeated": True}
    assert product.left(client) == 4
    assert "at most" in post("confirm", 422, reservation=reserved["reservation"], amount=7)["detail"]
    confirmed = post("confirm", reservation=reserved["reservation"], amount=2)
    assert (confirmed["settled"], confirmed["used"], product.left(client)) == (2, 2, 8)
    assert post("confirm", reservation=reserved["reservation"], amount=2) == confirmed
    assert "already" in post("confirm", 422, reservation=reserved["reservation"], amount=1)["detail"]
    other = post("reserve", amount=8)
    assert post("reserve", amount=1)["allowed"] is False
    assert post("release", reservation=other["reservation"])["settled"] == 0
    assert product.left(client) == 8


def test_a_reservation_that_expires_is_given_back_by_itself(product: Product, client: Client) -> None:
    product.limit("calls", 10)
    reserved = said(client.post(f"{HERE}/calls/reserve", json={"amount": 10, "seconds": 60}))
    assert product.left(client) == 0
    product.expire(reserved["reservation"])
    assert product.left(client) == 10
    assert said(product.consume(client, 9))["remaining"] == 1
    late = client.post(f"{HERE}/calls/confirm", json={"reservation": reserved["reservation"]})
    assert "expired" in said(late, 422)["detail"]
    assert product.left(client) == 1


def test_a_user_has_what_its_account_has_and_debits_count_there(product: Product, client: Client) -> None:
    product.member("u1")
    mine = said(client.get("/api/contacts/u1/entitlements/calls"))
    assert (mine["contact"], mine["via"], mine["granted"]) == ("user:u1", f"account:{ADA}", True)
    assert [one["holder"] for one in mine["packages"]] == [f"account:{ADA}"]
    assert said(product.consume(client, 10, ref="u1", idempotency_key="k"))["used"] == 10
    assert said(product.consume(client, 10, ref="u1", idempotency_key="k"))["repeated"]
    assert product.left(client) == 990
    assert said(client.get("/api/contacts/u1/entitlements"))["features"]["calls"]["via"] == f"account:{ADA}"


def test_a_header_alone_counts_once_though_its_process_ended_before_it_answered(
    product: Product, client: Client
) -> None:
    path, key = f"{HERE}/calls/consume", {"Idempotency-Key": "k1"}
    assert said(client.post(path, json={"amount": 5}, headers=key))["remaining"] == 995
    with product.engine.begin() as db:
        db.execute(text("update tidegate.kept_answers set answer = null, seen_at = now() - interval '1 minute'"))
    again = said(client.post(path, json={"amount": 5}, headers=key))
    assert (again["remaining"], again["repeated"]) == (995, True)
    assert product.left(client) == 995


def test_live_and_test_contacts_never_add_up(product: Product, client: Client) -> None:
    from tests.support.queue import connect

    connect(product.engine, "live", livemode=True)
    path = f"{HERE}/sso"
    until(lambda: client.get(path).status_code == 422, "the mode is asked for", seconds=20)
    assert "?connection=NAME" in client.get(path).json()["detail"]
    assert said(client.get(path, params={"connection": "acme"}))["granted"]
    assert said(client.get(path, params={"connection": "live"}), 404)["reason"] == "contact_not_found"


def test_product_code_may_check_and_consume_and_nothing_else(product: Product) -> None:
    paths = [("GET", HERE), ("GET", f"{HERE}/sso")]
    uses = [("POST", f"{HERE}/calls/{order}") for order in ("consume", "usage", "reserve", "release", "confirm")]
    people = [("GET", f"/api/contacts/{ADA}/overrides"), ("POST", f"/api/contacts/{ADA}/overrides")]
    people.append(("DELETE", f"/api/contacts/{ADA}/overrides/1"))
    for scope, allowed in (
        ("entitlements", [*paths, *uses]),
        ("read", [*paths, people[0]]),
        ("operate", [*paths, *people]),
        ("admin", [*paths, *people]),
    ):
        with product.client(scope) as client:
            may = [one for one in [*paths, *uses, *people] if client.request(*one).status_code != 403]
        assert may == allowed, scope
    with Client(base_url=product.url) as nobody:
        assert {nobody.request(*one).status_code for one in [*paths, *uses, *people]} == {401}
        wrong = {"Authorization": "Bearer tg_wrong"}
        assert {nobody.request(*one, headers=wrong).status_code for one in [*paths, *uses, *people]} == {401}


@pytest.mark.wide
def test_a_revoked_token_ends_within_five_seconds(product: Product, client: Client) -> None:
    assert client.get(f"{HERE}/sso").status_code == 200
    with product.engine.begin() as db:
        tokens.revoke(db, tokens.listing(db)[-1].id)
    until(lambda: client.get(f"{HERE}/sso").status_code == 401, "the token is refused", seconds=8, pause=0.1)


def test_people_give_and_revoke_beside_stripe(product: Product) -> None:
    path = f"/api/contacts/{ADA}/overrides"
    with product.client("operate") as client:
        body = {"feature": "seats", "terms": {"limit": 5}, "reason": "asked nicely"}
        made = said(client.post(path, json=body), 201)
        assert (made["contact"], made["gives"], made["by"]) == (f"account:{ADA}", {"limit": 5}, "test")
        seats = said(client.get(f"{HERE}/seats"))
        assert seats["limit"] == 15
        assert [one["gives"] for one in seats["sources"]] == [{"limit": 10}, {"limit": 5}]
        assert [one["id"] for one in said(client.get(path))["overrides"]] == [made["id"]]
        ended = said(client.delete(f"{path}/{made['id']}"))
        assert ended["revoked_by"] == "test"
        assert said(client.get(f"{HERE}/seats"))["limit"] == 10
        said(client.delete(f"{path}/{made['id']}"), 404)
        said(client.delete(f"{path}/{10**30}"), 404)
        said(client.post(path, json={"feature": "seats"}), 422)
        said(client.post(path, json={"feature": "nothing"}), 404)
        said(client.post(path, json={"package": "pro", "feature": "sso"}), 422)
    told = product.rows(
        "select type, data -> 'now' from tidegate.outbox where data ->> 'feature' = 'seats' order by id"
    )
    assert told == [
        ("entitlement.granted", {"limit": 10}),
        ("entitlement.changed", {"limit": 15}),
        ("entitlement.changed", {"limit": 10}),
    ]


def test_times_of_an_override_are_utc_and_lie_ahead(product: Product) -> None:
    path = f"/api/contacts/{ADA}/overrides"
    with product.client("operate") as client:
        times = {"since": "2026-01-01T00:00:00", "expires_at": "2999-01-01T02:00:00+02:00"}
        made = said(client.post(path, json={"feature": "sso", **times}), 201)
        assert (made["since"], made["expires_at"]) == ("2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z")
        past = said(client.post(path, json={"feature": "sso", "expires_at": "2020-01-01T00:00:00"}), 422)
        assert past["detail"].startswith("The override would end at 2020-01-01 00:00:00 UTC and it is ")
        times = {"since": "2999-01-02T00:00:00Z", "expires_at": "2999-01-01T00:00:00"}
        assert "before it holds" in said(client.post(path, json={"feature": "sso", **times}), 422)["detail"]


def test_the_path_is_told_with_names(product: Product, client: Client) -> None:
    explained = said(client.get(f"{HERE}/sso", params={"explain": "true"}))
    [path] = explained["paths"]
    assert [step["what"] for step in path] == [
        "contact", "link", "customer", "subscription", "item", "price", "mapping", "package", "feature",
    ]  # fmt: skip
    assert {step["what"]: step["id"] for step in path} == {
        "contact": f"account:{ADA}",
        "link": "created",
        "customer": "cus_1",
        "subscription": "sub_1",
        "item": "si_1",
        "price": "price_1",
        "mapping": path[6]["id"],
        "package": "pro",
        "feature": "sso",
    }
    assert path[6]["of"] == "price"


def test_what_is_answered_fits_what_is_described(product: Product, client: Client) -> None:
    described = client.get("/api/openapi.json").json()
    operation = described["paths"]["/api/contacts/{contact}/entitlements/{feature}/consume"]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    required = described["components"]["schemas"][schema]["required"]
    assert set(required) <= set(said(product.consume(client, 1)))


def test_a_lost_database_session_costs_one_answer(product: Product, client: Client) -> None:
    def end_sessions() -> None:
        with product.engine.begin() as db:
            db.execute(text(ENDED))

    for ask in (lambda: client.get(f"{HERE}/calls"), lambda: product.consume(client, 1)):
        assert ask().status_code == 200
        end_sessions()
        lost = ask()
        assert (lost.status_code, lost.headers.get("retry-after")) == (503, "5")
        assert lost.json()["type"] == "urn:tidegate:problem:database-unreachable"
        assert ask().status_code == 200
    assert product.left(client) == 998


ENDED = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'tidegate desk' and datname = current_database()"""
