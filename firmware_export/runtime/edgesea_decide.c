/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_decide: pool, compare, rest. */
#include "edgesea_decide.h"

#include <string.h>

void edgesea_decide_start(const edgesea_decisions *decisions, edgesea_decider *decider, void *memory)
{
    const int classes = decisions->classes;

    memset(decider, 0, sizeof *decider);
    decider->pooled = (uint16_t *)memory;
    decider->since = decider->pooled + classes;
    decider->state = (uint8_t *)(decider->since + classes);
    decider->scores = decider->state + classes;
    memset(decider->pooled, 0, (size_t)classes * sizeof *decider->pooled);
    memset(decider->state, 0, (size_t)classes);
    for (int c = 0; c < classes; c++) {
        decider->since[c] = decisions->rest;
    }
}

/* The pooled score of class c. */
static uint16_t pool(const edgesea_decisions *decisions, const edgesea_decider *decider, int c)
{
    const int classes = decisions->classes;
    uint32_t most = 0, sum = 0, weights = 0;

    for (int t = 0; t < decider->heard; t++) {
        const uint32_t score = decider->scores[t * classes + c];
        most = score > most ? score : most;
    }
    for (int t = 0; t < decider->heard; t++) {
        const uint32_t score = decider->scores[t * classes + c];
        const uint32_t weight = edgesea_power((most - score) * decisions->alpha[c] >> 8);
        sum += score * weight;
        weights += weight;
    }
    return (uint16_t)(((uint64_t)sum << 8) / weights);
}

int edgesea_decide(const edgesea_decisions *decisions, edgesea_decider *decider, const uint8_t *scores)
{
    const int classes = decisions->classes;
    int events = 0;

    memcpy(decider->scores + decider->next * classes, scores, (size_t)classes);
    decider->next = (uint16_t)(decider->next + 1 < decisions->window ? decider->next + 1 : 0);
    decider->heard = (uint16_t)(decider->heard < decisions->window ? decider->heard + 1 : decider->heard);
    for (int c = 0; c < classes; c++) {
        const int was = decider->state[c] & EDGESEA_HIGH;

        decider->pooled[c] = pool(decisions, decider, c);
        decider->state[c] = decider->pooled[c] >= decisions->thresholds[c] ? EDGESEA_HIGH : 0;
        if (decider->since[c] < decisions->rest) {
            decider->since[c]++;
        }
        if (decider->state[c] && !was) {
            if (decider->since[c] >= decisions->rest) {
                decider->state[c] |= EDGESEA_EVENT;
                decider->since[c] = 0;
                decider->events++;
                events++;
            } else {
                decider->suppressed++;
            }
        }
    }
    return events;
}

/* round(65535 * 2^(-i / 256)) */
static const uint16_t powers[256] = {
    65535, 65358, 65181, 65005, 64829, 64654, 64479, 64305, 64131, 63957, 63784, 63612,
    63440, 63268, 63097, 62927, 62757, 62587, 62418, 62249, 62081, 61913, 61745, 61578,
    61412, 61246, 61080, 60915, 60750, 60586, 60422, 60259, 60096, 59933, 59771, 59610,
    59449, 59288, 59127, 58968, 58808, 58649, 58491, 58332, 58175, 58017, 57860, 57704,
    57548, 57392, 57237, 57082, 56928, 56774, 56621, 56468, 56315, 56163, 56011, 55859,
    55708, 55558, 55407, 55258, 55108, 54959, 54811, 54662, 54515, 54367, 54220, 54074,
    53927, 53781, 53636, 53491, 53346, 53202, 53058, 52915, 52772, 52629, 52487, 52345,
    52203, 52062, 51921, 51781, 51641, 51501, 51362, 51223, 51085, 50947, 50809, 50671,
    50534, 50398, 50261, 50126, 49990, 49855, 49720, 49586, 49452, 49318, 49184, 49051,
    48919, 48787, 48655, 48523, 48392, 48261, 48131, 48000, 47871, 47741, 47612, 47483,
    47355, 47227, 47099, 46972, 46845, 46718, 46592, 46466, 46340, 46215, 46090, 45965,
    45841, 45717, 45593, 45470, 45347, 45225, 45102, 44980, 44859, 44737, 44617, 44496,
    44376, 44256, 44136, 44017, 43898, 43779, 43660, 43542, 43425, 43307, 43190, 43073,
    42957, 42841, 42725, 42609, 42494, 42379, 42265, 42150, 42036, 41923, 41809, 41696,
    41584, 41471, 41359, 41247, 41136, 41024, 40914, 40803, 40693, 40583, 40473, 40363,
    40254, 40145, 40037, 39929, 39821, 39713, 39606, 39498, 39392, 39285, 39179, 39073,
    38967, 38862, 38757, 38652, 38548, 38443, 38339, 38236, 38132, 38029, 37926, 37824,
    37722, 37620, 37518, 37416, 37315, 37214, 37114, 37013, 36913, 36813, 36714, 36615,
    36516, 36417, 36318, 36220, 36122, 36025, 35927, 35830, 35733, 35637, 35540, 35444,
    35348, 35253, 35157, 35062, 34968, 34873, 34779, 34685, 34591, 34497, 34404, 34311,
    34218, 34126, 34033, 33941, 33850, 33758, 33667, 33576, 33485, 33394, 33304, 33214,
    33124, 33035, 32945, 32856,
};

uint32_t edgesea_power(uint32_t x) { return x >> 8 > 31 ? 0 : (uint32_t)powers[x & 255] >> (x >> 8); }
