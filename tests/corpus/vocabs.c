/* Tokenizers that are broken: T01 to T20. There is no model behind them; a tokenizer is read by
 * itself. */
#include "corpus.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define T "tokenizer.ggml."

static void try_edits(struct corpus *corpus, const char *name, enum tiny_kind kind,
                      const struct tiny_edit *edits, enum corpus_want want, const char *field)
{
    size_t bytes;
    char what[128];
    uint8_t *data = tiny_make(kind, edits, &bytes);
    snprintf(what, sizeof what, "%.100s%s, kind %d", edits[0].name,
             edits[0].omit ? " left out" : "", (int)kind);
    corpus_try(corpus, name, what, want, field, data, bytes);
    mem_free(data);
}

static void try_one(struct corpus *corpus, const char *name, enum tiny_kind kind,
                    struct tiny_edit edit, enum corpus_want want, const char *field)
{
    const struct tiny_edit edits[] = {edit, {.name = NULL}};
    try_edits(corpus, name, kind, edits, want, field);
}

/* Arrays of the tokenizer: left out, of each type, empty, too short, too long. */
static void arrays(struct corpus *c, struct arena *arena)
{
    static const struct {
        const char *name, *key;
        enum tiny_kind kind;
        enum gguf_type elem;
        bool optional;
    } ARRAYS[] = {
        {"T01", T "tokens", TINY_SPM, GGUF_STRING, false},
        {"T01", T "tokens", TINY_BPE, GGUF_STRING, false},
        {"T02", T "scores", TINY_SPM, GGUF_F32, false},
        {"T02", T "token_type", TINY_SPM, GGUF_I32, false},
        {"T02", T "token_type", TINY_BPE, GGUF_I32, true},
        {"T11", T "merges", TINY_BPE, GGUF_STRING, false},
    };
    static const uint8_t ZEROS[8 * 262];
    static const uint8_t BYTES[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
    for (size_t i = 0; i < sizeof ARRAYS / sizeof ARRAYS[0]; i++) {
        const char *name = ARRAYS[i].name, *key = ARRAYS[i].key;
        enum tiny_kind kind = ARRAYS[i].kind;
        uint64_t n = kind == TINY_SPM ? 8 : 261;
        try_one(c, name, kind, (struct tiny_edit){.name = key, .omit = true},
                ARRAYS[i].optional ? CORPUS_GOOD : CORPUS_REFUSED, key);
        try_one(c, name, kind, tiny_u32(key, 1), CORPUS_REFUSED, key);
        try_one(c, name, kind, tiny_text(arena, key, "ab", 2), CORPUS_REFUSED, key);
        for (uint32_t elem = 0; elem < GGUF_TYPES; elem++) {
            if (elem == GGUF_ARRAY) {
                continue;
            }
            bool right = elem == ARRAYS[i].elem;
            /* zeros: as strings they are n empty ones */
            try_one(c, name, kind,
                    tiny_array(arena, key, (enum gguf_type)elem, n, ZEROS, n * BYTES[elem]),
                    right ? CORPUS_ANY : CORPUS_REFUSED, key);
        }
        for (uint64_t m = n - 1; m <= n + 1; m += 2) {
            bool any = strcmp(key, T "merges") == 0 || strcmp(key, T "tokens") == 0;
            try_one(c, name, kind,
                    tiny_array(arena, key, ARRAYS[i].elem, m, ZEROS, m * BYTES[ARRAYS[i].elem]),
                    any ? CORPUS_ANY : CORPUS_REFUSED, key);
        }
        try_one(c, name, kind, tiny_array(arena, key, ARRAYS[i].elem, 0, "", 0),
                strcmp(key, T "merges") == 0 ? CORPUS_ANY : CORPUS_REFUSED, key);
    }
}

static void ids(struct corpus *c, struct arena *arena)
{
    static const char *const KEYS[] = {
        T "bos_token_id", T "eos_token_id", T "unknown_token_id",  T "padding_token_id",
        T "eot_token_id", T "eom_token_id", T "seperator_token_id"};
    static const uint32_t BAD[] = {8, 9, 261, 1u << 24, INT32_MAX, 1u << 31, UINT32_MAX};
    for (size_t k = 0; k < sizeof KEYS / sizeof KEYS[0]; k++) {
        for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
            try_one(c, "T03", TINY_SPM, tiny_u32(KEYS[k], BAD[i]), CORPUS_REFUSED, KEYS[k]);
        }
        struct tiny_edit negative = tiny_u32(KEYS[k], UINT32_MAX);
        negative.type = GGUF_I32;
        try_one(c, "T03", TINY_SPM, negative, CORPUS_REFUSED, KEYS[k]);
        try_one(c, "T03", TINY_SPM, tiny_text(arena, KEYS[k], "1", 1), CORPUS_REFUSED, KEYS[k]);
    }
    for (int kind = TINY_SPM; kind <= TINY_BPE; kind++) {
        const struct tiny_edit no_bos[] = {{.name = T "bos_token_id", .omit = true},
                                           tiny_bool(T "add_bos_token", 1),
                                           {.name = NULL}};
        try_edits(c, "T05", (enum tiny_kind)kind, no_bos, CORPUS_REFUSED, T "add_bos_token");
        const struct tiny_edit no_eos[] = {{.name = T "eos_token_id", .omit = true},
                                           tiny_bool(T "add_eos_token", 1),
                                           {.name = NULL}};
        try_edits(c, "T05", (enum tiny_kind)kind, no_eos, CORPUS_REFUSED, T "add_eos_token");
    }
    static const char *const FLAGS[] = {T "add_bos_token", T "add_eos_token", T "add_space_prefix",
                                        T "remove_extra_whitespaces"};
    for (size_t k = 0; k < sizeof FLAGS / sizeof FLAGS[0]; k++) {
        try_one(c, "T17", TINY_SPM, tiny_text(arena, FLAGS[k], "true", 4), CORPUS_REFUSED,
                FLAGS[k]);
        try_one(c, "T17", TINY_SPM, tiny_u32(FLAGS[k], 1), CORPUS_REFUSED, FLAGS[k]);
        try_one(c, "T17", TINY_SPM, tiny_bool(FLAGS[k], 0), CORPUS_GOOD, NULL);
    }
    enum { MANY = 1000000 };
    uint32_t *same = arena_alloc(arena, MANY, sizeof *same);
    for (uint32_t i = 0; same != NULL && i < MANY; i++) {
        same[i] = 2;
    }
    if (same != NULL) {
        try_one(c, "T18", TINY_SPM,
                tiny_array(arena, T "eos_token_ids", GGUF_U32, MANY, same, MANY * sizeof *same),
                CORPUS_GOOD, NULL);
        same[MANY - 1] = 8;
        try_one(c, "T18", TINY_SPM,
                tiny_array(arena, T "eos_token_ids", GGUF_U32, MANY, same, MANY * sizeof *same),
                CORPUS_REFUSED, T "eos_token_ids");
    }
    try_one(c, "T18", TINY_SPM,
            tiny_array(arena, T "eos_token_ids", GGUF_I32, 1, "\xff\xff\xff\xff", 4),
            CORPUS_REFUSED, T "eos_token_ids");
}

