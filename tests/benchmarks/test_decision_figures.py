"""Figures about decisions in docs/ are those that benchmarks/decisions.py, sensor.py and ears.py wrote."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def result(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def size_rows() -> list[str]:
    head, *rows = result("decisions")["sizes"]["rows"]
    assert all(each["same_as_numpy"] == each["frames"] == 40 for each in rows)
    return [
        f"with the head ({head['head']:.2f} alone)",
        *(
            f"| {each['prototypes']:,} | {each['flash_bytes']:,} | {each['instructions']:,} "
            f"| {each['memory']:.2f} | {each['both']:.2f} |"
            for each in rows
        ),
    ]


def learning_rows() -> list[str]:
    learning = result("decisions")["learning"]
    return [
        f"({learning['domain']['clips']:,} clips, 4,000 varied frames of "
        f"{learning['domain']['frames']['train']:,}, 8 epochs)",
        *(
            f"| {each['shots']} | {each['accuracy']:.2f} ({each['sd']:.2f}) "
            f"| {each['same_as_numpy']} of {each['frames_on_m4']} |"
            for each in learning["rows"]
        ),
    ]


def sensor_rows() -> list[str]:
    found = result("sensor")
    first = found["rows"][0]
    rows = [f"{found['clips']} unheard clips in a row ({first['seconds']:.0f} s, {first['frames']} frames)"]
    for each in found["rows"]:
        assert each["same"] is True
        name = f"head and {each['prototypes']} prototypes" if each["prototypes"] else "head"
        spent = each["instructions_a_second"]
        duty = each["duty_cycle_at_least"]
        rows.append(
            f"| {name} | {each['events_there']} and {each['events_here']} | {spent['frontend'] / 1e6:.2f} M "
            f"| {spent['model'] / 1e6:.2f} M | {spent['decision'] / 1e6:.3f} M | {spent['all'] / 1e6:.2f} M "
            f"| {each['ram_bytes']:,} + {each['stack_bytes']} | {each['flash_bytes']:,} "
            f"| {duty['nano33ble']:.0%} | {duty['stm32l4r5']:.0%} |".replace("%", " %")
        )
    return rows


def ears_rows() -> list[str]:
    speed = result("ears")["times_real_time"]
    presets = ("sea-8k", "yamnet-16k", "openl3-48k")
    return [
        f"| {name} | " + " | ".join(f"{speed[each][kind]:.0f}" for each in presets) + " |"
        for name, kind in (("noise", "noise"), ("a tone", "tone"))
    ]


CLAIMS = [
    *(("docs/decisions.md", each) for each in (*size_rows(), *learning_rows(), *sensor_rows())),
    *(("docs/c-frontend.md", each) for each in ears_rows()),
]


@pytest.mark.parametrize(("document", "passage"), CLAIMS)
def test_a_figure_is_the_one_that_was_measured(document, passage):
    text = " ".join((ROOT / document).read_text(encoding="utf-8").split())
    assert " ".join(passage.split()) in text


def test_patches_of_the_small_presets_are_made_far_faster_than_sound_comes():
    speed = result("ears")["times_real_time"]
    assert min(speed[name][kind] for name in ("sea-8k", "yamnet-16k") for kind in ("noise", "tone")) > 20
