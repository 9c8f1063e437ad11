/* From logits to a token: greedy, temperature, top-k, top-p, min-p, repetition penalty.
 *
 * The order is llama.cpp's: penalties, top-k, top-p, min-p, temperature, then a draw. Temperature 0
 * is greedy: the largest logit, lowest id on ties. The draw uses splitmix64 seeded by `seed`, one
 * number per token: the same seed and logits give the same tokens.
 * Thread rule: one thread at a time. */
#ifndef QUADRIGA_RUN_SAMPLE_H
#define QUADRIGA_RUN_SAMPLE_H

#include "base/log.h"

#include <stddef.h>
#include <stdint.h>

struct sample_params {
    float temperature;    /* <= 0: greedy */
    uint32_t top_k;       /* 0: off */
    float top_p;          /* >= 1: off (Holtzman et al. 2020) */
    float min_p;          /* <= 0: off (Nguyen et al. 2024) */
    float repeat_penalty; /* 1 or not above 0: off (Keskar et al. 2019) */
    uint32_t repeat_last; /* tokens looked back on, 0: off; llama.cpp's default is 64 */
    uint64_t seed;
};

struct sampler;

struct sampler *sampler_create(const struct sample_params *params, uint32_t n_vocab);
void sampler_destroy(struct sampler *sampler);
/* Tells a token that is now part of the text (prompt and generated), for the penalty. */
void sampler_add(struct sampler *sampler, uint32_t token);
/* True when the choice depends on the largest logit that is not banned alone, so that the device
 * can make it. */
bool sampler_is_greedy(const struct sampler *sampler);
/* How many of the largest logits, of equal ones the lowest ids, are enough to choose by
 * (sampler_pick_top). 0: all are needed. Without top-k that is so, and where a penalty raises
 * logits. */
uint32_t sampler_top(const struct sampler *sampler);
/* Never to be chosen (`--ignore-eos`). False: out of memory. */
bool sampler_ban(struct sampler *sampler, uint32_t token);
/* Picks from logits [n_vocab] (not changed). Only finite logits can win, and one of them always
 * does: every filter leaves the largest. A NaN parameter turns its filter off, a NaN temperature is
 * greedy. False: no finite logit that is not banned. */
bool sampler_pick(struct sampler *sampler, const float *logits, uint32_t *token);
/* The same from the n = sampler_top largest of them: n bit patterns of floats, then n ids, of which
 * those behind the last finite logit are UINT32_MAX (op_topk). The token is the one that
 * sampler_pick would choose, with the same draw. */
bool sampler_pick_top(struct sampler *sampler, const uint32_t *top, uint32_t n, uint32_t *token);

#endif
