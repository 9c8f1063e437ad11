/* Bad files, in the classes of the project's bad-input corpus (G01 to G34, named beside each):
 * every one is refused with one line that names the file, the field and the value. And the odd
 * files that must be read. */
#include "gguf/gguf.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define MINUS_1 UINT64_MAX

/* ---- a file, byte by byte ---- */

static void u32(struct str *s, uint32_t v)
{
    str_add(s, (const char *)&v, 4);
}

static void u64(struct str *s, uint64_t v)
{
    str_add(s, (const char *)&v, 8);
}

static void text(struct str *s, const char *t)
{
    u64(s, strlen(t));
    str_add(s, t, strlen(t));
}

static void head(struct str *s, uint64_t n_tensors, uint64_t n_kvs)
{
    str_init(s);
    str_add(s, "GGUF", 4);
    u32(s, 3);
    u64(s, n_tensors);
    u64(s, n_kvs);
}

static void kv_u32(struct str *s, const char *key, uint32_t value)
{
    text(s, key);
    u32(s, GGUF_U32);
    u32(s, value);
}

static void info(struct str *s, const char *name, uint32_t type, uint64_t cols, uint64_t rows,
                 uint64_t offset)
{
    text(s, name);
    u32(s, 2);
    u64(s, cols);
    u64(s, rows);
    u32(s, type);
    u64(s, offset);
}

static void zeros(struct str *s, size_t n)
{
    static const char ZEROS[64];
    for (; n > 64; n -= 64) {
        str_add(s, ZEROS, 64);
    }
    str_add(s, ZEROS, n);
}

/* Pads to 32 bytes, then n bytes of tensor data. */
static void data(struct str *s, size_t n)
{
    zeros(s, (32 - s->bytes % 32) % 32);
    zeros(s, n);
}

/* NULL: must be read; else the line must have this text. Finishes `s`. */
static void expect(struct str *s, const char *fragment)
{
    struct log log;
    char line[1024];
    assert_false(s->failed);
    uint8_t *copy = mem_alloc(s->bytes, 1); /* exact size: the sanitizer sees one byte too many */
    memcpy(copy, str_get(s), s->bytes);
    log_init(&log, NULL, NULL, LOG_INFO);
    struct gguf_file *file = gguf_open_memory("bad.gguf", copy, s->bytes, &log);
    log_get_last(&log, line, sizeof line);
    if (fragment == NULL && file == NULL) {
        fail_msg("refused: %s", line);
    }
    if (fragment != NULL) {
        if (file != NULL) {
            fail_msg("read, but should say \"%s\"", fragment);
        }
        if (strncmp(line, "bad.gguf: ", 10) != 0 || strstr(line, fragment) == NULL) {
            fail_msg("says \"%s\", not \"%s\"", line, fragment);
        }
    }
    gguf_close(file);
    log_finish(&log);
    mem_free(copy);
    str_finish(s);
}

/* ---- classes ---- */

