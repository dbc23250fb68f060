"""Reading, resampling and framing: real files in every format, and every way for a file to be bad."""

import csv
import os
import tracemalloc
import warnings

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesea import audio
from edgesea.audio import BadAudio
from edgesea.errors import EdgeseaError, UsageError

RATE = 16_000


def tone(seconds=1.0, rate=RATE, hz=440.0, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def chirp(seconds, rate):
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (100 * t + 200 * t * t))).astype(np.float32)


def write(path, sound, rate=RATE, **options):
    soundfile.write(path, sound, rate, **options)
    return path


# What is used


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.wav", "PCM_U8", 2**-7),
        ("a.wav", "ULAW", 0.02),
        ("a.flac", "PCM_16", 2**-15),
        ("a.flac", "PCM_24", 2**-23),
        ("a.aiff", "PCM_16", 2**-15),
        ("a.ogg", "VORBIS", 0.03),
        ("a.ogg", "OPUS", 0.05),
        ("a.mp3", "MPEG_LAYER_III", 0.03),
    ],
)
def test_reads_every_format(tmp_path, name, subtype, tolerance):
    sound = tone()
    got = audio.read(write(tmp_path / name, sound, subtype=subtype), RATE)
    assert got.dtype == np.float32
    assert got.shape == sound.shape
    # Lossy coders smear the sudden beginning and end of the tone.
    inside = slice(1000, -1000) if tolerance > 0.01 else slice(None)
    assert np.abs(got - sound)[inside].max() <= tolerance * 1.01


