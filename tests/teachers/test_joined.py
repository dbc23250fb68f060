"""Teachers made of others, or of what others made: pairs, several, ready-made embeddings, one's own class."""

import csv
import sys
import textwrap

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from edgesea import datasets, embed, teachers
from edgesea.audio import BadAudio
from edgesea.errors import EdgeseaError, UsageError
from edgesea.pairing import Pairing, heard_at
from edgesea.recognise import recognise, whole
from edgesea.store import Store
from edgesea.teacher import TeacherOptions
from edgesea.teachers import own
from edgesea.teachers.own import typed

RATE = 8_000


def noise(n, samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (n, samples)).astype(np.float32)


class TestPair:
    def test_the_speech_embedding_pair(self, shared):
        """Against the two files, called one after the other as openWakeWord calls them."""
        from ai_edge_litert.interpreter import Interpreter

        folder = shared / "models" / "speech_embedding"
        teacher = teachers.load(str(folder))
        assert (teacher.dimension, teacher.sample_rate) == (96, 16_000)
        sound = noise(3, teacher.samples)
        expected = []
        for frame in sound:
            mel = Interpreter(str(folder / "melspectrogram.tflite"))
            mel.resize_tensor_input(0, [1, len(frame)])
            mel.allocate_tensors()
            mel.set_tensor(mel.get_input_details()[0]["index"], frame[None] * 32768)
            mel.invoke()
            patch = mel.get_tensor(mel.get_output_details()[0]["index"])[0, 0] / 10 + 2
            assert patch.shape == (76, 32)
            embedding = Interpreter(str(folder / "embedding_model.tflite"))
            embedding.allocate_tensors()
            embedding.set_tensor(embedding.get_input_details()[0]["index"], patch[None, :, :, None])
            embedding.invoke()
            expected.append(embedding.get_tensor(embedding.get_output_details()[0]["index"]).reshape(-1))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(teacher.embed(sound), expected, atol=1e-3 * scale)

    def test_the_same_two_by_name(self, shared):
        folder = shared / "models" / "speech_embedding"
        named = f"{folder / 'melspectrogram.tflite'}+{folder / 'embedding_model.tflite'}"
        assert recognise(named).kind == "pair"
        by_name, by_folder = teachers.load(named), teachers.load(str(folder))
        assert by_name.fingerprint == by_folder.fingerprint

    def test_files_that_do_not_belong_together(self, shared):
        models = shared / "models"
        mel = models / "speech_embedding" / "melspectrogram.tflite"
        with pytest.raises(UsageError, match=r"the second takes \[49, 10\]: they do not belong together\."):
            teachers.load(f"{mel}+{models / 'kws_ref_model.tflite'}")
        with pytest.raises(UsageError, match=r"there is no file none\.tflite; write it as MEL\.tflite\+EMB"):
            teachers.load(f"{mel}+none.tflite")


class TestSeveral:
    def test_embeddings_are_joined_as_they_are(self, shared):
        yamnet = str(shared / "models" / "yamnet.tflite")
        speech = str(shared / "models" / "speech_embedding")
        joined = teachers.load(f"{yamnet},{speech}")
        first, second = teachers.load(yamnet), teachers.load(speech)
        assert (joined.dimension, joined.samples) == (1024 + 96, 15_600)
        sound = noise(2, 15_600)
        heard = joined.embed(sound)
        np.testing.assert_array_equal(heard[:, :1024], first.embed(sound))
        np.testing.assert_array_equal(
            heard[:, 1024:], second.embed(heard_at(sound, 16_000, 16_000, second.samples))
        )
        assert len({joined.fingerprint, first.fingerprint, second.fingerprint}) == 3

    def test_paths_are_made_whole(self, tmp_path, monkeypatch):
        (tmp_path / "a.tflite").write_bytes(b"....TFL3")
        monkeypatch.chdir(tmp_path)
        assert whole("a.tflite,demo") == f"{tmp_path / 'a.tflite'},demo"
        assert whole("a.tflite, yamnet", tmp_path) == f"{tmp_path / 'a.tflite'},yamnet"
        assert whole("none.tflite") == "none.tflite"

    def test_what_cannot_hear_is_refused(self, tmp_path):
        path = ready(tmp_path / "e.npz", ["a.wav"] * 3, [0, 0.5, 1])
        with pytest.raises(
            UsageError, match=r"The teacher e gives embeddings that were made before: give it al"
        ):
            teachers.load(f"{path},demo")


