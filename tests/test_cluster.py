"""A store that a Ray cluster makes: the same as one made here, whatever happens to the cluster's machines."""

import collections
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from servers import Plain, free_port, web

from edgesea import cluster, datasets, embed
from edgesea.distillation import embed_domain
from edgesea.errors import EdgeseaError, UsageError
from edgesea.frontend import preset
from edgesea.pairing import Pairing
from edgesea.progress import Progress
from edgesea.run import Config
from edgesea.store import Store
from edgesea.teachers import load
from edgesea.teachers.own import typed

# Says where it was asked, is slow where it is told to, and ends its process once where a file tells it to.
TEACHER = """
import os, signal, time
from pathlib import Path
import numpy as np
from edgesea import embed
from edgesea.teacher import Teacher

embed.PIECE_SECONDS = 2.0
SCRATCH = Path(__file__).parent


class Loudness(Teacher):
    sample_rate, samples, outputs = 8_000, 4_000, {"embedding": (3,)}

    def hear(self, waveforms, wanted=("embedding",)):
        with open(SCRATCH / "asked", "a") as file:
            file.write(os.environ.get("MACHINE", "here") + "\\n")
        time.sleep(float(os.environ.get("SLOW", 0)))
        if (SCRATCH / "die").exists() and os.environ.get("MACHINE"):
            (SCRATCH / "die").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        values = [waveforms.std(1), abs(waveforms).max(1), waveforms.mean(1)]
        return {"embedding": np.stack(values, 1).astype(np.float32)}
"""


