"""Whose data it is: the account itself."""

from tidegate.stripe_api.resources.resource import Column, Resource
from tidegate.stripe_api.shapes.account import Account

ACCOUNTS = Resource(
    name="accounts",
    object="account",
    shape=Account,
    path="/v1/account",
    permission="rak_connected_account_read",
    created_filter=False,
    singleton=True,
    columns=(
        Column("name"),
        Column("email"),
        Column("country"),
        Column("default_currency"),
        Column("timezone"),
        Column("type"),
        Column("business_type"),
        Column("charges_enabled", "boolean"),
        Column("payouts_enabled", "boolean"),
        Column("details_submitted", "boolean"),
    ),
)
