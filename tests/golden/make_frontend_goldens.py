"""Makes the stored patches in `frontend/` by programs that are not edgesea's frontend.

    python tests/golden/make_frontend_goldens.py ../shared

sea-8k.npz      the graph of edgel3_sea_ust_audio_emb_64.h5 (MIT) up to its first batch normalisation, from
                the DFT kernels and the mel matrix in that file; convolutions by TensorFlow, in float64.
yamnet-16k.npz  the second output of yamnet.tflite (Apache-2.0), by TFLite's reference kernels. Its DFT and
                mel matrices are int8, and so is what goes into them: see tests/test_frontend.py.
openl3-48k.npz  librosa.feature.melspectrogram and power_to_db with OpenL3's arguments; every 11th row of 199.

Each array is a patch (frames, mels) float32, named after one of `signals()`; numbers only.
"""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "frontend"
OPENL3_ROWS = slice(None, None, 11)


def signals(sample_rate: int, samples: int) -> dict[str, np.ndarray]:
    """Synthesised sounds, float32, (samples,), in [-1, 1), on the 16-bit grid so that all machines agree."""
    t = np.arange(samples) / sample_rate
    seconds = samples / sample_rate
    noise = _noise(samples)
    clicks = np.zeros(samples)
    clicks[:: samples // 7] = 0.9
    chirp = np.sin(2 * np.pi * (50 * t + (0.45 * sample_rate - 50) * t**2 / (2 * seconds)))
    sounds = {
        "tone_440": 0.5 * np.sin(2 * np.pi * 440 * t),
        "tone_1000": 0.99 * np.sin(2 * np.pi * 1000 * t),
        "chirp": 0.7 * chirp,
        "noise": 0.3 * noise,
        "quiet": 0.001 * noise,
        "clicks": clicks,
        "silence": np.zeros(samples),
        "full_scale": np.where(np.sin(2 * np.pi * 97 * t) >= 0, 1.0, -1.0),
        "street": 0.1 * noise * (1 + np.sin(2 * np.pi * 3 * t)) + 0.3 * chirp * (t > seconds / 3),
    }
    return {
        name: (np.clip(np.round(x * 32768), -32768, 32767) / 32768).astype(np.float32)
        for name, x in sounds.items()
    }


def _noise(samples: int) -> np.ndarray:
    """Uniform in [-1, 1), from integers alone (a linear congruential generator, modulo 2^32)."""
    state, values = 12345, []
    for _ in range(samples):
        state = (1664525 * state + 1013904223) % 2**32
        values.append(state / 2**31 - 1)
    return np.array(values)


def kapre_patch(constants: dict[str, np.ndarray], waveform: np.ndarray) -> np.ndarray:
    """The released file's own graph, waveform (8000,) -> (50, 64) float32, dB.

    constants : `real` and `imag`, (1024, 1, 1, 513) windowed DFT kernels; `mel`, (513, 64).
    """
    import tensorflow as tf

    sound = tf.constant(waveform[None, :, None, None], tf.float64)
    real, imag = (
        tf.nn.conv2d(
            sound, tf.constant(constants[part], tf.float64), strides=(160, 1), padding="SAME"
        ).numpy()
        for part in ("real", "imag")
    )
    energy = (real**2 + imag**2)[0, :, 0, :]
    decibels = 10 * np.log10(np.maximum(np.sqrt(energy @ constants["mel"].astype(np.float64)), 1e-10))
    return np.maximum(decibels - decibels.max(), -80).astype(np.float32)


def kapre_constants(h5: Path) -> dict[str, np.ndarray]:
    """The constants that `kapre_patch` takes, from the released file."""
    import h5py

    with h5py.File(h5, "r") as file:
        layer = file["model_weights/melspectrogram_1/melspectrogram_1"]
        return {
            "real": layer["real_kernels:0"][:],
            "imag": layer["imag_kernels:0"][:],
            "mel": layer["Variable:0"][:],
        }


def yamnet_patch(tflite: Path, waveform: np.ndarray) -> np.ndarray:
    """YAMNet's own log-mel, waveform (15600,) -> (96, 64) float32, natural logarithm."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(tflite), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], waveform[None])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[1]["index"]).copy()


def openl3_patch(waveform: np.ndarray) -> np.ndarray:
    """OpenL3's (0.4 on) mel256 through librosa, waveform (48000,) -> (199, 256) float32, dB."""
    import librosa

    mel = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64),
        sr=48000,
        n_fft=2048,
        hop_length=242,
        n_mels=256,
        center=True,
        power=1.0,
    )
    decibels = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=80.0)
    return (decibels - decibels.max()).T.astype(np.float32)


def main(shared: Path) -> None:
    constants = kapre_constants(shared / "models" / "edgel3_sea_ust_audio_emb_64.h5")
    yamnet = shared / "models" / "yamnet.tflite"
    FOLDER.mkdir(exist_ok=True)
    sea = {name: kapre_patch(constants, x) for name, x in signals(8000, 8000).items()}
    own = {name: yamnet_patch(yamnet, x) for name, x in signals(16000, 15600).items()}
    openl3 = {name: openl3_patch(x)[OPENL3_ROWS] for name, x in signals(48000, 48000).items()}
    np.savez_compressed(FOLDER / "sea-8k.npz", **sea)
    np.savez_compressed(FOLDER / "yamnet-16k.npz", **own)
    np.savez_compressed(FOLDER / "openl3-48k.npz", **openl3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
