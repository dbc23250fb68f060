"""The command `edgesea export`."""

from pathlib import Path

import click
from click.core import ParameterSource

from edgesea import project as settings
from edgesea.cli.common import as_json, command_line, print_json, print_table
from edgesea.errors import UsageError
from edgesea.recognise import advice, recognise
from firmware_export import projects


class _Export(click.Command):
    """The command whose help ends with the operators that the C model has."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Look them up only where they are asked for."""
        from firmware_export.ops import compiled

        with formatter.section("Operators of the C model"):
            formatter.write_text(", ".join(compiled()))


@click.command(cls=_Export)
@click.argument("target", metavar="[RUN|MODEL.tflite|BUNDLE]", required=False)
@click.option("--out", help="Folder of the bundle; of the project, where a BUNDLE is given.")
@click.option("--int8", is_flag=True, help="Full-integer int8, calibrated on the run's own sound; C arrays.")
@click.option("--int16x8", is_flag=True, help="Or int16 activations: nearer to float, slower, larger.")
@click.option("--name", help="Name of the model, also in C.  [default: the name of the run or file]")
@click.option("--frontend", help="Frontend of a MODEL.tflite, if it is one of the presets.")
@click.option(
    "--min-cosine", type=float, help="Fail where int8 is less like float than this.  [default: 0.95]"
)
@click.option("--min-r2", type=float, help="The same for R².  [default: 0.9]")
@click.option(
    "--ram-budget", type=int, help="Bytes that the C model's arena may take up.  [default: the fewest]"
)
@click.option(
    "--optimize",
    type=click.Choice(["speed", "size"]),
    default="speed",
    show_default=True,
    help="What the C model's kernels are compiled for; size takes less flash.",
)
@click.option("--explain", is_flag=True, help="Draw the C model's memory plan: as text here, as c/plan.svg.")
@click.option("--no-c", is_flag=True, help="Leave the C model out: for a model that it cannot compile.")
@click.option(
    "--allow-failed", is_flag=True, help="Keep a bundle that falls below a threshold, marked as failed."
)
@click.option("--head", "head_file", metavar="HEAD", help="Fold a head of `edgesea head` behind the student.")
@click.option(
    "--data", metavar="LABELLED", help="Train a head on this sound; with --memory, fill it with this."
)
@click.option(
    "--memory", metavar="N", help="Prototypes: a number, all, or KIND:n=N,k=K,beta=B; see the docs."
)
@click.option(
    "--keep-embedding", is_flag=True, help="Keep the embedding as an output beside the head's scores."
)
@click.option(
    "--min-agreement", type=float, help="Fail where int8 decides less often as float does.  [default: 0.95]"
)
@click.option("--no-onnx", is_flag=True, help="Leave the ONNX file out.")
@click.option(
    "--project",
    "kind",
    metavar="FRAMEWORK",
    help=f"Also write a project to open and build: {', '.join(projects.names())}.",
)
@click.option("--runtime", help="What runs the model there: c or tflm, TensorFlow Lite Micro.  [default: c]")
@click.option("--board", help="Board of the project.  [default: the framework's own]")
@as_json
@click.pass_context
def export(
    context,
    target,
    out,
    int8,
    int16x8,
    name,
    frontend,
    min_cosine,
    min_r2,
    ram_budget,
    optimize,
    explain,
    no_c,
    allow_failed,
    head_file,
    data,
    memory,
    keep_embedding,
    min_agreement,
    no_onnx,
    kind,
    runtime,
    board,
    as_json,
):
    """Makes a bundle of a run's student, or of any int8 or int16x8 .tflite: everything that a device needs.

    With --project it holds a framework's project too; of a BUNDLE, --project alone is made.
    """
    from edgesea.cli.common import progress
    from edgesea.exporting import c_compiler, export_tflite
    from edgesea.exporting.from_run import export_run
    from edgesea.exporting.project import in_bundle
    from edgesea.frontend import preset
    from firmware_export.ctext import renamed

    if kind is None and (runtime or board):
        raise UsageError(f"--{'runtime' if runtime else 'board'} is for a project: say --project too.")
    if target and (Path(target) / "manifest.json").is_file():
        _only_project(context, target, out, kind, runtime, board, as_json)
        return
    if target is None:
        held = settings.needed("RUN")
        target = held.newest_run()
        out = out or str(held.bundle_of(target))
        click.echo(f"{settings.FILE}: {target} to {out}", err=True)
    if not out:
        raise UsageError("No folder for the bundle was given: say --out.")
    found = recognise(target)
    target = Path(target)
    a_tflite = target.suffix == ".tflite" or found.kind == "tflite"
    _check(target, a_tflite, int8, int16x8, kind)
    if not a_tflite and found.kind not in ("run", "folder"):
        raise UsageError(advice(found, "export"))
    command = command_line()
    project = in_bundle(kind, runtime=runtime or "c", board=board, command=command) if kind else None
    if no_c:
        _check_without_c(explain, ram_budget, optimize, kind, runtime)
        c_model = None
    else:
        # TensorFlow Lite Micro runs what cannot be compiled.
        optional = runtime == "tflm" and not explain and ram_budget is None
        c_model = c_compiler(
            ram_budget=ram_budget, optimize=optimize, explain=explain, optional=optional, command=command
        )
    given = (head_file, data, memory, keep_embedding, min_agreement)
    deciding = _deciding(target, a_tflite, *given, board)
    if a_tflite:
        chosen = preset(frontend) if frontend else None
        bundle = export_tflite(
            target, out, name=name, frontend=chosen, c_model=c_model, project=project, command=command
        )
    else:
        thresholds = {"min_cosine": min_cosine, "min_r2": min_r2}
        bundle = export_run(
            target,
            out,
            name=name,
            int8=int8,
            int16x8=int16x8,
            onnx=not no_onnx,
            c_model=c_model,
            allow_failed=allow_failed,
            project=project,
            deciding=deciding,
            progress=progress(),
            command=command,
            **{key: value for key, value in thresholds.items() if value is not None},
        )
    unheard = _UNHEARD if bundle.int16x8 and bundle.frontend and bundle.manifest["c_model"] else None
    for sentence in (bundle.manifest.get("failed"), renamed(bundle.name), unheard):
        if sentence:
            click.echo(sentence, err=True)
    if as_json:
        print_json({"bundle": str(bundle.path), **bundle.manifest})
    else:
        _print(bundle)
        if explain and bundle.integer:
            click.echo((bundle.path / "c" / "plan.txt").read_text(encoding="utf-8"))


