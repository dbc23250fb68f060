"""The command `edgesea deploy`."""

import click

from edgesea.cli.common import as_json, print_json, progress
from edgesea.errors import UsageError


@click.command()
@click.argument("bundle", required=False)
@click.option("--host", help="As ssh takes it: a name of its configuration, or user@address.")
@click.option("--name", help="Of the listener over there.  [default: the bundle's name]")
@click.option("--service", is_flag=True, help="Listen as a systemd user service, also after a reboot.")
@click.option("--microphone", default="default", show_default=True, help="ALSA's name of one, or a FIFO.")
@click.option("--mqtt", metavar="URL", help="Tell a broker, and Home Assistant: mqtt://HOST.")
@click.option("--python", help="Python over there.  [default: that of --setup, or /usr/bin/python3]")
@click.option(
    "--kernels",
    default="reference",
    show_default=True,
    help="reference decides as evaluate and the sensor do; fast is XNNPACK.",
)
@click.option("--setup", is_flag=True, help="Make an environment with LiteRT and NumPy over there first.")
@click.option(
    "--rollback", is_flag=True, help="Make the version before the live one live again; needs --name."
)
@as_json
def deploy(bundle, host, name, service, microphone, mqtt, python, kernels, setup, rollback, as_json):
    """Puts a bundle on a Pi; it goes live once it has passed its golden test there."""
    from edgesea.deploy import deploy as deployed
    from edgesea.deploy import roll_back

    if rollback:
        if bundle or not name:
            raise UsageError("To roll back, say --name of the listener and no bundle.")
        result = roll_back(host=host, name=name)
    elif not bundle:
        raise UsageError("No bundle was given: name one that `edgesea export` made with --head or --memory.")
    else:
        options = {"name": name, "service": service, "microphone": microphone, "mqtt": mqtt}
        options |= {"python": python, "kernels": kernels, "setup": setup}
        result = deployed(bundle, host=host, progress=progress(), **options)
    if as_json:
        print_json(result)
        return
    before = f", before it {result['previous']}" if result["previous"] else ""
    click.echo(f"{result['name']} on {result['host']}: version {result['version']} is live{before}")
    if status := result["service"]:
        click.echo(
            f"it heard {status['samples'] / status['rate']:.0f} s, is {status['behind_s']:.1f} s behind, "
            f"takes "
            f"{status['cpu_share']:.0%} of a core and {status['memory_bytes'] / 2**20:.0f} MiB"
        )
