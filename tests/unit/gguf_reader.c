/* Reading whole files: a written file comes back, a cut or flipped one is refused or read without
 * harm, the demo model has what it should, names are found in linear time. */
#include "gguf/gguf.h"
#include "gguf/writer.h"

#include "base/mem.h"
#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint8_t *make_file(uint32_t version, size_t *bytes)
{
    static const float FLOATS[64] = {1, 2, 3, 4};
    static const uint8_t BLOCKS[34 * 4] = {7};
    const struct gguf_str words[] = {{"one", 3}, {"", 0}, {"three\n", 6}};
    const int16_t shorts[] = {-1, 2, -3};
    const uint64_t vector[] = {64}, matrix[] = {64, 2};
    struct gguf_writer w;
    gguf_writer_init(&w);
    w.version = version;
    gguf_writer_add_str(&w, "general.architecture", "llama");
    gguf_writer_add_u32(&w, "a.number", 4000000000u);
    gguf_writer_add_f32(&w, "a.float", 0.5f);
    gguf_writer_add_bool(&w, "a.bool", true);
    gguf_writer_add_strs(&w, "a.words", words, 3);
    gguf_writer_add_array(&w, "a.shorts", GGUF_I16, shorts, 3);
    gguf_writer_add_tensor(&w, "norm", 0, 1, vector, FLOATS, sizeof FLOATS);
    gguf_writer_add_tensor(&w, "matrix", 8, 2, matrix, BLOCKS, sizeof BLOCKS);
    uint8_t *out = gguf_writer_build(&w, bytes);
    gguf_writer_finish(&w);
    assert_non_null(out);
    return out;
}

static void written_files_come_back(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        size_t bytes;
        uint8_t *data = make_file(version, &bytes);
        struct log log;
        log_init(&log, NULL, NULL, LOG_INFO);
        struct gguf_file *file = gguf_open_memory("made", data, bytes, &log);
        assert_non_null(file);
        assert_int_equal(gguf_version(file), version);
        assert_int_equal(gguf_file_bytes(file), bytes);
        assert_string_equal(gguf_path(file), "made");
        assert_ptr_equal(gguf_log(file), &log);
        assert_int_equal(gguf_kv_count(file), 6);
        assert_int_equal(gguf_tensor_count(file), 2);
        assert_ptr_equal(gguf_find(file, "a.bool"), gguf_kv_at(file, 3));
        assert_null(gguf_find(file, "a.boo"));
        const struct gguf_tensor *t = gguf_tensor_find(file, "matrix");
        assert_ptr_equal(t, gguf_tensor_at(file, 1));
        assert_int_equal(t->type, 8);
        assert_int_equal(t->n_dims, 2);
        assert_int_equal(t->dims[0], 64);
        assert_int_equal(t->dims[1], 2);
        assert_int_equal(t->dims[2], 1);
        assert_int_equal(t->dims[3], 1);
        assert_int_equal(t->bytes, 34 * 4);
        assert_int_equal(t->offset % 32, 0);
        assert_int_equal(gguf_data(file, t)[0], 7);
        assert_int_equal(gguf_tensor_at(file, 0)->bytes, 256);
        assert_null(gguf_tensor_find(file, "matri"));
        assert_true(gguf_check_size(file));
        gguf_drop(file, t, 0, t->bytes); /* memory of the caller: nothing happens */
        assert_int_equal(gguf_data(file, t)[0], 7);
        gguf_close(file);
        log_finish(&log);
        mem_free(data);
    }
}

/* Opens a copy of exactly this size, so that a sanitizer sees every byte read too far. */
static bool opens(const uint8_t *data, size_t bytes, char line[1024])
{
    struct log log;
    log_init(&log, NULL, NULL, LOG_INFO);
    uint8_t *copy = mem_alloc(bytes, 1);
    memcpy(copy, data, bytes);
    struct gguf_file *file = gguf_open_memory("cut", copy, bytes, &log);
    bool ok = file != NULL;
    log_get_last(&log, line, 1024);
    assert_true(ok == (line[0] == '\0'));
    assert_true(ok || strncmp(line, "cut: ", 5) == 0);
    gguf_close(file);
    mem_free(copy);
    log_finish(&log);
    return ok;
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    size_t bytes;
    char line[1024];
    uint8_t *data = make_file(3, &bytes);
    assert_true(opens(data, bytes, line));
    for (size_t n = 0; n < bytes; n++) {
        if (opens(data, n, line)) {
            fail_msg("cut to %d of %d bytes and still read", (int)n, (int)bytes);
        }
    }
    mem_free(data);
}

