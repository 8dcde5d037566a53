"""The catalog: features, packages and mappings, and the file that describes them."""

from tidegate.errors.base import UsageError


class CatalogUnknown(UsageError):
    """There is no {what} {key}.{nearest} `tidegate {list} list` shows all."""


class CatalogInvalid(UsageError):
    """{problem}"""


class TermsInvalid(CatalogInvalid):
    """What {where} says of the feature {feature} cannot be taken: {problem}"""


class ManagedByFile(UsageError):
    """{what} is managed by tidegate.yaml: change it there and run `tidegate config apply`."""


class ConfigInvalid(UsageError):
    """{file} cannot be taken: {problem}"""
