/* A NumPy file (.npy, format 1.0, little endian) of float32 [rows, cols], written row by row.
 *
 * It grows under a temporary name in the same folder and gets its own only when it is complete.
 * What is there under that name must be a regular file; it is replaced. */
#ifndef QUADRIGA_CLI_NPY_H
#define QUADRIGA_CLI_NPY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct cli_npy {
    FILE *file;
    const char *path; /* not owned */
    char *temporary;
    uint64_t rows, cols, written; /* rows */
};

/* False: said on standard error, and nothing is left behind. */
bool cli_npy_open(struct cli_npy *npy, const char *path, uint64_t rows, uint64_t cols);
bool cli_npy_write(struct cli_npy *npy, const float *values, uint64_t rows);
/* With `keep` and all rows written the file gets its name; else it is removed. Nothing to do for a
 * zeroed struct. */
bool cli_npy_close(struct cli_npy *npy, bool keep);

#endif
