/* For tests of the families: a small file put together key by key and tensor by tensor. The keys
 * and tensors of each family beside those of a LLaMA are in draft_family. */
#ifndef QUADRIGA_TESTS_ARCH_DRAFT_H
#define QUADRIGA_TESTS_ARCH_DRAFT_H

#include "arch/internal.h"

#include "base/mem.h"
#include "gguf_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct log test_log;

static inline int setup(void **state)
{
    (void)state;
    log_init(&test_log, NULL, NULL, LOG_ERROR);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    log_finish(&test_log);
    return 0;
}

/* ---- files ---- */

enum { DIM = 64, HEAD = 16, FF = 128, LAYERS = 2 };

/* A file being put together: the tiny model, with more and other tensors and keys. */
struct draft {
    struct gguf_make_params params;
    struct gguf_make_tensor tensors[65];
    struct gguf_make_kv kvs[65];
    char names[64][48];
    char keys[64][64];
    uint8_t values[64][32];
    size_t n_tensors, n_kvs;
};

static inline void draft_init(struct draft *draft, const char *arch)
{
    memset(draft, 0, sizeof *draft);
    draft->params = gguf_make_defaults();
    draft->params.arch = arch;
    draft->params.tensors = draft->tensors;
    draft->params.kvs = draft->kvs;
}

/* rows 0: a vector; both 0: it is left out. */
static inline void put(struct draft *draft, const char *name, uint64_t rows, uint64_t cols)
{
    for (int layer = 0; layer < LAYERS; layer++) {
        struct gguf_make_tensor *t = &draft->tensors[draft->n_tensors];
        char *full = draft->names[draft->n_tensors++];
        assert_true(draft->n_tensors < 64);
        arch_weight_name(full, name, layer);
        *t = (struct gguf_make_tensor){.name = full, .omit = cols == 0, .fill = 1.0f};
        t->n_dims = rows != 0 ? 2 : 1;
        t->dims[0] = cols;
        t->dims[1] = rows;
        if (strstr(name, "%d") == NULL) {
            break;
        }
    }
}

static inline void put_key(struct draft *draft, const char *field, enum gguf_type type,
                           const void *value, size_t bytes)
{
    size_t i = draft->n_kvs++;
    assert_true(draft->n_kvs < 64 && bytes <= sizeof draft->values[i]);
    snprintf(draft->keys[i], sizeof draft->keys[i], "%s.%s", draft->params.arch, field);
    memcpy(draft->values[i], value, bytes);
    draft->kvs[i] = (struct gguf_make_kv){
        .key = draft->keys[i], .type = type, .value = draft->values[i], .bytes = bytes};
}

static inline void put_u32(struct draft *draft, const char *field, uint32_t value)
{
    put_key(draft, field, GGUF_U32, &value, 4);
}

static inline void put_f32(struct draft *draft, const char *field, float value)
{
    put_key(draft, field, GGUF_F32, &value, 4);
}

static inline void put_str(struct draft *draft, const char *field, const char *text)
{
    uint8_t value[32];
    uint64_t n = strlen(text);
    memcpy(value, &n, 8);
    memcpy(value + 8, text, (size_t)n);
    put_key(draft, field, GGUF_STRING, value, 8 + (size_t)n);
}

/* What a file of the family has beside the keys and tensors of a LLaMA. */
static inline void draft_family(struct draft *draft, const char *arch)
{
    draft_init(draft, arch);
    bool gemma = strncmp(arch, "gemma", 5) == 0 && arch[5] != '\0',
         olmo = strcmp(arch, "olmo2") == 0;
    if (strcmp(arch, "qwen2") == 0) {
        put(draft, "blk.%d.attn_q.bias", 0, 4 * HEAD);
        put(draft, "blk.%d.attn_k.bias", 0, 2 * HEAD);
        put(draft, "blk.%d.attn_v.bias", 0, 2 * HEAD);
    }
    if (strcmp(arch, "qwen3") == 0 || strcmp(arch, "gemma3") == 0 || olmo) {
        put(draft, "blk.%d.attn_q_norm.weight", 0, olmo ? 4 * HEAD : HEAD);
        put(draft, "blk.%d.attn_k_norm.weight", 0, olmo ? 2 * HEAD : HEAD);
    }
    if (gemma || olmo) {
        put(draft, "blk.%d.post_attention_norm.weight", 0, DIM);
        put(draft, "blk.%d.post_ffw_norm.weight", 0, DIM);
    }
    if (olmo) {
        put(draft, "blk.%d.attn_norm.weight", 0, 0);
        put(draft, "blk.%d.ffn_norm.weight", 0, 0);
    }
    if (strcmp(arch, "phi3") == 0) {
        put(draft, "blk.%d.attn_q.weight", 0, 0);
        put(draft, "blk.%d.attn_k.weight", 0, 0);
        put(draft, "blk.%d.attn_v.weight", 0, 0);
        put(draft, "blk.%d.ffn_gate.weight", 0, 0);
        put(draft, "blk.%d.attn_qkv.weight", 8 * HEAD, DIM);
        put(draft, "blk.%d.ffn_up.weight", 2 * FF, DIM);
    }
    if (strcmp(arch, "granite") == 0) {
        put_f32(draft, "embedding_scale", 12);
        put_f32(draft, "residual_scale", 0.25f);
        put_f32(draft, "attention.scale", 0.125f);
        put_f32(draft, "logit_scale", 8);
    }
}

struct opened {
    uint8_t *data;
    struct gguf_file *file;
    struct arch_model model;
    bool ok;
};

static inline void opened_init(struct opened *opened, const struct draft *draft)
{
    size_t bytes;
    opened->data = gguf_make(&draft->params, &bytes);
    assert_non_null(opened->data);
    opened->file = gguf_open_memory("tiny", opened->data, bytes, &test_log);
    assert_non_null(opened->file);
    opened->ok = arch_model_read(&opened->model, opened->file, &test_log);
}

static inline void opened_finish(struct opened *opened)
{
    arch_model_finish(&opened->model);
    gguf_close(opened->file);
    mem_free(opened->data);
}

static inline void expect_good(struct opened *opened, const struct draft *draft)
{
    opened_init(opened, draft);
    if (!opened->ok) {
        char line[1024];
        log_get_last(&test_log, line, sizeof line);
        fail_msg("%s", line);
    }
}

static inline void expect_bad(const struct draft *draft, const char *part)
{
    struct opened opened;
    char line[1024];
    opened_init(&opened, draft);
    log_get_last(&test_log, line, sizeof line);
    if (opened.ok || strstr(line, part) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", line, part);
    }
    opened_finish(&opened);
}

#endif
