/* The passes of a plan in their order, up to memory. Recording is record.c's. */
#include "run/run.h"

#include "ops/fuse.h"
#include "ops/lower.h"
#include "ops/ops.h"
#include "shaders/common/step.h"

/* Room for pairs comes in few sizes, so that steps have few shapes. */
enum { LEAST_COPIES = 256 };

uint32_t run_most_copies(const struct run_model *model)
{
    return model->n_seq > 1 ? (STEP_BLOCK - 1) * model->n_batch : 0;
}

uint32_t run_copy_room(const struct run_model *model, uint32_t n_tokens, uint32_t n_copies)
{
    uint32_t room = LEAST_COPIES, most = run_most_copies(model);
    while (room < n_copies || room < n_tokens) {
        room *= 2;
    }
    return n_copies == 0 ? 0 : room < most ? room : most;
}

static uint32_t count_splits(const struct run_model *model, const struct run_shape *shape)
{
    uint32_t n = shape->n_tokens, kv_heads = model->arch.hp.n_kv_heads;
    bool may = model->may_split_attn && (n <= OP_FEW_TOKENS || shape->streams);
    return may ? op_attention_splits(kv_heads, model->n_ctx, n) : 1;
}

uint32_t run_head_device(const struct run_model *model)
{
    return model->map.device[model->arch.hp.n_layers + 1];
}

uint32_t run_most_split(const struct run_model *model)
{
    return !model->may_split_attn ? 0 : model->n_seq > 1 ? OP_MOST_STREAMS : OP_FEW_TOKENS;
}

uint32_t run_step_tickets(const struct run_model *model, uint32_t n_tokens)
{
    uint32_t most = run_most_split(model);
    return (n_tokens < most ? n_tokens : most) * model->arch.hp.n_heads;
}

uint32_t run_step_words(const struct run_model *model, uint32_t n_tokens, uint32_t copies)
{
    uint32_t table = model->n_seq * (uint32_t)size_div_up(model->n_ctx, STEP_BLOCK);
    uint32_t local = model->n_slots_local != 0 ? n_tokens + table : 0;
    return STEP_HEADER + STEP_ARRAYS * n_tokens + table + local +
           run_step_tickets(model, n_tokens) + 2 * KV_GROUPS * copies;
}

uint64_t run_kv_bytes(const struct run_model *model, uint32_t layer)
{
    struct arch_build_params params = {.n_slots = model->n_slots,
                                       .n_slots_local = model->n_slots_local,
                                       .k_type = model->k_type,
                                       .v_type = model->v_type};
    return arch_kv_bytes(&model->arch, layer, &params);
}

/* What depends on the devices' kernels. */
static bool fit(const struct run_model *model, struct plan *plan)
{
    struct ops_target targets[DEV_MAX_OPEN];
    for (uint32_t d = 0; d < model->n_devices; d++) {
        targets[d] =
            (struct ops_target){dev_get_caps(model->devices[d].dev), &model->devices[d].prefs};
    }
    ops_fuse(plan, targets, OPS_FUSE_PLACED);
    if (!ops_lower(plan, targets)) {
        return false;
    }
    ops_fuse(plan, targets, OPS_FUSE_LOWERED);
    return true;
}

bool run_plan_init(const struct run_model *model, struct plan *plan, const struct plan_map *map,
                   const struct run_shape *shape)
{
    plan_init(plan, model->log, shape->n_tokens, shape->n_out, model->arch.hp.n_layers);
    struct arch_build_params params = {
        .n_tokens = shape->n_tokens,
        .n_out = shape->n_out,
        .n_ctx = model->n_ctx,
        .n_slots = model->n_slots,
        .n_slots_local = model->n_slots_local,
        .step_words = run_step_words(model, shape->n_tokens, shape->copies),
        .k_type = model->k_type,
        .v_type = model->v_type,
        .attn_splits = count_splits(model, shape),
        .argmax = shape->n_out > 0 && shape->ids,
        .banned = model->ends,
        .n_banned = shape->no_end ? model->n_ends : 0,
        .top = shape->n_out > 0 ? shape->top : 0,
        .scores = shape->n_out > 0 && shape->scores,
        .copies = shape->copies,
    };
    if (!arch_build(&model->arch, plan, &params) || plan->failed || !plan_check(plan)) {
        goto fail;
    }
    if (!plan_place(plan, map)) {
        goto fail;
    }
    if (!fit(model, plan) || !plan_check(plan) || !plan_memory(plan)) {
        goto fail;
    }
    return true;
fail:
    plan_finish(plan);
    return false;
}
