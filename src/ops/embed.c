/* Embedding rows: builder, cost, recording. One dispatch per row segment of the weight; a token is
 * made by the dispatch whose segment has its row. That ids are below the vocabulary's size is
 * checked where batches are made. */
#include "ops/ops.h"

#include "gen/embed.h"
#include "gen/tables.h"
#include "ops/site.h"
#include "ops/weight.h"

enum { GROUP_COLS = 64 * 4 }; /* of one work group */

static const struct ops_variant variants[] = {{.name = "plain", .by_quant = shaders_embed}};

static struct embed_push get_push(const struct op_segment *segment, uint64_t tokens)
{
    const struct quant_layout *layout = segment->layout;
    struct embed_push push = {.lanes_log2 = ops_log2(layout->lanes),
                              .cols = (uint32_t)layout->cols,
                              .rows = (uint32_t)segment->rows,
                              .row0 = (uint32_t)segment->row0,
                              .tokens = (uint32_t)tokens};
    ops_weight_planes(layout, push.base, push.units);
    return push;
}

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *y = plan_get_tensor(site->plan, node->dst[0]);
    const struct op_place *place = &site->places[node->src[0]];
    struct dev_dispatch dispatch = {.n_binds = 4, .label = "embed"};
    const struct ops_need need = {.op = node->op,
                                  .tokens = y->rows,
                                  .quant = plan_get_tensor(site->plan, node->src[0])->quant};
    const struct ops_variant *v = ops_variant_pick(site, &need);
    if (v == NULL) {
        return false;
    }
    dispatch.binds[EMBED_BIND_STEP_WORDS] = ops_bind(site, node->src[1], DEV_READ);
    dispatch.binds[EMBED_BIND_IDS_IN] = ops_bind(site, node->src[2], DEV_READ);
    dispatch.binds[EMBED_BIND_Y] = ops_bind(site, node->dst[0], DEV_WRITE);
    for (uint32_t i = 0; i < place->n_segments; i++) {
        const struct op_segment *segment = &place->segments[i];
        struct dev_kernel_params params = {.shader = v->by_quant[segment->layout->id]};
        struct embed_push push = get_push(segment, y->rows);
        dispatch.kernel = dev_kernel_get(site->dev, &params);
        dispatch.push = &push;
        dispatch.push_bytes = sizeof push;
        dispatch.binds[EMBED_BIND_WEIGHTS] = ops_weight_bind(segment);
        dispatch.groups[2] = 1;
        ops_fold(dev_get_caps(site->dev), 0, y->rows * size_div_up(y->cols, GROUP_COLS),
                 dispatch.groups);
        if (dispatch.kernel == NULL || !dev_cmd_dispatch(site->cmd, &dispatch)) {
            return false;
        }
    }
    return true;
}

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    const struct plan_tensor *w = plan_get_tensor(plan, node->src[0]);
    const struct plan_tensor *y = plan_get_tensor(plan, node->dst[0]);
    out->flop = 2.0 * (double)y->rows * (double)y->cols;
    out->bytes = (double)y->rows * (double)quant_row_bytes(w->quant, w->cols) +
                 ops_bytes(plan, node->dst[0]);
}

const struct op op_def_embed = {.name = "embed",
                                .purpose = "rows of the embedding by token id",
                                .cost = cost,
                                .record = record,
                                .variants = variants,
                                .n_variants = 1};

uint32_t op_embed(struct plan *plan, uint32_t weight, uint32_t step, uint32_t ids_in)
{
    const struct plan_tensor *w = ops_operand(plan, "embed", "weight", weight, PLAN_QUANT);
    if (w == NULL || ops_operand(plan, "embed", "step", step, PLAN_U32) == NULL ||
        ops_operand(plan, "embed", "ids_in", ids_in, PLAN_U32) == NULL) {
        return PLAN_NONE;
    }
    if (w->cols % 4 != 0 || w->cols > INT32_MAX || w->rows > INT32_MAX) {
        return ops_refuse(plan, "embed",
                          "weight %s [%llu][%llu]: columns must be a multiple of 4 and sizes below "
                          "2^31",
                          w->name, (unsigned long long)w->rows, (unsigned long long)w->cols);
    }
    struct plan_node node = {
        .op = &op_def_embed, .n_src = 3, .src = {weight, step, ids_in}, .in_place = PLAN_NONE};
    return ops_add_result(plan, &node, "embed", plan->n_tokens, w->cols);
}
