"""A program that tries to reach the host, for tests that show that it cannot.

`function` is C that asks semihosting for something: to run a command, to read and write files by absolute and
relative names, to rename or remove one. The files are in a folder of the test's, a `Victim`.
"""

from pathlib import Path

# The numbers of Arm's "Semihosting for AArch32 and AArch64".
_CALL = r"""
#include <stdint.h>
#include <string.h>

__attribute__((noinline, aligned(16)))
static intptr_t hostile_call(uintptr_t operation, const void *arguments)
{
#if defined(__riscv)
    register uintptr_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = arguments;
    __asm__ volatile(".option push\n.option norvc\n.balign 16\n"
                     "slli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
                     : "+r"(a0) : "r"(a1) : "memory");
    return (intptr_t)a0;
#else
    register uintptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (intptr_t)r0;
#endif
}

static intptr_t hostile_open(const char *name, int mode)
{
    const uintptr_t block[3] = {(uintptr_t)name, (uintptr_t)mode, strlen(name)};
    return hostile_call(0x01, block);
}

static void hostile_write(const char *name, int mode)
{
    const intptr_t file = hostile_open(name, mode);
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)"PWNED", 5};
    if (file >= 0) hostile_call(0x05, block);
}
"""

# name -> C statements that must reach nothing.
CALLS = {
    "system": """
    static const char command[] = "touch FOLDER/PWNED";
    const uintptr_t block[2] = {(uintptr_t)command, sizeof command - 1};
    hostile_call(0x12, block);""",
    "open": """
    static char secret[64];
    static const char *const names[] = {
        "/etc/passwd", "FOLDER/secret", "../secret", "secret", "./inputs.bin"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        const intptr_t file = hostile_open(names[i], 0);
        const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)secret, sizeof secret};
        if (file >= 0) hostile_call(0x06, block);
    }
    hostile_write("FOLDER/PWNED", 4);
    hostile_write("../PWNED", 4);
    hostile_write("PWNED", 4);
    hostile_write("FOLDER/secret", 8);
    FOUND(secret);""",
    "remove": """
    static const char name[] = "FOLDER/secret";
    const uintptr_t block[2] = {(uintptr_t)name, sizeof name - 1};
    hostile_call(0x0e, block);""",
    "rename": """
    static const char from[] = "FOLDER/secret", to[] = "FOLDER/PWNED";
    const uintptr_t block[4] = {(uintptr_t)from, sizeof from - 1, (uintptr_t)to, sizeof to - 1};
    hostile_call(0x0f, block);""",
}


def function(call: str, folder: Path, found: str = "(void)secret") -> str:
    """C of `static void hostile(void)`, which makes one of CALLS; `found` is what it does with a string
    SECRET that it may have read."""
    body = (
        CALLS[call]
        .replace("FOLDER", str(folder))
        .replace("FOUND(secret);", found.replace("SECRET", "secret") + ";")
    )
    return f"{_CALL}\nstatic void hostile(void)\n{{{body}\n    (void)hostile_write;\n}}\n"


class Victim:
    """A folder with a file that nobody may read, change or move, and in which nothing may appear."""

    TEXT = "a secret of the host"

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        (folder / "secret").write_text(self.TEXT)

    def is_unharmed(self, *others: Path) -> None:
        assert [path.name for path in self.folder.iterdir()] == ["secret"]
        assert (self.folder / "secret").read_text() == self.TEXT
        for folder in (self.folder.parent, *others):
            assert not list(folder.rglob("PWNED*")), folder
