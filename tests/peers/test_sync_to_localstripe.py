"""Customers and products written to localstripe, an independent stand-in: made, changed, deleted, and nothing twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.desk import FEW, Desk
from tests.support.localstripe import LocalStripe, localstripe

from tidegate.errors import MirrorIncomplete
from tidegate.wiring import Hub


@pytest.fixture(scope="module")
def peer() -> Iterator[LocalStripe]:
    with localstripe() as peer:
        yield peer


@pytest.fixture
def desk(hub: Hub, peer: LocalStripe, tmp_path: Path) -> Desk:
    desk = Desk(hub, peer, tmp_path)
    desk.learn()
    return desk


def found(peer: LocalStripe, path: str, mark: str) -> dict[str, dict[str, Any]]:
    every = peer.listing(path)
    return {one["metadata"]["row"]: one for one in every if one["metadata"].get("row", "").startswith(mark)}


def test_customers(desk: Desk, peer: LocalStripe) -> None:
    rows = [
        {"id": str(n), "mark": f"c{n}", "email": f"c{n}@peer.example", "name": name}
        for n, name in ((1, "O'Brien"), (2, "Zoë 🎉"), (3, "Ada"))
    ]
    desk.table("people", *rows)
    fields = {"name": "name", "email": "email"}
    desk.sync("people", "customers", {"metadata": {"row": "mark"}}, fields, delete="remove")
    assert desk.run("people", part=FEW)["sent"] == {"create": 3}
    made = found(peer, "/v1/customers", "c")
    assert {mark: (one["name"], one["email"]) for mark, one in made.items()} == {
        one["mark"]: (one["name"], one["email"]) for one in rows
    }
    assert desk.run("people")["sent"] == {}
    desk.table("people", rows[0] | {"name": "O'Brien & Sons"}, rows[1])
    assert desk.run("people")["sent"] == {"delete": 1, "update": 1}
    now = found(peer, "/v1/customers", "c")
    assert {mark: one["name"] for mark, one in now.items()} == {"c1": "O'Brien & Sons", "c2": "Zoë 🎉"}
    assert {one["id"] for one in now.values()} < {one["id"] for one in made.values()}


def test_products_under_ids_of_ones_own(desk: Desk, peer: LocalStripe) -> None:
    """It lists no prices, so nobody can tell whether a product can be deleted: such a sync is refused."""
    rows = [{"id": one, "mark": f"p-{one}", "name": f"Plan {one}"} for one in ("gold", "silver")]
    desk.table("plans", *rows)
    fields = {"name": "name", "metadata": {"row": "mark"}}
    desk.sync("plans", "products", {"id": "id"}, fields, delete="remove")
    with pytest.raises(MirrorIncomplete, match="left out prices"):
        desk.run("plans", part=FEW)
    desk.sync("plans", "products", {"id": "id"}, fields)
    assert desk.run("plans", part=FEW)["sent"] == {"create": 2}
    made = found(peer, "/v1/products", "p-")
    assert {one["id"]: one["name"] for one in made.values()} == {"gold": "Plan gold", "silver": "Plan silver"}
    desk.table("plans", rows[0] | {"name": "Plan of gold"}, rows[1])
    desk.run("plans")
    now = found(peer, "/v1/products", "p-")
    assert {one["id"]: one["name"] for one in now.values()} == {"gold": "Plan of gold", "silver": "Plan silver"}
    assert desk.run("plans")["sent"] == {}
