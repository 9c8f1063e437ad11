/* Models whose structure is right and whose contents are not: G14 to G20 and G27 to G40. Each entry
 * changes a key or a tensor of the tiny model and says what must come of it. */
#include "corpus.h"

#include "gguf/writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define L "llama."

static void try_edits(struct corpus *corpus, const char *name, const struct tiny_edit *edits,
                      enum corpus_want want, const char *field)
{
    size_t bytes;
    char what[128];
    uint8_t *data = tiny_make(TINY_SPM, edits, &bytes);
    snprintf(what, sizeof what, "%.100s%s", edits[0].name, edits[0].omit ? " left out" : "");
    corpus_try(corpus, name, what, want, field, data, bytes);
    mem_free(data);
}

static void try_one(struct corpus *corpus, const char *name, struct tiny_edit edit,
                    enum corpus_want want, const char *field)
{
    const struct tiny_edit edits[] = {edit, {.name = NULL}};
    try_edits(corpus, name, edits, want, field);
}

static struct tiny_edit without(const char *key)
{
    return (struct tiny_edit){.name = key, .omit = true};
}

static struct tiny_edit tensor(const char *name, uint32_t type, uint32_t n_dims, uint64_t cols,
                               uint64_t rows)
{
    return (struct tiny_edit){
        .name = name, .type = type, .n_dims = n_dims, .dims = {cols, rows, 1, 1}};
}

static struct tiny_edit no_tensor(const char *name)
{
    return (struct tiny_edit){.name = name, .omit = true, .n_dims = 1};
}

static void keys_of_all_kinds(struct corpus *c, struct arena *arena)
{
    static const char *const KEYS[] = {"general.architecture",
                                       L "context_length",
                                       L "embedding_length",
                                       L "block_count",
                                       L "feed_forward_length",
                                       L "attention.head_count",
                                       L "attention.layer_norm_rms_epsilon"};
    static const uint8_t ZEROS[16];
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
        try_one(c, i == 0 ? "G18" : "G35", without(KEYS[i]), CORPUS_REFUSED, KEYS[i]);
        for (uint32_t type = 0; type < GGUF_TYPES; type++) {
            static const uint8_t BYTES[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
            struct tiny_edit edit = {
                .name = KEYS[i], .type = type, .value = ZEROS, .bytes = BYTES[type]};
            try_one(c, i == 0 ? "G18" : i == 6 ? "G38" : "G35", edit, CORPUS_REFUSED, KEYS[i]);
            edit.twice = true; /* given twice, of the same and of another type */
            try_one(c, "G14", edit, CORPUS_REFUSED, "given twice");
        }
    }
    static const char *const NAMES[] = {"", "lama", "LLAMA", "/../llama", "%s%n", "llama "};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        try_one(c, "G18", tiny_text(arena, "general.architecture", NAMES[i], strlen(NAMES[i])),
                CORPUS_REFUSED, "general.architecture");
    }
    char *large = arena_alloc(arena, 1 << 20, 1);
    if (large != NULL) {
        memset(large, 'l', 1 << 20);
        try_one(c, "G18", tiny_text(arena, "general.architecture", large, 1 << 20), CORPUS_REFUSED,
                "general.architecture");
        try_one(c, "G18", tiny_text(arena, "general.name", large, 1 << 20), CORPUS_GOOD, NULL);
    }
}

