/* A random choice of tasks as llama.cpp makes it. */
#include "eval/eval.h"

#include <string.h>

enum { STATE = 624, MIDDLE = 397 };

/* Mersenne Twister (M. Matsumoto, T. Nishimura, 1998), as std::mt19937. */
struct twister {
    uint32_t state[STATE];
    uint32_t at;
};

static void twister_init(struct twister *twister, uint32_t seed)
{
    twister->state[0] = seed;
    for (uint32_t i = 1; i < STATE; i++) {
        uint32_t before = twister->state[i - 1];
        twister->state[i] = 1812433253u * (before ^ (before >> 30)) + i;
    }
    twister->at = STATE;
}

static void twist(struct twister *twister)
{
    uint32_t *s = twister->state;
    for (uint32_t i = 0; i < STATE; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % STATE] & 0x7fffffffu);
        s[i] = s[(i + MIDDLE) % STATE] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
    }
    twister->at = 0;
}

static uint32_t twister_next(struct twister *twister)
{
    if (twister->at == STATE) {
        twist(twister);
    }
    uint32_t y = twister->state[twister->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* Uniform below `range`, as libstdc++ draws it (D. Lemire, "Fast random integer generation in an
 * interval", 2019). */
static uint32_t draw(struct twister *twister, uint32_t range)
{
    uint64_t product = (uint64_t)twister_next(twister) * range;
    if ((uint32_t)product < range) {
        uint32_t least = (0u - range) % range;
        while ((uint32_t)product < least) {
            product = (uint64_t)twister_next(twister) * range;
        }
    }
    return (uint32_t)(product >> 32);
}

bool eval_pick_llama(uint32_t total, uint32_t n, uint32_t *out)
{
    struct twister twister;
    uint32_t *rest = mem_alloc(total, sizeof *rest);
    if (rest == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < total; i++) {
        rest[i] = i;
    }
    twister_init(&twister, 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = draw(&twister, total - i);
        out[i] = rest[at];
        memmove(rest + at, rest + at + 1, (size_t)(total - i - 1 - at) * sizeof *rest);
    }
    mem_free(rest);
    return true;
}
