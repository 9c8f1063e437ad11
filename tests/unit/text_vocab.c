/* Reading a vocabulary: what a good file says comes back, and every kind of broken tokenizer
 * metadata is refused with exactly one line that names the field and the value. */
#include "text_toy.h"

#include "base/hash.h"

#include <math.h>
#include <stdio.h>

static void no_model(struct toy *toy)
{
    toy->model = NULL;
}
static void bert_model(struct toy *toy)
{
    toy->model = "bert";
}
static void unknown_pre(struct toy *toy)
{
    toy->pre = "klingon";
}
static void no_tokens(struct toy *toy)
{
    toy->no_texts = true;
}
static void empty_tokens(struct toy *toy)
{
    toy->count = toy->n_scores = toy->n_types = 0;
}
static void no_scores(struct toy *toy)
{
    toy->no_scores = true;
}
static void short_scores(struct toy *toy)
{
    toy->n_scores--;
}
static void long_scores(struct toy *toy)
{
    toy->n_scores++;
}
static void no_types(struct toy *toy)
{
    toy->no_types = true;
}
static void short_types(struct toy *toy)
{
    toy->n_types--;
}
static void nan_score(struct toy *toy)
{
    toy->scores[5] = NAN;
}
static void infinite_score(struct toy *toy)
{
    toy->scores[5] = -INFINITY;
}
static void type_zero(struct toy *toy)
{
    toy->types[1] = 0;
}
static void type_seven(struct toy *toy)
{
    toy->types[1] = 7;
}
static void type_negative(struct toy *toy)
{
    toy->types[1] = -1;
}

static void tokens_as_numbers(struct gguf_writer *w)
{
    uint32_t ids[4] = {1, 2, 3, 4};
    gguf_writer_add_array(w, "tokenizer.ggml.tokens", GGUF_U32, ids, 4);
}
static void wrong_tokens(struct toy *toy)
{
    toy->no_texts = true;
    toy->extra = tokens_as_numbers;
}
static void scores_as_bytes(struct gguf_writer *w)
{
    uint8_t scores[259] = {0};
    gguf_writer_add_array(w, "tokenizer.ggml.scores", GGUF_U8, scores, 259);
}
static void wrong_scores(struct toy *toy)
{
    toy->no_scores = true;
    toy->extra = scores_as_bytes;
}
static void types_as_bytes(struct gguf_writer *w)
{
    uint8_t types[259] = {1};
    gguf_writer_add_array(w, "tokenizer.ggml.token_type", GGUF_U8, types, 259);
}
static void wrong_types(struct toy *toy)
{
    toy->no_types = true;
    toy->extra = types_as_bytes;
}

static void text_twice(struct toy *toy)
{
    toy_add(toy, "twin", -1, TOY_NORMAL);
    toy_add(toy, "twin", -2, TOY_NORMAL);
}
static void text_too_long(struct toy *toy)
{
    static char text[1 << 20];
    memset(text, 'x', sizeof text);
    toy_add_bytes(toy, text, sizeof text, -1, TOY_NORMAL);
}
static void text_invalid(struct toy *toy)
{
    toy_add(toy, "a\xc3", -1, TOY_NORMAL);
}
static void text_overlong(struct toy *toy)
{
    toy_add(toy, "\xc0\x80", -1, TOY_NORMAL);
}
static void text_surrogate(struct toy *toy)
{
    toy_add(toy, "\xed\xa0\x80", -1, TOY_NORMAL);
}
static void text_nul(struct toy *toy)
{
    toy_add_bytes(toy, "a\0b", 3, -1, TOY_NORMAL);
}

static void byte_minus(struct toy *toy)
{
    toy->texts[9].text = "<0x-1>";
}
static void byte_plus(struct toy *toy)
{
    toy->texts[9].text = "<0x+1>";
}
static void byte_letters(struct toy *toy)
{
    toy->texts[9].text = "<0xZZ>";
}
static void byte_short(struct toy *toy)
{
    toy->texts[9] = (struct gguf_str){.text = "<0x1>", .bytes = 5};
}
static void byte_long(struct toy *toy)
{
    toy->texts[9] = (struct gguf_str){.text = "<0x100>", .bytes = 7};
}
static void byte_empty(struct toy *toy)
{
    toy->texts[9].bytes = 0;
}
static void byte_twice(struct toy *toy)
{
    toy->texts[13 + 3].text = "<0x0d>";
    toy->texts[3].text = "<0x0D>";
}
static void byte_missing(struct toy *toy)
{
    toy->types[9] = TOY_NORMAL;
}

