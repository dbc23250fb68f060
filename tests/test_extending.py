"""A new thing is one file and one entry: one of each kind from a folder of a user's own, all of them used.

The folder is what `pip install` leaves of a package: modules, and their entry points.
"""

import shutil
import textwrap

import pytest

import edgesea
from edgesea import teachers
from edgesea.datasets import ADAPTERS
from edgesea.devices import DEVICES
from edgesea.errors import UsageError
from edgesea.objectives import OBJECTIVES
from edgesea.reduction import REDUCERS
from edgesea.sampling import SAMPLERS
from edgesea.students import STUDENTS
from edgesea.teachers import TEACHERS
from firmware_export import boards

# kind -> (the registry, name, what the entry point names, the one file)
NEW = {
    "teacher": (
        TEACHERS,
        "bands",
        "new_teacher",
        '''
        """Power in eight bands of half a second."""
        import hashlib
        import numpy as np
        from edgesea.teacher import Teacher

        class Bands(Teacher):
            name, sample_rate, samples = "bands", 16_000, 8_000
            outputs = {"embedding": (8,)}
            fingerprint = hashlib.sha256(b"bands").hexdigest()

            def hear(self, waveforms, wanted=("embedding",)):
                power = np.abs(np.fft.rfft(waveforms, axis=1))[:, :4000] ** 2
                bands = power.reshape(len(waveforms), 8, 500).mean(axis=2)
                return {"embedding": np.log10(bands + 1e-6).astype(np.float32)}

        def recognises(found):
            return found.name.endswith(".bands")

        def load(path, options):
            return Bands()
        ''',
    ),
    "dataset": (
        ADAPTERS,
        "listed",
        "new_dataset",
        '''
        """A folder with names of files in list.txt."""
        from edgesea.datasets.manifest import Clip, Manifest

        def recognises(path):
            return (path / "list.txt").is_file()

        def load(path):
            names = (path / "list.txt").read_text().split()
            return Manifest(path, tuple(Clip(path / name) for name in names), "listed")
        ''',
    ),
    "sampler": (
        SAMPLERS,
        "first",
        "new_sampler:First",
        """
        from edgesea.sampling.base import Sampler

        class First(Sampler):
            name = "first"

            def choose(self, candidates, day, n, rng):
                return day[:n]
        """,
    ),
    "reducer": (
        REDUCERS,
        "leading",
        "new_reducer:Leading",
        """
        from edgesea.reduction import Reducer

        class Leading(Reducer):
            name = "leading"

            def _fit(self, batches):
                pass

            def _map(self, embeddings):
                return embeddings[:, : self.dimension]

            def _arrays(self):
                return {}

            def _restore(self, arrays):
                pass
        """,
    ),
    "student": (
        STUDENTS,
        "tiny",
        "new_student:Tiny",
        """
        from dataclasses import dataclass
        from edgesea.students.base import Student

        @dataclass(frozen=True)
        class Tiny(Student):
            units: int = 8
            frontend = "sea-8k"

            def build(self, frames, mels, dimension, name="student"):
                import keras
                from keras import layers

                patch = keras.Input((frames, mels, 1))
                x = layers.Conv2D(self.units, 3, 4, activation="relu")(patch)
                x = layers.GlobalAveragePooling2D()(x)
                return keras.Model(patch, layers.Dense(dimension)(x), name=name)
        """,
    ),
    "objective": (
        OBJECTIVES,
        "absolute",
        "new_objective:Absolute",
        """
        from edgesea.objectives.base import Objective

        class Absolute(Objective):
            name = "absolute"
            needs = frozenset({"patch", "target"})

            def losses(self, batch):
                import tensorflow as tf

                embedding = self.student(tf.cast(batch["patch"], tf.float32), training=True)
                return {"loss": tf.reduce_mean(tf.abs(batch["target"] - embedding))}
        """,
    ),
    "device": (
        DEVICES,
        "abacus",
        "new_device",
        '''
        """Counts beads, of the colour that follows the colon."""
        from firmware_export.graph import read

        TARGET = "COLOUR"

        def measure(model, target, *, beads=7):
            graph = read(model)
            return {
                "device": f"abacus:{target}",
                "engine": "a patient person",
                "model": {"name": model.name, "sha256": graph.sha256},
                "storage": {"model_bytes": graph.size},
                "conditions": {"beads": beads},
                "how": {"storage": "counted"},
            }
        ''',
    ),
}
GROUPS = {kind: f"edgesea.{kind}s" for kind in NEW}

