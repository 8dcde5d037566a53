"""Every kind of destination against a server that speaks its protocol, or the folder that it writes."""

import base64
import importlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow.parquet
import pytest
from aiosmtpd.controller import Controller
from ruamel.yaml import YAML
from standardwebhooks import Webhook
from tests.support.builders import arrival
from tests.support.builders import customer as a_customer
from tests.support.ports import free_port
from tests.support.post import SECRET, Post
from tests.support.receiver import Received, Receiver, Reply
from tests.support.waiting import until

from tidegate.delivery import backlog, contacts_due, queue, stored
from tidegate.delivery.messages import Message
from tidegate.delivery.outbox import Told, tell
from tidegate.errors import DestinationInvalid
from tidegate.mirror.apply import apply
from tidegate.stripe_api.resources import RESOURCES

AT = "2026-03-01T12:00:00Z"


def billed(subscription: str, amount: float = 49.0, **said: Any) -> dict[str, Any]:
    properties = {"Subscription Billing Amount": amount, "Subscription Plan Level": "pro", **said}
    return {
        "id": f"billed:in_1:{subscription}:month", "name": "Subscription Billed", "customer": "cus_1",
        "identity": "ada@example.com", "subscription": subscription, "invoice": "in_1", "at": AT, "currency": "usd",
        "amount": int(amount * 100), "reverses": None, "data": {"product": "prod_1", "properties": properties},
    }  # fmt: skip


def bill(post: Post, contact: int | None, *events: dict[str, Any]) -> None:
    with post.engine.begin() as db:
        tell(db, [Told("billing_event.recorded", one, contact, "acme") for one in events])


def linked(post: Post, contact: int, customer: str = "cus_1", email: str = "ada@example.com") -> None:
    post.run(
        "insert into tidegate.links (connection, customer, contact, method) values ('acme', :c, :k, 'metadata')",
        c=customer,
        k=contact,
    )
    body = a_customer(customer, email=email, metadata={"plan": "gold"})
    with post.engine.begin() as db:
        apply(db, "acme", RESOURCES["customers"], [arrival("customers", body, 100)])


def worth(post: Post, contact: int, mrr: dict[str, int], *statuses: str) -> None:
    """Facts of a contact; `mrr` in minor units by currency."""
    post.run(
        "insert into tidegate.contact_facts (contact, mrr, statuses) values (:k, cast(:m as jsonb), :s) "
        "on conflict (contact) do update set mrr = excluded.mrr, statuses = excluded.statuses",
        k=contact,
        m=json.dumps({currency: amount * 1_000_000 for currency, amount in mrr.items()}),
        s=list(statuses),
    )


def test_a_webhook_is_what_the_reference_library_of_the_standard_verifies(post: Post, receiver: Receiver) -> None:
    old = "whsec_" + base64.b64encode(b"o" * 32).decode()
    post.webhook(receiver.url, secrets=[SECRET, old])
    post.tell(post.contact("acme"), [1])
    post.deliver()
    (one,) = [one for one in receiver.received if b"entitlement" in one.body]
    for secret in (SECRET, old):
        event = Webhook(secret).verify(one.body, dict(one.headers))
        assert event["type"] == "entitlement.changed"
        assert event["data"] == {
            "contact": "account:acme",
            "number": 1,
            "of": post.rows("select key from contacts")[0][0],
        }
    assert len(one.headers["webhook-signature"].split()) == 2
    assert "." not in one.id


def test_two_subscriptions_billed_in_one_second_reach_kissmetrics_as_two_events(post: Post, receiver: Receiver) -> None:
    post.environment["KM_KEY"] = "km-1"
    post.destination(
        "km", "kissmetrics", api_key={"env": "KM_KEY"}, url=receiver.url, allow_private=True, properties=[]
    )
    acme = post.contact("acme")
    bill(post, acme, billed("sub_1"), billed("sub_2", 10.0))
    bill(post, acme, billed("sub_3", 5.0) | {"identity": "bob@example.com"})
    failed = iter([500])
    receiver.answer = lambda _: Reply(next(failed, 200))
    post.deliver()
    post.ahead = 120
    post.deliver()
    assert post.waiting() == 0
    second = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
    counted = {(one.query["_p"], one.query["_n"], int(one.query["_t"])) for one in receiver.received}
    assert counted == {
        ("ada@example.com", "Subscription Billed", second),
        ("ada@example.com", "Subscription Billed", second + 1),
        ("bob@example.com", "Subscription Billed", second),
    }
    assert len(receiver.received) == 4, "the one that failed was sent again, in the second it had"
    first = receiver.received[0]
    assert (first.method, first.path) == ("GET", "/e")
    assert {name: first.query[name] for name in ("_k", "_d")} == {"_k": "km-1", "_d": "1"}
    assert (first.query["Subscription Billing Amount"], first.query["Subscription Plan Level"]) == ("49.0", "pro")


