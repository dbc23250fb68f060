"""What other programs read of a store, and what stores share."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import soundfile

from edgesea import datasets, embed, tables, teachers
from edgesea.errors import UsageError
from edgesea.pairing import Pairing
from edgesea.store import Store, address
from edgesea.teacher import Teacher, TeacherOptions

RATE = 8_000


class Counting(Teacher):
    """Half a second at 8 kHz -> its standard deviation, peak, and a number that no half precision holds."""

    name, fingerprint, outputs = "counting", "1", {"embedding": (3,)}
    sample_rate, samples = RATE, RATE // 2
    asked = 0

    def hear(self, waveforms, wanted=("embedding",)):
        self.asked += len(waveforms)
        large = np.full(len(waveforms), 1e6)
        values = np.stack([waveforms.std(axis=1), waveforms.max(axis=1), large], axis=1)
        return {"embedding": values.astype(np.float32)}


class _Student:
    sample_rate, samples, patch_shape = RATE, RATE // 2, (2, 2, 1)

    def patch(self, waveforms):
        return waveforms[:, :4].reshape(-1, 2, 2, 1)


@pytest.fixture
def sound(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("b/rain, heavy.wav", "a.wav", "ü.wav"):
        path = tmp_path / "sound" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, 3 * RATE).astype(np.float32), RATE, subtype="FLOAT")
    return datasets.load(tmp_path / "sound")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(embed, "PIECE_SECONDS", 2.0)


def filled(folder, manifest, teacher=None, shared=None, made_from=None, **options):
    store = Store(folder, made_from or {"teacher": "counting"}, shared)
    embed.embed(manifest, Pairing(teacher or Counting(), _Student()), store, 0.25, patches=False, **options)
    return store


def test_rows_say_which_file_they_are_of(tmp_path, sound):
    store = filled(tmp_path / "s", sound)
    by_clip = [sound.relative(clip.path) for clip in sound.clips]
    assert store.column("path").tolist() == [by_clip[k] for k in store.column("clip")]
    assert set(store.column("path")) == {"b/rain, heavy.wav", "a.wav", "ü.wav"}


def _rows(form, path):
    if form == "npz":
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in tables.COLUMNS}
    table = pq.read_table(path) if form == "parquet" else pa.csv.read_csv(path)
    rows = {name: table.column(name).to_numpy() for name in tables.COLUMNS[:3]}
    if form == "parquet":
        values = table.column("embedding").combine_chunks()
        rows["embedding"] = values.flatten().to_numpy().reshape(len(values), -1)
    else:
        rows["embedding"] = np.stack([table.column(f"embedding_{k}").to_numpy() for k in range(3)], axis=1)
    return rows


@pytest.mark.parametrize("form", ["parquet", "npz", "csv"])
@pytest.mark.parametrize("half", [False, True])
def test_each_format_holds_all_rows_and_can_teach(tmp_path, sound, form, half):
    store = filled(tmp_path / "s", sound, half=half)
    assert len(store.shards) > 1
    path = tables.write(store, form, 0.5)
    assert path.name == f"embeddings.{form}"
    rows = _rows(form, path)
    assert rows["path"].tolist() == store.column("path").tolist()
    for name in ("start", "level_db", "embedding"):
        np.testing.assert_allclose(rows[name].astype(float), store.column(name).astype(float), rtol=1e-6)
    again = teachers.load(str(path), TeacherOptions(seconds=0.5))
    clip = sound.clips[0]
    heard = again.recall(clip.path, np.array([0.25]))["embedding"]
    row = (store.column("path") == sound.relative(clip.path)) & (store.column("start") == 0.25)
    np.testing.assert_allclose(heard, store.column("embedding")[row].astype(np.float32), rtol=1e-6)


def test_half_precision_keeps_what_it_can(tmp_path, sound):
    whole, half = filled(tmp_path / "w", sound), filled(tmp_path / "h", sound, half=True)
    values = half.column("embedding")
    assert values.dtype == np.float16
    np.testing.assert_allclose(values[:, :2], whole.column("embedding")[:, :2], rtol=1e-3)
    assert (values[:, 2] == np.finfo(np.float16).max).all()
    sizes = [sum(path.stat().st_size for path in s.folder.glob("*.arrow")) for s in (half, whole)]
    assert sizes[0] < sizes[1]


def test_another_format_is_refused_before_the_work(tmp_path):
    with pytest.raises(UsageError, match=r"Received --format xml: choose one of arrow, parquet, npz, csv\."):
        tables.check("xml")


def test_a_second_store_does_not_ask_the_teacher_again(tmp_path, sound):
    first, second = Counting(), Counting()
    one = filled(tmp_path / "a", sound, first, tmp_path / "shared")
    two = filled(tmp_path / "b", sound, second, tmp_path / "shared")
    assert first.asked == len(one) == len(two)
    assert second.asked == 0
    for path in sorted(one.folder.glob("*.arrow")):
        assert (two.folder / path.name).read_bytes() == path.read_bytes()
    # Its own folder is whole: the shared one may go.
    assert [path.name for path in (tmp_path / "shared").iterdir()] == [address({"teacher": "counting"})]
    other = Counting()
    filled(tmp_path / "c", sound, other, tmp_path / "shared", {"teacher": "another"})
    assert other.asked == len(one)


def test_another_disk_gets_a_copy(tmp_path, sound, monkeypatch):
    def no_links(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("edgesea.store.os.link", no_links)
    filled(tmp_path / "a", sound, None, tmp_path / "shared")
    second = Counting()
    assert len(filled(tmp_path / "b", sound, second, tmp_path / "shared"))
    assert second.asked == 0


@pytest.mark.parametrize("lost", [[0], [1], [0, 2], [1, 2]])
def test_any_shard_that_is_lost_is_made_again(tmp_path, sound, lost):
    store = filled(tmp_path / "s", sound)
    before = {path.name: path.read_bytes() for path in sorted(store.folder.glob("*.arrow"))}
    assert len(before) > 3
    for number in lost:
        (store.folder / f"shard-{number:06d}.arrow").unlink()
    again = Counting()
    filled(tmp_path / "s", sound, again)
    assert {path.name: path.read_bytes() for path in sorted(store.folder.glob("*.arrow"))} == before
    assert 0 < again.asked < len(store)
