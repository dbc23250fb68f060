"""What the sensor program costs that says events, and whether it says what the PC says.

    python benchmarks/sensor.py BUNDLE [BUNDLE ...] --test LABELLED [--clips 24]

Each BUNDLE has a head or a memory. Clips of --test are one stream; of each bundle the sensor program hears it
on an emulated Cortex-M4, whole: frontend, model, decisions, lines. Its events are held against those that
`edgesea evaluate` and listen.py would say, and its instructions are counted, part by part. Instructions and
memory go into results/sensor.json; milliseconds do not exist where no board is.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from edgesea import __version__, audio, datasets
from edgesea.decisions import heard
from edgesea.evaluation import decided
from edgesea.exporting import load_bundle
from edgesea.listen import listen
from edgesea.running import emulator
from edgesea.running.image import sections, symbols
from firmware_export import boards

RESULTS = Path(__file__).with_name("results") / "sensor.json"
CORE = "cortex-m4"
BOARDS = ("nano33ble", "stm32l4r5")  # with that core; a duty cycle is told of each
PARTS = ("frontend", "model", "decision", "all")

# The board: all sound is in memory before the program starts, and all lines until it ends, so that nothing
# but the program is counted. Tells what was spent below three functions and in all, and the stack.
COUNTER = r"""
#include <string.h>
#include "emulated.h"
#include "semihosting.h"
#include "sensor_parts.h"
enum { REACH = 16384, SAMPLES = %(samples)d, SAID = 1 << 16 };
static uint64_t spent[3];
static int16_t sound[SAMPLES];
static size_t heard;
static char said[SAID];
static size_t length;

size_t sensor_read(int16_t *pcm, size_t count)
{
    count = count < SAMPLES - heard ? count : SAMPLES - heard;
    memcpy(pcm, sound + heard, count * sizeof *pcm);
    heard += count;
    return count;
}

void sensor_write(const char *text)
{
    for (; *text && length < SAID - 1; text++) {
        said[length++] = *text;
    }
}

size_t __real_edgesea_frontend_push(const edgesea_frontend *, edgesea_frontend_state *, const int16_t *,
                                    size_t, void *);
void __real_edgesea_frontend_patch(const edgesea_frontend *, const edgesea_frontend_state *, int8_t *);
int __real_%(name)s_invoke_in(void *arena, const int8_t *input%(outputs)s);
void __real_sensor_decide(const int8_t *);

size_t __wrap_edgesea_frontend_push(const edgesea_frontend *f, edgesea_frontend_state *s, const int16_t *pcm,
                                    size_t count, void *scratch)
{
    const uint64_t began = emulated_ticks();
    const size_t taken = __real_edgesea_frontend_push(f, s, pcm, count, scratch);
    spent[0] += emulated_ticks() - began;
    return taken;
}

void __wrap_edgesea_frontend_patch(const edgesea_frontend *f, const edgesea_frontend_state *s, int8_t *patch)
{
    const uint64_t began = emulated_ticks();
    __real_edgesea_frontend_patch(f, s, patch);
    spent[0] += emulated_ticks() - began;
}

int __wrap_%(name)s_invoke_in(void *arena, const int8_t *input%(outputs)s)
{
    const uint64_t began = emulated_ticks();
    const int result = __real_%(name)s_invoke_in(arena, input%(given)s);
    spent[1] += emulated_ticks() - began;
    return result;
}

void __wrap_sensor_decide(const int8_t *output)
{
    const uint64_t began = emulated_ticks();
    __real_sensor_decide(output);
    spent[2] += emulated_ticks() - began;
}

