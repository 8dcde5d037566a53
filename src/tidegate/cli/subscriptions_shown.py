"""A sale as people read it: items and entitlements before and after, what it costs, what is sent, how it came out."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.money import shown

DOES = {"subscribe": "subscribes to", "change": "changes to", "cancel": "ends"}


def say(found: Mapping[str, Any]) -> None:
    """The preview of a sale, or what became of it."""
    from tidegate.cli import show

    state = found["state"]
    if state == "nothing":
        show.line(f"Nothing to do: {found['why']}.")
        return
    if state == "preview":
        _say_preview(found)
        return
    for note in found["notes"]:
        show.line(note)
    _say_entitlements(found, done=True)
    show.line(_came(found))
    if found["billed"] is not None:
        bill = found["billed"]
        show.line(
            f"Invoice {bill['id']} is {bill['status']}: {_amount(bill, 'total')}, paid {_amount(bill, 'amount_paid')}."
        )
    if found["remedy"]:
        show.line(found["remedy"])


def _say_preview(found: Mapping[str, Any]) -> None:
    from tidegate.cli import show

    customer = found["customer"] or "a new customer"
    show.line(f"{found['contact']} ({customer} of {found['connection']}) {DOES[found['action']]} {found['package']}.")
    for note in found["notes"]:
        show.line(note)
    show.line()
    show.table(["package", "price", "", "has", "would have"], _items(found["items"]["before"], found["items"]["after"]))
    show.line()
    _say_invoice(found)
    _say_entitlements(found, done=False)
    for one in found["requests"]:
        show.line(f"{one['method']} {one['path']}  {_form(one['params'])}")
    show.line(f"Nothing was done. To do exactly this: --token {found['token']}")


def _items(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """A line for each price that is there before or afterwards."""
    had, has = ({one["price"]: one for one in some} for some in (before, after))
    lines: list[tuple[Any, ...]] = []
    for price in {**had, **has}:
        one = has.get(price) or had[price]
        lines.append((one["package"] or "–", price, one["costs"], _quantity(had.get(price)), _quantity(has.get(price))))
    return lines


def _quantity(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "–"
    return "by usage" if one["quantity"] is None else f"{one['quantity']:,}"


def _say_invoice(found: Mapping[str, Any]) -> None:
    from tidegate.cli import show

    invoice, due, recurring = found["invoice"], found["due_now"], found["recurring"]
    if invoice is not None:
        when = invoice["made"] if invoice["at"] is None else f"at the next renewal, {show.cell(invoice['at'])}"
        lines = [
            (one["description"], "proration" if one["proration"] else "", shown(one["amount"], invoice["currency"]))
            for one in invoice["lines"]
        ]
        lines.append(("Total", "", _amount(invoice, "total")))
        if invoice["total"] != invoice["amount_due"]:
            lines.append(("To be paid, with the customer's balance", "", _amount(invoice, "amount_due")))
        show.table([f"invoice made {when}", "", "amount"], lines)
    told = f"Due now: {_amount(due, 'amount')}" if due else "Nothing is billed by it"
    if recurring:
        count, interval = recurring["interval_count"], recurring["interval"]
        often = f"every {count} {interval}s" if count > 1 else f"a {interval}"
        told += f"; then {_amount(recurring, 'total')} {often}"
    show.line(f"{told}.")
    show.line()


def _say_entitlements(found: Mapping[str, Any], *, done: bool) -> None:
    from tidegate.cli import show

    changed = [
        (one["feature"], _given(one["before"]), _given(one["after"]), _why(one["after"]))
        for one in found["entitlements"]
        if one["before"] != one["after"]
    ]
    if changed:
        show.table(["feature", "had", "has", ""] if done else ["feature", "has", "would have", ""], changed)
    elif not done:
        show.line("What the contact may use stays as it is.")
    if changed or not done:
        show.line()


def _given(one: Mapping[str, Any]) -> str:
    """What is given of a feature, in a word, and until when."""
    if not one["granted"]:
        return "–"
    said = "yes"
    if one.get("unlimited"):
        said = "unlimited"
    elif one.get("limit") is not None:
        said = f"{one['limit']:,}"
    elif one.get("value") is not None:
        said = str(one["value"])
    return f"{said} until {one['until'][:10]}" if one["until"] else said


def _why(one: Mapping[str, Any]) -> str:
    sources = [source.get("package") or source["kind"] for source in one["sources"] if source["granted"]]
    return f"by {', '.join(dict.fromkeys(sources))}" if sources else str(one["reason"])


def _came(found: Mapping[str, Any]) -> str:
    ends = f", ends {found['ends_at']:%Y-%m-%d}" if found["ends_at"] else ""
    told = f"{found['contact']}, {found['package']}: {found['subscription']} is {found['status']}{ends}"
    return f"{told}. Run {found['run']} (`tidegate sync show {found['run']}`)."


def _amount(of: Mapping[str, Any], name: str) -> str:
    return shown(of[name] or 0, of["currency"])


def _form(params: Any, above: str = "") -> str:
    """Parameters as Stripe spells them, in a line: `items[0][price]=price_1 …`."""
    if isinstance(params, Mapping):
        named: list[tuple[str, Any]] = [(str(name), value) for name, value in params.items()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    elif isinstance(params, list):
        named = [(str(place), value) for place, value in enumerate(params)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    else:
        said = str(params).lower() if isinstance(params, bool) else str(params)
        return f"{above}={said}"
    return " ".join(_form(value, f"{above}[{name}]" if above else name) for name, value in named)
