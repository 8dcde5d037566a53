"""Metadata: up to 50 keys of 40 characters with values of 500, all text.

Source: docs.stripe.com/metadata.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import AfterValidator, BeforeValidator, Field, Strict, StringConstraints

from tidegate.outbound.fields import values

MOST_KEYS = 50
LONGEST_KEY = 40
LONGEST_VALUE = 500


def _key(key: str) -> str:
    if not key or len(key) > LONGEST_KEY or "[" in key or "]" in key:
        raise ValueError(f"a key takes 1 to {LONGEST_KEY} characters, without [ and ]")
    return key


def _value(value: Any) -> str:
    said = "" if value is None else values.text(value)
    if len(said) > LONGEST_VALUE:
        raise ValueError(f"it has {len(said)} characters, and Stripe takes {LONGEST_VALUE}")
    return said


def _whole(told: Mapping[str, str]) -> Mapping[str, str]:
    if (count := sum(1 for value in told.values() if value)) > MOST_KEYS:
        raise ValueError(f"it has {count} keys, and Stripe takes {MOST_KEYS}")
    return told


Metadata = Annotated[
    dict[Annotated[str, AfterValidator(_key)], Annotated[str, BeforeValidator(_value)]],
    BeforeValidator(values.unpacked),
    AfterValidator(_whole),
]
"""Metadata as it is sent: an empty value, or None, unsets its key."""
RightMetadata = Annotated[
    dict[
        Annotated[str, Strict(), StringConstraints(min_length=1, max_length=LONGEST_KEY, pattern=r"^[^\[\]]*$")],
        Annotated[
            Union[  # noqa: UP007
                Annotated[str, Strict(), StringConstraints(max_length=LONGEST_VALUE)],
                Annotated[str, BeforeValidator(_value)],
            ],
            Field(union_mode="left_to_right"),
        ],
    ],
    Strict(),
    Field(max_length=MOST_KEYS),
]
"""Metadata that is right, checked without telling what is wrong with any other."""
