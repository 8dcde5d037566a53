"""Users whom an OpenID provider vouches for: known by their verified address, invited or of an allowed domain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Engine

from tidegate.errors import ConfigurationError, LastAdmin, NotInvited, UserUnknown
from tidegate.security import audit_log, sessions, users
from tidegate.security.oidc import Answer
from tidegate.security.roles import ROLES
from tidegate.security.users import User
from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Admission:
    """Who comes in without an invitation, and as what. `domains` of e-mail addresses; `role` of those whose claims give
    none (empty: they stay out); `claim` names the claim that gives a role, `roles` what its values mean.
    """

    domains: frozenset[str]
    role: str
    claim: str
    roles: Mapping[str, str]

    def role_by_claim(self, claims: Mapping[str, Any]) -> str:
        """The most that the claim gives; empty: nothing."""
        said = claims.get(self.claim) if self.claim else None
        values = cast("list[Any]", said) if isinstance(said, list) else [said]
        given = [self.roles.get(str(one), "") if self.roles else str(one) for one in values]
        return max((one for one in given if one in ROLES), key=list(ROLES).index, default="")


def admission(settings: Settings) -> Admission:
    """What the settings say. Raises ConfigurationError for a role that there is not."""
    pairs = [one.partition("=") for one in _listed(settings.oidc_roles)]
    roles = {value.strip(): role.strip() for value, _, role in pairs}
    for role in {settings.oidc_role, *roles.values()} - {"", *ROLES}:
        raise ConfigurationError(problem=f"TIDEGATE_OIDC_ROLE(S) name a role {role!r}; there are {', '.join(ROLES)}.")
    domains = frozenset(one.lower().removeprefix("@") for one in _listed(settings.oidc_domains))
    return Admission(domains, settings.oidc_role, settings.oidc_role_claim, roles)


def come_in(engine: Engine, answer: Answer, how: Admission) -> tuple[User, str]:
    """The user, made where they may come uninvited, with the role that the provider gives them; and the cookie of a
    session. Raises NotInvited.
    """
    with engine.begin() as db:
        user = _known(db, answer, how)
        return user, sessions.begin(db, user)


def _known(db: Connection, answer: Answer, how: Admission) -> User:
    role = how.role_by_claim(answer.claims)
    try:
        user = users.by_email(db, answer.email)
    except UserUnknown:
        return _made(db, answer, how, role)
    if user.disabled_at is not None:
        raise NotInvited(email=answer.email, problem="may not sign in any more. Ask an admin.")
    if role and role != user.role:
        before, user = user, _given(db, user, role)
        if user.role != before.role:
            audit_log.record(db, f"oidc:{user.email}", "user.role", user.email, before=before.role, after=user.role)
    return user


def _given(db: Connection, user: User, role: str) -> User:
    """With the role that the provider says; the only admin stays one."""
    try:
        with db.begin_nested():
            return users.give_role(db, user, role)
    except LastAdmin:
        return user


def _made(db: Connection, answer: Answer, how: Admission, by_claim: str) -> User:
    domain, role = answer.email.rpartition("@")[2].lower(), by_claim or how.role
    if domain not in how.domains or not role:
        raise NotInvited(email=answer.email, problem="is nobody's whom an admin invited. Ask one to, under Users.")
    if role != "admin" and not users.any_exists(db):
        raise NotInvited(
            email=answer.email,
            problem="cannot be the first user. Open the link that `tidegate serve` prints as it starts.",
        )
    user = users.add(db, answer.email, users.printable_name(answer.name, answer.email), role)
    audit_log.record(db, f"oidc:{user.email}", "user.joined", user.email, role=role)
    return user


def _listed(said: str) -> list[str]:
    return [one.strip() for one in said.split(",") if one.strip()]
