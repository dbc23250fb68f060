"""Lossy codecs, as recorders and archives use them: what they leave of a waveform, in memory, by libsndfile.

Conventions: waveform (samples,) float64, relative to an amplitude of 1.
"""

import io

import numpy as np

from edgesea.errors import UsageError

# Each with its format and subtype of libsndfile.
CODECS = {"vorbis": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III")}
# libsndfile takes the harshest compression, 1, of Vorbis and not of MP3.
_HARSHEST = 0.999
# Samples given to libsndfile at a time: of 3 million, on libvorbis' stack, the process dies.
_BLOCK = 1 << 13
# libvorbis writes up to 200 kHz, and libsndfile ends the process instead of saying so.
_HIGHEST_RATE = 192_000


def lossy(waveform: np.ndarray, sample_rate: int, codec: str, quality: float) -> np.ndarray:
    """What a lossy codec leaves of a waveform: written and read in memory, as long as before and not delayed.

    codec : vorbis or mp3, with a bitrate that varies
    quality : from 0, the fewest bytes, to 1, the most

    A peak may exceed the waveform's. Silence stays silence. What is decoded depends on nothing else, though
    an Ogg file holds a random number: the same libsndfile makes the same of the same waveform.
    """
    import soundfile

    if not waveform.any():
        return waveform
    form, subtype = CODECS[codec]
    level = min(1 - quality, _HARSHEST)
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", sample_rate, 1, subtype, format=form, compression_level=level
    ) as encoder:
        for start in range(0, len(waveform), _BLOCK):
            encoder.write(waveform[start : start + _BLOCK])
    file.seek(0)
    return soundfile.read(file, frames=len(waveform), fill_value=0.0)[0]


def check(codec: str, sample_rate: int) -> None:
    """Raises `UsageError` where this machine's libsndfile cannot write a codec at a sample rate in Hz."""
    import soundfile

    try:
        if sample_rate > _HIGHEST_RATE:
            raise ValueError("of no codec")
        for quality in (0.0, 1.0):
            lossy(np.full(sample_rate // 10, 0.1), sample_rate, codec, quality)
    except (ValueError, soundfile.SoundFileError) as error:
        raise UsageError(
            f"The libsndfile {soundfile.__libsndfile_version__} of this machine cannot write {codec} at "
            f"{sample_rate} Hz: choose another codec of the augmentation, or give it no codec_probability."
        ) from error