static void header(void **state)
{
    (void)state;
    struct str s;
    /* G01 */
    str_init(&s);
    expect(&s, "the file is empty");
    for (size_t n = 1; n < 24; n++) {
        str_init(&s);
        str_add(&s, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", n);
        expect(&s, "the header needs 24");
    }
    head(&s, 0, 0);
    expect(&s, NULL);
    /* G04 */
    static const struct {
        const char *magic, *fragment;
    } MAGICS[] = {{"gguf", "magic 67 67 75 66: not a GGUF file"},
                  {"PK\3\4", "magic 50 4b 03 04"},
                  {"tjgg", "before GGUF"},
                  {"GGJT", "magic GGJT: a file of the time before GGUF"},
                  {"lmgg", "before GGUF"},
                  {"GGML", "before GGUF"}};
    for (size_t i = 0; i < sizeof MAGICS / sizeof MAGICS[0]; i++) {
        head(&s, 0, 0);
        memcpy(s.text, MAGICS[i].magic, 4);
        expect(&s, MAGICS[i].fragment);
    }
    static const struct {
        uint32_t version;
        const char *fragment;
    } VERSIONS[] = {{0, "version 0: only"},
                    {1, "version 1: only GGUF versions 2 and 3"},
                    {2, NULL},
                    {3, NULL},
                    {4, "version 4: only"},
                    {UINT32_MAX, "version 4294967295: only"},
                    {0x03000000, "big-endian"}};
    for (size_t i = 0; i < sizeof VERSIONS / sizeof VERSIONS[0]; i++) {
        head(&s, 0, 0);
        memcpy(s.text + 4, &VERSIONS[i].version, 4);
        expect(&s, VERSIONS[i].fragment);
    }
}

static void counts(void **state)
{
    (void)state;
    struct str s;
    static const uint64_t COUNTS[] = {
        MINUS_1, 1ull << 63, 1ull << 32, SIZE_MAX / 72 - 1, SIZE_MAX / 72 + 1, SIZE_MAX / 40, 1};
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        head(&s, COUNTS[i], 0); /* G05 */
        expect(&s, "n_tensors = ");
        head(&s, 0, COUNTS[i]); /* G06 */
        expect(&s, "n_kv = ");
    }
    head(&s, MINUS_1, 0);
    expect(&s, "n_tensors = 18446744073709551615: a file of 24 bytes cannot hold that many");
    head(&s, 0, 300000);
    zeros(&s, 300000 * 14);
    expect(&s, "n_kv = 300000 is above the limit of 262144");
    head(&s, 3, 0); /* the file could hold three by its size, but it holds one */
    info(&s, "a", 0, 1, 1, 0);
    zeros(&s, 60);
    expect(&s, "tensor 1: name of 0 bytes");
}

static void keys(void **state)
{
    (void)state;
    struct str s;
    static const struct {
        uint64_t bytes;
        const char *fragment;
    } LENGTHS[] = {{0, "key 0: name of 0 bytes"},
                   {MINUS_1, "key 0: name of 18446744073709551615 bytes"},
                   {1ull << 63, "key 0: name of 9223372036854775808 bytes"},
                   {17, "key 0: name of 17 bytes (1 to 65535 allowed, 16 left"},
                   {65536, "key 0: name of 65536 bytes"}};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) { /* G07, G09 */
        head(&s, 0, 1);
        u64(&s, LENGTHS[i].bytes);
        zeros(&s, 16);
        expect(&s, LENGTHS[i].fragment);
    }
    static const char *const NAMES[][2] = {{"a\nb", "byte 1 of the name is 0x0a"}, /* G11 */
                                           {"\xff", "byte 0 of the name is 0xff"},
                                           {"ab\x7f", "byte 2 of the name is 0x7f"},
                                           {"%s%n", NULL}};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        head(&s, 0, 1);
        kv_u32(&s, NAMES[i][0], 0);
        expect(&s, NAMES[i][1]);
    }
    head(&s, 0, 1);
    u64(&s, 3);
    str_add(&s, "a\0b", 3);
    u32(&s, GGUF_U32);
    u32(&s, 0);
    expect(&s, "byte 1 of the name is 0x00");
    static const size_t LONG[] = {65535, 65536};
    for (size_t i = 0; i < 2; i++) {
        head(&s, 0, 1);
        u64(&s, LONG[i]);
        for (size_t c = 0; c < LONG[i]; c++) {
            str_add(&s, "k", 1);
        }
        u32(&s, GGUF_U32);
        u32(&s, 0);
        expect(&s, i == 0 ? NULL : "name of 65536 bytes");
    }
    head(&s, 0, 3); /* G14 */
    kv_u32(&s, "x", 1);
    kv_u32(&s, "same", 1);
    text(&s, "same");
    u32(&s, GGUF_U8);
    str_add(&s, "\1", 1);
    expect(&s, "key same: given twice, as number 1 and 2");
}

