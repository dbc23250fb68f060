"""How several objectives with weights are written: sea+0.5*compress:temperature=0.04+0.1*kd

    sum    = term, "+", term, { "+", term }
    term   = [ weight, "*" ], name, [ ":", options ]

A weight is a number above 0, by default 1; options are written as for one objective alone. A + is between
terms where a name follows, or a weight and a name: that in `temperature=1e+3` is not.
"""

import re

_PLUS = re.compile(r"\+(?=(?:\d[\d.eE+-]*\*)?[A-Za-z][\w-]*(?:[:+]|$))")
_WEIGHTED = re.compile(r"(\d[\d.eE+-]*)\*(.*)", re.DOTALL)


def split(text: str) -> tuple[str, ...]:
    """The terms of a sum; () where it is the name of one objective, with its options."""
    terms = tuple(_PLUS.split(text))
    return terms if len(terms) > 1 or _WEIGHTED.fullmatch(text) else ()


def weighted(term: str) -> tuple[float, str]:
    """A term's weight, and the rest of it. Raises `ValueError` for a weight that is no number."""
    found = _WEIGHTED.fullmatch(term)
    return (float(found[1]), found[2]) if found else (1.0, term)
