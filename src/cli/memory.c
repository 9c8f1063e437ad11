/* The C heap with checked sizes. What an allocation was for is left to the caller to name. */
#include "cli/memory.h"

#include "cli/term.h"

#include <stdint.h>
#include <stdlib.h>

void *cli_alloc(size_t count, size_t size)
{
    void *block = calloc(count != 0 ? count : 1, size);
    if (block == NULL) {
        cli_error("out of memory for %zu x %zu bytes", count, size);
    }
    return block;
}

void *cli_resize(void *block, size_t count, size_t size)
{
    void *grown = size == 0 || count <= SIZE_MAX / size ? realloc(block, count * size) : NULL;
    if (grown == NULL) {
        cli_error("out of memory for %zu x %zu bytes", count, size);
    }
    return grown;
}

void cli_free(void *block)
{
    free(block);
}