/* A list of strings where `n` tokens are needed: the first are given, the rest are "t<i>". */
static struct tiny_edit strings(struct arena *arena, const char *key, uint64_t n,
                                const struct gguf_str *given, size_t n_given)
{
    struct str all;
    str_init(&all);
    for (uint64_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%llu", (unsigned long long)i);
        struct gguf_str s = i < n_given ? given[i] : (struct gguf_str){name, strlen(name)};
        str_add(&all, (const char *)&s.bytes, 8);
        str_add(&all, s.text, (size_t)s.bytes);
    }
    struct tiny_edit edit = tiny_array(arena, key, GGUF_STRING, n, str_get(&all), all.bytes);
    str_finish(&all);
    return edit;
}

static void token_texts(struct corpus *c, struct arena *arena)
{
    static const struct gguf_str ODD[] = {{"", 0},
                                          {"\0", 1},
                                          {"a\0b", 3},
                                          {"\xff", 1},
                                          {"\xc0\x80", 2},
                                          {"\xed\xa0\x80", 3},
                                          {"\xf4\x90\x80\x80", 4},
                                          {"\xe2\x96", 2},
                                          {"\x80", 1},
                                          {"\n", 1},
                                          {"\xef\xbf\xbd", 3},
                                          {"\xf0\x9f\x98\x80", 4}};
    for (size_t i = 0; i < sizeof ODD / sizeof ODD[0]; i++) {
        try_one(c, i == 0 ? "T06" : "T07", TINY_SPM, strings(arena, T "tokens", 8, &ODD[i], 1),
                CORPUS_ANY, NULL);
        try_one(c, "T07", TINY_BPE, strings(arena, T "tokens", 261, &ODD[i], 1), CORPUS_ANY, NULL);
    }
    const struct gguf_str twice[] = {{"ab", 2}, {"x", 1}, {"ab", 2}};
    try_one(c, "T04", TINY_SPM, strings(arena, T "tokens", 8, twice, 3), CORPUS_REFUSED,
            T "tokens[0] and [2]");
    try_one(c, "T04", TINY_BPE, strings(arena, T "tokens", 261, twice, 3), CORPUS_REFUSED,
            T "tokens[0] and [2]");
    char *large = arena_alloc(arena, 1 << 20, 1);
    if (large != NULL) {
        memset(large, 'a', 1 << 20);
        struct gguf_str s = {large, 1 << 20};
        try_one(c, "T06", TINY_SPM, strings(arena, T "tokens", 8, &s, 1), CORPUS_ANY, NULL);
    }
    const struct gguf_str one = {"a", 1};
    const struct tiny_edit single[] = {strings(arena, T "tokens", 1, &one, 1),
                                       tiny_array(arena, T "scores", GGUF_F32, 1, "\0\0\0", 4),
                                       tiny_array(arena, T "token_type", GGUF_I32, 1, "\1\0\0", 4),
                                       {.name = T "bos_token_id", .omit = true},
                                       {.name = T "eos_token_id", .omit = true},
                                       {.name = T "unknown_token_id", .omit = true},
                                       {.name = NULL}};
    try_edits(c, "T03", TINY_SPM, single, CORPUS_ANY, NULL);
    /* text like a special token whose type is plain: it stays text */
    const struct gguf_str special[] = {
        {"<unk>", 5}, {"<s>", 3}, {"</s>", 4}, {"<|im_start|>", 12}, {"[INST]", 6}};
    try_one(c, "T19", TINY_SPM, strings(arena, T "tokens", 8, special, 5), CORPUS_GOOD, NULL);
}

