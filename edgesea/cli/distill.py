"""The command `edgesea distill`."""

import dataclasses

import click

from edgesea import files, project
from edgesea.cli.common import accelerator, as_json, max_bad_frames, print_json, progress, shared_store
from edgesea.errors import UsageError

# What there is of each kind, written out: importing it all would make --help slow. A test holds them equal.
NAMES = {
    "student": "separable-s, separable-m, separable-w, separable-l, separable, inverted, factorised, "
    "temporal, transformer, student0, student1, student2, student3",
    "objective": "sea, cosine, simreg, kd, compress, reaug, disk, amad, sum",
    "sampler": "random, spl, dpp, dpp-div",
    "reducer": "identity, pca, umap, contrastive",
}

# \b keeps the lines as they are.
OBJECTIVES = """\b
Objectives: what each makes small, and what it needs beside sound
  sea       mean (s - phi(t))^2                             nothing
  cosine    1 - cos(s, phi(t)), and a little of sea         nothing
  simreg    cosine, and heads that guess all of t from s    nothing
  kd        KL of the teacher's soft labels and a head's    labels, or scores
  compress  KL of similarities to a queue of anchors        nothing
  reaug     kd, and KL of the relations in a batch          labels, or scores
  disk      kd with a guide that is taken away              one label a clip
  amad      sea, and KL of attention maps across heads      two transformers
Several at once: --objective sea+0.5*compress:temperature=0.04

docs/objectives.md has the formulas, their sources, costs, and when to use which.
"""


@click.command(epilog=OBJECTIVES)
@click.option("--teacher", help="A .keras, .tflite or .onnx file, a run, a bundle, or demo.")
@click.option("--data", help="Folder of audio, of class folders, or a CSV table.")
@click.option("--out", help="Folder of the run: new, or one to go on with, which needs nothing else.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(),
    help="A config.toml, or a run; options given here win over it.",
)
@click.option("--teacher-tensor", help="Inner tensor or layer that is the embedding (the end of its name).")
@click.option("--teacher-frontend", help="Frontend of a teacher that takes patches.")
@click.option("--teacher-rate", type=int, help="Sample rate of a teacher that takes waveforms, in Hz.")
@click.option(
    "--teacher-seconds",
    type=float,
    help="Length of a frame, of a teacher that takes waveforms of any length.",
)
@click.option(
    "--teacher-pool", help="mean, max, first or last, of a teacher that gives several vectors a frame."
)
@click.option(
    "--frontend", help="Student's frontend: sea-8k, yamnet-16k, openl3-48k.  [default: see the README]"
)
@click.option("--student", help=f"{NAMES['student']}.  [default: separable-m]")
@click.option("--dim", type=int, help="Dimensions of the student's embedding.  [default: 64]")
@click.option("--objective", help=f"What the student is trained on: {NAMES['objective']}.  [default: cosine]")
@click.option("--sampler", help=f"Which frames fit the reducer: {NAMES['sampler']}.  [default: random]")
@click.option("--reducer", help=f"{NAMES['reducer']}.  [default: pca]")
@click.option("--hop", type=float, help="Seconds from frame to frame of the domain.  [default: half a frame]")
@click.option(
    "--calibration-db", type=float, help="Sound pressure level of an amplitude of 1, in dB.  [default: 0]"
)
@max_bad_frames
@click.option(
    "--keep-silence/--no-keep-silence",
    default=None,
    help="Learn from silent frames and score them too.  [default: leave them out]",
)
@click.option("--sample", type=int, help="Frames that fit the reducer, at most.  [default: 20000]")
@click.option("--frames", type=int, help="Frames that the student is trained on.  [default: 60000]")
@click.option(
    "--fresh/--no-fresh",
    default=None,
    help="New frames in every epoch, the teacher asked while training.  [default: off]",
)
@click.option(
    "--balance",
    type=int,
    help="Clusters of the domain that are drawn from equally often, such as 8.  [default: off]",
)
@click.option(
    "--augment/--no-augment",
    default=None,
    help="Mix, shift, gain, noise; the teacher is asked again.  [default: on]",
)
@click.option("--epochs", type=int, help="Passes over the frames.  [default: 16]")
@click.option("--batch", type=int, help="Frames a step.  [default: 64]")
@click.option(
    "--learning-rate", type=float, help="Of the optimizer, after the warm-up.  [default: the student's]"
)
@click.option("--optimizer", help="adamw, or muon: orthogonal steps of 1 x 1 kernels.  [default: adamw]")
@click.option(
    "--patience", type=int, help="Epochs without a better score before training stops.  [default: 10]"
)
@click.option("--ema", type=float, help="Decay of the weights' mean that is deployed, 0.999.  [default: off]")
@click.option(
    "--qat-epochs",
    type=int,
    help="Last epochs, in which the student is rounded as int8 will be.  [default: 0]",
)
@click.option(
    "--mixstyle", type=float, help="Chance that a batch's patches mix their styles, 0 to 1.  [default: off]"
)
@shared_store
@accelerator
@click.option(
    "--devices", type=int, help="GPUs that share each batch.  [default: one, or the processes of TF_CONFIG]"
)
@click.option("--seed", type=int, help="Of every random choice.  [default: 0]")
@as_json
def distill(out, config_file, augment, as_json, shared, accelerator, devices, **options):
    """Distils a student from a teacher on your sound; goes on where it stopped.

    In a folder with an edgesea.toml, what is not given here is taken from there. A student, objective,
    sampler or reducer takes options behind its name: --reducer umap:neighbours=100,min_dist=0.1
    """
    from edgesea.distillation import distill as run_distillation

    config, out = _choose(out, config_file, augment, {k: v for k, v in options.items() if v is not None})
    bars = progress()
    run = run_distillation(
        config, out, shared=shared, accelerator=accelerator, devices=devices, progress=bars
    )
    results = run.results()
    if as_json:
        print_json(
            {"run": str(run.folder), **{key: value for key, value in results.items() if key != "course"}}
        )


def _choose(out, config_file, augment, given: dict):
    """The configuration and the run's folder: the file's or the project's, over them the options."""
    from edgesea.run import Config, absolute, read_config

    values = {}
    begun = files.expanded(out) / "config.toml" if out else None
    if config_file:
        file = files.expanded(config_file)
        values = read_config(file / "config.toml" if file.is_dir() else file).to_dict()
    elif (held := project.find()) and not ("teacher" in given and "data" in given and out):
        values = {"teacher": held.teacher, "data": held.data, **held.distill}
        values = {name: value for name, value in values.items() if value is not None}
        out = out or str(held.new_run())
        click.echo(
            f"{project.FILE}: teacher {values.get('teacher')}, data {values.get('data')}, run {out}", err=True
        )
    elif begun and begun.is_file() and not {"teacher", "data"} <= given.keys():
        values = read_config(begun).to_dict()
    values |= given
    if "teacher" in given:
        from edgesea.teachers.own import typed

        typed(given["teacher"])
    for name in ("teacher", "data"):
        if name not in values:
            raise UsageError(
                f"No {name} was given: say --{name}, or write an {project.FILE} with `edgesea init`."
            )
    if not out:
        raise UsageError("No folder for the run was given: say --out.")
    config = Config.from_dict(absolute(values))
    if augment is not None:
        from edgesea.augment import Augmentation

        config = dataclasses.replace(
            config, augmentation=(config.augmentation or Augmentation()) if augment else None
        )
    return config, out
