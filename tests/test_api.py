"""The library as `import edgesea` offers it; docs/python.md and the docstrings' examples are run here."""

import doctest
import importlib
import pkgutil
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import edgesea
from edgesea import answers, api, exporting
from edgesea.errors import UsageError
from edgesea.exporting.bundle import write_bundle
from edgesea.frontend import preset

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_examples(text: str, names: dict, where: str) -> int:
    """Runs what stands behind >>> in a text; returns how many examples there were."""
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest(text, names, where, where, 0)
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    names.update(test.globs)
    assert not said, "".join(said)
    return len(test.examples)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The folder and the names that docs/python.md leaves behind, which distils, exports and measures."""
    from tensorflow.python.framework import config

    before = config.is_op_determinism_enabled()
    folder = tmp_path_factory.mktemp("python")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names: dict = {}
        assert run_examples(PAGE.read_text(encoding="utf-8"), names, PAGE.name) > 20
        soundfile.write("clip.wav", names["waveform"], 16_000)
        yield folder, names
    if not before:
        config.disable_op_determinism()


@pytest.mark.parametrize(
    "thing",
    [
        *(getattr(api, name) for name in ("distill", "evaluate", "export", "bench", "fit")),
        *(getattr(api, name) for name in ("Run", "Bundle")),
        *(getattr(answers, name) for name in ("Measurement", "Evaluation", "Fit")),
    ],
    ids=lambda thing: thing.__name__,
)
def test_the_examples_of_the_docstrings_run(walked, thing, monkeypatch):
    folder, names = walked
    monkeypatch.chdir(folder)
    assert run_examples(thing.__doc__, {**names, "edgesea": edgesea}, thing.__name__) > 0


def test_no_module_has_the_name_of_a_function():
    """Importing it would put the module in the function's place."""
    modules = {each.name for each in pkgutil.iter_modules(edgesea.__path__)}
    assert not modules & set(edgesea.__all__)
    importlib.import_module("edgesea.distillation")
    importlib.import_module("edgesea.devices.host")
    for name in ("distill", "export", "bench", "evaluate", "fit"):
        assert getattr(edgesea, name) is getattr(api, name)


def test_everything_that_is_promised_is_there():
    assert set(edgesea.__all__) <= set(dir(edgesea))
    for name in edgesea.__all__:
        assert getattr(edgesea, name)
    with pytest.raises(AttributeError, match=r"^module 'edgesea' has no attribute 'nothing'$"):
        edgesea.nothing  # noqa: B018


def test_a_file_and_its_waveform_are_the_same_sound(finished_run, small_bundle, tmp_path):
    waveform = np.random.default_rng(1).normal(0, 0.05, 24_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", waveform, 12_000, subtype="FLOAT")
    run, bundle = edgesea.Run.open(finished_run), edgesea.Bundle.open(small_bundle)
    for subject in (run, bundle):
        ours, theirs = subject.embed(tmp_path / "a.wav"), subject.embed(waveform, 12_000)
        assert ours.shape == theirs.shape
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=2e-2)


def test_a_bundle_embeds_as_its_golden_vectors_say(small_bundle, monkeypatch):
    """The patches of golden.npz through `embed`, in place of those of a sound."""
    from edgesea import patches

    bundle = edgesea.Bundle.open(small_bundle)
    golden = bundle.golden()
    monkeypatch.setattr(patches, "of_sound", lambda *_: iter([golden["patches"][:3], golden["patches"][3:]]))
    np.testing.assert_allclose(bundle.embed("any", model="float"), golden["embeddings"], atol=1e-5)
    scale = bundle.manifest["int8"]["output"]["scale"]
    zero = bundle.manifest["int8"]["output"]["zero_point"]
    expected = scale * (golden["outputs"].astype(np.float32) - zero)
    # XNNPACK may round apart from the reference kernels.
    np.testing.assert_allclose(bundle.embed("any"), expected, atol=3 * scale)