def test_averages_channels(tmp_path):
    channels = np.stack([tone(hz=200 * k, amplitude=0.3) for k in (1, 2, 3, 4, 5, 6)], axis=1)
    got = audio.read(write(tmp_path / "six.wav", channels, subtype="FLOAT"), RATE)
    np.testing.assert_allclose(got, channels.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 16_001, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_resamples_odd_rates(tmp_path, rate):
    got = audio.read(write(tmp_path / "a.wav", tone(1.0, rate, hz=300), rate, subtype="FLOAT"), RATE)
    assert abs(len(got) - RATE) <= RATE / rate + 1
    inside = slice(RATE // 4, RATE * 3 // 4)
    np.testing.assert_allclose(got[inside], tone(1.0, RATE, hz=300)[: len(got)][inside], atol=2e-3)


def test_agrees_with_librosa(shared):
    # librosa decodes and resamples whole files; here both go block by block.
    for path in sorted((shared / "data" / "esc50-fold4" / "audio").iterdir())[:5]:
        expected, _ = librosa.load(path, sr=RATE, res_type="soxr_hq")
        np.testing.assert_allclose(audio.read(path, RATE), np.clip(expected, -1, 1), atol=1e-6)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_blocks_join_without_a_splice(tmp_path, name):
    noise = 0.2 * np.random.default_rng(3).standard_normal(3 * 44_100)
    path = write(tmp_path / name, chirp(3, 44_100) + noise, 44_100)
    at_once, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(audio.read(path, 44_100), np.clip(at_once, -1, 1), atol=1e-6)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_stretch_is_the_same_as_that_part_of_the_whole(tmp_path, name):
    path = write(tmp_path / name, chirp(3, 22_050), 22_050)
    whole = audio.read(path, 22_050)
    for start, end in ((0.0, 0.5), (0.7, 1.3), (2.5, None), (2.5, 99.0)):
        got = audio.read(path, 22_050, start=start, end=end)
        first = round(start * 22_050)
        last = len(whole) if end is None else round(end * 22_050)
        np.testing.assert_array_equal(got, whole[first:last])


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_truncated_file_is_used_as_far_as_it_goes(tmp_path, name):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 5 * RATE).astype(np.float32)
    path = write(tmp_path / name, noise)
    whole = audio.read(path, RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    got = audio.read(path, RATE)
    assert 0.25 * len(whole) < len(got) < 0.6 * len(whole)
    np.testing.assert_allclose(got[:RATE], whole[:RATE], atol=1e-4)
    # A stretch of what is left is found too, and one behind it is named as missing.
    assert len(audio.read(path, RATE, start=1.0, end=1.5)) == RATE // 2
    with pytest.raises(BadAudio, match=r"nothing to decode at 4\.5 s"):
        audio.read(path, RATE, start=4.5)


def test_clips_what_exceeds_full_scale(tmp_path):
    got = audio.read(write(tmp_path / "a.wav", tone(amplitude=2.0), subtype="FLOAT"), RATE)
    assert got.max() == 1.0
    assert got.min() == -1.0


def test_reads_a_name_that_is_no_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    os.replace(write(tmp_path / "a.wav", tone()), path)
    assert len(audio.read(os.fsdecode(path), RATE)) == RATE


def test_silence_may_be_asked_for(tmp_path):
    sound = np.concatenate([np.zeros(RATE), tone()])
    path = write(tmp_path / "a.wav", sound)
    np.testing.assert_array_equal(audio.read(path, RATE, end=1.0, silent_ok=True), np.zeros(RATE))
    assert len(audio.read(path, RATE)) == 2 * RATE


# What is not


def _bad_files(folder):
    rng = np.random.default_rng(1)
    broken = tone()
    broken[5000] = np.nan
    endless = tone()
    endless[5000] = np.inf
    (folder / "folder.wav").mkdir()
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is no sound")
    (folder / "noise.mp3").write_bytes(rng.bytes(5000))
    (folder / "headerless.raw").write_bytes(rng.bytes(5000))
    write(folder / "no-samples.wav", np.zeros(0, np.float32))
    write(folder / "header.flac", tone())
    (folder / "header.flac").write_bytes((folder / "header.flac").read_bytes()[:300])
    write(folder / "silent.wav", np.zeros(RATE, np.float32))
    write(folder / "offset.wav", np.full(RATE, -(2**-7), np.float32), subtype="PCM_U8")
    write(folder / "nan.wav", broken, subtype="FLOAT")
    write(folder / "inf.wav", np.stack([endless, -endless], axis=1), subtype="FLOAT")
    write(folder / "integers.wav", 30_000 * tone(), subtype="FLOAT")
    write(folder / "slow.wav", tone(), 7)
    return {
        "missing.wav": "missing",
        "folder.wav": "not a file",
        "empty.wav": "empty",
        "text.wav": "not audio that libsndfile can decode",
        "noise.mp3": "not audio that libsndfile can decode",
        "headerless.raw": "not audio that libsndfile can decode",
        "no-samples.wav": "empty",
        "header.flac": "empty",
        "silent.wav": "silent",
        "offset.wav": "silent",
        "nan.wav": "holds NaN or infinity",
        "inf.wav": "holds NaN or infinity",
        "integers.wav": "a peak of 1.5e+04, where full scale is 1",
        "slow.wav": "a sample rate of 7 Hz",
    }


def test_says_why_a_file_is_bad(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # adding infinities must not warn either
        for name, reason in _bad_files(tmp_path).items():
            with pytest.raises(BadAudio) as caught:
                audio.read(tmp_path / name, RATE)
            assert (name, caught.value.reason) == (name, reason)
            assert str(caught.value) == f"Cannot use the audio file {tmp_path / name}: {reason}."
            assert isinstance(caught.value, EdgeseaError)


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(BadAudio, match="not a file"):
        audio.read(tmp_path / "pipe.wav", RATE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file(tmp_path):
    path = write(tmp_path / "a.wav", tone())
    path.chmod(0)
    with pytest.raises(BadAudio, match="permission denied"):
        audio.read(path, RATE)


def test_less_than_one_sample_at_the_new_rate(tmp_path):
    path = write(tmp_path / "a.wav", np.array([0.1, -0.1], np.float32), 192_000)
    with pytest.raises(BadAudio, match="shorter than one sample at 1000 Hz"):
        audio.read(path, 1_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sample_rate": 0},
            "Received an invalid sample rate, 0: give a whole number of Hz from 1000 to 1536000.",
        ),
        ({"sample_rate": 16e3}, "Received an invalid sample rate, 16000.0: give a whole number"),
        ({"start": -1.0}, "invalid start for {path}, -1.0: give seconds, at least 0."),
        ({"end": float("nan")}, "invalid end for {path}, nan: give seconds, at least 0."),
        ({"start": 2.0, "end": 2.0}, "Received an empty stretch of {path}, start 2.0 s and end 2.0 s"),
        ({"end": 0.0}, "Received an empty stretch of {path}, start 0.0 s and end 0.0 s"),
    ],
)
def test_refuses_an_impossible_call(tmp_path, options, message):
    path = write(tmp_path / "a.wav", tone())
    with pytest.raises(UsageError) as caught:
        audio.read(path, **{"sample_rate": RATE, **options})
    assert message.format(path=path) in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["a.wav", "a.flac", "a.ogg", "a.mp3"]), st.data())
