/* Broken byte-level BPE files: each is refused with exactly one line that names the field and the
 * value; what is odd but harmless is taken, with a warning where it changes the ids. */
#include "text_toy.h"

#include "base/hash.h"

struct bad_log {
    struct log log;
    char warning[1024];
    uint32_t errors, warnings;
};

static void note(void *user, enum log_level level, const char *line)
{
    struct bad_log *bad = user;
    bad->errors += level == LOG_ERROR;
    if (level == LOG_WARN) {
        bad->warnings++;
        snprintf(bad->warning, sizeof bad->warning, "%s", line);
    }
}

static struct vocab *open_toy(const struct toy *toy, struct bad_log *bad)
{
    size_t bytes;
    uint8_t *data = toy_build(toy, &bytes);
    *bad = (struct bad_log){.errors = 0};
    log_init(&bad->log, note, bad, LOG_DEBUG);
    struct gguf_file *file = gguf_open_memory("toy.gguf", data, bytes, &bad->log);
    assert_non_null(file);
    struct vocab *vocab = vocab_create(file, &bad->log);
    gguf_close(file);
    mem_free(data);
    return vocab;
}

static void no_merges(struct toy *toy)
{
    toy->no_merges = true;
}
static void no_gap(struct toy *toy)
{
    toy_add_line(toy, "thick");
}
static void empty_line(struct toy *toy)
{
    toy_add_line(toy, "");
}
static void only_gap(struct toy *toy)
{
    toy_add_line(toy, " ");
}
static void left_empty(struct toy *toy)
{
    toy_add_line(toy, " h");
}
static void right_empty(struct toy *toy)
{
    toy_add_line(toy, "t ");
}
static void two_gaps(struct toy *toy)
{
    toy_add_line(toy, "t  h");
}
static void three_parts(struct toy *toy)
{
    toy_add_line(toy, "t h e");
}
static void unknown_left(struct toy *toy)
{
    toy_add_line(toy, "qqq h");
}
static void unknown_right(struct toy *toy)
{
    toy_add_line(toy, "t qqq");
}
static void unknown_join(struct toy *toy)
{
    toy_add_line(toy, "q q");
}
static void not_text(struct toy *toy)
{
    toy_add_line(toy, "t \xff");
}
static void huge_line(struct toy *toy)
{
    static char line[1 << 20];
    memset(line, 't', sizeof line - 1);
    line[500000] = ' ';
    toy_add_line(toy, line);
}
static void merges_as_numbers(struct gguf_writer *w)
{
    uint32_t ids[4] = {1, 2, 3, 4};
    gguf_writer_add_array(w, "tokenizer.ggml.merges", GGUF_U32, ids, 4);
}
static void wrong_merges(struct toy *toy)
{
    toy->no_merges = true;
    toy->extra = merges_as_numbers;
}
static void merges_as_text(struct gguf_writer *w)
{
    gguf_writer_add_str(w, "tokenizer.ggml.merges", "t h");
}
static void text_merges(struct toy *toy)
{
    toy->no_merges = true;
    toy->extra = merges_as_text;
}
static void many_merges(struct gguf_writer *w)
{
    static struct gguf_str lines[(1 << 23) + 1];
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        lines[i].text = "";
    }
    gguf_writer_add_strs(w, "tokenizer.ggml.merges", lines, sizeof lines / sizeof *lines);
}
static void too_many(struct toy *toy)
{
    toy->no_merges = true;
    toy->extra = many_merges;
}
static void unknown_pre(struct toy *toy)
{
    toy->pre = "klingon";
}
static void empty_pre(struct toy *toy)
{
    toy->pre = "";
}
static void twin(struct toy *toy)
{
    toy_add(toy, "twin", 0, TOY_NORMAL);
    toy_add(toy, "twin", 0, TOY_USER);
}
static void bad_utf8(struct toy *toy)
{
    toy_add(toy, "\xc3", 0, TOY_NORMAL);
}
static void bad_type(struct toy *toy)
{
    toy->types[7] = 9;
}
static void short_types(struct toy *toy)
{
    toy->n_types--;
}
static void short_scores(struct toy *toy)
{
    toy->no_scores = false;
    toy->n_scores = 5;
}

