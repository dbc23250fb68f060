"""A street in the layouts of SONYC-UST, UrbanSound8K and ESC-50, for those who do not have the datasets.

Scores on it say that the machinery works; they say nothing about how well anything hears.

sonyc         6 sensors, of which 4 train, 1 validates and 1 tests; 3 days; loud hours and quiet ones; none,
              one or two of the eight classes in a clip; three volunteers, each of whom misses a class in one
              of five clips, and a verified annotation for validation and test
urbansound8k  ten folds; recordings of two clips, one class a clip
esc50         five folds, likewise
"""

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import soundfile

from edgesea import files
from edgesea.datasets import sonyc, street

SENSORS = ("train", "train", "train", "train", "validate", "test")
FIRST_DAY, DAYS = date(2019, 5, 6), 3
FOLDS = {"urbansound8k": 10, "esc50": 5}
RATE, SECONDS = 16_000, 2.0


def synthesise(layout: str, folder: Path, size: int) -> None:
    """Writes a dataset; its table comes last, when all sound is there.

    layout : 'sonyc', 'urbansound8k' or 'esc50'
    size : clips a sensor of sonyc; recordings of each of the eight classes in a fold of the others
    """
    if layout == "sonyc":
        _sonyc(folder, size)
    else:
        _folds(layout, folder, size)


def _sonyc(folder: Path, size: int) -> None:
    presence = [f"{number}_{name}_presence" for number, name in enumerate(sonyc.CLASSES, 1)]
    rows = [
        ["split", "sensor_id", "audio_filename", "annotator_id", "year", "week", "day", "hour", *presence]
    ]
    for k in range(size * len(SENSORS)):
        rng = np.random.default_rng([20, k])
        sensor, hour = k % len(SENSORS), int(rng.integers(24))
        heard = rng.choice(len(street.CLASSES), rng.integers(0, 3), replace=False)
        sound = sum((_sound(20, len(street.CLASSES) * k + int(c)) for c in heard), _hum(rng))
        # The night is 12 dB quieter than noon, and every clip as loud as it happens to be.
        quieter = 6 + 6 * np.cos(2 * np.pi * hour / 24) + rng.uniform(0, 12)
        name = f"{sensor:02d}_{k:06d}.flac"
        _write(folder / "audio" / name, sound * 10 ** (-quieter / 20))
        year, week, weekday = (FIRST_DAY + timedelta(days=int(rng.integers(DAYS)))).isocalendar()
        truth = np.isin(np.arange(len(presence)), heard)
        for annotator in (1, 2, 3) if SENSORS[sensor] == "train" else (0,):
            said = truth & (rng.random(len(truth)) > 0.2) if annotator else truth
            place = [SENSORS[sensor], sensor, name, annotator, year, week, weekday - 1, hour]
            rows.append([*place, *said.astype(int)])
    _write_table(folder / sonyc.TABLE, rows)


def _folds(layout: str, folder: Path, size: int) -> None:
    urban = layout == "urbansound8k"
    rows = [
        ["slice_file_name", "fsID", "fold", "class"]
        if urban
        else ["filename", "src_file", "fold", "category"]
    ]
    for recording in range(FOLDS[layout] * size * len(street.CLASSES)):
        fold = recording // len(street.CLASSES) % FOLDS[layout] + 1
        for take in (0, 1):
            name = f"{recording}-{take}.flac"
            inside = f"audio/fold{fold}" if urban else "audio"
            _write(folder / inside / name, _sound(30 + FOLDS[layout], recording, take))
            rows.append([name, recording, fold, street.CLASSES[recording % len(street.CLASSES)]])
    _write_table(folder / ("metadata/UrbanSound8K.csv" if urban else "meta/esc50.csv"), rows)


def _sound(seed: int, recording: int, take: int = 0) -> np.ndarray:
    return street.waveform(seed, recording, take, seconds=SECONDS, sample_rate=RATE)


def _hum(rng: np.random.Generator) -> np.ndarray:
    return 0.003 * rng.standard_normal(round(SECONDS * RATE)).astype(np.float32)


def _write(path: Path, sound: np.ndarray) -> None:
    with files.replacing(path) as temporary:
        soundfile.write(temporary, np.clip(sound, -1, 1), RATE, subtype="PCM_16")


def _write_table(path: Path, rows: list[list]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    files.write_text(path, text.getvalue())
