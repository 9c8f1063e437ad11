/* Text to ids: against the classics model's golden ids, against slow and simple references over
 * random vocabularies, and with long inputs. */
#include "text_toy.h"

#include "base/hash.h"
#include "text/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "text_golden.h"

#define SPACE "\xe2\x96\x81"

static struct vocab *open_classics(void)
{
    struct gguf_file *file = gguf_open(QD_SOURCE_DIR "/models/classics-13m-F16.gguf", NULL);
    assert_non_null(file);
    struct vocab *vocab = vocab_create(file, NULL);
    assert_non_null(vocab);
    gguf_close(file);
    return vocab;
}

static void check_ids(const struct vocab *vocab, const char *text, size_t bytes, uint32_t flags,
                      const uint32_t *want, size_t n)
{
    struct text_tokens got = {0};
    assert_true(vocab_encode(vocab, text, bytes, flags, &got, NULL));
    if (got.count != n || (n > 0 && memcmp(got.ids, want, n * sizeof *want) != 0)) {
        fprintf(stderr, "\"%s\":", text);
        for (size_t i = 0; i < got.count; i++) {
            fprintf(stderr, " %u", got.ids[i]);
        }
        fail_msg("\nother ids than expected");
    }
    text_tokens_finish(&got);
}

static void test_golden(void **state)
{
    (void)state;
    struct vocab *vocab = open_classics();
    for (size_t i = 0; i < sizeof GOLDEN / sizeof *GOLDEN; i++) {
        check_ids(vocab, GOLDEN[i].prompt, strlen(GOLDEN[i].prompt), TEXT_ADD_SPECIAL,
                  GOLDEN[i].tokens, GOLDEN[i].n_tokens);
        check_ids(vocab, GOLDEN[i].prompt, strlen(GOLDEN[i].prompt), 0, GOLDEN[i].tokens + 1,
                  GOLDEN[i].n_tokens - 1);
    }
    for (size_t i = 0; i < sizeof HARD_GOLDEN / sizeof *HARD_GOLDEN; i++) {
        check_ids(vocab, HARD_GOLDEN[i].text, HARD_GOLDEN[i].bytes, 0, HARD_GOLDEN[i].tokens,
                  HARD_GOLDEN[i].n_tokens);
    }
    vocab_destroy(vocab);
}

static void test_invalid_utf8(void **state)
{
    (void)state;
    struct vocab *vocab = open_classics();
    struct text_tokens clean = {0};
    const char *bad = "a\xff b\xe2\x82 c\xed\xa0\x80 d\xf0\x9f\x98";
    const char *good = "a\xef\xbf\xbd b\xef\xbf\xbd c\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd d"
                       "\xef\xbf\xbd";
    assert_true(vocab_encode(vocab, good, strlen(good), 0, &clean, NULL));
    check_ids(vocab, bad, strlen(bad), 0, clean.ids, clean.count);
    text_tokens_finish(&clean);
    check_ids(vocab, NULL, 0, 0, NULL, 0);
    check_ids(vocab, NULL, 0, TEXT_ADD_SPECIAL, (uint32_t[]){1}, 1);
    vocab_destroy(vocab);
}

/* Appends to what is there already. */
static void test_append(void **state)
{
    (void)state;
    struct vocab *vocab = open_classics();
    struct text_tokens tokens = {0};
    assert_true(text_tokens_add(&tokens, 4000));
    assert_true(vocab_encode(vocab, "the", 3, 0, &tokens, NULL));
    assert_int_equal(tokens.count, 2);
    assert_int_equal(tokens.ids[0], 4000);
    assert_int_equal(tokens.ids[1], 263);
    text_tokens_finish(&tokens);
    assert_null(tokens.ids);
    vocab_destroy(vocab);
}

/* ---- random vocabularies against the definition ---- */

/* The definition of SentencePiece BPE: as long as any two neighbours make a token, the pair with
 * the highest score, the leftmost among equals, is merged. `text` has its spaces as U+2581. */