static void types_and_scores(struct corpus *c, struct arena *arena)
{
    static const int32_t BAD[] = {0, 7, -1, 255, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        int32_t types[8] = {2, 3, 3, 1, 1, 1, 1, BAD[i]};
        try_one(c, "T08", TINY_SPM,
                tiny_array(arena, T "token_type", GGUF_I32, 8, types, sizeof types), CORPUS_REFUSED,
                T "token_type[7]");
    }
    const float odd[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        float scores[8] = {0, 0, 0, -1, odd[i], -2, -3, -4};
        try_one(c, "T15", TINY_SPM,
                tiny_array(arena, T "scores", GGUF_F32, 8, scores, sizeof scores), CORPUS_REFUSED,
                T "scores[4]");
    }
    const float same[8] = {0};
    try_one(c, "T15", TINY_SPM, tiny_array(arena, T "scores", GGUF_F32, 8, same, sizeof same),
            CORPUS_GOOD, NULL);
    /* one-byte and empty control tokens match everywhere, and end */
    const struct gguf_str odd_controls[] = {{"", 0}, {"a", 1}, {"b", 1}, {"\xe2\x96\x81", 3}};
    const int32_t controls[8] = {3, 3, 3, 3, 1, 1, 2, 1};
    const struct tiny_edit edits[] = {
        strings(arena, T "tokens", 8, odd_controls, 4),
        tiny_array(arena, T "token_type", GGUF_I32, 8, controls, sizeof controls),
        tiny_u32(T "unknown_token_id", 6),
        {.name = NULL}};
    try_edits(c, "T16", TINY_SPM, edits, CORPUS_ANY, NULL);
}

static void byte_tokens(struct corpus *c, struct arena *arena)
{
    static const char *const BAD[] = {"<0x-1>", "<0x+1>", "<0xZZ>", "<0x1>", "<0x100>", "<0x 1>",
                                      "0x41",   "<0X41>", "<0x4>",  "",      "<0x41",   "<0x41>"};
    const int32_t types[8] = {6, 2, 3, 3, 1, 1, 1, 1};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        const struct gguf_str s = {BAD[i], strlen(BAD[i])};
        const struct tiny_edit edits[] = {
            strings(arena, T "tokens", 8, &s, 1),
            tiny_array(arena, T "token_type", GGUF_I32, 8, types, sizeof types),
            tiny_u32(T "unknown_token_id", 1),
            {.name = NULL}};
        /* the last one is right, but alone */
        try_edits(c, "T09", TINY_SPM, edits, CORPUS_REFUSED, T "tokens");
    }
}

