/* Ids to text: pieces of every kind of token, characters that come in parts, and the way back of
 * everything that can be encoded. */
#include "text_toy.h"

#include "base/hash.h"
#include "base/str.h"

#include "text_golden.h"

#define SPACE "\xe2\x96\x81"
#define LOST  "\xef\xbf\xbd"

static struct vocab *open_classics(void)
{
    struct gguf_file *file = gguf_open(QD_SOURCE_DIR "/models/classics-13m-F16.gguf", NULL);
    assert_non_null(file);
    struct vocab *vocab = vocab_create(file, NULL);
    assert_non_null(vocab);
    gguf_close(file);
    return vocab;
}

static void decode(const struct vocab *vocab, const uint32_t *ids, size_t n, struct str *out)
{
    struct text_stream *stream = text_stream_create(vocab, true);
    size_t bytes;
    assert_non_null(stream);
    str_clear(out);
    for (size_t i = 0; i < n; i++) {
        const char *text = text_stream_add(stream, ids[i], &bytes);
        assert_non_null(text);
        assert_int_equal(text[bytes], 0);
        str_add(out, text, bytes);
    }
    const char *text = text_stream_end(stream, &bytes);
    str_add(out, text, bytes);
    assert_false(out->failed);
    text_stream_destroy(stream);
}

static void test_pieces(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    char out[32];
    uint32_t word = toy_add(toy, SPACE "a" SPACE, -1, TOY_NORMAL);
    uint32_t user = toy_add(toy, "<" SPACE ">", -1, TOY_USER);
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    assert_int_equal(vocab_piece(vocab, word, false, out, sizeof out), 3);
    assert_memory_equal(out, " a ", 3);
    assert_int_equal(vocab_piece(vocab, user, false, out, sizeof out), 5);
    assert_memory_equal(out, "<" SPACE ">", 5);
    assert_int_equal(vocab_piece(vocab, 1, false, out, sizeof out), 0);
    assert_int_equal(vocab_piece(vocab, 1, true, out, sizeof out), 3);
    assert_memory_equal(out, "<s>", 3);
    for (uint32_t byte = 0; byte < 256; byte++) {
        assert_int_equal(vocab_piece(vocab, 3 + byte, false, out, sizeof out), 1);
        assert_int_equal((unsigned char)out[0], byte);
    }
    /* a short buffer is filled, never overrun; the full length is told */
    memset(out, '#', sizeof out);
    assert_int_equal(vocab_piece(vocab, word, false, out, 2), 3);
    assert_memory_equal(out, " a#", 3);
    assert_int_equal(vocab_piece(vocab, word, false, NULL, 0), 3);
    assert_int_equal(vocab_piece(vocab, TEXT_NO_TOKEN, true, out, sizeof out), 0);
    vocab_destroy(vocab);
    toy_finish(toy);
}

static void test_holds_back(void **state)
{
    (void)state;
    struct toy *toy = toy_create(true);
    uint32_t word = toy_add(toy, SPACE "a", -1, TOY_NORMAL);
    uint32_t half = 3 + 0xf0, parts[] = {3 + 0x9f, 3 + 0xa6, 3 + 0x99};
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    struct text_stream *stream = text_stream_create(vocab, true);
    assert_non_null(stream);
    size_t n;
    assert_string_equal(text_stream_add(stream, 1, &n), ""); /* BOS is no word */
    assert_string_equal(text_stream_add(stream, word, &n), "a");
    assert_string_equal(text_stream_add(stream, word, &n), " a");
    assert_string_equal(text_stream_add(stream, half, &n), "");
    assert_string_equal(text_stream_add(stream, parts[0], &n), "");
    assert_string_equal(text_stream_add(stream, parts[1], &n), "");
    assert_string_equal(text_stream_add(stream, parts[2], &n), "\xf0\x9f\xa6\x99");
    assert_int_equal(n, 4);
    /* broken off by a word, by a stray byte, by the end */
    assert_string_equal(text_stream_add(stream, half, &n), "");
    assert_string_equal(text_stream_add(stream, word, &n), LOST " a");
    assert_string_equal(text_stream_add(stream, half, &n), "");
    assert_string_equal(text_stream_add(stream, half, &n), LOST);
    assert_string_equal(text_stream_add(stream, 3 + 0xff, &n), LOST LOST);
    assert_string_equal(text_stream_add(stream, half, &n), "");
    assert_string_equal(text_stream_add(stream, parts[0], &n), "");
    assert_string_equal(text_stream_end(stream, &n), LOST);
    assert_string_equal(text_stream_end(stream, &n), "");
    /* ids that are none say nothing */
    assert_string_equal(text_stream_add(stream, TEXT_NO_TOKEN, &n), "");
    assert_int_equal(n, 0);
    text_stream_destroy(stream);
    text_stream_destroy(NULL);
    stream = text_stream_create(vocab, false);
    assert_non_null(stream);
    assert_string_equal(text_stream_add(stream, word, &n), " a");
    text_stream_destroy(stream);
    vocab_destroy(vocab);
    toy_finish(toy);
}

