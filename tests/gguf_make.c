/* Puts the tiny model of gguf_make.h together with the writer of src/gguf. */
#include "gguf_make.h"

#include "base/hash.h"
#include "base/mem.h"
#include "gguf/writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct make {
    const struct gguf_make_params *params;
    struct gguf_writer writer;
    struct arena arena; /* tensor data and names, until the file is written */
    uint64_t seed;
    uint64_t used; /* bit i: params->kvs[i] has been dealt with */
    uint64_t used_tensors;
    bool failed;
};

struct gguf_make_params gguf_make_defaults(void)
{
    return (struct gguf_make_params){.layers = 2,
                                     .dim = 64,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .ffn = 128,
                                     .vocab = 384,
                                     .ctx = 256,
                                     .quant = QUANT_F16,
                                     .tied = true,
                                     .rope_base = 10000,
                                     .rms_eps = 1e-5f,
                                     .arch = "llama",
                                     .tokenizer = "llama",
                                     .seed = 1};
}

/* ---- keys, with the caller's changes ---- */

static void add_kv(struct make *make, const char *key, uint32_t type, const void *value,
                   size_t bytes)
{
    const struct gguf_make_kv *kv = make->params->kvs;
    for (uint32_t i = 0; kv != NULL && kv[i].key != NULL && i < 64; i++) {
        if (strcmp(kv[i].key, key) != 0) {
            continue;
        }
        make->used |= 1ull << i;
        if (!kv[i].omit) {
            gguf_writer_add_raw(&make->writer, key, kv[i].type, kv[i].value, kv[i].bytes);
        }
        return;
    }
    gguf_writer_add_raw(&make->writer, key, type, value, bytes);
}

static void add_str(struct make *make, const char *key, const char *text)
{
    struct str value;
    uint64_t n = strlen(text);
    str_init(&value);
    str_add(&value, (const char *)&n, sizeof n);
    str_add(&value, text, (size_t)n);
    add_kv(make, key, GGUF_STRING, str_get(&value), value.bytes);
    make->failed |= value.failed;
    str_finish(&value);
}

static void add_u32(struct make *make, const char *key, uint32_t value)
{
    add_kv(make, key, GGUF_U32, &value, sizeof value);
}

static void add_array(struct make *make, const char *key, uint32_t elem, const void *values,
                      uint64_t count)
{
    struct str value;
    str_init(&value);
    str_add(&value, (const char *)&elem, sizeof elem);
    str_add(&value, (const char *)&count, sizeof count);
    str_add(&value, values, (size_t)count * 4);
    add_kv(make, key, GGUF_ARRAY, str_get(&value), value.bytes);
    make->failed |= value.failed;
    str_finish(&value);
}

/* Keys that begin with the architecture's name. */
static const char *arch_key(const struct make *make, char out[96], const char *rest)
{
    snprintf(out, 96, "%s.%s", make->params->arch, rest);
    return out;
}

static void add_arch_u32(struct make *make, const char *rest, uint32_t value)
{
    char key[96];
    add_u32(make, arch_key(make, key, rest), value);
}

static void add_arch_f32(struct make *make, const char *rest, float value)
{
    char key[96];
    add_kv(make, arch_key(make, key, rest), GGUF_F32, &value, sizeof value);
}

static uint32_t head_dim(const struct gguf_make_params *p)
{
    return p->head_dim != 0 || p->heads == 0 ? p->head_dim : p->dim / p->heads;
}

static void add_hparams(struct make *make)
{
    const struct gguf_make_params *p = make->params;
    char key[96];
    add_str(make, "general.architecture", p->arch);
    add_str(make, "general.name", "Tiny");
    add_arch_u32(make, "context_length", p->ctx);
    add_arch_u32(make, "embedding_length", p->dim);
    add_arch_u32(make, "block_count", p->layers);
    add_arch_u32(make, "feed_forward_length", p->ffn);
    add_arch_u32(make, "attention.head_count", p->heads);
    add_arch_u32(make, "attention.head_count_kv", p->kv_heads);
    add_arch_f32(make, "attention.layer_norm_rms_epsilon", p->rms_eps);
    add_arch_u32(make, "rope.dimension_count", head_dim(p));
    add_arch_f32(make, "rope.freq_base", p->rope_base);
    add_arch_u32(make, "vocab_size", p->vocab);
    if (p->head_dim != 0) {
        add_arch_u32(make, "attention.key_length", p->head_dim);
        add_arch_u32(make, "attention.value_length", p->head_dim);
    }
    if (p->experts != 0) {
        add_arch_u32(make, "expert_count", p->experts);
        add_arch_u32(make, "expert_used_count", p->used);
    }
    if (p->ffn_expert != 0) {
        add_arch_u32(make, "expert_feed_forward_length", p->ffn_expert);
    }
    if (p->rope_scaling != NULL) {
        add_str(make, arch_key(make, key, "rope.scaling.type"), p->rope_scaling);
        add_arch_f32(make, "rope.scaling.factor", p->rope_factor);
    }
}

