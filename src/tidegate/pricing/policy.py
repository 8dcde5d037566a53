"""Policies: what counts as recurring revenue, setting by setting, and what vendors' own reports choose."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from tidegate.errors import PolicyInvalid


@dataclass(frozen=True, slots=True)
class Policy:
    """One choice for each of `SETTINGS`; `assumed` names those that the vendor leaves to the account."""

    name: str = "default"
    past_due: str = "counts"
    trials: str = "zero"
    start: str = "status"
    pauses: str = "drafts"
    days: str = "365/12"
    weeks: str = "52/12"
    metered: str = "zero"
    discounts: str = "recurring"
    cancellation: str = "ended"
    zero: str = "churn"
    unit: str = "contact"
    netting: str = "60 minutes"
    assumed: tuple[str, ...] = ()

    @property
    def past_due_days(self) -> int | None:
        """Days after which a subscription that is past due counts no more; None: it counts for as long as it lasts."""
        return None if self.past_due == "counts" else int(self.past_due.split()[0])

    @property
    def netting_seconds(self) -> int | None:
        """Seconds within which changes are one movement; None: by day or by period."""
        number, _, unit = self.netting.partition(" ")
        return 0 if self.netting == "instant" else 60 * int(number) if unit.startswith("minute") else None


class Choice(NamedTuple):
    """What a preset chooses, and where that is said. `value` None: the vendor leaves it to the account."""

    value: str | None
    source: str


class Setting(NamedTuple):
    """A setting: what it may be (`N` stands for a number), what it decides, and what each preset chooses. `others`:
    choices that vendors without a preset make, each with the page that says so.
    """

    name: str
    choices: tuple[str, ...]
    about: str
    presets: Mapping[str, Choice]
    others: tuple[tuple[str, str], ...] = ()


OWN = "Tidegate's own choice"
NO_SOURCE = "no source"
"""Of a choice that the vendor's public pages do not tell: it is left to the account."""

_STRIPE = "https://support.stripe.com/questions/"
_GLOSSARY = "https://docs.stripe.com/billing/subscriptions/analytics/glossary"
_CONFIGURED = f"{_STRIPE}metric-configurations"
_COUPONS = f"{_STRIPE}impact-of-discounts-and-coupons-on-monthly-recurring-revenue-mrr-in-billing"
_CHARTMOGUL = "https://help.chartmogul.com/"
_PRORATED = "https://dev.chartmogul.com/docs/how-mrr-is-calculated-from-prorated-invoices"
_CHARGEBEE_HELP = "https://support.chargebee.com/support/solutions/articles/"
_MOVEMENTS = f"{_CHARTMOGUL}hc/en-us/articles/201244842"
_SETTINGS = f"{_CHARTMOGUL}article/245-configuring-subscription-analytics-settings"


def _setting(
    name: str,
    choices: str,
    about: str,
    default: str,
    stripe: tuple[str | None, str],
    chartmogul: tuple[str | None, str],
    *others: tuple[str, str],
) -> Setting:
    ours = Choice(default, OWN)
    presets = {"default": ours, "stripe": Choice(*stripe), "chartmogul": Choice(*chartmogul)}
    return Setting(name, tuple(choices.split(" | ")), about, presets, others)


