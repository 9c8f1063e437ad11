/* Weights and files of arch_gen.h. A value is center + amp * k / 2^23, k a signed number of 24
 * bits: one product and one sum in double precision, rounded once. What the tensors mean is the
 * reference's business (tests/tools/arch_make.py); here they are names and shapes. */
#include "arch_gen.h"

#include "base/hash.h"
#include "base/mem.h"
#include "gguf/writer.h"
#include "gguf_make.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct gen {
    const json_t *model;
    const struct arch_gen_params *params;
    struct gguf_writer writer;
    struct arena arena; /* tensor data, until the file is built */
    uint64_t seed, checksum;
    bool failed;
};

static const char *get_text(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text != NULL ? text : "";
}

static uint32_t get_u32(const json_t *object, const char *field)
{
    return (uint32_t)json_integer_value(json_object_get(object, field));
}

/* ---- random numbers ---- */

static uint64_t stream(uint64_t seed, const char *name)
{
    return hash_bytes(HASH_SEED ^ seed, name, strlen(name));
}

/* -2^23 to 2^23 - 1 */
static int32_t next(uint64_t *state)
{
    return (int32_t)(hash_next(state) >> 40) - (1 << 23);
}

uint32_t *arch_gen_tokens(const json_t *model)
{
    uint32_t n = get_u32(model, "n_tokens"), n_vocab = get_u32(model, "n_vocab");
    uint32_t *out = n_vocab > 3 ? mem_alloc(n, sizeof *out) : NULL;
    uint64_t state = stream(get_u32(model, "seed"), "tokens");
    for (uint32_t i = 0; out != NULL && i < n; i++) {
        out[i] = 3 + (uint32_t)(next(&state) + (1 << 23)) % (n_vocab - 3);
    }
    return out;
}

/* ---- keys and vocabulary ---- */

static void add_key(struct gen *gen, const json_t *entry)
{
    const char *name = json_string_value(json_array_get(entry, 0));
    const char *type = json_string_value(json_array_get(entry, 1));
    const json_t *value = json_array_get(entry, 2);
    char key[96];
    if (name == NULL || type == NULL || value == NULL) {
        gen->failed = true;
        return;
    }
    snprintf(key, sizeof key, "%s%s", name[0] == '.' ? get_text(gen->model, "arch") : "", name);
    if (strcmp(type, "u32") == 0) {
        gguf_writer_add_u32(&gen->writer, key, (uint32_t)json_integer_value(value));
    } else if (strcmp(type, "f32") == 0) {
        gguf_writer_add_f32(&gen->writer, key, (float)json_number_value(value));
    } else if (strcmp(type, "bool") == 0) {
        gguf_writer_add_bool(&gen->writer, key, json_is_true(value));
    } else if (strcmp(type, "str") == 0 && json_is_string(value)) {
        gguf_writer_add_str(&gen->writer, key, json_string_value(value));
    } else {
        gen->failed = true;
    }
}

static void add_vocab(struct gen *gen)
{
    uint32_t n = get_u32(gen->model, "n_vocab");
    char(*texts)[16] = arena_alloc(&gen->arena, n, sizeof *texts);
    struct gguf_str *tokens = arena_alloc(&gen->arena, n, sizeof *tokens);
    float *scores = arena_alloc(&gen->arena, n, sizeof *scores);
    int32_t *types = arena_alloc(&gen->arena, n, sizeof *types);
    if (texts == NULL || tokens == NULL || scores == NULL || types == NULL ||
        n < GGUF_MAKE_MIN_VOCAB) {
        gen->failed = true;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        size_t bytes = gguf_make_piece(i, texts[i], &scores[i], &types[i]);
        tokens[i] = (struct gguf_str){.text = texts[i], .bytes = bytes};
    }
    gguf_writer_add_str(&gen->writer, "tokenizer.ggml.model", "llama");
    gguf_writer_add_strs(&gen->writer, "tokenizer.ggml.tokens", tokens, n);
    gguf_writer_add_array(&gen->writer, "tokenizer.ggml.scores", GGUF_F32, scores, n);
    gguf_writer_add_array(&gen->writer, "tokenizer.ggml.token_type", GGUF_I32, types, n);
    gguf_writer_add_u32(&gen->writer, "tokenizer.ggml.bos_token_id", 1);
    gguf_writer_add_u32(&gen->writer, "tokenizer.ggml.eos_token_id", 2);
    gguf_writer_add_u32(&gen->writer, "tokenizer.ggml.unknown_token_id", 0);
}

