"""Headers that lie, files that were never finished, and what ffmpeg decodes: each ends soon, or is used as
far as it goes."""

import io
import os
import struct
import subprocess
import time
from pathlib import Path

import fuzzing
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesea import audio, datasets, embed, ffmpeg
from edgesea.audio import BadAudio
from edgesea.datasets import Clip, Manifest

RATE = 16_000
SOUND = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)

needs_ffmpeg = pytest.mark.skipif(not ffmpeg.installed(), reason="ffmpeg is not installed")


def encoded(kind: str, subtype: str | None = None, rate: int = RATE) -> bytearray:
    held = io.BytesIO()
    soundfile.write(held, SOUND, rate, format=kind, subtype=subtype)
    return bytearray(held.getvalue())


def flac(rate: int, samples: int) -> bytes:
    """A second of sound whose STREAMINFO says that it has so many samples at that rate."""
    content = encoded("FLAC")
    kept = int.from_bytes(content[18:26], "big") & (0xFF << 36)
    content[18:26] = (rate << 44 | kept | samples).to_bytes(8, "big")
    return bytes(content)


def _crc(page: bytes) -> int:
    found = 0
    for byte in page:
        found ^= byte << 24
        for _ in range(8):
            found = (found << 1 ^ (0x04C11DB7 if found & 0x80000000 else 0)) & 0xFFFFFFFF
    return found


def ogg(position: int, subtype: str = "VORBIS") -> bytes:
    """A second of sound whose last page says that it ends at that sample."""
    content = encoded("OGG", subtype)
    at = last = 0
    while at < len(content):
        last, count = at, content[at + 26]
        at += 27 + count + sum(content[at + 27 : at + 27 + count])
    content[last + 6 : last + 14] = struct.pack("<q", position)
    content[last + 22 : last + 26] = bytes(4)
    content[last + 22 : last + 26] = struct.pack("<I", _crc(content[last:]))
    return bytes(content)


def mp3(frames: int) -> bytes:
    """A second of sound whose Xing header says that it has so many frames."""
    content = encoded("MP3", "MPEG_LAYER_III")
    at = max(content.find(b"Xing"), content.find(b"Info"))
    assert at > 0
    content[at + 7] |= 1
    content[at + 8 : at + 12] = struct.pack(">I", frames)
    return bytes(content)


def wav(size: int, kind: str = "WAV", cut: int | None = None) -> bytes:
    """A second of sound whose data chunk says that it has so many bytes, of which only `cut` are there."""
    content = encoded(kind, "PCM_16")
    at = content.find(b"data")
    content[at + 4 : at + 8] = struct.pack("<I", size)
    return bytes(content if cut is None else content[: at + 8 + cut])


def rf64(size: int) -> bytes:
    content = encoded("RF64", "PCM_16")
    content[28:36] = struct.pack("<Q", size)
    at = content.find(b"data")
    content[at + 4 : at + 8] = b"\xff" * 4
    return bytes(content)


TOLD = "its header tells of {}: used to {} s, where it ends"
UNFINISHED = "its recorder never wrote its length: used to the end of the file"
LIARS = {
    # name: (content, seconds that are used, note)
    "vast.ogg": (ogg(2**60), 1.0, TOLD.format("no length", 1.008)),
    "late.ogg": (ogg(RATE * 86400), 1.0, TOLD.format("86400 s", 1.008)),
    "vast.flac": (flac(RATE, 2**36 - 1), 1.0, TOLD.format("4.29497e+06 s", 1)),
    "streamed.flac": (flac(RATE, 0), 1.0, TOLD.format("no length", 1)),
    "vast.mp3": (mp3(0x7FFFFFFF), 1.0, TOLD.format("7.73094e+07 s", 1.01094)),
    "streamed.wav": (wav(0xFFFFFFF0), 1.0, None),
    "all_ones.wav": (wav(0xFFFFFFFF), 1.0, None),
    "killed.wav": (wav(0), 1.0, UNFINISHED),
    "killed.wavex.wav": (wav(0, "WAVEX"), 1.0, UNFINISHED),
    "killed.rf64.wav": (rf64(0), 1.0, UNFINISHED),
    "cut.wav": (wav(32_000, cut=8_000), 0.25, TOLD.format("1 s", 0.25)),
    "more.wav": (wav(3_200_000), 1.0, TOLD.format("100 s", 1)),
}


@pytest.mark.parametrize("name", LIARS)
def test_a_lie_is_used_as_far_as_it_goes(tmp_path, name):
    content, seconds, note = LIARS[name]
    path = tmp_path / name
    path.write_bytes(content)
    began = time.process_time()
    found = audio.survey(path)
    got = audio.read(path, RATE)
    assert time.process_time() - began < 2
    assert found.note == note
    assert found.seconds == pytest.approx(seconds, abs=0.02)
    assert len(got) == pytest.approx(seconds * RATE, abs=0.02 * RATE)
    # A lossless one is the sound itself, from its first sample on.
    if path.suffix in (".wav", ".flac"):
        np.testing.assert_allclose(got, SOUND[: len(got)], atol=2**-15)


