/* Texts and tokens of tasks in both styles, against what the definitions give by hand: Python's
 * rules of lm-evaluation-harness, llama.cpp's steps. The tokenizer here makes a token of each
 * character, but "th" is one, and so is " t". */
#include "eval/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BOS = 1, TH = 2, SPACE_T = 3 };

static bool tokenize(void *user, const char *text, size_t bytes, bool special, bool parse,
                     uint32_t **ids, size_t *count)
{
    size_t n = 0;
    *ids = mem_alloc(bytes + 1, sizeof **ids);
    if (special && user == NULL) {
        (*ids)[n++] = BOS;
    }
    for (size_t i = 0; i < bytes; n++) {
        size_t left = bytes - i;
        if (parse && left >= 3 && memcmp(text + i, "<s>", 3) == 0) {
            (*ids)[n] = BOS;
            i += 3;
        } else if (left >= 2 &&
                   (memcmp(text + i, "th", 2) == 0 || memcmp(text + i, " t", 2) == 0)) {
            (*ids)[n] = text[i] == 't' ? TH : SPACE_T;
            i += 2;
        } else {
            (*ids)[n] = (unsigned char)text[i++];
        }
    }
    *count = n;
    return true;
}

static struct eval_task lines(const char *context)
{
    return (struct eval_task){
        .line = 1, .label = 1, .context = context, .ending = {"aa", "ab", "b", "cde"}};
}

static void check_context(const struct eval_task *task, enum eval_style style, const char *wanted)
{
    struct eval_texts texts;
    assert_true(eval_texts_make(&texts, task, style));
    assert_string_equal(texts.context, wanted);
    assert_string_equal(texts.between, " ");
    eval_texts_finish(&texts);
}

static void contexts_of_lines(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        /* as it is, and as lm-eval would have it */
        {"Roof: A man sits. he", "Roof: A man sits. He"},
        {"Roof: A man sits. the Old man, in Rome", "Roof: A man sits. The old man, in rome"},
        {"Roof: A man sits! \xc3\xa9l", "Roof: A man sits! \xc3\x89l"},
        {"Roof: a man sits.", "Roof: a man sits."},
        {"Roof: A man sits. He stands.", "Roof: A man sits. He stands."},
        {"Roof: A man sits. He Stands", "Roof: A man sits. He Stands"},
        {"Roof: a man. sits. a", "Roof: a man. sits. A"},
        {"Roof: A man [step] sits. on", "Roof: A man sits. On"},
        {"Roof: the man [title] sits", "Roof: the man. sits"},
        {"x", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eval_task task = lines(cases[i][0]);
        check_context(&task, EVAL_LLAMA, cases[i][0]);
        check_context(&task, EVAL_LM_EVAL, cases[i][1]);
    }
}

static struct eval_task object(const char *a, const char *b, const char *ctx)
{
    return (struct eval_task){.activity = "How to  sit",
                              .ctx_a = a,
                              .ctx_b = b,
                              .context = ctx,
                              .ending = {"aa", "ab", "b", "cde"}};
}

/* Values from the Python of the definition:
 *     def preprocess(t): t = t.strip(); t = t.replace(" [title]", ". ")
 *         t = re.sub(r"\[.*?\]", "", t); return t.replace("  ", " ") */
static void contexts_of_json(void **state)
{
    (void)state;
    struct eval_task task = object("A man.", "he Sits in Rome", "A man. he Sits in Rome");
    check_context(&task, EVAL_LM_EVAL, "How to sit: A man. He sits in rome");
    check_context(&task, EVAL_LLAMA, "How to sit: A man. he Sits in Rome");
    task = object("A man.", "", "");
    check_context(&task, EVAL_LM_EVAL, "How to sit: A man.");
    check_context(&task, EVAL_LLAMA, "How to sit: A man.");
    task = object("[header] Sit [title] Find a chair. [step] Look [substeps] for one.", "",
                  "[header] Sit [title] Find a chair. [step] Look [substeps] for one.");
    check_context(&task, EVAL_LM_EVAL, "How to sit: Sit. Find a chair. Look for one.");
    check_context(&task, EVAL_LLAMA, "How to sit: Sit. Find a chair. Look for one.");
    task = object("Sit [a [b] c] d] [open", "", "[title] Sit [title]. x [a]");
    check_context(&task, EVAL_LM_EVAL, "How to sit: Sit c] d] [open");
    check_context(&task, EVAL_LLAMA, "How to sit: Sit. . x [a]");
    task = object("A man.", "\xc3\xa9T\xc3\x89", "A man.   x ");
    check_context(&task, EVAL_LM_EVAL, "How to sit: A man. \xc3\x89t\xc3\xa9");
    check_context(&task, EVAL_LLAMA, "How to sit: A man.  x");
}