static void add_minus_one(struct gguf_writer *w)
{
    int32_t id = -1;
    gguf_writer_add_raw(w, "tokenizer.ggml.padding_token_id", GGUF_I32, &id, sizeof id);
}
static void id_minus_one(struct toy *toy)
{
    toy->extra = add_minus_one;
}
static void add_huge(struct gguf_writer *w)
{
    gguf_writer_add_u32(w, "tokenizer.ggml.eot_token_id", UINT32_MAX);
}
static void id_huge(struct toy *toy)
{
    toy->extra = add_huge;
}
static void add_count(struct gguf_writer *w)
{
    gguf_writer_add_u32(w, "tokenizer.ggml.bos_token_id", 259);
}
static void id_count(struct toy *toy)
{
    toy->no_ids = true;
    toy->extra = add_count;
}
static void one_token(struct toy *toy)
{
    toy->count = toy->n_scores = toy->n_types = 1;
}
static void add_text_id(struct gguf_writer *w)
{
    gguf_writer_add_str(w, "tokenizer.ggml.eos_token_id", "2");
}
static void id_text(struct toy *toy)
{
    toy->no_ids = true;
    toy->extra = add_text_id;
}

static void ask_bos(struct gguf_writer *w)
{
    gguf_writer_add_bool(w, "tokenizer.ggml.add_bos_token", true);
}
static void bos_unnamed(struct toy *toy)
{
    toy->no_ids = true;
    toy->extra = ask_bos;
}
static void ask_eos(struct gguf_writer *w)
{
    gguf_writer_add_bool(w, "tokenizer.ggml.add_eos_token", true);
}
static void eos_unnamed(struct toy *toy)
{
    toy->no_ids = true;
    toy->extra = ask_eos;
}
static void flag_text(struct gguf_writer *w)
{
    gguf_writer_add_str(w, "tokenizer.ggml.add_space_prefix", "true");
}
static void flag_as_text(struct toy *toy)
{
    toy->extra = flag_text;
}
static void flag_text2(struct gguf_writer *w)
{
    gguf_writer_add_str(w, "tokenizer.ggml.remove_extra_whitespaces", "no");
}
static void flag_as_text2(struct toy *toy)
{
    toy->extra = flag_text2;
}
static void ends_beyond(struct gguf_writer *w)
{
    int32_t ids[3] = {1, 2, 70000};
    gguf_writer_add_array(w, "tokenizer.ggml.eos_token_ids", GGUF_I32, ids, 3);
}
static void end_beyond(struct toy *toy)
{
    toy->extra = ends_beyond;
}
static void ends_text(struct gguf_writer *w)
{
    gguf_writer_add_str(w, "tokenizer.ggml.eos_token_ids", "2");
}
static void end_text(struct toy *toy)
{
    toy->extra = ends_text;
}
static void nothing_unknown(struct toy *toy)
{
    toy->count = toy->n_scores = toy->n_types = 3;
    toy->types[0] = TOY_NORMAL;
    toy->no_ids = true;
}

