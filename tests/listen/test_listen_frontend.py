"""The frontend of listen.py for float models is edgesea's, to the bit, and it decides where the sensor
program does. Its integers are tried in tests/firmware/test_integer_frontend.py.
"""

import numpy as np
import pytest

from edgesea.frontend import PRESETS, preset
from edgesea.listen import listen

SOUND = np.random.default_rng(1).normal(0, 3000, 80_000).astype(np.int16)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_patches_are_those_of_the_reference(name):
    frontend = preset(name)
    ears = listen.Frontend(frontend.to_dict())
    frame = SOUND[: ears.reach]
    waveform = np.zeros(frontend.samples, np.float32)
    waveform[: len(frame)] = frame / 32768
    assert np.array_equal(ears.patch(frame), frontend.patch(waveform)[0, :, :, 0])


@pytest.mark.parametrize("name", ["yamnet-16k", "sea-8k"])
@pytest.mark.parametrize("every", [1, 2, 49])
def test_frames_do_not_depend_on_how_the_stream_is_cut(name, every):
    ears = listen.Frontend(preset(name).to_dict())
    whole = list(listen.Framer(ears, every).push(SOUND))
    ends = [end for end, _ in whole]
    assert ends == list(range(ears.reach, len(SOUND) + 1, every * ears.period))
    assert all(np.array_equal(frame, SOUND[end - ears.reach : end]) for end, frame in whole)
    framer, cut, at = listen.Framer(ears, every), [], 0
    for length in np.random.default_rng(every).integers(1, 5000, 60):
        cut += list(framer.push(SOUND[at : at + length]))
        at += length
    assert len(cut) <= len(whole)
    assert all(a == b and np.array_equal(x, y) for (a, x), (b, y) in zip(cut, whole, strict=False))