class Heard(Progress):
    """Keeps what is said."""

    def __init__(self):
        self.said: list[str] = []

    def say(self, text):
        self.said.append(text)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The folder of the module that holds the teacher, which every machine of the cluster imports."""
    folder = tmp_path_factory.mktemp("teacher")
    (folder / "asked_teacher.py").write_text(TEACHER)
    before = os.environ.get("PYTHONPATH", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join([str(folder), str(Path(embed.__file__).parents[1]), before])
        )
        patch.syspath_prepend(folder)
        patch.setattr(embed, "PIECE_SECONDS", 2.0)
        typed("asked_teacher:Loudness")
        yield folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    rng = np.random.default_rng(0)
    for k in range(24):
        soundfile.write(folder / f"{k:02d}.wav", 0.1 * rng.standard_normal(8_000), 8_000)
    (folder / "bad.wav").write_bytes(b"no sound")
    with open(folder / "table.csv", "w") as file:
        file.write("path\n" + "".join(f"{k:02d}.wav\n" for k in range(24)) + "bad.wav\n")
    return folder


@contextlib.contextmanager
def full_disk(folder: Path):
    """A disk with 8 KB of room, half of what a file takes: where there is none, Python takes another disk."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk of its own (a tmpfs) may not be mounted here")
    try:
        (folder / "most").write_bytes(bytes(56 << 10))
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def machines(teacher, tmp_path_factory):
    """A head without processors, and three workers: one to be killed, one slow, one whose disk is full."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with full_disk(tmp_path_factory.mktemp("disks") / "full") as full, pytest.MonkeyPatch.context() as patch:
        # Dead machines are noticed within seconds.
        for name, value in (("period_ms", 500), ("timeout_ms", 500), ("failure_threshold", 4)):
            patch.setenv(f"RAY_health_check_{name}", str(value))
        patch.setenv("RAY_DISABLE_IMPORT_WARNING", "1")
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = {
            name: found.add_node(num_cpus=1, wait=False, env_vars={"MACHINE": name, **further})
            for name, further in (
                ("killed", {"SLOW": "0.1"}),
                ("slow", {"SLOW": "0.3"}),
                ("full", {"TMPDIR": str(full)}),
            )
        }
        found.wait_for_nodes()
        try:
            yield found, nodes
        finally:
            found.shutdown()


def made(data, out: Path, **options) -> dict[str, bytes]:
    embed_domain(Config(teacher="asked_teacher:Loudness", data=str(data)), out, **options)
    return {each.name: each.read_bytes() for each in sorted(out.glob("shard-*.arrow"))}


def asked(teacher: Path) -> collections.Counter:
    return collections.Counter((teacher / "asked").read_text().split())


@pytest.mark.slow
def test_what_no_machine_can_do_is_said_once(machines, teacher, sound, tmp_path):
    found, _ = machines
    config = Config(teacher="asked_teacher:Loudness", data=str(sound / "table.csv"))
    pairing = Pairing(load("asked_teacher:Loudness"), preset("sea-8k"))
    pairing.teacher.fingerprint = "0" * 64
    manifest, store = datasets.load(config.data), Store(tmp_path / "s", {})
    making = cluster.engine(config, "auto", Heard())
    with cluster.connected(found.address), pytest.raises(EdgeseaError) as error:
        embed.embed(manifest, pairing, store, 0.25, patches=False, engine=making)
    assert re.match(r"Shard \d+ failed on 3 machines of the cluster, last because: ", str(error.value))
    assert "asked_teacher:Loudness is another than the one here: copy the same there" in str(error.value)


@pytest.mark.slow
def test_a_machine_that_is_killed_one_that_is_slow_and_one_without_disk_make_the_same_store(
    machines, teacher, sound, tmp_path
):
    found, nodes = machines
    out, heard = tmp_path / "far", Heard()
    raylet = nodes["killed"].all_processes["raylet"][0].process.pid
    killed = []

    def kill():
        while len(list(out.glob("shard-*"))) < 3:
            time.sleep(0.02)
        killed.append(len(list(out.glob("shard-*"))))
        workers = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
        for process in (raylet, *map(int, workers)):
            os.kill(process, signal.SIGKILL)

    with web(sound, Plain) as (address, _):
        here = made(f"{address}/table.csv", tmp_path / "here")
        (teacher / "asked").write_text("")
        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        (teacher / "die").touch()  # one process, before its machine
        far = made(f"{address}/table.csv", out, engine="ray", address=found.address, progress=heard)
    assert len(here) == 13
    assert far == here
    assert killed[0] < len(here), "it was killed when all was done"
    assert not (teacher / "die").exists()
    counted = asked(teacher)
    assert counted["killed"] > 0
    assert counted["slow"] >= len(here) - killed[0] - 2
    assert counted["full"] == counted["here"] == 0
    assert any("goes to another machine" in each and "No space left" in each for each in heard.said)
    assert "bad.wav" in (out / "skipped.csv").read_text()


def test_a_shard_whose_last_machine_died_does_not_wait(monkeypatch):
    monkeypatch.setattr(cluster, "_nodes", lambda: {"a", "b"})
    cluster._check_stranded([(1, [], set()), (2, [], {"a"})])
    with pytest.raises(
        EdgeseaError, match=r"^Shard 3 has no machine left: those of the cluster failed before"
    ):
        cluster._check_stranded([(1, [], set()), (3, [], {"a", "b", "gone"})])


def test_a_cluster_that_is_not_there(tmp_path):
    pytest.importorskip("ray")
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(EdgeseaError) as error:
        embed_domain(
            Config(teacher="demo", data=str(tmp_path)), tmp_path / "s", engine="ray", address=address
        )
    assert str(error.value).startswith(f"The Ray cluster at {address} does not answer (")
    assert not (tmp_path / "s").exists()


def test_what_is_no_cluster_is_not_waited_for(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "CONNECT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(EdgeseaError) as error, cluster.connected(address):
            pass
    assert str(error.value) == (
        f"The Ray cluster at {address} does not answer (nothing was said for 1 s): start it with `ray start "
        "--head`, or give another --address."
    )


@pytest.mark.parametrize("address", ["somewhere", "host:", ":6379", "host:port", "host:70000"])
def test_what_is_no_address(address):
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="give HOST:PORT of a Ray cluster"), cluster.connected(address):
        pass


def test_an_address_for_the_local_engine_is_refused(tmp_path):
    with pytest.raises(
        UsageError, match=r"Received --address h:1 for the engine local: say --engine ray too\."
    ):
        embed_domain(Config(teacher="demo", data=str(tmp_path)), tmp_path / "s", address="h:1")


def test_without_ray_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"run `pip install 'edgesea\[ray\]'`"), cluster.connected(None):
        pass
