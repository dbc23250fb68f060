/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
#include "semihosting.h"

#include <string.h>

#include "emulated.h"

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { ADP_STOPPED_APPLICATION_EXIT = 0x20026 };
enum { MODE_READ_BINARY = 1, MODE_WRITE_BINARY = 5 };

static uintptr_t call(uintptr_t operation, const void *arguments) {
#if defined(__riscv)
    register uintptr_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = arguments;
    /* The three instructions must be uncompressed and on one page: aligned to 16 bytes. */
    __asm__ volatile(".option push\n.option norvc\n.balign 16\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
#else
    register uintptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#endif
}

int semihosting_open(const char *name, int writing) {
    const uintptr_t arguments[3] = {(uintptr_t)name, writing ? MODE_WRITE_BINARY : MODE_READ_BINARY, strlen(name)};
    return (int)call(SYS_OPEN, arguments);
}

size_t semihosting_read(int handle, void *buffer, size_t size) {
    const uintptr_t arguments[3] = {(uintptr_t)handle, (uintptr_t)buffer, size};
    return size - call(SYS_READ, arguments);
}

size_t semihosting_write(int handle, const void *buffer, size_t size) {
    const uintptr_t arguments[3] = {(uintptr_t)handle, (uintptr_t)buffer, size};
    return size - call(SYS_WRITE, arguments);
}

void semihosting_close(int handle) {
    const uintptr_t arguments[1] = {(uintptr_t)handle};
    call(SYS_CLOSE, arguments);
}

void emulated_print(const char *text) { call(SYS_WRITE0, text); }

void emulated_exit(int status) {
    const uintptr_t arguments[2] = {ADP_STOPPED_APPLICATION_EXIT, (uintptr_t)status};
    for (;;) call(SYS_EXIT_EXTENDED, arguments);
}
