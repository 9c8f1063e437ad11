/* The plan of plan_fake.h with a matmul whose kernels are made up, and a device with matrix units:
 * so it does not matter what this build's shader compiler knows. */
#ifndef QUADRIGA_TESTS_PLAN_MATRIX_H
#define QUADRIGA_TESTS_PLAN_MATRIX_H

#include "plan_fake.h"

#include "ops/matmul_tile.h"

static const struct dev_shader a_shader = {.name = "toy"};
static const struct ops_variant kernels[MATMUL_KERNELS] = {
    [MATMUL_LANES] = {.name = "lanes", .needs = DEV_CAP_CPU | DEV_CAP_TEXEL, .shader = &a_shader},
    [MATMUL_INT_DOT] = {.name = "int_dot",
                        .needs = DEV_CAP_INT_DOT,
                        .min_tokens = 17,
                        .x = PLAN_S8,
                        .shader = &a_shader},
    [MATMUL_COOPMAT] = {.name = "coopmat",
                        .needs = DEV_CAP_COOPMAT,
                        .min_tokens = 17,
                        .x = PLAN_F16,
                        .shader = &a_shader},
    [MATMUL_COOPMAT2] = {.name = "coopmat2", .needs = DEV_CAP_COOPMAT2, .x = PLAN_F16},
    [MATMUL_INT_DOT_FEW] = {.name = "int_dot_few", .needs = DEV_CAP_CPU, .shader = &a_shader},
    [MATMUL_SHARED] = {.name = "shared", .max_tokens = 16, .shader = &a_shader},
    [MATMUL_SUBGROUP] = {.name = "subgroup", .max_tokens = 16, .shader = &a_shader},
    [MATMUL_GEMV] = {.name = "plain_gemv", .max_tokens = 4, .shader = &a_shader},
    [MATMUL_GEMM] = {.name = "plain_gemm", .shader = &a_shader},
};
static const struct op TOY_MATMUL = {
    .name = "matmul", .variants = kernels, .n_variants = MATMUL_KERNELS};

static inline struct dev_caps matrix_caps(void)
{
    return (struct dev_caps){.has = DEV_CAP_SUBGROUP | DEV_CAP_FP16 | DEV_CAP_COOPMAT |
                                    DEV_CAP_INT_DOT,
                             .subgroup_size = 32,
                             .max_workgroup_invocations = 1024,
                             .max_workgroup_size = {1024, 1024, 64},
                             .max_shared_bytes = 49152,
                             .max_texel_elements = 1 << 24,
                             .max_storage_buffers = 16,
                             .coopmat_m = 16,
                             .coopmat_n = 16,
                             .coopmat_k = 16};
}

/* Placed on devices with these numbers of layers. */
static inline void matrix_plan(struct plan *plan, struct log *log, uint32_t n_tokens,
                               uint32_t n_devices, const uint32_t *layers)
{
    struct plan_map map;
    uint32_t n_layers = 0;
    for (uint32_t d = 0; d < n_devices; d++) {
        n_layers += layers[d];
    }
    fake_llama(plan, log, n_tokens, n_layers);
    for (size_t n = 0; n < plan->n_nodes; n++) {
        plan->nodes[n].op = plan->nodes[n].op == &FAKE_MATMUL ? &TOY_MATMUL : plan->nodes[n].op;
    }
    fake_map(&map, n_devices, layers);
    assert_true(plan_place(plan, &map));
    plan_map_finish(&map);
}

#endif