/* ---- vocabulary ---- */

#define SPACE "\xe2\x96\x81"

/* Each piece is the join of two pieces above it or of two letters. */
static const char *const PIECES[] = {SPACE "t", "he",       SPACE "the", "in",  "ing", SPACE "a",
                                     "an",      "nd",       SPACE "and", "er",  "on",  "re",
                                     SPACE "o", SPACE "of", SPACE "to",  "ou",  "or",  "en",
                                     SPACE "s", SPACE "w",  SPACE "wor", "ld",  "lo",  "el",
                                     SPACE "h", "llo",      SPACE "hel", "ell", "ello"};

enum {
    FIRST_BYTE = 3,
    FIRST_LETTER = FIRST_BYTE + 256,
    PIECE_COUNT = sizeof PIECES / sizeof *PIECES
};

size_t gguf_make_piece(uint32_t id, char out[16], float *score, int32_t *type)
{
    static const char *const SPECIAL[] = {"<unk>", "<s>", "</s>"};
    *score = -(float)id; /* earlier pieces merge first */
    *type = 1;           /* normal */
    if (id < FIRST_BYTE) {
        *score = 0;
        *type = id == 0 ? 2 : 3; /* unknown, control */
        return (size_t)snprintf(out, 16, "%s", SPECIAL[id]);
    }
    if (id < FIRST_LETTER) {
        *score = 0;
        *type = 6; /* byte */
        return (size_t)snprintf(out, 16, "<0x%02X>", id - FIRST_BYTE);
    }
    id -= FIRST_LETTER;
    if (id == 0) {
        return (size_t)snprintf(out, 16, SPACE);
    }
    if (id <= 26) {
        return (size_t)snprintf(out, 16, "%c", 'a' + (int)id - 1);
    }
    id -= 27;
    if (id < PIECE_COUNT) {
        return (size_t)snprintf(out, 16, "%s", PIECES[id]);
    }
    id -= PIECE_COUNT; /* a0, b0, .. z0, a1, .. z9, a10: each is one above it and a digit */
    return (size_t)snprintf(out, 16, "%c%u", 'a' + (int)(id % 26), id / 26);
}

static void add_vocab(struct make *make)
{
    uint32_t n = make->params->vocab;
    char(*texts)[16] = arena_alloc(&make->arena, n, sizeof *texts);
    struct gguf_str *tokens = arena_alloc(&make->arena, n, sizeof *tokens);
    float *scores = arena_alloc(&make->arena, n, sizeof *scores);
    int32_t *types = arena_alloc(&make->arena, n, sizeof *types);
    struct str value;
    uint64_t count = n;
    uint32_t elem = GGUF_STRING;
    if (texts == NULL || tokens == NULL || scores == NULL || types == NULL) {
        make->failed = true;
        return;
    }
    add_str(make, "tokenizer.ggml.model", make->params->tokenizer);
    str_init(&value);
    str_add(&value, (const char *)&elem, sizeof elem);
    str_add(&value, (const char *)&count, sizeof count);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bytes = gguf_make_piece(i, texts[i], &scores[i], &types[i]);
        str_add(&value, (const char *)&bytes, sizeof bytes);
        str_add(&value, texts[i], (size_t)bytes);
    }
    add_kv(make, "tokenizer.ggml.tokens", GGUF_ARRAY, str_get(&value), value.bytes);
    make->failed |= value.failed;
    str_finish(&value);
    add_array(make, "tokenizer.ggml.scores", GGUF_F32, scores, n);
    add_array(make, "tokenizer.ggml.token_type", GGUF_I32, types, n);
    add_u32(make, "tokenizer.ggml.bos_token_id", 1);
    add_u32(make, "tokenizer.ggml.eos_token_id", 2);
    add_u32(make, "tokenizer.ggml.unknown_token_id", 0);
    uint8_t yes = 1, no = 0;
    add_kv(make, "tokenizer.ggml.add_bos_token", GGUF_BOOL, &yes, 1);
    add_kv(make, "tokenizer.ggml.add_eos_token", GGUF_BOOL, &no, 1);
}