def _check(target: Path, a_tflite: bool, int8: bool, int16x8: bool, kind: str | None) -> None:
    if int8 and int16x8:
        raise UsageError("A bundle holds one integer model: say --int8 or --int16x8, not both.")
    if int16x8 and a_tflite:
        raise UsageError(f"--int16x8 converts a run, and {target} stays what it is: leave it out.")
    if kind and not int8 and not a_tflite:
        raise UsageError("A project is made of the int8 model: say --int8 too.")


def _deciding(target: Path, a_tflite: bool, head_file, data, memory, keep_embedding, min_agreement, board):
    """Head and memory that go along, read or made; None where nothing does."""
    if not (head_file or data or memory or keep_embedding or min_agreement is not None):
        return None
    from edgesea.cli.common import progress
    from edgesea.decisions.head import Head, train
    from edgesea.decisions.prototypes import choice_of
    from edgesea.exporting.decisions import MIN_AGREEMENT, Deciding
    from edgesea.exporting.student import student_of
    from firmware_export import boards

    if a_tflite:
        raise UsageError(
            f"Head and memory are a run's student's, and {target} stays what it is: name the run."
        )
    if not head_file and not data and not memory:
        option = "keep-embedding" if keep_embedding else "min-agreement"
        raise UsageError(f"The option --{option} is for a head: say --head or --data too.")
    if head_file and data and not memory:
        raise UsageError("The option --data trains a head and --head brings one: give one of them.")
    choice = choice_of(memory) if memory else None
    if choice and not data:
        from edgesea.evaluation.evaluate import own_data

        data = own_data(target)
        click.echo(f"No --data: the memory is made of what it was distilled on, {data}", err=True)
    head = Head.read(head_file) if head_file else None
    if head is None and choice is None:
        student = student_of(target)
        head = train(student.float_model, student.frontend, data, command=command_line(), progress=progress())
    known = [boards.board(board)] if board in boards.names() else boards.readable()[0]
    return Deciding(
        head,
        keep_embedding,
        MIN_AGREEMENT if min_agreement is None else min_agreement,
        choice,
        data,
        max(each.flash_bytes for each in known) if choice else None,
    )


