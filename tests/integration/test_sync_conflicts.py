"""What somebody edits in Stripe between two runs, and awkward values: each with the outcome that was promised."""

from datetime import date, datetime
from typing import Any

import pytest
from tests.support.desk import FEW, Desk
from tests.support.importing import imported

from tidegate.workflows.outbound.sync_keeping import Keeper

FIELDS = {"name": "name", "phone": "phone", "metadata": {"tier": "tier"}}
ROW = {"id": "1", "email": "", "name": "Ada", "phone": "+49 30 1", "tier": "pro"}


def edited(desk: Desk, key: str, **said: Any) -> tuple[str, dict[str, str]]:
    """A customer that a sync made and whose name somebody then changed in Stripe, with its row."""
    row = ROW | {"email": f"{key}@edited.example"}
    desk.table(key, row)
    desk.sync(key, "customers", {"email": "email"}, FIELDS, **said)
    assert desk.run(key, part=FEW)["sent"] == {"create": 1}
    [made] = desk.v1.customers.list({"email": row["email"]}).data
    desk.v1.customers.update(made.id, {"name": "Countess", "metadata": {"theirs": "kept"}})
    desk.catch_up()
    desk.asked()
    return made.id, row


def test_the_plan_flags_the_field_that_somebody_edited(desk: Desk) -> None:
    edited(desk, "flagged")
    [update] = desk.plan("flagged")["sample"]["update"]
    assert update["changes"] == [{"field": "name", "before": "Countess", "after": "Ada", "edited": True}]
    assert desk.asked() == []


def test_the_warehouse_wins_with_the_edited_field_alone(desk: Desk) -> None:
    id_, row = edited(desk, "warehouse_wins")
    assert desk.run("warehouse_wins")["sent"] == {"update": 1}
    assert desk.asked() == [("POST", f"customers/{id_}", {"name": "Ada"})]
    assert desk.full("customers", id_)["metadata"] == {"tier": "pro", "theirs": "kept"}
    desk.table("warehouse_wins", row | {"tier": None})
    desk.run("warehouse_wins")
    assert desk.asked() == [("POST", f"customers/{id_}", {"metadata": {"tier": ""}})]
    assert desk.full("customers", id_)["metadata"] == {"theirs": "kept"}


def test_stripe_wins_where_it_was_edited_and_nowhere_else(desk: Desk) -> None:
    id_, row = edited(desk, "stripe_wins", on_conflict="stripe")
    assert (desk.run("stripe_wins")["sent"], desk.asked()) == ({}, [])
    desk.table("stripe_wins", row | {"tier": "max"})
    assert desk.run("stripe_wins")["sent"] == {"update": 1}
    assert desk.asked() == [("POST", f"customers/{id_}", {"metadata": {"tier": "max"}})]
    assert desk.full("customers", id_)["name"] == "Countess"
    desk.table("stripe_wins", row | {"tier": "max", "name": "Lovelace"})
    desk.run("stripe_wins")
    assert desk.asked() == [], "also when the warehouse says something else of it"
    assert desk.full("customers", id_)["name"] == "Countess"


def test_a_conflict_is_flagged_until_the_two_agree(desk: Desk) -> None:
    id_, row = edited(desk, "flags", on_conflict="flag")
    desk.table("flags", row | {"tier": "max"})
    done = desk.run("flags")
    assert (done["state"], done["counts"]["conflict"], desk.asked()) == ("incomplete", 1, [])
    assert desk.states("flags")["1"] == ("conflict", "edited in Stripe since it was sent: name")
    desk.table("flags", row | {"tier": "max", "name": "Countess"})
    assert desk.run("flags")["sent"] == {"update": 1}
    assert desk.asked() == [("POST", f"customers/{id_}", {"metadata": {"tier": "max"}})]


@pytest.mark.parametrize(("winner", "sent"), [("warehouse", {"create": 1}), ("stripe", {}), ("flag", {})])
def test_a_customer_that_was_deleted_in_stripe(desk: Desk, winner: str, sent: dict[str, int]) -> None:
    key = f"deleted_{winner}"
    id_, _ = edited(desk, key, on_conflict=winner)
    desk.v1.customers.delete(id_)
    desk.catch_up()
    assert desk.run(key)["sent"] == sent
    state = {"warehouse": "sent", "stripe": "skipped", "flag": "conflict"}[winner]
    assert desk.states(key)["1"] == (state, "" if sent else "it was deleted in Stripe")
    assert desk.run(key)["state"] == ("incomplete" if winner == "flag" else "done"), "Stripe won, and that is that"


