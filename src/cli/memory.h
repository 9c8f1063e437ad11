/* Heap of the command line, the one place of src/cli that calls it. Memory is zeroed. */
#ifndef QUADRIGA_CLI_MEMORY_H
#define QUADRIGA_CLI_MEMORY_H

#include <stddef.h>

/* NULL when count * size overflows or memory is out: said on standard error. Free with cli_free. */
void *cli_alloc(size_t count, size_t size);
/* New bytes are not zeroed; the old block stays on failure. */
void *cli_resize(void *block, size_t count, size_t size);
void cli_free(void *block);

#endif
