"""`edgesea bench compare`: what differs, and that the noise is neither forgotten nor made up."""

import json
import math
import re
import statistics

import numpy as np
import pytest
from click.testing import CliRunner

from edgesea.cli.bench import bench
from edgesea.devices.compare import compare, load, noise_ms
from edgesea.errors import UsageError


def latency(medians, threads=1, **more):
    middle = statistics.median(medians)
    return {
        "threads": threads,
        "median": middle,
        "p95": middle * 1.1,
        "p99": middle * 1.2,
        "cold_load": 5.0,
        "process_medians": list(medians),
        **more,
    }


def measurement(medians=(1.0, 1.1, 0.9, 1.0, 1.0), **conditions):
    entry = latency(medians)
    return {
        "device": "rpi",
        "engine": "a runtime 1.0, default kernels, XNNPACK",
        "model": {"name": "m.tflite", "sha256": "00"},
        "storage": {"model_bytes": 100},
        "latency_ms": entry,
        "configurations": [{"threads": 1, "xnnpack": True, "latency_ms": entry}],
        "conditions": {"host": "pi", "before": {"time": "1", "load_average": 0.0}, **conditions},
    }


def test_a_measurement_with_itself():
    one = measurement()
    found = compare(one, one)
    assert found["same_model"] is True
    assert found["differences"] == []
    assert all(each["ratio"] == 1 for each in found["figures"])
    assert [each["differs"] for each in found["latency"]] == [False]
    assert found["warnings"] == []
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_differs_is_named_and_the_time_is_not():
    one, other = measurement(governor="ondemand"), measurement(fan=True, governor="performance")
    other["engine"] = "a runtime 2.0, default kernels, no delegate"
    other["conditions"]["before"]["time"] = "2"
    assert compare(one, other)["differences"] == [
        {"what": "engine", "a": one["engine"], "b": other["engine"]},
        {"what": "conditions.governor", "a": "ondemand", "b": "performance"},
        {"what": "conditions.fan", "a": None, "b": True},
    ]


def test_the_kernels_are_named_and_whether_they_agree():
    def of(runtime, output):
        found = measurement()
        agreement = {"sha256": output * 64}
        found["agreement"] = {**agreement, "there": f"{runtime}, reference kernels, no delegate"}
        found["configurations"][0] |= {
            "engine": f"{runtime}, default kernels, XNNPACK",
            "agreement": agreement,
        }
        return found

    assert compare(of("a 1.0", "0"), of("a 1.0", "0"))["differences"] == []
    assert compare(of("a 1.0", "0"), of("a 2.0", "f"))["differences"] == [
        {"what": f"kernels.{which}.{what}", "a": a, "b": b}
        for which, kernels in (
            ("reference", "reference kernels, no delegate"),
            ("threads 1, XNNPACK allowed", "default kernels, XNNPACK"),
        )
        for what, a, b in (
            ("engine", f"a 1.0, {kernels}", f"a 2.0, {kernels}"),
            ("output", "0" * 12, "f" * 12),
        )
    ]


def test_the_noise_is_students_interval():
    medians = [1.0, 1.2, 0.9, 1.1, 1.3]
    # scipy.stats.t.interval(0.95, 4, mean, sem): 1.1 +- 0.19632
    assert noise_ms(latency(medians)) == pytest.approx(0.19632, abs=1e-4)
    assert noise_ms(latency([1.0, 1.0])) == 0
    assert noise_ms({"median": 2.0, "p95": 2.5}) == 0.5
    damaged = {"process_medians": ["x", None, 1.0], "median": 1.0, "p95": 1.25}
    assert noise_ms(damaged) == 0.25


def test_the_verdict():
    base = (1.0, 1.02, 0.98, 1.01, 0.99)
    a = measurement(base)
    beyond, within = [compare(a, measurement([x + d for x in base]))["latency"][0] for d in (0.1, 0.02)]
    assert beyond["noise_ms"] == within["noise_ms"] == round(math.hypot(*[noise_ms(latency(base))] * 2), 4)
    assert (beyond["differs"], within["differs"]) == (True, False)
    assert beyond["ratio"] == 1.1


def test_false_alarms_are_rare():
    """Two measurements of one thing, whose processes differ by 3 %, should differ in one case of twenty."""
    rng = np.random.default_rng(1)
    draws = [[measurement(rng.normal(1, 0.03, 5)) for _ in range(2)] for _ in range(2000)]
    alarms = sum(compare(a, b)["latency"][0]["differs"] for a, b in draws) / len(draws)
    # Medians of a few values scatter more than means; the two intervals together are wider than one.
    assert 0.005 < alarms < 0.08


def test_only_configurations_that_both_have_are_compared():
    one, other = measurement(), measurement()
    one["configurations"].append({"threads": 4, "xnnpack": False, "latency_ms": latency([9.0, 9.0], 4)})
    assert [(each["threads"], each["xnnpack"]) for each in compare(one, other)["latency"]] == [(1, True)]


def test_a_host_and_a_pi():
    host = measurement()
    del host["configurations"], host["latency_ms"]["process_medians"]
    found = compare(host, measurement())["latency"]
    assert [(each["threads"], each["xnnpack"]) for each in found] == [(1, True)]
    assert found[0]["noise_ms"] > 0.1  # p95 - median of the host is in it