@pytest.mark.parametrize("name", LIARS)
def test_a_lie_makes_few_pieces(tmp_path, name):
    """At 2**60 samples, pieces of ten minutes would be a hundred thousand million."""
    path = tmp_path / name
    path.write_bytes(LIARS[name][0])
    assert len(embed.pieces(Manifest(tmp_path, (Clip(path),), "x"), [0], 600.0)) == 1


def test_what_cannot_be_opened_says_so(tmp_path):
    (tmp_path / "slow.flac").write_bytes(flac(1, 2**36 - 1))
    with pytest.raises(BadAudio, match="a sample rate of 1 Hz"):
        audio.survey(tmp_path / "slow.flac")
    (tmp_path / "opus.ogg").write_bytes(ogg(2**60, "OPUS"))
    with pytest.raises(BadAudio, match="not audio that libsndfile can decode"):
        audio.survey(tmp_path / "opus.ogg")


def test_the_cases_of_strangers(shared):
    reasons = {"liar_opus.ogg": "not audio that libsndfile", "liar_rate1.flac": "a sample rate of 1 Hz"}
    cases = shared / "cases"
    for path in [*(cases / "audio_liar").glob("liar*"), cases / "zero_length_wav" / "a.wav"]:
        began = time.process_time()
        if path.name in reasons:
            with pytest.raises(BadAudio, match=reasons[path.name]):
                audio.read(path, RATE)
        else:
            found = audio.survey(path)
            assert found.seconds == pytest.approx(3 if path.name == "a.wav" else 1, rel=1.01)
            assert abs(len(audio.read(path, RATE)) / RATE - found.seconds) < 0.02
            assert found.note or path.name == "liar.wav"
        assert time.process_time() - began < 2
    aside = dict(datasets.load(cases / "m4a_passed_over").aside)
    if ffmpeg.installed():
        with pytest.raises(BadAudio, match="not audio that ffmpeg can decode"):
            audio.read(cases / "m4a_passed_over" / "phone.m4a", RATE)
    else:
        assert aside == {"phone.m4a": ffmpeg.MISSING}


def test_an_empty_recording_with_tags_is_empty(tmp_path):
    path = tmp_path / "a.wav"
    content = encoded("WAV", "PCM_16")
    head = content[: content.find(b"data")] + b"data" + bytes(4)
    path.write_bytes(head + b"LIST" + struct.pack("<I", 12) + b"INFOISFT" + bytes(4))
    with pytest.raises(BadAudio, match="empty"):
        audio.read(path, RATE)


def test_a_stretch_of_an_unfinished_recording(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(0))
    np.testing.assert_allclose(audio.read(path, RATE, start=0.25, end=0.5), SOUND[4000:8000], atol=2**-15)


def test_a_file_that_unfolds_without_measure_is_refused(tmp_path, monkeypatch):
    """FLAC stores a constant block in some bytes."""
    path = tmp_path / "a.flac"
    soundfile.write(path, np.concatenate([SOUND, np.zeros(100 * RATE, np.float32)]), RATE)
    monkeypatch.setattr(audio, "MOST_PER_BYTE", 10)
    with pytest.raises(BadAudio, match="it decodes to more than 10 samples a byte"):
        audio.read(path, RATE)
    monkeypatch.undo()
    assert len(audio.read(path, RATE)) == 101 * RATE
    assert audio.survey(path) == audio.Survey(101.0)


def test_silence_that_takes_few_bytes_is_believed_once_it_is_decoded(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.concatenate([SOUND, np.zeros(600 * RATE, np.float32)]), RATE)
    assert path.stat().st_size * 64 < 601 * RATE
    assert audio.survey(path) == audio.Survey(601.0)


# ffmpeg


