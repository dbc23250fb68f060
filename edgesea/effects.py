"""Effects on a waveform: of a place, reverberation; of a device, few bits; a texture of it.

Conventions: waveform (samples,) float64, relative to an amplitude of 1.
"""

import numpy as np
from scipy import signal

# Of the impulse response, in powers of ten: what comes later is 60 dB below the beginning.
_DECAY_60_DB = 3.0


def impulse_response(
    rng: np.random.Generator, sample_rate: int, seconds: float, direct_db: float
) -> np.ndarray:
    """The impulse response of a synthesised room, (n,) float64: the sound itself, then decaying noise.

    Moorer, "About This Reverberation Business", Computer Music Journal 3(2), 1979: late reverberation is
    Gaussian noise under an exponential. No early reflections, and one decay for all frequencies.

    seconds : the reverberation time, in which the tail decays by 60 dB, > 0
    direct_db : power of the direct sound over that of the whole tail, in dB
    """
    n = max(2, round(seconds * sample_rate))
    tail = rng.standard_normal(n) * 10 ** (-_DECAY_60_DB * np.arange(n) / n)
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    return tail


def reverberated(waveform: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The waveform in the room, as long as before and as loud."""
    out = signal.fftconvolve(waveform, response)[: len(waveform)]
    before, after = (np.sqrt(np.mean(np.square(each))) for each in (waveform, out))
    return out * (before / after) if after else out


def quantised(rng: np.random.Generator, waveform: np.ndarray, bits: int) -> np.ndarray:
    """Rounded to 2^bits steps between -1 and 1, with dither of one step (rectangular), as recorders do it."""
    step = 2.0 ** (1 - bits)
    return np.round(waveform / step + rng.uniform(-0.5, 0.5, len(waveform))) * step


def texture(rng: np.random.Generator, waveform: np.ndarray) -> np.ndarray:
    """A texture of a waveform: the same magnitude of each frequency, and phases at random.

    Galerne, Gousseau and Morel, "Random Phase Textures: Theory and Synthesis", IEEE Transactions on Image
    Processing 20(1), 2011, of images. As loud as before; what sounded for a moment sounds all the time. It
    is no more than the colour: McDermott and Simoncelli, "Sound Texture Perception via Statistics of the
    Auditory Periphery", Neuron 71(5), 2011, match envelopes of bands and their correlations too.
    """
    spectrum = np.fft.rfft(waveform)
    # The constant, and of an even length the highest frequency, are real: they keep their sign.
    turned = slice(1, (len(waveform) + 1) // 2)
    spectrum[turned] *= np.exp(2j * np.pi * rng.random(len(spectrum[turned])))
    return np.fft.irfft(spectrum, len(waveform))
