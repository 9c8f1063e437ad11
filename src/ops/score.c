/* Log-probabilities of given tokens, so that no vocabulary has to be read back. */
#include "ops/ops.h"

#include "gen/score.h"
#include "ops/site.h"

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    out->bytes = 2.0 * ops_bytes(plan, node->src[0]);
    out->flop = out->bytes / 2;
}

static const struct ops_variant variants[] = {
    {.name = "lanes",
     .needs = DEV_CAP_CPU | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,
     .min_subgroup = 4,
     .max_subgroup = 16,
     .shader = &shader_score_lanes},
    {.name = "plain", .shader = &shader_score_plain, .tunables = {{"local", {64, 128, 256, 512}}}},
};

static bool record(const struct op_site *site, const struct plan_node *node)
{
    const struct plan_tensor *x = plan_get_tensor(site->plan, node->src[0]);
    const struct ops_variant *v = ops_pick_texel(site, node, x);
    if (v == NULL) {
        return false;
    }
    struct score_push push = {.cols = (uint32_t)x->cols, .rows = (uint32_t)x->rows};
    struct ops_dispatch dispatch = {
        .kernel = v->shader == &shader_score_lanes
                      ? ops_lanes_kernel(site->dev, v->shader)
                      : ops_loop_kernel(site, node, v, x->rows, x->cols),
        .n = 3,
        .tensors = {[SCORE_BIND_X] = node->src[0],
                    [SCORE_BIND_STEPS] = node->src[1],
                    [SCORE_BIND_SCORES] = node->dst[0]},
        .access = {[SCORE_BIND_X] = DEV_READ,
                   [SCORE_BIND_STEPS] = DEV_READ,
                   [SCORE_BIND_SCORES] = DEV_WRITE},
        .push = &push,
        .push_bytes = sizeof push,
        .groups = x->rows,
        .label = "score",
    };
    return ops_record(site, &dispatch);
}

const struct op op_def_score = {.name = "score",
                                .purpose = "log-probability of a token for each row of logits",
                                .cost = cost,
                                .record = record,
                                .variants = variants,
                                .n_variants = sizeof variants / sizeof *variants};

uint32_t op_score(struct plan *plan, uint32_t logits, uint32_t step)
{
    const struct plan_tensor *x = ops_operand(plan, "score", "logits", logits, PLAN_F32);
    if (x == NULL || ops_operand(plan, "score", "step", step, PLAN_U32) == NULL) {
        return PLAN_NONE;
    }
    const struct plan_tensor scores = {
        .role = PLAN_SCORES, .elem = PLAN_F32, .rows = x->rows, .cols = 1};
    struct plan_node node = {.op = &op_def_score, .n_src = 2, .src = {logits, step}};
    return ops_add_output(plan, &node, "scores", &scores);
}