static void flipped_files_do_no_harm(void **state)
{
    (void)state;
    size_t bytes, refused = 0;
    char line[1024];
    uint8_t *data = make_file(3, &bytes);
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        bool ok = opens(data, bytes, line);
        refused += !ok;
        /* magic, version and both counts: every flip shows but version 3 -> 2 and, as unused data
           after the infos is no error, 2 tensors -> 0 */
        if (ok && bit < 24 * 8 && bit != 4 * 8 && bit != 8 * 8 + 1) {
            fail_msg("bit %d of the header flipped and still read", (int)bit);
        }
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    print_message("%d of %d flips refused\n", (int)refused, (int)(bytes * 8));
    assert_true(refused > 24 * 8);
    mem_free(data);
}

static void bad_paths_are_refused(void **state)
{
    (void)state;
    struct log log;
    char line[1024];
    log_init(&log, NULL, NULL, LOG_INFO);
    assert_null(gguf_open(QD_BINARY_DIR "/no-such-file.gguf", &log));
    log_get_last(&log, line, sizeof line);
    assert_non_null(strstr(line, "no-such-file.gguf"));
    assert_null(gguf_open(QD_BINARY_DIR, &log));
    log_get_last(&log, line, sizeof line);
    assert_non_null(strstr(line, "not a regular file"));
    log_finish(&log);
}

static void shrunk_files_are_noticed(void **state)
{
    (void)state;
    const char *path = QD_BINARY_DIR "/gguf_reader_shrunk.gguf";
    const uint64_t dims[] = {4096};
    struct log log;
    struct gguf_writer w;
    log_init(&log, NULL, NULL, LOG_INFO);
    gguf_writer_init(&w);
    gguf_writer_add_tensor(&w, "t", 0, 1, dims, NULL, 4096 * 4);
    assert_true(gguf_writer_save(&w, path, &log));
    gguf_writer_finish(&w);
    struct gguf_file *file = gguf_open(path, &log);
    assert_non_null(file);
    assert_true(gguf_check_size(file));
    const struct gguf_tensor *t = gguf_tensor_at(file, 0);
    gguf_drop(file, t, 0, t->bytes);
    assert_int_equal(gguf_data(file, gguf_tensor_at(file, 0))[5], 0); /* read again from the file */
    uint8_t bytes[16];
    char line[1024];
    assert_true(gguf_read(file, t, t->bytes - 16, bytes, 16) && bytes[15] == 0);
    assert_false(gguf_read(file, t, t->bytes - 15, bytes, 16));
    assert_int_equal(errno, EINVAL);
    gguf_read_error(file, t, EINVAL);
    log_get_last(&log, line, sizeof line);
    assert_non_null(strstr(line, ": t: cannot read: Invalid argument"));
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fclose(out);
    assert_false(gguf_read(file, t, 0, bytes, 16));
    assert_int_equal(errno, 0);
    gguf_read_error(file, t, 0);
    log_get_last(&log, line, sizeof line);
    assert_non_null(strstr(line, "shorter"));
    assert_false(gguf_check_size(file));
    log_get_last(&log, line, sizeof line);
    assert_non_null(strstr(line, "shorter"));
    gguf_close(file);
    log_finish(&log);
    remove(path);
}

