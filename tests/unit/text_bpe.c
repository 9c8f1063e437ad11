/* Byte-level BPE over vocabularies made here: the alphabet, merges against their definition, whole
 * words, special tokens, BOS and EOS, and the way back of every text. */
#include "text_toy.h"

#include "base/hash.h"
#include "base/str.h"
#include "text/internal.h"

static const char *const PRES[] = {"default", "gpt-2",     "llama-bpe",    "dbrx",
                                   "qwen2",   "qwen35",    "tekken",       "gpt-4o",
                                   "falcon",  "starcoder", "deepseek-llm", "deepseek-coder"};
enum { N_PRES = sizeof PRES / sizeof *PRES };

static void check(const struct vocab *vocab, const char *text, uint32_t flags, size_t n,
                  const uint32_t *want)
{
    struct text_tokens got = {0};
    assert_true(vocab_encode(vocab, text, strlen(text), flags, &got, NULL));
    if (got.count != n || (n > 0 && memcmp(got.ids, want, n * sizeof *want) != 0)) {
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

static void decode(const struct vocab *vocab, const uint32_t *ids, size_t n, struct str *out)
{
    struct text_stream *stream = text_stream_create(vocab, true);
    size_t bytes;
    assert_non_null(stream);
    str_clear(out);
    for (size_t i = 0; i < n; i++) {
        const char *text = text_stream_add(stream, ids[i], &bytes);
        assert_non_null(text);
        str_add(out, text, bytes);
    }
    const char *text = text_stream_end(stream, &bytes);
    str_add(out, text, bytes);
    assert_false(out->failed);
    text_stream_destroy(stream);
}

/* Without merges every byte is its token, and every token its byte. */
static void test_alphabet(void **state)
{
    (void)state;
    struct toy *toy = toy_create_bpe("gpt-2");
    struct vocab *vocab = toy_open(toy);
    char piece[4];
    assert_non_null(vocab);
    assert_int_equal(toy->n_errors, 0);
    for (uint32_t byte = 0; byte < 256; byte++) {
        assert_int_equal(vocab_piece(vocab, byte, false, piece, sizeof piece), 1);
        assert_int_equal((unsigned char)piece[0], byte);
    }
    CHECK(vocab, "a\n\x7f \xc2\xad\xf0\x9f\xa6\x99", 0, 'a', '\n', 0x7f, ' ', 0xc2, 0xad, 0xf0,
          0x9f, 0xa6, 0x99);
    /* invalid bytes are U+FFFD, one for each maximal part */
    CHECK(vocab, "a\xff\xe2\x82", 0, 'a', 0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd);
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* As long as two neighbours have a merge, that of the first line, the leftmost among equals. */
static size_t slow_bpe(const struct toy *toy, const char *text, uint32_t *ids)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (unsigned char)text[i];
    }
    for (;;) {
        uint32_t best = toy->n_merges;
        size_t where = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            char line[256];
            snprintf(line, sizeof line, "%s %s", toy->texts[ids[i]].text,
                     toy->texts[ids[i + 1]].text);
            for (uint32_t k = 0; k < best; k++) {
                if (strcmp(toy->merges[k].text, line) == 0) {
                    best = k;
                    where = i;
                }
            }
        }
        if (best == toy->n_merges) {
            return n;
        }
        ids[where] = 257 + best; /* toy_merge made them in this order */
        n--;
        memmove(ids + where + 1, ids + where + 2, (n - where - 1) * sizeof *ids);
    }
}

