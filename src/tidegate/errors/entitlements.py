"""Changes of what contacts may use, and the usage that is counted."""

from tidegate.errors.base import UsageError


class PreviewNeeded(UsageError):
    """This changes what {count} contacts may use, so nothing was done. Look at the preview first (`--preview`, over
    HTTP `?preview=true`), and do it with the token it shows.
    """


class PreviewStale(UsageError):
    """The facts changed since the preview was made, so nothing was done. Look at the preview again: {problem}"""


class UsageInvalid(UsageError):
    """The usage cannot be counted: {problem}"""