BOARD = """
title = "A board of a user's own"
core = "cortex-m4"
clock_hz = 64_000_000
flash_bytes = 1_048_576
ram_bytes = 262_144
standing = "untested"

[toolchain]
prefix = "arm-none-eabi-"
flags = ["-mcpu=cortex-m4", "-mthumb"]
link_flags = []
package = "gcc-arm-none-eabi"
"""


def install(folder, monkeypatch, entries: dict[str, list[str]]) -> None:
    """Makes of a folder with modules what an installed package is."""
    about = folder / "things-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: things\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "\n".join(f"[{group}]\n" + "\n".join(lines) for group, lines in entries.items())
    )
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    for kind, (_, _, _, text) in NEW.items():
        (folder / f"new_{kind}.py").write_text(textwrap.dedent(text))
    entries = {GROUPS[kind]: [f"{name} = {value}"] for kind, (_, name, value, _) in NEW.items()}
    install(folder, monkeypatch, entries)
    shutil.copytree(boards.FOLDER, tmp_path / "boards")
    (tmp_path / "boards" / "mine.toml").write_text(BOARD)
    monkeypatch.setattr(boards, "FOLDER", tmp_path / "boards")


@pytest.mark.parametrize("kind", NEW)
def test_its_entry_is_found_by_the_group_of_its_kind(installed, kind):
    registry, name, *_ = NEW[kind]
    assert registry.group == GROUPS[kind]
    assert name in list(registry)
    assert registry.get(name).__name__.split(".")[-1] in (f"new_{kind}", name.title())


def test_all_of_them_work_together(installed, street, tmp_path, deterministic):
    sound = tmp_path / "sound"
    sound.mkdir()
    files = sorted((street / "audio").iterdir())
    for file in files:
        shutil.copy(file, sound)
    (sound / "list.txt").write_text("\n".join(file.name for file in files))
    (tmp_path / "model.bands").write_text("anything")

    run = edgesea.distill(
        teacher=tmp_path / "model.bands",
        data=sound,
        out=tmp_path / "run",
        student="tiny:units=4",
        sampler="first",
        reducer="leading",
        objective="absolute",
        dim=4,
        frames=64,
        batch=16,
        epochs=1,
        augmentation=False,
    )
    found = run.results()
    assert (found["teacher"]["name"], found["data"]["name"]) == ("bands", "listed")
    assert (found["student"], found["reducer"]["name"]) == ("tiny:units=4", "leading")
    assert (run.config.sampler.name, run.config.objective.name) == ("first", "absolute")
    assert run.embed(files[0]).shape[1] == 4

    bundle = edgesea.export(run, tmp_path / "bundle", onnx=False, allow_failed=True)
    measurement = edgesea.bench(bundle, "abacus:red", beads=9)
    assert (measurement.device, measurement.conditions) == ("abacus:red", {"beads": 9})
    assert bundle.measurements == (measurement,)
    with pytest.raises(UsageError, match=r"^The device 'abacus' is written abacus:COLOUR\.$"):
        edgesea.bench(bundle, "abacus")
    assert [each["fits"] for each in edgesea.fit(bundle).boards if each["board"] == "mine"] == ["yes"]


@pytest.mark.parametrize("kind", ["teacher", "dataset"])
def test_a_package_that_is_broken_is_named_where_nothing_else_knows_what_was_given(
    tmp_path, monkeypatch, street, kind
):
    install(tmp_path / "site", monkeypatch, {GROUPS[kind]: ["rusty = there_is_no_such_module"]})
    sentence = r" rusty of the package things cannot be loaded \(ModuleNotFoundError: .*\): see to"
    (tmp_path / "odd.model").write_bytes(b"odd" * 100)
    if kind == "teacher":
        assert teachers.load("demo").dimension > 0
        with pytest.raises(UsageError, match=sentence):
            teachers.load(str(tmp_path / "odd.model"))
    else:
        from edgesea import datasets

        assert len(datasets.load(street)) == 32
        with pytest.raises(UsageError, match=sentence):
            datasets.load(tmp_path / "odd.model")