static void key_types(void **state)
{
    (void)state;
    struct str s;
    static const struct {
        uint32_t type, elem; /* elem: with type ARRAY */
        const char *fragment;
    } TYPES[] = {{13, 0, "key x: value type 13 does not exist"}, /* G08 */
                 {UINT32_MAX, 0, "value type 4294967295"},
                 {1u << 31, 0, "value type 2147483648"},
                 {GGUF_ARRAY, GGUF_ARRAY, "array of elements of type 9, nested"},
                 {GGUF_ARRAY, 13, "array of elements of type 13, which does not exist"},
                 {GGUF_ARRAY, UINT32_MAX, "array of elements of type 4294967295"}};
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        head(&s, 0, 1);
        text(&s, "x");
        u32(&s, TYPES[i].type);
        u32(&s, TYPES[i].elem);
        u64(&s, 1);
        zeros(&s, 32);
        expect(&s, TYPES[i].fragment);
    }
    static const struct {
        uint32_t elem;
        uint64_t count;
        const char *fragment; /* NULL: read */
    } ARRAYS[] = {{GGUF_U64, 1ull << 61, "key x: array of 2305843009213693952 elements"}, /* G12 */
                  {GGUF_STRING, MINUS_1, "array of 18446744073709551615 elements"},
                  {GGUF_U8, 1ull << 40, "array of 1099511627776 elements"}, /* G13 */
                  {GGUF_U32, 9, "array of 9 elements"},
                  {GGUF_U32, 8, NULL},
                  {GGUF_STRING, 5, "array of 5 elements"},
                  {GGUF_STRING, 4, NULL},
                  {GGUF_BOOL, 32, NULL},
                  {GGUF_U8, 0, NULL}};
    for (size_t i = 0; i < sizeof ARRAYS / sizeof ARRAYS[0]; i++) {
        head(&s, 0, 1);
        text(&s, "x");
        u32(&s, GGUF_ARRAY);
        u32(&s, ARRAYS[i].elem);
        u64(&s, ARRAYS[i].count);
        zeros(&s, 32);
        expect(&s, ARRAYS[i].fragment);
    }
}

static void key_values(void **state)
{
    (void)state;
    struct str s;
    static const uint64_t LENGTHS[] = {MINUS_1, 1ull << 63, (1ull << 30) + 1, 17}; /* G09, G10 */
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        head(&s, 0, 1);
        text(&s, "x");
        u32(&s, GGUF_STRING);
        u64(&s, LENGTHS[i]);
        zeros(&s, 16);
        expect(&s, "key x: string of ");
    }
    static const char BOOLS[] = {0, 1, 2, (char)255}; /* G15 */
    for (size_t i = 0; i < sizeof BOOLS; i++) {
        head(&s, 0, 1);
        text(&s, "x");
        u32(&s, GGUF_BOOL);
        str_add(&s, &BOOLS[i], 1);
        expect(&s, i == 2 ? "key x: bool value 2, must" : i == 3 ? "bool value 255" : NULL);
    }
}

static void alignment(void **state)
{
    (void)state;
    struct str s;
    static const uint32_t TYPES[] = {GGUF_I32, GGUF_STRING, GGUF_ARRAY, GGUF_U64};
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) { /* G16 */
        head(&s, 0, 1);
        text(&s, "general.alignment");
        u32(&s, TYPES[i]);
        zeros(&s, TYPES[i] == GGUF_I32 ? 4 : TYPES[i] == GGUF_ARRAY ? 12 : 8);
        expect(&s, "key general.alignment: is of type ");
    }
    static const struct {
        uint32_t value;
        const char *fragment;
    } VALUES[] = {{0, "key general.alignment: 0 is not a power of two"}, /* G17 */
                  {1, NULL},
                  {3, "key general.alignment: 3 is not"},
                  {8, NULL},
                  {1u << 31, "2147483648 is not a power of two from 1 to 1048576"},
                  {UINT32_MAX, "4294967295 is not"}};
    for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
        head(&s, 1, 1);
        kv_u32(&s, "general.alignment", VALUES[i].value);
        info(&s, "t", 0, 4, 1, 0);
        data(&s, 16);
        expect(&s, VALUES[i].fragment);
    }
    head(&s, 2, 1); /* offsets follow the file's alignment, not 32 */
    kv_u32(&s, "general.alignment", 8);
    info(&s, "t", 0, 2, 1, 0);
    info(&s, "u", 0, 2, 1, 8);
    data(&s, 16);
    expect(&s, NULL);
    head(&s, 2, 1);
    kv_u32(&s, "general.alignment", 64);
    info(&s, "t", 0, 2, 1, 0);
    info(&s, "u", 0, 2, 1, 32);
    zeros(&s, 512);
    expect(&s, "tensor u: offset 32 is not a multiple of the alignment 64");
}

