"""What an entry of a contact's timeline says, in a line (pure)."""

from collections.abc import Mapping
from typing import Any

from tidegate.catalog.words import standing
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
        case "delivery":
            return f"{data['type']} to {data['destination']}{': ' if data['error'] else ''}{data['error']}"
        case "task":
            due = f", due {data['due_on']}" if data.get("due_on") else ""
            return f"{data['text']}{due} ({data['by']}, task {data['task']})"
        case _:
            return f"{data['text']} ({data['by']}, note {data['note']})"


def points(moved: Mapping[str, float]) -> str:
    """By how many points each component changed a health (`health.moved`), in words: `payment -12.5, usage +3`."""
    return ", ".join(f"{key} {by:+g}" for key, by in moved.items())


def _plain(value: Any) -> str:
    return "unknown" if value is None else str(value)
