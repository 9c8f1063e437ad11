/* Models split over several files: put together by the path of any of them; every way in which they
 * may not fit together ends in one line that names the file. */
#include "gguf/gguf.h"
#include "gguf/writer.h"

#include "base/log.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PREFIX QD_BINARY_DIR "/gguf_shards"
enum { SHARDS = 3 };

/* What a file of the split says; shard i of 3 has one tensor "t<i>" of 64 floats, all i + 1. */
struct claim {
    bool no_number, no_count;
    uint32_t number, count, total;
    const char *tensor;
};

static void shard_path(char path[256], uint32_t i)
{
    snprintf(path, 256, "%s-%05u-of-%05u.gguf", PREFIX, i + 1, SHARDS);
}

static void write_shard(uint32_t i, const struct claim *claim)
{
    const uint64_t dims[] = {64};
    float values[64];
    char path[256], name[8];
    struct gguf_writer w;
    struct log log;
    log_init(&log, NULL, NULL, LOG_INFO);
    gguf_writer_init(&w);
    for (size_t k = 0; k < 64; k++) {
        values[k] = (float)(i + 1);
    }
    if (i == 0) {
        gguf_writer_add_str(&w, "general.architecture", "llama");
    }
    if (!claim->no_number) {
        gguf_writer_add_u32(&w, "split.no", claim->number);
    }
    if (!claim->no_count) {
        gguf_writer_add_u32(&w, "split.count", claim->count);
    }
    gguf_writer_add_u32(&w, "split.tensors.count", claim->total);
    snprintf(name, sizeof name, "t%u", i);
    gguf_writer_add_tensor(&w, claim->tensor != NULL ? claim->tensor : name, 0, 1, dims, values,
                           sizeof values);
    shard_path(path, i);
    assert_true(gguf_writer_save(&w, path, &log));
    gguf_writer_finish(&w);
    log_finish(&log);
}

static void write_all(void)
{
    for (uint32_t i = 0; i < SHARDS; i++) {
        write_shard(i, &(struct claim){.number = i, .count = SHARDS, .total = SHARDS});
    }
}

static void remove_all(void)
{
    for (uint32_t i = 0; i < SHARDS; i++) {
        char path[256];
        shard_path(path, i);
        remove(path);
    }
}

static void any_path_opens_all(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, NULL, NULL, LOG_INFO);
    write_all();
    for (uint32_t i = 0; i < SHARDS; i++) {
        char path[256], first[256];
        struct gguf_str arch;
        uint64_t sum = 0;
        shard_path(path, i);
        shard_path(first, 0);
        struct gguf_file *file = gguf_open(path, &log);
        assert_non_null(file);
        assert_string_equal(gguf_path(file), first);
        assert_int_equal(gguf_shard_count(file), SHARDS);
        assert_int_equal(gguf_tensor_count(file), SHARDS);
        assert_int_equal(gguf_get_str(file, "general.architecture", &arch), GGUF_OK);
        assert_true(gguf_check_size(file));
        for (uint32_t t = 0; t < SHARDS; t++) {
            char name[8];
            float value;
            snprintf(name, sizeof name, "t%u", t);
            const struct gguf_tensor *tensor = gguf_tensor_find(file, name);
            assert_ptr_equal(tensor, gguf_tensor_at(file, t));
            assert_int_equal(tensor->shard, t);
            memcpy(&value, gguf_data(file, tensor) + 63 * sizeof value, sizeof value);
            assert_true(value == (float)(t + 1));
            gguf_drop(file, tensor, 0, tensor->bytes);
            memcpy(&value, gguf_data(file, tensor), sizeof value);
            assert_true(value == (float)(t + 1));
            sum += tensor->bytes;
        }
        assert_true(gguf_file_bytes(file) > sum);
        gguf_close(file);
    }
    remove_all();
    log_finish(&log);
}

