"""The command `edgesea evaluate`."""

import click

from edgesea import project
from edgesea.cli.common import as_json, print_json, print_table, progress


@click.command()
@click.argument("target", metavar="[RUN|BUNDLE]", required=False)
@click.option(
    "--data", help="Folder of audio, of class folders, or a CSV table.  [default: what it was distilled on]"
)
@click.option(
    "--head",
    default="auto",
    show_default=True,
    help="logistic, mlp or mil; auto: logistic where the data has no splits of its own.",
)
@click.option(
    "--compare", multiple=True, help="A further embedding model, scored on the same task. Repeatable."
)
@as_json
def evaluate(target, data, head, compare, as_json):
    """Scores a student, float and int8, beside its teacher: fidelity in domain and outside, and a head."""
    from edgesea.evaluation.evaluate import evaluate as run_evaluation
    from edgesea.evaluation.evaluate import own_data

    if target is None:
        held = project.needed("RUN")
        target, data = str(held.newest_run()), data or held.data
        click.echo(f"{project.FILE}: {target} on {data or 'its own data'}", err=True)
    if data is None:
        data = own_data(target)
        click.echo(f"No --data: evaluating on what it was distilled on, {data}", err=True)
    result = run_evaluation(target, data, head=head, compare=compare, progress=progress())
    if as_json:
        print_json(result)
    else:
        _print(result)


def _print(result: dict) -> None:
    if fidelity := result["fidelity"]:
        for part in fidelity["parts"]:
            _print_part(part, result["data"]["name"])
    else:
        click.echo("Fidelity: not known, since the run that this bundle came from is not there.")
    if task := result["task"]:
        _print_task(task)
    else:
        click.echo("Task: none, since the clips have no labels, or too few.")
    if decided := result.get("decided"):
        _print_decided(decided)


def _print_decided(decided: dict) -> None:
    kinds = [kind for kind in ("float", "int8") if kind in decided]
    figures = ("precision", "recall", "false_alarms_per_hour", "delay_s")
    for kind in kinds:
        found = decided[kind]
        rows = [
            [label, each["clips"], *(_short(each[figure]) for figure in figures)]
            for label, each in found["classes"].items()
        ]
        rows.append(["mean", decided["clips"], *(_short(found[figure]) for figure in figures)])
        print_table(
            f"What the device says, {kind}, on {decided['on']} ({found['hours']:.2f} h, {found['events']} "
            f"events)",
            ["class", "clips", "precision", "recall", "false alarms an hour", "delay, s"],
            rows,
        )


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _print_part(part: dict, data: str) -> None:
    from edgesea.measures.figures import FIDELITY

    kinds = [kind for kind in ("float", "int8") if kind in part]
    where = f"in domain, {part['part']}" if part["in_domain"] else f"out of domain, {part['part']} of {data}"
    rows = [
        [
            figure.label,
            *(_figure(part[kind].get(key), part[kind].get("intervals", {}).get(key)) for kind in kinds),
        ]
        for key, figure in FIDELITY.items()
    ]
    print_table(f"Fidelity to the teacher {where} ({part[kinds[0]]['frames']} frames)", ["", *kinds], rows)
    if said := part.get("predictions"):
        title = f"{said['classes']} classes, {part['part']} ({said['frames']} frames)"
        _print_predictions(title, said)
        for memory in said["memory"]:
            title = f"the same with a memory of {memory['entries']} entries, beta {memory['beta']:g}"
            _print_predictions(title, {"teacher": said["teacher"], **memory})


def _print_predictions(title: str, said: dict) -> None:
    """What each model says of classes, a column a model."""
    from edgesea.measures.figures import PREDICTIONS

    models = [model for model in ("teacher", "float", "int8") if model in said]
    rows = [
        [str(figure), *(_figure((value := said[model].get(key, {})).get("value"), value) for model in models)]
        for key, figure in PREDICTIONS.items()
        if any(key in said[model] for model in models)
    ]
    print_table(title, ["", *models], rows)


def _print_task(task: dict) -> None:
    names = {name: task[name] for name in ("teacher", "float", "int8")} | task["compared"]
    labels = {"float": "student, float", "int8": "student, int8"}
    further = [key for key in ("micro_auprc", "macro_auprc") if key != task["metric"] and "figures" in task]
    rows = []
    for name, value in names.items():
        if value is not None:
            row = [labels.get(name, name), _figure(value, task["intervals"][name])]
            for key in further:
                figure = task["figures"][name][key]
                row.append(_figure(figure["value"], figure))
            rows.append(row)
    print_table(
        f"{task['clips']} clips, {task['classes']} classes, {task['recordings']} recordings",
        ["", task["metric"], *further],
        rows,
    )
    if said := task.get("predictions"):
        _print_predictions("What the heads say, clip by clip", said)
    click.echo(f"head: {task['head']}")
    click.echo("in brackets: 95 % bootstrap intervals over recordings")


def _figure(value: float | None, interval: dict | None) -> str | None:
    if value is None:
        return None
    if not interval or interval["low"] is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
