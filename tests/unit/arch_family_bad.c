/* What a file of a family must have, and what it may not: each refused with a line that names it.
 */
/* with: fixture */
#include "arch_draft.h"

#include <math.h>

static void test_must_have(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"qwen2", "blk.%d.attn_k.bias"},           {"qwen3", "blk.%d.attn_q_norm.weight"},
        {"phi3", "blk.%d.attn_qkv.weight"},        {"olmo2", "blk.%d.post_attention_norm.weight"},
        {"gemma2", "blk.%d.post_ffw_norm.weight"}, {"gemma3", "blk.%d.attn_k_norm.weight"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct draft draft;
        char name[48], part[96];
        draft_family(&draft, cases[i][0]);
        arch_weight_name(name, cases[i][1], 1);
        for (size_t t = 0; t < draft.n_tensors; t++) {
            draft.tensors[t].omit |= strcmp(draft.tensors[t].name, name) == 0;
        }
        snprintf(part, sizeof part, "tensor %s: is missing", name);
        expect_bad(&draft, part);
    }
}

static void test_not_of_it(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *tensor, *part;
    } cases[] = {
        {"llama", "blk.%d.attn_q_norm.weight", "query and key norm is not supported in llama"},
        {"qwen2", "blk.%d.post_ffw_norm.weight", "norm behind a block is not supported in qwen2"},
        {"phi3", "blk.%d.attn_qkv.bias", "a bias here is not supported in phi3"},
        {"qwen3", "blk.%d.attn_qkv.weight", "fused q, k and v are not supported in qwen3"},
        {"gemma3", "blk.%d.attn_sinks.weight", "attention sinks are not supported in gemma3"},
        {"olmo2", "output.bias", "tensor output.bias: a bias here is not supported in olmo2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct draft draft;
        draft_family(&draft, cases[i].arch);
        put(&draft, cases[i].tensor, 0, DIM);
        expect_bad(&draft, cases[i].part);
    }
    struct draft draft;
    draft_family(&draft, "phi3");
    put(&draft, "rope_factors_long.weight", 0, HEAD / 2);
    put_u32(&draft, "rope.scaling.original_context_length", 64);
    expect_bad(&draft, "tensor rope_factors_short.weight: is missing");
    draft_family(&draft, "phi3");
    draft.tensors[draft.n_tensors - 1].dims[1] = FF;
    expect_bad(&draft, "tensor blk.1.ffn_up.weight: shape is [64, 128], must be [64, 256]");
    draft_family(&draft, "qwen2");
    put_str(&draft, "rope.scaling.type", "yarn");
    put_f32(&draft, "rope.scaling.factor", 4);
    draft.params.rope_freqs = true;
    expect_bad(&draft, "tensor rope_freqs.weight: beside other factors it is not supported");
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        float value;
        const char *part;
    } cases[] = {
        {"attention.scale", 0, "granite.attention.scale: is 0, must be"},
        {"attention.scale", INFINITY, "granite.attention.scale: inf is not a finite"},
        {"residual_scale", -1, "granite.residual_scale: is -1, must be"},
        {"embedding_scale", NAN, "granite.embedding_scale: "},
        {"logit_scale", 0, "granite.logit_scale: is 0, must be"},
        {"attn_logit_softcapping", -50, "granite.attn_logit_softcapping: is -50, must be"},
        {"final_logit_softcapping", 1e-9f, "granite.final_logit_softcapping: is 1e-09, must be"},
        {"rope.freq_base_swa", -1, "granite.rope.freq_base_swa: is -1, must be"},
        {"rope.scaling.attn_factor", 0, "granite.rope.scaling.attn_factor: is 0, must be"},
        {"rope.scaling.yarn_log_multiplier", 0.1f, "rope scaling of this kind is not supported"},
        {"attention.clamp_kqv", 8, "clamped q, k and v are not supported"},
        {"attention.max_alibi_bias", 8, "ALiBi is not supported"},
        {"attention.temperature_scale", 0.1f, "attention temperature is not supported"},
    };
    struct draft draft;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        draft_init(&draft, "granite");
        put_f32(&draft, cases[i].field, cases[i].value);
        expect_bad(&draft, cases[i].part);
    }
    const uint8_t no = 0, yes = 1;
    draft_init(&draft, "llama");
    put_key(&draft, "attention.causal", GGUF_BOOL, &no, 1);
    expect_bad(&draft, "key llama.attention.causal: attention to later tokens is not supported");
    draft_init(&draft, "llama");
    put_key(&draft, "use_parallel_residual", GGUF_BOOL, &yes, 1);
    expect_bad(&draft, "key llama.use_parallel_residual: parallel blocks are not supported");
    draft_init(&draft, "llama");
    put_u32(&draft, "attention.kv_lora_rank", 512);
    expect_bad(&draft, "key llama.attention.kv_lora_rank: latent attention is not supported");
}

static void test_bad_yarn(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        float value;
        const char *part;
    } cases[] = {
        {"rope.scaling.yarn_ext_factor", 0.5f, "yarn_ext_factor: is 0.5, only 1 is supported"},
        {"rope.scaling.yarn_beta_slow", 0, "yarn_beta_slow: is 0, must be"},
        {"rope.scaling.yarn_beta_fast", 0.5f, "yarn_beta_fast: is 0.5, must be 1 to"},
        {"rope.scaling.yarn_attn_factor", -1, "yarn_attn_factor: is -1, must be"},
    };
    struct draft draft;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        draft_family(&draft, "qwen3");
        put_str(&draft, "rope.scaling.type", "yarn");
        put_f32(&draft, "rope.scaling.factor", 4);
        put_f32(&draft, cases[i].field, cases[i].value);
        expect_bad(&draft, cases[i].part);
    }
    draft_family(&draft, "qwen3");
    put_str(&draft, "rope.scaling.type", "yarn");
    expect_bad(&draft, "key qwen3.rope.scaling.factor: is missing");
    put_f32(&draft, "rope.scaling.factor", 4);
    put_u32(&draft, "rope.scaling.original_context_length", 1);
    expect_bad(&draft, "original_context_length: is 1, must be 2 to");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_must_have),
        cmocka_unit_test(test_not_of_it),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_bad_yarn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
