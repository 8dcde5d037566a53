"""What the catalog gives and what waits for it, in words (pure)."""

from typing import Any

from tidegate.contacts.words import worth


def standing(given: Any) -> str:
    """What is given of a feature, in a word: `10`, `unlimited`, `yes`, nothing."""
    if given is None:
        return "–"
    if given is True:
        return "yes"
    if isinstance(given, dict):
        value = next(iter(given.values()))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)  # pyright: ignore[reportUnknownArgumentType]
    return str(given)


def terms(features: dict[str, Any]) -> str:
    """What a version gives, in a line: `seats 10, sso, calls unlimited`."""
    return ", ".join(f"{key} {how_much(said)}".rstrip() for key, said in features.items())


def how_much(said: dict[str, Any]) -> str:
    """How much of a feature terms give: `10`, `unlimited per billing period`; empty where there is nothing to count."""
    given = "unlimited" if said.get("unlimited") else {k: v for k, v in said.items() if k != "reset"}
    shown, reset = standing(given) if given else "", said.get("reset")
    return shown if reset in (None, "never") else f"{shown} per {reset.replace('_', ' ')}".lstrip()


def meaning(row: dict[str, Any]) -> str:
    """What a mapping leads to, in words."""
    return f"package {row['package']}" if row["package"] else f"feature {terms({row['feature']: row['terms'] or {}})}"


def list_value(row: dict[str, Any]) -> str:
    """What waits is worth, at list price: `14.00 USD a month`; empty where that is not known beforehand."""
    if row["list_value"] is None:
        return ""
    return worth([{**row, "amount": row["list_value"]}])
