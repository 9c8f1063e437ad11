/* Fuzz target: a file's structure, then everything that the views offer. */
#include "fuzz.h"

#include "gguf/gguf.h"
#include "gguf/writer.h"
#include "gguf_make.h"

#include "base/mem.h"

#include <string.h>

const unsigned fuzz_replay_count = 6000;

uint8_t *fuzz_seed(unsigned i, size_t *bytes)
{
    struct gguf_make_params params = gguf_make_defaults();
    params.layers = 1;
    params.dim = 32;
    params.heads = 2;
    params.kv_heads = 1;
    params.ffn = 32;
    params.vocab = GGUF_MAKE_MIN_VOCAB;
    params.quant = i == 0 ? QUANT_Q8_0 : QUANT_F16;
    params.rope_freqs = true;
    params.rope_scaling = "linear";
    if (i == 2) { /* metadata of every type and hardly anything else */
        struct gguf_writer w;
        const uint64_t dims[] = {4, 2, 1, 2};
        static const uint8_t ZEROS[64];
        gguf_writer_init(&w);
        gguf_writer_align(&w, 16);
        for (uint32_t type = 0; type < GGUF_TYPES; type++) {
            char key[] = {'k', (char)('a' + type), '\0'};
            gguf_writer_add_raw(&w, key, type, ZEROS, type == GGUF_ARRAY ? 12 : 8);
        }
        gguf_writer_add_tensor(&w, "t", 0, 4, dims, NULL, 64);
        uint8_t *out = gguf_writer_build(&w, bytes);
        gguf_writer_finish(&w);
        return out;
    }
    return i < 2 ? gguf_make(&params, bytes) : NULL;
}

/* A use of every byte that cannot be left out. */
static volatile uint8_t sink;

static void touch(const void *data, uint64_t bytes)
{
    const uint8_t *p = data;
    uint8_t sum = 0;
    for (uint64_t i = 0; i < bytes; i++) {
        sum ^= p[i];
    }
    sink = sum;
}

static void read_kv(const struct gguf_file *file, const struct gguf_kv *kv)
{
    char key[128];
    uint32_t u = 0;
    float f = 0;
    bool b = false;
    struct gguf_str s = {"", 0};
    const struct gguf_kv *array = NULL;
    touch(kv->key.text, kv->key.bytes);
    touch(kv->data, kv->bytes);
    if (kv->key.bytes >= sizeof key) {
        return;
    }
    memcpy(key, kv->key.text, (size_t)kv->key.bytes);
    key[kv->key.bytes] = '\0';
    if (gguf_find(file, key) != kv) {
        __builtin_trap();
    }
    (void)gguf_get_u32(file, key, &u);
    (void)gguf_get_f32(file, key, &f);
    (void)gguf_get_bool(file, key, &b);
    if (gguf_get_str(file, key, &s) == GGUF_OK) {
        touch(s.text, s.bytes);
    }
    for (int elem = 0; elem < GGUF_TYPES; elem++) {
        if (gguf_get_array(file, key, (enum gguf_type)elem, &array) != GGUF_OK) {
            continue;
        }
        uint64_t cursor = 0, strings = 0;
        while (gguf_array_next(array, &cursor, &s)) {
            touch(s.text, s.bytes);
            strings++;
        }
        if (elem == GGUF_STRING && strings != array->count) {
            __builtin_trap();
        }
        for (uint64_t i = 0; elem != GGUF_STRING && i < array->count; i++) {
            sink = (uint8_t)(gguf_array_u32(array, i) + (gguf_array_f32(array, i) > 0));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct log log;
    log_init(&log, NULL, NULL, LOG_INFO);
    struct gguf_file *file = gguf_open_memory("fuzz", data, bytes, &log);
    for (uint64_t i = 0; file != NULL && i < gguf_kv_count(file); i++) {
        read_kv(file, gguf_kv_at(file, i));
    }
    for (uint64_t i = 0; file != NULL && i < gguf_tensor_count(file); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(file, i);
        touch(t->name.text, t->name.bytes);
        touch(gguf_data(file, t), t->bytes);
    }
    if (file == NULL && log.last[0] == '\0') {
        __builtin_trap(); /* refused without saying why */
    }
    gguf_close(file);
    log_finish(&log);
    return 0;
}
