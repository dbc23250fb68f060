"""The run's folder and its configuration: every choice checked at the door, the same after a round trip."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesea.augment import Augmentation
from edgesea.errors import EdgeseaError, UsageError
from edgesea.run import Config, Run, read_config, versions

CONFIG = Config(teacher="demo", data="/sound")

configs = st.builds(
    Config,
    teacher=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    data=st.just('/s o"u\\nd/ü'),
    teacher_tensor=st.none() | st.just("a/b"),
    teacher_frontend=st.none() | st.just("sea-8k"),
    teacher_rate=st.none() | st.integers(1, 10**6),
    frontend=st.none() | st.just("yamnet-16k"),
    dim=st.none() | st.integers(1, 1000),
    hop=st.none() | st.floats(1e-6, 1e6),
    calibration_db=st.floats(-200, 200),
    reducer=st.just("pca")
    | st.builds(
        lambda neighbours, far: {"name": "umap", "neighbours": neighbours, "min_dist": far},
        st.integers(2, 10**6),
        st.floats(0, 1),
    ),
    student=st.sampled_from(["student3", "separable-l:stem=12", "separable:blocks=[[8,1],[9,2]],stem=4"]),
    epochs=st.integers(1, 10**6),
    augmentation=st.none() | st.just(Augmentation(mix_probability=0.25)),
    learning_rate=st.floats(1e-9, 10),
    ema=st.floats(0, 1, exclude_max=True),
    mixstyle=st.floats(0, 1),
    optimizer=st.sampled_from(("adamw", "muon")),
    balance=st.sampled_from([0, 2, 64]),
    split=st.sampled_from([(0.7, 0.1, 0.2), [0.5, 0.25, 0.25]]),
    seed=st.integers(0, 2**32 - 1),
)


@given(configs)
def test_a_configuration_survives_the_file_to_the_bit(tmp_path_factory, config):
    folder = tmp_path_factory.mktemp("run") / "r"
    run = Run.start(folder, config)
    assert run.config == config
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    Run.start(folder, config)  # once more is no other run


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("epochs", 0, "a whole number of at least 1"),
        ("epochs", 2.5, "a whole number of at least 1"),
        ("epochs", "20", "a whole number of at least 1"),
        ("batch", True, "a whole number of at least 1"),
        ("frames", -1, "a whole number of at least 1"),
        ("sample", None, "a whole number of at least 1"),
        ("dim", 0, "a whole number of at least 1"),
        ("teacher_rate", 0, "a whole number of at least 1"),
        ("seed", -1, r"a whole number in 0 .. 2\^32 - 1"),
        ("seed", 2**32, r"a whole number in 0 .. 2\^32 - 1"),
        ("learning_rate", 0, "a number above 0"),
        ("learning_rate", float("nan"), "a number above 0"),
        ("learning_rate", "fast", "a number above 0"),
        ("hop", float("inf"), "a number above 0"),
        ("hop", -0.5, "a number above 0"),
        ("calibration_db", float("nan"), "a finite number of dB"),
        ("calibration_db", "94", "a finite number of dB"),
        ("calibration_db", None, "a finite number of dB"),
        ("weight_decay", -1e-4, "a number of at least 0"),
        ("ema", 1, "a number of at least 0, below 1"),
        ("mixstyle", 1.5, "a chance from 0 to 1"),
        ("optimizer", "sgd", "adamw or muon"),
        ("optimizer", ["muon"], "adamw or muon"),
        ("balance", 1, "a whole number of clusters, at least 2, or 0 for none"),
        ("qat_epochs", 17, "a whole number from 0 to the 16 epochs of the training"),
        ("split", (0.5, 0.5), "three shares above 0 with the sum 1"),
        ("split", (0.7, 0.3, 0.0), "three shares above 0 with the sum 1"),
        ("split", (0.7, 0.2, 0.2), "three shares above 0 with the sum 1"),
        ("split", "abc", "three shares above 0 with the sum 1"),
        ("student", 3, 'a name, or a table with a key "name"'),
        ("teacher", None, "a text"),
        ("teacher_tensor", 7, "a text"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_give(name, value, wanted):
    with pytest.raises(UsageError, match=rf"Received {name} = .*: give {wanted}\.$"):
        dataclasses.replace(CONFIG, **{name: value})


@pytest.mark.parametrize("name", ["frontend", "teacher_frontend"])
def test_an_unknown_frontend_is_refused(name):
    with pytest.raises(UsageError, match="yamnet-8k"):
        dataclasses.replace(CONFIG, **{name: "yamnet-8k"})


def test_what_a_file_may_say_of_augmentation():
    given_values = CONFIG.to_dict()
    assert Config.from_dict({**given_values, "augmentation": True}) == CONFIG
    assert Config.from_dict({**given_values, "augmentation": False}).augmentation is None
    changed = Config.from_dict({**given_values, "augmentation": {"gain_db": [0, 0]}})
    assert changed.augmentation == Augmentation(gain_db=(0.0, 0.0))
    with pytest.raises(UsageError, match="Received augmentation = 'loud': give true, false or a table"):
        Config.from_dict({**given_values, "augmentation": "loud"})
    with pytest.raises(UsageError, match="unknown augmentation option 'reverb'"):
        Config.from_dict({**given_values, "augmentation": {"reverb": 1}})


def test_unknown_and_missing_names():
    with pytest.raises(UsageError, match=r"Unknown option 'epoch': did you mean epochs\? Known are .*epochs"):
        Config.from_dict({**CONFIG.to_dict(), "epoch": 3})
    with pytest.raises(UsageError, match=r"does not say which teacher: add `teacher`"):
        Config.from_dict({"data": "x"})
    with pytest.raises(UsageError, match=r"does not say which data: add `data`"):
        Config.from_dict({"teacher": "demo"})


def test_another_configuration_is_refused_and_names_the_option(tmp_path):
    Run.start(tmp_path / "r", CONFIG)
    before = (tmp_path / "r" / "config.toml").read_bytes()
    for name, value in {
        "epochs": 21,
        "hop": 0.25,
        "calibration_db": 94,
        "augmentation": None,
        "student": "separable-s",
    }.items():
        with pytest.raises(UsageError) as error:
            Run.start(tmp_path / "r", dataclasses.replace(CONFIG, **{name: value}))
        assert f"holds a run with {name} = " in str(error.value)
        assert "choose another --out, or delete that folder" in str(error.value)
    assert (tmp_path / "r" / "config.toml").read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    (tmp_path / "file").write_text("x")
    for name in ("photos", "file"):
        with pytest.raises(UsageError, match="is not empty and not a run: choose another --out"):
            Run.start(tmp_path / name, CONFIG)
    assert [each.name for each in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_run_whose_very_first_write_was_killed_can_start(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".config-0a1b2c3_.toml").write_text("teacher = ")
    Run.start(tmp_path / "r", CONFIG)
    assert [each.name for each in (tmp_path / "r").iterdir()] == ["config.toml"]


def test_only_a_finished_run_opens(tmp_path):
    with pytest.raises(UsageError, match=r"is not a run: make one with `edgesea distill`"):
        Run.open(tmp_path)
    Run.start(tmp_path / "r", CONFIG)
    with pytest.raises(UsageError, match=r"is not finished: call `edgesea distill --out .*r` as before"):
        Run.open(tmp_path / "r")
    (tmp_path / "r" / "metrics.json").write_text("{")
    run = Run.open(tmp_path / "r")
    with pytest.raises(
        EdgeseaError, match=r"metrics\.json is not readable as JSON .*: run `edgesea distill`"
    ):
        run.results()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"teacher = ", "is not readable as TOML"),
        (b"\xff\xfe", "is not UTF-8 at byte 0"),
        (b"teacher = 'x'", "which data"),
        (b"teacher = '" + b"x" * (1 << 20), "has more than 1,048,576 bytes"),
        (b"a = " + b"[" * 1000, "nests too deep"),
        (b"a" + b".a" * 100 + b" = 1", "a key of more than 32 parts"),
    ],
)
def test_a_configuration_that_cannot_be_read(tmp_path, content, reason):
    (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        read_config(tmp_path / "c.toml")
    with pytest.raises(UsageError, match=r"The file .*absent\.toml cannot be read \(No such file"):
        read_config(tmp_path / "absent.toml")


def test_a_run_goes_on_with_another_share_of_bad_frames(tmp_path):
    """What it ended for may be allowed: hours of embedding are not thrown away. A finished one stays."""
    Run.start(tmp_path / "r", Config("t", "d"))
    run = Run.start(tmp_path / "r", Config("t", "d", max_bad_frames=0.5))
    assert run.config.max_bad_frames == 0.5
    run.metrics.write_text("{}")
    assert Run.start(tmp_path / "r", Config("t", "d")).config.max_bad_frames == 0.5
    with pytest.raises(UsageError, match=r"holds a run with epochs = 16, and this call says epochs = 3"):
        Run.start(tmp_path / "r", Config("t", "d", epochs=3))


@pytest.mark.parametrize(
    ("augmentation", "said"),
    [
        ({"mix_probability": "often"}, "Received mix_probability = 'often': it must lie in 0 .. 1."),
        ({"mix_db": 3}, "Received mix_db = 3: give a lowest and a highest value in dB"),
        ({"gain_db": ["a", 1]}, r"Received gain_db = \['a', 1\]: give a lowest and a highest value"),
        ({"speed_octaves": [1, -1]}, "Received speed_octaves = "),
    ],
)
def test_an_augmentation_of_other_types_is_refused(augmentation, said):
    with pytest.raises(UsageError, match=said):
        Config.from_dict({"teacher": "t", "data": "d", "augmentation": augmentation})


def test_versions_are_recorded():
    found = versions()
    assert {"edgesea", "python", "tensorflow", "keras", "numpy"} <= set(found)
    assert all(value[0].isdigit() for value in found.values())