def test_kissmetrics_is_told_properties_and_an_alias_once_of_a_link_that_is_certain(
    post: Post, receiver: Receiver
) -> None:
    post.destination(
        "km", "kissmetrics", api_key="km-1", url=receiver.url, allow_private=True, properties=["name", "mrr", "status"]
    )
    acme, zen = post.contact("acme", name="Acme", email="ada@example.com"), post.contact("zen", email="z@example.com")
    linked(post, acme)
    worth(post, acme, {"usd": 4900}, "active", "canceled")
    post.deliver()
    of_acme = [one for one in receiver.received if one.query["_p"] == "acme"]
    assert [one.path for one in of_acme] == ["/a", "/s"]
    assert of_acme[0].query == {"_k": "km-1", "_p": "acme", "_n": "ada@example.com"}
    told = {name: of_acme[1].query[name] for name in ("name", "mrr", "status", "_d")}
    assert told == {"name": "Acme", "mrr": "49.0", "status": "active", "_d": "1"}
    assert not [one for one in receiver.received if one.path == "/a" and one.query["_p"] == "zen"]
    receiver.received.clear()
    worth(post, acme, {"usd": 9900}, "active")
    post.deliver()
    (one,) = receiver.received
    assert (one.path, one.query["mrr"]) == ("/s", "99.0")
    assert "name" not in one.query
    assert zen


def test_segment_gets_batches_of_track_identify_and_group(post: Post, receiver: Receiver) -> None:
    post.destination(
        "seg",
        "segment",
        write_key="wk",
        url=f"{receiver.url}/v1/batch",
        allow_private=True,
        properties=["name", "mrr"],
        in_flight=1,
    )
    acme = post.contact("acme", name="Acme")
    user = post.contact("u-7", "user", name="Ada", email="ada@example.com")
    post.run('insert into contact_members (account, "user", role) values (:a, :u, :r)', a=acme, u=user, r="owner")
    linked(post, acme)
    bill(post, acme, billed("sub_1"))
    worth(post, acme, {"usd": 4900})
    post.deliver()
    assert {one.path for one in receiver.received} == {"/v1/batch"}
    basic = base64.b64decode(receiver.received[0].headers["authorization"].removeprefix("Basic ")).decode()
    assert basic == "wk:"
    calls = [call for one in receiver.received for call in one.json["batch"]]
    by_type = {call["type"]: call for call in calls}
    assert set(by_type) == {"track", "identify", "group"}
    track = by_type["track"]
    assert (track["event"], track["userId"], track["context"]) == ("Subscription Billed", "u-7", {"groupId": "acme"})
    assert track["properties"]["Subscription Billing Amount"] == 49.0
    assert (track["timestamp"], track["properties"]["currency"]) == (AT, "USD")
    group = by_type["group"]
    assert (group["groupId"], group["userId"], group["traits"]) == ("acme", "u-7", {"name": "Acme", "mrr": 49.0})
    assert (by_type["identify"]["userId"], by_type["identify"]["traits"]["name"]) == ("u-7", "Ada")
    assert len({call["messageId"] for call in calls}) == len(calls)


def test_the_billing_user_of_an_account_is_who_has_its_address_else_who_is_billed_by_role(
    post: Post, receiver: Receiver
) -> None:
    url = f"{receiver.url}/v1/batch"
    post.destination("seg", "segment", write_key="wk", url=url, allow_private=True, properties=["name"], in_flight=1)
    members = {
        "address": (("owner", "owner"), ("billing", "billing"), ("address", "member")),
        "billing": (("owner", "owner"), ("billing", "billing"), ("other", "member")),
        "owner": (("admin", "admin"), ("owner", "owner")),
    }
    for account, users in members.items():
        key = post.contact(account, name=account)
        for name, role in users:
            user = post.contact(f"{account}-{name}", "user", email=f"{name}@{account}.com")
            post.run('insert into contact_members (account, "user", role) values (:a, :u, :r)', a=key, u=user, r=role)
        linked(post, key, f"cus_{account}", f"ADDRESS@{account}.com")
    post.deliver()
    groups = [call for one in receiver.received for call in one.json["batch"] if call["type"] == "group"]
    assert {one["groupId"]: one["userId"] for one in groups} == {who: f"{who}-{who}" for who in members}


