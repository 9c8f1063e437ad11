/* Typed reads of metadata: OK, ABSENT and BAD for every getter, and the elements of arrays. */
#include "gguf/gguf.h"
#include "gguf/writer.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct log log;
    uint8_t *data;
    struct gguf_file *file;
};

static void add_numbers(struct gguf_writer *w)
{
    static const struct {
        const char *key;
        enum gguf_type type;
        int64_t value;
        size_t bytes;
    } INTS[] = {{"u8", GGUF_U8, 200, 1},      {"i8", GGUF_I8, 100, 1},
                {"i8.neg", GGUF_I8, -1, 1},   {"u16", GGUF_U16, 60000, 2},
                {"i16", GGUF_I16, 30000, 2},  {"i16.neg", GGUF_I16, -30000, 2},
                {"u32", GGUF_U32, -1, 4},     {"i32", GGUF_I32, 7, 4},
                {"i32.neg", GGUF_I32, -7, 4}, {"u64", GGUF_U64, 5000, 8},
                {"u64.big", GGUF_U64, -1, 8}, {"i64", GGUF_I64, 4294967295, 8},
                {"i64.neg", GGUF_I64, -2, 8}, {"i64.big", GGUF_I64, 4294967296, 8}};
    for (size_t i = 0; i < sizeof INTS / sizeof INTS[0]; i++) {
        gguf_writer_add_raw(w, INTS[i].key, INTS[i].type, &INTS[i].value, INTS[i].bytes);
    }
    const double f64 = 0.25, big = 1e300;
    gguf_writer_add_raw(w, "f64", GGUF_F64, &f64, 8);
    gguf_writer_add_raw(w, "f64.big", GGUF_F64, &big, 8);
    gguf_writer_add_f32(w, "f32", -1.5f);
    gguf_writer_add_f32(w, "nan", NAN);
    gguf_writer_add_f32(w, "inf", INFINITY);
    gguf_writer_add_f32(w, "tiny", 0x1p-149f);
}

static int set_up(void **state)
{
    struct fixture *f = mem_alloc(1, sizeof *f);
    struct gguf_writer w;
    size_t bytes;
    const struct gguf_str words[] = {{"ab", 2}, {"", 0}, {"c\0d", 3}};
    const double doubles[] = {0.5, -2};
    const int8_t bytes3[] = {-1, 0, 5};
    const uint8_t bools[] = {1, 0};
    log_init(&f->log, NULL, NULL, LOG_INFO);
    gguf_writer_init(&w);
    add_numbers(&w);
    gguf_writer_add_bool(&w, "yes", true);
    gguf_writer_add_bool(&w, "no", false);
    gguf_writer_add_str(&w, "text", "hello");
    gguf_writer_add_str(&w, "empty", "");
    gguf_writer_add_strs(&w, "words", words, 3);
    gguf_writer_add_strs(&w, "no words", words, 0);
    gguf_writer_add_array(&w, "doubles", GGUF_F64, doubles, 2);
    gguf_writer_add_array(&w, "i8s", GGUF_I8, bytes3, 3);
    gguf_writer_add_array(&w, "bools", GGUF_BOOL, bools, 2);
    f->data = gguf_writer_build(&w, &bytes);
    gguf_writer_finish(&w);
    f->file = gguf_open_memory("values", f->data, bytes, &f->log);
    *state = f;
    return f->file != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gguf_close(f->file);
    mem_free(f->data);
    log_finish(&f->log);
    mem_free(f);
    return 0;
}

static void line_has(struct fixture *f, const char *fragment)
{
    char line[1024];
    log_get_last(&f->log, line, sizeof line);
    if (strstr(line, fragment) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", line, fragment);
    }
}

static void integers(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *key;
        uint32_t want;
    } GOOD[] = {{"u8", 200}, {"i8", 100},   {"u16", 60000},      {"i16", 30000},
                {"i32", 7},  {"u64", 5000}, {"u32", UINT32_MAX}, {"i64", UINT32_MAX}};
    static const struct {
        const char *key, *fragment;
    } WRONG[] = {{"i8.neg", "values: key i8.neg: -1 does not fit"},
                 {"i16.neg", "-30000 does not fit"},
                 {"i32.neg", "-7 does not fit"},
                 {"i64.neg", "-2 does not fit"},
                 {"i64.big", "4294967296 does not fit"},
                 {"u64.big", "18446744073709551615 does not fit"},
                 {"f32", "key f32: is of type f32, must be an integer"},
                 {"f64", "is of type f64"},
                 {"yes", "is of type bool"},
                 {"text", "is of type string"},
                 {"i8s", "is an array of i8, must be an integer"}};
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        uint32_t value = 1;
        assert_int_equal(gguf_get_u32(f->file, GOOD[i].key, &value), GGUF_OK);
        assert_int_equal(value, GOOD[i].want);
    }
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        uint32_t value = 1;
        assert_int_equal(gguf_get_u32(f->file, WRONG[i].key, &value), GGUF_BAD);
        assert_int_equal(value, 1);
        line_has(f, WRONG[i].fragment);
    }
    uint32_t value = 1;
    assert_int_equal(gguf_get_u32(f->file, "nothing", &value), GGUF_ABSENT);
    assert_int_equal(value, 1);
}