static void endings(void **state)
{
    (void)state;
    struct eval_task task = object("A", "b", "A b");
    struct eval_texts texts;
    task.ending[0] = "  spaces, caf\xc3\xa9 \xc2\xa0";
    task.ending[1] = "a [title] b [step] c";
    assert_true(eval_texts_make(&texts, &task, EVAL_LM_EVAL));
    assert_string_equal(texts.ending[0], "spaces, caf\xc3\xa9");
    assert_int_equal(texts.n_chars[0], 12);
    assert_int_equal(texts.n_bytes[0], 13);
    assert_string_equal(texts.ending[1], "a. b c");
    eval_texts_finish(&texts);
    assert_true(eval_texts_make(&texts, &task, EVAL_LLAMA));
    assert_string_equal(texts.ending[0], "spaces, caf\xc3\xa9 \xc2\xa0");
    assert_string_equal(texts.ending[1], "a. b c");
    eval_texts_finish(&texts);
}

/* Spaces at the end of a context go to the ending (here a title ends it). */
static void spaces(void **state)
{
    (void)state;
    struct eval_task task = object("A man [title]", "", "");
    struct eval_texts texts;
    assert_true(eval_texts_make(&texts, &task, EVAL_LM_EVAL));
    assert_string_equal(texts.context, "How to sit: A man.");
    assert_string_equal(texts.between, "  ");
    eval_texts_finish(&texts);
}

static void make(struct eval_item *item, struct eval_task *task, enum eval_style style, void *user)
{
    struct eval_set set = {.tasks = task, .n = 1};
    struct eval_tokenizer tokenizer = {tokenize, user, BOS};
    struct log log;
    log_init(&log, NULL, NULL, LOG_WARN);
    assert_true(eval_item_make(item, &set, 0, style, &tokenizer, &log));
    log_finish(&log);
}

/* "x aa", "x ab", "x b", "x cde": BOS, x, space are common. */
static void scored(void **state)
{
    (void)state;
    struct eval_task task = lines("x");
    struct eval_item item;
    for (int style = 0; style < 2; style++) {
        make(&item, &task, (enum eval_style)style, NULL);
        assert_int_equal(item.n_ways, 4);
        assert_int_equal(item.shared, 2);
        assert_int_equal(item.from, style == EVAL_LM_EVAL ? 2 : 3); /* the space counts, or not */
        assert_int_equal(item.n[0], 5);
        assert_int_equal(item.n[2], 4);
        assert_int_equal(item.n[3], 6);
        assert_int_equal(item.tokens[3][5], 'e');
        assert_int_equal(eval_item_pair_rows(&item), 4 + 4 + 3 + 5);
        assert_int_equal(eval_item_rows(&item), 2 + 2 + 2 + 1 + 3);
        assert_int_equal(eval_item_wanted(&item),
                         style == EVAL_LM_EVAL ? 1 + 2 + 2 + 1 + 3 : 2 + 2 + 1 + 3);
        eval_item_finish(&item);
    }
}

/* Words that all endings begin with count for lm-eval, not for llama.cpp. */
static void common_words(void **state)
{
    (void)state;
    struct eval_task task = lines("x");
    struct eval_item item;
    task.ending[0] = "is a", task.ending[1] = "is b", task.ending[2] = "is c";
    task.ending[3] = "is";
    make(&item, &task, EVAL_LM_EVAL, NULL);
    assert_int_equal(item.from, 2);
    assert_int_equal(item.shared, 4); /* BOS x space i | s, in each way again */
    assert_int_equal(eval_item_wanted(&item), 3 + 2 + 2 + 2 + 0);
    eval_item_finish(&item);
    task.ending[3] = "is d";
    make(&item, &task, EVAL_LLAMA, NULL);
    assert_int_equal(item.from, 6);
    assert_int_equal(item.shared, 5);
    eval_item_finish(&item);
}

