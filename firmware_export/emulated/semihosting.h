/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* Semihosting: how a program on an emulated core reads and writes files of the host.
 *
 * A call stops the core until the host has answered; it costs a handful of emulated instructions. The host is
 * edgesea/running/semihosting.py, which knows the few files that a run is given or may write, by their names, and
 * refuses everything else. semihosting.c also holds emulated_print and emulated_exit, whose status becomes QEMU's exit
 * code. Nothing here works on a real board without a debugger.
 *
 * Source: Arm "Semihosting for AArch32 and AArch64", release 2.0; RISC-V "Semihosting", version 0.4.
 */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a file in binary; `writing` is 0 to read an existing one, 1 to write a new one.
 * Returns a handle, or -1 where there is none of that name. */
int semihosting_open(const char *name, int writing);

/* Reads up to `size` bytes into `buffer`; returns how many were read, less than `size` at the file's end. */
size_t semihosting_read(int handle, void *buffer, size_t size);

/* Writes `size` bytes; returns how many were written. */
size_t semihosting_write(int handle, const void *buffer, size_t size);

void semihosting_close(int handle);

#ifdef __cplusplus
}
#endif
#endif