static void floats(void **state)
{
    struct fixture *f = *state;
    float value = 9;
    assert_int_equal(gguf_get_f32(f->file, "f32", &value), GGUF_OK);
    assert_true(value == -1.5f);
    assert_int_equal(gguf_get_f32(f->file, "f64", &value), GGUF_OK);
    assert_true(value == 0.25f);
    assert_int_equal(gguf_get_f32(f->file, "tiny", &value), GGUF_OK);
    assert_true(value == 0x1p-149f);
    value = 9;
    assert_int_equal(gguf_get_f32(f->file, "nothing", &value), GGUF_ABSENT);
    static const char *const WRONG[][2] = {
        {"nan", "nan is not a finite"},        {"inf", "inf is not a finite"},
        {"f64.big", "1e+300 is not a finite"}, {"u32", "is of type u32, must be f32 or f64"},
        {"text", "is of type string"},         {"doubles", "is an array of f64"}};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        assert_int_equal(gguf_get_f32(f->file, WRONG[i][0], &value), GGUF_BAD);
        line_has(f, WRONG[i][1]);
    }
    assert_true(value == 9);
}

static void bools_and_strings(void **state)
{
    struct fixture *f = *state;
    bool b = false;
    assert_int_equal(gguf_get_bool(f->file, "yes", &b), GGUF_OK);
    assert_true(b);
    assert_int_equal(gguf_get_bool(f->file, "no", &b), GGUF_OK);
    assert_false(b);
    assert_int_equal(gguf_get_bool(f->file, "nothing", &b), GGUF_ABSENT);
    assert_int_equal(gguf_get_bool(f->file, "u8", &b), GGUF_BAD);
    line_has(f, "key u8: is of type u8, must be bool");
    struct gguf_str s = {NULL, 0};
    assert_int_equal(gguf_get_str(f->file, "text", &s), GGUF_OK);
    assert_int_equal(s.bytes, 5);
    assert_memory_equal(s.text, "hello", 5);
    assert_int_equal(gguf_get_str(f->file, "empty", &s), GGUF_OK);
    assert_int_equal(s.bytes, 0);
    assert_int_equal(gguf_get_str(f->file, "nothing", &s), GGUF_ABSENT);
    assert_int_equal(gguf_get_str(f->file, "words", &s), GGUF_BAD);
    line_has(f, "is an array of string, must be a string");
    assert_int_equal(gguf_get_str(f->file, "u8", &s), GGUF_BAD);
    line_has(f, "is of type u8, must be a string");
}

static void arrays(void **state)
{
    struct fixture *f = *state;
    const struct gguf_kv *kv = NULL;
    struct gguf_str s;
    uint64_t cursor = 0;
    assert_int_equal(gguf_get_array(f->file, "words", GGUF_STRING, &kv), GGUF_OK);
    assert_int_equal(kv->count, 3);
    assert_true(gguf_array_next(kv, &cursor, &s));
    assert_int_equal(s.bytes, 2);
    assert_true(gguf_array_next(kv, &cursor, &s));
    assert_int_equal(s.bytes, 0);
    assert_true(gguf_array_next(kv, &cursor, &s));
    assert_int_equal(s.bytes, 3);
    assert_memory_equal(s.text, "c\0d", 3);
    assert_false(gguf_array_next(kv, &cursor, &s));
    assert_false(gguf_array_next(kv, &cursor, &s));
    assert_int_equal(gguf_get_array(f->file, "no words", GGUF_STRING, &kv), GGUF_OK);
    cursor = 0;
    assert_false(gguf_array_next(kv, &cursor, &s));
    assert_int_equal(gguf_get_array(f->file, "doubles", GGUF_F64, &kv), GGUF_OK);
    assert_true(gguf_array_f32(kv, 0) == 0.5f && gguf_array_f32(kv, 1) == -2);
    assert_int_equal(gguf_get_array(f->file, "i8s", GGUF_I8, &kv), GGUF_OK);
    assert_int_equal(gguf_array_u32(kv, 0), UINT32_MAX);
    assert_int_equal(gguf_array_u32(kv, 2), 5);
    assert_false(gguf_array_next(kv, &cursor, &s));
    assert_int_equal(gguf_get_array(f->file, "bools", GGUF_BOOL, &kv), GGUF_OK);
    assert_int_equal(gguf_array_u32(kv, 0), 1);
    assert_int_equal(gguf_get_array(f->file, "nothing", GGUF_F32, &kv), GGUF_ABSENT);
    assert_int_equal(gguf_get_array(f->file, "i8s", GGUF_F32, &kv), GGUF_BAD);
    line_has(f, "key i8s: is an array of i8, must be an array of f32");
    assert_int_equal(gguf_get_array(f->file, "u8", GGUF_U8, &kv), GGUF_BAD);
    line_has(f, "key u8: is of type u8, must be an array of u8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(floats),
        cmocka_unit_test(bools_and_strings),
        cmocka_unit_test(arrays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
