/* Pre-tokenizers: the classes of characters, the words that each name cuts a text into, and long
 * texts of one kind on a small stack. The words are those of llama.cpp. */
#include "text_toy.h"

#include "base/hash.h"
#include "text/internal.h"

#include <pthread.h>

static void test_classes(void **state)
{
    (void)state;
    static const uint32_t ONE[] = {CLASS_LETTER, CLASS_NUMBER, CLASS_PUNCT,
                                   CLASS_MARK,   CLASS_SPACE,  CLASS_OTHER};
    /* Unicode 15.1: L, N, P, M, White_Space; the rest is what remains of 0x110000. */
    static const uint32_t COUNT[] = {136726, 1831, 842, 2450, 25, 972238};
    static const struct {
        uint32_t code, class;
    } SOME[] = {{'a', CLASS_LETTER},    {'0', CLASS_NUMBER},     {'_', CLASS_PUNCT},
                {'$', CLASS_OTHER},     {0, CLASS_OTHER},        {'\v', CLASS_SPACE},
                {0x85, CLASS_SPACE},    {0xad, CLASS_OTHER},     {0xb2, CLASS_NUMBER},
                {0x301, CLASS_MARK},    {0x3000, CLASS_SPACE},   {0x200b, CLASS_OTHER},
                {0x4e2d, CLASS_LETTER}, {0x2ebf0, CLASS_LETTER}, {0x1f600, CLASS_OTHER},
                {0x378, CLASS_OTHER},   {0xd800, CLASS_OTHER},   {0x10ffff, CLASS_OTHER}};
    uint32_t counts[6] = {0};
    uint8_t *classes = text_class_create();
    assert_non_null(classes);
    for (uint32_t code = 0; code < TEXT_CODE_POINTS; code++) {
        uint32_t i = 0;
        while (i < 6 && classes[code] != ONE[i]) {
            i++;
        }
        assert_true(i < 6);
        counts[i]++;
    }
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(counts[i], COUNT[i]);
    }
    for (size_t i = 0; i < sizeof SOME / sizeof *SOME; i++) {
        assert_int_equal(classes[SOME[i].code], SOME[i].class);
    }
    mem_free(classes);
}

#define E_ACUTE "\xc3\xa9"         /* small */
#define A_GRAVE "\xc3\x80"         /* capital */
#define ALEF    "\xd7\x90"         /* a letter without case */
#define ZHONG   "\xe4\xb8\xad"     /* a letter, CJK */
#define ACUTE   "\xcc\x81"         /* a mark */
#define NBSP    "\xc2\xa0"         /* a space */
#define HALF    "\xc2\xbd"         /* a number */
#define COMMA   "\xef\xbc\x8c"     /* a punctuation mark */
#define FACE    "\xf0\x9f\x98\x80" /* a symbol */

/* The text is the words one after the other. */
static const struct words {
    const char *pre, *words[16];
} WORDS[] = {
    {"gpt-2", {"I", "'s", " a", "'", "S", " 1234", "  ", " b", "\n", "c", "!!", " ?", "\t ", NULL}},
    {"gpt-2", {"a", ACUTE, HALF "2", NBSP, ZHONG E_ACUTE, COMMA FACE, " ", NULL}},
    {"mpt", {"'ll", "'re", "'", "r", " '", "ve", NULL}},
    {"llama-bpe", {"I", "'S", "'ll", " a", "123", "4", " ", "567", "!!\r\n", " \n\n", "  ", " b"}},
    {"llama-bpe", {"a", ACUTE "b", NBSP "c", "(d", " ?", "\t", "\te", "  "}},
    {"qwen2", {"I", "'Re", " a", "1", "2", HALF, " !\n\n\n", "b", "  \n", " ", " c"}},
    {"qwen35", {"a" ACUTE "b", "!" ACUTE ACUTE "c", "1"}},
    {"tekken", {"Hello", "World", "ABCd", " ", "1", "2", "://\n", "x"}},
    {"gpt-4o", {"Hello", "World's", " I'LL", "123", "4", " //\n/", "x"}},
    {"falcon", {"a", "``$", " ", "<=", "b", " ", "123", "456", "7", "'", "s"}},
    {"default", {"``", "a", "~", " ", "123", "4", NULL}},
    {"starcoder", {"a", "1", "2", " ", "3", " b", "'s", "  ", " c", NULL}},
    {"deepseek-llm",
     {"a", "\n", "\n", " b", " ", " c", "!?", " ", ZHONG ZHONG, "12" HALF, "d", "  ", NULL}},
    {"deepseek-llm", {ALEF, " x", A_GRAVE E_ACUTE, "y", COMMA, "  ", NULL}},
    {"deepseek-coder", {"ab", " " E_ACUTE, "\r", "\n", " ", " c", "(!", "1", "2", " +", ";", NULL}},
};

