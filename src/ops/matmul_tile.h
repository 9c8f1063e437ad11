/* Kernels and tiles of the ops matmul and matmul_experts: the rows of their tables of variants, how
 * a kernel is specialized by what was measured or by default, and what one work group makes. */
#ifndef QUADRIGA_OPS_MATMUL_TILE_H
#define QUADRIGA_OPS_MATMUL_TILE_H

#include "ops/variant.h"

enum matmul_kernel {
    MATMUL_INT_DOT,
    MATMUL_LANES,
    MATMUL_COOPMAT,
    MATMUL_COOPMAT2,
    MATMUL_INT_DOT_FEW,
    MATMUL_SHARED,
    MATMUL_SUBGROUP,
    MATMUL_GEMV,
    MATMUL_GEMM,
    MATMUL_KERNELS
};

#define MATMUL_FEW_TUNABLES                                                                        \
    {                                                                                              \
        {"rows", {1, 2, 4}}, {"local", {32, 64, 128, 256, 512}}, {"tokens", {1, 2, 4, 8}},         \
            {"unroll", {1, 2, 4}},                                                                 \
    }

/* The table of an op: `shaders` begins the names of its tables of kernels by format. Rows that read
 * staged or quantized activations are for as many tokens as pay for the units and the staging; the
 * quantized ones are not taken unless somebody asks (ops_prefs.act_q8), and are then the first. */
#define MATMUL_VARIANTS(shaders)                                                                   \
    {                                                                                              \
        [MATMUL_INT_DOT] = {.name = "int_dot",                                                     \
                            .needs = DEV_CAP_INT_DOT,                                              \
                            .min_tokens = 17,                                                      \
                            .x = PLAN_S8,                                                          \
                            .by_quant = shaders##_int_dot},                                        \
        [MATMUL_LANES] = {.name = "lanes",                                                         \
                          .needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,                  \
                          .min_subgroup = 4,                                                       \
                          .max_subgroup = 16,                                                      \
                          .by_quant = shaders##_lanes,                                             \
                          .tunables = {{"rows", {4, 8}},                                           \
                                       {"group", {1, 2, 4, 8}},                                    \
                                       {"tokens", {1, 2, 4, 8}}}},                                 \
        [MATMUL_COOPMAT] = {.name = "coopmat",                                                     \
                            .needs = DEV_CAP_COOPMAT | DEV_CAP_FP16,                               \
                            .min_tokens = 5,                                                       \
                            .x = PLAN_F16,                                                         \
                            .by_quant = shaders##_coopmat,                                         \
                            .tunables = {{"rows", {32, 64, 128, 256}},                             \
                                         {"tokens", {32, 64, 128, 192, 256}},                      \
                                         {"columns", {32, 64}},                                    \
                                         {"subgroups", {1, 2, 4, 8}}}},                            \
        [MATMUL_COOPMAT2] = {.name = "coopmat2",                                                   \
                             .needs = DEV_CAP_COOPMAT2 | DEV_CAP_FP16,                             \
                             .min_tokens = 5,                                                      \
                             .x = PLAN_F16,                                                        \
                             .by_quant = shaders##_coopmat2,                                       \
                             .rival = true,                                                        \
                             .tunables = {{"rows", {32, 64, 128, 256}},                            \
                                          {"tokens", {32, 64, 128, 256}},                          \
                                          {"columns", {32, 64}},                                   \
                                          {"invocations", {128, 256, 512}}}},                      \
        [MATMUL_INT_DOT_FEW] = {.name = "int_dot_few",                                             \
                                .needs = DEV_CAP_INT_DOT | DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE,     \
                                .min_subgroup = 8,                                                 \
                                .max_subgroup = 128,                                               \
                                .max_tokens = 16,                                                  \
                                .gpu = true,                                                       \
                                .quantizes = true,                                                 \
                                .by_quant = shaders##_int_dot_few,                                 \
                                .tunables = MATMUL_FEW_TUNABLES},                                  \
        [MATMUL_SHARED] = {.name = "shared",                                                       \
                           .needs = DEV_CAP_SUBGROUP,                                              \
                           .max_tokens = 16,                                                       \
                           .gpu = true,                                                            \
                           .by_quant = shaders##_shared,                                           \
                           .tunables = MATMUL_FEW_TUNABLES},                                       \
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

/* 2^23 as bits of a float, for shaders/common/weights.glsl. */
#define OPS_MAGIC 0x4b000000u

/* Of plain_gemm and int_dot, fixed in the shaders; a device may allow as few as 128. */
enum { MATMUL_GEMM_LOCAL = 256 };
/* The scales of staged and quantized activations, in both ops; not every build has shaders that
 * read them. */
enum { MATMUL_BIND_SCALES = 4 };

/* What one work group makes. */
struct matmul_tile {
    uint32_t local, spec_rows; /* 0: fixed in the shader */
    uint32_t rows, tokens;
    bool quads; /* lanes: rows are stored in fours */
    /* coopmat: columns between two barriers, subgroups that share the rows (local / subgroup size
     * of them in all), bytes of shared memory */
    uint32_t columns, row_subgroups, shared_bytes;
    bool norm, gelu;      /* kernels for few tokens: what else they make */
    uint32_t most_groups; /* row tiles in a dispatch at most, then they stride; 0: one for each */
    uint32_t unroll; /* subgroup: fetches at a time; its columns are those of x in shared memory */
    bool workgroup_scope; /* coopmat2: the matrices'; else a subgroup's, and there is one */
};

/* Of the whole product; experts: of one expert, tokens on average. */
struct matmul_size {
    uint64_t tokens, rows, cols;
};

/* The one place where a tile is chosen: what was measured for need->tokens tokens or, where that
 * does not fit or is not known, by size and limits of the device. */
struct matmul_tile ops_matmul_tile(const struct ops_target *target, const struct ops_need *need,
                                   enum matmul_kernel kernel, const struct matmul_size *size);
/* Work groups of a dispatch for `rows`, of which one makes `each` at a time. */
uint64_t ops_matmul_groups(const struct matmul_tile *tile, uint64_t rows, uint32_t each);
/* NULL: logged. */
struct dev_kernel *ops_matmul_kernel(struct dev *dev, enum matmul_kernel kernel,
                                     const struct matmul_tile *tile,
                                     const struct dev_shader *shader);
/* Notes in need->unfit which rows of the table cannot run this: for what the device
 * is, how the weight lies there, and as many texels of x. */
void ops_matmul_unfit(const struct dev_caps *caps, const struct quant_layout *layout,
                      uint64_t x_texels, struct ops_need *need);
/* The kernels for few tokens alone can make the norm of x, whose weight is source
 * MATMUL_SRC_NORM of a node that asks for it. */
enum { MATMUL_SRC_NORM = 4 };
bool ops_matmul_has_norm(const struct plan_node *node);
bool ops_matmul_is_few(enum matmul_kernel kernel);
void ops_matmul_unfit_norm(struct ops_need *need);

/* Tokens by which the kernel of a matmul or matmul_experts node is chosen. */
uint64_t ops_matmul_tokens(const struct plan *plan, const struct plan_node *node);

/* The best variant for a matmul or matmul_experts node of a placed plan, also one that reads
 * activations in another form than they have now; NULL: none. */
const struct ops_variant *ops_matmul_best(const struct plan *plan, const struct plan_node *node,
                                          const struct dev_caps *caps,
                                          const struct ops_prefs *prefs);

#endif
