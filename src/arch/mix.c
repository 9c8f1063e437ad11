/* Mixtures of formats by the names of llama-quantize, for dummies: which matrices of a llama model
 * it makes finer than the rest (src/llama-quant.cpp of llama.cpp, without an importance matrix;
 * models of up to three query heads per KV head). Files say the format of each tensor themselves.
 */
#include "arch/internal.h"

#include <string.h>

/* Layers of a matrix that get the finer of two formats. */
enum finer {
    FINER_ALL,
    FINER_SOME, /* the first and last eighth, and every third between */
    FINER_EIGHTH,
    FINER_SIXTEENTH,
    FINER_2,
    FINER_4
};

struct choice {
    enum finer finer;
    enum quant_id there, elsewhere;
};

struct arch_mix {
    const char *name;
    enum quant_id base; /* of all that is not named here; the head is in Q6_K */
    struct choice attn_v, attn_output, ffn_down;
};

#define ALL(quant)                                                                                 \
    {                                                                                              \
        FINER_ALL, (quant), (quant)                                                                \
    }

static const struct arch_mix MIXES[] = {
    {"Q3_K_S", QUANT_Q3_K, ALL(QUANT_Q3_K), ALL(QUANT_Q3_K), ALL(QUANT_Q3_K)},
    {"Q3_K_M",
     QUANT_Q3_K,
     {FINER_2, QUANT_Q5_K, QUANT_Q4_K},
     ALL(QUANT_Q4_K),
     {FINER_SIXTEENTH, QUANT_Q5_K, QUANT_Q4_K}},
    {"Q3_K_L", QUANT_Q3_K, ALL(QUANT_Q5_K), ALL(QUANT_Q5_K), ALL(QUANT_Q5_K)},
    {"Q4_K_S",
     QUANT_Q4_K,
     {FINER_4, QUANT_Q5_K, QUANT_Q4_K},
     ALL(QUANT_Q4_K),
     {FINER_EIGHTH, QUANT_Q5_K, QUANT_Q4_K}},
    {"Q4_K_M",
     QUANT_Q4_K,
     {FINER_SOME, QUANT_Q6_K, QUANT_Q4_K},
     ALL(QUANT_Q4_K),
     {FINER_SOME, QUANT_Q6_K, QUANT_Q4_K}},
    {"Q5_K_S", QUANT_Q5_K, ALL(QUANT_Q5_K), ALL(QUANT_Q5_K), ALL(QUANT_Q5_K)},
    {"Q5_K_M",
     QUANT_Q5_K,
     {FINER_SOME, QUANT_Q6_K, QUANT_Q5_K},
     ALL(QUANT_Q5_K),
     {FINER_SOME, QUANT_Q6_K, QUANT_Q5_K}},
};

const struct arch_mix *arch_mix_at(uint32_t i)
{
    return i < sizeof MIXES / sizeof MIXES[0] ? &MIXES[i] : NULL;
}

const char *arch_mix_name(const struct arch_mix *mix)
{
    return mix->name;
}

static bool is_finer(enum finer finer, int32_t layer, int32_t n)
{
    switch (finer) {
    case FINER_ALL:
        return true;
    case FINER_SOME:
        return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
    case FINER_EIGHTH:
        return layer < n / 8;
    case FINER_SIXTEENTH:
        return layer < n / 16;
    case FINER_2:
        return layer < 2;
    case FINER_4:
        return layer < 4;
    }
    return false;
}

enum quant_id arch_mix_quant(const struct arch_mix *mix, const struct arch_model *model,
                             const char *name, int32_t layer)
{
    int32_t n = (int32_t)model->hp.n_layers;
    if (layer < 0 || layer >= n) {
        bool head = strncmp(name, "output.", 7) == 0 || model->hp.tied_embedding;
        return head ? QUANT_Q6_K : mix->base;
    }
    const struct choice *choice = strstr(name, "attn_v.") != NULL        ? &mix->attn_v
                                  : strstr(name, "attn_output.") != NULL ? &mix->attn_output
                                  : strstr(name, "ffn_down") != NULL     ? &mix->ffn_down
                                                                         : NULL;
    if (choice == NULL) {
        return mix->base;
    }
    return is_finer(choice->finer, layer, n) ? choice->there : choice->elsewhere;
}
