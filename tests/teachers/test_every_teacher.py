"""Every kind of teacher goes through distill, evaluate and export once, with next to no budget."""

import textwrap

import numpy as np
import pytest
from made_up_weights import l3_file

from edgesea import datasets, tables
from edgesea.distillation import distill, embed_domain
from edgesea.evaluation.evaluate import evaluate
from edgesea.exporting.from_run import export_run
from edgesea.run import Config
from edgesea.teachers import own

pytestmark = pytest.mark.slow

BUDGET = {"student": "separable-s", "dim": 8, "sample": 40, "frames": 64, "batch": 32, "epochs": 1}


def goes_through(folder, street, teacher, **options):
    """Distils, evaluates and exports; returns the run's metrics and the evaluation."""
    config = Config(teacher=str(teacher), data=str(street), **{**BUDGET, **options})
    run = distill(config, folder / "run")
    found = evaluate(str(folder / "run"), str(street))
    bundle = export_run(
        folder / "run", folder / "bundle", onnx=False, c_model=None, min_cosine=-1, min_r2=-1e9
    )
    assert bundle is not None
    assert (folder / "bundle" / "manifest.json").is_file()
    assert np.isfinite(found["fidelity"]["float"]["cosine"])
    assert run.results()["teacher"]["dimension"] > 0
    return run.results(), found


def test_yamnet(tmp_path, street, shared, deterministic):
    metrics, _ = goes_through(tmp_path, street, shared / "models" / "yamnet.tflite")
    assert metrics["teacher"]["dimension"] == 1024


def test_soundnet(tmp_path, street, shared, deterministic):
    path = shared / "models" / "soundnet" / "soundnet_conv5_22050.keras"
    metrics, _ = goes_through(tmp_path, street, path, teacher_rate=22_050, frontend="sea-8k")
    assert metrics["teacher"]["dimension"] == 256


def test_the_speech_embedding_pair_and_the_demos_teacher_at_once(tmp_path, street, shared, deterministic):
    metrics, _ = goes_through(tmp_path, street, f"{shared / 'models' / 'speech_embedding'},demo")
    assert metrics["teacher"]["dimension"] == 96 + 256


@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_ready_made_embeddings(tmp_path, street, deterministic, form):
    found = embed_domain(Config(teacher="demo", data=str(street)), tmp_path / "store", form=form)
    metrics, _ = goes_through(tmp_path, street, found["file"], augmentation=None, frontend="yamnet-16k")
    assert metrics["teacher"]["dimension"] == 256
    # What was made before has no frame of padded sound behind a file's last whole one.
    clips = datasets.load(street)
    assert 0 < sum(metrics["data"]["frames"].values()) <= found["frames"]
    assert len(clips) == found["clips"]
    assert tables.FORMATS[form] is not None


def test_a_class_of_ones_own(tmp_path, street, deterministic, monkeypatch):
    source = """
        import numpy as np
        from edgesea.teacher import Teacher

        class Bands(Teacher):
            sample_rate, samples, outputs = 16_000, 15_600, {"embedding": (32,)}

            def hear(self, waveforms, wanted=("embedding",)):
                spectrum = np.abs(np.fft.rfft(waveforms))[:, :7_776].reshape(len(waveforms), 32, -1)
                return {"embedding": np.log(spectrum.mean(axis=2) + 1e-3).astype(np.float32)}
    """
    (tmp_path / "bands_teacher.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    own.typed("bands_teacher:Bands")
    metrics, _ = goes_through(tmp_path, street, "bands_teacher:Bands")
    assert metrics["teacher"]["dimension"] == 32


def test_openl3_of_made_up_weights(tmp_path, street, deterministic):
    path = l3_file(tmp_path / "openl3_audio_mel128_env.h5", filters=(4, 4, 8, 8), dimension=16)
    metrics, _ = goes_through(tmp_path, street, path, frontend="sea-8k")
    assert metrics["teacher"]["dimension"] == 16


def test_a_saved_model(tmp_path, street, deterministic):
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)])
        def bands(self, waveform):
            frames = tf.abs(tf.signal.rfft(tf.signal.frame(waveform, 512, 256)))
            return tf.math.log(frames[:, :256] + 1e-3)

    module = Module()
    signature = module.bands.get_concrete_function()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=signature)
    options = {"teacher_rate": 16_000, "teacher_seconds": 0.975, "teacher_pool": "mean", "frontend": "sea-8k"}
    metrics, _ = goes_through(tmp_path, street, tmp_path / "saved", **options)
    assert metrics["teacher"]["dimension"] == 256
