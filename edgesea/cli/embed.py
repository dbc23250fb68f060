"""The command `edgesea embed`."""

import click

from edgesea.cli.common import accelerator, as_json, max_bad_frames, print_json, progress, shared_store


@click.command()
@click.option("--teacher", required=True, help="A .keras, .tflite or .onnx file, a run, a bundle, or demo.")
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
@click.option("--data", required=True, help="Folder of audio, of class folders, or a CSV table.")
@click.option("--out", required=True, help="Folder of the store.")
@click.option("--hop", type=float, help="Seconds from frame to frame.  [default: half a frame]")
@click.option(
    "--calibration-db",
    type=float,
    default=0.0,
    show_default=True,
    help="Sound pressure level of an amplitude of 1, in dB.",
)
@max_bad_frames
@click.option("--half", is_flag=True, help="Keep embeddings in half precision.")
@click.option(
    "--format",
    "form",
    default="arrow",
    show_default=True,
    help="parquet, npz or csv: write all rows into one such file too.",
)
@shared_store
@accelerator
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where the teacher runs: here, or on a Ray cluster.",
)
@click.option("--address", help="HOST:PORT of the Ray cluster.  [default: the one of this machine]")
@as_json
def embed(out, engine, address, as_json, max_bad_frames, half, form, shared, accelerator, **options):
    """Writes a teacher's embeddings of a domain into a store; goes on where it stopped."""
    from edgesea.distillation import embed_domain
    from edgesea.run import Config, absolute
    from edgesea.teachers.own import typed

    typed(options["teacher"])
    if max_bad_frames is not None:
        options["max_bad_frames"] = max_bad_frames
    figures = embed_domain(
        Config(**absolute(options)),
        out,
        half=half,
        form=form,
        shared=shared,
        accelerator=accelerator,
        engine=engine,
        address=address,
        progress=progress(),
    )
    if as_json:
        print_json(figures)
    else:
        click.echo(
            f"{figures['frames']} frames of {figures['clips']} clips in {out}, {figures['dimension']}-d; "
            f"{figures['skipped']} clips set aside"
        )
        if figures["file"]:
            click.echo(f"all of them in {figures['file']}")
