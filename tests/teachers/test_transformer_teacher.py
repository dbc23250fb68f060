"""The transformer teacher: told by its file, three outputs in one go, and too small to know much."""

from pathlib import Path

import numpy as np

from edgesea import teachers

FILE = Path(__file__).with_name("transformer_teacher.tflite")


def test_it_gives_embedding_scores_and_attention_of_a_frame():
    teacher = teachers.load(str(FILE))
    assert teacher.outputs == {"embedding": (128,), "scores": (8,), "attention": (3, 6, 24, 24)}
    assert teacher.frontend.name == "yamnet-16k"
    waveforms = np.random.default_rng(0).normal(0, 0.1, (3, teacher.samples)).astype(np.float32)
    heard = teacher.hear(waveforms, ("embedding", "scores", "attention"))
    assert heard["embedding"].shape == (3, 128)
    np.testing.assert_allclose(heard["scores"].sum(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(heard["attention"].sum(axis=-1), 1, atol=1e-3)
    alone = teacher.hear(waveforms[1:2], ("attention",))["attention"]
    np.testing.assert_allclose(alone, heard["attention"][1:2], atol=1e-4)


def test_it_travels_with_the_tests():
    assert FILE.stat().st_size < 1 << 20
