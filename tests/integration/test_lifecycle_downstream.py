"""Where a contact stands is kept in sync at destinations: stage, segments, health; only what changed."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from tests.support.placed import NOW
from tests.support.post import Post
from tests.support.receiver import Receiver

from tidegate.lifecycle.rules import JOURNY
from tidegate.workflows.lifecycle import lifecycle, lifecycle_rules

KEPT = ["stage", "segments", "health", "health_band", "failed_payments"]


def has(post: Post, contact: int, **facts: Any) -> None:
    """Facts of the lifecycle, as `keep_facts` would have written them."""
    columns = {"status": "active", "mrr_total": 500, "latest_invoice_status": "paid", "usage_share": 0.5} | facts
    for table in ("contact_facts", "contact_lifecycle"):
        post.run(f"insert into tidegate.{table} (contact) values (:c) on conflict do nothing", c=contact)
    sets = ", ".join(f"{name} = :{name}" for name in columns)
    post.run(f"update tidegate.contact_lifecycle set {sets} where contact = :c", c=contact, **columns)


def passes(post: Post, days: float = 0) -> None:
    lifecycle.keep(post.engine, as_of=NOW + timedelta(days=days))


def changes(receiver: Receiver) -> list[dict[str, Any]]:
    """What the webhooks since this was asked last say changed."""
    found = [one["data"]["changed"] for one in receiver.events()]
    receiver.received.clear()
    return found


def test_where_a_contact_stands_reaches_destinations_and_only_what_changed(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, properties=KEPT, events=[])
    acme = post.contact("acme")
    has(post, acme)
    passes(post)
    post.deliver()
    assert changes(receiver) == [
        {"stage": "customer", "segments": ["starter"], "health": 90, "health_band": "good", "failed_payments": 0}
    ]
    passes(post, 1)
    post.deliver()
    assert changes(receiver) == [], "nothing changed"
    has(post, acme, past_due_since=NOW, failed_attempts=2)
    passes(post, 10)
    post.deliver()
    assert changes(receiver) == [{"health": 53, "health_band": "fair", "failed_payments": 2}]
    post.webhook(receiver.url, properties=["stage", "health"], events=[])
    has(post, acme, past_due_since=None, failed_attempts=0)
    passes(post, 10)
    post.deliver()
    [changed] = changes(receiver)
    assert changed.keys() == {"segments", "health", "health_band", "failed_payments"}
    assert {name for name, value in changed.items() if value is None} == changed.keys() - {"health"}, (
        "what is chosen no more is there no more"
    )


def test_rules_that_move_somebody_are_no_event_but_its_stage_is_kept_in_sync(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, properties=["stage"], events=["stage.changed"])
    acme = post.contact("acme")
    has(post, acme, status="canceled")
    passes(post)
    post.deliver()
    assert changes(receiver) == [{"stage": "prospect"}]
    lifecycle_rules.change(post.engine, "ada", stages=JOURNY, as_of=NOW)
    post.deliver()
    assert changes(receiver) == [{"stage": "churn"}]
    assert post.rows("select count(*) from tidegate.outbox where type = 'stage.changed'") == [(0,)]


def test_what_an_import_places_is_sent_to_nobody(post: Post, receiver: Receiver) -> None:
    with post.engine.begin() as db:
        db.execute(text("insert into tidegate.contacts (livemode, kind, external_id, made_by) values "
                        "(false, 'account', 'old', 'import')"))  # fmt: skip
    [(old,)] = post.rows("select key from tidegate.contacts")
    has(post, old)
    post.webhook(receiver.url, properties=KEPT, events=[])
    passes(post)
    post.deliver()
    assert changes(receiver) == []
    has(post, old, past_due_since=NOW, failed_attempts=1)
    passes(post, 10)
    post.deliver()
    assert [one["failed_payments"] for one in changes(receiver)] == [1], "what happens to it later is sent"


def test_facts_that_nobody_keeps_note_nobody(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, properties=KEPT, events=[])
    acme = post.contact("acme")
    has(post, acme)
    passes(post)
    post.deliver()
    post.run("update tidegate.contact_lifecycle set decline_code = 'expired_card', health = health + 0.2")
    assert post.rows("select * from tidegate.noted_contacts") == []
