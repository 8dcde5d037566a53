"""OpenID Connect: where a provider is asked who somebody is, and what of its answer is believed.

The authorization code flow with PKCE, a state and a nonce (openid.net/specs/openid-connect-core-1_0.html). Nothing is
believed but an ID token that the provider's own key signed, for us, in answer to this very question.
"""

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tidegate.errors import SignInFailed
from tidegate.security.digests import secret

SIGNED_BY = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Signatures by a key that the provider alone has; never `none`, nor one by the shared secret."""
LASTS = 600.0
"""Seconds that a question may wait for its answer, and for which what a provider says of itself is kept."""
LEEWAY = 60  # seconds that clocks may differ
SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, kept by the browser, sealed, until it comes back. `back`: the page to go to."""

    state: str
    nonce: str
    verifier: str
    back: str
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Who it is. `email` is verified by the provider; `claims`: all that it says."""

    email: str
    name: str
    claims: Mapping[str, Any]


class Provider:
    """A provider by its issuer's address. Safe for many threads."""

    def __init__(self, issuer: str, client_id: str, client_secret: str) -> None:
        self._issuer = issuer.rstrip("/")
        self._client_id, self._client_secret = client_id, client_secret
        self._known: tuple[float, dict[str, Any], KeySet] | None = None

    def ask(self, redirect_uri: str, back: str) -> tuple[str, Question]:
        """Where to send the browser, and what to remember until it comes back. Raises SignInFailed."""
        said, _ = self._described()
        question = Question(secret(), secret(), secret(), back, time.time())
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email profile",
            "state": question.state,
            "nonce": question.nonce,
            "code_challenge": _challenge(question.verifier),
            "code_challenge_method": "S256",
        }
        address = str(said["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", question

    def answer(self, question: Question, given: Mapping[str, str], redirect_uri: str) -> Answer:
        """Who came back with these parameters. Raises SignInFailed for everything that is not beyond doubt."""
        if time.time() - question.at > LASTS:
            raise SignInFailed(problem="It took too long; begin again.")
        if given.get("state") != question.state:
            raise SignInFailed(problem="The answer belongs to another question; begin again, in one window.")
        if given.get("error"):
            raise SignInFailed(problem=f"The provider says {given['error'][:100]!r}. Ask who runs it.")
        said, _ = self._described()
        tokens = self._exchanged(said, given.get("code", ""), question, redirect_uri)
        claims = self._verified(str(tokens.get("id_token") or ""), question.nonce)
        if "email" not in claims and said.get("userinfo_endpoint"):
            claims = {**self._userinfo(said, str(tokens.get("access_token", "")), claims), **claims}
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise SignInFailed(
                problem="The provider does not say that the e-mail address is verified. Verify it there, or have an "
                "admin invite you with a password."
            )
        return Answer(email, str(claims.get("name") or email.partition("@")[0]), claims)

    def _described(self, *, anew: bool = False) -> tuple[dict[str, Any], KeySet]:
        """What the provider says of itself, and its keys."""
        if self._known is None or anew or time.monotonic() - self._known[0] > LASTS:
            said = self._fetched(f"{self._issuer}/.well-known/openid-configuration")
            if str(said.get("issuer", "")).rstrip("/") != self._issuer:
                raise SignInFailed(
                    problem=f"The provider calls itself {said.get('issuer')!r}: set TIDEGATE_OIDC_ISSUER so."
                )
            missing = {"authorization_endpoint", "token_endpoint", "jwks_uri"} - said.keys()
            if missing:
                raise SignInFailed(problem=f"The provider does not name its {', '.join(sorted(missing))}.")
            keys = KeySet.import_key_set(self._fetched(str(said["jwks_uri"])))  # pyright: ignore[reportArgumentType]
            self._known = (time.monotonic(), said, keys)
        return self._known[1:]

    def _exchanged(self, said: dict[str, Any], code: str, question: Question, redirect_uri: str) -> dict[str, Any]:
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": question.verifier,
        }
        ways = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" in ways:  # each part as in a form (RFC 6749, 2.3.1)
            whose = httpx.BasicAuth(quote(self._client_id, safe=""), quote(self._client_secret, safe=""))
        else:
            whose = None
            sent |= {"client_id": self._client_id, "client_secret": self._client_secret}
        try:
            answer = httpx.post(_safe(str(said["token_endpoint"])), data=sent, auth=whose, timeout=SECONDS)
            answer.raise_for_status()
            return dict(answer.json())
        except (httpx.HTTPError, ValueError, TypeError) as error:
            raise SignInFailed(
                problem=f"The provider does not take its code back ({type(error).__name__}). Begin again; if it stays "
                "so, TIDEGATE_OIDC_CLIENT_ID or TIDEGATE_OIDC_CLIENT_SECRET may be wrong."
            ) from error

    def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": self._described()[0]["issuer"]},
            sub={"essential": True},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = self._opened(token).claims
            rules.validate(claims)
        except (JoseError, ValueError) as error:
            raise SignInFailed(problem=f"The provider's answer cannot be believed: {error}. Begin again.") from error
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._client_id:  # pyright: ignore[reportUnknownArgumentType]
            raise SignInFailed(
                problem="The provider's answer cannot be believed: it is for another program. Begin again."
            )
        return claims

    def _opened(self, token: str) -> jwt.Token:
        """The token, its signature checked; keys are read again before it is refused: a provider changes them."""
        try:
            return jwt.decode(token, self._described()[1], algorithms=SIGNED_BY)
        except (JoseError, ValueError):
            return jwt.decode(token, self._described(anew=True)[1], algorithms=SIGNED_BY)

    def _userinfo(self, said: dict[str, Any], token: str, claims: dict[str, Any]) -> dict[str, Any]:
        told = self._fetched(str(said["userinfo_endpoint"]), Authorization=f"Bearer {token}")
        if told.get("sub") != claims["sub"]:
            raise SignInFailed(problem="The provider speaks of two different people. Ask who runs it.")
        return told

    def _fetched(self, address: str, **headers: str) -> dict[str, Any]:
        try:
            answer = httpx.get(_safe(address), headers=headers, timeout=SECONDS)
            answer.raise_for_status()
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise SignInFailed(
                problem=f"The provider does not answer at {address} ({type(error).__name__}). Try again, or sign in "
                "with a password."
            ) from error
        if not isinstance(said, dict):
            raise SignInFailed(problem=f"The provider's answer at {address} cannot be read.")
        return said  # pyright: ignore[reportUnknownVariableType]


def _challenge(verifier: str) -> str:
    """By S256 (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _safe(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise SignInFailed(problem=f"The provider's address {address} is not https.")
    return address