/* A merge over the border: " t" is one token, but "x" alone has the same length as the context. */
static void merges(void **state)
{
    (void)state;
    struct eval_task task = lines("xt");
    struct eval_item item;
    task.ending[0] = "tt";
    make(&item, &task, EVAL_LM_EVAL, NULL);
    assert_int_equal(item.from, 3);
    assert_int_equal(item.tokens[0][3], SPACE_T);
    assert_int_equal(item.shared, 2); /* BOS x | t */
    eval_item_finish(&item);
}

static void bos(void **state)
{
    (void)state;
    struct eval_task task = lines("<s>x");
    struct eval_item item;
    make(&item, &task, EVAL_LM_EVAL, NULL); /* the text's own, once */
    assert_int_equal(item.n[2], 4);
    assert_int_equal(item.from, 2);
    eval_item_finish(&item);
    make(&item, &task, EVAL_LLAMA, NULL); /* text */
    assert_int_equal(item.n[2], 7);
    eval_item_finish(&item);
    task = lines("x");
    make(&item, &task, EVAL_LM_EVAL, &task); /* a vocabulary without */
    assert_int_equal(item.n[2], 3);
    assert_int_equal(item.from, 1);
    eval_item_finish(&item);
}

static void refuse(struct eval_task *task, enum eval_style style, const char *why)
{
    struct eval_set set = {.tasks = task, .n = 1};
    struct eval_tokenizer tokenizer = {tokenize, task, UINT32_MAX}; /* no BOS */
    struct eval_item item;
    struct log log;
    log_init(&log, NULL, NULL, LOG_WARN);
    assert_false(eval_item_make(&item, &set, 0, style, &tokenizer, &log));
    if (strstr(log.last, why) == NULL) {
        fail_msg("'%s' does not say '%s'", log.last, why);
    }
    eval_item_finish(&item);
    log_finish(&log);
}

static void refused(void **state)
{
    (void)state;
    struct eval_task task = lines("x");
    task.ending[2] = "[step]";
    refuse(&task, EVAL_LM_EVAL, "task 0 (line 1): ending 2 is empty");
    task = lines("x");
    task.ending[1] = "a", task.ending[2] = "ab", task.ending[3] = "ac";
    refuse(&task, EVAL_LLAMA, "task 0 (line 1): ending 1 has no token of its own: 'a'");
    task = lines("[step]");
    refuse(&task, EVAL_LM_EVAL, "the vocabulary adds no BOS");
}

static void utf8(void **state)
{
    (void)state;
    size_t n;
    const char *spaces = " \t\n\xc2\xa0\xe3\x80\x80x \xe2\x80\x89\r";
    assert_int_equal(eval_space_begin(spaces, strlen(spaces)), 8);
    assert_int_equal(eval_space_end(spaces, strlen(spaces)), 5);
    assert_int_equal(eval_space_end("   ", 3), 3);
    assert_int_equal(eval_utf8_get("\xf0\x9f\x98\x80", &n), 0x1f600);
    assert_int_equal(n, 4);
    static const char *const bad[] = {"\x80",         "\xc0\xaf",         "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                                      "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(eval_utf8_valid(bad[i], strlen(bad[i])), 0);
    }
    assert_int_equal(eval_utf8_valid("a\xe2\x82\xac\xf4\x8f\xbf\xbf", 8), 8);
    struct str str;
    str_init(&str);
    const char *word = "\xd0\xbf\xd0\x9f\xd1\x91\xd0\x81 \xce\xb1\xce\x91 Z\xc3\x97\xc3\xbf";
    eval_add_capitalized(&str, word, strlen(word));
    assert_string_equal(str_get(&str),
                        "\xd0\x9f\xd0\xbf\xd1\x91\xd1\x91 \xce\xb1\xce\xb1 z\xc3\x97\xc3\xbf");
    str_finish(&str);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_of_lines),
        cmocka_unit_test(contexts_of_json),
        cmocka_unit_test(endings),
        cmocka_unit_test(spaces),
        cmocka_unit_test(scored),
        cmocka_unit_test(common_words),
        cmocka_unit_test(merges),
        cmocka_unit_test(bos),
        cmocka_unit_test(refused),
        cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
