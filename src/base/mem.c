/* The only file that calls malloc and friends. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 64 * 1024 };

struct arena_block {
    struct arena_block *prev;
    size_t used, bytes; /* of the payload */
    max_align_t payload[];
};

void *mem_alloc(size_t count, size_t size)
{
    return calloc(count != 0 ? count : 1, size != 0 ? size : 1);
}

void *mem_resize(void *ptr, size_t count, size_t size)
{
    uint64_t bytes;
    if (!size_mul(count, size, &bytes) || bytes > SIZE_MAX) {
        return NULL;
    }
    return realloc(ptr, bytes != 0 ? (size_t)bytes : 1);
}

void mem_free(void *ptr)
{
    free(ptr);
}

char *mem_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = mem_alloc(n, 1);
    if (copy != NULL) {
        memcpy(copy, text, n);
    }
    return copy;
}

bool mem_grow(void **array, size_t *cap, size_t count, size_t size)
{
    if (count < *cap) {
        return true;
    }
    size_t more = *cap != 0 ? *cap : 8;
    if (*cap > SIZE_MAX / 2) {
        return false;
    }
    if (*cap != 0) {
        more = *cap * 2;
    }
    void *grown = mem_resize(*array, more, size);
    if (grown == NULL) {
        return false;
    }
    memset((char *)grown + *cap * size, 0, (more - *cap) * size);
    *array = grown;
    *cap = more;
    return true;
}

void arena_init(struct arena *arena)
{
    arena->last = NULL;
}

void arena_finish(struct arena *arena)
{
    while (arena->last != NULL) {
        struct arena_block *prev = arena->last->prev;
        mem_free(arena->last);
        arena->last = prev;
    }
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
    uint64_t bytes;
    if (!size_mul(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    bytes = size_round(bytes != 0 ? bytes : 1, 16);
    struct arena_block *block = arena->last;
    if (block == NULL || block->bytes - block->used < bytes) {
        size_t payload = bytes > ARENA_BLOCK_BYTES ? (size_t)bytes : ARENA_BLOCK_BYTES;
        block = mem_alloc(1, sizeof *block + payload);
        if (block == NULL) {
            return NULL;
        }
        block->bytes = payload;
        block->prev = arena->last;
        arena->last = block;
    }
    void *out = (char *)block->payload + block->used;
    block->used += (size_t)bytes;
    return out;
}

char *arena_strndup(struct arena *arena, const char *text, size_t n)
{
    if (n == SIZE_MAX) {
        return NULL;
    }
    char *copy = arena_alloc(arena, n + 1, 1);
    if (copy != NULL) {
        memcpy(copy, text, n);
    }
    return copy;
}
