"""The domain in a store: every usable frame once, in order, whatever the files, whenever it was killed."""

import dataclasses
import os
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea import audio, datasets, embed, files, levels, progress
from edgesea.datasets import Clip, Manifest
from edgesea.errors import EdgeseaError
from edgesea.pairing import Pairing
from edgesea.store import Store
from edgesea.teachers import Teacher

RATE = 8_000


class Loudness(Teacher):
    """A teacher at 8 kHz: mean, root mean square and peak of half a second."""

    name, fingerprint, outputs = "loudness", "1", {"embedding": (3,)}
    sample_rate, samples, frontend = RATE, RATE // 2, None

    def __init__(self):
        self.asked = 0

    def hear(self, waveforms, wanted=("embedding",)):
        self.asked += len(waveforms)
        rms = np.sqrt(np.square(waveforms).mean(axis=1))
        return {"embedding": np.stack([waveforms.mean(axis=1), rms, np.abs(waveforms).max(axis=1)], axis=1)}


class _Small:
    """A student's frontend with next to no work: the first four samples of a second."""

    sample_rate, samples, patch_shape = RATE, RATE // 2, (2, 2, 1)

    def patch(self, waveforms):
        return waveforms[:, :4].reshape(-1, 2, 2, 1)


def pairing():
    return Pairing(Loudness(), _Small())


def noise(seconds, seed=0, level=0.1):
    return (np.random.default_rng(seed).standard_normal(int(seconds * RATE)) * level).astype(np.float32)


def domain(folder, lengths):
    for k, seconds in enumerate(lengths):
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{k}.wav", noise(seconds, k), RATE, subtype="FLOAT")
    return datasets.load(folder)


seconds_of = st.floats(0.01, 100)


@settings(max_examples=200, deadline=None)
@given(start=st.none() | st.floats(0, 50), length=seconds_of, ends=st.booleans(), most=st.floats(0.5, 60))
def test_pieces_cover_a_clip_once(tmp_path_factory, start, length, ends, most):
    folder = tmp_path_factory.getbasetemp() / "pieces"
    folder.mkdir(exist_ok=True)
    file = folder / "a.wav"
    total = (start or 0) + length
    soundfile.write(file, np.zeros(round(total * RATE) + 1), RATE, subtype="PCM_U8")
    clip = Clip(file, start=start, end=total if ends else None)
    cut = embed.pieces(Manifest(folder, (clip,), "x"), [0], most)
    assert cut[0][0].start == clip.start
    assert cut[-1][0].end == clip.end
    for (piece, seconds), (following, _) in pairwise(cut):
        assert piece.end == following.start
        assert seconds == pytest.approx(most)
    for piece, _ in cut:
        if piece.end is not None:
            assert piece.end > (piece.start or 0)
            assert piece.end - (piece.start or 0) <= most + 2e-6
    assert sum(seconds for _, seconds in cut) == pytest.approx(length, abs=2 / RATE)
    assert len(cut) <= length / most + 1.01


def test_a_stretch_whose_length_rounds_up_is_not_cut_into_nothing(tmp_path):
    manifest = domain(tmp_path, [40])
    clip = dataclasses.replace(manifest.clips[0], start=2.2, end=32.2)
    assert 32.2 - 2.2 > 30
    cut = embed.pieces(dataclasses.replace(manifest, clips=(clip,)), [0], 10.0)
    assert [(p.start, p.end) for p, _ in cut] == [(2.2, 12.2), (12.2, 22.2), (22.2, 32.2)]
    for piece, _ in cut:
        assert len(audio.read(clip.path, RATE, start=piece.start, end=piece.end)) == 10 * RATE


