/* Special tokens inside a text: which are found, who wins where they overlap (against the slow
 * definition), what Phi-3's eat, and inputs that make a careless search quadratic. */
#include "text_toy.h"

#include "base/hash.h"
#include "text/internal.h"

#include <stdlib.h>

#define SPACE "\xe2\x96\x81"

static void check(const struct vocab *vocab, const char *text, uint32_t flags, size_t n,
                  const uint32_t *want)
{
    struct text_tokens got = {0};
    assert_true(vocab_encode(vocab, text, strlen(text), flags, &got, NULL));
    if (got.count != n || memcmp(got.ids, want, n * sizeof *want) != 0) {
        for (size_t i = 0; i < got.count; i++) {
            print_message(" %u", got.ids[i]);
        }
        fail_msg("\"%s\" has other ids than expected", text);
    }
    text_tokens_finish(&got);
}
#define CHECK(vocab, text, flags, ...)                                                             \
    check(vocab, text, flags, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                \
          (uint32_t[]){__VA_ARGS__})

static void test_kinds(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    uint32_t space = toy_add(toy, SPACE, -1, TOY_NORMAL), x = toy_add(toy, "x", -1, TOY_NORMAL);
    uint32_t sx = toy_add(toy, SPACE "x", 0, TOY_NORMAL);
    uint32_t user = toy_add(toy, "[u]", 0, TOY_USER), plain = toy_add(toy, "[n]", 0, TOY_NORMAL);
    uint32_t end = toy_add(toy, "<|end|>", 0, TOY_USER);
    uint32_t lt = 3 + '<', s = 3 + 's', gt = 3 + '>', slash = 3 + '/';
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    (void)plain;
    CHECK(vocab, "x<s>x", TEXT_PARSE_SPECIAL, sx, 1, sx);
    CHECK(vocab, "x<s>x", 0, sx, lt, s, gt, x);
    CHECK(vocab, "<s>", TEXT_PARSE_SPECIAL | TEXT_ADD_SPECIAL, 1, 1);
    CHECK(vocab, "x<unk> x", TEXT_PARSE_SPECIAL, sx, 0, space, sx);
    CHECK(vocab, "</s></s>", TEXT_PARSE_SPECIAL, 2, 2);
    CHECK(vocab, "x</s>", 0, sx, lt, slash, s, gt);
    /* user-defined ones always, unless they end a turn; each piece of text gets its space */
    CHECK(vocab, "x[u]x[u][u]", 0, sx, user, sx, user, user);
    CHECK(vocab, "<|end|>x", TEXT_PARSE_SPECIAL, end, sx);
    CHECK(vocab, "<|end|>", 0, space, lt, 3 + '|', 3 + 'e', 3 + 'n', 3 + 'd', 3 + '|', gt);
    /* a normal token is no special token, whatever it looks like */
    CHECK(vocab, "[n]", TEXT_PARSE_SPECIAL, space, 3 + '[', 3 + 'n', 3 + ']');
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* What ends an answer: by number, by name where the token is special, and nothing else. */
static void test_ends(void **state)
{
    (void)state;
    static const char *const names[] = {"<|eot_id|>", "<|im_end|>",      "<end_of_turn>",
                                        "<|end|>",    "<|end_of_turn|>", "<|EOT|>",
                                        "<|eom_id|>", "<|end_of_text|>"};
    struct toy *toy = toy_create(true);
    uint32_t first = toy->count;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        toy_add(toy, names[i], 0, i % 2 == 0 ? TOY_CONTROL : TOY_USER);
    }
    uint32_t plain = toy_add(toy, "<|endoftext|>", 0, TOY_NORMAL);
    uint32_t begin = toy_add(toy, "<|im_start|>", 0, TOY_CONTROL);
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    for (uint32_t id = 0; id < vocab_count(vocab); id++) {
        bool end = id == 2 || (id >= first && id < plain);
        assert_int_equal(vocab_is_end(vocab, id), end);
    }
    assert_false(vocab_is_end(vocab, begin));
    vocab_destroy(vocab);
    toy_finish(toy);
}

static void test_phi3_strips(void **state)
{
    (void)state;
    for (int phi = 0; phi < 2; phi++) {
        struct toy *toy = toy_create(true);
        toy->name = phi ? "My Phi-3 mini" : "Pho 3";
        uint32_t sx = toy_add(toy, SPACE "x", 0, TOY_NORMAL);
        uint32_t space = toy_add(toy, SPACE, -1, TOY_NORMAL);
        uint32_t user = toy_add(toy, "<|user|>", 0, TOY_CONTROL);
        uint32_t lines = toy_add(toy, "\n\n\n\n\n\n\n\n\n", 0, TOY_USER);
        toy_add(toy, "x", -1, TOY_NORMAL);
        struct vocab *vocab = toy_open(toy);
        assert_non_null(vocab);
        if (phi) {
            CHECK(vocab, "<|user|> \n\tx", TEXT_PARSE_SPECIAL, user, sx);
            CHECK(vocab, "<|user|> \n<|user|>\v\f\r", TEXT_PARSE_SPECIAL, user, user);
            /* a longer token keeps its white space */
            CHECK(vocab, "<|user|> \n\n\n\n\n\n\n\n\n\nx", TEXT_PARSE_SPECIAL, user, lines, sx);
            CHECK(vocab, "<|user|> </s> <s> x", TEXT_PARSE_SPECIAL, user, 2, 1, space, sx);
        } else {
            CHECK(vocab, "<|user|> x", TEXT_PARSE_SPECIAL, user, space, sx);
        }
        vocab_destroy(vocab);
        toy_finish(toy);
    }
}

