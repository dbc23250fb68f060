"""What `edgesea embed` does in a second, beside what people write today; writes results/pipeline.{json,md}.

    python benchmarks/pipeline.py --yamnet yamnet.tflite

Five parts, which --only names (speed, memory, kills, bad, scale):

speed    the same clips, 5 s at 44.1 kHz, through YAMNet with frames that overlap by half: by `edgesea embed`;
         by librosa.load (which resamples) and one `invoke` a frame of an interpreter that keeps its inner
         tensors, which is how the embedding is read from the .tflite; and by the same without the embedding,
         the scores alone, which is the fastest that one process does. In turns, each a process of its own.
memory   the most that is resident while 1,000, 10,000 and 100,000 frames are embedded by a teacher of 1024
         dimensions that costs next to nothing, from a table of stretches of ten-minute files.
kills    SIGKILL at ten random moments, each time the same call again: its store beside an undisturbed one.
bad      a domain of 1,000 files of which 50 are bad, five of each of ten kinds.
scale    bytes of a frame in a store, and PCA fitted on 500,000 frames, both of 1024 dimensions; with the
         speed it makes the table of docs/scaling.md.
"""

import argparse
import csv
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from edgesea import audio, files, reduction
from edgesea.devices import conditions

RESULTS = Path(__file__).with_name("results")
RATE, SAMPLES, HOP = 16_000, 15_600, 7_800
MEMORY_FRAMES = (1_000, 10_000, 100_000)
KILLS = 10
FILES, BAD = 1_000, 50
# The paper's upstream set, in clips of ten seconds, and its frames for PCA.
CLIPS, CLIP_S, PCA_FRAMES, DIMENSION = 150_000_000, 10, 500_000, 1024
# What sound is taken to be, one channel of 16 bits, and what a line carries.
SOUND_RATE, LINE_BITS_PER_S = 44_100, 10e9

# What runs in a process of its own; `edgesea.embed` with little to wait for between shards.
EMBED = """
import json, resource, sys, time
from edgesea import embed
embed.PIECE_SECONDS = float(sys.argv[1])
from edgesea.distillation import embed_domain
from edgesea.run import Config
from edgesea.teachers.own import typed
typed(sys.argv[2])
started = time.perf_counter()
found = embed_domain(Config(teacher=sys.argv[2], data=sys.argv[3]), sys.argv[4])
found["seconds"] = time.perf_counter() - started
found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(found))
"""
CHEAP = """
import numpy as np
from edgesea.teacher import Teacher

class Cheap(Teacher):
    sample_rate, samples, outputs = 16_000, 15_600, {"embedding": (1024,)}

    def hear(self, waveforms, wanted=("embedding",)):
        return {"embedding": np.abs(waveforms[:, :15_360].reshape(len(waveforms), 1024, 15)).mean(axis=2)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--yamnet", type=Path, help="yamnet.tflite, for the part speed")
    parser.add_argument("--clips", type=int, default=100, help="of 5 s, for the part speed")
    parser.add_argument("--rounds", type=int, default=3, help="of the part speed")
    parser.add_argument("--only", nargs="*", default=["speed", "memory", "kills", "bad", "scale"])
    parser.add_argument("--today", nargs=3, metavar=("MODEL", "FOLDER", "INNER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.today:
        model, folder, inner = options.today
        print(json.dumps(today(model, Path(folder), inner == "1")))
        return
    path = RESULTS / "pipeline.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    parts = {
        "speed": lambda folder: speed(folder, options.yamnet, options.clips, options.rounds),
        "memory": memory,
        "kills": kills,
        "bad": bad,
        "scale": scale,
    }
    for name in options.only:
        before = conditions.state()
        with tempfile.TemporaryDirectory() as folder:
            found = parts[name](Path(folder))
        result[name] = {
            **found,
            "conditions": {"machine": conditions.machine(), "before": before, "after": conditions.state()},
        }
        files.write_json(path, result)
        files.write_text(RESULTS / "pipeline.md", report(result))


def recording(path: Path, seconds: float, rate: int, seed: int) -> None:
    """Noise whose level goes up and down."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate)
    swell = 0.1 + 0.05 * np.sin(np.arange(count) * 2 * np.pi / rate)
    soundfile.write(path, (rng.standard_normal(count) * swell).astype(np.float32), rate, subtype="PCM_16")


