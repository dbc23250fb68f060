"""The command `edgesea demo`."""

import click

from edgesea.cli.common import as_json, command_line, print_json, print_table, progress


@click.command()
@click.option("--out", default="demo", show_default=True, help="Folder for everything that it makes.")
@as_json
def demo(out, as_json):
    """Runs the whole flow on synthesised street sounds, offline, in minutes on two cores.

    Synthesises sound in eight classes, distils a student from the bundled teacher, evaluates it, exports a
    bundle and measures it on this machine.
    """
    from edgesea.demo import demo as run_demo

    result = run_demo(out, command=command_line(), progress=progress())
    if as_json:
        print_json(result)
    else:
        _print(result)


def _print(result: dict) -> None:
    from edgesea.measures.figures import MEASURED

    fidelity, task = result["evaluate"]["fidelity"], result["evaluate"]["task"]
    int8, bench = result["manifest"]["int8"], result["bench"]
    c_model = result["manifest"]["c_model"]
    latency = bench["latency_ms"]
    by_kind = [fidelity["float"], fidelity["int8"]]
    rows = [
        ["R² to phi(teacher), held-out recordings", *(f"{each['r2']:.3f}" for each in by_kind)],
        ["cosine to phi(teacher), held-out", *(f"{each['cosine']:.3f}" for each in by_kind)],
        [
            f"head's {task['metric']} (teacher: {task['teacher']:.3f})",
            *(f"{task[k]:.3f}" for k in ("float", "int8")),
        ],
        [str(MEASURED["storage.model_bytes"]), None, f"{bench['storage']['model_bytes']:,}"],
        [str(MEASURED["storage.weight_bytes"]), None, f"{bench['storage']['weight_bytes']:,}"],
        [str(MEASURED["multiply_accumulates"]), None, f"{int8['multiply_accumulates']:,}"],
        [str(MEASURED["activation.peak_bytes"]), None, f"{bench['activation']['peak_bytes']:,}"],
        ["arena of the C model, bytes", None, f"{c_model['arena_bytes']:,}"],
        [f"latency on this machine, ms (median of {latency['n']})", None, f"{latency['median']:.2f}"],
    ]
    print_table("A student for synthesised street sounds", ["", "float", "int8"], rows)
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in result["seconds"].items())
    click.echo(f"Took {sum(result['seconds'].values()):.0f} s: {seconds}.")
    for name, path in result["paths"].items():
        click.echo(f"{name + ':':<8} {path}")
