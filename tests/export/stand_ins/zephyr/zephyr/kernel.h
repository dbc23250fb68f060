/* Stand-in for Zephyr's kernel. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <zephyr/device.h>

#define ARG_UNUSED(x) (void)(x)
#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct k_mem_slab {
    size_t block, count;
    char *memory;
};

#define K_MEM_SLAB_DEFINE_STATIC(name, bytes, count_, alignment) \
    static char name##_memory[(bytes) * (count_)] __attribute__((aligned(alignment))); \
    static struct k_mem_slab name = {bytes, count_, name##_memory}

void k_mem_slab_free(struct k_mem_slab *slab, void *block);
uint32_t k_cycle_get_32(void);
uint32_t k_uptime_get_32(void);
int32_t k_msleep(int32_t ms);
int sys_clock_hw_cycles_per_sec(void);
