"""The conditions of a measurement for people: one sentence, or all of them where the details are wanted."""

from __future__ import annotations

# Said in their own words; the rest is for those who ask.
_EMULATED = ("board", "qemu", "compiler", "reference")


def told(conditions: dict, *, verbose: bool = False) -> str:
    """The conditions in one sentence; with `verbose` every one, a line each.

    conditions : of a measurement; what is unknown is left out, and what differs between before and after is
        shown as `a -> b`
    """
    if verbose:
        return "conditions:\n" + "\n".join(f"  {name}: {value}" for name, value in _each(conditions))
    if all(name in conditions for name in _EMULATED):
        board, qemu, compiler, reference = (conditions[name] for name in _EMULATED)
        return (
            f"conditions: {board}, emulated by {qemu}; compiled by {compiler}; outputs held against "
            f"{reference}. Flags and what is counted: --verbose."
        )
    said = [
        f"{name} {value}" for name, value in _each(conditions) if not isinstance(conditions.get(name), list)
    ]
    return f"conditions: {', '.join(said)}"


def _each(conditions: dict) -> list[tuple[str, str]]:
    found = [
        (name, " ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in conditions.items()
        if not isinstance(value, dict) and value is not None
    ]
    before, after = conditions.get("before", {}), conditions.get("after", {})
    for name, value in before.items():
        if value is not None:
            later = after.get(name)
            found.append((name, str(value) if later == value else f"{value} -> {later}"))
    return found
