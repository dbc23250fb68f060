"""Listens with a bundle and says events: the one file that goes to a Raspberry Pi.

It needs Python 3.9 or newer, NumPy, and ai-edge-litert or tflite-runtime; nothing of edgesea. For a
microphone it needs ALSA's arecord or the package sounddevice, for --mqtt the package paho-mqtt. `edgesea
listen` runs this same file, `edgesea deploy` copies it, and `edgesea evaluate` scores a bundle with its
classes, so all of them hear alike.

    python3 listen.py BUNDLE sound.wav
    arecord -q -t raw -f S16_LE -c 1 -r 16000 | python3 listen.py BUNDLE -

What a device decides is worked out in integers, the same to the bit as in the C of the bundle:

    samples, 16 bits -> `Frontend` -> int8 patch -> the .tflite -> scores and, where it is kept, the embedding
    embedding -> `Memory`: the k nearest prototypes -> their labels, mixed with the scores by beta
    scores -> `Detector`: pooled over the last frames, held against thresholds -> events

A score is a whole number 0..255, in 1/256; a pooled score 0..65280, in 1/65536.
"""

from __future__ import annotations

import collections
import math

import numpy as np

UNKNOWN = "unknown"
SPARE = 8  # classes that a memory may add to those of the bundle
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
    """Samples -> log-mel patch, from the constants of frontend.json; `edgesea.frontend` says what each means.

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


def quantised(patch, scale: float, zero_point: int) -> np.ndarray:
    """float32 -> int8 as TFLite's QUANTIZE: float32 division, halves away from zero, saturated."""
    steps = (patch / np.float32(scale)).astype(np.float64)
    return np.clip(np.copysign(np.floor(np.abs(steps) + 0.5), steps) + zero_point, -128, 127).astype(np.int8)


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
