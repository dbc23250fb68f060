"""Listens with a bundle and says events: the one file that goes to a Raspberry Pi.

It needs Python 3.9 or newer, NumPy, and ai-edge-litert or tflite-runtime; nothing of edgesea. For a
microphone it needs ALSA's arecord or the package sounddevice, for --mqtt the package paho-mqtt. `edgesea
listen` runs this same file, `edgesea deploy` copies it, and `edgesea evaluate` scores a bundle with its
classes, so all of them hear alike.

    python3 listen.py BUNDLE sound.wav
    arecord -q -t raw -f S16_LE -c 1 -r 16000 | python3 listen.py BUNDLE -

What a device decides is worked out in integers, the same to the bit as in the C of the bundle:

    samples, 16 bits -> `Ears` -> int8 patch -> the .tflite -> scores and, where it is kept, the embedding
    embedding -> `Memory`: the k nearest prototypes -> their labels, mixed with the scores by beta
    scores -> `Detector`: pooled over the last frames, held against thresholds -> events

A score is a whole number 0..255, in 1/256; a pooled score 0..65280, in 1/65536.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import importlib
import json
import math
import os
import queue
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import wave

import numpy as np

UNKNOWN = "unknown"
SPARE = 16  # classes that a memory may add to those of the bundle
LABEL_BYTES = 20  # of a label that was added on a device, a closing zero included
ADDED_THRESHOLD = 32768  # of a class that was added on a device, and of the unknown: half

# round(65535 * 2^(-i / 256)), i = 0..255
POWERS = np.round(65535 * np.exp2(-np.arange(256) / 256)).astype(np.int64)


class Refused(Exception):
    """What cannot be done, in one sentence; exit status 2."""


# ---- decisions


def power(x):
    """2^(-x / 256) in 1/65535, cut to a whole number; x : integers >= 0."""
    x = np.asarray(x, np.int64)
    return POWERS[x & 255] >> np.minimum(x >> 8, 31)


class Detector:
    """Pools the scores of the last frames and says when a class begins to be heard.

    The pooled score of a class over scores q_t of the last `window` frames, m being their maximum, is

        floor(256 * sum_t q_t w_t / sum_t w_t),  w_t = 2^(-(m - q_t) * alpha / 65536)

    which is auto-pool (McFee, Salamon, Bello, 2018) with alpha = 65536 / 256 * log2(e) * theirs: 0 is the
    mean, large the maximum. An event is a pooled score that reaches the class's threshold where the one
    before did not, unless the class's last event is less than `rest` frames old: then it is counted as
    suppressed.

    alpha : (classes,) 0..65535; thresholds : (classes,) 1..65535; window : frames, 1..64; rest : frames,
        0..65535
    """

    def __init__(self, alpha, thresholds, window: int, rest: int):
        self.alpha = np.asarray(alpha, np.int64)
        self.thresholds = np.asarray(thresholds, np.int64)
        self.window, self.rest = window, rest
        self.start()

    def start(self) -> None:
        """Begins anew: nothing was heard before."""
        classes = len(self.thresholds)
        self._scores: collections.deque = collections.deque(maxlen=self.window)
        self._since = np.full(classes, self.rest, np.int64)
        self._high = np.zeros(classes, bool)
        self.pooled = np.zeros(classes, np.int64)
        self.suppressed = 0

    def hear(self, scores) -> np.ndarray:
        """scores (classes,) 0..255 of one frame -> the classes of which an event begins, ascending."""
        self._scores.append(np.asarray(scores, np.int64))
        self.pooled = pooled(np.array(self._scores), self.alpha)
        high = self.pooled >= self.thresholds
        rising = high & ~self._high
        self._since = np.minimum(self._since + 1, self.rest)
        event = rising & (self._since >= self.rest)
        self._since[event] = 0
        self._high = high
        self.suppressed += int((rising & ~event).sum())
        return np.flatnonzero(event)


def pooled(scores, alpha) -> np.ndarray:
    """scores (frames, classes) 0..255, alpha (classes,) -> (classes,) 0..65280; see `Detector`."""
    weights = power((scores.max(axis=0) - scores) * alpha >> 8)
    return 256 * (scores * weights).sum(axis=0) // weights.sum(axis=0)


class Memory:
    """Prototypes with soft labels, searched by cosine.

    A prototype p is int8, its largest magnitude 127, without zero point. With q = embedding - zero point, the
    rank of a prototype is (q . p) * inverse / 256, inverse being 2^24 / |p| (`inverses`), and its similarity
    rank * 128 / root, root being floor(sqrt(|q|^2 * 2^16)): the cosine in 1/32768. Both quotients are cut
    towards zero. Of the k largest ranks (of equals the earlier prototype), the weights are 2^(-(s_0 - s_i) *
    sharpness / 65536), s_0 the largest similarity; the scores are the weighted mean of the labels, mixed with
    the head's by beta / 256.

    described : of the manifest; prototypes (n, d) int8; labels (n, classes) uint8; zero_point : of the
        embedding
    head : scores that the model gives; classes : of the bundle, those of the head first
    """

    def __init__(self, described: dict, prototypes, labels, zero_point: int, head: int, names):
        self.k, self.beta = described["k"], described["beta"]
        self.sharpness, self.unknown = described["sharpness"], described["unknown"]
        self.prototypes = np.asarray(prototypes, np.int64)
        self.labels = np.asarray(labels, np.int64)
        self.inverse = inverses(self.prototypes)
        self.zero_point, self.head = zero_point, head
        self.names = list(names)
        self.bundled = len(names)  # classes that are not added
        self.added: list = []  # (id, class, prototype, inverse)
        self._next = 1

    @property
    def slots(self) -> int:
        """Scores of a frame: the bundle's classes, those that can be added, and the unknown."""
        return self.bundled + SPARE + 1

    def scores(self, head, embedding):
        """head (classes of the head,) 0..255, embedding (d,) int8 -> scores (slots,) 0..255."""
        result = np.zeros(self.slots, np.int64)
        best, similar = self.nearest(embedding)
        if not len(best):
            result[: self.head] = head
            return result
        if similar[0] < self.unknown:
            result[-1] = 255
            return result
        weights = power((similar[0] - similar) * self.sharpness >> 8)
        for place, weight in zip(best.tolist(), weights.tolist()):  # noqa: B905  strict came with 3.10
            if place < len(self.prototypes):
                result[: self.bundled] += weight * self.labels[place]
            else:
                result[self.added[place - len(self.prototypes)][1]] += weight * 255
        result //= weights.sum()
        mixed = np.asarray(head, np.int64) * (256 - self.beta) + result[: self.head] * self.beta
        result[: self.head] = mixed + 128 >> 8
        return result

    def nearest(self, embedding):
        """The places of the k nearest prototypes, and their similarities in 1/32768, descending."""
        prototypes = np.concatenate([self.prototypes, *(each[2][None] for each in self.added)])
        inverse = np.concatenate([self.inverse, np.array([each[3] for each in self.added], np.int64)])
        query = np.asarray(embedding, np.int64) - self.zero_point
        ranks = quotient(prototypes @ query * inverse, 256)
        best = np.argsort(-ranks, kind="stable")[: self.k]
        root = math.isqrt(int(query @ query) << 16)
        return best, quotient(ranks[best] * 128, root) if root else np.zeros(len(best), np.int64)

    def similarity(self, embedding) -> int:
        """To the nearest prototype; 0 where there is none."""
        similar = self.nearest(embedding)[1]
        return int(similar[0]) if len(similar) else 0

    def add(self, label: str, embeddings, capacity: int = 1 << 30):
        """Adds the mean of some embeddings (n, d) int8 as a prototype; its id, or None where there is no
        room.
        """
        place = self._class_of(label)
        if place is None or len(self.added) >= capacity:
            return None
        total = (np.asarray(embeddings, np.int64) - self.zero_point).sum(axis=0)
        values = scaled(total)
        self.added.append((self._next, place, values, int(inverses(values[None])[0])))
        self._next += 1
        return self.added[-1][0]

    def remove(self, number: int) -> bool:
        """Removes what was added under that id; whether it was there."""
        kept = [each for each in self.added if each[0] != number]
        found = len(kept) < len(self.added)
        self.added = kept
        used = {each[1] for each in kept}
        for place in range(self.bundled, len(self.names)):
            if place not in used:
                self.names[place] = ""
        return found

    def _class_of(self, label: str):
        if label in self.names:
            return self.names.index(label)
        free = self.names.index("", self.bundled) if "" in self.names[self.bundled :] else len(self.names)
        if free >= self.bundled + SPARE:
            return None
        self.names[free:] = [label, *self.names[free + 1 :]]
        return free


