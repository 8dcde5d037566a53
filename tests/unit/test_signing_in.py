"""Why nobody can sign in over plain HTTP, as the page says it."""

from starlette.requests import Request

from tidegate.web.signing_in.sign_in import why_insecure


def asked(**headers: str) -> Request:
    """A request that came over plain HTTP from 172.17.0.1."""
    said = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "scheme": "http", "headers": said, "client": ("172.17.0.1", 40_000)})


def test_a_proxy_that_is_not_believed_is_named() -> None:
    told = why_insecure(asked(x_forwarded_proto="https"))
    assert "172.17.0.1" in told
    assert "TIDEGATE_TRUSTED_PROXIES" in told


def test_without_a_proxy_that_says_https_there_is_none_to_name() -> None:
    assert why_insecure(asked()) == why_insecure(asked(x_forwarded_proto="http")) == "Signing in needs HTTPS."
