/* Every field of a good file in turn with every odd value: counts, lengths, types, dimensions,
 * offsets. Where the fields lie is read from the file's own views. */
#include "corpus.h"

#include <stdio.h>
#include <string.h>

static const uint64_t VALUES[] = {0,
                                  1,
                                  2,
                                  3,
                                  4,
                                  5,
                                  13,
                                  31,
                                  36,
                                  41,
                                  255,
                                  4096,
                                  65536,
                                  INT32_MAX,
                                  1u << 30,
                                  (1u << 30) + 1,
                                  UINT64_C(1) << 31,
                                  UINT32_MAX,
                                  UINT64_C(1) << 32,
                                  UINT64_C(1) << 40,
                                  INT64_MAX,
                                  UINT64_C(1) << 63,
                                  UINT64_MAX / 2,
                                  UINT64_MAX / 56,
                                  UINT64_MAX / 4,
                                  UINT64_MAX - 31,
                                  UINT64_MAX - 7,
                                  UINT64_MAX};
enum { N_VALUES = sizeof VALUES / sizeof VALUES[0] };

struct patch {
    struct corpus *corpus;
    uint8_t *data;
    size_t bytes;
};

/* A field of `width` bytes at `at`, with each odd value. */
static void patch_field(const struct patch *p, const char *name, const char *field, size_t at,
                        size_t width)
{
    uint8_t old[8];
    memcpy(old, p->data + at, width);
    for (size_t i = 0; i < N_VALUES + 2; i++) {
        uint64_t value = i < N_VALUES ? VALUES[i] : 0;
        char what[160];
        if (i >= N_VALUES) { /* one more and one less than what is right */
            memcpy(&value, old, width);
            value += i == N_VALUES ? 1 : UINT64_MAX;
        }
        if (width < 8 && value >> (8 * width) != 0 && value != UINT64_MAX) {
            continue;
        }
        if (memcmp(&value, old, width) == 0) {
            continue;
        }
        snprintf(what, sizeof what, "%.100s = %llu", field, (unsigned long long)value);
        memcpy(p->data + at, &value, width);
        corpus_try(p->corpus, name, what, CORPUS_ANY, NULL, p->data, p->bytes);
        memcpy(p->data + at, old, width);
    }
}

static size_t at_of(const struct patch *p, const void *pointer)
{
    return (size_t)((const uint8_t *)pointer - p->data);
}

static void patch_names(const struct patch *p, const char *name, const char *of, size_t at)
{
    static const uint8_t ODD[] = {0, '\n', 0x7f, 0x80, 0xc3, 0xff};
    for (size_t i = 0; i < sizeof ODD; i++) {
        uint8_t old = p->data[at];
        char what[160];
        snprintf(what, sizeof what, "first byte of %.100s = %u", of, ODD[i]);
        p->data[at] = ODD[i];
        corpus_try(p->corpus, name, what, CORPUS_REFUSED, "byte 0 of the name", p->data, p->bytes);
        p->data[at] = old;
    }
}

static void patch_key(const struct patch *p, const struct gguf_kv *kv)
{
    char key[80];
    size_t at = at_of(p, kv->key.text), end = at + (size_t)kv->key.bytes;
    snprintf(key, sizeof key, "%.*s", (int)(kv->key.bytes < 79 ? kv->key.bytes : 79), kv->key.text);
    patch_field(p, kv->key.bytes == 0 ? "G07" : "G09", key, at - 8, 8);
    patch_field(p, "G08", key, end, 4);
    patch_names(p, "G11", key, at);
    if (kv->type == GGUF_ARRAY) {
        patch_field(p, "G08", key, end + 4, 4);
        patch_field(p, "G12", key, end + 8, 8);
        patch_field(p, "G13", key, end + 8, 4);
    } else if (kv->type == GGUF_STRING) {
        patch_field(p, "G10", key, end + 4, 8);
    } else {
        patch_field(p, "G20", key, end + 4, (size_t)kv->bytes);
    }
}

