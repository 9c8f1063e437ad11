/* Architectures: hyper-parameters and weights out of a file (or a dummy shape), and the wiring that
 * builds a plan from ops. Data first: what differs between families is a field of arch_hparams; a
 * family's file (llama.c) has only its wiring. archs.def lists the families.
 *
 * Thread rule: an arch_model is made by one thread and then only read. */
#ifndef QUADRIGA_ARCH_ARCH_H
#define QUADRIGA_ARCH_ARCH_H

#include "gguf/gguf.h"
#include "plan/plan.h"

enum arch_rope_scaling { ARCH_ROPE_NONE, ARCH_ROPE_LINEAR };

struct arch_hparams {
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
    uint32_t n_ctx_train;
    float rms_eps;
    float rope_base;
    uint32_t rope_dims;
    enum arch_rope_scaling rope_scaling;
    float rope_factor; /* linear: positions are divided by it */
    bool rope_half_split;
    bool tied_embedding; /* the head multiplies by token_embd */
};

/* One weight of the model, checked: it is there and has the shape that the hyper-parameters ask. */
struct arch_weight {
    char name[48];       /* "blk.0.attn_q.weight" */
    enum quant_id quant; /* on the device: vectors are F32 there, F32 or F16 in the file */
    uint64_t rows, cols; /* rows = outputs; vectors are 1 x n */
    int32_t layer;       /* PLAN_LAYER_INPUT, 0.., n_layers for the head. Rope factors,
                            which every layer reads, are at PLAN_LAYER_INPUT */
    const struct gguf_tensor *tensor; /* NULL: dummy */
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
 * "layers=2,dim=256,heads=8,kv_heads=4,ffn=1024,vocab=4096,type=q8_0". The type (default f16) is a
 * weight format for all matrices, or q4_k_m: Q4_K with attn_v and ffn_down of half the layers and
 * the head in Q6_K. Of the list, kv_heads (as many as heads), vocab (32000), ctx (2048) and type
 * may be left out. */
bool arch_model_dummy(struct arch_model *model, const char *spec, struct log *log);
void arch_model_finish(struct arch_model *model);

struct arch_build_params {
    uint32_t n_tokens, n_out;      /* of a step; n_out 0: no head */
    uint32_t n_slots;              /* of the KV cache, multiple of STEP_BLOCK */
    uint32_t step_words;           /* size of the step buffer */
    enum plan_elem k_type, v_type; /* F16, F32, or Q8_0, Q4_0: head_dim in whole blocks */
    uint32_t attn_splits;          /* 1 for prefill */
    bool argmax;                   /* add the argmax node behind the logits */
};
/* Runs the build pass on a plan that was initialised for the same tokens, rows of logits and
 * layers. Without a head (n_out 0) the last layer ends with the KV append. */
bool arch_build(const struct arch_model *model, struct plan *plan,
                const struct arch_build_params *params);

/* KV bytes of one layer. */
uint64_t arch_kv_bytes(const struct arch_model *model, const struct arch_build_params *params);
/* Floating point operations of one token's forward pass, two per multiply-add: all matrices (the
 * embedding only where it is the head too) and attention to `len` entries. */
double arch_flop(const struct arch_model *model, uint64_t len);

#endif