static size_t slow_spm(const struct toy *toy, const char *text, uint32_t *ids)
{
    const char *start[256];
    uint32_t bytes[256], n = 0, n_ids = 0;
    for (const char *c = text; *c != '\0'; n++) {
        uint32_t code;
        assert_true(n < 256);
        start[n] = c;
        bytes[n] = utf8_read(c, strlen(c), &code);
        c += bytes[n];
    }
    for (;;) {
        uint32_t best = n;
        float score = 0;
        for (uint32_t i = 0; i + 1 < n; i++) {
            for (uint32_t id = 259; id < toy->count; id++) {
                if (toy->texts[id].bytes == bytes[i] + bytes[i + 1] &&
                    memcmp(toy->texts[id].text, start[i], toy->texts[id].bytes) == 0 &&
                    (best == n || toy->scores[id] > score)) {
                    best = i;
                    score = toy->scores[id];
                }
            }
        }
        if (best == n) {
            break;
        }
        bytes[best] += bytes[best + 1];
        n--;
        memmove(start + best + 1, start + best + 2, (n - best - 1) * sizeof *start);
        memmove(bytes + best + 1, bytes + best + 2, (n - best - 1) * sizeof *bytes);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = 259;
        while (id < toy->count && (toy->texts[id].bytes != bytes[i] ||
                                   memcmp(toy->texts[id].text, start[i], bytes[i]) != 0)) {
            id++;
        }
        if (id < toy->count) {
            ids[n_ids++] = id;
            continue;
        }
        for (uint32_t k = 0; k < bytes[i]; k++) {
            ids[n_ids++] = 3 + (unsigned char)start[i][k];
        }
    }
    return n_ids;
}

static void random_text(uint64_t *seed, uint32_t letters, char *out)
{
    static const char *const LETTERS[] = {"a", "b", SPACE, "\xc3\xa9", "\xf0\x9f\xa6\x99", "c"};
    out[0] = '\0';
    for (uint32_t i = 0; i < letters; i++) {
        const char *letter = LETTERS[hash_next(seed) % 6];
        memcpy(out + strlen(out), letter, strlen(letter) + 1);
    }
}

static bool has_text(const struct toy *toy, const char *text)
{
    for (uint32_t id = 0; id < toy->count; id++) {
        if (toy->texts[id].bytes == strlen(text) &&
            memcmp(toy->texts[id].text, text, strlen(text)) == 0) {
            return true;
        }
    }
    return false;
}

static void test_random_vocabularies(void **state)
{
    (void)state;
    uint64_t seed = 20261123;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 60; round++) {
        static char pool[300][64];
        struct toy *toy = toy_create(true);
        uint32_t n = 5 + (uint32_t)(hash_next(&seed) % 200);
        for (uint32_t i = 0; i < n; i++) {
            random_text(&seed, 1 + (uint32_t)(hash_next(&seed) % (i % 3 == 0 ? 6 : 3)), pool[i]);
            if (!has_text(toy, pool[i])) {
                /* few different scores: many ties; zeros of both signs */
                float score = (float)((int)(hash_next(&seed) % 9) - 4);
                toy_add(toy, pool[i], score == 0 && i % 2 ? -0.0f : score, TOY_NORMAL);
            }
        }
        struct vocab *vocab = toy_open(toy);
        assert_non_null(vocab);
        for (int i = 0; i < 20; i++) {
            char text[1024] = SPACE;
            uint32_t want[1024];
            random_text(&seed, (uint32_t)(hash_next(&seed) % 100), text + 3);
            size_t n_want = slow_spm(toy, text[3] == '\0' ? "" : text, want);
            check_ids(vocab, text + 3, strlen(text + 3), 0, want, n_want);
        }
        vocab_destroy(vocab);
        toy_finish(toy);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    struct toy *toy = toy_create(false);
    uint32_t space = toy_add(toy, SPACE, -1, TOY_NORMAL), a = toy_add(toy, "a", -2, TOY_NORMAL);
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    /* a run of unknown characters is one unknown token */
    check_ids(vocab, "axya z", 6, 0, (uint32_t[]){space, a, 0, a, space, 0}, 6);
    vocab_destroy(vocab);
    toy_finish(toy);
}