def ready(path, names, starts, n=3, seconds=0.5):
    """A file of made-up embeddings, of the kind that its suffix says."""
    embedding = np.random.default_rng(1).normal(size=(len(names), n)).astype(np.float32)
    starts = np.array(starts, np.float64)
    if path.suffix == ".npz":
        np.savez(path, path=np.array(names), start=starts, embedding=embedding, seconds=seconds)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["path"], file["start"], file["embedding"], file["seconds"] = (
                names,
                starts,
                embedding,
                seconds,
            )
    elif path.suffix == ".parquet":
        column = pa.FixedSizeListArray.from_arrays(pa.array(embedding.reshape(-1)), n)
        pq.write_table(pa.table({"path": names, "start": starts, "embedding": column}), path)
    else:
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "start", *(f"embedding_{k}" for k in range(n))])
            writer.writerows(
                [name, start, *row.tolist()]
                for name, start, row in zip(names, starts, embedding, strict=True)
            )
    return path


class _Student:
    sample_rate, samples, patch_shape = RATE, RATE // 2, (2, 2, 1)

    def patch(self, waveforms):
        return waveforms[:, :4].reshape(-1, 2, 2, 1)


class TestReady:
    @pytest.mark.parametrize("suffix", [".npz", ".h5", ".parquet", ".csv"])
    def test_each_kind_of_file(self, tmp_path, suffix):
        names = ["b/x.wav"] * 2 + ["a.wav"] * 3
        path = ready(tmp_path / f"e{suffix}", names, [0.0, 0.25, 0.5, 0.0, 0.25])
        teacher = teachers.load(str(path), TeacherOptions(seconds=0.5))
        assert (teacher.dimension, teacher.hop, teacher.waveforms) == (3, 0.25, False)
        assert teacher.samples / teacher.sample_rate == 0.5
        expected = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
        heard = teacher.recall(tmp_path / "a.wav", np.array([0.5, 0.0, 0.2501, 0.4]))["embedding"]
        np.testing.assert_allclose(heard[:3], expected[[2, 3, 4]], rtol=1e-6)
        assert np.isnan(heard[3]).all()
        np.testing.assert_allclose(
            teacher.recall(tmp_path / "b" / "x.wav", np.zeros(1))["embedding"][0], expected[0]
        )
        with pytest.raises(BadAudio, match="no embeddings of it"):
            teacher.recall(tmp_path / "x.wav", np.zeros(1))
        with pytest.raises(UsageError, match="made before and cannot hear"):
            teacher.hear(np.zeros((1, 4_000), np.float32))

    def test_a_domain_is_cut_as_they_were(self, tmp_path):
        for k in range(3):
            (tmp_path / "d").mkdir(exist_ok=True)
            soundfile.write(tmp_path / "d" / f"{k}.wav", noise(1, 2 * RATE, k)[0], RATE)
        # Of the third there is nothing.
        names = [f"{k}.wav" for k in (0, 1) for _ in range(7)]
        path = ready(tmp_path / "e.npz", names, [0.25 * k for _ in (0, 1) for k in range(7)])
        teacher = teachers.load(str(path))
        pairing = Pairing(teacher, _Student())
        store = Store(tmp_path / "s", {})
        embed.embed(datasets.load(tmp_path / "d"), pairing, store, teacher.hop, patches=True)
        assert len(store) == 14
        assert embed.skipped(store) == [("2.wav", "e.npz has no embeddings of it")]
        expected = np.random.default_rng(1).normal(size=(14, 3)).astype(np.float32)
        np.testing.assert_allclose(store.column("embedding"), expected, rtol=1e-6)

    def test_a_store_is_one_too(self, tmp_path):
        rows = {
            "path": np.array(["a.wav"] * 2),
            "start": np.array([0.0, 0.5]),
            "embedding": np.eye(2, dtype="f"),
        }
        Store(tmp_path / "s", {}).write(0, rows)
        teacher = teachers.load(str(tmp_path / "s"), TeacherOptions(seconds=1.0))
        heard = teacher.recall(tmp_path / "a.wav", np.array([0.5]))["embedding"]
        assert heard.tolist() == [[0.0, 1.0]]

    @pytest.mark.parametrize(
        ("columns", "options", "reason"),
        [
            ({"start": [0.0], "embedding": [[1.0]]}, {}, r"lack the column `path`"),
            (
                {"path": ["a"], "start": [0.0, 1.0], "embedding": [[1.0]]},
                {},
                r"have 1 paths, \(2,\) starts and",
            ),
            (
                {"path": ["a"], "start": [np.nan], "embedding": [[1.0]]},
                {},
                r"a start or values that are no numbers",
            ),
            (
                {"path": ["a"], "start": [0.0], "embedding": [[1.0]]},
                {},
                r"how long a frame is: give --teacher-sec",
            ),
        ],
    )
    def test_other_files_are_refused(self, tmp_path, columns, options, reason):
        np.savez(tmp_path / "e.npz", **columns)
        with pytest.raises(UsageError, match=reason):
            teachers.load(str(tmp_path / "e.npz"), TeacherOptions(**options))

    def test_nothing_is_unpickled(self, tmp_path):
        np.savez(tmp_path / "e.npz", path=np.array([{"a": 1}], object), start=[0.0], embedding=[[1.0]])
        with pytest.raises(EdgeseaError, match=r"Cannot read the embeddings .*: write them again\."):
            teachers.load(str(tmp_path / "e.npz"))


