"""The shape of the account that a connection belongs to."""

from msgspec import field

from tidegate.stripe_api.shapes.base import Part, Shape, first


class BusinessProfile(Part):
    """How the business presents itself."""

    name: str | None = None
    url: str | None = None


class Dashboard(Part):
    """The account's settings in the dashboard; `timezone` is an IANA name."""

    display_name: str | None = None
    timezone: str | None = None


class AccountSettings(Part):
    """The account's settings."""

    dashboard: Dashboard | None = None


class Account(Shape):
    """Stripe's `account`."""

    email: str | None = None
    country: str | None = None
    default_currency: str | None = None
    type: str | None = None
    business_type: str | None = None
    charges_enabled: bool | None = None
    payouts_enabled: bool | None = None
    details_submitted: bool | None = None
    business_profile: BusinessProfile | None = None
    settings: AccountSettings | None = None
    display_name: str | None = None
    business_name: str | None = None
    timezone_told: str | None = field(default=None, name="timezone")

    @property
    def name(self) -> str | None:
        """What the account is called: its public name, else the dashboard's."""
        public = self.business_profile.name if self.business_profile else None
        dashboard = self._dashboard()
        return first([public, dashboard.display_name if dashboard else None, self.business_name, self.display_name])

    @property
    def timezone(self) -> str | None:
        """The account's time zone, an IANA name; at the top level before 2019-02-19."""
        dashboard = self._dashboard()
        return first([dashboard.timezone if dashboard else None, self.timezone_told])

    def _dashboard(self) -> Dashboard | None:
        return self.settings.dashboard if self.settings else None
