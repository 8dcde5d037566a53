"""An OpenID provider on this machine, as far as who asks it sees one: discovery, keys, codes with PKCE, ID tokens."""

import base64
import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from tests.support.serving import serving

CLIENT, SECRET = "tidegate", "s3cret/with:signs"


@dataclass
class Provider:
    """What it says next: `claims` in the ID token, `userinfo` beside it; `key` signs, `published` are those shown."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    userinfo: dict[str, Any] = field(default_factory=dict[str, Any])
    key: RSAKey | OctKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    algorithm: str = "RS256"
    ways: list[str] = field(default_factory=lambda: ["client_secret_basic"])
    published: list[RSAKey] = field(default_factory=list[RSAKey])
    asked: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def rotate(self) -> None:
        """Another key from now on."""
        self.key = RSAKey.generate_key(2048, {"kid": "two"})
        self.published = [self.key]

    def discovery(self, _: Request) -> Response:
        names = ("authorization", "token", "userinfo")
        said: dict[str, Any] = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        said |= {f"{name}_endpoint": f"{self.issuer}/{name}" for name in names}
        return JSONResponse(said | {"token_endpoint_auth_methods_supported": self.ways})

    def keys(self, _: Request) -> Response:
        return JSONResponse(KeySet([*self.published]).as_dict(private=False))

    def authorize(self, request: Request) -> Response:
        """Somebody is signed in here already, and is sent back at once."""
        asked = dict(request.query_params)
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    async def token(self, request: Request) -> Response:
        sent = {name: str(value) for name, value in (await request.form()).items()}
        asked = self.asked.pop(sent.get("code", ""), None)
        basic = base64.b64encode(f"{CLIENT}:s3cret%2Fwith%3Asigns".encode()).decode()
        known = (
            request.headers.get("authorization") == f"Basic {basic}"
            if "client_secret_basic" in self.ways
            else (sent.get("client_id"), sent.get("client_secret")) == (CLIENT, SECRET)
        )
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        fits = asked and asked["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not (known and fits and asked and sent["redirect_uri"] == asked["redirect_uri"]):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid or "one"}
        signed = jwt.encode(header, claims, self.key, algorithms=[self.algorithm])
        return JSONResponse({"id_token": signed, "access_token": "at", "token_type": "Bearer"})

    def user(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer at"
        return JSONResponse(self.userinfo)


@contextmanager
def provider() -> Generator[Provider]:
    """One that runs until the block ends."""
    one = Provider()
    assert isinstance(one.key, RSAKey)
    one.published = [one.key]
    routes = [
        Route("/.well-known/openid-configuration", one.discovery),
        Route("/keys", one.keys),
        Route("/authorization", one.authorize),
        Route("/token", one.token, methods=["POST"]),
        Route("/userinfo", one.user),
    ]
    with serving(Starlette(routes=routes, lifespan=None)) as one.issuer:
        yield one
