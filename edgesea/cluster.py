"""Shards made by the tasks of a Ray cluster.

A task makes one shard, with a teacher that its process has loaded once, and sends the columns back; this
process writes them. So a store is the same as if it had been made here, and one machine alone needs a disk
for it. Teacher and data are found by every worker under the names that were typed: on a disk that all see, as
the name of a published teacher, or behind an address (`edgesea.remote`).

Ray starts a task again whose process or machine died. What a task says of itself that it cannot (a full disk,
a file that is not there) may be its machine's fault: the shard goes to another machine, `TRIES` in all, and a
machine that failed as often, and never made a shard, is asked no more.
"""

import collections
import contextlib
import functools
import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgesea import __version__
from edgesea.embed import Made, Shard, Work
from edgesea.errors import EdgeseaError, UsageError
from edgesea.frontend import Frontend
from edgesea.progress import Progress

CONNECT_S = 10.0
TRIES = 3
_DEATHS = 5  # of a task's process or machine, until it is given up
_AHEAD = 2  # tasks for each processor that wait or run


@dataclass(frozen=True)
class Job:
    """What a worker needs to make any shard.

    name : of this call, unlike any other's
    version : of edgesea
    config, accelerator : say what the teacher is (`edgesea.run.Config`)
    fingerprint : of the teacher
    outputs : that are asked of it
    settings : of `edgesea.embed.Work`
    manifest : in Ray's store of objects
    """

    name: str
    version: str
    config: Any
    accelerator: str
    fingerprint: str
    outputs: tuple[str, ...]
    frontend: Frontend
    settings: dict
    manifest: Any


@dataclass(frozen=True)
class Failed:
    """Why a worker could not make a shard; node : Ray's name of its machine."""

    node: str
    reason: str


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Holds a connection to a cluster.

    Raises `UsageError` where Ray is missing or the address is none, `EdgeseaError` where no cluster answers
    there.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--engine ray takes Ray, which is not installed: run `pip install 'edgesea[ray]'`."
        ) from error
    if address is not None:
        _check_answers(address)
    try:
        ray.init(address or "auto", logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:
        where = f"at {address}" if address else "on this machine"
        raise EdgeseaError(
            f"There is no Ray cluster {where} that can be used ({_short(error)}): start one with "
            "`ray start`, or say where it is with --address HOST:PORT."
        ) from error
    try:
        # Ray's own tales of workers that died go to the output that is the result's.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray itself waits for minutes, and ends the process, where nobody answers."""
    import grpc

    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"Received --address {address}: give HOST:PORT of a Ray cluster.")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=CONNECT_S)
    except (OSError, grpc.FutureTimeoutError) as error:
        reason = _short(error) if str(error) else f"nothing was said for {CONNECT_S:g} s"
        raise EdgeseaError(
            f"The Ray cluster at {address} does not answer ({reason}): start it with `ray start --head`, or "
            "give another --address."
        ) from error


def engine(config, accelerator: str, progress: Progress) -> Callable:
    """What `edgesea.embed.embed` makes its shards by, while a cluster is `connected`.

    config : `edgesea.run.Config`, whose teacher the workers load
    """

    def make(work: Work, lacking: Sequence[tuple[int, Shard]]) -> Iterator[Made]:
        import ray

        teacher = work.pairing.teacher
        assert teacher is not None
        job = Job(
            uuid.uuid4().hex,
            __version__,
            config,
            accelerator,
            teacher.fingerprint,
            tuple(work.pairing.outputs),
            work.pairing.frontend,
            work.settings,
            ray.put(work.manifest),
        )
        yield from _made(ray.put(job), lacking, accelerator, progress)

    return make


def _made(job, lacking: Sequence[tuple[int, Shard]], accelerator: str, progress: Progress) -> Iterator[Made]:
    """Shards in the order in which they come."""
    import ray

    task = ray.remote(num_cpus=1, num_gpus=int(accelerator == "gpu"), max_retries=_DEATHS)(_shard)
    coming = collections.deque(lacking)
    running: dict[Any, tuple[int, Shard, set[str]]] = {}
    tried: dict[int, set[str]] = collections.defaultdict(set)
    failures: collections.Counter = collections.Counter()
    useful: set[str] = set()
    while coming or running:
        while coming and len(running) < max(_AHEAD, _AHEAD * _processors()):
            number, shard = coming.popleft()
            useless = {node for node, count in failures.items() if count >= TRIES and node not in useful}
            without = tried[number] | useless if _nodes() - tried[number] - useless else set()
            running[task.options(**_elsewhere(without)).remote(job, shard)] = number, shard, without
        done, _ = ray.wait(list(running), timeout=1.0)
        if not done:
            _check_stranded(running.values())
        for each in done:
            number, shard, _ = running.pop(each)
            answer = _answer(each, number)
            if not isinstance(answer, Failed):
                node, columns, notes = answer
                useful.add(node)
                yield number, columns, notes
                continue
            tried[number].add(answer.node)
            failures[answer.node] += 1
            others = _nodes() - tried[number]
            if len(tried[number]) >= TRIES or not others:
                raise EdgeseaError(
                    f"Shard {number} failed on {len(tried[number])} machines of the cluster, last because: "
                    f"{answer.reason.rstrip('.')}. What is done is kept: call again, which goes on."
                )
            progress.say(f"shard {number} goes to another machine: {answer.reason}")
            coming.appendleft((number, shard))


def _answer(task, number: int):
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        raise EdgeseaError(
            f"The cluster cannot make shard {number} ({_short(error)}): see that its workers have edgesea "
            f"{__version__} and memory, and call again, which goes on."
        ) from error


def _processors() -> int:
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def _nodes() -> set[str]:
    """Machines that take tasks."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}


def _check_stranded(running: Iterable[tuple[int, Shard, set[str]]]) -> None:
    """A shard whose last machine died before it had its turn there would wait for ever."""
    there = _nodes()
    for number, _, without in running:
        if without and not there - without:
            raise EdgeseaError(
                f"Shard {number} has no machine left: those of the cluster failed before. See to them, and "
                "call again, which goes on."
            )


def _elsewhere(nodes: set[str]) -> dict:
    """Options of a task that is not for these machines."""
    if not nodes:
        return {}
    return {"label_selector": {"ray.io/node-id": f"!in({','.join(sorted(nodes))})"}}


def _shard(job: Job, shard: Shard) -> "Failed | tuple":
    """Runs on a worker: the machine, and columns and notes of a shard."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    try:
        return node, *_work(_Once(job.name, job)).shard(shard)
    except Exception as error:
        return Failed(node, f"{socket.gethostname()}: {_short(error)}")


class _Once:
    """A value that counts as equal by its name."""

    def __init__(self, name: str, value: Any):
        self.name, self.value = name, value

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and other.name == self.name


@functools.lru_cache(maxsize=1)
def _work(once: _Once) -> Work:
    """What makes a job's shards in this process."""
    import ray

    from edgesea.configured import load_teacher
    from edgesea.pairing import Pairing
    from edgesea.teachers.own import typed

    job: Job = once.value
    if job.version != __version__:
        raise UsageError(f"It has edgesea {__version__}, and {job.version} asks it: install the same.")
    typed(job.config.teacher)
    teacher = load_teacher(job.config, accelerator=job.accelerator)
    if teacher.fingerprint != job.fingerprint:
        raise UsageError(
            f"Its teacher {job.config.teacher} is another than the one here: copy the same there."
        )
    return Work(ray.get(job.manifest), Pairing(teacher, job.frontend, job.outputs), **job.settings)


def _short(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:300].rstrip(".")