def convert(folder: Path, name: str, *options: str, seconds: float = 3.0, channels: int = 1) -> Path:
    t = np.arange(round(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 440 * t)
    soundfile.write(folder / "from.wav", np.stack([tone] * channels, axis=1), RATE)
    path = folder / name
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", folder / "from.wav", *options, path]
    subprocess.run(command, check=True)
    return path


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.m4a", "a.aac", "a.wma", "a.mka", "a.mov", "a.ac3", "a.wv"])
def test_reads_what_phones_and_films_hold(tmp_path, name):
    path = convert(tmp_path, name, channels=2)
    sound = audio.read(path, RATE)
    assert len(sound) == pytest.approx(3 * RATE, abs=0.15 * RATE)
    assert np.sqrt(np.mean(sound[RATE : 2 * RATE] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)
    found = audio.survey(path)
    assert found.seconds == pytest.approx(3, abs=0.2)
    with pytest.raises(audio.Ended, match="nothing to decode at 9 s"):
        audio.read(path, RATE, start=9.0)


@needs_ffmpeg
def test_a_stretch_by_ffmpeg_lies_where_it_should(tmp_path):
    path = convert(tmp_path, "a.m4a")
    whole, part = audio.read(path, RATE), audio.read(path, RATE, start=1.0, end=2.0)
    assert len(part) == RATE
    apart = np.abs(part[1000:-1000] - whole[RATE + 1000 : 2 * RATE - 1000]).max()
    assert apart < 0.03


@needs_ffmpeg
def test_an_opus_file_of_libsndfile_needs_no_ffmpeg(tmp_path, monkeypatch):
    path = convert(tmp_path, "a.opus", "-ar", "48000")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert len(audio.read(path, RATE)) == pytest.approx(3 * RATE, abs=0.1 * RATE)


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["noise", "empty", "text", "playlist", "concat"])
def test_what_ffmpeg_cannot_decode(tmp_path, kind):
    soundfile.write(tmp_path / "secret.wav", SOUND, RATE)
    content = {
        "noise": np.random.default_rng(1).bytes(5000),
        "empty": b"",
        "text": b"this is no sound",
        # What would open another file.
        "playlist": f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n".encode(),
        "concat": f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n".encode(),
    }[kind]
    path = tmp_path / "a.m4a"
    path.write_bytes(content)
    with pytest.raises(BadAudio) as caught:
        audio.read(path, RATE)
    assert caught.value.reason == ("empty" if kind == "empty" else "not audio that ffmpeg can decode")


@needs_ffmpeg
def test_a_name_that_looks_like_an_option_or_an_address(tmp_path):
    for name in ("-y.m4a", "http:a.m4a", "concat:a|b.m4a", "%03d.m4a", "caf\udce9.m4a"):
        path = convert(tmp_path, "a.m4a", seconds=1)
        os.replace(path, os.fsencode(tmp_path / name))
        assert len(audio.read(tmp_path / name, RATE)) == pytest.approx(RATE, abs=0.15 * RATE)


@needs_ffmpeg
def test_a_truncated_recording_of_a_phone(tmp_path):
    path = convert(tmp_path, "a.aac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0.3 * RATE < len(audio.read(path, RATE)) < 2.5 * RATE


def test_a_decoder_that_says_nothing_is_not_waited_for(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("ffmpeg", "ffprobe"):
        (tools / name).write_text("#!/bin/sh\nexec sleep 600\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(ffmpeg, "_SILENCE_S", 0.2)
    (tmp_path / "a.m4a").write_bytes(b"x")
    with pytest.raises(BadAudio, match=r"ffmpeg says nothing for 0\.2 s"):
        audio.read(tmp_path / "a.m4a", RATE)


def test_a_decoder_without_end_is_stopped(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    head = encoded("WAV", "FLOAT")
    (tmp_path / "head").write_bytes(bytes(head[: head.find(b"data") + 8]))
    for name in ("ffmpeg", "ffprobe"):
        (tools / name).write_text(f"#!/bin/sh\ncat {tmp_path}/head\nexec cat /dev/zero\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    (tmp_path / "a.m4a").write_bytes(b"x")
    with pytest.raises(BadAudio, match="it decodes to more than 4096 samples a byte"):
        audio.read(tmp_path / "a.m4a", RATE)


# Fuzzing


SEEDS = {
    ".wav": bytes(encoded("WAV", "PCM_16")[:3000]),
    ".flac": bytes(encoded("FLAC")[:6000]),
    ".ogg": bytes(encoded("OGG", "VORBIS")),
    ".mp3": bytes(encoded("MP3", "MPEG_LAYER_III")),
}
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**36 - 1, 2**60, 2**63 - 1)


@st.composite
def mutants(draw):
    """A file with some bytes of its header replaced by numbers that liars like, or by any."""
    suffix = draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[suffix])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, min(len(content) - 1, draw(st.sampled_from([64, 256, 10_000])))))
        size = draw(st.sampled_from([1, 2, 4, 8]))
        number = draw(st.sampled_from(NUMBERS) | st.integers(0, 2**64 - 1))
        order = draw(st.sampled_from(["little", "big"]))
        content[at : at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, order)
    return suffix, bytes(content[: draw(st.none() | st.integers(0, len(content)))])


def _is_read_or_refused_soon(folder: Path, mutant: tuple[str, bytes]) -> None:
    suffix, content = mutant
    path = folder / f"a{suffix}"
    path.write_bytes(content)
    with fuzzing.held(folder):
        cut = embed.pieces(Manifest(folder, (Clip(path),), "x"), [0], 600.0)
        # What the bytes can hold, at the lowest rate.
        assert len(cut) <= 1 + len(content) * audio.MOST_PER_BYTE / 1000 / 600
        try:
            got = audio.read(path, RATE)
        except BadAudio as error:
            fuzzing.is_printable(error.reason)
        else:
            assert len(got) > 0
            assert np.abs(got).max() <= 1
    assert [each.name for each in folder.iterdir()] == [path.name]
    path.unlink()


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(mutants())
def test_mutants(tmp_path, mutant):
    _is_read_or_refused_soon(tmp_path, mutant)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=QUIET)
@given(mutants())
def test_many_mutants(tmp_path, mutant):
    _is_read_or_refused_soon(tmp_path, mutant)