def test_a_damaged_file_is_read_or_refused_but_never_fails_otherwise(tmp_path, name, data):
    intact = tmp_path / name
    if not intact.exists():
        write(intact, tone(0.3))
    content = bytearray(intact.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        # The header is where the lies are.
        at = data.draw(st.integers(0, min(len(content) - 1, data.draw(st.sampled_from([50, 10_000])))))
        content[at] = data.draw(st.integers(0, 255))
    damaged = tmp_path / f"damaged{intact.suffix}"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        got = audio.read(damaged, RATE)
    except BadAudio:
        return
    assert len(got) > 0
    assert np.abs(got).max() <= 1.0


# Framing


def reference_frames(sound, samples, hop, pad):
    """The definition, one frame after the other."""
    frames, begin, covered = [], 0, 0
    while begin + samples <= len(sound):
        frames.append(sound[begin : begin + samples])
        covered = begin + samples
        begin += hop
    left = sound[begin:]
    uncovered = len(sound) > covered
    if pad and uncovered and (2 * len(left) >= samples or not frames):
        frames.append(np.pad(left, (0, samples - len(left))))
    return np.array(frames, np.float32).reshape(-1, samples)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 300), st.integers(1, 80), st.integers(1, 120), st.booleans())
def test_frames_are_those_of_the_definition(length, samples, hop, pad):
    sound = np.arange(1, length + 1, dtype=np.float32)
    np.testing.assert_array_equal(
        audio.frame(sound, samples, hop, pad), reference_frames(sound, samples, hop, pad)
    )


@pytest.mark.parametrize(("length", "count"), [(1, 1), (10, 1), (14, 1), (15, 2), (19, 2), (20, 2), (25, 3)])
def test_a_last_frame_needs_to_be_half_full(length, count):
    frames = audio.frame(np.ones(length, np.float32), 10, 10)
    assert frames.shape == (count, 10)
    assert frames.sum() == (length if length != 14 else 10)


def test_framing_nothing_gives_nothing():
    assert audio.frame(np.zeros(0, np.float32), 10, 5).shape == (0, 10)
    assert audio.frame(np.ones(9, np.float32), 10, 5, pad=False).shape == (0, 10)


@pytest.mark.parametrize(("samples", "hop"), [(0, 1), (1, 0), (-5, 5)])
def test_refuses_empty_frames(samples, hop):
    message = f"Received frames of {samples} samples every {hop} samples: both must be at least 1."
    with pytest.raises(UsageError, match=message):
        audio.frame(np.ones(5, np.float32), samples, hop)


def _peak_memory(path, start):
    tracemalloc.start()
    try:
        assert len(audio.read(path, RATE, start=start, end=start + 30)) == 30 * RATE
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_stretch_takes_no_more_memory_of_a_longer_file(tmp_path):
    minute = chirp(60, 44_100)
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    write(short, minute, 44_100)
    with soundfile.SoundFile(long, "w", 44_100, 1, "PCM_16") as file:
        for _ in range(30):
            file.write(minute)
    little, much = _peak_memory(short, 15), _peak_memory(long, 1_500)
    assert much < little * 1.2 + 100_000
    assert much < 12e6  # the half hour itself is 115 MB


# Levels and the list of files set aside


def test_levels():
    assert audio.level_db(tone(amplitude=1.0)) == pytest.approx(-3.0103, abs=1e-3)
    assert audio.level_db(np.full(10, -0.1, np.float32)) == pytest.approx(-20, abs=1e-5)
    assert audio.level_db(np.zeros(10, np.float32)) == audio.SILENCE_DB
    assert audio.level_db(np.zeros(0, np.float32)) == audio.SILENCE_DB


def test_lists_what_was_set_aside(tmp_path):
    odd = os.fsdecode(b"caf\xe9.wav")
    audio.write_skipped(tmp_path / "skipped.csv", [("a, b.wav", "silent"), (odd, "empty")])
    with open(tmp_path / "skipped.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["path", "reason"], ["a, b.wav", "silent"], ["caf\\udce9.wav", "empty"]]
    assert [path.name for path in tmp_path.iterdir()] == ["skipped.csv"]


def test_bad_audio_without_a_path():
    assert str(BadAudio("too short")) == "too short"
