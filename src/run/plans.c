/* The passes of a plan in their order, up to memory. Recording is record.c's. */
#include "run/run.h"

#include "ops/ops.h"
#include "shaders/common/step.h"

uint32_t run_step_words(const struct run_model *model, uint32_t n_tokens)
{
    uint32_t blocks = model->n_slots / STEP_BLOCK;
    return STEP_HEADER + STEP_ARRAYS * n_tokens + model->n_seq * blocks;
}

bool run_plan_init(const struct run_model *model, struct plan *plan, const struct plan_map *map,
                   uint32_t n_tokens, uint32_t n_out)
{
    plan_init(plan, model->log, n_tokens, n_out, model->arch.hp.n_layers);
    struct arch_build_params params = {
        .n_tokens = n_tokens,
        .n_out = n_out,
        .n_ctx = model->n_ctx,
        .n_slots = model->n_slots,
        .step_words = run_step_words(model, n_tokens),
        .k_type = model->k_type,
        .v_type = model->v_type,
        .attn_splits = n_tokens == 1 ? model->attn_splits : 1,
        .argmax = n_out > 0,
    };
    if (!arch_build(&model->arch, plan, &params) || plan->failed || !plan_check(plan)) {
        goto fail;
    }
    if (!plan_place(plan, map)) {
        goto fail;
    }
    ops_fuse(plan, OP_FUSE_ALL);
    if (!plan_check(plan) || !plan_memory(plan)) {
        goto fail;
    }
    return true;
fail:
    plan_finish(plan);
    return false;
}