def test_where_the_object_was_deleted_another_one_that_matches_takes_its_place(desk: Desk) -> None:
    id_, _ = edited(desk, "merged", on_conflict="flag")
    other = desk.v1.customers.create({"email": "Merged@edited.example", "name": "Merged"}).id
    desk.v1.customers.delete(id_)
    desk.catch_up()
    desk.asked()
    assert desk.run("merged")["sent"] == {"update": 1}
    assert [path for _, path, _ in desk.asked()] == [f"customers/{other}"]
    assert [one.id for one in desk.v1.customers.list({"email": "Merged@edited.example"}).data] == [other]


@pytest.mark.further
@pytest.mark.parametrize("winner", ["stripe", "flag"])
def test_a_product_of_an_id_of_ones_own_is_made_and_once_deleted_in_stripe_is_not(desk: Desk, winner: str) -> None:
    key = f"products_{winner}"
    desk.table(key, {"id": f"prod_{winner}", "name": "Plan"})
    desk.sync(key, "products", {"id": "id"}, {"name": "name"}, on_conflict=winner, mode="update")
    assert desk.run(key, part=FEW)["counts"]["skip"] == 1, "nothing was ever deleted"
    desk.sync(key, "products", {"id": "id"}, {"name": "name"}, on_conflict=winner)
    assert desk.run(key, part=FEW)["sent"] == {"create": 1}
    desk.v1.products.delete(f"prod_{winner}")
    desk.catch_up()
    assert desk.run(key)["sent"] == {}
    assert desk.states(key)[f"prod_{winner}"][1] == "it was deleted in Stripe"


def test_there_and_back_within_a_minute_is_three_requests(desk: Desk) -> None:
    row = ROW | {"email": "back@edited.example"}
    keys: list[str | None] = []
    for name in ("A", "B", "A"):
        desk.table("back", row | {"name": name})
        if name == "A" and not keys:
            desk.sync("back", "customers", {"email": "email"}, FIELDS)
            desk.run("back", part=FEW)
        else:
            desk.run("back")
        keys.append(desk.sandbox.written()[-1].key)
    assert len(set(keys)) == 3
    [made] = desk.v1.customers.list({"email": row["email"]}).data
    assert made.name == "A"


def test_awkward_text_arrives_as_it_is_and_what_is_too_long_is_told_before_anything_is_sent(desk: Desk) -> None:
    names = {"1": "O'Brien", "2": "Zoë 🎉 👩‍👩‍👧", "3": 'She said "%s" & left; drop table', "4": "  spaces  "}
    rows = [{"id": id_, "email": f"awkward{id_}@edited.example", "name": name, "note": "x" * 500}
            for id_, name in names.items()]  # fmt: skip
    rows.append({"id": "5", "email": "awkward5@edited.example", "name": "Long", "note": "é" * 501})
    desk.table("awkward", *rows)
    desk.sync("awkward", "customers", {"email": "email"}, {"name": "name", "metadata": {"note": "note"}})
    done = desk.run("awkward", part=FEW)
    assert (done["sent"], done["state"], done["counts"]["invalid"]) == ({"create": 4}, "incomplete", 1)
    made = {id_: desk.v1.customers.list({"email": f"awkward{id_}@edited.example"}).data for id_ in (*names, "5")}
    assert {id_: [one.name for one in found] for id_, found in made.items()} == {
        **{id_: [name] for id_, name in names.items()}, "5": []
    }  # fmt: skip
    state, why = desk.states("awkward")["5"]
    assert (state, why) == ("invalid", "metadata.note: it has 501 characters, and Stripe takes 500")
    desk.table("awkward", *rows[:-1], rows[-1] | {"note": "é" * 500})
    assert desk.run("awkward")["sent"] == {"create": 1}, "and is tried again"