static void no_prefix(struct gguf_writer *w)
{
    gguf_writer_add_bool(w, "tokenizer.ggml.add_space_prefix", false);
}

/* Only the space that encoding has put there is dropped. */
static void test_first_space(void **state)
{
    (void)state;
    for (int prefix = 0; prefix < 2; prefix++) {
        struct toy *toy = toy_create(true);
        uint32_t ids[] = {toy_add(toy, SPACE "a", -1, TOY_NORMAL), 3 + ' '};
        struct str out;
        str_init(&out);
        toy->extra = prefix ? NULL : no_prefix;
        struct vocab *vocab = toy_open(toy);
        assert_non_null(vocab);
        decode(vocab, ids, 1, &out);
        assert_string_equal(str_get(&out), prefix ? "a" : " a");
        decode(vocab, ids + 1, 1, &out);
        assert_string_equal(str_get(&out), " ");
        str_finish(&out);
        vocab_destroy(vocab);
        toy_finish(toy);
    }
}

static void test_golden(void **state)
{
    (void)state;
    struct vocab *vocab = open_classics();
    struct str out;
    str_init(&out);
    for (size_t i = 0; i < sizeof GOLDEN / sizeof *GOLDEN; i++) {
        decode(vocab, GOLDEN[i].tokens, GOLDEN[i].n_tokens, &out);
        assert_string_equal(str_get(&out), GOLDEN[i].prompt);
        decode(vocab, GOLDEN[i].greedy, GOLDEN[i].n_greedy, &out);
        assert_string_equal(str_get(&out), GOLDEN[i].greedy_text);
    }
    str_finish(&out);
    vocab_destroy(vocab);
}

/* Code points of all lengths, words, runs of spaces and control characters. */
static void random_text(uint64_t *seed, struct str *out)
{
    static const char *const WORDS[] = {" the ",  "whale", "\n",  "  ",
                                        "\t\r\n", "'s",    "<s>", "<0x41>"};
    uint32_t n = (uint32_t)(hash_next(seed) % 60);
    str_clear(out);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t pick = hash_next(seed);
        uint32_t code = (uint32_t)(pick >> 8);
        unsigned char c[4];
        switch (pick % 5) {
        case 0:
            str_printf(out, "%s", WORDS[code % 8]);
            break;
        case 1:
            c[0] = (unsigned char)(code % 128);
            str_add(out, (char *)c, 1);
            break;
        case 2:
            code = 0x80 + code % 0x780;
            c[0] = (unsigned char)(0xc0 | code >> 6);
            c[1] = (unsigned char)(0x80 | (code & 0x3f));
            str_add(out, (char *)c, 2);
            break;
        case 3:
            code = 0x800 + code % 0xd000; /* below the surrogates */
            code += code == 0x2581;       /* U+2581 comes back as a space */
            c[0] = (unsigned char)(0xe0 | code >> 12);
            c[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
            c[2] = (unsigned char)(0x80 | (code & 0x3f));
            str_add(out, (char *)c, 3);
            break;
        default:
            code = 0x10000 + code % 0x100000;
            c[0] = (unsigned char)(0xf0 | code >> 18);
            c[1] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
            c[2] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
            c[3] = (unsigned char)(0x80 | (code & 0x3f));
            str_add(out, (char *)c, 4);
        }
    }
}

/* decode(encode(x)) is x for every valid text without special tokens and without U+2581. */
static void test_round_trip(void **state)
{
    (void)state;
    struct vocab *vocab = open_classics();
    struct text_tokens tokens = {0};
    struct str text, back;
    uint64_t seed = 4242;
    print_message("seed %llu\n", (unsigned long long)seed);
    str_init(&text);
    str_init(&back);
    for (int round = 0; round < 3000; round++) {
        random_text(&seed, &text);
        tokens.count = 0;
        assert_true(vocab_encode(vocab, str_get(&text), text.bytes,
                                 round % 2 ? TEXT_ADD_SPECIAL : 0, &tokens, NULL));
        decode(vocab, tokens.ids, tokens.count, &back);
        assert_int_equal(back.bytes, text.bytes);
        assert_memory_equal(str_get(&back), str_get(&text), text.bytes);
    }
    tokens.count = 0;
    assert_true(vocab_encode(vocab, "a" SPACE "b", 5, 0, &tokens, NULL));
    decode(vocab, tokens.ids, tokens.count, &back);
    assert_string_equal(str_get(&back), "a b");
    str_finish(&text);
    str_finish(&back);
    text_tokens_finish(&tokens);
    vocab_destroy(vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),      cmocka_unit_test(test_holds_back),
        cmocka_unit_test(test_first_space), cmocka_unit_test(test_golden),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
