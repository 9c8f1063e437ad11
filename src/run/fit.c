/* What to do about a model that does not fit: the placement is tried again with less. Nothing here
 * touches a device. */
#include "run/run.h"

#include "shaders/common/step.h"

#include <string.h>

enum { SHORTEST_CTX = 256 }; /* below that a shorter context helps nobody */

/* Bytes of the KV cache of layer l where the context has n_slots. */
static uint64_t cache_bytes(const struct run_model *model, uint32_t l, uint32_t n_slots)
{
    uint32_t local = model->n_slots_local < n_slots ? model->n_slots_local : n_slots;
    struct arch_build_params build = {.n_slots = n_slots,
                                      .n_slots_local = local,
                                      .k_type = model->k_type,
                                      .v_type = model->v_type};
    return arch_kv_bytes(&model->arch, l, &build);
}

/* Does it fit with a context of n_slots, and each weight at `scale` of its bytes? */
static bool fits(const struct run_fit *fit, uint64_t *bytes, uint32_t n_slots, double scale)
{
    const struct plan_place_params *place = fit->place;
    for (uint32_t l = 0; l < place->n_layers + 2; l++) {
        bool is_layer = l != 0 && l != place->n_layers + 1;
        uint64_t before = is_layer ? cache_bytes(fit->model, l - 1, fit->n_slots) : 0;
        uint64_t after = is_layer ? cache_bytes(fit->model, l - 1, n_slots) : 0;
        bytes[l] = (uint64_t)((double)(place->layer_bytes[l] - before) * scale) + after;
    }
    struct plan_place_params less = *place;
    struct plan_map map;
    less.layer_bytes = bytes;
    less.advise = NULL;
    bool ok = plan_map_init(&map, &less, NULL);
    plan_map_finish(&map);
    return ok;
}

/* The longest context that fits, in tokens; 0: not even the shortest does. */
static uint32_t longest(const struct run_fit *fit, uint64_t *bytes)
{
    uint32_t low = SHORTEST_CTX / STEP_BLOCK, high = fit->n_slots / STEP_BLOCK;
    if (high <= low || !fits(fit, bytes, low * STEP_BLOCK, 1)) {
        return 0;
    }
    while (high - low > 1) { /* low fits, high does not */
        uint32_t middle = low + (high - low) / 2;
        if (fits(fit, bytes, middle * STEP_BLOCK, 1)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low * STEP_BLOCK;
}

static double format_bits(uint32_t id)
{
    const struct quant_format *format = quant_get((enum quant_id)id);
    return 8.0 * format->block_bytes / format->block_cols;
}

/* The format with the most bits a weight that fits, when all weights have it. */
static const char *richest(const struct run_fit *fit, uint64_t *bytes, double now, double *bits)
{
    const char *name = NULL;
    *bits = 0;
    for (uint32_t id = 0; id < QUANT_COUNT; id++) {
        double mine = format_bits(id);
        if (mine > *bits && mine < now && fits(fit, bytes, fit->n_slots, mine / now)) {
            name = quant_get((enum quant_id)id)->name;
            *bits = mine;
        }
    }
    return name;
}

void run_fit_advise(void *user, struct str *out)
{
    const struct run_fit *fit = user;
    const struct run_model *model = fit->model;
    uint64_t *bytes = mem_alloc((size_t)fit->place->n_layers + 2, sizeof *bytes), sum = 0;
    if (bytes == NULL) {
        return;
    }
    for (uint32_t l = 0; l < fit->place->n_layers + 2; l++) {
        sum = size_add(sum, fit->place->layer_bytes[l], &sum) ? sum : UINT64_MAX;
    }
    uint32_t ctx = longest(fit, bytes);
    double bits, now = 8.0 * (double)model->arch.file_bytes / (double)model->arch.n_params;
    const char *format = ctx == 0 ? richest(fit, bytes, now, &bits) : NULL;
    if (ctx != 0 && model->n_kv != model->n_ctx) {
        str_printf(out, "a KV cache of %u tokens in all", ctx);
    } else if (ctx != 0) {
        str_printf(out, "a context of %u tokens (-c %u)", ctx, ctx);
    } else if (format != NULL) {
        str_printf(out, "weights in %s (%.1f bits each, these have %.1f) at -c %u", format, bits,
                   now, model->n_ctx);
    } else {
        str_printf(out, "devices with %.0f MiB free in all", (double)sum / (1 << 20));
    }
    mem_free(bytes);
}
