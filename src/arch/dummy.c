/* Dummy shapes: a spec of a few words instead of a file. The weights get names, shapes and formats;
 * their values are made on the devices. Shapes of the LLaMA models: Touvron et al. 2023, table 2.
 */
#include "arch/internal.h"

#include <stdio.h>
#include <string.h>

struct shape {
    const char *name; /* "llama-" may stand before it where `llama` is set */
    bool llama, tied;
    uint32_t layers, dim, heads, kv_heads, ffn, vocab, ctx;
    uint32_t experts, used; /* 0: dense */
};

static const struct shape SHAPES[] = {
    {"7b", true, false, 32, 4096, 32, 32, 11008, 32000, 2048, 0, 0},
    {"13b", true, false, 40, 5120, 40, 40, 13824, 32000, 2048, 0, 0},
    {"30b", true, false, 60, 6656, 52, 52, 17920, 32000, 2048, 0, 0},
    {"65b", true, false, 80, 8192, 64, 64, 22016, 32000, 2048, 0, 0},
    {"classics-13m", false, true, 12, 256, 8, 4, 1024, 4096, 1024, 0, 0},
    {"mixtral-8x7b", false, false, 32, 4096, 32, 8, 14336, 32000, 32768, 8, 2},
};

static const char *const SPEC_FIELDS[ARCH_FIELDS_OF_DUMMIES] = {
    [ARCH_LAYERS] = "layers",
    [ARCH_EMBD] = "dim",
    [ARCH_HEADS] = "heads",
    [ARCH_KV_HEADS] = "kv_heads",
    [ARCH_HEAD_DIM] = "dim / heads",
    [ARCH_FF] = "ffn",
    [ARCH_VOCAB] = "vocab",
    [ARCH_CTX] = "ctx",
    [ARCH_EPS] = "eps",
    [ARCH_ROPE_BASE] = "rope base",
    [ARCH_ROPE_DIMS] = "rope dims",
    [ARCH_ROPE_FACTOR] = "rope factor",
    [ARCH_EXPERTS] = "experts",
    [ARCH_EXPERTS_USED] = "used",
    [ARCH_FF_EXPERT] = "ffn",
};

/* A spec being read. */
struct reader {
    const char *spec;
    struct shape shape;
    struct arch_table *table;
    struct log *log;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same(const char *text, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (name[i] == '\0' || lower(text[i]) != lower(name[i])) {
            return false;
        }
    }
    return name[n] == '\0';
}

static bool read_type(struct reader *reader, const char *text, size_t n)
{
    struct arch_table *table = reader->table;
    for (uint32_t i = 0; arch_mix_at(i) != NULL; i++) {
        if (same(text, n, arch_mix_name(arch_mix_at(i)))) {
            table->dummy_mix = arch_mix_at(i);
            return true;
        }
    }
    for (uint32_t i = 0; i < QUANT_COUNT; i++) {
        if (same(text, n, quant_get(i)->name)) {
            table->dummy_type = i;
            return true;
        }
    }
    struct str list;
    str_init(&list);
    for (uint32_t i = 0; i < QUANT_COUNT; i++) {
        str_printf(&list, "%s, ", quant_get(i)->name);
    }
    for (uint32_t i = 0; arch_mix_at(i) != NULL; i++) {
        str_printf(&list, "%s%s", i > 0 ? ", " : "", arch_mix_name(arch_mix_at(i)));
    }
    log_error(reader->log, "dummy %s: type %.*s is not supported (supported: %s)", reader->spec,
              (int)n, text, str_get(&list));
    str_finish(&list);
    return false;
}

