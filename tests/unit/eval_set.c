/* Readers of task files: both forms, packed and plain, and every way in which they may be damaged;
 * which tasks are chosen. */
#include "eval/eval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <bzlib.h>
#include <cmocka.h>

#define FILE_NAME QD_BINARY_DIR "/eval_set_test.txt"
#define GOOD      "Roof: A man sits. he\n3\nis one.\nis two.\nis three.\nis four.\n"
#define OBJECT(label, endings)                                                                     \
    "{\"ind\": 4, \"activity_label\": \"Roof\", \"ctx_a\": \"A man sits.\", \"ctx_b\": \"he\", "   \
    "\"ctx\": \"A man sits. he\", \"label\": " label ", \"endings\": " endings "}\n"
#define FOUR "[\"a\", \"b\", \"c\", \"d\"]"

static void put(const void *bytes, size_t n)
{
    FILE *file = fopen(FILE_NAME, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static bool read(struct eval_set *set, struct log *log, const char *text, size_t n)
{
    log_init(log, NULL, NULL, LOG_WARN);
    put(text, n);
    return eval_set_read(set, FILE_NAME, log);
}

static void refuses_bytes(const char *text, size_t n, const char *why)
{
    struct eval_set set;
    struct log log;
    assert_false(read(&set, &log, text, n));
    if (strstr(log.last, FILE_NAME) == NULL || strstr(log.last, why) == NULL) {
        fail_msg("'%s' does not say '%s'", log.last, why);
    }
    eval_set_finish(&set);
    log_finish(&log);
}

static void refuses(const char *text, const char *why)
{
    refuses_bytes(text, strlen(text), why);
}

static void check_good(const char *text, size_t n, size_t tasks)
{
    struct eval_set set;
    struct log log;
    bool ok = read(&set, &log, text, n);
    assert_string_equal(log.last, "");
    assert_true(ok);
    assert_int_equal(set.n, tasks);
    for (size_t i = 0; i < set.n; i++) {
        assert_int_equal(set.tasks[i].line, 1 + 6 * i);
        assert_int_equal(set.tasks[i].label, 3);
        assert_string_equal(set.tasks[i].context, "Roof: A man sits. he");
        assert_string_equal(set.tasks[i].ending[0], "is one.");
        assert_string_equal(set.tasks[i].ending[3], "is four.");
        assert_null(set.tasks[i].activity);
    }
    eval_set_finish(&set);
    log_finish(&log);
}

static void lines(void **state)
{
    (void)state;
    check_good(GOOD, strlen(GOOD), 1);
    check_good(GOOD GOOD, 2 * strlen(GOOD), 2);
    check_good(GOOD, strlen(GOOD) - 1, 1);
    check_good("\xef\xbb\xbf" GOOD, 3 + strlen(GOOD), 1);
    const char *returns =
        "Roof: A man sits. he\r\n3\r\nis one.\r\nis two.\r\nis three.\r\nis four.\r\n";
    check_good(returns, strlen(returns), 1);
}

static void damaged_lines(void **state)
{
    (void)state;
    refuses("", "no tasks");
    refuses(" \n\t\n", "no tasks");
    refuses(GOOD "x\n", "line 7: the file ends, 1 lines of six");
    refuses(GOOD "\n", "line 7: the file ends");
    refuses("c: d\n4\na\nb\nc\nd\n", "line 2: label '4' is none of 0, 1, 2 and 3");
    refuses("c: d\n33\na\nb\nc\nd\n", "label '33'");
    refuses("c: d\n-1\na\nb\nc\nd\n", "label '-1'");
    refuses(GOOD
            "c: d\nthree little endings that are no label\xc3\xa9\xc3\xa9\xc3\xa9\na\nb\nc\nd\n",
            "line 8: label 'three little endings that are no label");
    refuses("c: d\n1\na\n \nc\nd\n", "line 4: the ending is empty");
    refuses("c: d\n\na\nb\nc\nd\n", "line 2: the label is empty");
    refuses(GOOD "\n1\na\nb\nc\nd\n", "line 7: the context is empty");
    refuses("c: d\n1\na\nb\xc3(\nc\nd\n", "line 4: byte 0xc3 at 10 is not valid UTF-8");
    refuses("c: d\n1\na\nb\xed\xa0\x80\nc\nd\n", "not valid UTF-8");
    refuses_bytes("c: d\n1\na\nb\0b\nc\nd\n", 16, "line 4: byte 0x00");
}

static void json(void **state)
{
    (void)state;
    struct eval_set set;
    struct log log;
    const char *text = OBJECT("\"2\"", FOUR) "\n" OBJECT("0", FOUR);
    assert_true(read(&set, &log, text, strlen(text)));
    assert_int_equal(set.n, 2);
    assert_int_equal(set.tasks[0].label, 2);
    assert_int_equal(set.tasks[1].label, 0);
    assert_int_equal(set.tasks[1].line, 3);
    assert_string_equal(set.tasks[1].activity, "Roof");
    assert_string_equal(set.tasks[1].ctx_a, "A man sits.");
    assert_string_equal(set.tasks[1].ctx_b, "he");
    assert_string_equal(set.tasks[1].context, "A man sits. he");
    assert_string_equal(set.tasks[1].ending[3], "d");
    eval_set_finish(&set);
    log_finish(&log);
}

/* All fields of the official form, in its order: a task with a fragment behind its last sentence
 * and one with marks. Texts are those of six lines, in both styles, but for lm-eval where an ending
 * begins with a mark: the space behind the mark stays, and six lines do not have it any more. */
static void official_json(void **state)
{
    (void)state;
    const char *object =
        "{\"ind\": 7, \"activity_label\": \"Mending nets\", \"ctx_a\": \"Two men sit by a boat.\", "
        "\"ctx_b\": \"one\", \"ctx\": \"Two men sit by a boat. one\", \"split\": \"val\", "
        "\"split_type\": \"zeroshot\", \"label\": 2, \"endings\": [\"mends it.\", \", dry, "
        "waits.\", "
        "\"doesn't row.\", \"of them sings.\"], \"source_id\": \"activitynet~v_x\"}\n"
        "{\"ind\": 8, \"activity_label\": \"Home\", \"ctx_a\": \"[header] How to dry wool [title] "
        "Rinse it. [step] Use cold water.\", \"ctx_b\": \"\", \"ctx\": \"[header] How to dry wool "
        "[title] Rinse it. [step] Use cold water.\", \"split\": \"val\", \"split_type\": "
        "\"indomain\", \"label\": 0, \"endings\": [\"Wait. [title] Hang it up. [step] Outside.\", "
        "\"[substeps] Wring it.\", \"Press it.\", \"Fold it.\"], \"source_id\": \"wikihow~1\"}\n";
    const char *lines = "Mending nets: Two men sit by a boat. one\n2\nmends it.\n, dry, waits.\n"
                        "doesn't row.\nof them sings.\n"
                        "Home: How to dry wool. Rinse it. Use cold water.\n0\n"
                        "Wait.. Hang it up. Outside.\nWring it.\nPress it.\nFold it.\n";
    struct eval_set set[2];
    struct log log[2];
    assert_true(read(&set[0], &log[0], object, strlen(object)));
    assert_true(read(&set[1], &log[1], lines, strlen(lines)));
    assert_int_equal(set[0].n, 2);
    assert_int_equal(set[1].n, 2);
    for (uint32_t i = 0; i < 4; i++) {
        struct eval_texts texts[2];
        for (uint32_t k = 0; k < 2; k++) {
            assert_true(eval_texts_make(&texts[k], &set[k].tasks[i / 2],
                                        i % 2 == 0 ? EVAL_LM_EVAL : EVAL_LLAMA));
        }
        assert_int_equal(set[0].tasks[i / 2].label, set[1].tasks[i / 2].label);
        assert_string_equal(texts[0].context, texts[1].context);
        for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
            bool marked = i == 2 && e == 1;
            assert_int_equal(*texts[0].ending[e] == ' ', marked);
            assert_string_equal(texts[0].ending[e] + marked, texts[1].ending[e]);
        }
        eval_texts_finish(&texts[0]);
        eval_texts_finish(&texts[1]);
    }
    for (uint32_t k = 0; k < 2; k++) {
        eval_set_finish(&set[k]);
        log_finish(&log[k]);
    }
}

static void damaged_json(void **state)
{
    (void)state;
    refuses("{\"label\": 1\n", "line 1: no JSON object");
    refuses(OBJECT("1", FOUR) "[1]\n", "line 2: no JSON object");
    refuses(OBJECT("4", FOUR), "line 1: label is 4: must be 0, 1, 2 or 3");
    refuses(OBJECT("\"\"", FOUR), "label is \"\"");
    refuses(OBJECT("1.5", FOUR), "label is 1.5");
    refuses(OBJECT("null", FOUR), "label is null");
    refuses(OBJECT("1", "[\"a\", \"b\", \"c\"]"), "endings is [\"a\",\"b\",\"c\"]: must be a list");
    refuses(OBJECT("1", "[\"a\", \"b\", \"c\", \"d\", \"e\"]"), "must be a list of four");
    refuses(OBJECT("1", "[\"a\", \"b\", \"\", \"d\"]"), "endings[2] is \"\"");
    refuses(OBJECT("1", "[\"a\", \"b\", 7, \"d\"]"), "endings[2] is 7");
    refuses(OBJECT("1", "[\"a\", \"b\\ud800\", \"c\", \"d\"]"), "line 1: no JSON object");
    refuses("{\"label\": 1, \"endings\": " FOUR "}\n", "activity_label is missing");
    refuses("{\"label\": 1, \"activity_label\": \"x\", \"endings\": " FOUR "}\n",
            "ctx_a is missing");
    refuses("{\"label\": 1, \"label\": 2}\n", "duplicate");
}

static void packed(void **state)
{
    (void)state;
    char bytes[4096];
    unsigned n = sizeof bytes / 2, m;
    assert_int_equal(BZ2_bzBuffToBuffCompress(bytes, &n, (char[]){GOOD}, strlen(GOOD), 9, 0, 0), 0);
    check_good(bytes, n, 1);
    m = sizeof bytes - n; /* two streams, as bzip2 -c a b makes them */
    assert_int_equal(BZ2_bzBuffToBuffCompress(bytes + n, &m, (char[]){GOOD}, strlen(GOOD), 1, 0, 0),
                     0);
    check_good(bytes, n + m, 2);
    refuses_bytes(bytes, n - 5, "bzip2");
    refuses_bytes(bytes, 4, "ends too early");
    refuses_bytes(bytes, n + 7, "ends too early");
    bytes[n / 2] ^= 0x10;
    refuses_bytes(bytes, n, "damaged");
    refuses_bytes("BZhello", 7, "damaged");
}

static void missing(void **state)
{
    (void)state;
    struct eval_set set;
    struct log log;
    log_init(&log, NULL, NULL, LOG_WARN);
    assert_false(eval_set_read(&set, QD_BINARY_DIR "/no such file", &log));
    assert_non_null(strstr(log.last, "no such file"));
    eval_set_finish(&set);
    log_finish(&log);
}

/* What g++ 12's std::mt19937 and std::uniform_int_distribution give for 10,042 tasks. */
static void choice(void **state)
{
    (void)state;
    static const uint32_t first[] = {4187, 10013, 7233, 9363, 1,   1286,
                                     3036, 10032, 1474, 2371, 927, 3984};
    static uint32_t out[10042];
    static bool seen[10042];
    assert_true(eval_pick_llama(10042, 400, out));
    assert_memory_equal(out, first, sizeof first);
    assert_int_equal(out[398], 9534);
    assert_int_equal(out[399], 4001);
    assert_true(eval_pick_llama(10042, 10042, out));
    assert_memory_equal(out, first, sizeof first);
    for (uint32_t i = 0; i < 10042; i++) {
        assert_true(out[i] < 10042 && !seen[out[i]]);
        seen[out[i]] = true;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),         cmocka_unit_test(damaged_lines), cmocka_unit_test(json),
        cmocka_unit_test(official_json), cmocka_unit_test(damaged_json),  cmocka_unit_test(packed),
        cmocka_unit_test(missing),       cmocka_unit_test(choice),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove(FILE_NAME);
    return failed;
}
