"""The synthesised street: reproducible, whole, and neither trivial nor hopeless to learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edgesea import audio, datasets
from edgesea.datasets import street, table
from edgesea.errors import UsageError
from edgesea.frontend import PRESETS


def test_writes_a_dataset(tmp_path):
    out = tmp_path / "street"
    manifest = street.synthesise(out, 20, 3, seconds=1.0, takes=2, sensors=1, days=2)
    assert manifest.clips == datasets.load(out).clips == datasets.load(out / table.NAME).clips
    assert manifest.name == "street"
    assert len(manifest) == 20
    assert manifest.labels == tuple(sorted(street.CLASSES))
    assert len({clip.group for clip in manifest.clips}) == 10
    assert {clip.sensor for clip in manifest.clips} == {"sensor-0"}
    for index, clip in enumerate(manifest.clips):
        sound = audio.read(clip.path, 16_000)
        # 16 bit in the file
        np.testing.assert_allclose(
            sound, street.waveform(3, *divmod(index, 2), seconds=1.0, sensors=1), atol=2**-15
        )
        assert clip.level_db == pytest.approx(audio.level_db(sound) + 100, abs=0.1)
        assert clip.labels == (street.CLASSES[index // 2 % 8],)
        assert clip.timestamp.day in (1, 2, 3)
    assert len({clip.timestamp for clip in manifest.clips}) == 20


def test_is_the_same_every_time(tmp_path):
    first = street.synthesise(tmp_path / "a", 8, 5, seconds=0.5, takes=1)
    second = street.synthesise(tmp_path / "b", 8, 5, seconds=0.5, takes=1)
    other = street.synthesise(tmp_path / "c", 8, 6, seconds=0.5, takes=1)
    assert first.fingerprint == second.fingerprint != other.fingerprint
    for one, two in zip(first.clips, second.clips, strict=True):
        assert one.path.read_bytes() == two.path.read_bytes()


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("seconds", [0.5, 2.3])
def test_every_source_at_every_rate(sample_rate, seconds):
    seen = set()
    for recording in range(24):
        sound = street.waveform(11, recording, 0, seconds=seconds, sample_rate=sample_rate)
        assert sound.shape == (round(seconds * sample_rate),)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= 1
        assert -60 < audio.level_db(sound) < -11
        seen.add(sound.tobytes())
    assert len(seen) == 24


def test_takes_differ_and_share_their_source():
    """Two takes of a recording are more alike than two recordings of its class, in their spectrum."""

    def spectrum(recording, take):
        power = np.abs(np.fft.rfft(street.waveform(2, recording, take, seconds=2.0))) ** 2
        bands = np.log10(power[:16_000].reshape(100, -1).sum(axis=1))
        return bands - bands.mean()

    same, different = [], []
    for recording in range(32):
        first = spectrum(recording, 0)
        same.append(np.abs(first - spectrum(recording, 1)).mean())
        different.append(np.abs(first - spectrum(recording + 32, 0)).mean())
    assert min(same) > 0
    assert np.mean(same) < 0.8 * np.mean(different)


@pytest.mark.slow
def test_classes_can_be_learnt_but_overlap():
    """Means and spreads of log-mels, a linear classifier: far above chance, far from perfect."""
    frontend = PRESETS["yamnet-16k"]

    def features(seed, recordings):
        rows = []
        for recording in range(recordings):
            frames = audio.frame(street.waveform(seed, recording, 0), frontend.samples, frontend.samples)
            patch = frontend.patch(frames)[..., 0].reshape(-1, frontend.mels)
            change = np.abs(np.diff(patch, axis=0)).mean(axis=0)
            rows.append(np.concatenate([patch.mean(axis=0), patch.std(axis=0), change]))
        return np.array(rows), np.arange(recordings) % 8

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    classifier.fit(*features(1, 400))
    score = classifier.score(*features(2, 160))
    assert 0.5 < score < 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clips": 0}, "Received 0 clips, 4 takes, 4 sensors and 3 days: each must be at least 1."),
        ({"takes": 0}, "Received 8 clips, 0 takes, 4 sensors and 3 days: each must be at least 1."),
        ({"seconds": 0.1}, "Received clips of 0.1 s at 16000 Hz: give 0.5 to 60 s and 8000 to 96000 Hz."),
        ({"sample_rate": 4000}, "Received clips of 4.0 s at 4000 Hz: give 0.5 to 60 s and 8000 to 96000 Hz."),
    ],
)
def test_refuses_what_cannot_be(tmp_path, options, message):
    with pytest.raises(UsageError) as caught:
        street.synthesise(tmp_path / "out", **{"clips": 8, "seed": 0, **options})
    assert str(caught.value) == message
    assert not (tmp_path / "out").exists()