@pytest.mark.parametrize(
    ("sound", "rate", "sentence"),
    [
        (np.zeros(100, np.int16), 8000, r"of shape \(100,\) and type int16: give one channel of floats"),
        (np.zeros((2, 100), np.float32), 8000, r"of shape \(2, 100\) and type float32: give one channel"),
        (np.zeros(0, np.float32), 8000, r"of shape \(0,\)"),
        (np.full(100, np.nan), 8000, r"^Received a waveform with NaN or infinity in it: give floats"),
        (
            np.zeros(100),
            None,
            r"^Received a waveform with rate = None: give its sample rate in Hz, a whole number\.$",
        ),
        (np.zeros(100), 0, r"with rate = 0: give"),
        (np.zeros(100), True, r"with rate = True: give"),
        ("a.wav", 8000, r"^Received rate = 8000 for the file a\.wav, which says it itself: leave it out\.$"),
    ],
)
def test_what_is_no_sound_is_a_sentence(small_bundle, sound, rate, sentence):
    with pytest.raises(UsageError, match=sentence):
        edgesea.Bundle.open(small_bundle).embed(sound, rate)


def test_a_hop_has_to_be_seconds(small_bundle):
    with pytest.raises(UsageError, match=r"^Received hop = 0: give seconds above 0\.$"):
        edgesea.Bundle.open(small_bundle).embed(np.zeros(8000), 8000, hop=0)


def test_a_bundle_without_the_model_or_the_frontend_says_so(small_bundle, tmp_path):
    model = (small_bundle / "model_float.tflite").read_bytes()
    bundle = write_bundle(tmp_path / "b", name="x", float_=model, frontend=preset("yamnet-16k"))
    with pytest.raises(UsageError, match=r"holds no int8 model: choose int8 or float\.$"):
        bundle.embed(np.zeros(8000), 8000, model="int8")
    bundle = write_bundle(tmp_path / "c", name="x", float_=model)
    with pytest.raises(UsageError, match=r"does not say which frontend makes its patches: export it again"):
        bundle.embed(np.zeros(8000), 8000)


def test_values_are_frozen_and_show_themselves(walked):
    _, names = walked
    for name in ("run", "bundle", "evaluation", "measurement", "fit"):
        value = names[name]
        with pytest.raises(AttributeError):
            value.folder = value.path = value.values = None
        shown = value._repr_html_()
        assert shown.startswith("<table><caption>")
        assert shown.count("<tr>") == shown.count("</tr>") > 2
        assert len(repr(value).splitlines()) > 2
    assert "separable-s" in repr(names["run"])
    assert "inference, median" in repr(names["measurement"])
    assert "overlap of 10 neighbours" in names["evaluation"]._repr_html_()


def test_what_a_stranger_named_is_text_in_a_notebook(small_bundle, tmp_path):
    model = (small_bundle / "model_float.tflite").read_bytes()
    bundle = write_bundle(tmp_path / "b", name="<script>alert(1)</script>", float_=model)
    assert "<script>" not in bundle._repr_html_()
    assert "&lt;script&gt;" in bundle._repr_html_()


def test_nothing_is_printed_unless_asked_for(small_bundle, capfd, tmp_path):
    folder = shutil.copytree(small_bundle, tmp_path / "b")
    shutil.rmtree(folder / "results", ignore_errors=True)
    (folder / "results").write_text("in the way")
    edgesea.fit(folder)
    assert capfd.readouterr() == ("", "")
    edgesea.fit(folder, progress=True)
    assert "The answer is not kept in" in capfd.readouterr().err


def test_an_unfinished_run_shows_itself_too(tmp_path):
    assert "not finished" in repr(edgesea.Run(tmp_path))
    assert "not finished" in edgesea.Run(tmp_path)._repr_html_()


def test_a_tflite_becomes_a_bundle(small_bundle, tmp_path):
    bundle = edgesea.export(small_bundle / "model_int8.tflite", tmp_path / "b", name="other")
    assert bundle.name == "other"
    assert exporting.load_bundle(tmp_path / "b").manifest == bundle.manifest
