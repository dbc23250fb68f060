"""edgesea evaluate"""

import click

from edgesea import project
from edgesea.cli.common import as_json, print_json, print_table, progress
from edgesea.errors import UsageError


@click.command()
@click.argument("target", metavar="[RUN|BUNDLE]", required=False)
@click.option("--data", help="Folder of audio, of class folders, or a CSV table.")
@click.option(
    "--compare", multiple=True, help="A further embedding model, scored on the same task. Repeatable."
)
@as_json
def evaluate(target, data, compare, as_json):
    """Scores a student, float and int8, beside its teacher: fidelity on held-out sound, and a head."""
    from edgesea.evaluation.evaluate import evaluate as run_evaluation

    if target is None or data is None:
        held = project.needed("RUN or --data")
        target = target or str(held.newest_run())
        data = data or held.data
        if data is None:
            raise UsageError(f"{project.FILE} does not say which data: say --data.")
        click.echo(f"{project.FILE}: {target} on {data}", err=True)
    result = run_evaluation(target, data, compare=compare, progress=progress())
    if as_json:
        print_json(result)
    else:
        _print(result)


def _print(result: dict) -> None:
    def shown(value):
        return None if value is None else f"{value:.3f}"

    if fidelity := result["fidelity"]:
        kinds = [kind for kind in ("float", "int8") if kind in fidelity]
        rows = [
            [label, *(shown(fidelity[kind][key]) for kind in kinds)]
            for key, label in (
                ("r2", "R²"),
                ("cosine", "cosine"),
                ("knn_overlap", "overlap of 10 neighbours"),
            )
        ]
        frames = fidelity[kinds[0]]["frames"]
        print_table(f"Fidelity to the teacher on {fidelity['on']} ({frames} frames)", ["", *kinds], rows)
    else:
        click.echo("Fidelity: not known, since the run that this bundle came from is not there.")
    if task := result["task"]:
        names = {name: task[name] for name in ("teacher", "float", "int8")} | task["compared"]
        labels = {"float": "student, float", "int8": "student, int8"}
        rows = [
            [labels.get(name, name), f"{mean:.3f} ± {task['sd'][name]:.3f}"]
            for name, mean in names.items()
            if mean is not None
        ]
        title = (
            f"{task['metric']}, {task['clips']} clips, {task['classes']} classes, "
            f"{task['recordings']} recordings"
        )
        print_table(title, ["", "mean ± sd over seeds"], rows)
        click.echo(f"head: {task['head']}")
    else:
        click.echo("Task: none, since the clips have no labels, or too few.")