static void merges(struct corpus *c, struct arena *arena)
{
    static const struct {
        const char *line;
        enum corpus_want want;
    } LINES[] = {
        {"ab", CORPUS_REFUSED},   {"a  b", CORPUS_REFUSED}, {"", CORPUS_REFUSED},
        {" ", CORPUS_REFUSED},    {"a ", CORPUS_REFUSED},   {" b", CORPUS_REFUSED},
        {"x yz", CORPUS_ANY},     {"a a", CORPUS_ANY},      {"a b c", CORPUS_ANY},
        {"a\tb", CORPUS_REFUSED}, {"\xff b", CORPUS_ANY},   {"a b", CORPUS_ANY},
    };
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        const struct gguf_str s = {LINES[i].line, strlen(LINES[i].line)};
        try_one(c, "T10", TINY_BPE, strings(arena, T "merges", 1, &s, 1), LINES[i].want,
                T "merges");
    }
    enum { MANY = 1000000 };
    struct str all;
    str_init(&all);
    for (uint32_t i = 0; i < MANY; i++) {
        const uint64_t n = 3;
        str_add(&all, (const char *)&n, 8);
        str_add(&all, "a b", 3);
    }
    try_one(c, "T10", TINY_BPE,
            tiny_array(arena, T "merges", GGUF_STRING, MANY, str_get(&all), all.bytes), CORPUS_ANY,
            NULL);
    str_finish(&all);
}

static void kinds(struct corpus *c, struct arena *arena)
{
    static const char *const MODELS[] = {"",     "bert", "t5",     "rwkv", "LLAMA",
                                         "none", "gpt3", "llama ", "%s",   "no_vocab"};
    for (size_t i = 0; i < sizeof MODELS / sizeof MODELS[0]; i++) {
        try_one(c, "T12", TINY_SPM, tiny_text(arena, T "model", MODELS[i], strlen(MODELS[i])),
                CORPUS_REFUSED, T "model");
    }
    static const char *const PRES[] = {"gpt-22", "llama-bpe2", "%n", "unknown", "deepseek-v9"};
    for (size_t i = 0; i < sizeof PRES / sizeof PRES[0]; i++) {
        try_one(c, "T12", TINY_BPE, tiny_text(arena, T "pre", PRES[i], strlen(PRES[i])),
                CORPUS_REFUSED, T "pre");
    }
    try_one(c, "T12", TINY_BPE, tiny_u32(T "pre", 1), CORPUS_REFUSED, T "pre");
    /* a map of characters belongs to kinds that are not read: here it is not looked at */
    static const uint8_t MAPS[3][8] = {{0}, {0xff, 0xff, 0xff, 0xff}, {4, 0, 0, 0, 1, 0, 0, 0}};
    for (size_t i = 0; i < 3; i++) {
        for (uint64_t n = 0; n <= 8; n += 4) {
            try_one(c, "T13", TINY_SPM,
                    tiny_array(arena, T "precompiled_charsmap", GGUF_U8, n, MAPS[i], (size_t)n),
                    CORPUS_ANY, NULL);
        }
    }
}

/* The largest vocabularies there are, as lists of empty texts. */
static void large(struct corpus *c, struct arena *arena)
{
    static const uint64_t COUNTS[] = {1 << 22, (1 << 22) + 1, 1 << 24};
    for (size_t i = 0; i < 3; i++) {
        uint8_t *zeros = arena_alloc(arena, (size_t)COUNTS[i], 8);
        if (zeros != NULL) {
            try_one(c, "T20", TINY_SPM,
                    tiny_array(arena, T "tokens", GGUF_STRING, COUNTS[i], zeros, COUNTS[i] * 8),
                    CORPUS_REFUSED, T);
        }
    }
}

/* As many tokens as rows of the embedding, one less, one more: here the model is read too. */
static void rows(struct corpus *c)
{
    for (uint64_t n = 7; n <= 9; n += 2) {
        const struct tiny_edit edits[] = {
            {.name = "token_embd.weight", .n_dims = 2, .dims = {8, n, 1, 1}},
            {.name = "llama.vocab_size", .omit = true},
            {.name = NULL}};
        try_edits(c, "T14", TINY_SPM, edits, CORPUS_REFUSED, "8 tokens");
    }
}

void corpus_vocabs(struct corpus *corpus)
{
    struct arena arena;
    arena_init(&arena);
    rows(corpus);
    corpus->vocab_only = true;
    arrays(corpus, &arena);
    ids(corpus, &arena);
    token_texts(corpus, &arena);
    types_and_scores(corpus, &arena);
    byte_tokens(corpus, &arena);
    merges(corpus, &arena);
    kinds(corpus, &arena);
    large(corpus, &arena);
    corpus->vocab_only = false;
    arena_finish(&arena);
}