def test_of_a_batch_that_is_refused_only_the_culprit_is_a_dead_letter(post: Post, receiver: Receiver) -> None:
    post.destination("seg", "segment", write_key="wk", url=receiver.url, allow_private=True, properties=[], in_flight=1)
    acme = post.contact("acme")
    bill(post, acme, *(billed(f"sub_{number}") for number in range(20)))

    def answer(one: Received) -> Reply:
        bad = any(call["properties"].get("bad") for call in one.json["batch"])
        return Reply(400, b'{"success":false}') if bad else Reply()

    bill(post, acme, billed("sub_20", bad=True), billed("sub_21"))
    receiver.answer = answer
    post.deliver()
    assert post.rows("select state, count(*) from deliveries group by 1 order by 1") == [("dead", 1), ("delivered", 21)]


def test_hubspot_upserts_contacts_and_companies_by_your_id(post: Post, receiver: Receiver) -> None:
    post.destination(
        "hs", "hubspot", token="pat-1", url=receiver.url, allow_private=True, contact_id_property="email", rate=None,
        properties=["name", "mrr", "customer.metadata.plan"],
        rename={"mrr": "monthly_revenue", "customer.metadata.plan": "plan"},
    )  # fmt: skip
    acme = post.contact("acme", name="Acme")
    linked(post, acme)
    worth(post, acme, {"usd": 4900})
    post.contact("u-7", "user", name="Ada", email="ada@example.com")
    post.contact("u-8", "user", name="Nobody")
    bad = post.contact("bad", name="Bad")

    def answer(one: Received) -> Reply:
        ids = [record["id"] for record in one.json["inputs"]]
        if "bad" not in ids:
            return Reply(200, b'{"status":"COMPLETE","results":[]}')
        errors = [{"message": "Property values were not valid", "context": {"ids": ["bad"]}}]
        return Reply(207, json.dumps({"status": "COMPLETE", "results": [], "errors": errors}).encode())

    receiver.answer = answer
    post.deliver()
    sent = {record["id"]: (one.path, record) for one in receiver.received for record in one.json["inputs"]}
    assert set(sent) == {"acme", "bad", "ada@example.com"}
    path, record = sent["acme"]
    assert path == "/crm/v3/objects/companies/batch/upsert"
    assert record == {
        "id": "acme",
        "idProperty": "tidegate_id",
        "properties": {"tidegate_id": "acme", "name": "Acme", "monthly_revenue": 49.0, "plan": "gold"},
    }
    path, record = sent["ada@example.com"]
    assert (path, record["idProperty"]) == ("/crm/v3/objects/contacts/batch/upsert", "email")
    assert {one.headers["authorization"] for one in receiver.received} == {"Bearer pat-1"}
    with post.engine.connect() as db:
        (dead,) = backlog.dead(db, "hs")
    assert (dead["contact"], dead["error"]) == ("account:bad", "Property values were not valid")
    assert bad


def test_an_error_of_hubspot_about_nobody_that_was_sent_is_of_the_whole_batch(post: Post, receiver: Receiver) -> None:
    post.destination("hs", "hubspot", token="pat-1", url=receiver.url, allow_private=True, rate=None)
    post.contact("acme", name="Acme")
    errors = [{"message": "It exists already", "context": {"ids": ["51"]}}]
    receiver.answer = lambda _: Reply(207, json.dumps({"results": [], "errors": errors}).encode())
    post.deliver()
    with post.engine.connect() as db:
        (dead,) = backlog.dead(db, "hs")
    assert "It exists already" in dead["error"]


def test_of_an_address_hubspot_keeps_the_lower_case(post: Post, receiver: Receiver) -> None:
    post.destination(
        "hs", "hubspot", token="pat-1", url=receiver.url, allow_private=True, rate=None, contact_id_property="email",
        in_flight=1,
    )  # fmt: skip
    post.contact("u-1", "user", email="Ada@Example.com")
    post.contact("u-2", "user", email="bob@example.com")
    errors = [{"message": "Not valid", "context": {"ids": ["ada@example.com"]}}]
    receiver.answer = lambda _: Reply(207, json.dumps({"results": [], "errors": errors}).encode())
    post.deliver()
    with post.engine.connect() as db:
        assert [(one["contact"], one["error"]) for one in backlog.dead(db, "hs")] == [("user:u-1", "Not valid")]


def test_where_a_destination_is_another_place_contacts_are_sent_whole_again(post: Post, receiver: Receiver) -> None:
    def there(**said: Any) -> None:
        plain = {"url": f"{receiver.url}/one", "allow_private": True, "properties": ["name"]}
        post.destination("api", "http", **{**plain, **said})

    there()
    acme = post.contact("acme", name="Acme")
    post.deliver()
    there(rate=20)
    post.run("insert into tidegate.noted_contacts (contacts) values (array[cast(:k as bigint)])", k=acme)
    post.deliver()
    assert [one.path for one in receiver.received] == ["/one"], "it is the same place"
    there(url=f"{receiver.url}/two")
    post.run("insert into tidegate.noted_contacts (contacts) values (array[cast(:k as bigint)])", k=acme)
    post.deliver()
    assert [(one.path, one.json["name"]) for one in receiver.received] == [("/one", "Acme"), ("/two", "Acme")]
    assert len({one.headers["idempotency-key"] for one in receiver.received}) == 2


