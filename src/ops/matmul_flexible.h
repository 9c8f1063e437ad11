/* Tiles of the kernels on matrices of flexible dimensions (variant "coopmat2"). */
#ifndef QUADRIGA_OPS_MATMUL_FLEXIBLE_H
#define QUADRIGA_OPS_MATMUL_FLEXIBLE_H

#include "ops/matmul_tile.h"

/* In the order of the tunables: rows, tokens, columns, invocations. */
void ops_flexible_defaults(const struct dev_caps *caps, const struct matmul_size *size,
                           uint32_t *values);
/* The tile of these values, made smaller until it fits the device; *why is NULL. False: none does,
 * whatever the values; *why says what is missing. */
bool ops_flexible_tile(const struct dev_caps *caps, uint64_t cols, const uint32_t *values,
                       struct matmul_tile *tile, const char **why);

#endif