int main(void)
{
    uint32_t *const top = emulated_stack_pointer();
    if (semihosting_read(semihosting_open("pcm.bin", 0), sound, sizeof sound) != sizeof sound) {
        return 1;
    }
    emulated_paint_stack(top, REACH);
    const uint64_t began = emulated_ticks();
    const int result = sensor_run();
    const uint64_t all = emulated_ticks() - began;
    const uint64_t told[] = {spent[0], spent[1], spent[2], all, emulated_stack_used(top, REACH)};
    for (int i = 0; i < 5; i++) {
        sensor_write(i ? "," : "{\"cost\":[");
        sensor_say_number((int64_t)told[i]);
    }
    sensor_write("]}\n");
    emulated_print(said);
    return result;
}
"""
WRAPPED = ("edgesea_frontend_push", "edgesea_frontend_patch", "sensor_decide")
# What stands in for a board, and what counts: no part of the program.
NOT_THE_PROGRAM = ("counter.c", "semihosting.c", "cortex_m.c", "stack.c")


def stream(data: datasets.Manifest, clips, rate: int) -> np.ndarray:
    """Clips, one behind the other, as 16-bit samples."""
    sounds = [data.clips[k] for k in clips]
    read = [audio.read(each.path, rate, start=each.start, end=each.end, silent_ok=True) for each in sounds]
    return np.concatenate([heard.pcm(each) for each in read])


def said_here(bundle, pcm: np.ndarray) -> tuple[list[tuple[str, int, float]], int]:
    """(label, samples, confidence) of the events of a stream on this machine, and how many frames it had."""
    ears = listen.Ears(bundle.frontend.to_dict(), bundle.frontend_tables())
    frames = list(listen.Framer(ears, bundle.decisions["every"]).push(pcm))
    asked = heard.integers(bundle.int8.read_bytes(), bundle.outputs)(
        np.stack([ears.patch(frame) for _, frame in frames])[..., None]
    )
    decider = decided.decider_of(bundle)
    events = []
    for place, (end, _) in enumerate(frames):
        outputs = {name: values[place] for name, values in asked.items()}
        said = decider.hear(outputs.get("scores", ()), outputs.get("embedding"))
        events += [(label, end, (pooled * 10000 >> 16) / 10000) for label, pooled in said]
    return events, len(frames)


def said_there(bundle, pcm: np.ndarray, core: str = CORE, limit_s: float = 1500):
    """The same events of the sensor program on an emulated core, and what that cost.

    Returns (events, cost): cost is instructions by part, and bytes of static RAM, stack and flash.
    """
    board, c = emulator.board_of(core), bundle.path / "c"
    described = bundle.manifest["int8"]
    ends = [described["output"], *([described["scores"]] if described.get("scores") else [])]
    names = [f"output{k}" for k in range(len(ends))]
    wrapped = (*WRAPPED, f"{bundle.identifier}_invoke_in")
    values = {
        "name": bundle.identifier,
        "samples": len(pcm),
        "outputs": "".join(f", int8_t *{name}" for name in names),
        "given": "".join(f", {name}" for name in names),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "counter.c").write_text(COUNTER % values)
        sources = [file for file in sorted(c.rglob("*.c")) if not file.name.endswith("_model.c")]
        image = emulator.build(
            board,
            [*sources, folder / "counter.c"],
            folder,
            includes=[c, c / "sensor"],
            libraries=["-lm", *(f"-Wl,--wrap={each}" for each in wrapped)],
        )
        finished = emulator.run(
            board,
            image,
            given={"pcm.bin": pcm.astype("<i2").tobytes()},
            measuring=True,
            limit_s=limit_s,
        )
        held = [each for each in symbols(image) if each.file not in NOT_THE_PROGRAM]
        sizes = sections(image)
    lines = [json.loads(line) for line in finished.printed.splitlines()]
    *ticks, stack = next(line["cost"] for line in lines if "cost" in line)
    cost = {
        "instructions": {
            part: round(each * board.emulator.instructions_per_tick)
            for part, each in zip(PARTS, ticks, strict=True)
        },
        "ram_bytes": sum(each.size for each in held if each.section in (".bss", ".data")),
        "stack_bytes": stack,
        "flash_bytes": sum(sizes.get(each, 0) for each in (".text", ".rodata", ".data")),
    }
    events = [(each["event"], each["samples"], each["confidence"]) for each in lines if "event" in each]
    return events, cost


def measured(bundle, pcm: np.ndarray) -> dict:
    """One row of the results."""
    rate = bundle.frontend.sample_rate
    here, frames = said_here(bundle, pcm)
    there, cost = said_there(bundle, pcm)
    seconds = len(pcm) / rate
    a_second = {part: round(each / seconds) for part, each in cost.pop("instructions").items()}
    memory = bundle.decisions["memory"]
    return {
        "head": bundle.decisions["head"],
        "prototypes": memory["prototypes"] if memory else 0,
        "classes": len(bundle.decisions["labels"]),
        "multiply_accumulates": bundle.manifest["int8"]["multiply_accumulates"],
        "frontend": bundle.frontend.name,
        "seconds": seconds,
        "frames": frames,
        "events_here": len(here),
        "events_there": len(there),
        "same": here == there,
        "instructions_a_second": a_second,
        **cost,
        "duty_cycle_at_least": {
            name: round(a_second["all"] / boards.board(name).clock_hz, 4) for name in BOARDS
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--test", required=True, help="labelled sound that nothing was made from")
    parser.add_argument("--clips", type=int, default=24, help="of those with a label that the bundles know")
    parser.add_argument("--out", default=str(RESULTS))
    chosen = parser.parse_args()
    data, rows = datasets.load(chosen.test), []
    for path in chosen.bundles:
        bundle = load_bundle(path)
        known = set(bundle.decisions["labels"])
        clips = [k for k, each in enumerate(data.clips) if set(each.labels) & known][: chosen.clips]
        rows.append(measured(bundle, stream(data, clips, bundle.frontend.sample_rate)))
        print(rows[-1], flush=True)
    answer = {
        "edgesea": __version__,
        "core": CORE,
        "engine": "QEMU, -icount shift=0",
        "clips": chosen.clips,
        "test": data.name,
        "how": {
            "instructions_a_second": "emulated",
            "ram_bytes": "of the image",
            "flash_bytes": "of the image",
            "stack_bytes": "emulated",
            "duty_cycle_at_least": "instructions a second by the board's clock: one instruction a cycle, "
            "more than a board reaches",
        },
        "rows": rows,
    }
    Path(chosen.out).write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