def recipes(receiver: Receiver) -> dict[str, dict[str, Any]]:
    """The destinations of the how-to by key, their hosts at the receiver."""
    guide = (Path(__file__).parents[2] / "docs/howto/send-events-on.md").read_text()
    [said] = re.findall(r"## Vitally, Salesforce and other APIs\n\n```yaml\n(.*?)```", guide, re.DOTALL)
    found = {one.pop("key"): one for one in YAML(typ="safe").load(said)["destinations"]}
    for one in found.values():
        one["url"] = re.sub(r"https://[^/]+", receiver.url, one["url"])
    return found


RECIPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vitally": (
        "PUT", "/resources/accounts/acme%2F1",
        {"name": 'Acme "Ü" Ltd', "traits": {
            "name": 'Acme "Ü" Ltd', "mrr": 49.0, "packages": [], "renews_at": "2026-04-01T00:00:00Z",
        }},
    ),
    "salesforce": (
        "PATCH", "/services/data/v62.0/sobjects/Account/Tidegate_Id__c/acme%2F1",
        {"Name": 'Acme "Ü" Ltd', "Tidegate_MRR__c": 49.0},
    ),
}  # fmt: skip
"""By recipe the method, path and body of what is sent of an account."""


@pytest.mark.parametrize("key", RECIPES)
def test_the_recipes_send_an_account_what_they_say(post: Post, receiver: Receiver, key: str) -> None:
    said = recipes(receiver)
    assert said.keys() == RECIPES.keys()
    one = said[key]
    variable = one["headers"]["Authorization"]["env"]
    kept = {name: value for name, value in one.items() if name not in ("type", "headers")}
    with post.engine.begin() as db:
        stored.define(
            db, key, one["type"], kept | {"headers": {"Authorization": "Bearer x"}, "allow_private": True},
            variables={"headers": {"Authorization": {"env": variable}}}, vault=lambda: post.vault, livemode=False,
        )  # fmt: skip
    post.environment[variable] = "Bearer of the variable"
    contact = post.contact("acme/1", name='Acme "Ü" Ltd')
    post.contact("ada", "user", name="Ada")
    post.run("""
insert into tidegate.contact_facts (contact, mrr, renews_at) values (:k, '{"usd": 4900000000}', '2026-04-01Z')""",
        k=contact,
    )  # fmt: skip
    receiver.answer = lambda _: Reply(300 if key == "salesforce" else 200)
    post.deliver()
    [came] = receiver.received
    method, path, body = RECIPES[key]
    assert (came.method, came.path, came.headers["authorization"]) == (method, path, "Bearer of the variable")
    assert came.json == body
    dead = post.rows("select error from tidegate.deliveries where state = 'dead'")
    assert dead == ([("several records there have this key",)] if key == "salesforce" else [])


def test_any_http_api_is_sent_what_its_templates_say_and_only_what_changed(post: Post, receiver: Receiver) -> None:
    post.destination(
        "crm", "http", url=receiver.url + "/accounts/{{ contact.id | url_encode }}", method="PUT", kinds="account",
        headers={"Authorization": "Bearer s3cret"}, allow_private=True, properties=["name", "mrr"],
        body='{"externalId": {{ contact.id | json }}, "traits": {"mrr": {{ properties.mrr | json }}, '
        '"n": {{ properties.name | json }}}}',
    )  # fmt: skip
    acme = post.contact("acme/1", name='A "quoted" \\ name')
    post.contact("u-7", "user")
    worth(post, acme, {"usd": 4900, "eur": 100})
    post.deliver()
    (one,) = receiver.received
    assert (one.method, one.path, one.headers["authorization"]) == ("PUT", "/accounts/acme%2F1", "Bearer s3cret")
    assert one.json == {"externalId": "acme/1", "traits": {"mrr": {"eur": 1.0, "usd": 49.0}, "n": 'A "quoted" \\ name'}}
    post.run("update contacts set owner = 'eve', updated_at = now()")
    post.deliver()
    assert len(receiver.received) == 1, "nothing that was chosen has changed"
    assert post.waiting() == 0
    worth(post, acme, {"usd": 9900})
    post.deliver()
    assert receiver.received[1].json["traits"]["mrr"] == 99.0