static void demo_model_is_read(void **state)
{
    (void)state;
    struct log log;
    uint32_t n = 0;
    float f = 0;
    bool b = false;
    struct gguf_str s;
    const struct gguf_kv *kv;
    log_init(&log, NULL, NULL, LOG_INFO);
    struct gguf_file *file = gguf_open(QD_SOURCE_DIR "/models/classics-13m-F16.gguf", &log);
    assert_non_null(file);
    assert_int_equal(gguf_version(file), 3);
    assert_int_equal(gguf_kv_count(file), 22);
    assert_int_equal(gguf_tensor_count(file), 110);
    assert_int_equal(gguf_get_str(file, "general.architecture", &s), GGUF_OK);
    assert_int_equal(s.bytes, 5);
    assert_memory_equal(s.text, "llama", 5);
    assert_int_equal(gguf_get_u32(file, "llama.block_count", &n), GGUF_OK);
    assert_int_equal(n, 12);
    assert_int_equal(gguf_get_f32(file, "llama.rope.freq_base", &f), GGUF_OK);
    assert_true(f == 10000.0f);
    assert_int_equal(gguf_get_bool(file, "tokenizer.ggml.add_bos_token", &b), GGUF_OK);
    assert_true(b);
    assert_int_equal(gguf_get_array(file, "tokenizer.ggml.tokens", GGUF_STRING, &kv), GGUF_OK);
    assert_int_equal(kv->count, 4096);
    uint64_t cursor = 0, walked = 0;
    while (gguf_array_next(kv, &cursor, &s)) {
        walked++;
        assert_true(walked != 3 || (s.bytes == 4 && memcmp(s.text, "</s>", 4) == 0));
    }
    assert_int_equal(walked, 4096);
    assert_int_equal(gguf_get_array(file, "tokenizer.ggml.token_type", GGUF_I32, &kv), GGUF_OK);
    assert_int_equal(gguf_array_u32(kv, 0), 2);
    assert_int_equal(gguf_array_u32(kv, 3), 6);
    const struct gguf_tensor *t = gguf_tensor_find(file, "blk.11.ffn_down.weight");
    assert_non_null(t);
    assert_int_equal(t->type, 1);
    assert_int_equal(t->dims[0], 1024);
    assert_int_equal(t->dims[1], 256);
    t = gguf_tensor_find(file, "token_embd.weight");
    assert_int_equal(t->offset, 98560);
    assert_int_equal(t->bytes, 4096 * 256 * 2);
    gguf_close(file);
    log_finish(&log);
}

/* 100,000 keys and 1,000,000 tensors, all of different names: read in linear time. */
static void many_names_are_read(void **state)
{
    (void)state;
    enum { KVS = 100000, TENSORS = 1000000 };
    struct gguf_writer w;
    struct log log;
    size_t bytes;
    char name[32];
    const uint64_t dims[] = {0};
    log_init(&log, NULL, NULL, LOG_INFO);
    gguf_writer_init(&w);
    for (uint32_t i = 0; i < KVS; i++) {
        snprintf(name, sizeof name, "k%u", i);
        gguf_writer_add_u32(&w, name, i);
    }
    for (uint32_t i = 0; i < TENSORS; i++) {
        snprintf(name, sizeof name, "t%u", i);
        gguf_writer_add_tensor(&w, name, 0, 1, dims, NULL, 0);
    }
    uint8_t *data = gguf_writer_build(&w, &bytes);
    gguf_writer_finish(&w);
    uint64_t start = os_clock_ns();
    struct gguf_file *file = gguf_open_memory("many", data, bytes, &log);
    uint64_t ms = (os_clock_ns() - start) / 1000000;
    assert_non_null(file);
    print_message("%d keys and %d tensors: %d ms\n", KVS, TENSORS, (int)ms);
    assert_true(ms < 20000); /* quadratic: minutes */
    assert_ptr_equal(gguf_tensor_find(file, "t999999"), gguf_tensor_at(file, 999999));
    uint32_t value = 0;
    assert_int_equal(gguf_get_u32(file, "k77777", &value), GGUF_OK);
    assert_int_equal(value, 77777);
    gguf_close(file);
    mem_free(data);
    log_finish(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_come_back),  cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(flipped_files_do_no_harm), cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(shrunk_files_are_noticed), cmocka_unit_test(demo_model_is_read),
        cmocka_unit_test(many_names_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