SETTINGS = {
    one.name: one
    for one in (
        _setting(
            "past_due", "counts | N days",
            "A subscription that is past due counts until Stripe changes its status, or for so many days.",
            "counts", ("counts", _GLOSSARY), (None, f"{_CHARTMOGUL}article/303-handling-past-due-subscriptions"),
            ("30 days", "https://help.baremetrics.com/en/articles/5380330-monthly-recurring-revenue"),
        ),
        _setting(
            "trials", "zero | count", "A subscription that is trialing is worth nothing, or what it will be worth.",
            "zero", ("zero", _GLOSSARY), ("zero", f"{_CHARTMOGUL}hc/en-us/articles/360002120279"),
        ),
        _setting(
            "start", "status | first_paid_invoice",
            "A subscription counts from when its status first does, or from when its first invoice is paid.",
            "status", (None, f"{_STRIPE}fresher-billing-analytics-data"),
            (None, f"{_CHARTMOGUL}hc/en-us/articles/360003422980"),
        ),
        _setting(
            "pauses", "drafts | count",
            "While collection is paused a subscription counts only where its invoices are kept as drafts, or always.",
            "drafts", (None, NO_SOURCE),
            ("count", f"{_CHARTMOGUL}hc/en-us/articles/203231962-Stripe-integration-guide"),
        ),
        _setting(
            "days", "365/12 | 30", "Days of a month, for prices by the day.",
            "365/12", (None, NO_SOURCE), (None, NO_SOURCE),
            ("30", "https://support.recurly.com/hc/en-us/articles/360027350412"),
        ),
        _setting(
            "weeks", "52/12 | 365/84 | 7 days",
            "Weeks of a month, for prices by the week; `7 days`: as many as the setting `days` has.",
            "52/12", (None, NO_SOURCE),
            ("7 days", f"{_CHARTMOGUL}hc/en-us/articles/207290919-Creating-and-managing-plans"),
        ),
        _setting(
            "metered", "zero | last_period", "A metered price is worth nothing, or what its last period came to.",
            "zero", ("zero", _GLOSSARY), ("zero", f"{_CHARTMOGUL}hc/en-us/articles/203299812"),
            ("last_period", f"{_CHARGEBEE_HELP}249722-how-is-metered-billing-calculated-in-mrr-"),
        ),
        _setting(
            "discounts", "recurring | forever | one_time | all | none | applied | renewal",
            "Discounts that are taken off: those that recur, of these only those without end, those for one invoice, "
            "all of them, none, those that the last invoice bore, or those that the next renewal will bear.",
            "recurring", (None, _COUPONS), ("applied", _PRORATED),
            ("forever", f"{_STRIPE}billing-analytics"), ("one_time", _CONFIGURED), ("all", _CONFIGURED),
            ("none", "https://support.recurly.com/hc/en-us/articles/360023024212"),
            ("renewal", "https://www.chargebee.com/docs/billing/2.0/reports-and-analytics/flexi-mrr-vs-regular-mrr"),
        ),
        _setting(
            "cancellation", "ended | request",
            "A canceled subscription counts until it ends, or until that was asked for.",
            "ended", (None, _CONFIGURED), (None, f"{_CHARTMOGUL}article/242-churn-recognition"),
        ),
        _setting(
            "zero", "churn | contraction",
            "A contact that goes on for nothing (free, 100 % off) has churned, or has contracted and stays.",
            "churn", ("churn", _GLOSSARY), ("contraction", _SETTINGS),
        ),
        _setting(
            "unit", "contact | customer", "Whose changes are one movement: a contact's, or each customer's.",
            "contact", ("customer", _GLOSSARY), ("customer", _MOVEMENTS),
        ),
        _setting(
            "netting", "instant | N minutes | day | period",
            "Changes that count as one movement: those of an instant, of so many minutes, of a day, of a period.",
            "60 minutes", (None, NO_SOURCE), (None, _SETTINGS),
        ),
    )
}  # fmt: skip
"""Every setting by its name."""

PRESETS = ("default", "stripe", "chartmogul")


def policy(preset: str = "default", choices: Mapping[str, str] | None = None) -> Policy:
    """A preset with some settings chosen otherwise.

    What the vendor leaves to the account and `choices` do not name is as in `default`, and `assumed`. Raises
    PolicyInvalid for a preset, setting or choice that is none.
    """
    if preset not in PRESETS:
        raise PolicyInvalid(problem=f"There is no policy {preset}: there are {', '.join(PRESETS)}.")
    chosen = {name: str(value) for name, value in (choices or {}).items()}
    for name, value in chosen.items():
        _check(name, value)
    values: dict[str, str] = {}
    assumed: list[str] = []
    for setting in SETTINGS.values():
        theirs = setting.presets[preset].value
        if theirs is None and setting.name not in chosen:
            assumed.append(setting.name)
        values[setting.name] = chosen.get(setting.name) or theirs or str(setting.presets["default"].value)
    return replace(Policy(), name=preset, assumed=tuple(assumed), **values)


def _check(name: str, value: str) -> None:
    setting = SETTINGS.get(name)
    if setting is None:
        raise PolicyInvalid(problem=f"There is no setting {name}: there are {', '.join(SETTINGS)}.")
    if not any(_is(value, choice) for choice in setting.choices):
        raise PolicyInvalid(problem=f"{name} cannot be {value!r}: it is one of {', '.join(setting.choices)}.")


def _is(value: str, choice: str) -> bool:
    if not choice.startswith("N "):
        return value == choice
    number, _, unit = value.partition(" ")
    return number.isascii() and number.isdigit() and unit == choice[2:] and len(number) < 6
