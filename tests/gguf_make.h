/* Makes a small llama-architecture GGUF with random weights and a tiny SPM vocabulary, so that
 * tests of models, plans and bad inputs need no files. Link the target qd_fixture
 * (ROOMS fixture ...).
 *
 *     struct gguf_make_params p = gguf_make_defaults();
 *     p.quant = QUANT_Q8_0;
 *     size_t bytes;
 *     uint8_t *data = gguf_make(&p, &bytes);   // free with mem_free
 *     struct gguf_file *file = gguf_open_memory("tiny", data, bytes, log);
 *
 * The same parameters give the same bytes. Matrices have a standard deviation of 0.7/sqrt(columns),
 * norms lie in 0.9..1.1, so that logits are of order 1 and no softmax is flat.
 *
 * Vocabulary: 0 <unk>, 1 <s>, 2 </s>, 3..258 the byte tokens <0x00>..<0xFF>, then "\u2581", a..z,
 * some English pieces ("\u2581the", "ing", ...), then "a0", "b0", ... up to the size asked for.
 * Every piece of more than one letter can be reached by merges. Smallest size: GGUF_MAKE_MIN_VOCAB.
 */
#ifndef QUADRIGA_TESTS_GGUF_MAKE_H
#define QUADRIGA_TESTS_GGUF_MAKE_H

#include "gguf/gguf.h"
#include "quant/quant.h"

#define GGUF_MAKE_MIN_VOCAB 320

/* What is written instead of a tensor, or instead of a key: the first entry whose name matches. A
 * tensor or key that is not written otherwise is added at the end. At most 64 entries each. */
struct gguf_make_tensor {
    const char *name; /* "blk.0.attn_q.weight"; NULL ends the list */
    bool omit;        /* leave it out */
    uint32_t type;    /* ggml type; the data is zeros */
    float fill;       /* F32: every value */
    uint32_t n_dims;  /* 0: keep the shape, change only the type */
    uint64_t dims[4];
};
struct gguf_make_kv {
    const char *key; /* "llama.block_count"; NULL ends the list */
    bool omit;
    uint32_t type;     /* gguf_type */
    const void *value; /* as in the file; arrays and strings with their heads */
    size_t bytes;
};

struct gguf_make_params {
    uint32_t layers, dim, heads, kv_heads, ffn, vocab, ctx;
    uint32_t head_dim;   /* 0: dim / heads; otherwise also written as attention.key_length */
    enum quant_id quant; /* of all matrices whose columns are a multiple of its block, else F16 */
    uint32_t experts;    /* 0: dense; else ffn_{gate,up,down}_exps and ffn_gate_inp (F32) */
    uint32_t used;       /* experts of a token */
    uint32_t ffn_expert; /* 0: ffn; otherwise also written as expert_feed_forward_length */
    bool single_experts; /* one 2-D tensor per expert, as old files have them */
    bool same_experts;   /* all of them are the dense model's block of the same seed */
    bool tied;           /* no output.weight */
    float rope_base, rms_eps;
    const char *rope_scaling; /* llama.rope.scaling.type, e.g. "linear"; NULL: not written */
    float rope_factor;        /* llama.rope.scaling.factor, with rope_scaling */
    bool rope_freqs;          /* rope_freqs.weight: factors from 1 to 4 */
    const char *arch;         /* general.architecture, and the prefix of the keys */
    const char *tokenizer;    /* tokenizer.ggml.model */
    uint64_t seed;
    const struct gguf_make_tensor *tensors; /* NULL: none */
    const struct gguf_make_kv *kvs;         /* NULL: none */
};

/* 2 layers, dim 64, 4 heads, 2 KV heads, ffn 128, vocab 384, ctx 256, F16, tied, no scaling. */
struct gguf_make_params gguf_make_defaults(void);
/* NULL: out of memory, or a vocabulary below the smallest. */
uint8_t *gguf_make(const struct gguf_make_params *params, size_t *bytes);
/* To a file. False: logged. */
bool gguf_make_file(const struct gguf_make_params *params, const char *path, struct log *log);
/* Piece `id` of the vocabulary above: its bytes (the text is terminated), score and type. */
size_t gguf_make_piece(uint32_t id, char out[16], float *score, int32_t *type);

#endif
