/* Contents of quantized KV caches in the microbenchmarks: random quants, scales that differ from
 * block to block. Made on the host, any row again when it is needed. */
#include "lab/bench_internal.h"

#include "base/hash.h"
#include "lab/internal.h"
#include "shaders/common/kv_types.h"

enum { PIECE_WORDS = 1 << 20 };

/* Values have a standard deviation of about 0.02, as dummy weights have. */
static uint32_t scale_bits(enum plan_elem elem)
{
    return elem == PLAN_Q8_0 ? 0x0c000c00u : 0x1c001c00u;
}

/* Word `i` of a cache whose first `quants` words are no scales. */
static uint32_t make_word(const struct bench_tensor *t, enum plan_elem elem, uint64_t quants,
                          uint64_t i)
{
    uint64_t state = t->seed + i;
    uint32_t word = (uint32_t)hash_next(&state);
    return i < quants ? word : (word & 0x01ff01ffu) | scale_bits(elem);
}

static uint64_t quant_words(const struct bench_tensor *t, enum plan_elem elem)
{
    return t->rows * t->cols / (elem == PLAN_Q8_0 ? 4 : 8);
}

bool bench_cache_upload(struct bench_case *c, uint32_t tensor)
{
    const struct bench_tensor *t = &c->tensors[tensor];
    enum plan_elem elem = c->plan.tensors[tensor].elem;
    uint64_t n = plan_tensor_bytes(&c->plan.tensors[tensor]) / 4, quants = quant_words(t, elem);
    uint32_t *piece = mem_alloc(PIECE_WORDS, sizeof *piece);
    bool ok = piece != NULL;
    for (uint64_t first = 0; ok && first < n; first += PIECE_WORDS) {
        uint64_t words = n - first < PIECE_WORDS ? n - first : PIECE_WORDS;
        for (uint64_t i = 0; i < words; i++) {
            piece[i] = make_word(t, elem, quants, first + i);
        }
        ok = dev_upload(c->bd->dev, c->buf, t->at + first * 4, piece, words * 4);
    }
    c->why = piece == NULL ? "out of memory" : c->why;
    mem_free(piece);
    return ok;
}

void bench_cache_row(const struct bench_case *c, uint32_t tensor, uint64_t row, float *out)
{
    const struct bench_tensor *t = &c->tensors[tensor];
    enum plan_elem elem = c->plan.tensors[tensor].elem;
    uint64_t quants = quant_words(t, elem), blocks = t->cols / KV_BLOCK;
    for (uint64_t b = 0; b < blocks; b++) {
        uint32_t words[9]; /* one block, and a word with its scale in the low half */
        uint32_t n = elem == PLAN_Q8_0 ? 8 : 4;
        uint64_t block = row * blocks + b;
        for (uint32_t i = 0; i < n; i++) {
            words[i] = make_word(t, elem, quants, block * n + i);
        }
        words[n] = make_word(t, elem, quants, quants + block / 2) >> block % 2 * 16;
        lab_kv_unpack(elem, (const uint8_t *)words, KV_BLOCK, out + b * KV_BLOCK);
    }
}