/* ---- who wins: the slow definition ---- */

struct piece {
    size_t start, bytes;
    uint32_t id; /* TEXT_NO_TOKEN: still text */
};

static int longest_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1)
                                : (x->id > y->id) - (x->id < y->id);
}

/* For each special token, longest first: cut every piece of text at its matches, from the left. */
static size_t slow_split(const struct toy *toy, bool parse, const char *text, struct piece *pieces)
{
    struct piece order[64];
    size_t n_order = 0, n = 1;
    for (uint32_t id = 0; id < toy->count; id++) {
        if (toy->types[id] == TOY_USER ||
            (parse && (toy->types[id] == TOY_CONTROL || toy->types[id] == TOY_UNKNOWN))) {
            assert_true(n_order < 64);
            order[n_order++] = (struct piece){0, (size_t)toy->texts[id].bytes, id};
        }
    }
    qsort(order, n_order, sizeof *order, longest_first);
    pieces[0] = (struct piece){0, strlen(text), TEXT_NO_TOKEN};
    for (size_t k = 0; k < n_order; k++) {
        const char *word = toy->texts[order[k].id].text;
        for (size_t i = 0; i < n; i++) {
            struct piece whole = pieces[i];
            size_t at = whole.start, end = whole.start + whole.bytes;
            while (whole.id == TEXT_NO_TOKEN && at + order[k].bytes <= end &&
                   memcmp(text + at, word, order[k].bytes) != 0) {
                at++;
            }
            if (whole.id != TEXT_NO_TOKEN || at + order[k].bytes > end) {
                continue;
            }
            memmove(pieces + i + 3, pieces + i + 1, (n - i - 1) * sizeof *pieces);
            pieces[i] = (struct piece){whole.start, at - whole.start, TEXT_NO_TOKEN};
            pieces[i + 1] = (struct piece){at, order[k].bytes, order[k].id};
            pieces[i + 2] =
                (struct piece){at + order[k].bytes, end - at - order[k].bytes, TEXT_NO_TOKEN};
            n += 2;
        }
    }
    return n;
}

static void compare(const struct toy *toy, const struct vocab *vocab, const char *text, bool parse)
{
    struct special_list got = {0};
    struct piece want[1000];
    size_t n = slow_split(toy, parse, text, want), k = 0;
    assert_true(special_find(vocab, text, strlen(text), parse, NULL, &got));
    for (size_t i = 0; i < n; i++) {
        if (want[i].id == TEXT_NO_TOKEN) {
            continue;
        }
        if (k == got.count || got.items[k].id != want[i].id ||
            got.items[k].start != want[i].start ||
            got.items[k].end != want[i].start + want[i].bytes) {
            fail_msg("\"%s\": another match than expected at %zu", text, want[i].start);
        }
        k++;
    }
    assert_int_equal(k, got.count);
    mem_free(got.items);
}

static void test_overlaps(void **state)
{
    (void)state;
    uint64_t seed = 77;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 200; round++) {
        static char words[40][16];
        struct toy *toy = toy_create(true);
        for (int i = 0; i < 40; i++) {
            size_t n = 1 + hash_next(&seed) % 7;
            bool known = false;
            for (size_t c = 0; c < n; c++) {
                words[i][c] = (char)('a' + hash_next(&seed) % 3);
            }
            words[i][n] = '\0';
            for (int k = 0; k < i; k++) {
                known = known || strcmp(words[k], words[i]) == 0;
            }
            if (!known) {
                toy_add(toy, words[i], 0, i % 2 ? TOY_CONTROL : TOY_USER);
            }
        }
        struct vocab *vocab = toy_open(toy);
        assert_non_null(vocab);
        for (int i = 0; i < 10; i++) {
            char text[121];
            size_t n = hash_next(&seed) % 120;
            for (size_t c = 0; c < n; c++) {
                text[c] = (char)('a' + hash_next(&seed) % 4);
            }
            text[n] = '\0';
            compare(toy, vocab, text, i % 2 == 0);
        }
        vocab_destroy(vocab);
        toy_finish(toy);
    }
}

/* Runs of new lines, each length a token of its own: positions times lengths would be 66 million.
 */
static void test_runs(void **state)
{
    (void)state;
    enum { N = 1 << 19, LONGEST = 127 };
    static char lines[LONGEST + 1];
    struct toy *toy = toy_create(true);
    struct text_tokens tokens = {0};
    uint32_t ids[LONGEST + 1];
    memset(lines, '\n', LONGEST);
    for (uint32_t n = 1; n <= LONGEST; n++) {
        ids[n] = toy_add_bytes(toy, lines, n, 0, TOY_USER);
    }
    struct vocab *vocab = toy_open(toy);
    char *text = mem_alloc(N, 1);
    assert_non_null(vocab);
    assert_non_null(text);
    memset(text, '\n', N);
    assert_true(vocab_encode(vocab, text, N, 0, &tokens, NULL));
    assert_int_equal(tokens.count, N / LONGEST + 1);
    assert_int_equal(tokens.ids[0], ids[LONGEST]);
    assert_int_equal(tokens.ids[tokens.count - 1], ids[N % LONGEST]);
    text_tokens_finish(&tokens);
    mem_free(text);
    vocab_destroy(vocab);
    toy_finish(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_ends),
        cmocka_unit_test(test_phi3_strips), cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
