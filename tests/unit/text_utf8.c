/* The UTF-8 reader: every code point, every short byte string against a decoder written the other
 * way round, and the Unicode standard's own examples of replacement. */
#include "text/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static size_t encode(uint32_t code, unsigned char *out)
{
    if (code < 0x80) {
        out[0] = (unsigned char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code >>= 6) {
        out[i] = (unsigned char)(0x80 | (code & 0x3f));
    }
    out[0] = (unsigned char)((0xf00 >> n) & 0xff) | (unsigned char)code;
    return n;
}

static void test_every_code(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        unsigned char bytes[4];
        uint32_t got;
        size_t n = encode(code, bytes);
        bool good = code < 0xd800 || (code >= 0xe000 && code < 0x110000);
        assert_int_equal(utf8_valid((char *)bytes, n), good);
        if (good) {
            assert_int_equal(utf8_read((char *)bytes, n, &got), n);
            assert_int_equal(got, code);
        }
        for (size_t cut = 1; good && cut < n; cut++) {
            assert_int_equal(utf8_read((char *)bytes, cut, &got), cut);
            assert_true(got == UTF8_PART);
        }
    }
}

/* A string is valid if and only if it is some code point's encoding, byte for byte. */
static void test_every_triple(void **state)
{
    (void)state;
    uint32_t n_valid = 0;
    for (uint32_t bits = 0; bits < 1u << 24; bits += 1 + (bits % 7 == 0)) {
        unsigned char s[3] = {(unsigned char)(bits >> 16), (unsigned char)(bits >> 8),
                              (unsigned char)bits};
        uint32_t code;
        uint32_t n = utf8_read((char *)s, 3, &code);
        assert_true(n >= 1 && n <= 3);
        if (code != UTF8_BAD && code != UTF8_PART) {
            unsigned char again[4];
            assert_int_equal(encode(code, again), n);
            assert_memory_equal(again, s, n);
            n_valid += n == 3;
        }
    }
    assert_true(n_valid > 30000);
}

static const struct {
    const char *in, *out; /* '?' in out stands for U+FFFD */
} REPLACED[] = {
    /* Unicode 15, section 3.9, tables 3-8 to 3-11 */
    {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", "????????A"},
    {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", "????????A"},
    {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", "?????A??B"},
    {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "????A"},
    {"a\xc3", "a?"},
    {"\xe2\x82", "?"},
    {"\xf0\x9f\x98", "?"},
    {"\xf0\x9f\x98x", "?x"},
    {"\x80\xbf", "??"},
    {"\xf8\x88\x80\x80\x80", "?????"},
    {"good \xe2\x82\xac", "good \xe2\x82\xac"},
    {"", ""},
};

static void test_replacement(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REPLACED / sizeof *REPLACED; i++) {
        struct str got, want;
        str_init(&got);
        str_init(&want);
        for (const char *c = REPLACED[i].out; *c != '\0'; c++) {
            str_add(&want, *c == '?' ? "\xef\xbf\xbd" : c, *c == '?' ? 3 : 1);
        }
        utf8_clean(&got, REPLACED[i].in, strlen(REPLACED[i].in));
        assert_string_equal(str_get(&got), str_get(&want));
        assert_true(utf8_valid(str_get(&got), got.bytes));
        str_finish(&got);
        str_finish(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code),
        cmocka_unit_test(test_every_triple),
        cmocka_unit_test(test_replacement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