/* Keys of the caller that nothing above wrote. */
static void add_other_kvs(struct make *make)
{
    const struct gguf_make_kv *kv = make->params->kvs;
    for (uint32_t i = 0; kv != NULL && kv[i].key != NULL; i++) {
        if (i < 64 && (make->used & 1ull << i) == 0 && !kv[i].omit) {
            gguf_writer_add_raw(&make->writer, kv[i].key, kv[i].type, kv[i].value, kv[i].bytes);
        }
    }
}

/* ---- tensors ---- */

static uint64_t type_bytes(uint32_t type, uint32_t n_dims, const uint64_t *dims)
{
    uint32_t cols = 1, bytes = 4;
    uint64_t n = 1;
    quant_type_block(type, &cols, &bytes);
    for (uint32_t d = 0; d < n_dims; d++) {
        n *= dims[d];
    }
    return n / cols * bytes;
}

static void add_listed(struct make *make, const struct gguf_make_tensor *t, uint32_t n_dims,
                       const uint64_t *dims)
{
    uint64_t bytes = type_bytes(t->type, n_dims, dims);
    float *x = NULL;
    if (t->fill != 0) {
        x = arena_alloc(&make->arena, (size_t)bytes / sizeof *x, sizeof *x);
        make->failed |= x == NULL;
        for (size_t i = 0; x != NULL && i < bytes / sizeof *x; i++) {
            x[i] = t->fill;
        }
    }
    gguf_writer_add_tensor(&make->writer, t->name, t->type, n_dims, dims, x, bytes);
}

/* True when the caller's list has this tensor and it is done. */
static bool add_changed(struct make *make, const char *name, uint32_t n_dims, const uint64_t *dims)
{
    const struct gguf_make_tensor *t = make->params->tensors;
    for (uint32_t i = 0; t != NULL && t[i].name != NULL && i < 64; i++) {
        if (strcmp(t[i].name, name) != 0) {
            continue;
        }
        make->used_tensors |= 1ull << i;
        if (!t[i].omit) {
            add_listed(make, &t[i], t[i].n_dims != 0 ? t[i].n_dims : n_dims,
                       t[i].n_dims != 0 ? t[i].dims : dims);
        }
        return true;
    }
    return false;
}

/* Tensors of the caller that no model of the usual shape has. */
static void add_other_tensors(struct make *make)
{
    const struct gguf_make_tensor *t = make->params->tensors;
    for (uint32_t i = 0; t != NULL && t[i].name != NULL && i < 64; i++) {
        if ((make->used_tensors & 1ull << i) == 0 && !t[i].omit) {
            add_listed(make, &t[i], t[i].n_dims, t[i].dims);
        }
    }
}

static void add_vector(struct make *make, const char *name, uint64_t cols, double low, double high)
{
    float *x = arena_alloc(&make->arena, (size_t)cols, sizeof *x);
    if (x == NULL) {
        make->failed = true;
        return;
    }
    for (uint64_t i = 0; i < cols; i++) {
        x[i] = (float)(low + (high - low) * hash_uniform(&make->seed));
    }
    if (!add_changed(make, name, 1, &cols)) {
        gguf_writer_add_tensor(&make->writer, name, quant_get(QUANT_F32)->ggml_type, 1, &cols, x,
                               cols * 4);
    }
}

/* n matrices one behind the other, of shape [cols, rows, n] where n is not 0; alike: the first one
 * again and again. */
static void add_stack(struct make *make, const char *name, enum quant_id id, uint64_t rows,
                      uint64_t cols, uint64_t n, bool alike)
{
    uint64_t dims[3] = {cols, rows, n}, all = rows * (n != 0 ? n : 1), seed = make->seed;
    if (cols % quant_get(id)->block_cols != 0) {
        id = QUANT_F16;
    }
    uint64_t row_bytes = quant_row_bytes(id, cols);
    float *row = arena_alloc(&make->arena, (size_t)cols, sizeof *row);
    uint8_t *data = arena_alloc(&make->arena, (size_t)all, (size_t)row_bytes);
    if (row == NULL || data == NULL) {
        make->failed = true;
        return;
    }
    /* uniform in -a..a has the standard deviation a / sqrt(3) */
    double a = 0.7 * sqrt(3.0 / (double)cols);
    for (uint64_t r = 0; r < all; r++) {
        make->seed = alike && r % rows == 0 ? seed : make->seed;
        for (uint64_t c = 0; c < cols; c++) {
            row[c] = (float)((2 * hash_uniform(&make->seed) - 1) * a);
        }
        quant_get(id)->encode(row, data + r * row_bytes, (size_t)cols);
    }
    uint32_t n_dims = n != 0 ? 3 : 2;
    if (!add_changed(make, name, n_dims, dims)) {
        gguf_writer_add_tensor(&make->writer, name, quant_get(id)->ggml_type, n_dims, dims, data,
                               all * row_bytes);
    }
}