def test_what_changes_while_an_answer_is_lost_reaches_it_under_another_id(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, properties=["name"], events=[], timeout=0.5)
    acme = post.contact("acme", name="One")
    receiver.answer = lambda _: Reply(hang_up=True)
    post.deliver()
    post.run("update contacts set name = 'Two' where key = :k", k=acme)
    receiver.says(200)
    post.ahead = 120
    post.deliver()
    told = [(one.id, one.json["data"]["changed"]) for one in receiver.received]
    assert [changed for _, changed in told] == [{"name": "One"}, {"name": "Two"}]
    assert told[0][0] != told[1][0]
    post.run("update contacts set name = 'One' where key = :k", k=acme)
    post.deliver()
    assert len({one.id for one in receiver.received}) == 3, "back to One is another message than the first"


def test_what_changes_back_while_it_is_sent_is_told_after_it_and_before_what_came_later(
    post: Post, receiver: Receiver
) -> None:
    post.webhook(receiver.url, properties=["name"], events=["entitlement.*"])
    acme = post.contact("acme", name="One")
    post.deliver()
    post.run("update contacts set name = 'Two' where key = :k", k=acme)

    looked_at = "select count(*) from deliveries where state = 'waiting' and next_try_at > clock_timestamp()"

    def answer(_: Received) -> Reply:
        if len(receiver.received) == 2:
            post.run("update contacts set name = 'One' where key = :k", k=acme)
            with post.engine.begin() as db:
                contacts_due.expand_noted(db, 100)
            post.tell(acme, [1])
            until(lambda: post.rows(looked_at) == [(3,)], "what came since was looked at", seconds=10)
        return Reply()

    receiver.answer = answer
    post.deliver()
    post.ahead = 10
    post.deliver()
    told = [one.json["data"].get("changed", {}).get("name", one.json["type"]) for one in receiver.received]
    assert told == ["One", "Two", "One", "entitlement.changed"]
    assert post.rows("select sent, number from tidegate.destination_contacts") == [({"name": "One"}, 3)]
    assert post.waiting() == 0


def test_a_contact_that_waits_twice_because_a_process_was_killed_is_told_once(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, properties=["name"], events=[])
    acme = post.contact("acme", name="One")
    with post.engine.begin() as db:
        contacts_due.expand_noted(db, 100)
        assert len(queue.claim(db, "app", "killed", 10).rows) == 1
    post.run("update contacts set name = 'Two' where key = :k", k=acme)
    for post.ahead in (300, 310):
        post.deliver()
    assert [one.json["data"]["changed"] for one in receiver.received] == [{"name": "Two"}]
    assert post.waiting() == 0


def test_what_changes_while_seconds_are_kept_reaches_kissmetrics(post: Post, receiver: Receiver) -> None:
    post.destination(
        "km", "kissmetrics", api_key="km-1", url=receiver.url, allow_private=True, properties=["name"]
    )  # fmt: skip
    acme = post.contact("acme", name="One")
    bill(post, acme, billed("sub_1"))
    sending = threading.Thread(target=post.deliver)
    with post.engine.begin() as db:
        db.exec_driver_sql("lock table tidegate.destination_seconds in exclusive mode")
        sending.start()
        held = "select 1 from pg_locks where not granted and relation = 'tidegate.destination_seconds'::regclass"
        until(lambda: post.rows(held), "seconds are to be kept", seconds=10)
        post.run("update contacts set name = 'Two' where key = :k", k=acme)
        with post.engine.begin() as other:
            contacts_due.expand_noted(other, 100)
    sending.join()
    post.ahead = 10
    post.deliver()
    assert [one.query["name"] for one in receiver.received if one.path == "/s"] == ["One", "Two"]


