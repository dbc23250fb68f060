"""Programs on emulated cores: the counter is calibrated, nothing hangs, what goes in and out is named."""

import shutil
import time

import pytest

from edgesea.errors import EdgeseaError, UsageError
from edgesea.running import emulator, programs
from edgesea.running import image as images

FAST = ("cortex-m4", "cortex-m55")
ALL = [core if core in FAST else pytest.param(core, marks=pytest.mark.slow) for core in emulator.cores()]

PRINT = r"""
#include "emulated.h"
static void say(uint64_t value)
{
    char text[24], *at = text + 23;
    *at = 0;
    *--at = '\n';
    do *--at = (char)('0' + value % 10); while ((value /= 10) != 0);
    emulated_print(at);
}
"""

# Two instructions a round.
LOOP = """
static void loop(uint32_t rounds)
{
#ifdef __riscv
    __asm__ volatile("1: addi %0, %0, -1\\n bnez %0, 1b" : "+r"(rounds));
#else
    __asm__ volatile(".syntax unified\\n 1: subs %0, #1\\n bne 1b" : "+l"(rounds) : : "cc");
#endif
}
"""


@pytest.fixture(autouse=True)
def tools():
    for program in ("qemu-system-arm", "qemu-system-riscv32", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def finish(core: str, source: str, folder, **options) -> emulator.Finished:
    board = emulator.board_of(core)
    (folder / "program.c").write_text(source)
    image = emulator.build(board, [folder / "program.c"], folder)
    return emulator.run(board, image, **options)


def run(core: str, source: str, folder, **options) -> str:
    return finish(core, source, folder, **options).printed


@pytest.mark.parametrize("core", ALL)
def test_a_loop_of_ten_million_instructions_reads_ten_million(core, tmp_path):
    source = (
        PRINT
        + LOOP
        + (
            "int main(void) { uint64_t t = emulated_ticks(); loop(5000000); say(emulated_ticks() - t);"
            "t = emulated_ticks(); loop(5000000); say(emulated_ticks() - t); return 0; }"
        )
    )
    tick = emulator.board_of(core).emulator.instructions_per_tick
    first, second = (int(ticks) * tick for ticks in run(core, source, tmp_path).split())
    # One tick of resolution at either end, and the instructions of asking for the time.
    assert 10_000_000 - tick <= first <= 10_000_000 + 2 * tick + 20
    assert abs(first - second) <= tick


def test_the_counter_outlives_its_24_bits(tmp_path):
    # SysTick reloads after 671 million instructions.
    source = (
        PRINT
        + LOOP
        + (
            "int main(void) { const uint64_t t = emulated_ticks(); loop(400000000);"
            " say(emulated_ticks() - t); return 0; }"
        )
    )
    count = 40 * int(run("cortex-m4", source, tmp_path, limit_s=60))
    assert 800_000_000 - 40 <= count <= 800_000_000 + 200


@pytest.mark.parametrize("core", ALL)
def test_painted_stack_shows_how_deep_a_call_went(core, tmp_path):
    source = PRINT + (
        "#include <string.h>\n"
        "static __attribute__((noinline)) uint32_t deep(void) {"
        " volatile uint8_t room[2000]; for (int i = 0; i < 2000; i++) room[i] = 1; return room[7]; }\n"
        "int main(void) { uint32_t *top = emulated_stack_pointer(); emulated_paint_stack(top, 8192);"
        " say(emulated_stack_used(top, 8192)); deep(); say(emulated_stack_used(top, 8192));"
        " say(emulated_stack_used(top, 1024)); return 0; }"
    )
    before, after, short = map(int, run(core, source, tmp_path).split())
    assert before <= 200
    assert 2000 <= after <= 2200
    assert short == 1024


def test_a_file_goes_in_and_out(tmp_path):
    source = (
        '#include "semihosting.h"\n'
        'int main(void) { static unsigned char b[256]; int in = semihosting_open("in.bin", 0);'
        ' int out = semihosting_open("out.bin", 1); size_t n = semihosting_read(in, b, sizeof b);'
        " for (size_t i = 0; i < n; i++) b[i] ^= 0xff;"
        ' return semihosting_write(out, b, n) == n && semihosting_open("missing", 0) == -1 ? 0 : 3; }'
    )
    for core in ("cortex-m4", "riscv32"):
        found = finish(core, source, tmp_path, given={"in.bin": bytes(range(100))}, wanted={"out.bin": 100})
        assert found.files == {"out.bin": bytes(255 - i for i in range(100))}


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33", "riscv32"])
def test_a_fault_ends_the_program(core, tmp_path):
    nonsense = ".word 0" if core == "riscv32" else "udf #0"
    source = f'int main(void) {{ __asm__ volatile("{nonsense}"); return 0; }}'
    with pytest.raises(EdgeseaError, match=r"ended with status 99: fault: .*exception") as error:
        run(core, source, tmp_path, limit_s=20)
    assert f"qemu-{core}" in str(error.value)


def test_a_status_is_passed_on(tmp_path):
    with pytest.raises(EdgeseaError, match="on qemu-cortex-m4 ended with status 5: no message"):
        run("cortex-m4", "int main(void) { return 5; }", tmp_path)


def test_a_program_that_hangs_is_stopped(tmp_path):
    before = time.monotonic()
    with pytest.raises(
        EdgeseaError,
        match=r"^The program on qemu-cortex-m4 was still running after 1 seconds and was stopped\.$",
    ):
        run("cortex-m4", "int main(void) { for (;;) ; }", tmp_path, limit_s=1)
    assert time.monotonic() - before < 10


def test_a_program_that_does_not_build_is_refused_with_the_compilers_words(tmp_path):
    with pytest.raises(EdgeseaError, match=r"does not build; arm-none-eabi-gcc says: .*nonsense"):
        run("cortex-m4", "int main(void) { return nonsense; }", tmp_path)


def test_a_program_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(EdgeseaError, match=r"does not build; .*will not fit in region"):
        run(
            "cortex-m4",
            "static volatile char big[5 << 20]; int main(void) { return big[3 << 20]; }",
            tmp_path,
        )


def test_names_are_no_shell_text(tmp_path):
    folder = tmp_path / "a b; touch $(echo x) 'y' \"z\""
    folder.mkdir()
    (folder / "program;ls.c").write_text("int main(void) { return 0; }")
    board = emulator.board_of("cortex-m4")
    assert emulator.run(board, emulator.build(board, [folder / "program;ls.c"], folder)).printed == ""


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("qemu-system-arm", "qemu-system-arm"),
    ],
)
def test_a_missing_tool_is_named_with_the_command_that_installs_it(program, package, tmp_path, monkeypatch):
    found = shutil.which
    monkeypatch.setattr(programs.shutil, "which", lambda name: None if name == program else found(name))
    with pytest.raises(
        EdgeseaError, match=f"{program} is not installed; run `sudo apt install {package}`\\.$"
    ):
        run("cortex-m4", "int main(void) { return 0; }", tmp_path)


def test_an_unknown_core_is_refused():
    with pytest.raises(UsageError, match=r"no emulated core 'z80': choose one of cortex-m0plus, .*riscv32"):
        emulator.board_of("z80")


def test_sections_and_symbols_of_an_image(tmp_path):
    source = (
        "static const int table[25] = {1, 2, 3}; int filled[10] = {4}; static volatile char empty[300];"
        "int main(void) { volatile int i = 3; return table[i] + filled[i] + empty[i]; }"
    )
    (tmp_path / "program.c").write_text(source)
    image = emulator.build(emulator.board_of("cortex-m4"), [tmp_path / "program.c"], tmp_path)
    sizes = images.sections(image)
    assert sizes[".vectors"] == 64
    assert sizes[".data"] == 40
    assert 300 <= sizes[".bss"] <= 320
    symbols = {symbol.name: symbol for symbol in images.symbols(image)}
    assert symbols["table"] == images.Symbol("table", ".rodata", 100, "program.c")
    assert symbols["filled"] == images.Symbol("filled", ".data", 40, "")