static void test_random_merges(void **state)
{
    (void)state;
    uint64_t seed = 31;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 100; round++) {
        struct toy *toy = toy_create_bpe("gpt-2");
        for (int i = 0; i < 40; i++) {
            uint32_t parts[2];
            for (int k = 0; k < 2; k++) {
                uint64_t pick = hash_next(&seed);
                parts[k] = pick % 3 == 0 || toy->count == 257
                               ? (uint32_t)('a' + (pick >> 8) % 3)
                               : (uint32_t)(257 + (pick >> 8) % (toy->count - 257));
            }
            const char *text =
                toy_text(toy, toy->texts[parts[0]].text, toy->texts[parts[1]].text, "");
            bool known = strlen(text) > 60;
            for (uint32_t id = 0; id < toy->count; id++) {
                known = known || strcmp(toy->texts[id].text, text) == 0;
            }
            if (!known) {
                toy_merge(toy, parts[0], parts[1]);
            }
        }
        struct vocab *vocab = toy_open(toy);
        assert_non_null(vocab);
        for (int i = 0; i < 20; i++) {
            char text[101];
            uint32_t ids[100];
            size_t n = hash_next(&seed) % 100;
            for (size_t c = 0; c < n; c++) {
                text[c] = (char)('a' + hash_next(&seed) % 3);
            }
            text[n] = '\0';
            check(vocab, text, 0, slow_bpe(toy, text, ids), ids);
        }
        vocab_destroy(vocab);
        toy_finish(toy);
    }
}

