"""What a memory costs and brings, and how few examples teach a device a new sound.

    python benchmarks/decisions.py RUN --data LABELLED --test LABELLED
    python benchmarks/decisions.py RUN --test LABELLED [--shots 1,5,10]

RUN is a student. A head and memories of several sizes are made of --data's train part; clips of --test whose
label --data has are told by the largest mean score. Learning begins with an empty memory: each example is a
clip, its frames' mean added as a prototype, and the other clips of --test's classes are told. Flash is
computed, instructions are counted on an emulated Cortex-M4, whose decisions are compared with NumPy's. The
first form writes `sizes` into results/decisions.json, the second `learning`.
"""

import argparse
import json
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "firmware"))

import decision_program

from edgesea import __version__, datasets
from edgesea.decisions import head as heads
from edgesea.decisions import heard, prototypes
from edgesea.exporting.tflite import convert_float, convert_int8
from edgesea.listen import listen
from edgesea.run import Run
from firmware_export.decisions import Decisions

RESULTS = Path(__file__).with_name("results") / "decisions.json"
SIZES = (16, 64, 256, 1024)
DRAWS = 5  # of examples
EXAMPLES = 200  # at most, of all classes together


def hear(manifest, clips, frontend, int8, ask):
    ears = heard.integer_ears(int8, frontend)
    return heard.hear(manifest, clips, ears, heard.pace(frontend), ask)


def clip_scores(score, embeddings, ends) -> np.ndarray:
    """Mean scores of clips, (clips, classes)."""
    frames = np.array([score(each) for each in embeddings])
    return np.stack([frames[a:b].mean(axis=0) for a, b in pairwise(ends)])


def on_m4(decisions, dimension, zero_point, operations, answers) -> tuple[bytes, int]:
    """The answers of an emulated Cortex-M4, and the instructions of all operations together."""
    with tempfile.TemporaryDirectory() as folder:
        return decision_program.on_core(
            *("cortex-m4", Path(folder) / "c", decisions, dimension, zero_point, operations, answers),
            capacity=EXAMPLES,
        )


def described(labels, head, memory, arrays) -> Decisions:
    """The same for C."""
    return Decisions(
        labels=tuple(labels),
        head=head,
        every=1,
        window=4,
        rest=0,
        alpha=(0,) * len(labels),
        thresholds=(65535,) * len(labels),
        memory=memory,
        prototypes=arrays["prototypes"],
        soft_labels=arrays["labels"],
    )


def compared(decisions, device, head_scores, embeddings, zero_point) -> dict:
    """Instructions of a search on the emulated core, and whether all its scores are NumPy's."""
    dimension = embeddings.shape[1]
    asked = [
        b"S" + scores.astype(np.uint8).tobytes() + each.astype(np.int8).tobytes()
        for scores, each in zip(head_scores, embeddings, strict=True)
    ]
    slots = decisions.slots
    content, all_of_it = on_m4(
        decisions, dimension, zero_point, b"B" + b"".join(asked), 4 + 4 * slots * len(asked)
    )
    _, none_of_it = on_m4(decisions, dimension, zero_point, b"B", 4)
    same = 0
    for place, (scores, each) in enumerate(zip(head_scores, embeddings, strict=True)):
        at = 4 + 4 * slots * place
        same += content[at : at + slots] == device.scores(scores, each).astype(np.uint8).tobytes()
    return {
        "instructions": (all_of_it - none_of_it) // len(asked),
        "frames": len(asked),
        "same_as_numpy": same,
    }


def sizes(run, int8, float_model, data, manifest, test, parts, held, tested, zero_point) -> list[dict]:
    """A head alone, and memories of several sizes, alone and beside it."""
    labels = list(manifest.labels)
    clips = [k for k in tested.clips if set(test.clips[k].labels) & set(labels)]
    rows, ends = heads.ends_of(tested, clips)
    truth = heads.truth_of(test, clips, labels).argmax(axis=1)
    embeddings = tested.outputs["embedding"][rows]
    scale = heard.open_interpreter(int8).output.scale
    head = heads.train(float_model, run.frontend(), data)
    ours = heads.as_integers(head.scores((embeddings - zero_point) * scale))

    def accuracy(scores):
        return float((np.argmax(scores[:, : len(labels)], axis=1) == truth).mean())

    joined = np.stack([ours[a:b].mean(axis=0) for a, b in pairwise(ends)])
    found = [
        {"prototypes": 0, "flash_bytes": 0, "instructions": 0, "head": accuracy(joined), "clips": len(clips)}
    ]
    fit_rows, fit_ends = heads.ends_of(held, parts["train"], sounding=True)
    fit_truth = np.repeat(heads.truth_of(manifest, parts["train"], labels), np.diff(fit_ends), axis=0)
    for size in SIZES:
        choice = prototypes.choice_of(str(size))
        arrays = prototypes.make(choice, held.outputs["embedding"][fit_rows], fit_truth, zero_point)
        memory = prototypes.MEMORIES.options(choice).integers(-32768)
        alone = listen.Memory(memory, arrays["prototypes"], arrays["labels"], zero_point, 0, labels)
        both = listen.Memory(memory, arrays["prototypes"], arrays["labels"], zero_point, len(labels), labels)
        mixed = np.array([both.scores(a, b) for a, b in zip(ours, embeddings, strict=True)])
        decisions = described(labels, len(labels), memory, arrays)
        count, dimension = arrays["prototypes"].shape
        found.append(
            {
                "prototypes": count,
                "flash_bytes": prototypes.flash_bytes(count, dimension, len(labels)),
                **compared(decisions, both, ours[:40], embeddings[:40], zero_point),
                "memory": accuracy(
                    clip_scores(lambda each, device=alone: device.scores((), each), embeddings, ends)
                ),
                "both": accuracy(np.stack([mixed[a:b].mean(axis=0) for a, b in pairwise(ends)])),
            }
        )
        print(found[-1], flush=True)
    return found


