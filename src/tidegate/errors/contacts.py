"""Contacts, their settings and files, and what was decided about them."""

from tidegate.errors.base import UsageError


class ContactUnknown(UsageError):
    """There is no contact {contact}. `tidegate contacts list` shows all."""


class ContactAmbiguous(UsageError):
    """The id {contact} is that of several contacts. Say which: {known}."""


class ContactExists(UsageError):
    """The id {contact} belongs to another contact. Merge the two with `tidegate contacts merge`, or choose
    another id.
    """


class ContactInvalid(UsageError):
    """The contact cannot be taken: {problem}."""


class ContactSettingsInvalid(UsageError):
    """The contact settings cannot be taken: {problem}."""


class ContactFileInvalid(UsageError):
    """Nothing of {file} was taken, because {count} of its lines cannot be: {problems}"""


class ReviewUnknown(UsageError):
    """The customer {customer} of {connection} does not wait for a review. `tidegate contacts review list` shows who
    does.
    """


class ChangeUnknown(UsageError):
    """The {action} {number} cannot be undone: {problem}"""
