"""frontend.json: every constant of waveform -> patch. The fields are those of `edgesea.frontend.Frontend`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgesea.formats.fields import NotNegative, Positive, Real, Strict, Word

FILE = "frontend.json"
VERSION = None
LARGEST = 1 << 16


class FrontendFields(Strict):
    """What a frontend is made of; `Frontend` checks that the values go together."""

    name: Word = Field(description="what manifests and reports call it")
    sample_rate: Positive = Field(description="in Hz")
    samples: Positive = Field(description="samples of waveform in one patch")
    fft_size: Annotated[int, Field(ge=2, le=1 << 20)] = Field(description="a power of two, in samples")
    window_length: Positive = Field(description="in samples")
    window: Literal["hann"] = Field("hann", description="the periodic one")
    hop: Positive = Field(description="samples from one row of the patch to the next")
    padding: Literal["valid", "same", "centre"] = Field(description="where the zeros around the sound go")
    frames: Annotated[int, Field(ge=1, le=1 << 16)] = Field(description="rows of the patch")
    power: Literal[1, 2] = Field(description="of the magnitudes under the mel triangles")
    mels: Annotated[int, Field(ge=1, le=1 << 12)] = Field(description="columns of the patch")
    mel_scale: Literal["htk", "slaney"] = Field(description="mel scale")
    mel_slopes: Literal["hz", "mel"] = Field("hz", description="what the triangles are straight over")
    mel_norm: Literal["slaney"] | None = Field(None, description="normalisation of the triangles")
    fmin: NotNegative = Field(description="in Hz, lower edge of the first triangle")
    fmax: NotNegative = Field(description="in Hz, upper edge of the last triangle")
    root: Literal[1, 2] = Field(1, description="of the mel sum")
    log: Literal["db", "ln"] = Field(description="10 log10, or natural")
    offset: NotNegative = Field(0.0, description="added to the mel sum before the logarithm")
    amin: NotNegative = Field(0.0, description="least value that the logarithm is taken of")
    reference: Literal["one", "max"] = Field("one", description="what is subtracted after the logarithm")
    floor: Real | None = Field(None, description="least value of the patch, in the units of `log`")
