"""The frames that a student learns from: drawn from the domain, augmented, the teacher asked again for each.

Example i depends on (seed, i) and on the domain alone, so a killed call goes on with the first shard that
is missing and ends with the same examples. Where the domain is larger than memory, the examples of one
shard are drawn from a random choice of its stretches, as many as are held decoded at a time; where it is
not, from all of it.

A frame that comes out silent (see `levels`) is drawn again, unless silence is kept.

Rows of the store: embedding (n,) float32 and whatever else is asked of the teacher, patch (frames, mels, 1)
float16, level_db float32 (A-weighted), and label (classes,) float32 where the classes are given: each clip's
label counts by its share of the mixture's power, so the row of a frame of one clip, or of a mixture of two of
one class, is one-hot, and that of a mixture of two classes at equal level is a half in each. Noise has no
label and takes no share.
"""

import functools
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea import audio, augment, levels
from edgesea.augment import Augmentation
from edgesea.datasets import Manifest
from edgesea.embed import MOST_BAD_FRAMES, Piece, pieces
from edgesea.errors import EdgeseaError
from edgesea.pairing import Pairing
from edgesea.progress import SILENT, Progress
from edgesea.reduction import Reducer
from edgesea.soft import SoftLabels
from edgesea.store import Store

SHARD = 1024  # examples
STRETCH = 10.0  # seconds decoded at a time
MEMORY = 256 << 20  # bytes of decoded sound held at a time
_DRAWS = 20  # of one example, at most: a domain of little but silence is not searched for ever
_BATCH = 64  # frames that the teacher is asked for at a time


