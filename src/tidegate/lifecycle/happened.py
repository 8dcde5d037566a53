"""What an entry of a contact's timeline says, in a line (pure)."""

from collections.abc import Mapping
from typing import Any

from tidegate.catalog.words import how_much, standing
from tidegate.money import shown


def told(one: dict[str, Any]) -> str:
    """What an entry says, in a line."""
    data: dict[str, Any] = one["data"]
    match one["kind"]:
        case "movement":
            moved = [shown(data[name], data["currency"]) for name in ("opening", "closing")]
            return f"MRR {moved[0]} → {moved[1]}"
        case "billing_event":
            return shown(data["amount"], data["currency"]) if data["amount"] is not None else ""
        case "stage":
            return f"{data['before'] or 'nowhere'} → {data['stage']}: {'; '.join(data['reasons'])}"
        case "segment":
            return f"{data['segment']}{': ' if data.get('reasons') else ''}{'; '.join(data.get('reasons', []))}"
        case "alert":
            by = f" by {data['by']}" if data.get("by") else ""
            return f"{data['rule']}{by}: {data.get('reason') or '; '.join(data.get('reasons', []))}".rstrip(": ")
        case "health":
            by = points(data.get("moved") or {})
            return f"{_plain(data['before'])} → {_plain(data['health'])}{': ' if by else ''}{by}"
        case "entitlement":
            return f"{data['feature']}: {standing(data['before'])} → {standing(data['now'])}"
        case "payment":
            return f"{_amount(data)}{', disputed' if data['disputed'] else ''}{_after(data['failure'])}"
        case "link" | "change":
            return _changed(data)
        case "override":
            by = f" by {data['by']}" if data["by"] else ""
            return f"{_given(data)}{by}{_after(data.get('reason'))}"
        case "action":
            return f"{data['action']}{_after(data['why'] or '; '.join(data['reasons']))}"
        case "usage":
            return f"{data['feature']}: {data['amount']:,} on {data['day']}"
        case "delivery":
            return f"{data['type']} to {data['destination']}{': ' if data['error'] else ''}{data['error']}"
        case "task":
            due = f", due {data['due_on']}" if data.get("due_on") else ""
            return f"{data['text']}{due} ({data['by']}, task {data['task']})"
        case _:
            return f"{data['text']} ({data['by']}, note {data['note']})"


_WORDS = {"from": "from", "into": "into", "method": "by"}


def _changed(data: Mapping[str, Any]) -> str:
    """What a change of a contact, or of whose a customer is, was about: `customer cus_1, connection acme by ada`."""
    about = {key: value for key, value in data.items() if key not in ("by", "undone_at") and value not in (None, "")}
    said = ", ".join(f"{_WORDS.get(key, key)} {_listed(value)}" for key, value in about.items())
    by = f" by {data['by']}" if data["by"] else ""
    return f"{said}{by}{', undone since' if data.get('undone_at') else ''}".strip()


def _listed(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _given(data: Mapping[str, Any]) -> str:
    """What an override gives: `package pro`, `seats: 10 more`."""
    if data["package"]:
        return f"package {data['package']}"
    said = how_much(data["terms"] or {})
    return f"{data['feature']}{': ' if said else ''}{said}"


def _amount(data: Mapping[str, Any]) -> str:
    """What was paid, and what of it was given back."""
    paid, back = (shown(data[name] or 0, data["currency"]) for name in ("amount", "amount_refunded"))
    return f"{paid}, {back} refunded" if data["amount_refunded"] else paid


def _after(said: str | None) -> str:
    return f": {said}" if said else ""


def points(moved: Mapping[str, float]) -> str:
    """By how many points each component changed a health (`health.moved`), in words: `payment -12.5, usage +3`."""
    return ", ".join(f"{key} {by:+g}" for key, by in moved.items())


def _plain(value: Any) -> str:
    return "unknown" if value is None else str(value)