def test_no_seats_and_dates_without_a_zone(desk: Desk) -> None:
    product = desk.v1.products.create({"name": "Seats"}).id
    price = {"product": product, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    row = {
        "id": "1", "mark": "seats", "price": desk.v1.prices.create(price).id, "seats": 0, "ends": "2027-07-01 00:00:00",
        "customer": desk.v1.customers.create({"email": "seats@edited.example"}).id,
    }  # fmt: skip
    desk.learn()
    desk.asked()
    desk.table("seats", row)
    fields = {
        "customer": {"id": "customer"}, "items": [{"price": {"id": "price"}, "quantity": "seats"}],
        "cancel_at": "ends", "proration_behavior": {"value": "none"}, "collection_method": {"value": "send_invoice"},
        "days_until_due": {"value": 30},
    }  # fmt: skip
    desk.sync("seats", "subscriptions", {"metadata": {"row": "mark"}}, fields, time_zone="Europe/Berlin")
    [create] = desk.plan("seats", FEW)["sample"]["create"]
    told = {one["field"]: one["after"] for one in create["changes"]}
    assert told["items"][0]["quantity"] == 0
    assert told["cancel_at"] == 1_814_392_800, "midnight in Berlin, two hours before that of UTC"


def test_a_plan_says_dates_and_numbers_as_they_are_written(desk: Desk) -> None:
    rows = [{"id": "1", "email": "kinds@edited.example", "on": date(2026, 3, 31), "at": datetime(2026, 3, 31, 12),  # noqa: DTZ001
             "rate": 0.5, "many": 12, "yes": True}]  # fmt: skip
    desk.table("kinds", *rows)
    names = ("on", "at", "rate", "many", "yes")
    desk.sync("kinds", "customers", {"email": "email"}, {"metadata": {one: one for one in names}})
    desk.run("kinds", part=FEW)
    [made] = desk.v1.customers.list({"email": "kinds@edited.example"}).data
    assert made.metadata.to_dict() == {
        "on": "2026-03-31", "at": "2026-03-31T12:00:00", "rate": "0.5", "many": "12", "yes": "true"
    }  # fmt: skip


def read_anew(desk: Desk) -> None:
    """Events show no lines of quotes, and an import does."""
    desk.catch_up()
    imported(desk.hub, desk.account, full=True)


@pytest.mark.wide
@pytest.mark.parametrize("winner", ["stripe", "flag"])
def test_what_an_answer_does_not_show_was_edited_by_nobody(desk: Desk, winner: str) -> None:
    """Stripe shows the lines of a quote only to who asks for them."""
    key = f"lines_{winner}"
    product = desk.v1.products.create({"name": "Lines"}).id
    monthly = {"product": product, "currency": "usd", "unit_amount": 9, "recurring": {"interval": "month"}}
    price = desk.v1.prices.create(monthly).id
    row = {
        "id": "1", "mark": key, "n": 1, "price": price, "text": "x",
        "customer": desk.v1.customers.create({"email": f"{key}@edited.example"}).id,
    }  # fmt: skip
    desk.learn()
    desk.table(key, row)
    fields = {"customer": {"id": "customer"}, "line_items": [{"price": {"id": "price"}, "quantity": "n"}],
              "description": "text"}  # fmt: skip
    desk.sync(key, "quotes", {"metadata": {"row": "mark"}}, fields, on_conflict=winner)
    desk.run(key)
    read_anew(desk)
    desk.table(key, row | {"n": 3, "text": "y"})
    assert desk.run(key)["sent"] == {"update": 1}
    [quote] = desk.marked("quotes", "row", key)
    assert [one.quantity for one in desk.v1.quotes.line_items.list(quote["id"]).data] == [3]
    read_anew(desk)
    assert desk.run(key)["sent"] == {}, "and it is seen once"
    desk.v1.quotes.update(quote["id"], {"line_items": [{"price": price, "quantity": 8}]})
    read_anew(desk)
    plan = desk.plan(key)
    assert plan["counts"]["conflict" if winner == "flag" else "nothing"] == 1
    desk.table(key, row | {"n": 3, "text": "z"})
    changes = desk.plan(key)["sample"]["conflict" if winner == "flag" else "update"][0]
    assert [one["field"] for one in changes["changes"] + changes["kept"] if one["edited"]] == ["line_items"]


@pytest.mark.wide
def test_what_stripe_won_it_won_although_the_run_was_killed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> None:
        raise RuntimeError("killed")

    id_, row = edited(desk, "killed", on_conflict="stripe")
    desk.run("killed")
    desk.table("killed", row | {"tier": "max"})
    with monkeypatch.context() as dying:
        dying.setattr(Keeper, "_write", dies)
        with pytest.raises(RuntimeError, match="killed"):
            desk.run("killed")
    assert desk.run("killed")["sent"] == {}, "it was done, and is settled"
    desk.asked()
    desk.table("killed", row | {"tier": "max", "name": "Lovelace"})
    assert (desk.run("killed")["sent"], desk.asked()) == ({}, [])
    assert desk.full("customers", id_)["name"] == "Countess"
