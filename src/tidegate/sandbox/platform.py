"""The simulated account as a Connect platform: further accounts, each with a company, a clock and limits of its own.

Requests with the header `Stripe-Account` act on one of them, those to the sandbox's own endpoints included.
"""

from dataclasses import replace

import msgspec

from tidegate.sandbox import control
from tidegate.sandbox.accounts import no_access, own
from tidegate.sandbox.answers import Answer, Refusal, Request, as_json, missing
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.control import Controls
from tidegate.sandbox.generator import make_world
from tidegate.sandbox.life import advance_to
from tidegate.sandbox.limits import Limits
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.truth import truth
from tidegate.sandbox.webhooks import Webhooks
from tidegate.sandbox.world import World

NAMES = ("Fernwood Studio", "Blue Kiln", "Larkspur & Sons", "Tideline Cycles", "Öresund Coffee", "North Quay Books")
PLATFORM = "ca_SandboxPlatform"
"""The client id of the platform."""
CUSTOMERS = 20
"""The most customers of a connected company."""
SEEDS = 1000
"""Connected companies are made from the platform's seed times this, and their number."""


class Platform:
    """The account itself and those connected to it; all of them keep one time."""

    def __init__(self, config: SandboxConfig, itself: Controls) -> None:
        self.config = config
        self.itself = itself
        self.connected: dict[str, Controls] = {}
        self.former: dict[str, Controls] = {}
        for _ in range(config.connected):
            self.found()

    def company(self, request: Request) -> Controls:
        """Whom the request acts on; the platform itself where `check` refuses."""
        return self.connected.get(asked_for(request), self.itself)

    def check(self, request: Request) -> None:
        """Raises Refusal (403) for an account that is not connected to the platform."""
        account = asked_for(request)
        if account and account not in self.connected and account != own(self.itself.state):
            raise no_access(request, account)

    def found(self) -> str:
        """Makes a company and connects its account; returns the account's id."""
        number = len(self.connected) + len(self.former) + 1
        world = make_world(
            replace(
                self.config,
                profile="company",
                customers=min(self.config.customers, CUSTOMERS),
                seed=self.config.seed * SEEDS + number,
                connected=0,
            )
        )
        named(world, number)
        advance_to(world, self.itself.world.clock.now)
        account = own(world.state)
        limits = Limits(self.config.rate, self.config.endpoint_rate)
        self.itself.webhooks.hear(world.state, account)
        hooks, faults = Webhooks(world.state, world.config.seed), self.itself.faults
        self._connect(account, Controls(world, hooks, self.itself.keys, limits, faults))
        return account

    def _connect(self, account: str, company: Controls) -> None:
        self.connected[account] = company
        self.itself.state.connected[account] = company.state

    def part(self, account: str) -> None:
        """Takes an account's access back."""
        tell(self.connected[account], "account.application.deauthorized")
        self.former[account] = self.connected.pop(account)
        del self.itself.state.connected[account]

    def settle(self) -> None:
        """Brings all clocks to the same time, and starts delivering what events were emitted."""
        every = [self.itself, *self.connected.values()]
        now = max(one.world.clock.now for one in every)
        for one in every:
            if one.world.clock.now < now:
                advance_to(one.world, now)
        for one in every:
            one.webhooks.flush()

    async def close(self) -> None:
        """Gives up the deliveries that are under way."""
        for one in [self.itself, *self.connected.values(), *self.former.values()]:
            await one.webhooks.close()

    def answer(self, request: Request) -> Answer:
        """Answers a path that starts with `/__`. Raises Refusal."""
        name, _, rest = request.path.removeprefix("/__").partition("/")
        try:
            if name == "connected":
                return self._connected(request, rest)
            self.check(request)
            return control.answer(self.company(request), request)
        finally:
            self.settle()

    def _connected(self, request: Request, account: str) -> Answer:
        """GET /__connected: each account's name and truth. POST: one more. DELETE /__connected/{id}: revokes the access
        to one, and POST to the same path gives it again.
        """
        match request.method, account:
            case "GET", "":
                return as_json({one: shown(company) for one, company in self.connected.items()})
            case "POST", "":
                account = self.found()
            case "POST", _ if account in self.former:
                company = self.former.pop(account)
                advance_to(company.world, self.itself.world.clock.now)
                self._connect(account, company)
            case "DELETE", _ if account in self.connected:
                self.part(account)
                return as_json({"id": account, "connected": False})
            case "DELETE" | "POST", _:
                raise missing("account", account)
            case _:
                raise Refusal(404, f"Unrecognized control URL ({request.method}: {request.path}).")
        tell(self.connected[account], "account.application.authorized")
        return as_json({"id": account, "connected": True})


def asked_for(request: Request) -> str:
    """The account in the header `Stripe-Account`, empty when there is none."""
    return request.headers.get(b"stripe-account", b"").decode("latin-1")


def named(world: World, number: int) -> None:
    """Gives a company its own name."""
    round_, place = divmod(number - 1, len(NAMES))
    name = NAMES[place] + (f" {round_ + 1}" if round_ else "")
    account = world.state.full("accounts", own(world.state))
    account["business_profile"] |= {"name": name}
    account["settings"]["dashboard"] |= {"display_name": name}
    world.state.put(account)


def shown(company: Controls) -> Obj:
    """A connected company, as /__connected lists it."""
    account = company.state.full("accounts", own(company.state))
    return {"name": account["business_profile"]["name"], "counts": truth(company.state)}


def tell(company: Controls, kind: str, application: str = PLATFORM) -> None:
    """Emits the event that an account gives access to the platform or an app, or does so no more."""
    name = "Sandbox platform" if application == PLATFORM else "Sandbox app"
    told: Obj = {"id": application, "object": "application", "name": name}
    company.state.emit(kind, msgspec.json.encode(told), None)
