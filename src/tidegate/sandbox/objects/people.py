"""Customers, their cards, and the account itself."""

from typing import Any

from tidegate.sandbox.resources import Obj

NO_ADDRESS: Obj = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def address(country: str, city: str, line1: str, postal_code: str) -> Obj:
    """A postal address."""
    return {"city": city, "country": country, "line1": line1, "line2": None, "postal_code": postal_code, "state": None}


def customer(identifier: str, created: int, name: str | None, email: str | None, **changes: Any) -> Obj:
    """A customer without subscriptions yet; `balance` in minor units, negative is credit."""
    obj: Obj = {
        "id": identifier,
        "object": "customer",
        "address": None,
        "balance": 0,
        "business_name": None,
        "created": created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": email,
        "individual_name": None,
        "invoice_prefix": identifier[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": name,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    return obj | changes


def billing_details(owner: Obj) -> Obj:
    """Whose card it is."""
    return {
        "address": owner["address"] or NO_ADDRESS,
        "email": owner["email"],
        "name": owner["name"],
        "phone": owner["phone"],
        "tax_id": None,
    }


def payment_method(identifier: str, created: int, owner: Obj, last4: str, brand: str = "visa") -> Obj:
    """A card of a customer."""
    return {
        "id": identifier,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details(owner),
        "card": {
            "brand": brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "display_brand": brand,
            "exp_month": 8,
            "exp_year": 2031,
            "fingerprint": f"fp{last4}{identifier[-6:]}",
            "funding": "credit",
            "generated_from": None,
            "last4": last4,
            "networks": {"available": [brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": created,
        "customer": owner["id"],
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def account(identifier: str, created: int) -> Obj:
    """The company's own account."""
    nothing_due: Obj = {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": [],
        "disabled_reason": None,
        "errors": [],
        "eventually_due": [],
        "past_due": [],
        "pending_verification": [],
    }
    return {
        "id": identifier,
        "object": "account",
        "business_profile": {
            "annual_revenue": None,
            "estimated_worker_count": None,
            "mcc": "5734",
            "minority_owned_business_designation": None,
            "name": "Harbour Works",
            "product_description": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": "https://harbour.example",
        },
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": created,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "billing@harbour.example",
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{identifier}/external_accounts",
        },
        "future_requirements": nothing_due,
        "metadata": {},
        "payouts_enabled": True,
        "requirements": nothing_due,
        "settings": _settings(),
        "tos_acceptance": {"date": created, "ip": None, "user_agent": None},
        "type": "standard",
    }


def _settings() -> Obj:
    names = (
        "statement_descriptor",
        "statement_descriptor_kana",
        "statement_descriptor_kanji",
        "statement_descriptor_prefix_kana",
        "statement_descriptor_prefix_kanji",
    )
    return {
        "bacs_debit_payments": {"display_name": None, "service_user_number": None},
        "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
        "card_payments": {
            "decline_on": {"avs_failure": False, "cvc_failure": False},
            "statement_descriptor_prefix": None,
            "statement_descriptor_prefix_kana": None,
            "statement_descriptor_prefix_kanji": None,
        },
        "dashboard": {"display_name": "Harbour Works", "timezone": "Etc/UTC"},
        "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": "offer"},
        "payments": dict.fromkeys(names) | {"statement_descriptor": "HARBOUR"},
        "payouts": {
            "debit_negative_balances": True,
            "schedule": {"delay_days": 2, "interval": "daily"},
            "statement_descriptor": None,
        },
        "sepa_debit_payments": {},
    }