static void add_keys(struct gen *gen)
{
    size_t i;
    json_t *entry;
    gguf_writer_add_str(&gen->writer, "general.architecture", get_text(gen->model, "arch"));
    gguf_writer_add_str(&gen->writer, "general.name", get_text(gen->model, "name"));
    json_array_foreach(json_object_get(gen->model, "keys"), i, entry)
    {
        add_key(gen, entry);
    }
    add_vocab(gen);
}

/* ---- tensors ---- */

/* [name, dims, center, amp] or [name, dims, [values]] */
static bool fill(const struct gen *gen, const char *name, const json_t *entry, float *out,
                 uint64_t count)
{
    const json_t *what = json_array_get(entry, 2);
    if (json_is_array(what)) {
        for (uint64_t i = 0; i < count; i++) {
            out[i] = (float)json_number_value(json_array_get(what, (size_t)i));
        }
        return json_array_size(what) == count;
    }
    double center = json_number_value(what);
    double amp = json_number_value(json_array_get(entry, 3));
    uint64_t state = stream(gen->seed, name);
    for (uint64_t i = 0; i < count; i++) {
        out[i] = (float)(center + amp * (next(&state) * 0x1p-23));
    }
    return json_is_number(what);
}

static void add_checksum(struct gen *gen, const char *name, const float *x, uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        sum += bits * (2 * i + 1);
    }
    gen->checksum += sum * (stream(0, name) | 1);
}

/* The rows encoded; in place (and still F32) when they are decoded again. */
static const void *encode(struct gen *gen, float *x, uint64_t rows, uint64_t cols)
{
    const struct quant_format *format = quant_get(gen->params->format);
    size_t row_bytes = (size_t)quant_row_bytes(gen->params->format, cols);
    uint8_t *out = arena_alloc(&gen->arena, (size_t)rows, row_bytes);
    for (uint64_t r = 0; out != NULL && r < rows; r++) {
        format->encode(x + r * cols, out + r * row_bytes, (size_t)cols);
        if (gen->params->decoded) {
            format->decode(out + r * row_bytes, x + r * cols, (size_t)cols);
        }
    }
    gen->failed |= out == NULL;
    return gen->params->decoded ? (const void *)x : out;
}

static void add_tensor(struct gen *gen, const json_t *entry, int layer)
{
    const char *base = json_string_value(json_array_get(entry, 0));
    const json_t *shape = json_array_get(entry, 1);
    uint32_t n_dims = (uint32_t)json_array_size(shape);
    uint64_t dims[4] = {1, 1, 1, 1}, count = 1;
    char name[64];
    if (base == NULL || n_dims < 1 || n_dims > 4) {
        gen->failed = true;
        return;
    }
    for (uint32_t d = 0; d < n_dims; d++) {
        dims[d] = (uint64_t)json_integer_value(json_array_get(shape, d));
        count *= dims[d];
    }
    if (layer < 0) {
        snprintf(name, sizeof name, "%s", base);
    } else {
        snprintf(name, sizeof name, "blk.%d.%s", layer, base);
    }
    float *x = arena_alloc(&gen->arena, (size_t)count, sizeof *x);
    if (x == NULL || !fill(gen, name, entry, x, count)) {
        gen->failed = true;
        return;
    }
    add_checksum(gen, name, x, count);
    bool coded = n_dims > 1 && dims[0] % quant_get(gen->params->format)->block_cols == 0 &&
                 strstr(name, "ffn_gate_inp") == NULL;
    const void *data = coded ? encode(gen, x, count / dims[0], dims[0]) : x;
    enum quant_id id = coded && !gen->params->decoded ? gen->params->format : QUANT_F32;
    gguf_writer_add_tensor(&gen->writer, name, quant_get(id)->ggml_type, n_dims, dims, data,
                           count / dims[0] * quant_row_bytes(id, dims[0]));
}

static void add_tensors(struct gen *gen)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(gen->model, "tensors"), i, entry)
    {
        add_tensor(gen, entry, -1);
    }
    for (uint32_t layer = 0; layer < get_u32(gen->model, "n_layers"); layer++) {
        json_array_foreach(json_object_get(gen->model, "layer"), i, entry)
        {
            add_tensor(gen, entry, (int)layer);
        }
    }
}

uint8_t *arch_gen(const json_t *model, const struct arch_gen_params *params, size_t *bytes,
                  uint64_t *checksum)
{
    struct gen gen = {.model = model, .params = params, .seed = get_u32(model, "seed")};
    gguf_writer_init(&gen.writer);
    arena_init(&gen.arena);
    add_keys(&gen);
    add_tensors(&gen);
    uint8_t *out = gen.failed ? NULL : gguf_writer_build(&gen.writer, bytes);
    if (checksum != NULL) {
        *checksum = gen.checksum;
    }
    gguf_writer_finish(&gen.writer);
    arena_finish(&gen.arena);
    return out;
}