OWN = """
    import numpy as np
    from edgesea.teacher import Teacher

    class Loud(Teacher):
        sample_rate, samples, outputs = 8000, 4000, {"embedding": (2,)}

        def hear(self, waveforms, wanted=("embedding",)):
            return {"embedding": np.stack([waveforms.std(1), waveforms.max(1)], 1)}

    class Unfinished(Teacher):
        pass

    class Wrong(Loud):
        outputs = {"embedding": (2, 3)}

    class Failing(Loud):
        def __init__(self):
            raise RuntimeError("no microphone")
"""


class TestOwn:
    @pytest.fixture(autouse=True)
    def module(self, tmp_path, monkeypatch):
        (tmp_path / "my_teachers.py").write_text(textwrap.dedent(OWN))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(own, "_typed", set())
        yield
        sys.modules.pop("my_teachers", None)

    def test_a_class_that_was_typed(self):
        typed("my_teachers:Loud")
        teacher = teachers.load("my_teachers:Loud")
        assert (teacher.name, teacher.dimension) == ("my_teachers:Loud", 2)
        assert teacher.embed(noise(3, 4_000)).shape == (3, 2)
        assert len(teacher.fingerprint) == 64

    def test_a_class_that_a_file_names_does_not_run(self, monkeypatch):
        with pytest.raises(
            UsageError, match=r"code that was not named in this call: set EDGESEA_TEACHERS=my_teac"
        ):
            teachers.load("my_teachers:Loud")
        assert "my_teachers" not in sys.modules
        monkeypatch.setenv("EDGESEA_TEACHERS", "other:One,my_teachers:Loud")
        assert teachers.load("my_teachers:Loud").dimension == 2

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("my_teachers:None_", r"cannot be imported \(AttributeError"),
            ("no_such_module:Loud", r"cannot be imported \(ModuleNotFoundError"),
            ("my_teachers:np", r"is no class"),
            ("my_teachers:Unfinished", r"is no class"),
            ("my_teachers:Wrong", r"no output 'embedding' of shape \(n,\)"),
            ("my_teachers:Failing", r"cannot be made \(RuntimeError: no microphone\)"),
        ],
    )
    def test_what_is_no_teacher_is_refused(self, name, reason):
        typed(name)
        with pytest.raises(UsageError, match=reason):
            teachers.load(name)