def embedded(
    teacher: str, data: Path, out: Path, *, piece_s: float = 600.0, path: Path | None = None
) -> dict:
    """One `edgesea embed` in a process of its own."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if path:
        environment["PYTHONPATH"] = os.pathsep.join([str(path), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", EMBED, str(piece_s), teacher, str(data), str(out)]
    begun, worked = time.perf_counter(), _children()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    found = json.loads(done.stdout)
    return found | {"wall_s": time.perf_counter() - begun, "processor_s": _children() - worked}


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def today(model: str, folder: Path, inner: bool) -> dict:
    """librosa and an interpreter, one frame after the other, in this process."""
    import librosa
    from ai_edge_litert.interpreter import Interpreter

    reader = Interpreter(model, num_threads=1, experimental_preserve_all_tensors=inner)
    reader.allocate_tensors()
    given = reader.get_input_details()[0]["index"]
    wanted = reader.get_output_details()[0]["index"]
    if inner:
        wanted = next(
            each["index"]
            for each in reader.get_tensor_details()
            if each["name"].endswith("global_average_pooling2d/Mean")
        )
    paths = sorted(folder.glob("*.wav"))
    librosa.load(paths[0], sr=RATE)  # imports the half of itself
    frames, started = 0, time.perf_counter()
    for path in paths:
        waveform, _ = librosa.load(path, sr=RATE)
        for frame in librosa.util.frame(waveform, frame_length=SAMPLES, hop_length=HOP).T:
            reader.set_tensor(given, frame[None].astype(np.float32))
            reader.invoke()
            reader.get_tensor(wanted)
            frames += 1
    return {"frames": frames, "seconds": time.perf_counter() - started}


def speed(folder: Path, yamnet: Path | None, clips: int, rounds: int) -> dict:
    """Of a quarter of the clips and of all of them: what lies between is without start and imports."""
    if yamnet is None:
        raise SystemExit("The part speed needs --yamnet yamnet.tflite.")
    sounds = []
    for count in (clips // 4, clips):
        sounds.append(folder / f"sound{count}")
        sounds[-1].mkdir()
        for k in range(count):
            recording(sounds[-1] / f"{k:04d}.wav", 5.0, 44_100, k)
    rows: dict[str, list[list[dict]]] = {"embed": [], "inner": [], "scores": []}
    for number in range(rounds):
        stores = [folder / f"store{number}-{k}" for k in range(len(sounds))]
        rows["embed"].append(
            [embedded(str(yamnet.resolve()), *each) for each in zip(sounds, stores, strict=True)]
        )
        for name, inner in (("inner", "1"), ("scores", "0")):
            rows[name].append([_today(yamnet, sound, inner) for sound in sounds])
    return {
        "clips": clips,
        "rounds": rounds,
        "cores": len(os.sched_getaffinity(0)),
        **{name: _between(found) for name, found in rows.items()},
    }


def _today(yamnet: Path, sound: Path, inner: str) -> dict:
    begun = _children()
    command = [sys.executable, __file__, "--today", str(yamnet), str(sound), inner]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout) | {"processor_s": _children() - begun}


def _between(rounds: list[list[dict]]) -> dict:
    """Medians over the rounds of what the further frames cost."""

    def cost(key: str) -> float:
        return statistics.median(
            (many[key] - few[key]) / (many["frames"] - few["frames"]) for few, many in rounds
        )

    return {
        "frames": rounds[0][1]["frames"],
        "frames_per_s": 1 / cost("seconds"),
        "processor_ms_per_frame": 1e3 * cost("processor_s"),
    }


def memory(folder: Path) -> dict:
    (folder / "cheap_teacher.py").write_text(CHEAP)
    recording(folder / "ten.wav", 600.0, RATE, 0)
    rows = []
    for frames in MEMORY_FRAMES:
        table = folder / f"{frames}.csv"
        with open(table, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "start", "end"])
            # A stretch of 5 s holds nine frames.
            writer.writerows(["ten.wav", 5 * (k % 120), 5 * (k % 120) + 5] for k in range(-(-frames // 9)))
        found = embedded("cheap_teacher:Cheap", table, folder / f"store{frames}", path=folder)
        rows.append(
            {"frames": found["frames"], "peak_bytes": found["peak_bytes"], "seconds": found["seconds"]}
        )
    return {"rows": rows, "growth": rows[-1]["peak_bytes"] / rows[0]["peak_bytes"] - 1}


def kills(folder: Path) -> dict:
    sound = folder / "sound"
    sound.mkdir()
    for k in range(60):
        recording(sound / f"{k:04d}.wav", 4.0, RATE, k)
    undisturbed = embedded("demo", sound, folder / "whole", piece_s=8.0)
    shards = sorted((folder / "whole").glob("shard-*.arrow"))
    rng, found = random.Random(0), []
    each_s = undisturbed["seconds"] / len(shards)
    command = [sys.executable, "-c", EMBED, "8.0", "demo", str(sound), str(folder / "killed")]
    for target in sorted(rng.choices(range(len(shards)), k=KILLS)):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and _held(folder / "killed") < target:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 2 * each_s))
        if process.poll() is not None:
            raise SystemExit("A call came to its end before it was killed: run this part again.")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        found.append({"shards": _held(folder / "killed")})
    embedded("demo", sound, folder / "killed", piece_s=8.0)
    same = all((folder / "killed" / each.name).read_bytes() == each.read_bytes() for each in shards)
    if not same:
        raise SystemExit("The killed store differs from the undisturbed one.")
    return {"kills": found, "shards": len(shards), "equal": same}


def _held(folder: Path) -> int:
    return len(list(folder.glob("shard-*.arrow")))


def _good(path: Path, k: int) -> None:
    recording(path, 1.0, 8_000, k)


def _written(content: bytes):
    return lambda path, k: path.write_bytes(content)


def _cut(path: Path, k: int) -> None:
    _good(path, k)
    path.write_bytes(path.read_bytes()[:40])


def _samples(values: np.ndarray):
    return lambda path, k: soundfile.write(path, values.astype(np.float32), 8_000, subtype="FLOAT")


def _link(path: Path, k: int) -> None:
    path.symlink_to(path.with_name("nowhere.wav"))


def _rated(path: Path, k: int) -> None:
    _good(path, k)
    content = bytearray(path.read_bytes())
    content[24:28] = (7).to_bytes(4, "little")
    path.write_bytes(content)


KINDS = {
    "empty": _written(b""),
    "text": _written(b"not a sound at all\n" * 20),
    "web page": _written(b"<!doctype html><html><body>404</body></html>"),
    "zeros": _written(bytes(4_000)),
    "cut in its header": _cut,
    "silent": _samples(np.zeros(8_000)),
    "NaN": _samples(np.full(8_000, np.nan)),
    "another scale": _samples(np.random.default_rng(0).standard_normal(8_000) * 3e4),
    "a link to nowhere": _link,
    "a rate of 7 Hz": _rated,
}


def bad(folder: Path) -> dict:
    sound = folder / "sound"
    sound.mkdir()
    kinds = [name for name in KINDS for _ in range(BAD // len(KINDS))]
    places = random.Random(1).sample(range(FILES), BAD)
    made = {}
    for k in range(FILES):
        path = sound / f"{k:04d}.wav"
        if k in places:
            kind = kinds[places.index(k)]
            made[path.name] = kind
            KINDS[kind](path, k)
        else:
            _good(path, k)
    found = embedded("demo", sound, folder / "store")
    with open(folder / "store" / "skipped.csv", newline="") as file:
        skipped = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    if skipped.keys() != made.keys():
        raise SystemExit(f"Named wrongly: {sorted(skipped.keys() ^ made.keys())}")
    return {
        "files": FILES,
        "frames": found["frames"],
        "named": len(skipped),
        "kinds": {kind: next(skipped[name] for name in made if made[name] == kind) for kind in KINDS},
    }


def scale(folder: Path) -> dict:
    (folder / "cheap_teacher.py").write_text(CHEAP)
    recording(folder / "ten.wav", 600.0, RATE, 0)
    (folder / "table.csv").write_text("path\nten.wav\n")
    found = embedded("cheap_teacher:Cheap", folder / "table.csv", folder / "store", path=folder)
    stored = sum(each.stat().st_size for each in (folder / "store").glob("shard-*"))
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((4_000, DIMENSION)).astype(np.float32) for _ in range(5)]

    def every():
        return (batches[k % len(batches)] for k in range(PCA_FRAMES // len(batches[0])))

    started, worked = time.perf_counter(), time.process_time()
    reduction.reducer("pca", 64).fit(_Again(every))
    return {
        "frame_bytes": stored / found["frames"],
        "pca": {
            "frames": PCA_FRAMES,
            "seconds": time.perf_counter() - started,
            "processor_s": time.process_time() - worked,
        },
    }


class _Again:
    """An iterable that begins anew each time."""

    def __init__(self, make):
        self._make = make

    def __iter__(self):
        return iter(self._make())


def upstream(result: dict) -> list[str]:
    """Rows of the table of docs/scaling.md: what `CLIPS` clips and `PCA_FRAMES` frames cost."""
    clip_frames = audio.count(CLIP_S * RATE, SAMPLES, HOP)
    frames = CLIPS * clip_frames
    each_s, frame_bytes = (
        result["speed"]["embed"]["processor_ms_per_frame"] / 1e3,
        result["scale"]["frame_bytes"],
    )
    sound_bytes = CLIPS * CLIP_S * SOUND_RATE * 2
    hours, line_hours = frames * each_s / 3600, sound_bytes * 8 / LINE_BITS_PER_S / 3600
    pca = result["scale"]["pca"]
    return [
        f"| frames, {clip_frames} a clip | {frames / 1e9:.1f} thousand million |",
        f"| YAMNet, {each_s * 1e3:.2f} ms of processor a frame | {hours:,.0f} processor hours |",
        f"| the same on 10 machines of 16 processors | {hours / 160:.1f} h |",
        f"| the sound, 16 bits at 44.1 kHz | {sound_bytes / 1e12:.0f} TB |",
        f"| the sound through one line of 10 Gbit/s | {line_hours:.0f} h |",
        f"| processors that such a line keeps busy | {hours / line_hours:.0f} |",
        f"| the store, {frame_bytes:,.0f} bytes a frame | {frames * frame_bytes / 1e12:.1f} TB |",
        f"| {PCA_FRAMES:,} frames for PCA, by YAMNet | {PCA_FRAMES * each_s / 60:.0f} processor minutes |",
        f"| the same, in the store | {PCA_FRAMES * frame_bytes / 1e9:.1f} GB |",
        f"| PCA on them | {pca['processor_s']:.0f} s of processor |",
    ]


def report(result: dict) -> str:
    """The result as Markdown."""
    lines = [
        "# The pipeline",
        "",
        "Made by `python benchmarks/pipeline.py`; each part says under which conditions.",
    ]
    if found := result.get("speed"):
        names = {
            "embed": "edgesea embed",
            "inner": "librosa.load and one invoke a frame, for the embedding",
            "scores": "the same for the scores alone, without an embedding",
        }
        lines += [
            "",
            f"## Speed: YAMNet, {found['clips']} clips of 5 s at 44.1 kHz, frames that overlap by half",
            "",
            _conditions(found),
            "",
            "| | frames | frames/s | embed is faster by | processor, ms a frame |",
            "|---|--:|--:|--:|--:|",
        ]
        lines += [
            f"| {what} | {found[name]['frames']:,} | {found[name]['frames_per_s']:.1f} "
            f"| {found['embed']['frames_per_s'] / found[name]['frames_per_s']:.2f} "
            f"| {found[name]['processor_ms_per_frame']:.2f} |"
            for name, what in names.items()
        ]
        lines += [
            "",
            "Without start and imports: what all the clips cost more than a quarter of them. Processor time "
            "is summed over processes, and is what stays comparable on a machine that does other work too; "
            "the reference runs on one core, and embed on all.",
        ]
    if found := result.get("memory"):
        lines += [
            "",
            "## Memory",
            "",
            _conditions(found),
            "",
            "| frames | resident at most, MB | s |",
            "|--:|--:|--:|",
        ]
        lines += [
            f"| {row['frames']:,} | {row['peak_bytes'] / 1e6:.0f} | {row['seconds']:.0f} |"
            for row in found["rows"]
        ]
        lines += ["", f"Growth from the first to the last: {found['growth']:.1%}."]
    if found := result.get("kills"):
        held = ", ".join(str(each["shards"]) for each in found["kills"])
        lines += [
            "",
            "## SIGKILL",
            "",
            _conditions(found),
            "",
            f"Killed {len(found['kills'])} times, with {held} of {found['shards']} shards written then: the "
            "finished store equals an undisturbed one, byte by byte.",
        ]
    if found := result.get("bad"):
        lines += [
            "",
            "## Bad files",
            "",
            _conditions(found),
            "",
            f"{found['files']:,} files; {found['named']} bad ones named, no other; {found['frames']:,} "
            "frames of the rest.",
            "",
            "| kind | reason in skipped.csv |",
            "|---|---|",
            *(f"| {kind} | {reason} |" for kind, reason in found["kinds"].items()),
        ]
    if found := result.get("scale"):
        pca = found["pca"]
        lines += [
            "",
            "## Scale",
            "",
            _conditions(found),
            "",
            f"A frame of {DIMENSION} dimensions takes {found['frame_bytes']:,.0f} bytes in a store. PCA to "
            f"64 dimensions on {pca['frames']:,} of them takes {pca['processor_s']:.0f} s of processor, "
            f"{pca['seconds']:.0f} s by the clock.",
        ]
    return "\n".join(lines) + "\n"


def _conditions(found: dict) -> str:
    machine, before, after = (found["conditions"][key] for key in ("machine", "before", "after"))
    return (
        f"On {machine['cpu']}, {machine['cores']} cores, load {before['load_average']} before and "
        f"{after['load_average']} after, {before['time'][:10]}."
    )


if __name__ == "__main__":
    main()
