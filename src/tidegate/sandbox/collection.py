"""The objects of one kind in order of creation, as rendered bytes, with indexes made when first asked for."""

import zlib
from array import array
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from tidegate.sandbox.resources import Obj, Resource, values_at

Body = bytes | int
"""Rendered bytes, or a number from which the collection's `render` makes them (a million objects fit in memory so)."""

SEQUENCE_BITS = 24
WARM = 2000
"""How many of the bodies stored last are kept as they are, where the others are compressed."""

PACKED = b"z"
"""Marks a compressed body: none begins so uncompressed, they are JSON objects."""

Index = dict[str, "array[int]"]


class Collection:
    """Objects by id and by (created, order of arrival); positions are integer keys that sort that way."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.ids: list[str] = []
        self.keys: array[int] = array("q")
        self.key_of: dict[str, int] = {}
        self.bodies: dict[str, Body] = {}
        self.hidden: dict[str, dict[str, bytes]] = {}
        self.overflow: dict[str, list[bytes]] = {}
        self.apart: set[int] = set()
        """The keys of objects that lists hide unless asked in a certain way, as `Resource.apart` says."""
        self._listed: array[int] | None = None
        self.pack = False
        """Whether bodies that were not changed for a while are kept compressed, in a fifth of the room or less."""
        self.render: Callable[[int], bytes] | None = None
        self.render_whole: Callable[[int], bytes] | None = None
        self._indexes: dict[str, Index] = {}
        self._noted: dict[int, list[tuple[str, str]]] = {}
        self._arrived = 0
        self._warm: deque[str] = deque()
        self._common: bytes | None = None
        self._lenses = dict(resource.filters) | dict(resource.ranges)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self.key_of

    def body(self, identifier: str) -> bytes:
        """The object as a list shows it; KeyError when there is none."""
        body = self.bodies[identifier]
        if isinstance(body, bytes):
            return body if body.startswith(b"{") else self._unpacked(body)
        assert self.render is not None
        return self.render(body)

    def from_template(self, identifier: str) -> bool:
        """Whether the object's body is made when asked for, and differs from others so made by numbers alone."""
        return isinstance(self.bodies[identifier], int)

    def shown(self, identifier: str) -> Obj:
        """The object as a list shows it, decoded."""
        return msgspec.json.decode(self.body(identifier))

    def full(self, identifier: str) -> Obj:
        """The object with its hidden fields and its nested list whole; KeyError when there is none."""
        body = self.bodies[identifier]
        if isinstance(body, int) and self.render_whole:
            return msgspec.json.decode(self.render_whole(body))
        obj = self.shown(identifier)
        for name, rendered in self.hidden.get(identifier, {}).items():
            obj[name] = msgspec.json.decode(rendered)
        if identifier in self.overflow and self.resource.nested:
            nested = obj[self.resource.nested]
            nested["data"] = [msgspec.json.decode(child) for child in self.overflow[identifier]]
            nested["has_more"] = False
        return obj

    def children(self, identifier: str) -> list[bytes]:
        """The rendered elements of the object's nested list, all of them."""
        if identifier in self.overflow:
            return self.overflow[identifier]
        if self.resource.nested in self.resource.hidden:
            envelope = msgspec.json.decode(self.hidden[identifier][self.resource.nested])
        else:
            envelope = self.full(identifier)[self.resource.nested or ""]
        return [msgspec.json.encode(child) for child in envelope["data"]]

    def put(self, obj: Obj, created: int, body: bytes, hidden: dict[str, bytes], overflow: list[bytes] | None) -> None:
        """Stores or replaces an object, given whole and rendered; its place stays unless `created` changed."""
        identifier: str = obj["id"]
        known = self.key_of.get(identifier)
        if known is not None:
            self._unindex(known)
            if known >> SEQUENCE_BITS != created:
                self._unplace(identifier, known)
                known = None
        if known is None:
            known = self._place(identifier, created)
        if self.resource.apart is not None and self.resource.apart(obj) != (known in self.apart):
            self.apart ^= {known}
            self._listed = None
        self.bodies[identifier] = body
        if self.pack:
            self._cool(identifier)
        for store, value in ((self.hidden, hidden), (self.overflow, overflow)):
            if value:
                store[identifier] = value  # type: ignore[assignment]
            else:
                store.pop(identifier, None)
        for name in self._indexes:
            self._note(name, known, obj)

    def fill(
        self, identifiers: list[str], created: list[int], render: Callable[[int], bytes], whole: Callable[[int], bytes]
    ) -> None:
        """Loads an empty collection with objects that `render(position)` makes as lists show them, and `whole` with
        their nested lists whole; `created` must not fall."""
        self.render, self.render_whole = render, whole
        self.ids = identifiers
        self.keys = array("q", ((at << SEQUENCE_BITS) + n for n, at in enumerate(created)))
        self.key_of = dict(zip(identifiers, self.keys, strict=True))
        self.bodies = {identifier: n for n, identifier in enumerate(identifiers)}
        self._arrived = len(identifiers)

    def remove(self, identifier: str) -> None:
        """Takes an object out; KeyError when there is none."""
        key = self.key_of[identifier]
        self._unindex(key)
        self._unplace(identifier, key)
        del self.bodies[identifier]
        self.hidden.pop(identifier, None)
        self.overflow.pop(identifier, None)

    def listed(self) -> "array[int]":
        """The keys, rising, of all objects that are not apart."""
        if not self.apart:
            return self.keys
        if self._listed is None:
            self._listed = array("q", (key for key in self.keys if key not in self.apart))
        return self._listed

    def id_at(self, key: int) -> str:
        """The object at a key."""
        return self.ids[bisect_left(self.keys, key)]

    def matching(self, name: str, value: str) -> "array[int]":
        """The keys, rising, of the objects whose filter `name` has this value."""
        index = self._indexes.get(name)
        if index is None:
            index = self._build(name)
        return index.get(value, array("q"))

    def between(self, name: str, low: int, high: int) -> "list[array[int]]":
        """The keys of the objects whose number under `name` lies within the inclusive bounds, per value."""
        self.matching(name, "")
        return [keys for value, keys in self._indexes[name].items() if value and low <= int(value) <= high]

    def find(self, name: str, value: str) -> Iterator[str]:
        """The ids, oldest first, of the objects whose filter `name` has this value."""
        return (self.id_at(key) for key in list(self.matching(name, value)))

    def _build(self, name: str) -> Index:
        index = self._indexes[name] = {}
        for key, identifier in zip(self.keys, self.ids, strict=True):
            self._note(name, key, self.full(identifier))
        return index

    def _note(self, name: str, key: int, obj: Obj) -> None:
        index = self._indexes[name]
        for value in values_at(self._lenses[name], obj):
            keys = index.setdefault(value, array("q"))
            self._noted.setdefault(key, []).append((name, value))
            if keys and key < keys[-1]:
                insort(keys, key)
            else:
                keys.append(key)

    def _cool(self, identifier: str) -> None:
        self._warm.append(identifier)
        if len(self._warm) > WARM:
            oldest = self._warm.popleft()
            body = self.bodies.get(oldest)
            if isinstance(body, bytes) and body.startswith(b"{"):
                self.bodies[oldest] = self._packed(body)

    def _packed(self, body: bytes) -> bytes:
        if self._common is None:
            self._common = body
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=self._common)
        packed = PACKED + packer.compress(body) + packer.flush()
        return packed if len(packed) < len(body) else body

    def _unpacked(self, packed: bytes) -> bytes:
        assert self._common is not None
        return zlib.decompressobj(-zlib.MAX_WBITS, zdict=self._common).decompress(packed[len(PACKED) :])

    def _place(self, identifier: str, created: int) -> int:
        self._listed = None
        key = (created << SEQUENCE_BITS) + self._arrived
        self._arrived += 1
        self.key_of[identifier] = key
        if not self.keys or key > self.keys[-1]:
            self.keys.append(key)
            self.ids.append(identifier)
        else:
            position = bisect_right(self.keys, key)
            self.keys.insert(position, key)
            self.ids.insert(position, identifier)
        return key

    def _unplace(self, identifier: str, key: int) -> None:
        self._listed = None
        self.apart.discard(key)
        position = bisect_left(self.keys, key)
        del self.keys[position], self.ids[position], self.key_of[identifier]

    def _unindex(self, key: int) -> None:
        for name, value in self._noted.pop(key, ()):
            keys = self._indexes[name][value]
            del keys[bisect_left(keys, key)]