static const struct bad {
    const char *what;
    void (*change)(struct toy *toy);
    const char *field, *value; /* both must be in the message */
} BAD[] = {
    {"T01 no tokens", no_tokens, "tokenizer.ggml.tokens", "missing"},
    {"T01 element type", wrong_tokens, "tokenizer.ggml.tokens", "u32"},
    {"T01 empty", empty_tokens, "tokenizer.ggml.tokens", "0"},
    {"T02 no scores", no_scores, "tokenizer.ggml.scores", "missing"},
    {"T02 scores -1", short_scores, "tokenizer.ggml.scores", "258"},
    {"T02 scores +1", long_scores, "tokenizer.ggml.scores", "260"},
    {"T02 scores u8", wrong_scores, "tokenizer.ggml.scores", "u8"},
    {"T02 no types", no_types, "tokenizer.ggml.token_type", "missing"},
    {"T02 types -1", short_types, "tokenizer.ggml.token_type", "258"},
    {"T02 types u8", wrong_types, "tokenizer.ggml.token_type", "u8"},
    {"T03 -1", id_minus_one, "tokenizer.ggml.padding_token_id", "-1"},
    {"T03 2^32-1", id_huge, "tokenizer.ggml.eot_token_id", "4294967295"},
    {"T03 n_vocab", id_count, "tokenizer.ggml.bos_token_id", "259"},
    {"T03 one token", one_token, "tokenizer.ggml.bos_token_id", "1"},
    {"T03 as text", id_text, "tokenizer.ggml.eos_token_id", "string"},
    {"T04 duplicate", text_twice, "tokenizer.ggml.tokens", "twin"},
    {"T05 bos", bos_unnamed, "tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id"},
    {"T05 eos", eos_unnamed, "tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id"},
    {"T06 1 MiB", text_too_long, "tokenizer.ggml.tokens", "1048576"},
    {"T07 truncated", text_invalid, "tokenizer.ggml.tokens", "[259]"},
    {"T07 overlong", text_overlong, "tokenizer.ggml.tokens", "[259]"},
    {"T07 surrogate", text_surrogate, "tokenizer.ggml.tokens", "[259]"},
    {"T07 NUL", text_nul, "tokenizer.ggml.tokens", "[259]"},
    {"T08 0", type_zero, "tokenizer.ggml.token_type", "is 0"},
    {"T08 7", type_seven, "tokenizer.ggml.token_type", "is 7"},
    {"T08 -1", type_negative, "tokenizer.ggml.token_type", "is -1"},
    {"T09 -1", byte_minus, "tokenizer.ggml.tokens", "<0x-1>"},
    {"T09 +1", byte_plus, "tokenizer.ggml.tokens", "<0x+1>"},
    {"T09 ZZ", byte_letters, "tokenizer.ggml.tokens", "<0xZZ>"},
    {"T09 1", byte_short, "tokenizer.ggml.tokens", "<0x1>"},
    {"T09 100", byte_long, "tokenizer.ggml.tokens", "<0x100>"},
    {"T09 empty", byte_empty, "tokenizer.ggml.tokens", "[9]"},
    {"T09 twice", byte_twice, "tokenizer.ggml.tokens", "0x0D"},
    {"T09 255", byte_missing, "tokenizer.ggml.tokens", "255"},
    {"T09 none, no unknown", nothing_unknown, "tokenizer.ggml.tokens", "unknown"},
    {"T12 no model", no_model, "tokenizer.ggml.model", "missing"},
    {"T12 model", bert_model, "tokenizer.ggml.model", "supported are: llama"},
    {"T12 pre", unknown_pre, "tokenizer.ggml.pre", "klingon"},
    {"T15 NaN", nan_score, "tokenizer.ggml.scores", "nan"},
    {"T15 Inf", infinite_score, "tokenizer.ggml.scores", "inf"},
    {"T17 prefix", flag_as_text, "tokenizer.ggml.add_space_prefix", "string"},
    {"T17 spaces", flag_as_text2, "tokenizer.ggml.remove_extra_whitespaces", "string"},
    {"T18 beyond", end_beyond, "tokenizer.ggml.eos_token_ids", "70000"},
    {"T18 text", end_text, "tokenizer.ggml.eos_token_ids", "string"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct toy *toy = toy_create(true);
        char line[1024];
        BAD[i].change(toy);
        struct vocab *vocab = toy_open(toy);
        log_get_last(&toy->log, line, sizeof line);
        if (vocab != NULL || toy->n_errors != 1 || strstr(line, BAD[i].field) == NULL ||
            strstr(line, BAD[i].value) == NULL || strstr(line, "toy.gguf") == NULL) {
            fail_msg("%s: %s, %u errors, \"%s\"", BAD[i].what,
                     vocab != NULL ? "accepted" : "refused", toy->n_errors, line);
        }
        toy_finish(toy);
    }
}

static void test_facts(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    uint32_t word = toy_add(toy, "\xe2\x96\x81the", -1, TOY_NORMAL);
    size_t n;
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    assert_int_equal(toy->n_errors, 0);
    assert_int_equal(vocab_count(vocab), 260);
    assert_int_equal(vocab_bos(vocab), 1);
    assert_int_equal(vocab_eos(vocab), 2);
    assert_true(vocab_adds_bos(vocab));
    assert_false(vocab_adds_eos(vocab));
    assert_memory_equal(vocab_text(vocab, word, &n), "\xe2\x96\x81the", 6);
    assert_int_equal(n, 6);
    vocab_text(vocab, 260, &n);
    assert_int_equal(n, 0);
    vocab_text(vocab, TEXT_NO_TOKEN, &n);
    assert_int_equal(n, 0);
    assert_false(vocab_is_end(vocab, TEXT_NO_TOKEN));
    vocab_destroy(vocab);
    vocab_destroy(NULL);
    toy_finish(toy);
}

