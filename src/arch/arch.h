/* Architectures: hyper-parameters and weights out of a file (or a dummy shape), and the wiring that
 * builds a plan from ops. Data first: what differs between families is a field of arch_hparams; a
 * family's file (llama.c) has only its wiring. archs.def lists the families.
 *
 * Thread rule: an arch_model is made by one thread and then only read. */
#ifndef QUADRIGA_ARCH_ARCH_H
#define QUADRIGA_ARCH_ARCH_H

#include "gguf/gguf.h"
#include "plan/plan.h"

enum arch_rope_scaling {
    ARCH_ROPE_NONE,
    ARCH_ROPE_LINEAR, /* positions are divided by rope_factor */
    ARCH_ROPE_YARN,   /* Peng et al. 2023: factors by dimension, made at load */
    ARCH_ROPE_LONG    /* Ding et al. 2024: factors in the file, for short and for long contexts */
};
enum arch_gate { ARCH_GATE_SILU, ARCH_GATE_GELU };
enum arch_qk_norm {
    ARCH_QK_NORM_NONE,
    ARCH_QK_NORM_HEAD, /* each head of q and k is normalised alone */
    ARCH_QK_NORM_FULL  /* all heads of a token together */
};

struct arch_hparams {
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
    uint32_t n_ctx_train;
    float rms_eps;
    /* rotary embedding */
    float rope_base;
    float rope_base_local; /* of local layers, whose positions are not scaled; 0: as all layers */
    uint32_t rope_dims;
    enum arch_rope_scaling rope_scaling;
    float rope_factor;          /* linear, YaRN */
    uint32_t n_ctx_orig;        /* context before it was scaled: YaRN, long */
    float rope_magnitude;       /* factor of sine and cosine */
    float beta_fast, beta_slow; /* YaRN */
    bool rope_half_split;
    /* attention */
    uint32_t window;        /* a token sees itself and window - 1 before it; 0: all */
    uint32_t window_period; /* 0: every layer is local; p: layer l is global where l % p == p - 1 */
    float attn_scale;       /* of q.k */
    float attn_softcap;     /* 0: none */
    enum arch_qk_norm qk_norm;
    bool qkv_bias;  /* q, k and v must have one; anywhere else a bias is added where there is one */
    bool fused_qkv; /* rows of q, k and v, in this order, are one tensor */
    /* feed-forward */
    enum arch_gate gate;
    bool fused_gate_up; /* rows of gate and up, in this order, are one tensor: ffn_up */
    uint32_t n_experts, n_experts_used; /* of each layer, and of each token; 0: one dense block */
    uint32_t n_ff_expert;
    bool experts_normalise; /* weights of the experts that are used add up to 1 */
    /* residual stream */
    bool norm_before, norm_after; /* of each block: before it, on its result, or both */
    float embd_scale, residual_scale, logit_scale; /* factors: of the embedding, of what a block
                                                      adds, of the logits */
    float final_softcap;                           /* of the logits; 0: none */
    bool tied_embedding;                           /* the head multiplies by token_embd */
};

/* One weight of the model, checked: it is there and has the shape that the hyper-parameters ask. */
struct arch_weight {
    char name[48];       /* "blk.0.attn_q.weight" */
    enum quant_id quant; /* on the device: vectors are F32 there, F32 or F16 in the file */
    uint64_t rows, cols; /* rows = outputs; vectors are 1 x n; of experts: all their rows */
    uint32_t experts;    /* matrices one behind the other, rows / experts each; else 0 */
    int32_t layer;       /* PLAN_LAYER_INPUT, 0.., n_layers for the head. Rope factors,
                            which every layer reads, are at PLAN_LAYER_INPUT */
    const struct gguf_tensor *tensor; /* NULL: dummy, or made by arch_weight_make */
    uint64_t row0;       /* the weight's first row in the tensor, which may hold several weights */
    uint64_t file_bytes; /* its part of the file, or what it would be in one; 0: made */
};

struct arch_model {
    const struct arch_family *family;
    char name[64];  /* general.name or the dummy's */
    char shape[32]; /* "llama 7B" */
    struct arch_hparams hp;
    struct arch_weight *weights; /* embedding, layers in order, output norm, output, rope factors */
    size_t n_weights, cap_weights;
    uint64_t n_params;
    uint64_t file_bytes; /* sum of the weights' bytes in the file's formats */
    bool dummy;
};

/* Reads and checks everything; the file must stay open as long as the model. False: logged, with
 * file, field and value; architecture, tensor type or feature that is not supported is named; the
 * model is finished then. Tensors without a meaning are counted in one warning. */
bool arch_model_read(struct arch_model *model, const struct gguf_file *file, struct log *log);
/* "llama-7b:f16", "13b", "30b", "65b", "classics-13m:q4_k_m", or
 * "layers=2,dim=256,heads=8,kv_heads=4,ffn=1024,vocab=4096,type=q8_0", "mixtral-8x7b". The type
 * (default f16) is a weight format for all matrices (routers are F32), or a mixture of
 * llama-quantize: q3_k_s, q3_k_m, q3_k_l, q4_k_s, q4_k_m, q5_k_s or q5_k_m. Of the list, kv_heads
 * (as many as heads), vocab (32000), ctx (2048), experts (0: dense), used (2) and type may be left
 * out. */
bool arch_model_dummy(struct arch_model *model, const char *spec, struct log *log);
void arch_model_finish(struct arch_model *model);

bool arch_is_local(const struct arch_hparams *hp, uint32_t layer);
uint32_t arch_local_layers(const struct arch_hparams *hp); /* how many */

/* Values [cols] of a vector that has no tensor: YaRN's factors, and ones for dummies. */
void arch_weight_make(const struct arch_model *model, const struct arch_weight *weight, float *out);

struct arch_build_params {
    uint32_t n_tokens, n_out;      /* of a step; n_out 0: no head */
    uint32_t n_ctx;                /* of a sequence; above n_ctx_orig: the factors for long ones */
    uint32_t n_slots;              /* of the KV caches of global layers, multiple of STEP_BLOCK */
    uint32_t n_slots_local;        /* of those of local layers; 0 where there are none */
    uint32_t step_words;           /* size of the step buffer */
    enum plan_elem k_type, v_type; /* F16, F32, or Q8_0, Q4_0: head_dim in whole blocks */
    uint32_t attn_splits;          /* at most, see op_attention; 1 for prefill */
    bool argmax;                   /* add the argmax node behind the logits */
    const uint32_t *banned;        /* [n_banned]: tokens that it passes over */
    uint32_t n_banned;
    uint32_t top;    /* add the topk node behind the logits, for so many; 0: none */
    bool scores;     /* add the score node behind the logits */
    uint32_t copies; /* the most entries that are copied in the caches; 0: no such node */
};
/* Runs the build pass on a plan that was initialised for the same tokens, rows of logits and
 * layers. Without a head (n_out 0) the last layer ends with the KV append. */
bool arch_build(const struct arch_model *model, struct plan *plan,
                const struct arch_build_params *params);

/* KV bytes of one layer. */
uint64_t arch_kv_bytes(const struct arch_model *model, uint32_t layer,
                       const struct arch_build_params *params);
/* Floating point operations of one token's forward pass, two per multiply-add: all matrices (the
 * embedding only where it is the head too; of experts those that are used) and attention to `len`
 * entries, in local layers to no more than the window. */
double arch_flop(const struct arch_model *model, uint64_t len);

#endif