def quotient(a, b: int):
    """a / b, cut towards zero, as C does it."""
    a = np.asarray(a, np.int64)
    return np.sign(a) * (np.abs(a) // b)


def scaled(total) -> np.ndarray:
    """Integers (d,) -> the same direction with a largest magnitude of 127; zeros stay zeros."""
    total = np.asarray(total, np.int64)
    most = int(np.abs(total).max())
    return quotient(2 * total * 127 + np.sign(total) * most, 2 * most) if most else total


def inverses(prototypes) -> np.ndarray:
    """prototypes (n, d) -> floor(2^32 / floor(256 * length)) of each; 0 for one of zeros."""
    squares = np.square(np.asarray(prototypes, np.int64)).sum(axis=1).tolist()
    return np.array([(1 << 32) // math.isqrt(each << 16) if each else 0 for each in squares], np.int64)


# ---- hearing


class Frontend:
    """Samples -> log-mel patch for a float model, from the constants of frontend.json, which
    `edgesea.frontend` explains.

    reach : samples that a patch is made of; period : samples from one possible patch to the next, as in C
    """

    def __init__(self, fields: dict):
        f = {"mel_slopes": "hz", "root": 1, "offset": 0.0, "amin": 0.0, "reference": "one", **fields}
        self.rate, self.frames, self.mels, self.hop = f["sample_rate"], f["frames"], f["mels"], f["hop"]
        self.samples, self.length, self.fft_size = f["samples"], f["window_length"], f["fft_size"]
        whole = (self.frames - 1) * self.hop + self.length
        before = {"valid": 0, "same": max(0, whole - self.samples) // 2, "centre": self.length // 2}[
            f["padding"]
        ]
        after = 0 if f["padding"] == "valid" else max(0, whole - self.samples - before)
        padded = before > 0 or after > 0
        self._padding = (before, after)
        self.reach = self.samples if padded else whole
        self.period = self.samples if padded else self.hop
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.length) / self.length)
        self._matrix = mel_matrix(f)
        self._fields = f

    def patch(self, pcm) -> np.ndarray:
        """pcm (reach,) int16 -> (frames, mels) float32."""
        f = self._fields
        sound = np.pad(pcm.astype(np.float64) / 32768, self._padding)
        rows = np.lib.stride_tricks.sliding_window_view(sound, self.length)[
            : self.hop * self.frames : self.hop
        ]
        spectrum = np.fft.rfft(rows * self._window, self.fft_size)
        energy = spectrum.real**2 + spectrum.imag**2
        mel = (np.sqrt(energy) if f["power"] == 1 else energy) @ self._matrix
        if f["root"] == 2:
            mel = np.sqrt(mel)
        value = np.log(np.maximum(mel + f["offset"], f["amin"])) * (
            10 / math.log(10) if f["log"] == "db" else 1.0
        )
        if f["reference"] == "max":
            value -= value.max()
        return (value if f.get("floor") is None else np.maximum(value, f["floor"])).astype(np.float32)


def mel_matrix(f: dict) -> np.ndarray:
    """The triangles, (bins, mels) float64."""
    step = math.log(6.4) / 27

    def to_mel(hz):
        if f["mel_scale"] == "htk":
            return 2595 * np.log10(1 + hz / 700)
        return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1000) / 1000) / step)

    def to_hz(mel):
        if f["mel_scale"] == "htk":
            return 700 * (10 ** (mel / 2595) - 1)
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(step * (np.maximum(mel, 15) - 15)))

    ends = [float(to_mel(np.float64(f[end]))) for end in ("fmin", "fmax")]
    edges_hz = to_hz(np.linspace(ends[0], ends[1], f["mels"] + 2))
    place = np.arange(f["fft_size"] // 2 + 1) * (f["sample_rate"] / f["fft_size"])
    edges = edges_hz
    if f["mel_slopes"] == "mel":
        place, edges = to_mel(place), np.linspace(ends[0], ends[1], f["mels"] + 2)
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (place[:, None] - low) / (peak - low)
    matrix = np.maximum(0, np.minimum(rising, (high - place[:, None]) / (high - peak)))
    return matrix * (2 / (edges_hz[2:] - edges_hz[:-2])) if f.get("mel_norm") == "slaney" else matrix


# ---- hearing in integers
#
# What the C of a bundle computes, value by value, in int64: runtime/edgesea_frontend.h and the files beside
# it say why. A number of any size is a pair (mantissa, exponent) of arrays, mantissa * 2^exponent, the
# mantissa of 32 bits with the top one set, or 0.

# log2(1 + i / 64) with 15 fraction bits, i = 0..64
LOGARITHMS = np.round(32768 * np.log2(1 + np.arange(65) / 64)).astype(np.int64)
# sqrt((i + 64) / 256) with 16 fraction bits, i = 0..192; the last one, 1.0, is cut
ROOTS = np.minimum(np.round(65536 * np.sqrt((np.arange(193) + 64) / 256)), 65535).astype(np.int64)
LEAST_LEVEL = -30000  # of nothing


def bits(values) -> np.ndarray:
    """How many bits integers of 0 to 2^63 - 1 have."""
    high = values >> 32
    return np.where(high > 0, 32 + np.frexp(high.astype(float))[1], np.frexp((values & 0xFFFFFFFF) * 1.0)[1])


def normalised(values, exponent):
    """values * 2^exponent, cut to 32 bits; values : integers, 0 to 2^63 - 1."""
    count = bits(values)
    cut = np.where(count > 32, values >> np.maximum(count - 32, 0), values << np.maximum(32 - count, 0))
    return cut, np.where(values > 0, exponent + count - 32, 0)


def root(number):
    """The square root."""
    mantissa, exponent = number
    odd = exponent & 1
    m = mantissa >> odd
    i, part = np.maximum((m >> 24) - 64, 0), m & 0xFFFFFF
    found = (ROOTS[i] << 16) + (ROOTS[i + 1] - ROOTS[i]) * (part >> 8)
    return np.where(mantissa > 0, found, 0), np.where(mantissa > 0, (exponent + odd) // 2 - 16, 0)


def total(a, b):
    """The sum of two."""
    swapped = (b[0] == 0) | ((a[0] > 0) & (a[1] >= b[1]))
    small = np.where(swapped, b[0], a[0]), np.where(swapped, b[1], a[1])
    large = np.where(swapped, a[0], b[0]), np.where(swapped, a[1], b[1])
    below = np.where(small[0] > 0, large[1] - small[1], 32)
    return normalised(large[0] + np.where(below < 32, small[0] >> np.clip(below, 0, 32), 0), large[1])


def level(number) -> np.ndarray:
    """256 * log2, rounded."""
    mantissa, exponent = number
    i, part = mantissa >> 25 & 63, mantissa >> 9 & 0xFFFF
    fraction = (LOGARITHMS[i] << 8) + ((LOGARITHMS[i + 1] - LOGARITHMS[i]) * part >> 8)
    return np.where(mantissa > 0, (exponent + 31) * 256 + (fraction + 0x4000 >> 15), LEAST_LEVEL)


def upper(re, im, c, s):
    """(re + i im) (c - i s) / 2^32, cut."""
    return re * c + im * s >> 32, im * c - re * s >> 32


def joined(a, b, c, d):
    """Four-point DFTs of four arrays of complex numbers, each (re, im)."""
    (are, aim), (bre, bim), (cre, cim), (dre, dim) = a, b, c, d
    return (
        (are + cre + bre + dre, aim + cim + bim + dim),
        (are - cre + bim - dim, aim - cim - bre + dre),
        (are + cre - bre - dre, aim + cim - bim - dim),
        (are - cre - bim + dim, aim - cim + bre - dre),
    )


class Ears(Frontend):
    """Samples -> int8 patch, as every core makes it: the same to the byte.

    tables : of the bundle's frontend.npz, see `firmware_export.frontend.integer_tables`
    """

    def __init__(self, fields: dict, tables: dict):
        super().__init__(fields)
        self._t: dict = {}
        for name, values in tables.items():
            whole = values if values.dtype == np.float32 else values.astype(np.int64)
            self._t[name] = whole if values.ndim else int(values)
        bins = self._t["wide_weights"].size // 2
        first = self._t["first_bin"]
        self._bins = slice(first, first + bins)
        self._weights = self._t["wide_weights"].reshape(bins, 2)
        self._edges = np.concatenate([[0], np.cumsum(self._t["segments"])])
        plain = self._t["offsets"].view(np.int32).astype(np.int64)
        self._offsets = (plain << 8 & 0xFFFFFFFF | 0x80000000) * (plain > 0), (plain >> 23) - 158
        self._wide_bins = self._in_order()
        self._passes = _passes(self.fft_size, self._t["wide_sine"])

    def patch(self, pcm) -> np.ndarray:
        """pcm (reach,) int16 -> (frames, mels) int8."""
        sound = np.pad(np.asarray(pcm, np.int64), self._padding)
        rows = np.lib.stride_tricks.sliding_window_view(sound, self.length)[
            : self.hop * self.frames : self.hop
        ]
        return self._quantised(self.levels(rows))

    def levels(self, rows) -> np.ndarray:
        """rows (n, window_length) of samples -> the levels of their bands (n, mels), 256 * log2."""
        rows = np.pad(rows, ((0, 0), (0, self.fft_size - self.length)))
        values, clear = self._fast(rows)
        again = np.flatnonzero(~clear) if self._t["wide"] else ()
        found = self._level(values)
        if len(again):
            found[again] = self._level(self._wide(rows[again]))
        return found

    def _quantised(self, levels) -> np.ndarray:
        t = self._t
        values = levels - (levels.max() if t["relative"] else 0)
        values = np.minimum(np.maximum(values, t["low"]), t["high"]) * t["multiplier"] + t["zero"] >> 20
        return np.clip(values, -128, 127).astype(np.int8)

    def _level(self, values) -> np.ndarray:
        return np.clip(level(values) + self._t["band_levels"], self._t["least"], 32767)

    def _finished(self, bands):
        """Sums of bands -> with root and offset."""
        return total(root(bands) if self._t["root"] else bands, self._offsets)

    def _in_order(self):
        """Of each band its bins in the order in which they are added: (mels, most) places and weights."""
        edges, mels = self._edges, self.mels
        most = int((edges[2:] - edges[:-2]).max())
        places, weights = np.zeros((mels, most), np.int64), np.zeros((mels, most), np.int64)
        for band in range(mels):
            rising, falling = range(edges[band], edges[band + 1]), range(edges[band + 1], edges[band + 2])
            count = len(rising) + len(falling)
            places[band, :count] = [*rising, *falling]
            weights[band, :count] = [*self._weights[rising, 1], *self._weights[falling, 0]]
        return places, weights

    # In int32 with an exponent a row: edgesea_fft_fixed.c, edgesea_mel_fixed.c.

    def _fast(self, rows):
        """Values of the bands, and whether the noise of 32 bits is far below all of a row."""
        spectrum, exponent = self._spectrum(rows)
        # A sum of 78 bits, of its upper and its lower half; band m rises in segment m and falls in the next.
        halves = []
        for part in (spectrum >> 32, spectrum & 0xFFFFFFFF):
            sums = np.zeros((len(rows), len(self._weights) + 1, 2), np.int64)
            np.cumsum(part[:, self._bins, None] * self._weights, axis=1, out=sums[:, 1:])
            of_segment = np.diff(sums[:, self._edges], axis=1)
            halves.append(of_segment[:, :-1, 1] + of_segment[:, 1:, 0])
        high, low = halves[0] + (halves[1] >> 32), halves[1] & 0xFFFFFFFF
        count = bits(high)
        unit = exponent[:, None] - 16 - self._t["wide_shifts"]
        # The upper 32 bits of both.
        above = np.clip(count, 0, 32)
        near = (high << (32 - above)) | (low >> above), unit + above
        far = normalised(high, unit + 32)
        small = normalised(low, unit)
        pick = np.where(count > 32, 2, np.where(count > 0, 1, 0))
        values = self._finished(tuple(np.choose(pick, each) for each in zip(small, near, far)))  # noqa: B905
        step = exponent + (16 if self._t["magnitude"] else 0)
        least = self._t["fixed_clear"] + (step + 1 >> 1 if self._t["root"] else step)
        good = (values[0] > 0) & (values[1] + 31 >= least[:, None])
        return values, (good | (self._t["band_levels"] == -32768)).all(axis=1) | (exponent <= -1000)

    def _spectrum(self, rows):
        """rows (n, fft_size) -> the powers or magnitudes of their bins (n, bins), an exponent a row."""
        window = self._t["wide_window"]
        gathered = np.bitwise_or.reduce(np.where(rows < 0, ~rows | 1, rows), axis=1)
        up = np.where(gathered > 0, 15 - bits(gathered), 16)
        raised = rows << up[:, None]
        windowed = raised * (window >> 16) + (raised * (window & 0xFFFF) >> 16) + 4 >> 3
        re, im = self._first_pass(windowed[:, 0::2], windowed[:, 1::2])
        gathered = np.bitwise_or.reduce(re ^ re >> 63 | im ^ im >> 63, axis=1)
        bound, halvings = 2 * bits(gathered | 1) + 1, np.zeros(len(rows), np.int64)
        for length, twiddles in self._passes:
            shift = np.where(bound > 60, (bound - 59) // 2, 0)
            re, im = _radix_4(re, im, length, twiddles, shift[:, None, None])
            halvings += 1 + shift
            bound += 2 - 2 * shift
        exponent = halvings + 1 - 27 - up
        spectrum = self._split(re, im)
        exponent = exponent - 16 if self._t["magnitude"] else 2 * exponent
        return spectrum, np.where(up == 16, -1000, exponent)

    def _first_pass(self, re, im):
        """Complex samples (n, fft_size / 2) -> DFTs of four or eight of them, in digit-reversed order."""
        half = self.fft_size // 2
        radix = 8 if self.fft_size & 0x5555 else 4
        places = _reversed(half // radix)[:, None] + np.arange(radix) * (half // radix)
        x = [(re[:, places[:, k]], im[:, places[:, k]]) for k in range(radix)]
        found = joined(*x) if radix == 4 else _joined_8(x)
        return tuple(
            np.stack([each[part] for each in found], axis=2).reshape(len(re), half) for part in (0, 1)
        )

    def _split(self, re, im) -> np.ndarray:
        """The complex DFT of half the points -> strengths of the real one's bins."""
        half, sine = self.fft_size // 2, self._t["wide_sine"]
        k = np.arange(1, half // 2)
        xre, xim, yre, yim = re[:, k] >> 1, im[:, k] >> 1, re[:, half - k] >> 1, im[:, half - k] >> 1
        even = xre + yre >> 1, xim - yim >> 1
        turned = upper(xim + yim, yre - xre, _cut(sine[half // 2 - k]), _cut(sine[k]))
        found = np.empty((len(re), half + 1), np.int64)
        found[:, k] = self._strength(even[0] + turned[0], even[1] + turned[1])
        found[:, half - k] = self._strength(even[0] - turned[0], even[1] - turned[1])
        found[:, half // 2] = self._strength(re[:, half // 2] >> 1, im[:, half // 2] >> 1)
        found[:, 0] = self._strength((re[:, 0] >> 1) + (im[:, 0] >> 1), 0)
        found[:, half] = self._strength((re[:, 0] >> 1) - (im[:, 0] >> 1), 0)
        return found

    def _strength(self, re, im):
        power_of = re * re + im * im
        if not self._t["magnitude"]:
            return power_of
        mantissa, exponent = root(normalised(power_of, 32))
        return np.where(
            exponent > 0, mantissa << np.maximum(exponent, 0), mantissa >> np.maximum(-exponent, 0)
        )

    # In int64, for the rows in which that noise would show: edgesea_fft_wide.c, edgesea_mel_wide.c.

    def _wide(self, rows):
        """Values of the bands."""
        bins = self._wide_spectrum(rows)
        places, weights = self._wide_bins
        sums, exponent = np.zeros((2, len(rows), self.mels), np.int64)
        for k in range(places.shape[1]):
            mantissa, new = (each[:, self._bins][:, places[:, k]] for each in bins)
            term = mantissa * weights[:, k]
            exponent = np.where((sums == 0) & (term > 0), new, exponent)
            above = new - exponent
            higher = (above > 0) & (term > 0)
            sums = np.where(higher, sums >> np.clip(above, 0, 63), sums)
            exponent = np.where(higher, new, exponent)
            sums = sums + (term >> np.clip(-above, 0, 63))
        return self._finished(normalised(sums, exponent - 16 - self._t["wide_shifts"]))

    def _wide_spectrum(self, rows):
        """rows (n, fft_size) -> the powers or magnitudes of their bins, (mantissas, exponents)."""
        half, sine, window = self.fft_size // 2, self._t["wide_sine"], self._t["wide_window"]
        order = _reversed(half, 2)
        re, im = rows[:, 2 * order] * window[2 * order], rows[:, 2 * order + 1] * window[2 * order + 1]
        length = 1
        while length < half:
            re, im = _radix_2(re, im, length, sine)
            length *= 2
        k = np.arange(1, half // 2)
        are, aim, bre, bim = re[:, k], im[:, k], re[:, half - k], im[:, half - k]
        turned = _rotated(aim + bim, bre - are, sine[half // 2 - k], sine[k])
        parts = np.empty((2, len(rows), half + 1), np.int64)
        parts[:, :, k] = are + bre + turned[0], aim - bim + turned[1]
        parts[:, :, half - k] = are + bre - turned[0], aim - bim - turned[1]
        parts[:, :, half // 2] = 2 * re[:, half // 2], 2 * im[:, half // 2]
        parts[:, :, 0] = 2 * (re[:, 0] + im[:, 0]), np.zeros(len(rows))
        parts[:, :, half] = 2 * (re[:, 0] - im[:, 0]), np.zeros(len(rows))
        x, y = np.abs(parts)
        shift = np.maximum(bits(x | y) - 31, 0)
        found = normalised((x >> shift) ** 2 + (y >> shift) ** 2, 2 * (shift - 47))
        return root(found) if self._t["magnitude"] else found


def _reversed(count: int, radix: int = 4) -> np.ndarray:
    """0 .. count - 1 with their digits the other way round; count : a power of radix."""
    places = np.zeros(1, np.int64)
    while len(places) < count:
        places = (np.arange(radix)[:, None] * (count // radix // len(places)) + places).ravel()
    return places


def _cut(sine):
    """1.0, which is 2^31, as the nearest int32 below."""
    return sine - (sine >> 31)


def _passes(n: int, sine) -> list:
    """The lengths of the passes of radix 4 after the first, each with its three twiddles (c, s)."""
    found, length = [], 8 if n & 0x5555 else 4
    while length < n // 2:
        j = np.arange(length) * (n // (4 * length))
        s1, c1 = _cut(sine[j]), _cut(sine[n // 4 - j])
        s2 = _doubled(2 * (s1 * c1 >> 32))
        c2 = _doubled(0x40000000 - 2 * (s1 * s1 >> 32))
        s3 = _doubled(s1 * c2 + c1 * s2 >> 32)
        c3 = _doubled(c1 * c2 - s1 * s2 >> 32)
        found.append((length, ((c1, s1), (c2, s2), (c3, s3))))
        length *= 4
    return found


def _doubled(half):
    """Twice a number of at most 2^30; 2^31 would not fit."""
    return np.clip(2 * half, -0x7FFFFFFF, 0x7FFFFFFF)


def _radix_4(re, im, length: int, twiddles, shift):
    """Joins spectra of `length` points, four by four, and divides by 2^(1 + shift)."""
    shape = (len(re), -1, 4, length)
    re, im = re.reshape(shape), im.reshape(shape)
    parts = [(re[:, :, 0] >> 1 + shift, im[:, :, 0] >> 1 + shift)]
    for k, (c, s) in enumerate(twiddles, 1):
        own = upper(re[:, :, k], im[:, :, k], c >> shift, s >> shift)
        for place, part in zip((re, im), own):  # noqa: B905
            part[:, :, :1] = place[:, :, k, :1] >> 1 + shift
        parts.append(own)
    found = joined(*parts)
    return tuple(np.stack([each[part] for each in found], axis=2).reshape(len(re), -1) for part in (0, 1))


def _joined_8(x):
    """Eight-point DFTs; see first_radix_8 of edgesea_fft_fixed.c."""
    sums = [(x[k][0] + x[k + 4][0], x[k][1] + x[k + 4][1]) for k in range(4)]
    (d0re, d0im), (d1re, d1im), (d2re, d2im), (d3re, d3im) = (
        (x[k][0] - x[k + 4][0], x[k][1] - x[k + 4][1]) for k in range(4)
    )
    h = 0x5A82799A  # 2^31 / sqrt 2
    pre, pim = 2 * (d1re + d1im) * h >> 32, 2 * (d1im - d1re) * h >> 32
    qre, qim = 2 * (d3im - d3re) * h >> 32, 2 * (-d3re - d3im) * h >> 32
    even = d0re + d2im, d0im - d2re
    back = d0re - d2im, d0im + d2re
    plus, minus = (pre + qre, pim + qim), (pre - qre, pim - qim)
    y0, y2, y4, y6 = joined(*sums)
    return (
        y0,
        (even[0] + plus[0], even[1] + plus[1]),
        y2,
        (back[0] + minus[1], back[1] - minus[0]),
        y4,
        (even[0] - plus[0], even[1] - plus[1]),
        y6,
        (back[0] - minus[1], back[1] + minus[0]),
    )


def _radix_2(re, im, length: int, sine):
    """Joins spectra of `length` points, two by two, in int64."""
    half, step = length // 2, re.shape[1] // length
    shape = (len(re), -1, 2, length)
    re, im = re.reshape(shape), im.reshape(shape)
    tre, tim = re[:, :, 1], im[:, :, 1]
    if half:
        j = np.arange(half) * step
        c, s = sine[len(sine) - 1 - j], sine[j]
        near = _rotated(tre[:, :, :half], tim[:, :, :half], c, s)
        far = _rotated(tre[:, :, half:], tim[:, :, half:], c, s)
        tre, tim = np.concatenate([near[0], far[1]], 2), np.concatenate([near[1], -far[0]], 2)
    re = np.stack([re[:, :, 0] + tre, re[:, :, 0] - tre], axis=2)
    im = np.stack([im[:, :, 0] + tim, im[:, :, 0] - tim], axis=2)
    return re.reshape(len(re), -1), im.reshape(len(im), -1)


def _times(a, w):
    """a * w / 2^31, cut; w : 0..2^31."""
    return (a >> 32) * w * 2 + ((a & 0xFFFFFFFF) * w >> 31)


def _rotated(re, im, c, s):
    """(re + i im) (c - i s) / 2^31."""
    return _times(re, c) + _times(im, s), _times(im, c) - _times(re, s)


class Framer:
    """Cuts a stream of samples into the frames that the sensor program decides on: every `every`-th patch."""

    def __init__(self, frontend: Frontend, every: int):
        self._reach, self._step = frontend.reach, every * frontend.period
        self._held = np.zeros(0, np.int16)
        self._skip = 0
        self.samples = 0  # from the beginning to the end of the last frame

    def push(self, pcm):
        """Yields (samples from the beginning to the frame's end, frame (reach,) int16)."""
        self._held = np.concatenate([self._held, pcm])
        while True:
            if self._skip:
                part = min(self._skip, len(self._held))
                self._held, self._skip = self._held[part:], self._skip - part
                self.samples += part
            if self._skip or len(self._held) < self._reach:
                return
            yield self.samples + self._reach, self._held[: self._reach]
            self._skip = self._step


class Decider:
    """What a bundle makes of each frame: memory and detector, with the names of the classes.

    decisions : of the manifest; memory : {'prototypes', 'labels'}, or None; zero_point : of the embedding
    """

    def __init__(self, decisions: dict, memory=None, zero_point: int = 0):
        self.labels = list(decisions["labels"])
        self.head = decisions["head"]
        self.memory = None
        alpha, thresholds = list(decisions["alpha"]), list(decisions["thresholds"])
        if memory is not None:
            self.memory = Memory(
                decisions["memory"],
                memory["prototypes"],
                memory["labels"],
                zero_point,
                self.head,
                self.labels,
            )
            alpha += [0] * (SPARE + 1)
            thresholds += [ADDED_THRESHOLD] * (SPARE + 1)
        self.detector = Detector(alpha, thresholds, decisions["window"], decisions["rest"])
        self.start = self.detector.start

    def hear(self, scores, embedding=None) -> list:
        """scores (classes of the head,) 0..255, embedding (d,) int8 -> [(label, pooled score)] of this
        frame.
        """
        if self.memory is not None:
            scores = self.memory.scores(scores, embedding)
        events = self.detector.hear(scores)
        return [(self.name(place), int(self.detector.pooled[place])) for place in events.tolist()]

    def name(self, place: int) -> str:
        """What a class is called."""
        if self.memory is None:
            return self.labels[place]
        return UNKNOWN if place == self.memory.slots - 1 else self.memory.names[place]


# ---- the bundle


RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
LARGEST_JSON = 64 << 20


class Bundle:
    """What is needed of a bundle's folder: its manifest, its model in this process, its memory."""

    def __init__(self, folder: str, kernels: str = "reference"):
        self.folder = folder
        self.manifest = _json(os.path.join(folder, "manifest.json"))
        self.decisions = self.manifest.get("decisions")
        if self.manifest.get("format") != "edgesea bundle" or self.manifest.get("format_version") != 1:
            raise Refused(f"{folder} is not a bundle that this program reads: export it again.")
        if not self.decisions or not self.manifest.get("frontend"):
            raise Refused(
                f"The bundle {folder} has neither head nor memory, or no frontend: export it with --head or "
                "--memory."
            )
        name = "model_int8.tflite" if self.manifest.get("int8") else "model_float.tflite"
        described = self.manifest.get("int8") or self.manifest["float"]
        if self.manifest.get("int8"):
            self.frontend: Frontend = Ears(self.manifest["frontend"], self.arrays("frontend.npz"))
        else:
            self.frontend = Frontend(self.manifest["frontend"])
        self.model = Model(self.file(name), described["sha256"], kernels)
        held = self.decisions.get("memory")
        memory = self.arrays("memory.npz") if held else None
        self.decider = Decider(self.decisions, memory, described["output"].get("zero_point", 0))
        self._embeds = bool(described.get("scores")) or not self.decisions["head"]

    def file(self, name: str) -> str:
        """The path of one of its files."""
        path = os.path.join(self.folder, name)
        if not os.path.isfile(path):
            raise Refused(f"The file {path} is missing: copy the bundle whole.")
        return path

    def arrays(self, name: str) -> dict:
        """name -> array of one of its .npz files."""
        with np.load(self.file(name), allow_pickle=False) as arrays:
            return dict(arrays)

    def hear(self, frame) -> list:
        """frame (reach,) int16 -> [(label, pooled score)] of the events that begin with it."""
        outputs = [each.ravel() for each in self.model.invoke(self.frontend.patch(frame))]
        scores = self.model.scores(outputs[-1]) if self.decisions["head"] else ()
        return self.decider.hear(scores, outputs[0] if self._embeds else None)

    def golden(self) -> dict:
        """Runs the golden inputs: {'vectors', 'same', 'largest', 'mean'}, of all output values in int8
        steps.
        """
        arrays = self.arrays("golden.npz")
        inputs, outputs = arrays["inputs"], arrays["outputs"].astype(np.int64)
        found = np.stack(
            [np.concatenate([each.ravel() for each in self.model.invoke(one)]) for one in inputs]
        )
        off = np.abs(found.astype(np.int64) - outputs)
        return {
            "vectors": len(inputs),
            "same": float((off == 0).mean()),
            "largest": int(off.max()),
            "mean": float(off.mean()),
        }


class Model:
    """A .tflite in this process.

    kernels : 'reference' is what the C model and `edgesea evaluate` are held to, to the bit; 'fast' is
        XNNPACK, which rounds otherwise here and there
    """

    def __init__(self, path: str, sha256: str, kernels: str):
        with open(path, "rb") as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Refused(
                f"The file {path} is not the one that the manifest describes: copy the bundle again."
            )
        runtime = _runtime()
        options = {}
        if kernels == "reference":
            options["experimental_op_resolver_type"] = runtime.OpResolverType.BUILTIN_REF
        self._interpreter = runtime.Interpreter(model_content=content, num_threads=1, **options)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._outputs = self._interpreter.get_output_details()
        self._int8 = self._input["dtype"] == np.int8

    def invoke(self, values) -> list:
        """Input in the model's own type -> its outputs."""
        self._interpreter.set_tensor(self._input["index"], values.reshape(self._input["shape"]))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(each["index"]) for each in self._outputs]

    def scores(self, output):
        """An output of scores -> 0..255."""
        if self._int8:
            return output.astype(np.int64) + 128
        return np.clip(np.floor(output.astype(np.float64) * 256 + 0.5), 0, 255).astype(np.int64)


def _runtime():
    for name in RUNTIMES:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise Refused("No LiteRT runtime is installed: python3 -m pip install ai-edge-litert")


def _json(path: str):
    try:
        with open(path, encoding="utf-8") as file:
            return json.loads(file.read(LARGEST_JSON))
    except (OSError, ValueError) as error:
        raise Refused(f"The file {path} cannot be read ({error}): name the folder of a bundle.") from None


# ---- sound


BLOCK_S = 0.1  # seconds of sound that are read at a time
HELD_S = 5.0  # seconds of live sound that may wait; what comes on top of them is dropped
SILENT_S = 5.0  # after which a microphone that gives nothing is said to be silent
AGAIN_S = 1.0  # from one try to the next to open a microphone that is gone
REBASE_S = 1.0  # a live stream's clock is set anew where it is further off


class Clock:
    """When a sample was heard: from a moment that is known, on by the count of samples.

    With `live` a stream that strays from the machine's own clock is set anew; a file never is.
    """

    def __init__(self, rate: int, live: bool, now=time.time):
        self.rate, self.live, self._now = rate, live, now
        self._at, self._samples = now(), 0

    def heard(self, samples: int) -> None:
        """`samples` have come by now."""
        if self.live and abs(self.when(samples) - self._now()) > REBASE_S:
            self.set(samples)

    def set(self, samples: int) -> None:
        """The stream goes on here after a gap."""
        self._at, self._samples = self._now(), samples

    def when(self, samples: int) -> float:
        """Seconds since 1970."""
        return self._at + (samples - self._samples) / self.rate


class Live:
    """Reads a microphone in a thread of its own; holds `HELD_S` of sound at most, and drops what is more.

    start : opens it; returns (a function that reads up to n bytes, b"" at its end; one that closes it)
    """

    def __init__(self, start, rate: int, say, clock: Clock):
        self._start, self._rate, self._say, self._clock = start, rate, say, clock
        self._queue: queue.Queue = queue.Queue(max(1, int(HELD_S / BLOCK_S)))
        self._ended = threading.Event()
        self.dropped = 0  # samples
        self._samples = 0
        self._last = time.monotonic()
        threading.Thread(target=self._read, name="microphone", daemon=True).start()

    def blocks(self):
        """Yields (samples before it, block int16), and None now and then where nothing comes."""
        silent = False
        while not self._ended.is_set():
            try:
                block = self._queue.get(timeout=0.2)
            except queue.Empty:
                if not silent and time.monotonic() - self._last > SILENT_S:
                    silent = True
                    self._say({"microphone": "silent"})
                yield None
                continue
            if silent:
                silent = False
                self._say({"microphone": "back"})
            yield block

    def end(self) -> None:
        """Ends `blocks`."""
        self._ended.set()

    @property
    def waiting_s(self) -> float:
        """Seconds of sound that wait."""
        return self._queue.qsize() * BLOCK_S

    def _read(self) -> None:
        gone = False
        while not self._ended.is_set():
            try:
                read, close = self._start()
            except (OSError, Refused) as error:
                if not gone:
                    self._say({"microphone": "gone", "reason": str(error)})
                gone = True
                self._ended.wait(AGAIN_S)
                continue
            self._clock.set(self._samples)
            heard = self._take(read, gone)
            close()
            if heard or not gone:
                self._say({"microphone": "gone", "reason": "its sound ended"})
            gone = True
            self._ended.wait(AGAIN_S)

    def _take(self, read, gone: bool) -> bool:
        size, rest, heard = 2 * max(1, int(BLOCK_S * self._rate)), b"", False
        while not self._ended.is_set():
            content = read(size - len(rest))
            if not content:
                return heard
            rest += content
            if gone and not heard:
                self._say({"microphone": "back"})
            heard = True
            self._last = time.monotonic()
            if len(rest) < size:
                continue
            block, rest = np.frombuffer(rest, "<i2"), b""
            try:
                self._queue.put_nowait((self._samples, block))
            except queue.Full:
                self.dropped += len(block)
            self._samples += len(block)
            self._clock.heard(self._samples)
        return heard


def microphone(device: str, rate: int):
    """How a microphone is opened: ALSA's arecord, the package sounddevice, or a FIFO with raw samples."""
    if os.path.exists(device):
        return lambda: _fifo(device)
    arecord = shutil.which("arecord")
    if arecord:
        command = [arecord, "-q", "-D", device, "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(rate)]
        return lambda: _process(command)
    try:
        import sounddevice
    except (ImportError, OSError):
        raise Refused(
            "There is nothing to read a microphone with: sudo apt install alsa-utils, or python3 -m pip "
            "install "
            "sounddevice"
        ) from None
    return lambda: _sounddevice(sounddevice, None if device == "default" else device, rate)


def _fifo(path: str):
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    # A writer comes and goes: an end is one only where something was read before.
    seen = []

    def read(size: int) -> bytes:
        while True:
            ready, _, _ = select.select([handle], [], [], 0.2)
            if ready:
                content = os.read(handle, size)
                if content:
                    seen.append(True)
                    del seen[1:]
                    return content
                if seen:
                    return b""
            time.sleep(0.02)

    return read, lambda: os.close(handle)


def _process(command: list):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0)

    def close() -> None:
        process.kill()
        process.wait()
        process.stdout.close()

    return process.stdout.read, close


def _sounddevice(sounddevice, device, rate: int):
    stream = sounddevice.RawInputStream(rate, device=device, channels=1, dtype="int16")
    stream.start()
    return lambda size: bytes(stream.read(size // 2)[0]), stream.close


def of_file(path: str, rate: int):
    """Yields (samples before it, block int16) of a WAV of 16 bits, one channel, at `rate`; - is raw
    samples.
    """
    count, samples = max(1, int(BLOCK_S * rate)), 0
    with contextlib.ExitStack() as stack:
        if path == "-":
            read, count = sys.stdin.buffer.read, 2 * count  # bytes
        else:
            read = _wav(stack, path, rate)  # frames
        while True:
            content = read(count)
            block = np.frombuffer(content[: len(content) // 2 * 2], "<i2")
            if not len(block):
                return
            yield samples, block
            samples += len(block)


def _wav(stack, path: str, rate: int):
    try:
        file = stack.enter_context(wave.open(path, "rb"))  # noqa: SIM115
    except (OSError, EOFError, wave.Error) as error:
        raise Refused(
            f"The file {path} is no WAV ({error}): give one, or let `edgesea listen` read it."
        ) from None
    if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate):
        raise Refused(
            f"The file {path} is not of 16 bits, one channel and {rate} Hz: convert it, or let `edgesea "
            f"listen` "
            "read it."
        )
    return file.readframes


# ---- what is said


def stamp(seconds: float) -> str:
    """Seconds since 1970 as UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"


def level_db(pcm) -> float:
    """Of samples, 0 being a square wave of full scale; -99.9 for silence."""
    power_of = float(np.mean(np.square(pcm.astype(np.float64)))) / 32768**2
    return round(10 * math.log10(power_of), 1) if power_of > 0 else -99.9


class Lines:
    """JSON lines on standard output, or in a file with its predecessors FILE.1 (the youngest) to
    FILE.`kept`. The microphone's thread says lines too.
    """

    def __init__(self, path=None, most_bytes: int = 10 << 20, kept: int = 5):
        self._path, self._most, self._kept = path, most_bytes, kept
        self._lock = threading.Lock()
        self._file = open(path, "ab") if path else None  # noqa: SIM115  it is open as long as this is

    def say(self, value: dict) -> None:
        """One line."""
        line = (json.dumps(value) + "\n").encode()
        if self._file is None:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            return
        with self._lock:
            if self._file.tell() and self._file.tell() + len(line) > self._most:
                self._rotate()
            self._file.write(line)
            self._file.flush()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._kept - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")
        self._file = open(self._path, "ab")  # noqa: SIM115


class Clips:
    """Keeps the sound of events as WAV files, the youngest of them, up to a number of bytes."""

    def __init__(self, folder: str, most_bytes: int, rate: int):
        self._folder, self._most, self._rate = folder, most_bytes, rate
        os.makedirs(folder, exist_ok=True)

    def keep(self, seconds: float, label: str, pcm) -> None:
        """One event's frame."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")[:40] or "event"
        name = f"{stamp(seconds).replace(':', '')}-{plain}.wav"
        with wave.open(os.path.join(self._folder, name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self._rate)
            file.writeframes(pcm.astype("<i2").tobytes())
        ours = [
            each
            for each in os.scandir(self._folder)
            if re.match(r"\d{4}-\d\d-\d\dT\d{6}\..*\.wav$", each.name)
        ]
        total = sum(each.stat().st_size for each in ours)
        for each in sorted(ours, key=lambda each: each.name):
            if total <= self._most:
                return
            total -= each.stat().st_size
            os.unlink(each.path)


class Mqtt:
    """Events to a broker, with what Home Assistant wants to be told to show them.

    BASE/event           an event, not retained; BASE/status  online or offline, retained
    homeassistant/...    discovery messages, retained: an event entity, and whether it is there
    While the broker is away, events wait, `room` of them; more are dropped and counted.

    paho's thread calls `_connected` and `_published`, the second with the lock that its `publish` takes: so
    neither ever waits for a lock of ours, which a thread that publishes may hold.
    """

    def __init__(self, url: str, name: str, labels: list, room: int = 1000):
        try:
            import paho.mqtt.client as paho
        except ImportError:
            raise Refused(
                "For --mqtt the package paho-mqtt is missing: python3 -m pip install paho-mqtt"
            ) from None
        place = urllib.parse.urlsplit(url)
        if place.scheme not in ("mqtt", "mqtts") or not place.hostname:
            raise Refused(
                f"Received --mqtt {url}: give mqtt://HOST, mqtts://HOST, or mqtt://USER:PASSWORD@HOST:PORT."
            )
        node = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_") or "edgesea"
        self._base = place.path.strip("/") or f"edgesea/{node}"
        self._hello = _discovery(node, name, self._base, labels)
        self.dropped, self._room = 0, room
        self._waiting: collections.deque = collections.deque()
        self._underway: set = set()  # ids of messages that were handed to paho and may not have arrived
        self._arrived: collections.deque = collections.deque()  # ids, of hellos too
        self._handing = threading.Lock()
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=f"edgesea-{node}", clean_session=False
        )
        if place.username:
            self._client.username_pw_set(
                urllib.parse.unquote(place.username), urllib.parse.unquote(place.password or "")
            )
        if place.scheme == "mqtts":
            self._client.tls_set()
        self._client.will_set(f"{self._base}/status", "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._connected
        self._client.on_publish = self._published
        self._client.connect_async(
            place.hostname, place.port or (8883 if place.scheme == "mqtts" else 1883), 30
        )
        self._client.loop_start()

    def say(self, value: dict) -> None:
        """One event."""
        if self.waiting >= self._room:
            self.dropped += 1
            return
        self._waiting.append(json.dumps({"event_type": value["event"], **value}))
        self._send()

    @property
    def waiting(self) -> int:
        """Events that the broker has not taken yet."""
        with self._handing:
            while self._arrived:
                self._underway.discard(self._arrived.popleft())
            return len(self._waiting) + len(self._underway)

    def close(self, patience_s: float = 3.0) -> None:
        """Gives what waits a little time, and says goodbye."""
        until = time.monotonic() + patience_s
        while self.waiting and time.monotonic() < until:
            time.sleep(0.05)
        with contextlib.suppress(ValueError, RuntimeError):  # where it is not connected
            self._client.publish(f"{self._base}/status", "offline", qos=1, retain=True).wait_for_publish(1)
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client, userdata, flags, reason, properties) -> None:
        if reason.is_failure:
            return
        for topic, message in [*self._hello, (f"{self._base}/status", "online")]:
            client.publish(topic, message, qos=1, retain=True)
        self._send()

    def _send(self) -> None:
        """Hands over what waits; paho sends again by itself what the broker did not confirm.

        Who finds another thread at it leaves it to that one, which looks once more when it is done.
        """
        while self._waiting and self._client.is_connected() and self._handing.acquire(blocking=False):
            try:
                if not self._handed():
                    return
            finally:
                self._handing.release()

    def _handed(self) -> bool:
        """Hands over one event, if any is left; whether to go on."""
        if not self._waiting:
            return True
        sent = self._client.publish(f"{self._base}/event", self._waiting[0], qos=1)
        if sent.rc not in (0, 4):  # 4: not connected any more; it is queued all the same
            return False
        self._waiting.popleft()
        self._underway.add(sent.mid)
        return True

    def _published(self, client, userdata, mid, reason, properties) -> None:
        self._arrived.append(mid)


def _discovery(node: str, name: str, base: str, labels: list) -> list:
    """Home Assistant's discovery messages: (topic, JSON)."""
    shared = {
        "availability_topic": f"{base}/status",
        "device": {"identifiers": [f"edgesea_{node}"], "name": name, "manufacturer": "edgesea"},
    }
    event = {
        "name": "Sound",
        "unique_id": f"edgesea_{node}_event",
        "state_topic": f"{base}/event",
        "event_types": [*labels, UNKNOWN],
        **shared,
    }
    last = {
        "name": "Last sound",
        "unique_id": f"edgesea_{node}_last",
        "state_topic": f"{base}/event",
        "value_template": "{{ value_json.event }}",
        "json_attributes_topic": f"{base}/event",
        **shared,
    }
    return [
        (f"homeassistant/{kind}/edgesea_{node}/{what}/config", json.dumps(config))
        for kind, what, config in (("event", "event", event), ("sensor", "last", last))
    ]


# ---- the program


class Listener:
    """Sound in, events out: what the command line puts together.

    samples : up to the end of the last block; frames, events, gaps : how many there were
    """

    def __init__(self, bundle: Bundle, say, clock: Clock, clips=None, mqtt=None):
        self.bundle, self._say, self._clock, self._clips, self._mqtt = bundle, say, clock, clips, mqtt
        self._framer = Framer(bundle.frontend, bundle.decisions["every"])
        self._fresh = bundle.decisions["every"] * bundle.frontend.period
        self.samples = 0
        self.frames = self.events = self.gaps = 0
        self._worked_s = 0.0

    def hear(self, before: int, block) -> None:
        """A block of samples that follows `before` others; where some are missing it begins anew."""
        if before != self.samples:
            self._framer = Framer(self.bundle.frontend, self.bundle.decisions["every"])
            self._framer.samples = before
            self.gaps += 1
        self.samples = before + len(block)
        for end, frame in self._framer.push(block):
            began = time.perf_counter()
            self.frames += 1
            for label, pooled_score in self.bundle.hear(frame):
                self._event(end, label, pooled_score, frame)
            self._worked_s += time.perf_counter() - began

    def _event(self, end: int, label: str, pooled_score: int, frame) -> None:
        self.events += 1
        seconds = self._clock.when(end)
        value = {
            "event": label,
            "confidence": (pooled_score * 10000 >> 16) / 10000,
            "samples": end,
            "time": stamp(seconds),
            "level_db": level_db(frame[-self._fresh :]),
        }
        self._say(value)
        if self._mqtt is not None:
            self._mqtt.say(value)
        if self._clips is not None:
            self._clips.keep(seconds, label, frame)

    def status(self, live=None) -> dict:
        """What it has done so far, and what it costs."""
        rate = self.bundle.frontend.rate
        sound_s = max(1e-9, self.samples / rate)
        found = {
            "samples": self.samples,
            "rate": rate,
            "frames": self.frames,
            "events": self.events,
            "suppressed": self.bundle.decider.detector.suppressed,
            "dropped_samples": live.dropped if live else 0,
            "waiting_s": round(live.waiting_s, 2) if live else 0.0,
            "work_share": round(self._worked_s / sound_s, 4),
            "cpu_share": round(time.process_time() / sound_s, 4),
            "memory_bytes": memory_bytes(),
        }
        if self._mqtt is not None:
            found |= {"mqtt_waiting": self._mqtt.waiting, "mqtt_dropped": self._mqtt.dropped}
        return {"status": found}


def memory_bytes() -> int:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _arguments(arguments):
    parser = argparse.ArgumentParser(prog="listen.py", description="Listens with a bundle and says events.")
    parser.add_argument("bundle", help="folder of a bundle with a head or a memory")
    parser.add_argument(
        "file", nargs="?", help="WAV of 16 bits, one channel, at the model's rate; - for raw samples"
    )
    parser.add_argument("--microphone", nargs="?", const="default", help="ALSA's name of one, or a FIFO")
    parser.add_argument("--kernels", choices=("reference", "fast"), default="reference")
    parser.add_argument("--out", help="file of the events, instead of standard output")
    parser.add_argument(
        "--rotate", type=int, default=10 << 20, help="bytes of that file before it is put aside"
    )
    parser.add_argument("--keep", type=int, default=5, help="files put aside that are kept")
    parser.add_argument("--mqtt", help="mqtt://HOST, also of Home Assistant")
    parser.add_argument("--name", help="what the broker calls this sensor; the bundle's name by default")
    parser.add_argument("--keep-clips", help="folder for the sound of events")
    parser.add_argument("--clip-bytes", type=int, default=100 << 20, help="of all clips")
    parser.add_argument(
        "--status", type=float, default=60.0, help="seconds from status to status; 0 for none"
    )
    parser.add_argument("--seconds", type=float, help="of sound, after which it ends")
    parser.add_argument("--check", action="store_true", help="run the golden vectors, and end")
    chosen = parser.parse_args(arguments)
    if not chosen.check and bool(chosen.file) == bool(chosen.microphone):
        parser.error("give a file, or --microphone")
    return chosen


def main(arguments=None) -> int:
    """The command line; returns the exit status."""
    chosen = _arguments(arguments)
    try:
        bundle = Bundle(chosen.bundle, chosen.kernels)
        return _check(bundle) if chosen.check else _listen(bundle, chosen)
    except Refused as error:
        print(f"listen.py: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0


def _check(bundle: Bundle) -> int:
    found = bundle.golden()
    # XNNPACK rounds otherwise than the reference: a step here and there, never much on average.
    passed = found["mean"] <= 1.0
    print(json.dumps({"golden": "passed" if passed else "failed", **found}), flush=True)
    return 0 if passed else 1


def _listen(bundle: Bundle, chosen) -> int:
    rate = bundle.frontend.rate
    lines = Lines(chosen.out, chosen.rotate, chosen.keep)
    name = chosen.name or str(bundle.manifest["name"])
    mqtt = Mqtt(chosen.mqtt, name, bundle.decider.labels) if chosen.mqtt else None
    clips = Clips(chosen.keep_clips, chosen.clip_bytes, rate) if chosen.keep_clips else None
    clock = Clock(rate, live=chosen.microphone is not None)
    listener = Listener(bundle, lines.say, clock, clips, mqtt)
    live = None
    if chosen.microphone:
        live = Live(microphone(chosen.microphone, rate), rate, lines.say, clock)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: live.end())
    next_status = time.monotonic() + chosen.status
    most = None if chosen.seconds is None else chosen.seconds * rate
    for heard in live.blocks() if live else of_file(chosen.file, rate):
        if heard is not None:
            listener.hear(*heard)
        if chosen.status and time.monotonic() >= next_status:
            next_status = time.monotonic() + chosen.status
            lines.say(listener.status(live))
        if most is not None and listener.samples >= most:
            break
    if live:
        live.end()
    if mqtt is not None:
        mqtt.close()
    lines.say(listener.status(live))
    return 0


if __name__ == "__main__":
    sys.exit(main())