/* Without ids in the file, LLaMA's own hold where those tokens have the right type. */
static void test_default_ids(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    toy->no_ids = true;
    toy->pre = NULL;
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    assert_int_equal(vocab_bos(vocab), 1);
    assert_int_equal(vocab_eos(vocab), 2);
    assert_true(vocab_adds_bos(vocab));
    vocab_destroy(vocab);
    toy->types[1] = TOY_NORMAL;
    vocab = toy_open(toy);
    assert_non_null(vocab);
    assert_int_equal(vocab_bos(vocab), TEXT_NO_TOKEN);
    assert_false(vocab_adds_bos(vocab));
    vocab_destroy(vocab);
    toy_finish(toy);
}

static void add_ends(struct gguf_writer *w)
{
    /* T18: one id many times over. */
    static int32_t ids[1000000];
    for (size_t i = 0; i < 1000000; i++) {
        ids[i] = 300;
    }
    gguf_writer_add_array(w, "tokenizer.ggml.eos_token_ids", GGUF_I32, ids, 1000000);
    gguf_writer_add_u32(w, "tokenizer.ggml.eot_token_id", 301);
}

static void test_ends(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>",
                                        "<|endoftext|>"};
    static char fill[64][16];
    struct toy *toy = toy_create(true);
    uint32_t ids[5];
    for (int i = 0; i < 5; i++) {
        ids[i] = toy_add(toy, NAMES[i], 0, i == 4 ? TOY_NORMAL : i % 2 ? TOY_USER : TOY_CONTROL);
    }
    for (int i = 0; toy->count < 303; i++) {
        snprintf(fill[i], sizeof fill[i], "w%d", i);
        toy_add(toy, fill[i], -1, TOY_NORMAL);
    }
    toy->extra = add_ends;
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    assert_true(vocab_is_end(vocab, 2));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(vocab_is_end(vocab, ids[i]), i != 4); /* by type, not by name alone */
    }
    assert_true(vocab_is_end(vocab, 300));
    assert_true(vocab_is_end(vocab, 301));
    assert_false(vocab_is_end(vocab, 302));
    assert_false(vocab_is_end(vocab, 1));
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* Accepted: empty texts (also many), one-byte control tokens, equal scores. */
static void test_odd_but_good(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    struct text_tokens tokens = {0};
    for (int i = 0; i < 10; i++) {
        toy_add(toy, "", 0, i % 2 ? TOY_CONTROL : TOY_NORMAL);
    }
    uint32_t one = toy_add(toy, "#", 0, TOY_CONTROL);
    uint32_t space = toy_add(toy, "\xe2\x96\x81", 0, TOY_NORMAL);
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    assert_true(vocab_encode(vocab, "#", 1, TEXT_PARSE_SPECIAL, &tokens, &toy->log));
    assert_int_equal(tokens.count, 1);
    assert_int_equal(tokens.ids[0], one);
    tokens.count = 0;
    assert_true(vocab_encode(vocab, "#", 1, 0, &tokens, &toy->log));
    assert_int_equal(tokens.count, 2);
    assert_int_equal(tokens.ids[0], space);
    assert_int_equal(tokens.ids[1], 3 + '#');
    text_tokens_finish(&tokens);
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* Damaged files are refused with one line or make a vocab that works: random bytes of the metadata
 * are overwritten, most of them where lengths, types and ids are. */
static void test_damaged(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    uint64_t seed = 99;
    uint32_t refused = 0;
    size_t bytes;
    print_message("seed %llu\n", (unsigned long long)seed);
    toy_add(toy, "\xe2\x96\x81the", -1, TOY_NORMAL);
    toy_add(toy, "[u]", -1, TOY_USER);
    uint8_t *good = toy_build(toy, &bytes);
    uint8_t *data = mem_alloc(bytes, 1);
    assert_non_null(data);
    for (int round = 0; round < 5000; round++) {
        memcpy(data, good, bytes);
        for (uint64_t n = 1 + hash_next(&seed) % 3; n > 0; n--) {
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
            assert_true(vocab_encode(vocab, "the [u]</s>\xff", 12,
                                     TEXT_ADD_SPECIAL | TEXT_PARSE_SPECIAL, &tokens, NULL));
            for (size_t i = 0; i < tokens.count; i++) {
                assert_true(tokens.ids[i] < vocab_count(vocab));
            }
            text_tokens_finish(&tokens);
        }
        vocab_destroy(vocab);
    }
    assert_true(refused > 500 && refused < 4900);
    mem_free(data);
    mem_free(good);
    toy_finish(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),          cmocka_unit_test(test_facts),
        cmocka_unit_test(test_default_ids),  cmocka_unit_test(test_ends),
        cmocka_unit_test(test_odd_but_good), cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