static void add_matrix(struct make *make, const char *name, uint64_t rows, uint64_t cols)
{
    add_stack(make, name, make->params->quant, rows, cols, 0, false);
}

/* The router has random numbers of its own: the others are those of a dense model. */
static void add_experts(struct make *make, uint32_t layer)
{
    const struct gguf_make_params *p = make->params;
    uint64_t ffn = p->ffn_expert != 0 ? p->ffn_expert : p->ffn, seed = make->seed;
    const struct {
        const char *name;
        uint64_t rows, cols;
    } list[] = {{"ffn_gate", ffn, p->dim}, {"ffn_up", ffn, p->dim}, {"ffn_down", p->dim, ffn}};
    char name[64];
    snprintf(name, sizeof name, "blk.%u.ffn_gate_inp.weight", layer);
    make->seed = p->seed + 1000 + layer;
    add_stack(make, name, QUANT_F32, p->experts, p->dim, 0, false);
    make->seed = seed;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        for (uint32_t e = 0; e < p->experts && p->single_experts; e++) {
            snprintf(name, sizeof name, "blk.%u.%s.%u.weight", layer, list[i].name, e);
            add_matrix(make, name, list[i].rows, list[i].cols);
        }
        if (p->single_experts) {
            continue;
        }
        snprintf(name, sizeof name, "blk.%u.%s_exps.weight", layer, list[i].name);
        add_stack(make, name, p->quant, list[i].rows, list[i].cols, p->experts, p->same_experts);
    }
}

static void add_layer(struct make *make, uint32_t layer)
{
    const struct gguf_make_params *p = make->params;
    uint64_t q = (uint64_t)p->heads * head_dim(p), kv = (uint64_t)p->kv_heads * head_dim(p);
    const struct {
        const char *name;
        uint64_t rows, cols; /* rows 0: a norm */
    } list[] = {
        {"attn_norm", 0, p->dim},     {"attn_q", q, p->dim},      {"attn_k", kv, p->dim},
        {"attn_v", kv, p->dim},       {"attn_output", p->dim, q}, {"ffn_norm", 0, p->dim},
        {"ffn_gate", p->ffn, p->dim}, {"ffn_up", p->ffn, p->dim}, {"ffn_down", p->dim, p->ffn}};
    size_t n = sizeof list / sizeof list[0] - (p->experts != 0 ? 3 : 0);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, list[i].name);
        if (list[i].rows == 0) {
            add_vector(make, name, list[i].cols, 0.9, 1.1);
        } else {
            add_matrix(make, name, list[i].rows, list[i].cols);
        }
    }
    if (p->experts != 0) {
        add_experts(make, layer);
    }
}

static void add_tensors(struct make *make)
{
    const struct gguf_make_params *p = make->params;
    add_matrix(make, "token_embd.weight", p->vocab, p->dim);
    add_vector(make, "output_norm.weight", p->dim, 0.9, 1.1);
    if (!p->tied) {
        add_matrix(make, "output.weight", p->vocab, p->dim);
    }
    if (p->rope_freqs) {
        add_vector(make, "rope_freqs.weight", head_dim(p) / 2, 1, 4);
    }
    for (uint32_t i = 0; i < p->layers; i++) {
        add_layer(make, i);
    }
    add_other_tensors(make);
}

/* ---- whole ---- */

static void make_finish(struct make *make)
{
    gguf_writer_finish(&make->writer);
    arena_finish(&make->arena);
}

static bool make_init(struct make *make, const struct gguf_make_params *params)
{
    *make = (struct make){.params = params, .seed = params->seed};
    gguf_writer_init(&make->writer);
    arena_init(&make->arena);
    if (params->vocab < GGUF_MAKE_MIN_VOCAB) {
        return false;
    }
    add_hparams(make);
    add_vocab(make);
    add_other_kvs(make);
    add_tensors(make);
    return !make->failed;
}

uint8_t *gguf_make(const struct gguf_make_params *params, size_t *bytes)
{
    struct make make;
    uint8_t *out = make_init(&make, params) ? gguf_writer_build(&make.writer, bytes) : NULL;
    make_finish(&make);
    return out;
}

bool gguf_make_file(const struct gguf_make_params *params, const char *path, struct log *log)
{
    struct make make;
    bool ok = make_init(&make, params);
    if (!ok) {
        log_error(log, "%s: the tiny model cannot be made (vocabulary %u, at least %d)", path,
                  params->vocab, GGUF_MAKE_MIN_VOCAB);
    }
    ok = ok && gguf_writer_save(&make.writer, path, log);
    make_finish(&make);
    return ok;
}
