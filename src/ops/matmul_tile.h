/* Kernels and tiles of the ops matmul and matmul_experts: the rows of their tables of variants, how
 * a kernel is specialized by what was measured or by default, and what one work group makes. */
#ifndef QUADRIGA_OPS_MATMUL_TILE_H
#define QUADRIGA_OPS_MATMUL_TILE_H

#include "ops/variant.h"

enum matmul_kernel { MATMUL_LANES, MATMUL_SUBGROUP, MATMUL_GEMV, MATMUL_GEMM, MATMUL_KERNELS };

/* The table of an op: `shaders` begins the names of its tables of kernels by format. */
#define MATMUL_VARIANTS(shaders)                                                                   \
    {                                                                                              \
        [MATMUL_LANES] = {.name = "lanes",                                                         \
                          .needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,                  \
                          .min_subgroup = 4,                                                       \
                          .max_subgroup = 16,                                                      \
                          .by_quant = shaders##_lanes,                                             \
                          .tunables = {{"rows", {4, 8}},                                           \
                                       {"group", {1, 2, 4, 8}},                                    \
                                       {"tokens", {1, 2, 4, 8}}}},                                 \
        [MATMUL_SUBGROUP] = {.name = "subgroup",                                                   \
                             .needs = DEV_CAP_SUBGROUP,                                            \
                             .max_tokens = 16,                                                     \
                             .by_quant = shaders##_subgroup,                                       \
                             .tunables = {{"rows", {1, 2, 4}},                                     \
                                          {"local", {32, 64, 128, 256, 512}},                      \
                                          {"tokens", {1, 2, 4, 8}}}},                              \
        [MATMUL_GEMV] = {.name = "plain_gemv",                                                     \
                         .max_tokens = 4,                                                          \
                         .by_quant = shaders##_plain_gemv,                                         \
                         .tunables = {{"tokens", {1, 2, 4}}}},                                     \
        [MATMUL_GEMM] = {.name = "plain_gemm", .by_quant = shaders##_plain_gemm},                  \
    }

enum { MATMUL_GEMM_LOCAL = 256 }; /* fixed in the shader; a device may allow as few as 128 */

struct matmul_tile {
    uint32_t local, spec_rows; /* 0: fixed in the shader */
    uint32_t rows, tokens;
    bool quads; /* lanes: rows are stored in fours */
};

/* For need->tokens tokens at once. */
struct matmul_tile ops_matmul_tile(const struct op_site *site, const struct ops_need *need,
                                   enum matmul_kernel kernel);
/* Spec constants 0 (local size), 1 (S), 2 (ROWS), 3 (TOKENS) and 4 (QUADS), where the kernel has
 * them. NULL: logged. */
struct dev_kernel *ops_matmul_kernel(struct dev *dev, enum matmul_kernel kernel,
                                     const struct matmul_tile *tile,
                                     const struct dev_shader *shader);
/* Rows of the table that cannot run for what the device is. */
uint32_t ops_matmul_unfit(const struct dev_caps *caps, const struct quant_layout *layout,
                          uint64_t x_texels, const char **why);

#endif
