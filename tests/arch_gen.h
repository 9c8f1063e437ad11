/* Remakes the models of tests/model/arch_cases.json, which tests/tools/arch_make.py wrote together
 * with the logits of the reference: the same weights, bit by bit, out of seed, tensor name and
 * index, and the keys of the case. The vocabulary is that of gguf_make.h (ROOMS fixture).
 *
 * A case is the JSON object as it lies in the file. Memory is given back with mem_free. */
#ifndef QUADRIGA_TESTS_ARCH_GEN_H
#define QUADRIGA_TESTS_ARCH_GEN_H

#include "quant/quant.h"

#include <jansson.h>

struct arch_gen_params {
    enum quant_id format; /* of all matrices whose columns are a multiple of its block, routers
                             excepted; the rest is F32 */
    bool decoded;         /* encode and decode again: F32 with the values that `format` holds */
};

/* The file in memory; NULL: out of memory, or the case is not well formed. *checksum, where not
 * NULL, is that of the weights before they are encoded, to be compared with the case's. */
uint8_t *arch_gen(const json_t *model, const struct arch_gen_params *params, size_t *bytes,
                  uint64_t *checksum);
/* The prompt: as many ids as the case's n_tokens. */
uint32_t *arch_gen_tokens(const json_t *model);

#endif