struct collected {
    const char *words[32];
    size_t bytes[32], n, total;
};

static bool collect(void *user, const char *word, size_t bytes)
{
    struct collected *c = user;
    assert_true(bytes > 0);
    if (c->n < 32) {
        c->words[c->n] = word;
        c->bytes[c->n] = bytes;
    }
    c->n++;
    c->total += bytes;
    return true;
}

static void test_words(void **state)
{
    (void)state;
    uint8_t *classes = text_class_create();
    uint32_t failed = 0;
    assert_non_null(classes);
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        char text[512] = "";
        const char *const *words = WORDS[i].words;
        size_t n = 0;
        struct collected got = {.n = 0};
        for (; n < 16 && words[n] != NULL; n++) {
            memcpy(text + strlen(text), words[n], strlen(words[n]) + 1);
        }
        struct pretok_text view = {.text = text, .classes = classes};
        const struct pretok *pretok = pretok_find(WORDS[i].pre, strlen(WORDS[i].pre));
        assert_non_null(pretok);
        assert_true(pretok_split(pretok, &view, strlen(text), collect, &got));
        bool same = got.n == n;
        for (size_t k = 0; k < n && same; k++) {
            same = got.bytes[k] == strlen(words[k]) &&
                   memcmp(got.words[k], words[k], got.bytes[k]) == 0;
        }
        if (!same) {
            for (size_t k = 0; k < got.n; k++) {
                print_message("[%.*s]", (int)got.bytes[k], got.words[k]);
            }
            print_message(": other words of %s, row %zu\n", WORDS[i].pre, i);
            failed++;
        }
    }
    assert_int_equal(failed, 0);
    assert_null(pretok_find("gpt-", 4));
    assert_null(pretok_find("gpt-22", 6));
    assert_null(pretok_find("", 0));
    mem_free(classes);
}

static bool stop(void *user, const char *word, size_t bytes)
{
    (void)word;
    (void)bytes;
    return --*(int *)user > 0;
}

static void test_stops(void **state)
{
    (void)state;
    uint8_t *classes = text_class_create();
    int left = 3;
    assert_non_null(classes);
    struct pretok_text view = {.text = "a b c d e", .classes = classes};
    assert_false(pretok_split(pretok_find("gpt-2", 5), &view, 9, stop, &left));
    assert_int_equal(left, 0);
    mem_free(classes);
}

/* ---- long texts ---- */

enum { LONG = 1 << 17, STACK = 128 << 10 };

static const char *const KINDS[] = {"a", " ",   "7",   "\n", FACE, ZHONG, ACUTE, "A", ALEF,
                                    "'", " \n", "  x", ".",  "1,", NBSP,  "aB",  " !"};

struct job {
    const char *pre;
    uint64_t words;
    bool ok;
};

static void *run_long(void *user)
{
    struct job *job = user;
    struct toy *toy = toy_create_bpe(job->pre);
    uint32_t aa = toy_merge(toy, 'a', 'a');
    toy_merge(toy, aa, aa);
    toy_merge(toy, ' ', ' ');
    struct vocab *vocab = toy_open(toy);
    char *text = mem_alloc(LONG + 8, 1);
    job->ok = vocab != NULL && text != NULL;
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS && job->ok; i++) {
        struct text_tokens tokens = {0};
        size_t bytes = 0, width = strlen(KINDS[i]);
        for (; bytes + width <= LONG; bytes += width) {
            memcpy(text + bytes, KINDS[i], width);
        }
        job->ok = vocab_encode(vocab, text, bytes, 0, &tokens, NULL) && tokens.count > 0;
        job->words += tokens.count;
        text_tokens_finish(&tokens);
    }
    mem_free(text);
    vocab_destroy(vocab);
    toy_finish(toy);
    return NULL;
}

/* 128 KiB of one thing, for each name: nothing recurses by the text's length, nothing is quadratic
 * (that would take minutes). */
static void test_long(void **state)
{
    (void)state;
    static const char *const PRES[] = {"default", "gpt-2",        "llama-bpe",      "qwen2",
                                       "qwen35",  "tekken",       "gpt-4o",         "falcon",
                                       "dbrx",    "deepseek-llm", "deepseek-coder", "starcoder"};
    for (size_t i = 0; i < sizeof PRES / sizeof *PRES; i++) {
        struct job job = {.pre = PRES[i]};
        pthread_attr_t attr;
        pthread_t thread;
        assert_int_equal(pthread_attr_init(&attr), 0);
        assert_int_equal(pthread_attr_setstacksize(&attr, STACK), 0);
        assert_int_equal(pthread_create(&thread, &attr, run_long, &job), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        pthread_attr_destroy(&attr);
        assert_true(job.ok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
