"""Rows that leave, come back or get another key: their objects go with them, and nothing else is deleted or kept."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.support.desk import FEW, Desk, Shop, opened, stocked

from tidegate.workflows.outbound.sync_plan import Part

pytestmark = pytest.mark.further

BY_MARK = {"metadata": {"row": "mark"}}
SENT = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 7}}
NAMED = {"name": "name", "phone": "phone"}


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("desk")) as desk:
        shop = stocked(desk)
        desk.learn()
        yield shop


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return shop.desk


def person(key: str, id_: str = "1", **said: Any) -> dict[str, Any]:
    return {"id": id_, "email": f"{id_}@{key}.example", "name": "Ada", "phone": "+49 30 1"} | said


@pytest.mark.wide
def test_a_row_under_another_key_keeps_its_object_and_all_that_is_known_of_it(desk: Desk) -> None:
    one, two = person("rekeyed"), person("rekeyed", "2")
    desk.table("rekeyed", one, two)
    said: dict[str, Any] = {"delete": "remove", "on_conflict": "stripe"}
    desk.sync("rekeyed", "customers", {"email": "email"}, NAMED, **said)
    desk.run("rekeyed")
    [made] = desk.v1.customers.list({"email": one["email"]}).data
    desk.v1.customers.update(made.id, {"name": "Countess"})
    desk.catch_up()
    desk.asked()
    desk.table("rekeyed", one | {"id": "100", "phone": "+49 30 2"}, two)
    plan = desk.plan("rekeyed")
    assert [plan["counts"][kind] for kind in ("create", "update", "delete", "gone", "invalid")] == [0, 1, 0, 1, 0]
    assert plan["sample"]["gone"][0]["why"] == "it left the model, and row 100 is its object now"
    assert plan["sample"]["update"][0]["kept"][0]["field"] == "name", "what Stripe won is known under the new key"
    assert desk.run("rekeyed")["sent"] == {"update": 1}
    assert desk.asked() == [("POST", f"customers/{made.id}", {"phone": "+49 30 2"})]
    desk.table("rekeyed", one | {"id": "100", "phone": "+49 30 2", "name": "Lovelace"}, two)
    assert (desk.run("rekeyed")["sent"], desk.asked()) == ({}, [])
    desk.table("rekeyed", two)
    assert desk.run("rekeyed")["sent"] == {"delete": 1}, "and leaves with that"
    assert desk.asked() == [("DELETE", f"customers/{made.id}", {})]


@pytest.mark.wide
def test_of_a_part_the_object_is_handed_over_and_not_deleted_by_the_next_run(desk: Desk) -> None:
    one, two = person("handed"), person("handed", "2")
    desk.table("handed", one, two)
    desk.sync("handed", "customers", {"email": "email"}, NAMED, delete="remove")
    desk.run("handed")
    desk.asked()
    desk.table("handed", one | {"id": "100"}, two)
    desk.run("handed", part=Part(keys=("100",)))
    assert (desk.run("handed")["sent"], desk.asked()) == ({}, [])
    desk.table("handed", one, one | {"id": "100"}, two)
    desk.run("handed")
    refused = ("invalid", "it would be the same object in Stripe as row 100")
    assert desk.states("handed")["1"] == refused
    desk.table("handed", one | {"name": "Somebody else"}, one | {"id": "100"}, two)
    for _ in range(2):
        assert (desk.run("handed")["sent"], desk.asked(), desk.states("handed")["1"]) == ({}, [], refused)


def subscription(shop: Shop) -> Mapping[str, Any]:
    return {
        "customer": {"value": shop.customer}, "items": [{"price": {"value": shop.price}}],
        "proration_behavior": {"value": "none"}, **SENT,
    }  # fmt: skip


BACK: Mapping[str, tuple[str, Any, Mapping[str, Any]]] = {
    "prices": ("prices", {"lookup_key": "mark"}, {"currency": {"value": "usd"}, "unit_amount": {"value": 600}}),
    "products": ("products", BY_MARK, {"name": "mark"}),
    "ending": ("subscriptions", BY_MARK, {}),
    "canceled": ("subscriptions", BY_MARK, {}),
    "voided": ("invoices", BY_MARK, {**SENT, "description": "mark"}),
    "quotes": ("quotes", BY_MARK, {"description": "mark"}),
}
REVIVED: Mapping[str, dict[str, Any]] = {
    "prices": {"active": "true"}, "products": {"active": "true"},
    "ending": {"cancel_at_period_end": "false", "proration_behavior": "none"},
}  # fmt: skip


def coming_back(shop: Shop, case: str) -> tuple[str, Mapping[str, Any], dict[str, Any]]:
    """The resource, the field map and the delete behaviour of a case."""
    resource, _, fields = BACK[case]
    if case == "prices":
        fields = {"product": {"value": shop.product}, **fields}
    elif resource == "subscriptions":
        fields = subscription(shop)
    elif resource == "invoices":
        fields = {"customer": {"value": shop.customer}, **fields}
    elif resource == "quotes":
        fields = {"customer": {"value": shop.customer}, "line_items": [{"price": {"value": shop.price}}], **fields}
    return resource, fields, {"how": "remove"} | ({"at": "now"} if case == "canceled" else {})


@pytest.mark.parametrize(
    "case", [c if c in {"prices", "canceled"} else pytest.param(c, marks=pytest.mark.wide) for c in BACK]
)
@pytest.mark.wide
def test_a_row_that_comes_back_has_a_living_object_again(shop: Shop, case: str) -> None:
    desk, key = shop.desk, f"back_{case}"
    resource, fields, delete = coming_back(shop, case)
    rows = [{"id": str(n), "mark": f"{case}-{n}"} for n in range(2)]
    desk.table(key, *rows)
    desk.sync(key, resource, BACK[case][1], fields, delete=delete)
    desk.run(key)
    [path] = [f"{resource}/{one['id']}" for one in _of(desk, resource, f"{case}-1")]
    if case == "products":
        desk.v1.prices.create({"product": path.removeprefix("products/"), "currency": "usd", "unit_amount": 1})
    if case == "voided":
        item = {"customer": shop.customer, "invoice": path.removeprefix("invoices/"), "amount": 500, "currency": "usd"}
        desk.v1.invoice_items.create(item)
        desk.v1.invoices.finalize_invoice(path.removeprefix("invoices/"))
    desk.catch_up()
    desk.table(key, rows[0])
    desk.run(key)
    desk.catch_up()
    desk.asked()
    assert (desk.run(key)["sent"], desk.asked()) == ({}, []), "it is removed once"
    desk.table(key, *rows)
    done = desk.run(key)
    assert desk.states(key)["1"] == ("sent", "")
    if case in REVIVED:
        assert (done["sent"], desk.asked()) == ({"update": 1}, [("POST", path, REVIVED[case])])
    else:
        assert done["sent"] == {"create": 1}, desk.states(key)
        assert [asked[1] for asked in desk.asked()] == [resource]
        assert sorted(one["status"] for one in _of(desk, resource, f"{case}-1")) == {
            "canceled": ["active", "canceled"], "voided": ["draft", "void"], "quotes": ["canceled", "draft"],
        }[case]  # fmt: skip
    assert (desk.run(key)["sent"], desk.asked()) == ({}, [])


def _of(desk: Desk, resource: str, mark: str) -> list[dict[str, Any]]:
    if resource == "prices":
        return [one.to_dict() for one in desk.v1.prices.list({"lookup_keys": [mark]}).data]
    return desk.marked(resource, "row", mark)


@pytest.mark.wide
def test_what_somebody_else_archived_or_canceled_stays_so(shop: Shop, desk: Desk) -> None:
    rows = [{"id": str(n), "mark": f"theirs-{n}"} for n in range(2)]
    desk.table("theirs", *rows)
    desk.sync("theirs", "subscriptions", BY_MARK, subscription(shop))
    desk.run("theirs")
    [made] = desk.marked("subscriptions", "row", "theirs-1")
    desk.table("theirs", rows[0])
    desk.run("theirs")
    desk.v1.subscriptions.cancel(made["id"])
    desk.catch_up()
    desk.asked()
    desk.table("theirs", *rows)
    assert (desk.run("theirs")["sent"], desk.asked()) == ({}, [])


@pytest.mark.wide
def test_what_a_sync_only_changed_is_never_deleted(desk: Desk) -> None:
    one, two = person("handmade"), person("handmade", "2")
    made = desk.v1.customers.create({"email": one["email"], "name": "By hand"}).id
    desk.catch_up()
    desk.table("handmade", one, two)
    desk.sync("handmade", "customers", {"email": "email"}, NAMED, mode="update")
    assert desk.run("handmade")["sent"] == {"update": 1}
    desk.sync("handmade", "customers", {"email": "email"}, NAMED, delete="remove")
    desk.table("handmade", two)
    assert desk.run("handmade")["sent"] == {"create": 1}
    assert not desk.full("customers", made).get("deleted")


@pytest.mark.wide
def test_what_left_before_is_deleted_once_a_sync_deletes(desk: Desk) -> None:
    one, two = person("later"), person("later", "2")
    desk.table("later", one, two)
    desk.sync("later", "customers", {"email": "email"}, NAMED)
    desk.run("later")
    desk.table("later", two)
    assert desk.run("later")["counts"]["gone"] == 1
    desk.asked()
    desk.sync("later", "customers", {"email": "email"}, NAMED, delete="remove")
    assert desk.plan("later")["stops"] == ["1 of 2 rows would be deleted, more than 5 %"]
    assert desk.run("later")["sent"] == {"delete": 1}
    assert (desk.run("later", part=Part(full=True))["sent"], len(desk.asked())) == ({}, 1)
    desk.table("later", one, two)
    assert desk.run("later")["sent"] == {"create": 1}


@pytest.mark.wide
def test_a_row_that_is_back_before_a_sync_deletes_keeps_its_object(desk: Desk) -> None:
    one, two = person("kept"), person("kept", "2")
    desk.table("kept", one, two)
    desk.sync("kept", "customers", {"email": "email"}, NAMED)
    desk.run("kept", part=FEW)
    desk.table("kept", two)
    desk.run("kept")
    desk.asked()
    desk.table("kept", one, two)
    desk.sync("kept", "customers", {"email": "email"}, NAMED, delete="remove")
    assert (desk.run("kept")["sent"], desk.asked()) == ({}, [])
    assert desk.states("kept")["1"] == ("sent", "")


def test_a_row_that_came_back_wrong_has_a_living_object_once_it_is_right(shop: Shop) -> None:
    desk, key = shop.desk, "back_wrong"
    fields = subscription(shop) | {"metadata": {"said": "said"}}
    rows = [{"id": str(n), "mark": f"wrong-{n}", "said": "fine"} for n in range(2)]
    desk.table(key, *rows)
    desk.sync(key, "subscriptions", BY_MARK, fields, delete={"how": "remove", "at": "now"})
    desk.run(key)
    desk.table(key, rows[0])
    assert desk.run(key)["sent"] == {"cancel": 1}
    desk.table(key, rows[0], rows[1] | {"said": "x" * 501})
    desk.run(key)
    assert desk.states(key)["1"][0] == "invalid"
    desk.table(key, *rows)
    assert desk.run(key)["sent"] == {"create": 1}
    assert sorted(one["status"] for one in _of(desk, "subscriptions", "wrong-1")) == ["active", "canceled"]
    assert desk.run(key)["sent"] == {}
