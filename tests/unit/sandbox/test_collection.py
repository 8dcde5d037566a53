import msgspec
import pytest

from tidegate.sandbox.collection import PACKED, WARM, Collection
from tidegate.sandbox.resources import BY_NAME, Obj


def customer(number: int, email: str) -> Obj:
    return {"id": f"cus_{number}", "object": "customer", "email": email, "name": f"Ünïcode {number}" * 20}


def put(collection: Collection, obj: Obj, created: int) -> None:
    collection.put(obj, created, msgspec.json.encode(obj), {}, None)


def test_bodies_kept_compressed_read_the_same() -> None:
    collection = Collection(BY_NAME["customers"])
    collection.pack = True
    for number in range(WARM + 300):
        put(collection, customer(number, f"a{number % 7}@example.com"), number)
    assert sum(bytes(body).startswith(PACKED) for body in collection.bodies.values() if isinstance(body, bytes)) == 300
    assert collection.shown("cus_5") == customer(5, "a5@example.com")
    assert list(collection.find("email", "a3@example.com")) == [f"cus_{n}" for n in range(WARM + 300) if n % 7 == 3]
    put(collection, customer(3, "new@example.com"), 3)
    assert collection.shown("cus_3")["email"] == "new@example.com"
    assert "cus_3" not in collection.find("email", "a3@example.com")
    assert list(collection.find("email", "new@example.com")) == ["cus_3"]


def test_a_new_time_of_creation_moves_an_object() -> None:
    collection = Collection(BY_NAME["customers"])
    for number in range(3):
        put(collection, customer(number, "a@example.com"), 100 + number)
    put(collection, customer(0, "a@example.com"), 500)
    put(collection, customer(9, "a@example.com"), 1)
    assert collection.ids == ["cus_9", "cus_1", "cus_2", "cus_0"]
    assert list(collection.find("email", "a@example.com")) == collection.ids
    collection.remove("cus_1")
    assert "cus_1" not in collection
    assert list(collection.find("email", "a@example.com")) == ["cus_9", "cus_2", "cus_0"]
    with pytest.raises(KeyError):
        collection.body("cus_1")
