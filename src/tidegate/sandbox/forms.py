"""Stripe's form encoding: `items[0][price]=…&metadata[k]=…` as a tree of names."""

from collections.abc import Iterable
from itertools import pairwise
from urllib.parse import parse_qsl

from tidegate.sandbox.answers import Refusal, Request, unknown_parameter

Tree = dict[str, "str | Tree"]
"""Parameters by name; a list is a tree whose names are its positions, since only the type tells it from a map."""

FORM = b"application/x-www-form-urlencoded"


def pairs_of(request: Request) -> list[tuple[str, str]]:
    """The parameters of a request: those of its query, then those of its body.

    Raises Refusal (400) for a body that is no form or not in UTF-8.
    """
    if not request.body:
        return request.query
    kind = request.headers.get(b"content-type", FORM).split(b";")[0].strip().lower()
    if kind != FORM:
        raise Refusal(
            400,
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have any "
            "questions, we can help at https://support.stripe.com/.",
        )
    try:
        text = request.body.decode()
        return request.query + parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Refusal(400, "Invalid request: the parameters are not encoded in UTF-8.") from None


def tree_of(pairs: Iterable[tuple[str, str]]) -> Tree:
    """The tree of names; of a name given twice the last value holds, and `name[]` goes on with a list.

    Raises Refusal (400) for a name that is no name, or that is both a value and a tree.
    """
    tree: Tree = {}
    for name, value in pairs:
        way = steps(name)
        branch = tree
        for step, following in pairwise(way):
            here = _place(branch, step, following)
            below = branch.setdefault(here, {})
            if isinstance(below, str):
                raise Refusal(400, "Invalid object", param=name)
            branch = below
        here = _place(branch, way[-1], None)
        if isinstance(branch.get(here), dict):
            raise Refusal(400, "Invalid object", param=name)
        branch[here] = value
    return tree


def steps(name: str) -> list[str]:
    """The names in `items[0][price]`: items, 0, price. Raises Refusal (400) for brackets that do not close."""
    head, opened, rest = name.partition("[")
    if not opened:
        return [name]
    if not head or not rest.endswith("]"):
        raise unknown_parameter(name)
    return [head, *rest[:-1].split("][")]


def elements(tree: Tree) -> list["str | Tree"] | None:
    """The elements of a list in their order; None when the names are not positions."""
    if not all(name.isascii() and name.isdigit() for name in tree):
        return None
    return [tree[name] for name in sorted(tree, key=int)]


def _place(branch: Tree, step: str, following: str | None) -> str:
    """Where a step leads: `[]` to the list's last element, or to a new one when that has the next name already."""
    if step:
        return step
    last = str(len(branch) - 1)
    open_element = branch.get(last)
    if following and isinstance(open_element, dict) and following not in open_element:
        return last
    return str(len(branch))
