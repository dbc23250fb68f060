"""The C of a bundle: the compiled model, and, where the frontend is known, C frontend and sensor program.

The C frontend makes int8 patches, so an int16x8 model is compiled without it.

All of it is made by `firmware_export`; here it is put into a bundle's folder `c/` and described for the
manifest.
"""

from pathlib import Path

from edgesea.errors import EdgeseaError
from edgesea.exporting.bundle import CModel
from edgesea.frontend import Frontend
from firmware_export.decisions import Decisions
from firmware_export.graph import ModelError

PLAN_TEXT, PLAN_PICTURE = "plan.txt", "plan.svg"


def c_compiler(
    *,
    ram_budget: int | None = None,
    optimize: str = "speed",
    explain: bool = False,
    optional: bool = False,
    command: str = "",
) -> CModel:
    """A `c_model` for `write_bundle`.

    ram_budget : bytes that the arena may take up, None for as few as possible
    optimize : "speed", or "size" for the least flash
    explain : also write the memory plan, time against address, as plan.txt and plan.svg
    optional : leave the C model out, instead of failing, where the model cannot be compiled
    command : that makes the bundle, for the files' headers
    """

    def compile_into(
        content: bytes,
        folder: Path,
        identifier: str,
        frontend: Frontend | None,
        decisions: Decisions | None = None,
    ) -> dict | None:
        from firmware_export.compile import compile_model
        from firmware_export.explain import as_text, draw
        from firmware_export.frontend import FrontendError
        from firmware_export.sensor import hears_int8, write_sensor

        try:
            compiled = compile_model(
                content, folder, identifier, ram_budget=ram_budget, optimize=optimize, command=command
            )
            sensor = (
                write_sensor(compiled, frontend, folder, decisions=decisions, command=command)
                if frontend and hears_int8(compiled)
                else ()
            )
        except ModelError as error:
            if optional:
                return None
            raise EdgeseaError(f"The C model: {error}") from error
        except FrontendError as error:
            raise EdgeseaError(f"The C frontend: {error}") from error
        if explain:
            (folder / PLAN_TEXT).write_text(as_text(compiled.plan), encoding="utf-8")
            draw(compiled.plan, folder / PLAN_PICTURE)
        return {
            "name": compiled.name,
            "files": [file.name for file in compiled.files],
            "sensor_files": [file.relative_to(folder).as_posix() for file in sensor],
            "arena_bytes": compiled.arena_bytes,
            "arenas": compiled.arenas,
            **({"state_bytes": compiled.state_bytes} if compiled.state_bytes else {}),
            "constant_bytes": compiled.constant_bytes,
            "peak": compiled.peak,
            **({} if ram_budget is None else {"ram_budget": ram_budget}),
            **({} if optimize == "speed" else {"optimize": optimize}),
        }

    return compile_into
