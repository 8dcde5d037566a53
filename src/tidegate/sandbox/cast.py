"""The cast: customers who each show one thing that real accounts have, guaranteed, where others live by chance."""

from dataclasses import dataclass
from typing import Any

from tidegate.sandbox.offers import Offer, backdated, mixed, of, on_invoice, one_off, taxed, with_code, without_card

PRO = of(("pro-month-usd", 1))


@dataclass(frozen=True)
class Role:
    """One part: when it arrives (days before the present), what it takes, and what it then does.

    `steps` are (days later, name in `steps.STEPS`) about its subscription, `later` (days later, what, detail) about the
    customer, named in `life.HAPPENINGS`. `terms` are None for who does not subscribe; `card` is "good", None, or the
    last digits of one that is always declined; `balance` is the customer's at first, minor units.
    """

    days: float
    terms: Offer | None = PRO
    steps: tuple[tuple[float, str], ...] = ()
    later: tuple[tuple[float, str, Any], ...] = ()
    card: str | None = "good"
    balance: int = 0


BAD = "0341"
TEAM = of(("team-month-usd", 6))
SENT = of(("business-month-usd", 1), changes=on_invoice(30))

ROLES: dict[str, Role] = {
    # What is sold
    "twenty_items": Role(70, of(*((f"addon-{number}", 1 + number % 3) for number in range(1, 21)))),
    "grid": Role(65, of(("grid", 140), ("starter-month-usd", 1)), ((0.1, "credit_lines"),)),
    "scale": Role(100, of(("scale", 64))),
    "volume": Role(95, of(("volume", 240))),
    "packages": Role(62, of(("messages", 4300), ("pro-month-usd", 1))),
    "metered": Role(80, of(("starter-month-usd", 1), ("calls", None), ("calls-tiered", None))),
    "legacy": Role(300, of(("legacy", 1))),
    "inline": Role(50, one_off()),
    "storage": Role(61, of(("storage", 333))),
    "item_discount": Role(64, of(("team-month-usd", 8), ("addon-3", 1), coupon="TENOFF", item_coupon="TEAMONLY")),
    "friend": Role(90, of(("pro-month-usd", 1), coupon="FRIENDS")),
    "vat": Role(92, taxed("vat", "eur")),
    "tva": Role(93, taxed("tva", "eur")),
    "jct": Role(94, taxed("jct", "jpy")),
    "send_invoice": Role(40, of(("business-year-usd", 3), changes=on_invoice(30)), card=None),
    # How trials, payments and subscriptions go
    "trial_no_card": Role(25, of(("pro-month-usd", 1), trial_days=14, changes=without_card("pause")), card=None),
    "trialing": Role(5, of(("team-month-usd", 4), trial_days=14)),
    "past_due": Role(33, steps=((1, "bad_card"),)),
    "unpaid": Role(80, steps=((1, "bad_card"),)),
    "incomplete": Role(0.4, card=BAD),
    "incomplete_expired": Role(9, card=BAD),
    "dunned": Role(85, steps=((1, "bad_card"),)),
    "late_card": Role(66, steps=((1, "bad_card"), (35, "good_card"))),
    "churned": Role(45, steps=((9, "cancel_now"),)),
    "canceling": Role(12, steps=((2, "cancel_later"),)),
    "pending": Role(0.3, steps=((1 / 24, "await_payment"),)),
    "backdated": Role(42, backdated),
    "paused_collection": Role(41, steps=((3, "pause_draft"),)),
    "deleted": Role(55, later=((20, "leave", None),)),
    "scheduled": Role(8, steps=((2, "schedule"),)),
    "credited": Role(35, steps=((2, "credit_balance"),)),
    "upgrading": Role(38, of(("starter-month-usd", 1)), ((10, "upgrade"),)),
    "growing": Role(39, TEAM, ((11, "more_seats"),)),
    "growing_yearly": Role(102, of(("team-year-eur", 12)), ((50, "more_seats_billed"),)),
    "fee": Role(36, steps=((2, "fee"),)),
    "customer_discount": Role(63),
    "credit": Role(60, balance=-5000),
    # Who they are
    "several": Role(96, later=((0.01, "second", None),)),
    "no_email": Role(97),
    "duplicate": Role(98),
    "duplicate_again": Role(99),
    "no_name": Role(101),
    "prospect": Role(30, None, card=None),
    "quoted": Role(28, None, later=((0.1, "quote", "accepted"),)),
    "quoted_open": Role(3, None, later=((0.1, "quote", "open"),)),
    "free": Role(57, of(("free", 1))),
    "colleague": Role(72),
    "colleague_sales": Role(71),
    "colleague_abroad": Role(68),
    "free_mail": Role(53),
    "free_mail_too": Role(52),
    "renamed": Role(48, steps=((27, "rename"),)),
    "new_email": Role(47, steps=((26, "new_email"),)),
    "new_card": Role(46, steps=((25, "good_card"),)),
    # More of what is sold
    "early_bird": Role(140, of(("starter-month-usd", 1))),
    "inline_product": Role(49, one_off("Onboarding, tailored")),
    "everywhere": Role(73, of(("everywhere", 1), currency="eur")),
    "mixed_intervals": Role(69, mixed),
    "item_once": Role(67, of(("team-month-usd", 5), item_coupon="WELCOME20")),
    "trial_coupon": Role(56, of(("pro-month-usd", 1), trial_days=14, coupon="WELCOME20")),
    "promotion_code": Role(75, with_code("WELCOME20")),
    "coupon_gone": Role(59, of(("pro-month-usd", 1), coupon="LASTCALL")),
    "discounted_later": Role(58, steps=((20, "give_discount"), (45, "drop_discount"))),
    "three_months_off": Role(130, of(("pro-month-usd", 1), coupon="SPRING3")),
    # Changes
    "removed_item": Role(44, of(("pro-month-usd", 1), ("addon-5", 2)), ((22, "drop_add_on"),)),
    "added_item": Role(43, steps=((12, "add_on"),)),
    "changed_twice": Role(37, TEAM, ((8, "more_seats"), (16, "more_seats_later"))),
    "growing_free": Role(51, TEAM, ((12, "more_seats_free"),)),
    "growing_at_once": Role(54, TEAM, ((13, "more_seats_billed"),)),
    "discounted_change": Role(34, of(("team-month-usd", 9), coupon="WELCOME20"), ((15, "fewer_seats"),)),
    "yearly": Role(74, steps=((25, "yearly"),)),
    "leaves_free": Role(40, of(("free", 1)), ((11, "to_pro"),)),
    # Trials
    "trial_canceled": Role(24, of(("team-month-usd", 3), trial_days=14), ((6, "cancel_now"),)),
    "trial_unpaid": Role(50, of(("pro-month-usd", 1), trial_days=14), ((2, "bad_card"),)),
    "trial_no_card_billed": Role(18, of(("pro-month-usd", 1), trial_days=14), card=None),
    "trial_resumed": Role(
        43,
        of(("pro-month-usd", 1), trial_days=14, changes=without_card("pause")),
        ((20, "good_card"), (20.1, "resume_paused")),
        card=None,
    ),
    "trial_restarted": Role(76, of(("pro-month-usd", 1), trial_days=14), ((40, "restart_trial"),)),
    # Pauses
    "paused_void": Role(43, steps=((3, "pause_void"),)),
    "paused_uncollectible": Role(44, steps=((3, "pause_uncollectible"),)),
    # Payments and money back
    "paid_late": Role(90, steps=((1, "bad_card"), (70, "good_card"), (70.1, "pay_debts"))),
    "written_off_paid": Role(88, steps=((1, "bad_card"), (75, "good_card"), (75.1, "pay_debts"))),
    "never_transfers": Role(110, SENT, card=None),
    "paid_in_time": Role(0.9, steps=((0.2, "good_card"), (0.3, "pay_debts")), card=BAD),
    "refunded_part": Role(29, steps=((5, "refund_part"),)),
    "refunded_fraud": Role(28, steps=((5, "refund_fraudulent"),)),
    "refund_failed": Role(27, steps=((5, "refund_fails"),)),
    "dispute_lost": Role(26, steps=((6, "dispute_lost"),)),
    "dispute_won": Role(25, steps=((6, "dispute_won"),)),
    "credited_open": Role(21, SENT, ((1, "credit_open"), (2, "credit_open"), (3, "void_credit")), card=None),
    "credited_before_retry": Role(60, steps=((1, "bad_card"), (32, "credit_open"), (34.5, "good_card"))),
    "credited_refund": Role(23, steps=((3, "credit_refund"), (4, "credit_refund"))),
    "credited_outside": Role(22, steps=((3, "credit_out_of_band"),)),
    "debt": Role(77, balance=700),
    # Endings
    "cancels_at": Role(20, steps=((4, "cancel_at"),)),
    "stays": Role(19, steps=((3, "cancel_later"), (8, "keep"))),
    "left_credited": Role(31, TEAM, ((10, "cancel_with_credit"),)),
    "left_in_change": Role(32, TEAM, ((9, "more_seats"), (10, "cancel_now"))),
    "metered_ends": Role(45, of(("starter-month-usd", 1), ("calls", None)), ((4, "cancel_later"),)),
    "returned": Role(120, steps=((20, "cancel_now"),), later=((70, "return", None),)),
    # Changes that wait
    "pending_paid": Role(15, steps=((4, "await_payment"), (4.3, "pay_pending"))),
    "pending_lapsed": Role(16, steps=((4, "await_payment"),)),
    # Schedules
    "stepped_up": Role(79, TEAM, ((5, "schedule"),)),
    "stepped_out": Role(78, steps=((5, "schedule_and_cancel"),)),
    "fixed_term": Role(41, steps=((5, "fixed_term"),)),
    "schedule_canceled": Role(17, steps=((2, "schedule"), (6, "cancel_now"))),
    "signed_ahead": Role(10, None, later=((0.1, "sign_ahead", 30),)),
    "began_as_signed": Role(83, None, later=((0.1, "sign_ahead", 20),)),
    "called_off": Role(14, None, later=((0.1, "sign_ahead", 30), (5, "call_off", None))),
    # Quotes
    "quote_draft": Role(13, None, later=((0.1, "quote", "draft"),)),
    "quote_canceled": Role(14, None, later=((0.1, "quote", "canceled"),)),
    "quote_expired": Role(35, None, later=((0.1, "quote", "open"),)),
}
