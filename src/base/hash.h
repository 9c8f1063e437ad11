/* 64-bit FNV-1a and the splitmix64 step (Steele, Lea, Flood: "Fast splittable pseudorandom number
 * generators", 2014). Not for anything an adversary chooses. */
#ifndef QUADRIGA_BASE_HASH_H
#define QUADRIGA_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_SEED 0xcbf29ce484222325ull

static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *p = (const unsigned char *)data;
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ p[i]) * 0x100000001b3ull;
    }
    return hash;
}

/* Advances the state, returns 64 random bits. */
static inline uint64_t hash_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Uniform in [0, 1). */
static inline double hash_uniform(uint64_t *state)
{
    return (double)(hash_next(state) >> 11) * 0x1.0p-53;
}

#endif