static void bools_and_alignment(struct corpus *c, struct arena *arena)
{
    static const uint8_t BOOLS[] = {2, 3, 127, 128, 255};
    for (size_t i = 0; i < sizeof BOOLS; i++) {
        try_one(c, "G15", tiny_bool("tokenizer.ggml.add_bos_token", BOOLS[i]), CORPUS_REFUSED,
                "bool value");
        uint8_t list[3] = {0, 1, BOOLS[i]};
        try_one(c, "G15", tiny_array(arena, "some.flags", GGUF_BOOL, 3, list, 3), CORPUS_REFUSED,
                "bool value");
    }
    struct tiny_edit align = tiny_u32("general.alignment", 32);
    try_one(c, "G16", align, CORPUS_GOOD, NULL);
    align.type = GGUF_I32;
    try_one(c, "G16", align, CORPUS_REFUSED, "general.alignment");
    align.type = GGUF_F32;
    try_one(c, "G16", align, CORPUS_REFUSED, "general.alignment");
    try_one(c, "G16", tiny_text(arena, "general.alignment", "32", 2), CORPUS_REFUSED,
            "general.alignment");
    try_one(c, "G16", tiny_array(arena, "general.alignment", GGUF_U8, 4, "\x20\0\0", 4),
            CORPUS_REFUSED, "general.alignment");
    static const uint32_t BAD[] = {0, 3, 24, 33, 1u << 21, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        try_one(c, "G17", tiny_u32("general.alignment", BAD[i]), CORPUS_REFUSED,
                "general.alignment");
    }
    try_one(c, "G17", tiny_u32("general.alignment", 1), CORPUS_ANY, NULL);
    try_one(c, "G34", tiny_u32("general.alignment", 1 << 20), CORPUS_REFUSED, "tensor data starts");
}

/* Many small keys, many small tensors: reading them is not quadratic (the slowest file is printed).
 */
static void many_names(struct corpus *c)
{
    enum { KEYS = 100000, TENSORS = 100000 };
    struct gguf_writer w;
    char name[24];
    const uint64_t dims[1] = {0};
    gguf_writer_init(&w);
    gguf_writer_add_str(&w, "general.architecture", "llama");
    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(name, sizeof name, "k%u", i);
        gguf_writer_add_u32(&w, name, i);
    }
    for (uint32_t i = 0; i < TENSORS; i++) {
        snprintf(name, sizeof name, "t%u", i);
        gguf_writer_add_tensor(&w, name, 0, 1, dims, NULL, 0);
    }
    size_t bytes;
    uint8_t *data = gguf_writer_build(&w, &bytes);
    gguf_writer_finish(&w);
    corpus_try(c, "G19", "100000 keys and tensors", CORPUS_REFUSED, "llama.block_count", data,
               bytes);
    mem_free(data);
}

static void odd_floats(struct corpus *c)
{
    static const char *const KEYS[] = {L "rope.freq_base", L "attention.layer_norm_rms_epsilon",
                                       L "rope.scaling.factor"};
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 0, -1, 1e-45f, -1e-45f, -3e38f};
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            try_one(c, k == 1 ? "G38" : "G37", tiny_f32(KEYS[k], bad[i]), CORPUS_REFUSED, KEYS[k]);
        }
        double wide = 1e300;
        try_one(c, "G20", (struct tiny_edit){KEYS[k], .type = GGUF_F64, .value = &wide, .bytes = 8},
                CORPUS_REFUSED, KEYS[k]);
    }
    for (size_t i = 0; i < 4; i++) { /* a float that nobody asks for may be anything */
        try_one(c, "G20", tiny_f32("some.float", bad[i]), CORPUS_GOOD, NULL);
    }
}

