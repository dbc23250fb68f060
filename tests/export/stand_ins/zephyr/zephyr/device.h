/* Stand-in for Zephyr's devices; the devicetree has a console, and a microphone unless NO_DMIC is defined. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device {
    const char *name;
};

extern const struct device stand_in_zephyr_console, stand_in_dmic_dev;

#define DT_CHOSEN(name) name
#define DT_NODELABEL(name) name
#define DEVICE_DT_GET(node) DEVICE_OF_NODE(node)
#define DEVICE_OF_NODE(node) (&stand_in_##node)
#ifdef NO_DMIC
#define DT_NODE_HAS_STATUS(node, status) 0
#else
#define DT_NODE_HAS_STATUS(node, status) 1
#endif

bool device_is_ready(const struct device *device);
