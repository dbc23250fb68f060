"""The host's measurement: its keys and their sense, the conditions, the table, and every wrong call."""

import importlib.util
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from edgesea import devices as bench
from edgesea import loaded_model
from edgesea.devices import conditions
from edgesea.devices import latency as timing
from edgesea.devices.table import print_measurement
from edgesea.errors import EdgeseaError, UsageError, UserError
from edgesea.interpreter import open_interpreter


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small int8 .tflite: one convolution."""
    path = Path(__file__).parents[1] / "firmware" / "random_graphs.py"
    spec = importlib.util.spec_from_file_location("bench_random_graphs", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    file = tmp_path_factory.mktemp("host") / "tiny model.tflite"
    file.write_bytes(module.single_operator_model("CONV_2D", 3))
    return file


@pytest.fixture(scope="module")
def measurement(model):
    return bench.measure(model, "host", runs=20)


def test_it_has_the_keys_that_stay(measurement):
    assert measurement["device"] == "host"
    assert {"model_bytes", "weight_bytes"} <= measurement["storage"].keys()
    assert {"largest_tensor_bytes", "peak_bytes", "peak_operator"} <= measurement["activation"].keys()
    assert {"n", "median", "p95", "threads", "cold_load"} <= measurement["latency_ms"].keys()
    assert {"machine", "cpu", "cores", "kernel", "before", "after"} <= measurement["conditions"].keys()
    assert json.loads(json.dumps(measurement, allow_nan=False)) == measurement


def test_every_figure_says_how_it_was_come_by(measurement):
    how = measurement["how"]
    for section in ("storage", "activation", "latency_ms"):
        for key in measurement[section]:
            assert how.get(f"{section}.{key}", how.get(section)) in ("measured", "computed")
    assert how["latency_ms"] == "measured"
    assert how["activation"] == "computed"


def test_the_engine_names_runtime_version_kernels_and_delegate(model, measurement):
    assert re.fullmatch(r"\S+ \d+\.\d+\S*, default kernels, (XNNPACK|no delegate)", measurement["engine"])
    reference = open_interpreter(model, resolver="reference").engine
    assert reference.endswith("reference kernels, no delegate")


def test_latency_is_in_order(model, measurement):
    latency = measurement["latency_ms"]
    assert 0 < latency["min"] <= latency["median"] <= latency["p95"] <= latency["max"]
    assert latency["n"] == 20
    assert latency["warm_up_runs"] >= timing.WARM_UP_RUNS
    assert bench.measure(model, runs=10**9, limit_s=1e-9)["latency_ms"]["n"] == 1


def test_slow_inferences_show(model, monkeypatch):
    # A clock that only inferences move: the k-th one takes k milliseconds.
    clock_ms = [0]
    taken_ms = [0]

    slow = loaded_model.load(str(model))
    run = slow.invoke

    def invoke():
        run()
        taken_ms[0] += 1
        clock_ms[0] += taken_ms[0]

    slow.invoke = invoke
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock_ms[0] / 1000)
    found = timing.time_inferences(slow, 20, 1e9)
    before = 1 + found["warm_up_runs"]
    assert found["first_inference"] == 1
    assert found["n"] == 20
    assert found["min"] == before + 1
    assert found["max"] == before + 20
    assert found["median"] == before + 10.5
    assert before + 19 <= found["p95"] <= before + 20


def test_threads_reach_the_measurement(model):
    assert bench.measure(model, threads=2, runs=1)["latency_ms"]["threads"] == 2


def test_a_bundle_is_measured_by_its_int8_model(model, tmp_path):
    from edgesea.exporting import export_tflite

    export_tflite(model, tmp_path / "bundle")
    found = bench.measure(tmp_path / "bundle", runs=1)
    assert found["model"]["name"] == "model_int8.tflite"
    assert found["storage"]["model_bytes"] == model.stat().st_size


def test_float_and_waveform_models(shared):
    found = bench.measure(shared / "models" / "yamnet.tflite", runs=3)
    assert found["activation"]["largest_tensor_bytes"] == found["activation"]["largest_tensor_float32_bytes"]
    assert found["latency_ms"]["median"] > 0


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("pdp11", "There is no device 'pdp11': use one of host, "),
        ("", "There is no device '': use one of host, "),
        ("host:0", "The device 'host:0' is written host"),
        ("qemu", "The device 'qemu' is written qemu:CORE"),
        ("qemu:", "The device 'qemu:' is written qemu:CORE"),
    ],
)
def test_a_wrong_device(model, device, sentence):
    with pytest.raises(UsageError) as caught:
        bench.measure(model, device)
    assert str(caught.value).startswith(sentence)


def test_no_model_there(tmp_path):
    with pytest.raises(
        UsageError, match=r"There is no file at .*nothing\.tflite: name a bundle or a \.tflite\."
    ):
        bench.measure(tmp_path / "nothing.tflite")
    with pytest.raises(UsageError, match=r"is not a bundle, it has no manifest\.json: name a folder"):
        bench.measure(tmp_path)


@pytest.mark.parametrize("options", [{"threads": 0}, {"runs": 0}, {"threads": -1}])
def test_wrong_options(model, options):
    with pytest.raises(UsageError, match=r"^Received -?\d threads and \d+ runs: give at least 1 of each\.$"):
        bench.measure(model, **options)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 64, b"\x1c\0\0\0TFL3" + b"\xff" * 64])
def test_not_a_model(tmp_path, content):
    file = tmp_path / "model.tflite"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.tflite.*\.$"):
        bench.measure(file)


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


PI = {
    "proc/cpuinfo": "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nprocessor\t: 1\nCPU part\t: 0xfff\n",
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
    "sys/class/thermal/thermal_zone0/temp": "48200\n",
    "sys/class/thermal/thermal_zone1/temp": "51700\n",
}


def test_conditions_of_a_pi(tmp_path):
    root = _tree(tmp_path, PI)
    machine, state = conditions.machine(root), conditions.state(root)
    assert machine["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine["cpu"] == "implementer 0x41, part 0xd08"
    assert (state["governor"], state["frequency_mhz"], state["temperature_c"]) == ("ondemand", 600.0, 51.7)


def test_conditions_that_a_system_does_not_tell_are_none(tmp_path):
    root = _tree(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "hot\n"})
    machine, state = conditions.machine(root), conditions.state(root)
    assert machine["board"] is None
    assert machine["cpu"] is None
    assert (state["governor"], state["frequency_mhz"], state["temperature_c"]) == (None, None, None)


def test_conditions_of_this_machine():
    machine, state = conditions.machine(), conditions.state()
    assert 1 <= machine["cores"] <= os.cpu_count()
    assert machine["memory_bytes"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", state["time"])
    assert state["load_average"] >= 0


def _printed(measurement) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    print_measurement(measurement, console)
    return console.export_text()


def test_the_table_says_what_the_measurement_says(measurement):
    text = _printed(measurement)
    assert f"{measurement['storage']['model_bytes']:,}" in text
    assert f"{measurement['latency_ms']['median']:,.3f}" in text
    assert measurement["engine"] in text
    assert measurement["activation"]["peak_operator"] in text
    line = next(line for line in text.splitlines() if "inference, median" in line)
    assert "ms" in line
    assert "measured" in line


def test_the_table_of_an_emulated_core_shows_no_milliseconds():
    text = _printed(
        {
            "device": "qemu:cortex-m4",
            "engine": "C [bold]model",
            "model": {"name": "m.tflite"},
            "emulated": {"instructions": 1234567, "bit_exact": True},
            "conditions": {"emulator": "QEMU"},
            "how": {"emulated": "emulated"},
        }
    )
    assert "1,234,567" in text
    assert "yes" in text
    assert "ms" not in text
    # A name with brackets is text, never markup.
    assert "C [bold]model" in text


def test_the_table_shows_a_clock_that_changed(measurement):
    changed = json.loads(json.dumps(measurement))
    changed["conditions"]["before"]["frequency_mhz"] = 1500.0
    changed["conditions"]["after"]["frequency_mhz"] = 600.0
    assert "frequency_mhz 1500.0 -> 600.0" in " ".join(_printed(changed).split())


def test_shapes_are_those_of_an_inference_and_not_the_files_placeholders(shared):
    """61 windows of the signal, where the file says 1: by hand, 4 x (61 x 512) + 8 x (61 x 257) bytes."""
    found = bench.measure(shared / "cases" / "dynamic_shapes" / "dynamic.tflite", runs=1)["activation"]
    assert found["largest_tensor_bytes"] == 61 * 257 * 8
    assert found["peak_bytes"] == 61 * 512 * 4 + 61 * 257 * 8


@pytest.mark.parametrize(
    ("case", "length", "largest", "asked"),
    [
        ("varlen_input/varlen", (16_000,), 64_000, "shape ?, "),
        ("dynamic_wave_load/melspectrogram", (1, 16_000), 99_716, "shape ?x?, "),
    ],
)
def test_a_length_that_the_file_leaves_open_is_asked_for(shared, case, length, largest, asked):
    path = shared / "cases" / f"{case}.tflite"
    with pytest.raises(UsageError) as caught:
        bench.measure(path, runs=1)
    assert asked in str(caught.value)
    assert f"`edgesea bench --input-shape {'x'.join(map(str, length))}`" in str(caught.value)
    found = bench.measure(path, runs=1, input_shape=length)
    assert found["activation"]["largest_tensor_bytes"] == largest
    assert found["conditions"]["input"] == f"random, of shape {'x'.join(map(str, length))}"


@pytest.mark.parametrize("shape", [(16_000,), (1, 15_601), (1, 1, 15_600)])
def test_a_shape_that_the_model_does_not_have(shared, shape):
    with pytest.raises(UsageError, match=r"takes an input of shape 1x15600 and --input-shape says .*: give"):
        bench.measure(shared / "models" / "yamnet.tflite", runs=1, input_shape=shape)


def test_a_streaming_model_counts_its_state(shared):
    """hey_jarvis keeps six rings, by hand from its variables: 2,840 bytes of int8."""
    found = bench.measure(shared / "cases" / "models" / "hey_jarvis.tflite", runs=1)["activation"]
    assert found["state_bytes"] == 2_840
    assert found["peak_bytes"] > 2_840


@pytest.mark.parametrize("case", ["segv", "abort"])
def test_a_model_that_ends_its_runtime_is_a_sentence(shared, case):
    path = shared / "cases" / "litert_kill" / f"{case}.tflite"
    with pytest.raises(EdgeseaError, match=rf"{case}\.tflite ended the process that ran it \(SIG(SEGV|ABRT)"):
        bench.measure(path, runs=1)
