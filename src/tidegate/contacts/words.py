"""What is known of customers and their subscriptions, in words (pure)."""

from typing import Any

from tidegate.money import shown


def tried(evidence: dict[str, Any]) -> str:
    """What was looked for, for people: `workspace_id w1, email ada@acme.com, domain acme.com`."""
    ids = [f"{key} {value}" for key, value in evidence.get("metadata", {}).items()]
    return ", ".join(
        [*ids, *(f"{name} {evidence[name]}" for name in ("email", "domain", "external_id") if name in evidence)]
    )


def evidence_in_words(evidence: dict[str, Any]) -> str:
    """On what a link stands, for people: `email ada@acme.com, workspace_id w1`."""
    told = {name: value for name, value in evidence.items() if value and name not in {"metadata", "metadata_key"}}
    if "metadata_key" in evidence:
        told = {evidence["metadata_key"]: told.pop("value", ""), **told}
    return ", ".join(f"{name} {value}" for name, value in {**told, **evidence.get("metadata", {})}.items())


def worth(values: list[dict[str, Any]]) -> str:
    """List values for people: `49.00 USD a month, 300.00 EUR every 3 months`."""
    told: list[str] = []
    for one in values:
        count = one["interval_count"] or 1
        each = f"a {one['interval']}" if count == 1 else f"every {count} {one['interval']}s"
        told.append(f"{shown(one['amount'], one['currency'])} {each if one['interval'] else 'once'}")
    return ", ".join(told)


def merge_in_words(result: dict[str, Any], *, done: bool) -> list[str]:
    """What a merge moves, or moved, in sentences."""
    moved = ", ".join(f"{number:,} {what}" for what, number in result["moved"].items() if number)
    will = "Moved" if done else "It moves"
    lines = [f"{will} from {result['other']} to {result['kept']}: {moved or 'nothing'}."]
    for name, said in result["differences"].items():
        lines.append(f"{name}: {said['kept']!r} stays, {said['given_up']!r} is given up.")
    if result["matched"]:
        lines.append(f"Linked by it: {', '.join(result['matched'])}.")
    return lines