static bool read_number(struct reader *reader, const char *key, const char *text, size_t n,
                        uint32_t *out)
{
    uint64_t value = 0;
    bool ok = n > 0;
    for (size_t i = 0; i < n && ok; i++) {
        ok = text[i] >= '0' && text[i] <= '9' && value <= UINT32_MAX;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (!ok || value > UINT32_MAX) {
        log_error(reader->log, "dummy %s: %s: %.*s is not a number below 2^32", reader->spec, key,
                  (int)n, text);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool read_pair(struct reader *reader, const char *text, size_t n)
{
    struct shape *shape = &reader->shape;
    const struct {
        const char *key;
        uint32_t *out;
    } keys[] = {
        {"layers", &shape->layers},     {"dim", &shape->dim},         {"heads", &shape->heads},
        {"kv_heads", &shape->kv_heads}, {"ffn", &shape->ffn},         {"vocab", &shape->vocab},
        {"ctx", &shape->ctx},           {"experts", &shape->experts}, {"used", &shape->used}};
    const char *sign = memchr(text, '=', n);
    size_t key_bytes = sign != NULL ? (size_t)(sign - text) : n;
    if (sign != NULL && same(text, key_bytes, "type")) {
        return read_type(reader, sign + 1, n - key_bytes - 1);
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && sign != NULL; i++) {
        if (same(text, key_bytes, keys[i].key)) {
            return read_number(reader, keys[i].key, sign + 1, n - key_bytes - 1, keys[i].out);
        }
    }
    log_error(reader->log,
              "dummy %s: %.*s is not one of layers=, dim=, heads=, kv_heads=, ffn=, vocab=, ctx=, "
              "experts=, used=, type=",
              reader->spec, (int)n, text);
    return false;
}

static bool read_pairs(struct reader *reader)
{
    struct shape *shape = &reader->shape;
    *shape = (struct shape){.ctx = 2048, .vocab = 32000};
    for (const char *at = reader->spec;;) {
        size_t n = strcspn(at, ",");
        if (!read_pair(reader, at, n)) {
            return false;
        }
        if (at[n] == '\0') {
            break;
        }
        at += n + 1;
    }
    if (shape->kv_heads == 0) {
        shape->kv_heads = shape->heads;
    }
    if (shape->experts == 0 && shape->used != 0) {
        log_error(reader->log, "dummy %s: used: is %u, but there are no experts", reader->spec,
                  shape->used);
        return false;
    }
    shape->used = shape->used != 0 || shape->experts == 0 ? shape->used : 2;
    return true;
}

static bool read_name(struct reader *reader)
{
    size_t n = strcspn(reader->spec, ":");
    bool prefixed = n > 6 && same(reader->spec, 6, "llama-");
    for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++) {
        if (same(reader->spec, n, SHAPES[i].name) ||
            (prefixed && SHAPES[i].llama && same(reader->spec + 6, n - 6, SHAPES[i].name))) {
            reader->shape = SHAPES[i];
            return reader->spec[n] == '\0' ||
                   read_type(reader, reader->spec + n + 1, strlen(reader->spec) - n - 1);
        }
    }
    log_error(
        reader->log,
        "dummy %s: not a known shape (7b, 13b, 30b, 65b, mixtral-8x7b, classics-13m, or a list "
        "such as "
        "layers=2,dim=256,heads=8,kv_heads=4,ffn=1024,vocab=4096,type=q8_0)",
        reader->spec);
    return false;
}

static bool set_hparams(const struct reader *reader, struct arch_model *model)
{
    const struct shape *shape = &reader->shape;
    uint32_t head_dim = shape->heads != 0 ? shape->dim / shape->heads : 0;
    model->hp = (struct arch_hparams){
        .n_layers = shape->layers,
        .n_embd = shape->dim,
        .n_heads = shape->heads,
        .n_kv_heads = shape->kv_heads,
        .head_dim = head_dim,
        .n_ff = shape->ffn,
        .n_vocab = shape->vocab,
        .n_ctx_train = shape->ctx,
        .rms_eps = 1e-5f,
        .rope_base = 10000.0f,
        .rope_dims = head_dim,
        .tied_embedding = shape->tied,
        .n_experts = shape->experts,
        .n_experts_used = shape->used,
        .n_ff_expert = shape->experts != 0 ? shape->ffn : 0,
        .experts_normalise = shape->experts != 0,
    };
    arch_hparams_defaults(&model->hp);
    char name[80];
    snprintf(name, sizeof name, "dummy %.64s", reader->spec);
    struct arch_where where = {
        .name = name, .prefix = "", .fields = SPEC_FIELDS, .log = reader->log};
    if (shape->heads != 0 && shape->dim % shape->heads != 0) {
        log_error(reader->log, "%s: dim: %u is not a multiple of heads, %u", name, shape->dim,
                  shape->heads);
        return false;
    }
    return arch_hparams_check(&model->hp, &where) &&
           arch_check_range(&where, ARCH_VOCAB, shape->vocab, 1, ARCH_MAX_VOCAB);
}

bool arch_dummy_read(struct arch_table *table, const char *spec)
{
    struct reader reader = {.spec = spec, .table = table, .log = table->log};
    table->dummy_type = QUANT_F16;
    bool ok = strchr(spec, '=') != NULL ? read_pairs(&reader) : read_name(&reader);
    return ok && set_hparams(&reader, table->model);
}

enum quant_id arch_dummy_quant(const struct arch_table *table, const char *name, int32_t layer)
{
    if (strstr(name, "ffn_gate_inp.") != NULL) {
        return QUANT_F32; /* routers are not quantized */
    }
    return table->dummy_mix != NULL ? arch_mix_quant(table->dummy_mix, table->model, name, layer)
                                    : table->dummy_type;
}
