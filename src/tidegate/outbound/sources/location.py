"""Where a source is: its URL taken apart, as it may be shown, and whether it holds a secret."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

FILES = frozenset({"", "file", "duckdb", "sqlite"})
"""Schemes whose URL is a path. One that is not there is looked for from the working directory."""
SECRET_PARAMETERS = frozenset(
    {"password", "pwd", "passwd", "token", "access_token", "secret", "client_secret", "private_key", "passphrase",
     "credentials", "sslpassword", "api_key", "apikey"}
)  # fmt: skip
MARK = "…"


def scheme(url: str) -> str:
    """What sort of source it is, in lower case; empty: a path."""
    return urlsplit(url).scheme.lower() if "://" in url else ""


def path(url: str) -> Path:
    """The file or folder of a URL such as `duckdb:///data.duckdb`, or of a bare path."""
    said = unquote(urlsplit(url).path) if "://" in url else url
    if said.startswith("//"):  # four slashes are the root in SQLAlchemy's way of writing
        said = said[1:]
    found = Path(said).expanduser()
    beside = Path(said.lstrip("/"))
    return beside if not found.exists() and said.strip("/") and beside.exists() else found


def resolved(url: str) -> str:
    """The same with the whole path where it is a file or folder that is there, so that it holds from everywhere."""
    if scheme(url) not in FILES or not (found := path(url)).exists():
        return url
    whole = str(found.resolve())
    return f"{scheme(url)}://{quote(whole)}" if scheme(url) else whole


def has_secret(url: str) -> bool:
    """Whether a URL holds a password, or a parameter that is one."""
    return without_secret(url) != url


def without_secret(url: str) -> str:
    """A URL as it may be shown."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    before, at, host = parts.netloc.rpartition("@")
    user, colon, password = before.partition(":")
    netloc = f"{user}:{MARK}{at}{host}" if colon and password else parts.netloc
    query = "&".join(_hidden(one) for one in parts.query.split("&"))
    return urlunsplit(parts._replace(netloc=netloc, query=query)) if (netloc, query) != parts[1:4:2] else url


def _hidden(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    return f"{name}{equals}{MARK}" if value and unquote(name).lower() in SECRET_PARAMETERS else parameter