@pytest.mark.parametrize(
    ("kind", "writes"), [("webhook", "webhook.payload"), ("segment", "segment.call"), ("files", "files._row")]
)
def test_what_no_message_can_hold_is_a_dead_letter_and_hinders_no_other(
    post: Post, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, writes: str
) -> None:
    module, _, name = writes.partition(".")
    written = getattr(importlib.import_module(f"tidegate.delivery.destinations.{module}"), name)

    def write(options: Any, message: Message) -> Any:
        if message.person and message.person.id == "odd":
            raise OverflowError("a number is too large")
        return written(options, message)

    monkeypatch.setattr(f"tidegate.delivery.destinations.{writes}", write)
    to = {"url": receiver.url, "allow_private": True}
    said: dict[str, dict[str, Any]] = {
        "webhook": {**to, "secrets": [SECRET]},
        "segment": {**to, "write_key": "seg-1"},
        "files": {"path": str(tmp_path)},
    }
    post.destination("there", kind, properties=["name"], events=[], **said[kind])
    for id_ in ("one", "odd", "other"):
        post.contact(id_, name=id_)
    post.deliver()
    with post.engine.connect() as db:
        (dead,) = backlog.dead(db, "there")
    assert dead["contact"] == "account:odd"
    assert "what it says cannot be written: a number is too large" in dead["error"]
    assert post.waiting() == 0
    assert post.shown("there")["delivered"] == 2


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_files_hold_every_event_once_and_in_order(post: Post, tmp_path: Path, format_: str) -> None:
    post.destination("lake", "files", path=str(tmp_path / "out"), format=format_, megabytes=0.002)
    acme = post.contact("acme")
    for start in range(0, 30, 10):
        post.tell(acme, range(start, start + 10))
        post.deliver()
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) > 1, "a file that is large enough is followed by another"
    if format_ == "jsonl":
        rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    else:
        rows = [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
        rows = [row | {"data": json.loads(row["data"])} for row in sorted(rows, key=lambda row: int(row["id"][4:]))]
    assert [row["data"]["number"] for row in rows] == list(range(30))
    assert {row["contact"] for row in rows} == {"account:acme"}
    assert len({row["id"] for row in rows}) == 30


def test_a_line_that_a_killed_process_left_unended_spoils_no_other(post: Post, tmp_path: Path) -> None:
    post.destination("lake", "files", path=str(tmp_path))
    acme = post.contact("acme")
    post.tell(acme, [1])
    post.deliver()
    (file,) = tmp_path.iterdir()
    with file.open("a") as writing:
        writing.write('{"id": "evt_9", "ty')
    post.tell(acme, [2])
    post.deliver()
    assert [json.loads(line)["data"]["number"] for line in file.read_text().splitlines()] == [1, 2]


def test_another_batch_that_begins_with_the_same_row_is_another_file(post: Post, tmp_path: Path) -> None:
    post.contact("acme")
    for key, events in (("lake", ["entitlement.*"]), ("both", ["entitlement.*", "stage.*"])):
        post.destination(key, "files", path=str(tmp_path), format="parquet", events=events)
    with post.engine.begin() as db:
        tell(db, [Told("entitlement.changed", {}), Told("stage.changed", {})])
    post.deliver()
    rows = [row["type"] for file in tmp_path.iterdir() for row in pyarrow.parquet.read_table(file).to_pylist()]
    assert sorted(rows) == ["entitlement.changed", "entitlement.changed", "stage.changed"]


# ── a warehouse ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Stored:
    """A warehouse that a test looks into."""

    def __init__(self, url: str) -> None:
        self.url = url

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        return self._did(sql, read=True)

    def write(self, sql: str) -> None:
        self._did(sql, read=False)

    def _did(self, sql: str, *, read: bool) -> list[tuple[Any, ...]]:
        if self.url.startswith("duckdb"):
            with duckdb.connect(self.url.removeprefix("duckdb://")) as db:
                done = db.execute(sql)
                return done.fetchall() if read else []
        with psycopg.connect(self.url) as db:
            rows = db.execute(sql.encode())
            return [tuple(row) for row in rows] if read else []


@pytest.fixture(params=["postgresql", "duckdb"])
def stored_in(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    """An empty one of PostgreSQL, in a database of its own, and one of DuckDB."""
    if request.param == "duckdb":
        return Stored(f"duckdb://{tmp_path}/lake.duckdb")
    url: str = request.getfixturevalue("empty_database_url")
    return Stored(url.replace("+psycopg", ""))


def test_a_warehouse_holds_every_event_once_and_contacts_as_they_are(post: Post, stored_in: Stored) -> None:
    post.destination(
        "lake", "warehouse", url=stored_in.url, allow_private=True, table="main_events", contacts="people",
        properties=["name", "properties.tier"], rename={"name": "called"},
    )  # fmt: skip
    acme, zen = post.contact("acme", name="O'Brien 🎉"), post.contact("zen", name="Zen")
    post.run("insert into tidegate.noted_contacts (contacts) values (:both)", both=[acme, zen])
    post.tell(acme, [1, 2])
    bill(post, acme, billed("sub_1"))
    assert post.deliver().delivered == 5
    events = stored_in.read("""
select id, type, contact, name, cast(data as text), extract(epoch from happened_at) from main_events order by id""")
    assert [one[1] for one in events] == ["billing_event.recorded", "entitlement.changed", "entitlement.changed"]
    assert events[0][2:4] == ("account:acme", "Subscription Billed")
    assert float(events[0][5]) == datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    assert json.loads(events[0][4])["data"]["properties"]["Subscription Billing Amount"] == 49.0
    assert people_of(stored_in)["account:acme"] == {"called": "O'Brien 🎉", "properties.tier": None}

    post.run("update tidegate.deliveries set state = 'waiting', next_try_at = now() where outbox is not null")
    post.run("update contacts set name = 'Zen & Co' where key = :k", k=zen)
    post.deliver()
    assert stored_in.read("select count(*) from main_events") == [(3,)], "what is sent again is known by its id"
    assert people_of(stored_in)["account:zen"]["called"] == "Zen & Co"


def people_of(stored_in: Stored) -> dict[str, dict[str, Any]]:
    return {
        ref: json.loads(said) for ref, said in stored_in.read("select contact, cast(properties as text) from people")
    }


def test_a_contact_that_is_another_or_nobody_is_so_in_a_warehouse(post: Post, stored_in: Stored) -> None:
    post.destination("lake", "warehouse", url=stored_in.url, allow_private=True, contacts="people", properties=["name"])
    keys = {ref: post.contact(ref, name=ref) for ref in ("acme", "gone", "left", "stays")}
    post.run("insert into tidegate.noted_contacts (contacts) values (:all)", all=[*keys.values()])
    post.deliver()
    assert {*people_of(stored_in)} == {"account:acme", "account:gone", "account:left", "account:stays"}
    told = [
        Told("contact.renamed", {"from": "account:acme", "to": "account:ajax"}, keys["acme"]),
        Told("contact.merged", {"into": "account:stays", "from": "account:left"}, keys["stays"]),
        Told("contact.forgotten", {"kind": "account", "external_id": "gone"}, keys["gone"]),
        Told("contact.renamed", {"redacted": True}, keys["stays"]),
    ]
    with post.engine.begin() as db:
        tell(db, told)
    post.deliver()
    assert {ref: one["name"] for ref, one in people_of(stored_in).items()} == {
        "account:ajax": "acme", "account:stays": "stays",
    }  # fmt: skip


def test_a_warehouse_that_is_away_is_tried_again_and_one_that_refuses_is_paused(
    post: Post, stored_in: Stored, tmp_path: Path
) -> None:
    """Nothing is written of a batch that could not be written whole."""
    post.destination("lake", "warehouse", url=stored_in.url, allow_private=True)
    post.tell(post.contact("acme"), [1])
    post.deliver()
    is_file = stored_in.url.startswith("duckdb")
    away = f"duckdb://{tmp_path}/nowhere/x.duckdb" if is_file else "postgresql://nobody@127.0.0.1:1/none"
    post.destination("lake", "warehouse", url=away, allow_private=True)
    post.tell(None, [2], "sync.finished")
    assert post.deliver().by_destination["lake"].delivered == 0
    assert post.rows("select paused_at is null, error <> '' from destinations") == [(True, True)]
    post.destination("lake", "warehouse", url=stored_in.url, allow_private=True)
    stored_in.write("drop table tidegate_events; create table tidegate_events (id int)")
    post.ahead = 60
    post.deliver()
    assert post.rows("select paused_at is not null from destinations") == [(True,)]
    stored_in.write("drop table tidegate_events")
    with post.engine.begin() as db:
        stored.resume(db, "lake")
    assert post.deliver().delivered == 1
    assert stored_in.read("select type from tidegate_events") == [("sync.finished",)]


def test_a_warehouse_on_a_private_network_is_one_that_was_allowed(post: Post, server_url: str) -> None:
    for url in ("postgresql://u:secret@127.0.0.1:5432/x", "postgresql:///x?host=/run/postgresql"):
        post.destination("lake", "warehouse", url=url)
        post.tell(None, [1], "sync.finished")
        post.deliver()
        [(error,)] = post.rows("select error from destinations where paused_at is not null")
        assert "allow_private" in error
        assert "secret" not in error
        with post.engine.begin() as db:
            assert "secret" not in str(stored.shown(db, "lake"))
            stored.resume(db, "lake")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"url": "mysql://x/y"}, "begins with postgresql:// or duckdb://"),
        ({"url": "duckdb:///"}, "named whole"),
        ({"url": "duckdb://x.duckdb"}, "named whole"),
        ({"url": "postgresql:///x"}, "names one host"),
        ({"url": "postgresql://a,b/x"}, "names one host"),
        ({"url": "postgresql://a/x?hostaddr=10.0.0.1"}, "and not hostaddr"),
        ({"url": "postgresql://a:x/x"}, "[Pp]ort"),
        ({"url": "postgresql://a/x?port=x"}, "port is a number"),
        ({"url": "postgresql://a/x", "table": 'a"b'}, "is no table"),
        ({"url": "postgresql://a/x", "contacts": "a.b.c"}, "is no table"),
    ],
)
def test_what_is_no_warehouse_is_refused(post: Post, said: dict[str, str], words: str) -> None:
    with pytest.raises(DestinationInvalid, match=words):
        post.destination("lake", "warehouse", **said)


