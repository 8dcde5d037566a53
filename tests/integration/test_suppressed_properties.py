"""A suppressed property is told to no destination, by no message, and again when that is taken back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Client
from tests.support.acting import Acting
from tests.support.command_line import Cli
from tests.support.post import Post
from tests.support.receiver import Receiver
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.delivery.outbox import Told, tell
from tidegate.errors import ConfigInvalid, DestinationInvalid, ManagedByFile
from tidegate.security import tokens
from tidegate.wiring import Hub
from tidegate.workflows.config import config_file
from tidegate.workflows.config.config_export import export
from tidegate.workflows.config.config_sections import read
from tidegate.workflows.config.config_yaml import dump
from tidegate.workflows.delivery import destinations_tried, property_suppression
from tidegate.workflows.previewing import settle

KEPT = ("name", "email", "owner", "properties.tier", "properties.nps")


def came(post: Post, receiver: Receiver) -> list[dict[str, Any]]:
    """What was sent, in its order; the receiver begins anew."""
    post.deliver()
    found = [one.json["data"] for one in receiver.received]
    receiver.received.clear()
    return found


def hide(post: Post, *names: str) -> None:
    with post.engine.begin() as db:
        for name in names:
            property_suppression.suppress(db, name, "nobody's business", "ada")


def show(post: Post, *names: str) -> None:
    with post.engine.begin() as db:
        for name in names:
            property_suppression.unsuppress(db, name, "ada")


def test_what_is_kept_in_sync_is_told_without_it_and_whole_when_it_is_taken_back(
    post: Post, receiver: Receiver
) -> None:
    post.webhook(receiver.url, events=(), properties=KEPT)
    hide(post, "properties.tier", "email")
    key = post.contact("acme", name="Acme", email="ada@example.com", properties={"tier": "gold", "nps": 7})
    [first] = came(post, receiver)
    told = first.get("properties", first)
    assert {name: told[name] for name in ("name", "properties.nps")} == {"name": "Acme", "properties.nps": 7}
    assert not {"email", "properties.tier"} & {*told}
    post.run("""update tidegate.contacts set properties = '{"tier": "silver", "nps": 7}' where key = :k""", k=key)
    assert came(post, receiver) == [], "nothing else changed"
    show(post, "properties.tier")
    [again] = came(post, receiver)
    assert "silver" in str(again)
    assert "ada@example.com" not in str(again)


def test_what_a_destination_has_already_is_neither_told_nor_taken_back(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, events=(), properties=KEPT)
    key = post.contact("acme", name="Acme", properties={"tier": "gold", "nps": 7})
    assert "gold" in str(came(post, receiver))
    hide(post, "properties.tier")
    post.run("update tidegate.contacts set owner = 'bob' where key = :k", k=key)
    [changed] = came(post, receiver)
    assert "bob" in str(changed)
    assert "tier" not in str(changed)
    show(post, "properties.tier")
    assert came(post, receiver) == [], "it is as it was told"


def test_events_are_told_without_it_and_by_an_id_where_the_address_is_hidden(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, events=("*",), properties=("email", "owner"))
    hide(post, "Plan", "email", "stage", "mrr")
    key = post.contact("acme", email="ada@example.com", owner="bob")
    came(post, receiver)
    bill = {"id": "b1", "name": "Subscription Billed", "identity": "ada@example.com", "customer": "cus_1"}
    properties = {"properties": {"Plan": "pro", "Amount": 49.0}}
    reasons = ["mrr is above 40 (49.50)", "usage is at least 0.8 (0.9)"]
    with post.engine.begin() as db:
        tell(db, [
            Told("billing_event.recorded", bill | {"data": properties}, key, "acme"),
            Told("stage.changed", {"before": "trial", "now": "customer", "reasons": reasons}, key),
            Told("segment.entered", {"segment": "growth", "reasons": reasons}, key),
        ])  # fmt: skip
    billed, entered = came(post, receiver)
    assert "ada@example.com" not in str((billed, entered))
    assert billed["data"] == {"properties": {"Amount": 49.0}}
    assert entered["reasons"] == reasons[1:]
    assert "bob" in str(billed), "what is not hidden stands beside it"


def test_actions_and_their_templates_do_not_see_it(hub: Hub) -> None:
    people = Acting(hub)
    key = people.add("acme", {"tier": "gold"}, status="trialing", mrr_total=49)
    people.pass_()
    template = "{{ contact.name }}|{{ contact.properties.tier }}|{{ facts.mrr }}|{{ facts.stage }}|{{ reason }}"
    step = {"destination": "log", "template": template}
    people.act({"enters_stage": "customer"}, do=[step], when={"field": "mrr", "above": 40})
    with hub.engine.begin() as db:
        for name in ("name", "properties.tier", "mrr"):
            property_suppression.suppress(db, name, "nobody's business", "ada")
    people.run("update tidegate.contacts set name = 'Acme Ltd' where key = :key", key=key)
    people.set(key, status="active")
    assert people.pass_(1).fired == 1
    [sent] = people.sent()
    assert sent["text"].startswith("|||customer|it came into the stage customer from trial")
    assert "49" not in str(sent)
    with hub.engine.begin() as db:
        property_suppression.suppress(db, "stage", "nobody's business", "ada")
    other = people.add("initech", status="trialing", mrr_total=49)
    people.pass_()
    people.set(other, status="active")
    assert people.pass_(1).fired == 1
    sent = people.sent()[-1]
    assert sent["text"] == "||||subscription.status is active or past_due (active)", "nor by what set it off"
    assert {*sent["trigger"]} == {"kind", "at"}
    assert "customer" not in str(sent)


# ── surfaces ─────────────────────────────────────────────────────────────────────────────────────────────────────────

FILE = """
suppressed_properties:
  - customer.phone
  - {name: Product Name, reason: it holds what people wrote}