static void numbers(struct corpus *c)
{
    static const struct {
        const char *name, *key;
        uint32_t values[8];
    } CASES[] = {
        {"G35", L "block_count", {0, 2, 513, 1000, 1u << 31, UINT32_MAX, 3, 4}},
        {"G36", L "attention.head_count", {0, 3, 16, 1u << 15, UINT32_MAX, 5, 7, 1u << 31}},
        {"G36", L "attention.head_count_kv", {0, 3, 4, 8, UINT32_MAX, 1u << 31, 5, 6}},
        {"G36", L "embedding_length", {0, 1, 7, 9, 16, 1u << 21, UINT32_MAX, 1u << 31}},
        {"G36", L "feed_forward_length", {0, 3, 5, 8, 1u << 23, UINT32_MAX, 1u << 31, 1}},
        {"G36", L "attention.key_length", {0, 1, 3, 5, 257, 512, UINT32_MAX, 2}},
        {"G37", L "rope.dimension_count", {0, 1, 3, 5, 6, 8, UINT32_MAX, 1u << 31}},
        {"G38", L "context_length", {0, UINT32_MAX, 1u << 29, 1u << 30, 1u << 31, 0, 0, 0}},
        {"G39", L "vocab_size", {0, 1, 7, 9, 1u << 28, UINT32_MAX, 16, 4}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        for (size_t v = 0; v < 8; v++) {
            /* what is wrong may show at a tensor's shape */
            try_one(c, CASES[i].name, tiny_u32(CASES[i].key, CASES[i].values[v]), CORPUS_REFUSED,
                    "");
        }
    }
    static const uint32_t COUNTS[] = {1, 2, 8, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++) {
            const struct tiny_edit edits[] = {tiny_u32(L "expert_count", COUNTS[i]),
                                              tiny_u32(L "expert_used_count", COUNTS[k]),
                                              {.name = NULL}};
            try_edits(c, "G40", edits, CORPUS_REFUSED, "");
        }
        try_one(c, "G40", tiny_u32(L "expert_used_count", COUNTS[i]), CORPUS_REFUSED,
                L "expert_used_count");
    }
    const struct tiny_edit none[] = {
        tiny_u32(L "expert_count", 0), tiny_u32(L "expert_used_count", 0), {.name = NULL}};
    try_edits(c, "G40", none, CORPUS_GOOD, NULL);
}

static void tensors(struct corpus *c)
{
    static const struct {
        const char *name;
        uint64_t rows, cols;
    } KNOWN[] = {
        {"token_embd.weight", 8, 8},        {"blk.0.attn_q.weight", 8, 8},
        {"blk.0.attn_k.weight", 4, 8},      {"blk.0.attn_v.weight", 4, 8},
        {"blk.0.attn_output.weight", 8, 8}, {"blk.0.ffn_gate.weight", 4, 8},
        {"blk.0.ffn_up.weight", 4, 8},      {"blk.0.ffn_down.weight", 8, 4},
        {"output_norm.weight", 1, 8},       {"blk.0.attn_norm.weight", 1, 8},
        {"blk.0.ffn_norm.weight", 1, 8},
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        const char *n = KNOWN[i].name;
        uint64_t rows = KNOWN[i].rows, cols = KNOWN[i].cols;
        uint32_t d = rows == 1 ? 1 : 2;
        try_one(c, "G39", no_tensor(n), CORPUS_REFUSED, n);
        try_one(c, "G39", tensor(n, 0, d, cols + 1, rows), CORPUS_REFUSED, n);
        try_one(c, "G39", tensor(n, 0, d, cols - 1, rows), CORPUS_REFUSED, n);
        try_one(c, "G39", tensor(n, 0, d, 0, rows), CORPUS_REFUSED, n);
        try_one(c, "G25", tensor(n, 0, 2, cols, 0), CORPUS_REFUSED, n);
        if (d == 2) {
            /* the rows of the embedding are the vocabulary */
            const char *field = i == 0 ? "vocab_size" : n;
            try_one(c, "G39", tensor(n, 0, d, cols, rows + 1), CORPUS_REFUSED, field);
            try_one(c, "G39", tensor(n, 0, d, cols, rows - 1), CORPUS_REFUSED, field);
            try_one(c, "G39", tensor(n, 0, 1, rows * cols, 1), CORPUS_REFUSED, "");
        }
        if (rows != cols && d == 2) {
            try_one(c, "G39", tensor(n, 0, d, rows, cols), CORPUS_REFUSED, n);
        }
        /* 8 columns are no block of these; 16 to 29 are types that nobody computes with */
        static const uint32_t TYPES[] = {2, 3, 6, 8, 10, 12, 14, 16, 23, 24, 26, 28, 29, 39};
        for (size_t t = 0; t < sizeof TYPES / sizeof TYPES[0]; t++) {
            struct tiny_edit edit = tensor(n, TYPES[t], d, cols, rows);
            edit.bytes = 512;
            try_one(c, "G29", edit, CORPUS_REFUSED, n);
        }
        static const uint32_t GONE[] = {4, 5, 31, 32, 33, 36, 37, 38, 42, 1000, UINT32_MAX};
        for (size_t t = 0; t < sizeof GONE / sizeof GONE[0]; t++) {
            try_one(c, "G27", tensor(n, GONE[t], d, cols, rows), CORPUS_REFUSED, "does not exist");
        }
    }
    /* no output.weight: the embedding is the head; with one: that is */
    try_one(c, "G39", tensor("output.weight", 0, 2, 8, 8), CORPUS_GOOD, NULL);
    try_one(c, "G39", tensor("output.weight", 0, 2, 8, 7), CORPUS_REFUSED, "output.weight");
    try_one(c, "G39", tensor("rope_freqs.weight", 0, 1, 2, 1), CORPUS_REFUSED, "factor");
    try_one(c, "G35", tensor("blk.1.attn_q.weight", 0, 2, 8, 8), CORPUS_REFUSED, "blk.1");
    try_one(c, "G35", tensor("blk.4294967296.attn_q.weight", 0, 2, 8, 8), CORPUS_REFUSED, "blk.");
    try_one(c, "G23", tensor("../../etc/passwd", 0, 1, 8, 1), CORPUS_GOOD, NULL);
    try_one(c, "G22",
            tensor("a23456789012345678901234567890123456789012345678901234567890123", 0, 1, 8, 1),
            CORPUS_GOOD, NULL);
    try_one(c, "G22",
            tensor("a234567890123456789012345678901234567890123456789012345678901234", 0, 1, 8, 1),
            CORPUS_REFUSED, "64 bytes");
}

