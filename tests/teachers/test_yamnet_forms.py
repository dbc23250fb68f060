"""YAMNet's three forms: .tflite, SavedModel and ONNX hear the same."""

import numpy as np
import pytest
import yamnet_forms

from edgesea import audio, teachers

pytestmark = pytest.mark.slow


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(scope="module")
def forms(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("yamnet")
    tflite = shared / "models" / "yamnet.tflite"
    yamnet_forms.saved_model(tflite, folder / "published")
    yamnet_forms.onnx(tflite, folder / "yamnet.onnx")
    return {"tflite": tflite, "saved": folder / "published", "onnx": folder / "yamnet.onnx"}


@pytest.fixture(scope="module")
def recordings(shared):
    files = sorted((shared / "data" / "esc50-fold4").glob("**/*.flac"))[::8][:24]
    return np.stack([audio.read(file, 16_000, silent_ok=True)[:15_600] for file in files])


def test_the_three_forms_hear_the_same(forms, recordings):
    heard = {}
    for name, path in forms.items():
        teacher = teachers.load(str(path))
        assert (teacher.dimension, teacher.sample_rate, teacher.samples) == (1024, 16_000, 15_600), name
        heard[name] = teacher.embed(recordings)
    # The same numbers in float, by two runtimes.
    scale = np.abs(heard["saved"]).max()
    np.testing.assert_allclose(heard["saved"], heard["onnx"], atol=1e-4 * scale)
    # The .tflite rounds its activations to 8 bits on the way.
    assert np.median(cosines(heard["tflite"], heard["saved"])) > 0.97


def test_the_saved_model_gives_scores_too(forms, recordings):
    teacher = teachers.load(str(forms["saved"]))
    assert dict(teacher.outputs) == {"embedding": (1024,), "scores": (521,)}
    both = teacher.hear(recordings[:3], ("scores", "embedding"))
    assert both["scores"].shape == (3, 521)
    assert ((both["scores"] >= 0) & (both["scores"] <= 1)).all()
    theirs = teachers.load(str(forms["tflite"])).hear(recordings[:3], ("scores",))["scores"]
    assert (both["scores"].argmax(axis=1) == theirs.argmax(axis=1)).sum() >= 2