def test_every_frame_is_there_once_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "PIECE_SECONDS", 3.0)
    lengths = [2.0, 7.5, 0.2, 1.1]
    manifest = domain(tmp_path / "in", lengths)
    store = Store(tmp_path / "s", {})
    embed.embed(manifest, pairing(), store, 0.25, patches=True)
    clip, start = store.column("clip"), store.column("start")
    assert (np.diff(clip) >= 0).all()
    for k, seconds in enumerate(lengths):
        sound = noise(seconds, k)
        mine = start[clip == k]
        assert (np.diff(mine) > 0).all()
        expected = []
        for first in np.arange(0, seconds, 3.0):
            stretch = sound[int(first * RATE) : int((first + 3) * RATE)]
            expected.append(audio.frame(stretch, RATE // 2, RATE // 4))
        frames = np.concatenate(expected)
        np.testing.assert_allclose(store.column("embedding")[clip == k], Loudness().embed(frames), rtol=1e-6)
        np.testing.assert_allclose(store.column("patch")[clip == k], _Small().patch(frames), atol=1e-4)
        np.testing.assert_allclose(
            store.column("level_db")[clip == k], levels.level_dba(frames, RATE), rtol=1e-5
        )
        for second, frame in zip(mine, frames, strict=True):
            at = round(second * RATE)
            np.testing.assert_array_equal(frame[: len(sound) - at], sound[at : at + RATE // 2])


def test_levels_are_weighted_and_calibrated(tmp_path):
    """A hum of 50 Hz and a tone of 1 kHz, both of 74 dB: A-weighting takes 30.2 dB and 0 dB (IEC 61672-1)."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, hz in (("hum", 50), ("tone", 1000)):
        sound = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE)
        soundfile.write(folder / f"{name}.wav", sound, RATE, subtype="FLOAT")
    store = Store(tmp_path / "s", {})
    embed.embed(datasets.load(folder), pairing(), store, 0.5, patches=False, calibration_db=94.0)
    level, clip = store.column("level_db"), store.column("clip")
    assert level.dtype == np.float32
    np.testing.assert_allclose(level[clip == 0], 74 - 30.2, atol=0.15)
    np.testing.assert_allclose(level[clip == 1], 74, atol=0.05)


@settings(max_examples=25, deadline=None)
@given(st.lists(seconds_of, min_size=1, max_size=4), st.integers(1, 60), st.sampled_from([8_000, 11_025]))
def test_headers_promise_what_is_found(tmp_path_factory, lengths, hops, rate):
    """Never less, and no more than rounding explains; the count may stop when there are enough."""
    folder = tmp_path_factory.mktemp("promised")
    for k, seconds in enumerate(lengths):
        soundfile.write(folder / f"{k}.wav", noise(seconds * rate / RATE, k), rate, subtype="PCM_U8")
    manifest, hop = datasets.load(folder), hops / 40
    store = Store(folder / "s", {})
    embed.embed(manifest, pairing(), store, hop, patches=False)
    clips = range(len(manifest))
    told = embed.promised(manifest, clips, pairing(), hop, 10**9)
    assert len(store) <= told <= len(store) + len(manifest)
    assert min(3, told) <= embed.promised(manifest, clips, pairing(), hop, 3) <= told
    assert embed.promised(manifest, clips[:1], pairing(), hop, 10**9) <= told


def test_damaged_headers_promise_nothing_and_truncated_files_too_much(tmp_path):
    bad_sound(tmp_path / "in")
    manifest = datasets.load(tmp_path / "in")
    store = Store(tmp_path / "s", {})
    embed.embed(manifest, pairing(), store, 0.25, patches=False)
    used = set(store.column("clip").tolist())
    for k, clip in enumerate(manifest.clips):
        told = embed.promised(manifest, [k], pairing(), 0.25, 10**9)
        if clip.path.name in ("empty.wav", "letter.mp3", "header.wav"):
            assert told == 0
        elif k in used:
            assert told >= (store.column("clip") == k).sum()


def test_a_name_that_is_not_utf_8_is_embedded(tmp_path):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", noise(1), RATE)
    os.rename(tmp_path / "in" / "a.wav", os.fsencode(tmp_path / "in") + b"/\xff.wav")
    store = Store(tmp_path / "s", {})
    embed.embed(datasets.load(tmp_path / "in"), pairing(), store, 0.5, patches=False)
    assert len(store) == 2


def test_without_patches_none_are_made(tmp_path):
    store = Store(tmp_path / "s", {})
    embed.embed(domain(tmp_path / "in", [1]), pairing(), store, 0.5, patches=False)
    with pytest.raises(KeyError):
        store.column("patch")


def bad_sound(folder):
    """Unusable files by name, with the reason that is expected; usable ones beside them."""
    folder.mkdir()
    sound = noise(3)
    soundfile.write(folder / "good.wav", sound, RATE)
    soundfile.write(folder / "eight.wav", sound, RATE, subtype="PCM_U8")
    soundfile.write(folder / "stereo.wav", np.stack([sound] * 5, axis=1), RATE)
    soundfile.write(folder / "odd.wav", sound, 11_111)
    soundfile.write(folder / "short.wav", sound[:100], RATE)
    soundfile.write(folder / "whole.flac", sound, RATE)
    content = (folder / "whole.flac").read_bytes()
    (folder / "truncated.flac").write_bytes(content[: len(content) * 2 // 3])
    (folder / "whole.flac").unlink()
    soundfile.write(folder / "zeros.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "letter.mp3").write_text("Dear sir or madam, I am not a song.")
    (folder / "header.wav").write_bytes((folder / "good.wav").read_bytes()[:44])
    return {
        "zeros.wav": "silent",
        "nan.wav": "NaN",
        "empty.wav": "empty",
        "letter.mp3": "not audio",
        "header.wav": "empty",
    }


def test_bad_files_are_set_aside_by_name_and_reason_and_no_others(tmp_path):
    unusable = bad_sound(tmp_path / "in")
    manifest = datasets.load(tmp_path / "in")
    store = Store(tmp_path / "s", {})
    embed.embed(manifest, pairing(), store, 0.25, patches=True)
    aside = dict(embed.skipped(store))
    assert set(aside) == set(unusable)
    (truncated,) = embed.aside(store).in_part
    assert truncated[0] == "truncated.flac"
    assert truncated[1].startswith("its header tells of 3 s: used to 1.")
    for name, reason in unusable.items():
        assert reason in aside[name]
    used = {manifest.clips[k].path.name for k in store.column("clip")}
    assert used == {"good.wav", "eight.wav", "stereo.wav", "odd.wav", "short.wav", "truncated.flac"}
    assert np.isfinite(store.column("embedding")).all()


def test_a_clip_outside_its_file_is_set_aside(tmp_path):
    manifest = domain(tmp_path / "in", [2, 2])
    clips = (manifest.clips[0], dataclasses.replace(manifest.clips[1], start=5.0, end=6.0))
    store = Store(tmp_path / "s", {})
    embed.embed(dataclasses.replace(manifest, clips=clips), pairing(), store, 0.5, patches=False)
    assert [name for name, _ in embed.skipped(store)] == ["1.wav"]


def test_nothing_usable_is_an_error_that_says_why(tmp_path):
    (tmp_path / "in").mkdir()
    for k in range(5):
        (tmp_path / "in" / f"{k}.wav").write_bytes(b"")
    with pytest.raises(EdgeseaError) as error:
        embed.embed(datasets.load(tmp_path / "in"), pairing(), Store(tmp_path / "s", {}), 0.5, patches=True)
    assert type(error.value) is EdgeseaError
    reasons = "0.wav: empty; 1.wav: empty; 2.wav: empty"
    assert str(error.value) == f"Nothing in {tmp_path / 'in'} can be used ({reasons}): give other sound."


def test_a_teacher_that_gives_nan_is_named(tmp_path):
    class Broken(Loudness):
        def hear(self, waveforms, wanted=("embedding",)):
            return {"embedding": super().hear(waveforms)["embedding"] * np.nan}

    with pytest.raises(
        EdgeseaError,
        match=r"The teacher loudness gives NaN or infinity for \d+ of .* first at 0 s of 0\.wav",
    ):
        embed.embed(
            domain(tmp_path / "in", [1]),
            Pairing(Broken(), _Small()),
            Store(tmp_path / "s", {}),
            0.5,
            patches=True,
        )


@pytest.mark.parametrize("moment", [0, 1, 3])
def test_a_killed_embedding_goes_on_and_ends_the_same(tmp_path, monkeypatch, moment):
    monkeypatch.setattr(embed, "PIECE_SECONDS", 2.0)
    manifest = domain(tmp_path / "in", [1.5, 5, 0.7, 2, 1])
    whole = Store(tmp_path / "whole", {})
    embed.embed(manifest, pairing(), whole, 0.25, patches=True)

    real, calls = files.os.replace, []

    def killed(source, target):
        if str(target).endswith(".arrow"):
            calls.append(target)
            if len(calls) > moment:
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(files.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        embed.embed(manifest, pairing(), Store(tmp_path / "s", {}), 0.25, patches=True)
    monkeypatch.setattr(files.os, "replace", real)

    store, again = Store(tmp_path / "s", {}), pairing()
    had = len(store)
    assert len(store.shards) == moment
    embed.embed(manifest, again, store, 0.25, patches=True)
    assert again.teacher.asked == len(whole) - had
    assert [len(shard) for shard in store.shards] == [len(shard) for shard in whole.shards]
    for path in sorted(whole.folder.glob("*.arrow")):
        assert (store.folder / path.name).read_bytes() == path.read_bytes()
    embed.embed(manifest, again, store, 0.25, patches=True)
    assert again.teacher.asked == len(whole) - had


def test_a_shard_is_bounded_in_seconds_and_in_files(tmp_path):
    short = [(embed.Piece(k, None, None), 1.0) for k in range(1000)]
    assert [len(shard) for shard in embed._shards(short)] == [256, 256, 256, 232]
    long = [(embed.Piece(k, None, None), 400.0) for k in range(5)]
    assert [len(shard) for shard in embed._shards(long)] == [2, 2, 1]
    unknown = [(embed.Piece(k, None, None), 0.0) for k in range(300)]
    assert [len(shard) for shard in embed._shards(unknown)] == [256, 44]


def test_memory_does_not_grow_with_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "PIECE_SECONDS", 60.0)

    def peak(minutes):
        folder = tmp_path / str(minutes)
        folder.mkdir()
        with soundfile.SoundFile(folder / "long.wav", "w", RATE, 1, subtype="PCM_U8") as file:
            for k in range(minutes):
                file.write(noise(60, k))
        manifest = datasets.load(folder)
        store = Store(tmp_path / f"store-{minutes}", {})
        tracemalloc.start()
        embed.embed(manifest, pairing(), store, 0.5, patches=True)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(store) == 120 * minutes
        return most

    first = peak(2)
    assert peak(20) < 1.3 * first
    assert first < 60 * RATE * 4 * 12


# Teachers that fail, files that end early


class Logarithmic(Loudness):
    """Takes the logarithm of the power without a floor: minus infinity in digital silence."""

    def hear(self, waveforms, wanted=("embedding",)):
        with np.errstate(divide="ignore"):
            return {"embedding": np.log(np.abs(super().hear(waveforms)["embedding"]))}


def test_frames_without_a_number_are_dropped_with_clip_and_second(tmp_path):
    manifest = domain(tmp_path / "in", [2, 30, 30])
    sound = noise(2, 0)
    sound[RATE // 2 : RATE * 3 // 2] = 0
    soundfile.write(manifest.clips[0].path, sound, RATE)
    store = Store(tmp_path / "s", {})
    embed.embed(manifest, Pairing(Logarithmic(), _Small()), store, 0.5, patches=True)
    assert store.column("start")[store.column("clip") == 0].tolist() == [0.0, 1.5]
    assert np.isfinite(store.column("embedding")).all()
    assert len(store) == 2 + 60 + 60
    reason = "the teacher gives NaN or infinity for 2 of 4 frames from 0 s on, first at 0.5 s"
    assert embed.aside(store) == embed.Aside([], [("0.wav", reason)])


def test_too_many_frames_without_a_number_end_a_run_by_name(tmp_path):
    manifest = domain(tmp_path / "in", [5, 2])
    soundfile.write(manifest.clips[1].path, np.concatenate([noise(1), np.zeros(RATE)]), RATE)
    arguments = (manifest, Pairing(Logarithmic(), _Small()))
    with pytest.raises(EdgeseaError) as error:
        embed.embed(*arguments, Store(tmp_path / "s", {}), 0.5, patches=False)
    assert str(error.value) == (
        "The teacher loudness gives NaN or infinity for 2 of 14 frames of sound that holds neither, first at "
        "1 s of 1.wav, and 0.05 of them are let pass: mend the teacher, take such sound (digital "
        "silence?) out, or raise --max-bad-frames."
    )
    # The same again ends the same, though all shards are there; a share that was asked for lets it pass.
    with pytest.raises(EdgeseaError, match="2 of 14 frames"):
        embed.embed(*arguments, Store(tmp_path / "s", {}), 0.5, patches=False)
    store = Store(tmp_path / "t", {})
    embed.embed(*arguments, store, 0.5, patches=False, most_bad_frames=0.2)
    assert len(store) == 12


def test_a_teacher_that_breaks_on_half_a_file_of_silence(tmp_path, shared):
    """The case silence_nan: named, and let pass where the rest is enough."""
    from edgesea import teachers

    case = shared / "cases" / "silence_nan"
    teacher = teachers.load(case / "log_power.tflite", teachers.TeacherOptions(sample_rate=RATE))
    sound = domain(tmp_path / "in", [1])
    clip = dataclasses.replace(sound.clips[0], path=case / "a.wav", group="")
    manifest = dataclasses.replace(sound, root=case, clips=(clip,))
    with pytest.raises(EdgeseaError, match=r"gives NaN or infinity for \d+ of .* of a\.wav, and 0\.05"):
        embed.embed(manifest, Pairing(teacher, _Small()), Store(tmp_path / "s", {}), 0.5, patches=False)
    store = Store(tmp_path / "t", {})
    pair = Pairing(teacher, _Small())
    embed.embed(manifest, pair, store, 0.5, patches=False, most_bad_frames=0.6)
    assert len(store)
    assert embed.aside(store).in_part[0][0] == "a.wav"


def test_a_file_that_ends_early_is_noted_once_and_decoded_no_further(tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "PIECE_SECONDS", 1.0)
    folder = tmp_path / "in"
    folder.mkdir()
    soundfile.write(folder / "a.flac", noise(10), RATE)
    content = (folder / "a.flac").read_bytes()
    (folder / "a.flac").write_bytes(content[: len(content) * 4 // 10])
    manifest = datasets.load(folder)
    asked = []
    real = audio.read
    monkeypatch.setattr(audio, "read", lambda *args, **more: (asked.append(args), real(*args, **more))[1])
    store = Store(tmp_path / "s", {})
    embed.embed(manifest, pairing(), store, 0.5, patches=False)
    assert len(asked) <= 5
    skipped, in_part = embed.aside(store).skipped, embed.aside(store).in_part
    assert skipped == []
    ((name, reason),) = in_part
    assert name == "a.flac"
    assert reason.startswith("its header tells of 10 s: used to 3.")
    # A call that goes on after a kill does not know where the file ended, and writes the same.
    again = Store(tmp_path / "t", {})
    for path in sorted(store.folder.glob("*.arrow"))[:5]:
        (again.folder / path.name).write_bytes(path.read_bytes())
    embed.embed(manifest, pairing(), again, 0.5, patches=False)
    for path in sorted(store.folder.glob("*.arrow")):
        assert (again.folder / path.name).read_bytes() == path.read_bytes()


def test_what_was_set_aside_is_written_and_said_in_a_line(tmp_path):
    said = []

    class Said(progress.Progress):
        def say(self, text):
            said.append(text)

    folder = tmp_path / "in"
    folder.mkdir()
    soundfile.write(folder / "good.wav", noise(3), RATE)
    (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:30_000])
    (folder / "lost.wav").symlink_to(folder / "nowhere.wav")
    (folder / "empty.wav").touch()
    store = Store(tmp_path / "s", {})
    embed.embed(datasets.load(folder), pairing(), store, 0.5, patches=False)
    embed.aside(store).write(tmp_path, Said())
    assert (tmp_path / "skipped.csv").read_text() == (
        "path,reason\nlost.wav,a link that leads nowhere\nempty.wav,empty\n"
    )
    assert (tmp_path / "used_in_part.csv").read_text() == (
        'path,reason\ncut.wav,"its header tells of 3 s: used to 1.87225 s, where it ends"\n'
    )
    assert said == [
        f"files 2 set aside: see {tmp_path}/skipped.csv; 1 used in part: see {tmp_path}/used_in_part.csv"
    ]