static void add_flags(struct gguf_writer *w)
{
    gguf_writer_add_bool(w, "tokenizer.ggml.add_space_prefix", false);
    gguf_writer_add_bool(w, "tokenizer.ggml.add_eos_token", true);
}

static void test_flags(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    uint32_t space = toy_add(toy, SPACE, -1, TOY_NORMAL), a = toy_add(toy, "a", -1, TOY_NORMAL);
    toy->extra = add_flags;
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    assert_true(vocab_adds_eos(vocab));
    check_ids(vocab, "a a", 3, TEXT_ADD_SPECIAL, (uint32_t[]){1, a, space, a, 2}, 5);
    check_ids(vocab, "a", 1, 0, (uint32_t[]){a}, 1);
    check_ids(vocab, "", 0, TEXT_ADD_SPECIAL, (uint32_t[]){1, 2}, 2);
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* Text must not merge into control or byte tokens even where all their parts are tokens. */
static void test_no_merge_to_control(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    uint32_t space = toy_add(toy, SPACE, -9, TOY_NORMAL);
    uint32_t open = toy_add(toy, "<s", -1, TOY_NORMAL), close = toy_add(toy, ">", -9, TOY_NORMAL);
    uint32_t hex = toy_add(toy, "<0x41", -1, TOY_NORMAL);
    toy_add(toy, "<0", -1, TOY_NORMAL);
    toy_add(toy, "<0x", -1, TOY_NORMAL);
    toy_add(toy, "<0x4", -1, TOY_NORMAL);
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    check_ids(vocab, "<s><0x41>", 9, 0, (uint32_t[]){space, open, close, hex, close}, 5);
    check_ids(vocab, "<s>", 3, TEXT_PARSE_SPECIAL, (uint32_t[]){1}, 1);
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* Two million letters that merge all the way, that never merge, and of four bytes each. */
static void test_long(void **state)
{
    (void)state;
    enum { N = 1 << 21 };
    struct toy *toy = toy_create(true);
    struct text_tokens tokens = {0};
    uint32_t space = toy_add(toy, SPACE, -9, TOY_NORMAL);
    toy_add(toy, "a", -8, TOY_NORMAL);
    toy_add(toy, "aa", -1, TOY_NORMAL);
    uint32_t four = toy_add(toy, "aaaa", -2, TOY_NORMAL);
    toy_add(toy, SPACE SPACE, -3, TOY_NORMAL);
    struct vocab *vocab = toy_open(toy);
    char *text = mem_alloc(N, 4);
    assert_non_null(vocab);
    assert_non_null(text);
    memset(text, 'a', N);
    assert_true(vocab_encode(vocab, text, N, 0, &tokens, NULL));
    assert_int_equal(tokens.count, N / 4 + 1);
    assert_int_equal(tokens.ids[0], space);
    for (size_t i = 1; i < tokens.count; i++) {
        assert_int_equal(tokens.ids[i], four);
    }
    tokens.count = 0;
    memset(text, ' ', N);
    assert_true(vocab_encode(vocab, text, N, 0, &tokens, NULL));
    assert_int_equal(tokens.count, N / 2 + 1);
    tokens.count = 0;
    for (size_t i = 0; i < N; i++) {
        memcpy(text + 4 * i, "\xf0\x9f\xa6\x99", 4);
    }
    assert_true(vocab_encode(vocab, text, (size_t)N * 4, 0, &tokens, NULL));
    assert_int_equal(tokens.count, (size_t)N * 4 + 1);
    text_tokens_finish(&tokens);
    mem_free(text);
    vocab_destroy(vocab);
    toy_finish(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_random_vocabularies),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_no_merge_to_control),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