static void names(void **state)
{
    (void)state;
    struct str s;
    static const struct {
        size_t n;
        const char *fragment;
    } LENGTHS[] = {{0, "tensor 0: name of 0 bytes"}, /* G21, G22 */
                   {63, NULL},
                   {64, "tensor 0: name of 64 bytes, 1 to 63 are allowed"},
                   {4096, "tensor 0: name of 4096 bytes"}};
    static char name[4097];
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        memset(name, 'n', sizeof name);
        name[LENGTHS[i].n] = '\0';
        head(&s, 1, 0);
        info(&s, name, 0, 4, 1, 0);
        data(&s, 16);
        expect(&s, LENGTHS[i].fragment);
    }
    static const char *const NAMES[][2] = {
        {"a\nb", "tensor 0: byte 1 of the name is 0x0a"}, /* G23 */
        {"\xc3\xa9", "byte 0 of the name is 0xc3"},
        {"../../etc/passwd", NULL},
        {"%s%s%n", NULL}};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        head(&s, 1, 0);
        info(&s, NAMES[i][0], 0, 4, 1, 0);
        data(&s, 16);
        expect(&s, NAMES[i][1]);
    }
    head(&s, 3, 0);
    info(&s, "a", 0, 4, 1, 0);
    info(&s, "b", 0, 4, 1, 32);
    info(&s, "a", 0, 4, 1, 64);
    data(&s, 96);
    expect(&s, "tensor a: given twice, as number 0 and 2");
    head(&s, 1, 0);
    u64(&s, 40);
    zeros(&s, 30);
    expect(&s, "tensor 0 of 1: its info is cut off");
}

static void shapes(void **state)
{
    (void)state;
    struct str s;
    static const uint32_t N_DIMS[] = {0, 5, UINT32_MAX}; /* G24 */
    for (size_t i = 0; i < sizeof N_DIMS / sizeof N_DIMS[0]; i++) {
        head(&s, 1, 0);
        text(&s, "t");
        u32(&s, N_DIMS[i]);
        zeros(&s, 128);
        expect(&s, "tensor t: n_dims = ");
    }
    static const struct {
        uint32_t type;
        uint64_t cols, rows;
        const char *fragment;
    } SHAPES[] = {
        {0, 0, 4, NULL}, /* G25: nothing in it, but that is not the reader's business */
        {0, 4, 0, NULL},
        {0, 4, MINUS_1, "tensor t: shape [4, 18446744073709551615, 1, 1] overflows"},
        {0, 4, INT64_MAX, "overflows"},
        {0, INT64_MAX, 1, "overflows"},
        {0, 0, MINUS_1, "overflows"},
        {UINT32_MAX, 4, 1, "tensor t: type 4294967295 does not exist"}, /* G26 */
        {1000, 4, 1, "type 1000 does not exist"},
        {4, 32, 1, "type 4 does not exist"},
        {5, 32, 1, "type 5 does not exist"},
        {31, 32, 1, "type 31 does not exist"},
        {32, 32, 1, "type 32 does not exist"},
        {33, 32, 1, "type 33 does not exist"},
        {36, 32, 1, "type 36 does not exist"},
        {38, 32, 1, "type 38 does not exist"},
        {16, 256, 1, NULL},                       /* known, though no kernel reads it */
        {0, 1ull << 32, 1ull << 31, "overflows"}, /* G28 */
        {0, 1ull << 31, 1ull << 31, "overflows"}, /* elements fit, bytes wrap to 0 */
        {1, 1ull << 31, 1ull << 31, "reach beyond"},
        {8, 33, 1, "tensor t: 33 columns, Q8_0 needs a multiple of 32"}, /* G29 */
        {12, 128, 1, "128 columns, Q4_K needs a multiple of 256"},
        {0, 33, 4, "tensor t: 528 bytes at offset 0 reach beyond the 512 bytes"}, /* G30 */
        {0, 32, 4, NULL},
    };
    for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++) {
        head(&s, 1, 0);
        info(&s, "t", SHAPES[i].type, SHAPES[i].cols, SHAPES[i].rows, 0);
        data(&s, 512);
        expect(&s, SHAPES[i].fragment);
    }
    head(&s, 1, 0); /* wraps only with the third and fourth dimension */
    text(&s, "t");
    u32(&s, 4);
    for (int i = 0; i < 4; i++) {
        u64(&s, 1u << 16);
    }
    u32(&s, 0);
    u64(&s, 0);
    data(&s, 64);
    expect(&s, "shape [65536, 65536, 65536, 65536] overflows");
}

