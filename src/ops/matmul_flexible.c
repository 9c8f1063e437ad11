/* Tiles of the kernels on matrices of flexible dimensions: one product of a work group's whole tile
 * at a time. Which dimensions there are, and for work groups of what size, the device says. */
#include "ops/matmul_flexible.h"

#include "ops/site.h"

#include <string.h>

enum {
    CHUNK = 32,      /* columns that are taken whole */
    UNIT = 8,        /* columns of 16 bytes in shared memory; a row has one more */
    MOST_SUMS = 128, /* of an invocation, in registers */
    MOST_ITEMS = 16, /* units that an invocation keeps in registers on their way */
};

/* CPU devices, whose subgroups are narrow, compile what is unrolled for long. */
void ops_flexible_defaults(const struct dev_caps *caps, const struct matmul_size *size,
                           uint32_t *values)
{
    bool small = (caps->has & DEV_CAP_CPU) != 0 || caps->subgroup_size < 16;
    values[0] = small ? 16 : size->rows > 64 ? 128 : 64;
    values[1] = small ? 16 : size->tokens > 64 ? 128 : size->tokens > 32 ? 64 : 32;
    values[2] = small ? 32 : 64;
    values[3] = 256;
}

/* Of those that were not tried: for the largest work group of at most `local` invocations, else for
 * the smallest. DEV_MAX_FLEXIBLE: there is none. */
static uint32_t find(const struct dev_caps *caps, uint32_t local, uint32_t tried)
{
    uint32_t best = DEV_MAX_FLEXIBLE;
    for (uint32_t i = 0; i < caps->n_flexible; i++) {
        uint32_t size = caps->flexible[i].local;
        uint32_t known = best < DEV_MAX_FLEXIBLE ? caps->flexible[best].local : 0;
        bool better = best == DEV_MAX_FLEXIBLE ||
                      (size <= local ? known > local || size > known : size < known);
        best = (tried >> i & 1u) == 0 && better ? i : best;
    }
    return best;
}

/* Columns between two barriers: whole chunks and whole matrices. */
static uint32_t least_columns(const struct dev_flexible *f)
{
    uint32_t columns = CHUNK;
    while (columns % f->k != 0) {
        columns += CHUNK;
    }
    return columns;
}

static struct matmul_tile make(const struct dev_caps *caps, const struct dev_flexible *f,
                               uint64_t cols, const uint32_t *values)
{
    uint32_t least = least_columns(f), most = values[2] / least * least;
    struct matmul_tile tile = {.local = f->local != 0 ? f->local : caps->subgroup_size,
                               .columns = most != 0 && cols % most == 0 ? most : least,
                               .workgroup_scope = f->local != 0};
    tile.rows = (uint32_t)size_round(values[0], f->m);
    tile.tokens = (uint32_t)size_round(values[1], f->n);
    tile.spec_rows = tile.rows;
    tile.shared_bytes = 2 * (tile.rows + tile.tokens) * (tile.columns + UNIT);
    tile.shared_bytes += tile.workgroup_scope ? caps->flexible_shared : 0;
    return tile;
}

static bool fits_threads(const struct dev_caps *caps, uint32_t local)
{
    return local <= ops_most_local(caps, true) && local % caps->subgroup_size == 0;
}

static bool fits(const struct dev_caps *caps, const struct matmul_tile *tile)
{
    uint64_t sums = (uint64_t)tile->rows * tile->tokens;
    uint64_t items = (uint64_t)(tile->rows + tile->tokens) * (tile->columns / UNIT);
    return fits_threads(caps, tile->local) && tile->rows <= caps->flexible_most &&
           tile->tokens <= caps->flexible_most && tile->columns <= caps->flexible_most &&
           tile->shared_bytes <= caps->max_shared_bytes &&
           items <= (uint64_t)MOST_ITEMS * tile->local && sums <= (uint64_t)MOST_SUMS * tile->local;
}

/* Halves what is largest. False: nothing can be smaller. */
static bool shrink(const struct dev_flexible *f, uint32_t *values)
{
    bool rows = values[0] > f->m, tokens = values[1] > f->n;
    if (rows || tokens) {
        values[rows && (values[0] >= values[1] || !tokens) ? 0 : 1] /= 2;
    } else if (values[2] > CHUNK) {
        values[2] -= CHUNK;
    } else {
        return false;
    }
    return true;
}

/* Shrinks until the tile fits. NULL: it does, else what is missing. */
static const char *make_fitting(const struct dev_caps *caps, const struct dev_flexible *f,
                                uint64_t cols, uint32_t *values, struct matmul_tile *tile)
{
    if (f->k % UNIT != 0 || f->k > 8 * CHUNK || cols % least_columns(f) != 0) {
        return "columns are no multiple of 32 and of the device's matrices";
    }
    *tile = make(caps, f, cols, values);
    while (!fits(caps, tile)) {
        if (!fits_threads(caps, tile->local) || !shrink(f, values)) {
            return "no tile fits the device's limits";
        }
        *tile = make(caps, f, cols, values);
    }
    return NULL;
}

bool ops_flexible_tile(const struct dev_caps *caps, uint64_t cols, const uint32_t *values,
                       struct matmul_tile *tile, const char **why)
{
    uint32_t tried = 0, i;
    *why = "the device has no flexible matrices of float16, or no functions of their elements";
    while ((caps->coopmat2 & DEV_COOPMAT2_PER_ELEMENT) != 0 && *why != NULL &&
           (i = find(caps, values[3], tried)) < DEV_MAX_FLEXIBLE) {
        uint32_t own[OPS_MAX_TUNABLES];
        memcpy(own, values, sizeof own);
        tried |= 1u << i;
        *why = make_fitting(caps, &caps->flexible[i], cols, own, tile);
    }
    return *why == NULL;
}