static const struct bad {
    const char *what;
    void (*change)(struct toy *toy);
    const char *field, *value; /* both must be in the message */
} BAD[] = {
    {"T10 no gap", no_gap, "tokenizer.ggml.merges[1]", "thick"},
    {"T10 empty", empty_line, "tokenizer.ggml.merges[1]", "\"\""},
    {"T10 only gap", only_gap, "tokenizer.ggml.merges[1]", "\" \""},
    {"T10 left empty", left_empty, "tokenizer.ggml.merges[1]", "\" h\""},
    {"T10 right empty", right_empty, "tokenizer.ggml.merges[1]", "\"t \""},
    {"T10 two gaps", two_gaps, "tokenizer.ggml.merges[1]", "second part"},
    {"T10 three parts", three_parts, "tokenizer.ggml.merges[1]", "t h e"},
    {"T10 left unknown", unknown_left, "tokenizer.ggml.merges[1]", "first part"},
    {"T10 right unknown", unknown_right, "tokenizer.ggml.merges[1]", "second part"},
    {"T10 joins to nothing", unknown_join, "tokenizer.ggml.merges[1]", "q q"},
    {"T10 not UTF-8", not_text, "tokenizer.ggml.merges[1]", "UTF-8"},
    {"T10 1 MiB", huge_line, "tokenizer.ggml.merges[1]", "ttt"},
    {"T10 numbers", wrong_merges, "tokenizer.ggml.merges", "u32"},
    {"T10 text", text_merges, "tokenizer.ggml.merges", "string"},
    {"T10 2^23 + 1", too_many, "tokenizer.ggml.merges", "8388609"},
    {"T11 none", no_merges, "tokenizer.ggml.merges", "missing"},
    {"T12 pre", unknown_pre, "tokenizer.ggml.pre", "\"klingon\"; supported with gpt2 are: default"},
    {"T12 no pre", empty_pre, "tokenizer.ggml.pre", "\"\""},
    {"T04 twin", twin, "tokenizer.ggml.tokens", "twin"},
    {"T07 UTF-8", bad_utf8, "tokenizer.ggml.tokens[258]", "UTF-8"},
    {"T08 type", bad_type, "tokenizer.ggml.token_type[7]", "is 9"},
    {"T02 types", short_types, "tokenizer.ggml.token_type", "257"},
    {"T02 scores", short_scores, "tokenizer.ggml.scores", "5"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct toy *toy = toy_create_bpe("gpt-2");
        struct bad_log bad;
        char line[1024];
        toy_merge(toy, 't', 'h');
        BAD[i].change(toy);
        struct vocab *vocab = open_toy(toy, &bad);
        log_get_last(&bad.log, line, sizeof line);
        if (vocab != NULL || bad.errors != 1 || strstr(line, BAD[i].field) == NULL ||
            strstr(line, BAD[i].value) == NULL || strstr(line, "toy.gguf") == NULL) {
            fail_msg("%s: %s, %u errors, \"%s\"", BAD[i].what,
                     vocab != NULL ? "accepted" : "refused", bad.errors, line);
        }
        log_finish(&bad.log);
        toy_finish(toy);
    }
}

/* A line twice: the first holds, as in llama.cpp, and the user is told. A line that makes a control
 * token is never used. No merges at all, and no types, are a vocabulary too. */
static void test_odd_but_good(void **state)
{
    (void)state;
    struct toy *toy = toy_create_bpe(NULL);
    struct bad_log bad;
    struct text_tokens got = {0};
    uint32_t th = toy_merge(toy, 't', 'h'), he = toy_merge(toy, 'h', 'e');
    toy->types[toy_merge(toy, 'x', 'y')] = TOY_CONTROL;
    toy_add_line(toy, "t h");
    struct vocab *vocab = open_toy(toy, &bad);
    assert_non_null(vocab);
    assert_int_equal(bad.errors, 0);
    assert_int_equal(bad.warnings, 2); /* no pre, and this: */
    assert_non_null(strstr(bad.warning, "tokenizer.ggml.merges[3] repeats [0]"));
    assert_true(vocab_encode(vocab, "thehexy", 7, 0, &got, NULL));
    assert_int_equal(got.count, 5);
    assert_memory_equal(got.ids, ((uint32_t[]){th, 'e', he, 'x', 'y'}), 5 * sizeof *got.ids);
    vocab_destroy(vocab);
    log_finish(&bad.log);
    toy->n_merges = 0;
    toy->no_types = true;
    toy->pre = "mpt";
    vocab = open_toy(toy, &bad);
    assert_non_null(vocab);
    assert_int_equal(bad.errors + bad.warnings, 0);
    got.count = 0;
    assert_true(vocab_encode(vocab, "the", 3, 0, &got, NULL));
    assert_int_equal(got.count, 3);
    text_tokens_finish(&got);
    vocab_destroy(vocab);
    log_finish(&bad.log);
    toy_finish(toy);
}

/* Damaged bytes: refused with one line, or a vocabulary that works. */
static void test_damaged(void **state)
{
    (void)state;
    struct toy *toy = toy_create_bpe("llama-bpe");
    uint64_t seed = 1234;
    uint32_t refused = 0;
    size_t bytes;
    print_message("seed %llu\n", (unsigned long long)seed);
    toy_merge(toy, ' ', toy_merge(toy, 't', 'h'));
    uint8_t *good = toy_build(toy, &bytes), *data = mem_alloc(bytes, 1);
    assert_non_null(data);
    for (int round = 0; round < 3000; round++) {
        memcpy(data, good, bytes);
        for (uint64_t n = 1 + hash_next(&seed) % 2; n > 0; n--) {
            data[24 + hash_next(&seed) % (bytes - 24)] = (uint8_t)hash_next(&seed);
        }
        toy->n_errors = 0;
        struct gguf_file *file = gguf_open_memory("toy.gguf", data, bytes, &toy->log);
        struct vocab *vocab = file != NULL ? vocab_create(file, &toy->log) : NULL;
        gguf_close(file);
        assert_int_equal(toy->n_errors, vocab == NULL);
        refused += vocab == NULL;
        if (vocab != NULL) {
            struct text_tokens tokens = {0};
            assert_true(vocab_encode(vocab, "the the<|endoftext|>\xff 12", 24,
                                     TEXT_ADD_SPECIAL | TEXT_PARSE_SPECIAL, &tokens, NULL));
            for (size_t i = 0; i < tokens.count; i++) {
                assert_true(tokens.ids[i] < vocab_count(vocab));
            }
            text_tokens_finish(&tokens);
        }
        vocab_destroy(vocab);
    }
    print_message("%u of 3000 refused\n", refused);
    assert_true(refused > 300 && refused < 2990);
    mem_free(data);
    mem_free(good);
    toy_finish(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_odd_but_good),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