class Letters:
    """An SMTP server's handler that keeps what comes."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []
        self.refuse = False
        self.lock = threading.Lock()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refuse:
            return "451 come again"
        with self.lock:
            self.came.append((envelope.rcpt_tos[0], envelope.content.decode()))
        return "250 OK"


@pytest.fixture
def letters() -> Iterator[tuple[Letters, int]]:
    handler = Letters()
    port = free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield handler, port
    finally:
        controller.stop()


def test_apprise_writes_letters_and_writes_again_what_was_not_taken(post: Post, letters: tuple[Letters, int]) -> None:
    handler, port = letters
    url = f"mailto://127.0.0.1:{port}?from=hub@example.com&to=ops@example.com&mode=insecure"
    post.destination("ops", "apprise", url=url, events=["billing_event.*"], allow_private=True)
    acme = post.contact("acme", name="Acme")
    bill(post, acme, billed("sub_1"))
    handler.refuse = True
    post.deliver()
    assert handler.came == []
    assert post.rows("select attempts, state from deliveries") == [(1, "waiting")]
    assert "url" not in str(post.rows("select error from deliveries"))
    handler.refuse = False
    post.ahead = 60
    post.deliver()
    ((to, letter),) = handler.came
    assert to == "ops@example.com"
    assert "Subject: Subscription Billed: Acme" in letter
    assert post.shown("ops")["spec"]["url"] == "…"


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.1:2525", "[::1]:25"])
def test_apprise_refuses_a_private_server_behind_a_public_address(post: Post, server: str) -> None:
    url = f"mailto://hub:secret@example.com?smtp={server}&to=ops@example.com"
    post.destination("ops", "apprise", url=url, events=["*"])
    post.tell(post.contact("acme"), [1])
    addresses = {"example.com": "93.184.215.14"}

    def known(host: str, *said: Any, **more: Any) -> Any:
        return real(addresses.get(host, host), *said, **more)

    real = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", known)
        post.deliver()
    assert "which is private" in post.shown("ops")["error"]
    assert post.shown("ops")["paused_at"] is not None


@pytest.mark.parametrize(
    "url", ["json://rebound.example:{}", "mailto://rebound.example:{}?from=hub@example.com&to=ops@example.com"]
)
def test_apprise_gains_nothing_by_a_name_that_leads_elsewhere_as_it_connects(post: Post, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as private:
        private.setblocking(False)
        post.destination("ops", "apprise", url=url.format(private.getsockname()[1]), events=["*"])
        post.tell(post.contact("acme"), [1])
        asked: list[int] = []

        def known(host: str, port: int, *said: Any, **more: Any) -> Any:
            if host == "rebound.example":
                asked.append(port)  # 0: it is looked at beforehand
                host = "127.0.0.1" if port else "93.184.215.14"
            return real(host, port, *said, **more)

        real = socket.getaddrinfo
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", known)
            post.deliver()
        assert asked[-1] == private.getsockname()[1]
        with pytest.raises(BlockingIOError):
            private.accept()
    assert "What Apprise connects to is at 127.0.0.1, which is private" in post.shown("ops")["error"]
    assert post.shown("ops")["paused_at"] is not None
    assert post.waiting() == 1


def test_apprise_follows_no_redirect(post: Post, receiver: Receiver) -> None:
    receiver.answer = lambda one: Reply(200) if one.path == "/else" else Reply(307, headers={"location": "/else"})
    url = f"json://127.0.0.1:{receiver.port}/first?redirect=yes"
    post.destination("ops", "apprise", url=url, events=["*"], allow_private=True)
    post.tell(post.contact("acme"), [1])
    post.deliver()
    assert [one.path.rstrip("/") for one in receiver.received] == ["/first"]
    assert post.waiting() == 1


def test_apprise_tries_again_where_its_host_is_not_found(post: Post) -> None:
    post.destination("ops", "apprise", url="json://nowhere.invalid", events=["*"])
    post.tell(post.contact("acme"), [1])
    post.deliver()
    assert post.rows("select attempts, claimed_by from deliveries") == [(1, None)]
    assert "its host is not found" in post.shown("ops")["error"]


def test_apprise_refuses_a_private_host_and_a_service_that_it_does_not_know(post: Post, receiver: Receiver) -> None:
    post.destination("ops", "apprise", url=f"json://127.0.0.1:{receiver.port}", events=["*"])
    post.destination("odd", "apprise", url="carrierpigeon://coop", events=["*"])
    post.tell(post.contact("acme"), [1])
    post.deliver()
    assert receiver.received == []
    assert "127.0.0.1 is at 127.0.0.1, which is private" in post.shown("ops")["error"]
    assert "Apprise does not understand its URL" in post.shown("odd")["error"]