static void places(void **state)
{
    (void)state;
    struct str s;
    head(&s, 2, 0); /* G31, G32: sums that wrap; each alone is already too large */
    info(&s, "a", 24, INT64_MAX, 1, 0);
    info(&s, "b", 24, INT64_MAX, 1, 1ull << 63);
    data(&s, 64);
    expect(&s, "tensor a: 9223372036854775807 bytes at offset 0 reach beyond");
    static const struct {
        uint64_t a, b; /* offsets of two tensors of 64 bytes, 192 bytes of data */
        const char *fragment;
    } OFFSETS[] = {{0, 64, NULL}, /* G33 */
                   {64, 0, NULL},
                   {128, 0, NULL}, /* a gap */
                   {0, 65, "tensor b: offset 65 is not a multiple of the alignment 32"},
                   {0, 32, "tensors a and b: their data overlaps"},
                   {32, 0, "tensors b and a: their data overlaps"},
                   {0, 0, "overlaps"},
                   {0, 160, "tensor b: 64 bytes at offset 160 reach beyond the 192 bytes"},
                   {0, 192, "tensor b: 64 bytes at offset 192 reach beyond"},
                   {0, 1ull << 63, "tensor b: 64 bytes at offset 9223372036854775808 reach"},
                   {0, MINUS_1, "offset 18446744073709551615 is not a multiple"},
                   {0, MINUS_1 - 31, "offset 18446744073709551584 reach beyond"},
                   {MINUS_1 - 63, 0, "tensor a: 64 bytes at offset 18446744073709551552 reach"}};
    for (size_t i = 0; i < sizeof OFFSETS / sizeof OFFSETS[0]; i++) {
        head(&s, 2, 0);
        info(&s, "a", 0, 16, 1, OFFSETS[i].a);
        info(&s, "b", 0, 16, 1, OFFSETS[i].b);
        data(&s, 192);
        expect(&s, OFFSETS[i].fragment);
    }
    head(&s, 2, 0); /* the last by one byte */
    info(&s, "a", 24, 32, 1, 0);
    info(&s, "b", 24, 32, 1, 32);
    data(&s, 63);
    expect(&s, "tensor b: 32 bytes at offset 32 reach beyond the 63 bytes");
    head(&s, 1, 0); /* G34 */
    info(&s, "a", 0, 1, 1, 0);
    assert_int_not_equal(s.bytes % 32, 0);
    expect(&s, "tensor data starts at byte 96 (alignment 32), the file has 65");
}

/* For the heap of this process, where no sanitizer needs its own. */
static void limit_memory(uint64_t bytes)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif
#if defined(SANITIZED)
    (void)bytes;
#else
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_DATA, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
#endif
}

/* G19: more names than there are one-byte names; refused at once, not after n^2 comparisons. */
static void many_equal_names(void **state)
{
    (void)state;
    struct str s;
    char key[2] = "";
    limit_memory(512ull << 20);
    uint64_t start = os_clock_ns();
    head(&s, 0, 100000);
    for (uint32_t i = 0; i < 100000; i++) {
        key[0] = (char)('!' + i % 90);
        kv_u32(&s, key, i);
    }
    expect(&s, "key !: given twice, as number 0 and 90");
    head(&s, 1000000, 0);
    for (uint32_t i = 0; i < 1000000; i++) {
        key[0] = (char)('!' + i % 90);
        info(&s, key, 0, 0, 1, 0);
    }
    expect(&s, "tensor !: given twice, as number 0 and 90");
    assert_true(os_clock_ns() - start < 10000000000ull);
}

int main(void)
{
    limit_memory(64ull << 20); /* no small file may ask for more */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header),     cmocka_unit_test(counts),
        cmocka_unit_test(keys),       cmocka_unit_test(key_types),
        cmocka_unit_test(key_values), cmocka_unit_test(alignment),
        cmocka_unit_test(names),      cmocka_unit_test(shapes),
        cmocka_unit_test(places),     cmocka_unit_test(many_equal_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