static void shrunk_shards_are_noticed(void **state)
{
    (void)state;
    struct log log;
    char path[256], line[1024];
    log_init(&log, NULL, NULL, LOG_INFO);
    write_all();
    shard_path(path, 0);
    struct gguf_file *file = gguf_open(path, &log);
    assert_non_null(file);
    shard_path(path, 2);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fclose(out);
    assert_false(gguf_check_size(file));
    log_get_last(&log, line, sizeof line);
    assert_non_null(strstr(line, "00003-of-00003"));
    gguf_close(file);
    remove_all();
    log_finish(&log);
}

static void refused(uint32_t by, const char *file_part, const char *what)
{
    struct log log;
    char path[256], line[1024];
    log_init(&log, NULL, NULL, LOG_INFO);
    shard_path(path, by);
    assert_null(gguf_open(path, &log));
    log_get_last(&log, line, sizeof line);
    if (strstr(line, file_part) == NULL || strstr(line, what) == NULL) {
        fail_msg("\"%s\" has no \"%s\" or no \"%s\"", line, file_part, what);
    }
    log_finish(&log);
}

static void files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t shard, by;
        struct claim claim;
        const char *file, *what;
    } CASES[] = {
        {1, 0, {.number = 2, .count = 3, .total = 3}, "00002-of", "file 3 of 3, must be 2 of 3"},
        {1, 0, {.number = 1, .count = 2, .total = 3}, "00002-of", "file 2 of 2, must be 2 of 3"},
        {2, 0, {.number = 7, .count = 3, .total = 3}, "00003-of", "split.no: is 7"},
        {1, 0, {.no_number = true, .count = 3, .total = 3}, "00002-of", "split.no: is missing"},
        {1, 0, {.no_count = true, .total = 3}, "00002-of", "file 1 of 1, must be 2 of 3"},
        {1,
         0,
         {.number = 1, .count = 3, .total = 3, .tensor = "t0"},
         "t0",
         "in file 1 and in file 2"},
        {0, 0, {.number = 0, .count = 3, .total = 4}, "00001-of", "split.tensors.count: is 4"},
        {0, 0, {.number = 0, .count = 100000, .total = 3}, "00001-of", "at most 512"},
        {0, 0, {.number = 0, .count = 4, .total = 3}, "00001-of-00003", "-00001-of-00004.gguf"},
        {0, 2, {.number = 1, .count = 3, .total = 3}, "00001-of", "file 2 of 3, must be 1 of 3"},
        {0, 2, {.number = 0, .count = 9, .total = 3}, "00001-of", "file 1 of 9, must be 1 of 3"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        write_all();
        write_shard(CASES[i].shard, &CASES[i].claim);
        refused(CASES[i].by, CASES[i].file, CASES[i].what);
    }
    write_all();
    char path[256];
    shard_path(path, 1);
    remove(path);
    refused(0, "00002-of-00003", "No such file");
    refused(2, "00002-of-00003", "No such file");
    remove_all();
}

static void one_shard_in_memory_is_refused(void **state)
{
    (void)state;
    struct gguf_writer w;
    struct log log;
    char line[1024];
    size_t bytes;
    log_init(&log, NULL, NULL, LOG_INFO);
    for (uint32_t count = 1; count <= 2; count++) {
        gguf_writer_init(&w);
        gguf_writer_add_u32(&w, "split.no", 0);
        gguf_writer_add_u32(&w, "split.count", count);
        uint8_t *data = gguf_writer_build(&w, &bytes);
        gguf_writer_finish(&w);
        assert_non_null(data);
        struct gguf_file *file = gguf_open_memory("part", data, bytes, &log);
        assert_int_equal(file != NULL, count == 1);
        gguf_close(file);
        mem_free(data);
    }
    log_get_last(&log, line, sizeof line);
    assert_non_null(strstr(line, "split.count: is 2"));
    log_finish(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_path_opens_all),
        cmocka_unit_test(shrunk_shards_are_noticed),
        cmocka_unit_test(files_that_do_not_fit_are_refused),
        cmocka_unit_test(one_shard_in_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