def test_an_emulated_core_has_figures_and_no_latency():
    one = {
        "device": "qemu:cortex-m4",
        "engine": "C",
        "conditions": {},
        "emulated": {"instructions": 200, "bit_exact": True},
    }
    found = compare(one, {**one, "emulated": {"instructions": 300, "bit_exact": True}})
    assert found["figures"] == [
        {"figure": "emulated.instructions", "unit": "instructions", "a": 200, "b": 300, "ratio": 1.5}
    ]
    assert found["latency"] == []
    assert found["same_model"] is None


def test_doubtful_measurements_are_named():
    slow = measurement(slowed="under-voltage", emulator="qemu-aarch64")
    slow["conditions"]["before"]["load_average"] = 3.5
    assert compare(measurement(), slow)["warnings"] == [
        "B was slowed down while it was measured: under-voltage",
        "B ran in an emulator (qemu-aarch64): its latency is no device's",
        "B was busy with other work when it was measured: load average 3.5",
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read (No such file or directory): name what `edgesea bench --out` wrote."),
        (b"{", "is not readable as JSON"),
        (b"\xff\xfe", "is not UTF-8 at byte 0: name what `edgesea bench --out` wrote."),
        (b"[" * 100_000, "is not readable as JSON"),
        (b"[]", "the whole is not valid, input should be a valid dictionary"),
        (
            b'{"device": 1, "engine": 2}',
            "device is not valid, input should be a valid string, received 1 (and",
        ),
        (b'{"device": 1, "engine": 2, "conditions": 3}', "device is not valid, input should be"),
    ],
)
def test_a_file_that_is_no_measurement(tmp_path, content, complaint):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(complaint)) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "latency", [None, 3, [], {"median": "x"}, {"median": 1.0}, {"median": None, "p95": 1}]
)
def test_damaged_figures_are_left_out(latency):
    damaged = measurement()
    damaged["latency_ms"] = latency
    damaged["configurations"] = [None, {"threads": 1, "xnnpack": True, "latency_ms": latency}]
    assert compare(damaged, measurement())["latency"] == []


# ---------------------------------------------------------------- the command


def call(*arguments):
    return CliRunner().invoke(bench, [str(each) for each in arguments])


@pytest.fixture
def files(tmp_path):
    def write(a, b):
        for name, each in (("a", a), ("b", b)):
            (tmp_path / f"{name}.json").write_text(json.dumps(each))
        return tmp_path / "a.json", tmp_path / "b.json"

    return write


def test_the_command_says_it_in_words(files):
    result = call("compare", *files(measurement(board="[bold]x[/y]"), measurement([2.0, 2.1, 1.9, 2.0, 2.0])))
    assert result.exit_code == 0, result.output
    assert "more than the noise" in result.output
    assert "[bold]x[/y]" in result.output


def test_the_command_as_json(files, tmp_path):
    a, b = measurement(), measurement(host="other")
    result = call("compare", *files(a, b), "--json", "--out", tmp_path / "c.json")
    assert json.loads(result.output) == json.loads((tmp_path / "c.json").read_text()) == compare(a, b)


def test_different_models_are_named_first(files):
    other = measurement()
    other["model"]["sha256"] = "11"
    assert call("compare", *files(measurement(), other)).output.startswith(
        "The two measured different models."
    )


def test_more_than_one_model(tmp_path):
    result = call("a.tflite", "b.tflite")
    assert isinstance(result.exception, UsageError)
    assert "One bundle or model is measured at a time, received 2" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--device", "host", "--host", "pi"), "--host has no meaning on the device 'host': leave it out"),
        (("--device", "host", "--setup"), "--setup has no meaning on the device 'host'"),
        (
            ("--device", "qemu:cortex-m4", "--runs", "3"),
            "--runs has no meaning on the device 'qemu:cortex-m4'",
        ),
        (("--device", "qemu:cortex-m4", "--python", "x"), "--python has no meaning"),
        (
            ("--device", "host", "--threads", "1", "--threads", "2"),
            "Several --threads are measured on the rpi",
        ),
        (("--device", "rpi"), "No machine was named: say --host"),
    ],
)
def test_options_that_do_not_fit_the_device(tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(b"x")
    result = call("m.tflite", *arguments)
    assert isinstance(result.exception, UsageError)
    assert complaint in str(result.exception)


def test_the_project_file_knows_the_pi(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(b"x")
    (tmp_path / "edgesea.toml").write_text('[bench]\ndevice = "rpi"\nhost = "pi@kitchen"\npython = "/p"\n')
    asked = []
    monkeypatch.setattr("edgesea.devices.measure", lambda *a, **b: asked.append((*a, b)) or measurement())
    assert call("m.tflite", "--threads", "2", "--threads", "4", "--json").exit_code == 0
    assert call("m.tflite", "--device", "rpi", "--host", "other", "--json").exit_code == 0
    assert [str(each[1]) for each in asked] == ["rpi", "rpi"]
    assert [{k: v for k, v in each[2].items() if k != "progress"} for each in asked] == [
        {"host": "pi@kitchen", "python": "/p", "threads": (2, 4)},
        {"host": "other"},
    ]