@dataclass(frozen=True)
class Examples:
    """Rows of a store, as the training reads them."""

    store: Store
    rows: np.ndarray
    reducer: Reducer
    soft: SoftLabels | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def of_epoch(self, epoch: int) -> "Examples":
        """The examples of an epoch, from 0 on: these, in every one."""
        return self

    def batch(self, places: np.ndarray, columns: Iterable[str]) -> dict[str, np.ndarray]:
        """places into `rows` -> the columns asked for, in the order of the rows; see `objectives.base`."""
        rows = self.rows[np.sort(places)]
        return {name: self._column(name, rows) for name in sorted(columns)}

    def _column(self, name: str, rows: np.ndarray) -> np.ndarray:
        if name == "target":
            return self.reducer.transform(self.store.rows("embedding", rows))
        if name == "logits":
            return self._soft().logits(self.store, rows)
        return self.store.rows(name, rows)

    def _soft(self) -> SoftLabels:
        if self.soft is None:
            raise EdgeseaError(f"The frames of {self.store.folder} have no soft labels: distil again.")
        return self.soft

    def targets(self) -> np.ndarray:
        """phi(teacher) of all rows, (N, d) float32."""
        return self._whole("target")

    def embeddings(self) -> np.ndarray:
        """The teacher's embeddings of all rows, (N, n) float32."""
        return self._whole("embedding")

    def logits(self) -> np.ndarray:
        """The teacher's class logits of all rows, (N, C) float32."""
        return self._whole("logits")

    def _whole(self, name: str) -> np.ndarray:
        parts = np.array_split(self.rows, -(-len(self) // 4096))
        return np.concatenate([self._column(name, part) for part in parts])

    def patches(self) -> np.ndarray:
        """The patches of all rows, float32: for evaluation and calibration sets, which are small."""
        return self.store.rows("patch", self.rows).astype(np.float32)


class Fresh:
    """Examples that are new in every epoch; those of the next are made while one is learnt from.

    Parameters
    ----------
    make : callable
        Takes an epoch and a function that says whether it is still wanted; writes that epoch's store, what it
        lacks of it, and returns its examples.
    folder : callable
        Takes an epoch; where its store lies, which is deleted two epochs later: a training that is killed
        goes on with the epoch that it was in.
    count : int
        Examples of an epoch.
    epochs : int
    """

    def __init__(self, make: Callable, folder: Callable[[int], Path], count: int, epochs: int):
        self._make, self._folder, self._count, self._epochs = make, folder, count, epochs
        self._makers = ThreadPoolExecutor(1, thread_name_prefix="fresh examples")
        self._coming: dict[int, Future] = {}
        self._ended = threading.Event()

    def __len__(self) -> int:
        return self._count

    def of_epoch(self, epoch: int) -> Examples:
        """The examples of an epoch, from 0 on; waits until they are made, and has the next ones begun."""
        for wanted in (epoch, epoch + 1):
            if wanted < self._epochs and wanted not in self._coming:
                self._coming[wanted] = self._makers.submit(self._make, wanted, self._wanted)
        found = self._coming[epoch].result()
        if (old := self._folder(epoch - 2)).is_dir():
            # Half a store is none: it goes as a whole.
            shutil.rmtree(old.rename(old.with_name(f".{old.name}-gone")), ignore_errors=True)
        return found

    def _wanted(self) -> bool:
        return not self._ended.is_set()

    def close(self) -> None:
        """Ends what is being made after its shard."""
        self._ended.set()
        self._makers.shutdown(cancel_futures=True)

    def __enter__(self) -> "Fresh":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def stretches(manifest: Manifest, clips: Sequence[int]) -> list[Piece]:
    """What examples of these clips are drawn from, in the order of the clips and of time."""
    return [piece for piece, _ in pieces(manifest, clips, STRETCH)]


def make(
    manifest: Manifest,
    clips: Sequence[int],
    pairing: Pairing,
    store: Store,
    count: int,
    augmentation: Augmentation,
    seed: int,
    *,
    classes: Sequence[str] = (),
    first_shard: int = 0,
    wanted: Callable[[], bool] = lambda: True,
    keep_silence: bool = True,
    chances: np.ndarray | None = None,
    most_bad_frames: float = MOST_BAD_FRAMES,
    progress: Progress = SILENT,
) -> None:
    """Writes the shards that the store lacks, `count` examples in all.

    classes : names of the columns of `label`, in order; () keeps none
    clips : indices into the manifest of the clips that they are drawn from
    first_shard : what the store's first shard is in all that the seed makes: example i of shard s is number
        s * SHARD + i
    wanted : asked before every shard; where it says no, the rest is left
    chances (n,) float64 with the sum 1 : of each of `stretches` to be drawn, see `edgesea.balance`; None
        draws all alike
    most_bad_frames : share of a shard, in [0, 1], see `edgesea.embed.embed`
    """
    cut = stretches(manifest, clips)
    if chances is not None and len(chances) != len(cut):
        raise EdgeseaError(
            f"The sound has {len(cut)} stretches to draw from, and had {len(chances)} when it was balanced: "
            "begin again, with another --out."
        )
    labels = manifest.truth(classes)
    pool = max(1, min(len(cut), int(MEMORY / (STRETCH * pairing.sample_rate * 4))))

    @functools.lru_cache(maxsize=pool)
    def sound(index: int) -> np.ndarray:
        return _read(manifest, cut[index], pairing.sample_rate)

    with progress.stage("augment", count) as advance:
        for number in range(-(-count // SHARD)):
            if not wanted():
                return
            size, place = min(count - number * SHARD, SHARD), first_shard + number
            if not store.has(number):
                rng = np.random.default_rng([seed, 1, place])
                choose = _chooser(rng, len(cut), pool, chances)

                def draw(rng, choose=choose):
                    place = choose(rng)
                    return augmentation.cut(rng, sound(place), pairing.samples), cut[place].clip

                def example(number, draw=draw):
                    return _example(
                        number, draw, augmentation, seed, labels, pairing.sample_rate, keep_silence
                    )

                numbers = range(place * SHARD, place * SHARD + size)
                store.write(number, _shard(numbers, example, pairing, most_bad_frames))
            advance(size)


def _chooser(
    rng: np.random.Generator, count: int, pool: int, chances: np.ndarray | None
) -> Callable[[np.random.Generator], int]:
    """What draws the stretch of an example of one shard, out of `pool` of the `count` stretches."""
    if chances is not None and pool == count:
        # Rounding must not leave anything above the last one.
        upto = np.cumsum(chances) / np.cumsum(chances)[-1]
        return lambda rng: int(np.searchsorted(upto, rng.random(), side="right"))
    # By chances, some are in the pool several times: drawn from alike, each comes as often as it should.
    chosen = np.sort(rng.choice(count, pool, replace=chances is not None, p=chances))
    return lambda rng: int(chosen[rng.integers(len(chosen))])


def _shard(numbers: range, example, pairing: Pairing, most_bad_frames: float) -> dict:
    # The teacher and the frontend work on one batch, each on a core, while the next batch is drawn: all
    # three spend their time outside Python's lock. What they compute does not depend on who is first.
    asked, heard, level, label = [], [], [], []
    with ThreadPoolExecutor(1) as teacher, ThreadPoolExecutor(1) as frontend:
        for start in range(0, len(numbers), _BATCH):
            drawn = [example(number) for number in numbers[start : start + _BATCH]]
            frames = np.stack([frame for frame, _ in drawn])
            label += [row for _, row in drawn]
            level.append(levels.level_dba(frames, pairing.sample_rate))
            asked.append(teacher.submit(pairing.ask, frames))
            heard.append(frontend.submit(pairing.patches, frames))
    answers = [each.result() for each in asked]
    columns = {name: np.concatenate([each[name] for each in answers]) for name in pairing.outputs}
    good = np.logical_and.reduce(
        [np.isfinite(values).all(axis=tuple(range(1, values.ndim))) for values in columns.values()]
    )
    columns["patch"] = np.concatenate([each.result() for each in heard]).astype(np.float16)
    columns["level_db"] = np.concatenate(level)
    if label[0].size:
        columns["label"] = np.stack(label)
    if (~good).sum() > most_bad_frames * len(good):
        raise EdgeseaError(
            f"The teacher gives NaN or infinity for {(~good).sum()} of {len(good)} augmented frames, which "
            "hold neither: it cannot be distilled so; say --no-augment, or raise --max-bad-frames."
        )
    return {name: values[good] for name, values in columns.items()}


def _example(
    number: int,
    draw,
    augmentation: Augmentation,
    seed: int,
    labels: np.ndarray,
    rate: int,
    keep_silence: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Example `number`, (samples,) float32, and its label, (classes,) float32."""
    rng = augment.generator(seed, number)
    for _ in range(_DRAWS):
        clips = [draw(rng) for _ in range(augmentation.mix_clips)]
        if augmentation.texture_probability:
            clips[1:] = [(augmentation.textured(rng, clip), which) for clip, which in clips[1:]]
        first, one = clips[0]
        second, other = clips[-1]
        beside = labels[other]
        for further, which in clips[-2:0:-1]:
            second, share = augmentation.blend(rng, further, second)
            beside = share * labels[which] + (1 - share) * beside
        frame, share = augmentation.mix(rng, first, second)
        if augmentation.placed:
            frame = augmentation.place(rng, frame, rate)
        if keep_silence or not levels.silent(levels.level_dba(frame[None], rate))[0]:
            break
    return frame, (share * labels[one] + (1 - share) * beside).astype(np.float32)


def _read(manifest: Manifest, piece: Piece, rate: int) -> np.ndarray:
    clip = manifest.clips[piece.clip]
    try:
        return audio.read(clip.path, rate, start=piece.start, end=piece.end, silent_ok=True)
    except audio.BadAudio:
        # The clip was usable as a whole, or it would not be drawn from; a stretch behind a truncation is
        # silence.
        return np.zeros(1, np.float32)


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly spread over them."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
