"""The path from a contact to a feature, each step in words (pure)."""

from typing import Any

from tidegate.contacts.words import evidence_in_words, worth
from tidegate.entitlements.words import gift


def step_in_words(step: dict[str, Any]) -> str:
    """A step of the path: what it is, its id, its name and what tells of it."""
    name = f" “{step['name']}”" if step["name"] else ""
    told = _told(step)
    return f"{step['what']} {step['id']}{name}" + (f": {told}" if told else "")


def _link(step: dict[str, Any]) -> str:
    evidence = evidence_in_words(step["evidence"])
    by = f"by {step['by']}" if step["by"] else "by matching"
    return f"{evidence + ', ' if evidence else ''}{by} on {step['since'][:10]}"


def _price(step: dict[str, Any]) -> str:
    product = f"of {step['product_name'] or step['product'] or 'no product'}"
    if step["unit_amount"] is None:
        return product
    return f"{product}, {worth([step | {'amount': step['unit_amount']}])} each"


def _mapping(step: dict[str, Any]) -> str:
    target = f"package {step['package']}" if "package" in step else gift(step["gives"])
    kept = ", removed but kept for this subscription" if step["kept"] else ""
    return f"the {step['of']} means {target}{', for each unit' if step['per_quantity'] else ''}{kept}"


def _told(step: dict[str, Any]) -> str:
    match step["what"]:
        case "link":
            return _link(step)
        case "customer":
            return f"{step['email'] or 'no e-mail'}, connection {step['connection']}"
        case "subscription":
            return f"{step['status']}; {step['why']}"
        case "item":
            return f"quantity {1 if step['quantity'] is None else step['quantity']:,}"
        case "price":
            return _price(step)
        case "mapping":
            return _mapping(step)
        case "override" | "default":
            return str(step["why"])
        case "package":
            return f"version {step['version']} gives {gift(step['gives'])}"
        case _:
            return str(step.get("type", ""))
