"""The command `edgesea head`."""

import click

from edgesea.cli.common import as_json, command_line, print_json, print_table, progress


@click.command()
@click.argument("target", metavar="RUN|BUNDLE")
@click.option("--data", required=True, help="Labelled sound: class folders, or a CSV table.")
@click.option("--out", required=True, help="File of the head.")
@click.option(
    "--head",
    "kind",
    default="auto",
    show_default=True,
    help="logistic, mlp or mil; own: the one it was trained with; auto: mil where labels overlap.",
)
@click.option(
    "--false-alarms",
    type=float,
    help="Choose each class's threshold for so many false alarms an hour at most.  [default: the best F1]",
)
@click.option("--window", type=int, default=4, show_default=True, help="Frames that are pooled.")
@click.option("--hop", type=float, help="Seconds from decision to decision.  [default: half a frame]")
@click.option(
    "--rest", type=float, default=10.0, show_default=True, help="Seconds for which a class is not said again."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split by recording.")
@as_json
def head(target, data, out, kind, false_alarms, window, hop, rest, seed, as_json):
    """Trains the classifier that goes into a bundle, with a threshold for each class."""
    from edgesea.decisions.head import train
    from edgesea.decisions.thresholds import Wanted
    from edgesea.exporting.student import student_of

    student = student_of(target)
    made = train(
        student.float_model,
        student.frontend,
        data,
        kind=kind,
        wanted=Wanted(false_alarms),
        window=window,
        hop=hop,
        rest=rest,
        seed=seed,
        own=student.own,
        command=command_line(),
        progress=progress(),
    )
    made.write(out)
    rows = [
        [
            label,
            each["clips"],
            f"{each['threshold']:.3f}",
            f"{each['recall']:.2f}",
            f"{each['precision']:.2f}",
            f"{each['false_alarms_per_hour']:.1f}",
        ]
        for label, each in zip(made.labels, made.values["thresholds"], strict=True)
    ]
    if as_json:
        print_json(
            {"head": out, **{key: made.values[key] for key in ("kind", "labels", "thresholds", "data")}}
        )
    else:
        print_table(
            f"{made.values['kind']} head in {out}, on validation clips, thresholds for "
            f"{made.values['wanted']}",
            ["class", "clips", "threshold", "recall", "precision", "false alarms an hour"],
            rows,
        )
