"""Lets the links of a page keep the connection that its address names, to pages that are about one (pure)."""

import re
from html import escape
from urllib.parse import quote, unquote_plus

ABOUT_ONE = (
    *("/contacts", "/timelines", "/notes", "/subscriptions", "/search"),
    *("/revenue", "/calendar"),
    *("/stages", "/segments", "/health", "/alerts"),
    *("/packages", "/features", "/mappings"),
    *("/inbox", "/audits", "/export"),
)
"""Where the pages are that are about a connection, or about live or test data by a connection's name, also in a part of
them; the overview is one as well.
"""
_ADDRESS = re.compile(r'(?<= )(href|action|formaction|hx-get|hx-post)="(/[^"]*)"')
_FORM = re.compile(r'(<form (?![^>]*method="post")[^>]*?action="([^"?#]*)[^>]*>)(.*?)</form>', re.DOTALL)
_SAYS = re.compile(r"(?:[?&]|&amp;)connection=")


def kept(page: str, connection: str) -> str:
    """The page (HTML) with the connection's name in each address and form of ours that is about one and names none."""

    def named(found: re.Match[str]) -> str:
        return f'{found[1]}="{address(found[2], connection, "&amp;")}"'

    def asked(found: re.Match[str]) -> str:
        tag, path, fields = found.groups()
        if not _about_one(unquote_plus(path)) or 'name="connection"' in fields:
            return found[0]
        return f'{tag}<input type="hidden" name="connection" value="{escape(connection)}">{fields}</form>'

    return _ADDRESS.sub(named, _FORM.sub(asked, page))


def address(of: str, connection: str, and_: str = "&") -> str:
    """An address of ours with the connection's name, where it is about one and names none. `and_`: how it is written
    between two fields.
    """
    rest, hash_, place = of.partition("#")
    path, _, query = rest.partition("?")
    if not _about_one(unquote_plus(path)) or _SAYS.search(rest):
        return of
    said = f"connection={quote(connection, safe='')}"
    return f"{path}?{said}{and_ if query else ''}{query}{hash_}{place}"


def _about_one(path: str) -> bool:
    return path == "/" or any(path == one or path.startswith((f"{one}/", f"{one}.")) for one in ABOUT_ONE)
