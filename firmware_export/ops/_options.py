"""Options that families share."""

from __future__ import annotations

from firmware_export.schema import ACTIVATIONS, Option


def fused_activation(slot: int) -> Option:
    """The function that an operator applies to its result, in field ``slot``."""
    return Option("activation", slot, ACTIVATIONS)


# Of operators that take any number of tensors.
MANY = 8_000