"""


def applied(hub: Hub, said: str, **options: Any) -> list[tuple[str, str]]:
    change = config_file.apply(read(said, "f.yaml", {}), "ada", **options)
    return [(one["action"], one["subject"]) for one in settle(hub.engine, change, None, anyway=True).result["steps"]]


@pytest.fixture
def people(hub: Hub) -> Acting:
    return Acting(hub)


def test_the_file_hides_properties_and_shows_them_again_with_prune(people: Acting) -> None:
    hub = people.hub
    assert applied(hub, FILE) == [("create", "customer.phone"), ("create", "Product Name")]
    assert applied(hub, FILE) == []
    with hub.engine.connect() as db:
        written = {"suppressed_properties": export(db)["suppressed_properties"]}
    assert applied(hub, dump(written)) == []
    assert applied(hub, FILE.replace("it holds", "for it holds")) == [("change", "Product Name")]
    with hub.engine.begin() as db, pytest.raises(ManagedByFile, match=r"customer\.phone"):
        property_suppression.unsuppress(db, "customer.phone", "ada")
    assert applied(hub, "suppressed_properties: [Product Name]")[-1] == ("release", "customer.phone")
    assert applied(hub, "suppressed_properties: []", prune=True) == [("remove", "Product Name")]
    assert people.rows("select name from tidegate.suppressed_properties") == [("customer.phone",)]
    with pytest.raises(ConfigInvalid, match=r"line 1.*there is no property mrrr\. Is it mrr\?"):
        applied(hub, "suppressed_properties: [mrrr]")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mrrr", "Is it mrr?"), ("properties.", "there is no property"), ("id", "says whom a message is about"),
        ("customers", "suppresses a whole contact"), ("", "there is no property"),
    ],
)  # fmt: skip
def test_what_is_no_property_is_refused(people: Acting, name: str, words: str) -> None:
    with people.hub.engine.begin() as db, pytest.raises(DestinationInvalid) as refused:
        property_suppression.suppress(db, name, "why", "ada")
    assert words in str(refused.value)


def test_a_preview_shows_what_would_be_sent_and_every_surface_says_the_same(
    people: Acting, database_url: str, tmp_path: Path, client: Client
) -> None:
    cli = Cli(tmp_path, database_url)
    key = people.add("acme")
    people.run("update tidegate.contacts set name = 'Acme Ltd' where key = :key", key=key)
    people.destination("all", properties=["name", "owner"])
    made = client.put("/api/suppressed-properties/name", json={"reason": "nobody's business"})
    assert (made.status_code, made.json()["name"], made.json()["by"]) == (200, "name", "token:admin")
    answered = client.get("/api/suppressed-properties").json()
    assert cli.json("destinations", "suppressed") | {"next": None} == answered
    with people.hub.engine.connect() as db:
        shown = destinations_tried.preview(db, people.hub.destination(db, "all"), key)
    assert "Acme Ltd" not in str(shown)
    assert "tells nobody" not in cli("destinations", "unsuppress", "name").stdout
    with people.hub.engine.connect() as db:
        assert "Acme Ltd" in str(destinations_tried.preview(db, people.hub.destination(db, "all"), key))
    assert cli.json("destinations", "suppress", "mrr", "--reason", "x")["name"] == "mrr"
    assert client.delete("/api/suppressed-properties/mrr").status_code == 204
    assert "is not suppressed" in client.delete("/api/suppressed-properties/mrr").json()["detail"]


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    """Of the API, with a token that may do everything."""
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "admin", ["admin"])
    with (
        serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client,
    ):
        yield client