static void patch_tensor(const struct patch *p, const struct gguf_tensor *t)
{
    char name[80];
    size_t at = at_of(p, t->name.text), end = at + (size_t)t->name.bytes;
    snprintf(name, sizeof name, "%.*s", (int)t->name.bytes, t->name.text);
    patch_field(p, "G22", name, at - 8, 8);
    patch_names(p, "G23", name, at);
    patch_field(p, "G24", name, end, 4);
    for (uint32_t d = 0; d < t->n_dims; d++) {
        patch_field(p, d == 0 ? "G28" : "G25", name, end + 4 + d * 8, 8);
    }
    patch_field(p, "G26", name, end + 4 + (size_t)t->n_dims * 8, 4);
    patch_field(p, "G33", name, end + 8 + (size_t)t->n_dims * 8, 8);
}

/* Key and tensor names of no length, by name: the loop above has them among others. */
static void empty_names(const struct patch *p, const struct gguf_file *file)
{
    uint64_t zero = 0, old;
    size_t key = at_of(p, gguf_kv_at(file, 3)->key.text) - 8;
    size_t tensor = at_of(p, gguf_tensor_at(file, 2)->name.text) - 8;
    memcpy(&old, p->data + key, 8);
    memcpy(p->data + key, &zero, 8);
    corpus_try(p->corpus, "G07", "key 3", CORPUS_REFUSED, "name of 0 bytes", p->data, p->bytes);
    memcpy(p->data + key, &old, 8);
    memcpy(&old, p->data + tensor, 8);
    memcpy(p->data + tensor, &zero, 8);
    corpus_try(p->corpus, "G21", "tensor 2", CORPUS_REFUSED, "name of 0 bytes", p->data, p->bytes);
    memcpy(p->data + tensor, &old, 8);
}

static void magics(const struct patch *p)
{
    static const struct {
        uint8_t magic[4];
        uint32_t version;
        enum corpus_want want;
        const char *field;
    } CASES[] = {
        {"GGUF", 2, CORPUS_GOOD, NULL},
        {"GGUF", 0, CORPUS_REFUSED, "version 0"},
        {"GGUF", 1, CORPUS_REFUSED, "version 1"},
        {"GGUF", 4, CORPUS_REFUSED, "version 4"},
        {"GGUF", UINT32_MAX, CORPUS_REFUSED, "version 4294967295"},
        {"GGUF", 0x03000000, CORPUS_REFUSED, "big-endian"},
        {"gguf", 3, CORPUS_REFUSED, "magic"},
        {"FUGG", 3, CORPUS_REFUSED, "magic"},
        {"GGJT", 3, CORPUS_REFUSED, "before GGUF"},
        {"tjgg", 3, CORPUS_REFUSED, "before GGUF"},
        {"GGML", 1, CORPUS_REFUSED, "before GGUF"},
        {"\x7f"
         "ELF",
         1, CORPUS_REFUSED, "not a GGUF file"},
        {"PK\3\4", 3, CORPUS_REFUSED, "not a GGUF file"},
    };
    uint8_t old[8];
    memcpy(old, p->data, 8);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char what[32];
        snprintf(what, sizeof what, "case %zu", i);
        memcpy(p->data, CASES[i].magic, 4);
        memcpy(p->data + 4, &CASES[i].version, 4);
        corpus_try(p->corpus, "G04", what, CASES[i].want, CASES[i].field, p->data, p->bytes);
    }
    memcpy(p->data, old, 8);
}

void corpus_fields(struct corpus *corpus)
{
    struct patch p = {.corpus = corpus};
    p.data = tiny_make(TINY_SPM, NULL, &p.bytes);
    struct gguf_file *file =
        p.data != NULL ? gguf_open_memory("whole", p.data, p.bytes, NULL) : NULL;
    if (file == NULL) {
        fprintf(stderr, "the good file cannot be read\n");
        corpus->faults++;
        mem_free(p.data);
        return;
    }
    magics(&p);
    patch_field(&p, "G05", "n_tensors", 8, 8);
    patch_field(&p, "G06", "n_kv", 16, 8);
    empty_names(&p, file);
    for (uint64_t i = 0; i < gguf_kv_count(file); i++) {
        patch_key(&p, gguf_kv_at(file, i));
    }
    for (uint64_t i = 0; i < gguf_tensor_count(file); i++) {
        patch_tensor(&p, gguf_tensor_at(file, i));
    }
    gguf_close(file);
    mem_free(p.data);
}
