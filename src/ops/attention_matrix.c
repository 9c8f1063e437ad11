/* How attention by matrix units cuts its work: rows of a tile, entries of a block, what shared
 * memory they take. Recording is attention.c's. */
#include "ops/attention_matrix.h"

#include "ops/site.h"

#define MANY_TILES 256 /* up to here smaller tiles spread the work better */

static bool is_power(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static uint64_t shared_bytes(const struct dev_caps *caps, const struct op_attention_attr *attr,
                             const struct attention_matrix *tile)
{
    uint64_t rows = (uint64_t)tile->subgroups * caps->coopmat_m;
    uint64_t staged = 2 * (uint64_t)tile->block > rows ? 2 * (uint64_t)tile->block : rows;
    uint64_t slab = (tile->block < 32 ? tile->block : 32) / 8, sums = caps->coopmat_n / 4;
    uint64_t line = (slab > sums ? slab : sums) | 1;
    uint64_t tokens = rows * tile->strips;
    return 16 * (staged * (attr->head_dim / 8 | 1) + rows * line) + 8 * tokens + 16;
}

static bool fits(const struct dev_caps *caps, const struct op_attention_attr *attr,
                 const struct attention_matrix *tile)
{
    return tile->block % caps->coopmat_n == 0 && tile->block % caps->coopmat_k == 0 &&
           tile->subgroups * caps->subgroup_size <= ops_most_local(caps, true) &&
           shared_bytes(caps, attr, tile) <= caps->max_shared_bytes;
}

/* The smallest tile has one subgroup and a block of as many entries as a matrix has. */
static uint32_t least_block(const struct dev_caps *caps)
{
    return caps->coopmat_n > caps->coopmat_k ? caps->coopmat_n : caps->coopmat_k;
}

const char *ops_attention_matrix_unfit(const struct dev_caps *caps,
                                       const struct op_attention_attr *attr)
{
    uint32_t m = caps->coopmat_m, n = caps->coopmat_n, k = caps->coopmat_k;
    struct attention_matrix least = {.subgroups = 1, .strips = 1, .block = least_block(caps)};
    if (attr->splits != 1) {
        return "matrix units work on whole rows, not on splits";
    }
    if (!is_power(m) || !is_power(n) || !is_power(k) || n < 8 || k < 8 || n > 32 || k > 32 ||
        m > 32 || !is_power(caps->subgroup_size) || !caps->coopmat_f16_sums) {
        return "the device's matrices are of another shape or have no float16 sums";
    }
    if (attr->head_dim % n != 0 || attr->head_dim % k != 0) {
        return "heads are no multiple of the device's matrices";
    }
    return fits(caps, attr, &least) ? NULL : "heads are too long for shared memory";
}

static void set_rows(const struct dev_caps *caps, const struct op_attention_attr *attr,
                     uint32_t tokens, struct attention_matrix *tile)
{
    uint32_t rows = tile->subgroups * tile->strips * caps->coopmat_m;
    uint32_t group = attr->heads / attr->kv_heads;
    tile->heads = rows < group ? rows : group;
    while (group % tile->heads != 0) {
        tile->heads--;
    }
    tile->tokens = rows / tile->heads < tokens ? rows / tile->heads : tokens;
}

/* Eight subgroups read K and V half as often as four; half of the tile is worth that only where
 * there are few tiles, or few rows. */
static struct attention_matrix default_tile(const struct dev_caps *caps,
                                            const struct op_attention_attr *attr, uint32_t tokens,
                                            uint32_t kv_heads)
{
    uint64_t rows = (uint64_t)tokens * (attr->heads / attr->kv_heads);
    struct attention_matrix tile = {
        .subgroups = 8, .strips = 1, .block = attr->head_dim <= 128 ? 64 : 32, .stages = 2};
    uint64_t tiles = kv_heads * (rows / (8 * (uint64_t)caps->coopmat_m));
    tile.subgroups = tiles < MANY_TILES ? 4 : 8;
    /* Compiles what is unrolled for long; joint barriers: a CPU too, perhaps a masked one. */
    if ((caps->has & DEV_CAP_CPU) != 0 || caps->joint_barriers) {
        tile = (struct attention_matrix){
            .subgroups = 2, .strips = 1, .block = least_block(caps), .stages = 2};
    }
    while (tile.subgroups > 1 && (uint64_t)tile.subgroups / 2 * caps->coopmat_m >= rows) {
        tile.subgroups /= 2;
    }
    while (!fits(caps, attr, &tile) && tile.block / 2 >= least_block(caps)) {
        tile.block /= 2;
    }
    while (!fits(caps, attr, &tile) && tile.subgroups > 1) {
        tile.subgroups /= 2;
    }
    return tile;
}

struct attention_matrix ops_attention_matrix(const struct op_site *site,
                                             const struct ops_need *need,
                                             const struct ops_variant *variant,
                                             const struct op_attention_attr *attr,
                                             uint32_t kv_heads)
{
    const struct dev_caps *caps = dev_get_caps(site->dev);
    uint32_t tuned[OPS_MAX_TUNABLES], tokens = (uint32_t)need->tokens;
    struct attention_matrix tile = default_tile(caps, attr, tokens, kv_heads);
    if (ops_tuned_get(site->prefs, need, variant, tuned)) {
        struct attention_matrix other = {tuned[0], tuned[1], tuned[2], tuned[3], 0, 0};
        tile = fits(caps, attr, &other) ? other : tile;
    }
    set_rows(caps, attr, tokens, &tile);
    return tile;
}