/* Sizes whose sums and products leave 64 bits, in a hand-made directory. */
static void sizes(struct corpus *c)
{
    static const uint64_t DIMS[][4] = {
        {UINT64_C(1) << 62, 4, 1, 1},
        {UINT64_C(1) << 32, UINT64_C(1) << 32, 1, 1},
        {UINT64_C(1) << 61, 1, 1, 1},
        {3, UINT64_MAX / 3, 1, 1},
        {1 << 16, 1 << 16, 1 << 16, 1 << 16},
        {0, UINT64_C(1) << 62, 8, 1},
        {INT64_MAX, 1, 1, 1},
        {UINT64_MAX, 1, 1, 1},
        {UINT64_MAX - 31, 1, 1, 1},
        {UINT64_C(1) << 60, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof DIMS / sizeof DIMS[0]; i++) {
        for (uint32_t type = 0; type < 9; type += 8) {
            struct gguf_writer w;
            gguf_writer_init(&w);
            gguf_writer_add_str(&w, "general.architecture", "llama");
            gguf_writer_add_tensor(&w, "a", 0, 1, (const uint64_t[]){8}, NULL, 32);
            gguf_writer_add_tensor(&w, "b", type, 4, DIMS[i], NULL, 64);
            gguf_writer_add_tensor(&w, "c", 0, 1, (const uint64_t[]){8}, NULL, 32);
            size_t bytes;
            uint8_t *data = gguf_writer_build(&w, &bytes);
            gguf_writer_finish(&w);
            char what[32];
            snprintf(what, sizeof what, "shape %zu, type %u", i, type);
            corpus_try(c,
                       i < 5   ? "G28"
                       : i < 8 ? "G31"
                               : "G32",
                       what, CORPUS_REFUSED, "", data, bytes);
            mem_free(data);
        }
    }
}

void corpus_models(struct corpus *corpus)
{
    struct arena arena;
    arena_init(&arena);
    keys_of_all_kinds(corpus, &arena);
    bools_and_alignment(corpus, &arena);
    many_names(corpus);
    odd_floats(corpus);
    numbers(corpus);
    tensors(corpus);
    sizes(corpus);
    arena_finish(&arena);
}