def _check_without_c(
    explain: bool, ram_budget: int | None, optimize: str, kind: str | None, runtime: str | None
) -> None:
    given = {
        "--explain": explain,
        "--ram-budget": ram_budget is not None,
        "--optimize": optimize != "speed",
        "--project": kind and runtime != "tflm",
    }
    if taken := next((option for option, there in given.items() if there), None):
        raise UsageError(f"The option {taken} takes the C model: leave --no-c out, or say --runtime tflm.")


_UNHEARD = (
    "The C frontend and the sensor program take int8 models, so this int16x8 bundle is without "
    "them: make its patches yourself, or export with --int8."
)

# What says something of a project; the rest is about how a bundle is made.
_OF_A_PROJECT = {"target", "out", "kind", "runtime", "board", "as_json"}


def _only_project(context, target, out, kind, runtime, board, as_json) -> None:
    """Writes a project made of a bundle that is there already."""
    from edgesea.exporting import load_bundle
    from edgesea.exporting.project import write_project

    if kind is None:
        raise UsageError(f"{target} is a bundle already: say which --project to make of it.")
    for name in sorted(context.params.keys() - _OF_A_PROJECT):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} is for making a bundle, and {target} is one already: leave it out.")
    if not out:
        raise UsageError("No folder for the project was given: say --out.")
    bundle = load_bundle(target)
    written = write_project(bundle, kind, out, runtime=runtime or "c", board=board, command=command_line())
    if as_json:
        print_json(
            {"project": str(written[0].parent), "kind": kind, "files": [str(file) for file in written]}
        )
    else:
        folder = written[0].parent
        click.echo(f"{len(written)} files in {folder}; {folder / 'README.md'} says how to build them")


def _print(bundle) -> None:
    # A project's files are many and its README tells of them.
    files = {
        name: entry for name, entry in bundle.manifest["files"].items() if not name.startswith("project-")
    }
    rows = [[name, f"{entry['bytes']:,}"] for name, entry in files.items()]
    print_table(f"{bundle.name} in {bundle.path}", ["file", "bytes"], rows)
    kind = "int8" if bundle.int8 else "int16x8"
    if comparison := bundle.manifest["comparison"]:
        r2 = "not defined" if comparison["r2"] is None else f"{comparison['r2']:.4f}"
        click.echo(
            f"{kind} against float on {comparison['n']} held-out patches: cosine {comparison['cosine']:.4f}, "
            f"R² {r2}; worst layer: {comparison['worst_layer']}"
        )
    if decisions := bundle.decisions:
        labels = decisions["labels"]
        same, memory = decisions["agreement"], decisions["memory"]
        click.echo(
            f"says {', '.join(labels[:8])}{', ...' if len(labels) > 8 else ''}"
            + (f"; int8 decides as float in {same['same']:.1%} of {same['frames']} frames" if same else "")
            + (f"; {memory['prototypes']} prototypes, {memory['bytes']:,} bytes" if memory else "")
        )
    if project := bundle.manifest["project"]:
        readme = bundle.path / project["folder"] / "README.md"
        click.echo(f"{project['kind']} project for {project['board']}: {readme} says how to build it")
