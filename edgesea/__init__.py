"""edgesea turns a big audio embedding model into one that fits a sensor, for your kind of sound.

    import edgesea

    run = edgesea.distill(teacher="demo", data="street", out="run")
    bundle = edgesea.export(run, "bundle")
    embeddings = bundle.embed("clip.wav")  # (frames, d)

See `edgesea.api`, and docs/python.md. What is named here is imported when it is first used, so that
`import edgesea` takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from firmware_export import __version__

if TYPE_CHECKING:
    from edgesea.api import (
        Bundle,
        Evaluation,
        Fit,
        Frontend,
        Measurement,
        Run,
        bench,
        distill,
        evaluate,
        export,
        fit,
    )
    from edgesea.errors import EdgeseaError, UsageError, UserError

__all__ = [
    "Bundle",
    "EdgeseaError",
    "Evaluation",
    "Fit",
    "Frontend",
    "Measurement",
    "Run",
    "UsageError",
    "UserError",
    "__version__",
    "bench",
    "distill",
    "evaluate",
    "export",
    "fit",
]

# No module of edgesea has one of these names: importing it would put the module in the function's place.
_ERRORS = ("EdgeseaError", "UsageError", "UserError")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "edgesea.errors" if name in _ERRORS else "edgesea.api"
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
