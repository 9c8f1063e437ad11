/* Heap calls, arenas, growing arrays and overflow-safe sizes.
 *
 * Every allocation of the project comes from here, so that the fault tests can make the k-th one
 * fail. All return NULL on failure and log nothing; the caller does. Memory is zeroed.
 *
 * Thread rule: mem_* any thread; one arena, one thread at a time. */
#ifndef QUADRIGA_BASE_MEM_H
#define QUADRIGA_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* count * size bytes, zeroed; NULL when that overflows or memory is out. Free with mem_free. */
void *mem_alloc(size_t count, size_t size);
/* Grows or shrinks; bytes beyond the old size are not zeroed. The old block stays on failure. */
void *mem_resize(void *ptr, size_t count, size_t size);
void mem_free(void *ptr);
char *mem_strdup(const char *text);

/* Makes room for one more element in a growing array: doubles `*cap`. False on overflow or no
 * memory; then array and cap are unchanged. Call as mem_grow((void **)&a, &cap, n, sizeof *a). */
bool mem_grow(void **array, size_t *cap, size_t count, size_t size);

/* An arena frees everything at once. */
struct arena_block;
struct arena {
    struct arena_block *last;
};
void arena_init(struct arena *arena);
void arena_finish(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t count, size_t size); /* 16-byte aligned, zeroed */
char *arena_strndup(struct arena *arena, const char *text, size_t n);

static inline bool size_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > UINT64_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

static inline bool size_add(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > UINT64_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

/* Rounds up to a multiple of `to` (not 0); saturates at the largest multiple. */
static inline uint64_t size_round(uint64_t n, uint64_t to)
{
    uint64_t rest = n % to;
    if (rest == 0) {
        return n;
    }
    return n > UINT64_MAX - (to - rest) ? UINT64_MAX / to * to : n + (to - rest);
}

static inline uint64_t size_div_up(uint64_t n, uint64_t by)
{
    return n / by + (n % by != 0);
}

#endif
