"""Coupons and promotion codes, made, changed and deleted, and putting them to work."""

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.objects import catalog
from tidegate.sandbox.params import required
from tidegate.sandbox.redemptions import discount, told
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.writes.calls import Call, Write, currency_of, deleted, exclusive, metadata, needs_value, taken


def create(call: Call) -> Obj:
    """A new coupon, under an id of one's own if given."""
    given = call.given
    identifier = given.get("id") or call.world.ids.new("", 8)
    if identifier in call.state["coupons"]:
        raise Refusal(400, f"Coupon already exists: {identifier}", "resource_already_exists", "id")
    exclusive(given, "percent_off", "amount_off")
    changes = taken(given, "percent_off", "amount_off", "max_redemptions", "redeem_by", "duration_in_months")
    if given.get("percent_off") is not None and not 0 < given["percent_off"] <= 100:
        raise Refusal(400, "Invalid percent_off: must be greater than 0 and at most 100.", param="percent_off")
    if given.get("amount_off") is not None:
        if given["amount_off"] <= 0:
            raise Refusal(400, "This value must be greater than or equal to 1.", param="amount_off")
        if not given.get("currency"):
            raise required("currency")
        changes["currency"] = currency_of(given)
    elif given.get("percent_off") is None:
        raise Refusal(400, "You must pass either percent_off or amount_off.", "parameter_missing", "percent_off")
    duration = given.get("duration", "once")
    if (duration == "repeating") != (given.get("duration_in_months") is not None):
        raise Refusal(
            400,
            "duration_in_months must be set if duration is `repeating`, and only then.",
            param="duration_in_months",
        )
    goods: list[str] = part(given, "applies_to").get("products") or []
    for position, product in enumerate(goods):
        call.referred("products", product, f"applies_to[products][{position}]")
    if goods:
        changes["applies_to"] = goods
    made = catalog.coupon(identifier, call.now, given.get("name") or "", duration, **changes, **metadata({}, given))
    made["name"] = given.get("name")
    call.world.coupons[identifier] = made
    return call.stored(made, "coupon.created")


def update(call: Call) -> Obj:
    """Changes a coupon's name and metadata; its terms never change."""
    coupon = call.addressed("coupons")
    changed = coupon | taken(call.given, "name") | metadata(coupon["metadata"], call.given)
    call.world.coupons[coupon["id"]] = changed
    return call.stored(changed, "coupon.updated")


def delete(call: Call) -> Obj:
    """Deletes a coupon: who has it keeps it, nobody else gets it."""
    coupon = call.addressed("coupons")
    call.state.delete("coupons", coupon["id"], "coupon.deleted")
    return deleted("coupon", coupon["id"])


def create_code(call: Call) -> Obj:
    """A new code that gives a coupon."""
    given = call.given
    name = given["promotion"].get("coupon")
    if not name:
        raise required("promotion[coupon]")
    coupon = call.referred("coupons", name, "promotion[coupon]")
    if given.get("customer") is not None:
        call.referred("customers", given["customer"], "customer")
    code = given.get("code") or call.world.ids.new("", 8).upper()
    for other in call.state["promotion_codes"].find("active", "true"):
        if call.state["promotion_codes"].shown(other)["code"].lower() == code.lower():
            raise Refusal(
                400,
                "An active promotion code with `code: " + code + "` already exists.",
                "resource_already_exists",
                "code",
            )
    changes = taken(given, "active", "customer", "expires_at", "max_redemptions") | metadata({}, given)
    made = catalog.promotion_code(call.world.ids.new("promo_1", 24), call.now, code, coupon["id"], **changes)
    made["restrictions"] = made["restrictions"] | (given.get("restrictions") or {})
    return call.stored(made, "promotion_code.created")


def update_code(call: Call) -> Obj:
    """Switches a code on or off, changes its metadata."""
    code = call.addressed("promotion_codes")
    needs_value(call.given, "active")
    changes = taken(call.given, "active") | metadata(code["metadata"], call.given)
    return call.stored(code | changes, "promotion_code.updated")