/* One result by two lines: which of them comes first decides. */
static void test_same_result(void **state)
{
    (void)state;
    struct toy *toy = toy_create_bpe("gpt-2");
    uint32_t bc = toy_merge(toy, 'b', 'c'), abc = toy_merge(toy, 'a', bc);
    uint32_t ab = toy_merge(toy, 'a', 'b');
    toy_add_line(toy, "ab c");
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    CHECK(vocab, "abc", 0, abc);
    CHECK(vocab, "abcab", 0, abc, ab);
    CHECK(vocab, "a bc", 0, 'a', ' ', bc); /* merges do not leave their word */
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* LLaMA 3 and tekken take a word that is a token as it is; the others only by merges. */
static void test_whole_words(void **state)
{
    (void)state;
    for (int i = 0; i < N_PRES; i++) {
        struct toy *toy = toy_create_bpe(PRES[i]);
        uint32_t word = toy_add(toy, "whole", 0, TOY_NORMAL);
        toy_add(toy, "secret", 0, TOY_CONTROL);
        struct vocab *vocab = toy_open(toy);
        assert_non_null(vocab);
        bool whole = strcmp(PRES[i], "llama-bpe") == 0 || strcmp(PRES[i], "tekken") == 0;
        if (whole) {
            CHECK(vocab, "whole", 0, word);
        } else {
            CHECK(vocab, "whole", 0, 'w', 'h', 'o', 'l', 'e');
        }
        CHECK(vocab, "secret", 0, 's', 'e', 'c', 'r', 'e', 't');
        assert_int_equal(vocab_adds_bos(vocab), whole);
        assert_false(vocab_adds_eos(vocab));
        vocab_destroy(vocab);
        toy_finish(toy);
    }
}

static void add_both(struct gguf_writer *w)
{
    gguf_writer_add_bool(w, "tokenizer.ggml.add_bos_token", true);
    gguf_writer_add_bool(w, "tokenizer.ggml.add_eos_token", true);
    gguf_writer_add_bool(w, "tokenizer.ggml.add_space_prefix", true); /* SentencePiece's */
}

static void test_specials(void **state)
{
    (void)state;
    struct toy *toy = toy_create_bpe("gpt-2");
    uint32_t user = toy_add(toy, "  ", 0, TOY_USER), chat = toy_add(toy, "<chat>", 0, TOY_CONTROL);
    uint32_t fill = toy_add(toy, "<fim_prefix>", 0, TOY_USER);
    toy->extra = add_both;
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    CHECK(vocab, "a", TEXT_ADD_SPECIAL, 256, 'a', 256);
    CHECK(vocab, "a<chat>b", TEXT_PARSE_SPECIAL, 'a', chat, 'b');
    CHECK(vocab, "<chat>", 0, '<', 'c', 'h', 'a', 't', '>');
    CHECK(vocab, "a   b", 0, 'a', user, ' ', 'b');
    CHECK(vocab, "<fim_prefix>", TEXT_PARSE_SPECIAL, fill);
    CHECK(vocab, "<fim_prefix>", 0, '<', 'f', 'i', 'm', '_', 'p', 'r', 'e', 'f', 'i', 'x', '>');
    char piece[16];
    assert_int_equal(vocab_piece(vocab, user, false, piece, sizeof piece), 2);
    assert_memory_equal(piece, "  ", 2);
    assert_int_equal(vocab_piece(vocab, chat, false, piece, sizeof piece), 0);
    assert_int_equal(vocab_piece(vocab, chat, true, piece, sizeof piece), 6);
    assert_true(vocab_is_end(vocab, 256));
    assert_false(vocab_is_end(vocab, fill));
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* A byte that the vocabulary lacks is lost; merges do not close over it. A token whose text is not
 * of the alphabet stands for itself. */
static void test_outside_alphabet(void **state)
{
    (void)state;
    struct toy *toy = toy_create_bpe("gpt-2");
    uint32_t ab = toy_merge(toy, 'a', 'b');
    uint32_t odd = toy_add(toy, "\xe4\xb8\xad\xc4\xa0", 0, TOY_NORMAL);
    toy->texts['x'].text = "[x]";
    toy->texts['x'].bytes = 3;
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    CHECK(vocab, "axbab", 0, 'a', 'b', ab);
    char piece[16];
    assert_int_equal(vocab_piece(vocab, odd, false, piece, sizeof piece), 5);
    assert_memory_equal(piece, "\xe4\xb8\xad\xc4\xa0", 5);
    vocab_destroy(vocab);
    toy_finish(toy);
}

/* Code points of all lengths between words, spaces and signs. */
static void random_text(uint64_t *seed, struct str *out)
{
    static const char *const WORDS[] = {" the", "'s", "'LL",  "\n",   "  ",  "\r\n",
                                        "123",  " 7", "HTtp", "\t\t", "...", "\xe3\x80\x80"};
    uint32_t n = (uint32_t)(hash_next(seed) % 60);
    str_clear(out);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t pick = hash_next(seed);
        uint32_t code = (uint32_t)(pick >> 8) % (pick % 4 == 1 ? 0x250 : 0x110000);
        if (pick % 4 == 0 || code == 0) {
            str_printf(out, "%s", WORDS[(pick >> 8) % (sizeof WORDS / sizeof *WORDS)]);
            continue;
        }
        code = code >= 0xd800 && code < 0xe000 ? code - 0x5000 : code;
        unsigned char c[4] = {(unsigned char)code};
        size_t bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        for (size_t k = bytes; bytes > 1 && k-- > 0; code >>= 6) {
            c[k] = (unsigned char)(0x80 | (code & 0x3f));
            if (k == 0) {
                c[0] = (unsigned char)(code | (0xf00u >> bytes & 0xffu));
            }
        }
        str_add(out, (char *)c, bytes);
    }
}

/* decode(encode(x)) is x for every valid text, whatever cuts it into words. */
static void test_round_trip(void **state)
{
    (void)state;
    struct str text, back;
    uint64_t seed = 505;
    print_message("seed %llu\n", (unsigned long long)seed);
    str_init(&text);
    str_init(&back);
    for (int i = 0; i < N_PRES; i++) {
        struct toy *toy = toy_create_bpe(PRES[i]);
        uint32_t th = toy_merge(toy, 't', 'h');
        toy_merge(toy, toy_merge(toy, ' ', th), 'e');
        toy_merge(toy, toy_merge(toy, ' ', ' '), '\n');
        toy_merge(toy, 0xe3, 0x80);
        toy_merge(toy, 0xc2, 0xa0);
        struct vocab *vocab = toy_open(toy);
        struct text_tokens tokens = {0};
        assert_non_null(vocab);
        for (int round = 0; round < 1000; round++) {
            random_text(&seed, &text);
            assert_true(utf8_valid(str_get(&text), text.bytes));
            tokens.count = 0;
            assert_true(vocab_encode(vocab, str_get(&text), text.bytes,
                                     round % 2 ? TEXT_ADD_SPECIAL : 0, &tokens, NULL));
            decode(vocab, tokens.ids, tokens.count, &back);
            assert_int_equal(back.bytes, text.bytes);
            assert_memory_equal(str_get(&back), str_get(&text), text.bytes);
        }
        text_tokens_finish(&tokens);
        vocab_destroy(vocab);
        toy_finish(toy);
    }
    str_finish(&text);
    str_finish(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alphabet),    cmocka_unit_test(test_random_merges),
        cmocka_unit_test(test_same_result), cmocka_unit_test(test_whole_words),
        cmocka_unit_test(test_specials),    cmocka_unit_test(test_outside_alphabet),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