def learning(test, tested, zero_point, shots) -> list[dict]:
    """Accuracy on the other clips after so many examples of each class; and the same on the emulated core."""
    labels = list(test.labels)
    found = []
    for count in shots:
        accuracies, same, frames = [], 0, 0
        for draw in range(DRAWS):
            random = np.random.default_rng(draw)
            given, left = _examples(test, tested.clips, labels, count, random)
            memory = {
                "k": min(8, count),
                "beta": 256,
                "sharpness": round(2 / np.log(2) / 0.05),
                "unknown": -32768,
            }
            empty = {"prototypes": np.zeros((0, tested.outputs["embedding"].shape[1]), np.int8)}
            empty["labels"] = np.zeros((0, 1), np.uint8)
            device = listen.Memory(memory, empty["prototypes"], empty["labels"], zero_point, 0, ["none"])
            operations, answers = [b"B"], 4
            for label, clip in given:
                frames_of = tested.outputs["embedding"][tested.rows([clip], sounding=True)]
                assert device.add(label, frames_of) is not None
                operations += [b"T" + each.astype(np.int8).tobytes() for each in frames_of]
                operations.append(b"A" + label.encode().ljust(20, b"\0"))
                answers += 4
            rows, ends = heads.ends_of(tested, left)
            embeddings = tested.outputs["embedding"][rows]
            scores = clip_scores(lambda each, device=device: device.scores((), each), embeddings, ends)
            told = [device.names[place] for place in scores[:, : len(device.names)].argmax(axis=1)]
            accuracies.append(
                np.mean([name in test.clips[k].labels for name, k in zip(told, left, strict=True)])
            )
            if draw == 0:
                some = embeddings[:: max(1, len(embeddings) // 200)]
                slots = device.slots
                operations += [b"S" + each.astype(np.int8).tobytes() for each in some]
                content, _ = on_m4(
                    described(["none"], 0, memory, empty),
                    embeddings.shape[1],
                    zero_point,
                    b"".join(operations),
                    answers + 4 * slots * len(some),
                )
                for place, each in enumerate(some):
                    at = answers + 4 * slots * place
                    same += content[at : at + slots] == device.scores((), each).astype(np.uint8).tobytes()
                frames = len(some)
        found.append(
            {
                "shots": count,
                "classes": len(labels),
                "accuracy": float(np.mean(accuracies)),
                "sd": float(np.std(accuracies)),
                "draws": DRAWS,
                "frames_on_m4": frames,
                "same_as_numpy": same,
            }
        )
        print(found[-1], flush=True)
    return found


def _examples(test, clips, labels, count, random):
    """(label, clip) of examples, and the clips of other recordings, which are told."""
    given = []
    for label in labels:
        own = [k for k in clips if label in test.clips[k].labels]
        groups = list(dict.fromkeys(test.clips[k].group for k in own))
        chosen = [groups[k] for k in random.permutation(len(groups))[:count]]
        given += [(label, next(k for k in own if test.clips[k].group == group)) for group in chosen]
    used = {test.clips[k].group for _, k in given}
    return given, [k for k in clips if test.clips[k].group not in used]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument(
        "--data", help="labelled sound for head and memories; without it only learning is looked at"
    )
    parser.add_argument(
        "--test", required=True, help="labelled sound with no recording in common with --data"
    )
    parser.add_argument("--shots", default="1,5,10")
    parser.add_argument("--out", default=str(RESULTS))
    chosen = parser.parse_args()
    run = Run.open(chosen.run)
    student = run.load_student()
    patches = run.calibration()
    # Silence, where a run of before holds it, lies far from all sound and would take the steps from it.
    sounding = patches[np.ptp(patches, axis=(1, 2, 3)) > 0]
    float_model, int8 = convert_float(student), convert_int8(student, sounding)
    zero_point, ask = heard.zero_point(int8), heard.integers(int8, ["embedding"])
    test = datasets.load(chosen.test)
    frontend = run.frontend()
    told = run.results()
    answer = {
        "edgesea": __version__,
        "student": told["student"],
        "domain": told["data"],
        "test": test.name,
        "how": {
            "flash_bytes": "computed",
            "instructions": "emulated, Cortex-M4, QEMU",
            "accuracy": "measured",
        },
    }
    if chosen.data:
        manifest = datasets.load(chosen.data)
        known = set(manifest.labels)
        tested = hear(
            test, [k for k, each in enumerate(test.clips) if set(each.labels) & known], frontend, int8, ask
        )
        parts = heads.split(manifest)
        held = hear(manifest, sorted(parts["train"]), frontend, int8, ask)
        part, answer["rows"] = (
            "sizes",
            sizes(run, int8, float_model, chosen.data, manifest, test, parts, held, tested, zero_point),
        )
    else:
        tested = hear(test, range(len(test)), frontend, int8, ask)
        shots = [int(each) for each in chosen.shots.split(",")]
        part, answer["rows"] = "learning", learning(test, tested, zero_point, shots)
    out = Path(chosen.out)
    held = json.loads(out.read_text()) if out.exists() else {}
    out.write_text(json.dumps({**held, part: answer}, indent=2) + "\n")


if __name__ == "__main__":
    main()
