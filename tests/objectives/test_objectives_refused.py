"""What an objective cannot be trained on is said in one sentence, before any work, and nothing is written."""

import shutil

import pytest
import soundfile

from edgesea.cli import main


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory, street):
    folder = tmp_path_factory.mktemp("sound") / "unlabelled"
    folder.mkdir()
    for file in sorted((street / "audio").iterdir())[:12]:
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def one_class(tmp_path_factory, street):
    folder = tmp_path_factory.mktemp("sound") / "one"
    (folder / "dog").mkdir(parents=True)
    for k, file in enumerate(sorted((street / "audio").iterdir())[:8]):
        waveform, rate = soundfile.read(file)
        soundfile.write(folder / "dog" / f"{k}.wav", waveform, rate)
    return folder


@pytest.mark.parametrize(
    ("data", "arguments", "sentence"),
    [
        (
            "street",
            ("--objective", "compress:queue=257", "--frames", "256"),
            "The objective compress with a queue of 257 anchors needs as many frames to train on, and there "
            "are 256: choose a smaller queue, or more --frames.",
        ),
        (
            "street",
            ("--objective", "compress:queue=4000", "--no-augment"),
            "The objective compress with a queue of 4000 anchors needs as many frames to train on, and there",
        ),
        (
            "street",
            ("--objective", "compress:temperature=0"),
            "Received temperature = 0.0: give a number above",
        ),
        ("street", ("--objective", "kd:temperature=0"), "Received temperature = 0.0: give a number above 0."),
        (
            "unlabelled",
            ("--objective", "disk"),
            "The objective disk needs labels, and not every clip of the data has one: give a table with a "
            "column `label`, or choose another that needs none.",
        ),
        (
            "one_class",
            ("--objective", "disk"),
            "The objective disk needs two classes at least, and every clip is labelled 'dog': give clips of",
        ),
        (
            "unlabelled",
            ("--objective", "kd"),
            "The objective kd needs class outputs of the teacher, and demo_teacher gives only embedding: "
            "choose a teacher that classifies, or give data with one label a clip",
        ),
        (
            "unlabelled",
            ("--reducer", "contrastive"),
            "The reducer contrastive needs labels, and not every clip of the data has one",
        ),
        (
            "street",
            ("--objective", "amad", "--student", "transformer"),
            "The objective amad needs the teacher's attention, and it gives only embedding: choose another",
        ),
        (
            "street",
            ("--student", "transformer:width=30,heads=4"),
            "Received width = 30 and heads = 4 for a transformer: the heads have to divide the width.",
        ),
        (
            "street",
            ("--objective", "sea+disk"),
            "The objective disk cannot be one of several, since it has a course of steps of its own",
        ),
    ],
)
def test_it_is_said_and_nothing_is_written(data, arguments, sentence, tmp_path, request, capsys):
    out = tmp_path / "run"
    sound = request.getfixturevalue(data)
    call = ["distill", "--teacher", "demo", "--data", str(sound), "--out", str(out), *arguments]
    with pytest.raises(SystemExit) as ended:
        main(call)
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert sentence in " ".join(said.split())
    assert not out.exists()
