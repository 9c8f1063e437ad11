/* Tiles of matmul and matmul_experts: defaults, what was measured, kernels, and which rows of their
 * tables a device cannot run. Shapes, batches and segments are the ops' own matter. */
#include "ops/matmul_tile.h"

#include "gen/matmul.h"

enum {
    LANES_GEMV_ROWS = 8, /* row blocks of an invocation; subgroups of a group */
    LANES_GEMV_GROUP = 2,
    LANES_GEMM_ROWS = 4, /* with 8 tokens, as many sums as registers hold */
    LANES_GEMM_GROUP = 4,
    SUBGROUP_LOCAL = 128,
    SUBGROUP_ROWS = 2,
};

static uint32_t token_tile(uint64_t tokens, uint32_t most)
{
    uint32_t tile = 1;
    while (tile < most && tile < tokens) {
        tile *= 2;
    }
    return tile;
}

/* What is taken where nothing was measured, in the order of the tunables. */
static void set_defaults(enum matmul_kernel kernel, uint64_t tokens, uint32_t *values)
{
    bool one = tokens == 1;
    switch (kernel) {
    case MATMUL_LANES:
        values[0] = one ? LANES_GEMV_ROWS : LANES_GEMM_ROWS;
        values[1] = one ? LANES_GEMV_GROUP : LANES_GEMM_GROUP;
        values[2] = token_tile(tokens, 8);
        break;
    case MATMUL_SUBGROUP:
        values[0] = SUBGROUP_ROWS;
        values[1] = SUBGROUP_LOCAL;
        values[2] = token_tile(tokens, 8);
        break;
    default:
        values[0] = token_tile(tokens, 4);
        break;
    }
}

static struct matmul_tile make_tile(enum matmul_kernel kernel, const struct dev_caps *caps,
                                    const uint32_t *values)
{
    uint32_t size = caps->subgroup_size, local;
    switch (kernel) {
    case MATMUL_LANES:
        local = size * values[1];
        return (struct matmul_tile){local, values[0], local * values[0], values[2], false};
    case MATMUL_SUBGROUP:
        local = values[1] > size ? values[1] : size;
        return (struct matmul_tile){local, values[0], local / size * values[0], values[2], false};
    case MATMUL_GEMV:
        return (struct matmul_tile){0, 0, 4, values[0], false};
    default:
        return (struct matmul_tile){0, 0, 64, 64, false};
    }
}

struct matmul_tile ops_matmul_tile(const struct op_site *site, const struct ops_need *need,
                                   enum matmul_kernel kernel)
{
    const struct dev_caps *caps = dev_get_caps(site->dev);
    uint32_t values[OPS_MAX_TUNABLES];
    set_defaults(kernel, need->tokens, values);
    struct ops_need like = *need; /* both ops have the same kernels: what was measured for one */
    like.op = ops_find("matmul");
    if (ops_tuned_get(site, need, &need->op->variants[kernel], values) ||
        ops_tuned_get(site, &like, &like.op->variants[kernel], values)) {
        struct matmul_tile tile = make_tile(kernel, caps, values);
        if (tile.local <= caps->max_workgroup_invocations &&
            tile.local <= caps->max_workgroup_size[0]) {
            return tile;
        }
        set_defaults(kernel, need->tokens, values);
    }
    return make_tile(kernel, caps, values);
}

struct dev_kernel *ops_matmul_kernel(struct dev *dev, enum matmul_kernel kernel,
                                     const struct matmul_tile *tile,
                                     const struct dev_shader *shader)
{
    uint32_t size = dev_get_caps(dev)->subgroup_size;
    struct dev_kernel_params params = {.shader = shader};
    if (kernel == MATMUL_LANES || kernel == MATMUL_SUBGROUP) {
        params.subgroup_size = size;
        params.specs[0].id = MATMUL_SPEC_LOCAL_SIZE;
        params.specs[0].value = tile->local;
        params.specs[1].id = MATMUL_SPEC_ROWS;
        params.specs[1].value = tile->spec_rows;
        params.n_specs = 2;
    }
    if (kernel == MATMUL_LANES) {
        params.specs[params.n_specs].id = MATMUL_SPEC_S;
        params.specs[params.n_specs++].value = size;
        params.specs[params.n_specs].id = MATMUL_SPEC_QUADS;
        params.specs[params.n_specs++].value = tile->quads;
    }
    if (kernel != MATMUL_GEMM) {
        params.specs[params.n_specs].id = MATMUL_SPEC_TOKENS;
        params.specs[params.n_specs++].value = tile->tokens;
    }
    return dev_kernel_get(dev, &params);
}

uint32_t ops_matmul_unfit(const struct dev_caps *caps, const struct quant_layout *layout,
                          uint64_t x_texels, const char **why)
{
    bool lanes = layout->lanes == caps->subgroup_size &&
                 layout->bytes / 16 <= caps->max_texel_elements &&
                 x_texels <= caps->max_texel_elements;
    bool gemm = caps->max_workgroup_invocations >= MATMUL_GEMM_LOCAL &&
                caps->max_workgroup_size[0] >= MATMUL_GEMM_LOCAL;
    *why = gemm ? "weights are not interleaved for it, or beyond texel buffers"
                : "weights are not interleaved for it, or the device allows no workgroup of 256";
    return (lanes ? 0 : 1u << MATMUL_LANES) | (gemm ? 0 : 1u << MATMUL_GEMM);
}