def wanted(call: Call, given: list[Obj], customer: str, param: str) -> list[tuple[str, str | None] | str]:
    """What a list of `discounts` asks for: (coupon, promotion code), or the id of a discount to keep.

    Raises Refusal (400) for what does not exist or can no longer be redeemed.
    """
    found: list[tuple[str, str | None] | str] = []
    for position, one in enumerate(given):
        name = f"{param}[{position}]"
        exclusive(one, "coupon", "promotion_code", "discount")
        if one.get("discount"):
            found.append(call.referred("discounts", one["discount"], f"{name}[discount]")["id"])
        elif one.get("promotion_code"):
            code = call.referred("promotion_codes", one["promotion_code"], f"{name}[promotion_code]")
            usable = code["active"] and code["customer"] in (None, customer)
            if code["restrictions"]["first_time_transaction"] and _has_bought(call, customer):
                usable = False
            if not usable or _used_up(code, call.now, "expires_at"):
                raise Refusal(400, f"This promotion code cannot be redeemed: {code['code']}", "coupon_expired", name)
            found.append((_live(call, code["promotion"]["coupon"], name), code["id"]))
        elif one.get("coupon"):
            found.append((_live(call, one["coupon"], f"{name}[coupon]"), None))
        else:
            raise required(f"{name}[coupon]")
    return found


def given_to(call: Call, wanted: list[tuple[str, str | None] | str], customer: str, **owner: str) -> list[str]:
    """Puts what is wanted to work; returns the ids of the discounts, in order.

    Those of a subscription that is only about to start are told of by its start.
    """
    tells = owner.get("subscription") is None or owner["subscription"] in call.state["subscriptions"]
    identifiers: list[str] = []
    for one in wanted:
        if isinstance(one, str):
            identifiers.append(one)
            continue
        given = discount(call.world, one[0], customer, promotion_code=one[1], **owner)
        if tells:
            told(call.world, given)
        identifiers.append(given["id"])
    return identifiers


def _live(call: Call, identifier: str, param: str) -> str:
    coupon = call.referred("coupons", identifier, param)
    if not coupon["valid"] or _used_up(coupon, call.now, "redeem_by"):
        raise Refusal(400, f"Coupon expired: {identifier}", "coupon_expired", param)
    return identifier


def _has_bought(call: Call, customer: str) -> bool:
    """Whether a customer is no first-time one: a payment succeeded, or an invoice is not void."""
    invoices = call.state["invoices"]
    found = (invoices.shown(identifier) for identifier in invoices.find("customer", customer))
    return any(invoice["status"] in ("open", "paid", "uncollectible") for invoice in found)


def _used_up(obj: Obj, now: int, until: str) -> bool:
    most: int | None = obj["max_redemptions"]
    return (obj[until] is not None and obj[until] <= now) or (most is not None and obj["times_redeemed"] >= most)


WRITES = (
    Write(
        "POST",
        "/v1/coupons",
        "coupons",
        "coupon",
        "CouponCreateParams",
        create,
        (
            *("amount_off", "applies_to[products]", "currency", "duration", "duration_in_months", "id"),
            *("max_redemptions", "metadata", "name", "percent_off", "redeem_by"),
        ),
    ),
    Write("POST", "/v1/coupons/{id}", "coupons", "coupon", "CouponUpdateParams", update, ("metadata", "name")),
    Write("DELETE", "/v1/coupons/{id}", "coupons", "leaf", "CouponDeleteParams", delete),
    Write(
        "POST",
        "/v1/promotion_codes",
        "promotion_codes",
        "promotion_code",
        "PromotionCodeCreateParams",
        create_code,
        (
            *("active", "code", "customer", "expires_at", "max_redemptions", "metadata", "promotion"),
            "restrictions[first_time_transaction]",
        ),
    ),
    Write(
        "POST",
        "/v1/promotion_codes/{id}",
        "promotion_codes",
        "promotion_code",
        "PromotionCodeUpdateParams",
        update_code,
        ("active", "metadata"),
    ),
)
