/* Over the fake: the pipeline cache on disk. A file that is cut, flipped, foreign or not a file is
 * never given to the driver, and is written anew. */
#include "fake.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[1024], path[2048];
static uint8_t whole[4096];
static size_t whole_bytes;

/* Opens a device, makes a kernel when asked, closes it. Returns the bytes the driver was given. */
static uint64_t use(uint32_t driver_version, bool make_kernel, uint8_t given[4096])
{
    struct fake_fixture f;
    fake_init(&f, 1);
    f.fake.gpus[0].driver_version = driver_version;
    assert_true(fake_open_instance(&f));
    struct dev *dev = dev_open(f.inst, &(struct dev_open_params){.cache_dir = folder});
    assert_non_null(dev);
    uint64_t bytes = f.fake.cache_given_bytes;
    if (given != NULL && bytes != 0) {
        memcpy(given, f.fake.cache_given, (size_t)bytes);
    }
    if (make_kernel) {
        fake_kernel(dev, &fake_shader);
    }
    dev_close(dev);
    assert_int_equal(f.errors, 0);
    fake_finish(&f);
    return bytes;
}

static void write_file(const uint8_t *data, size_t bytes)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, bytes, out), bytes);
    assert_int_equal(fclose(out), 0);
}

static uint32_t count_files(void)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    uint32_t n = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            n++;
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        }
    }
    closedir(dir);
    return n;
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/cache_test_XXXXXX", QD_BINARY_DIR);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(use(7, false, NULL), 0);
    assert_int_equal(count_files(), 0); /* nothing was made, nothing is written */
    assert_int_equal(use(7, true, NULL), 0);
    assert_int_equal(count_files(), 1);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    whole_bytes = fread(whole, 1, sizeof whole, in);
    fclose(in);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void a_good_file_is_given(void **state)
{
    (void)state;
    uint8_t given[4096];
    struct stat st;
    write_file(whole, whole_bytes);
    assert_int_equal(use(7, false, given), 100);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(given[i], (uint8_t)(i * 31 + 5));
    }
    assert_int_equal(unlink(path), 0);
    use(7, true, NULL);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(count_files(), 1); /* no temporary file stays */
}

static void every_cut_is_a_miss(void **state)
{
    (void)state;
    for (size_t n = 0; n < whole_bytes; n++) {
        write_file(whole, n);
        assert_int_equal(use(7, false, NULL), 0);
    }
    uint8_t more[4097];
    memcpy(more, whole, whole_bytes);
    more[whole_bytes] = 0;
    write_file(more, whole_bytes + 1);
    assert_int_equal(use(7, false, NULL), 0);
}

static void every_flip_is_a_miss(void **state)
{
    (void)state;
    uint8_t bad[4096];
    for (size_t bit = 0; bit < whole_bytes * 8; bit++) {
        memcpy(bad, whole, whole_bytes);
        bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_file(bad, whole_bytes);
        assert_int_equal(use(7, false, NULL), 0);
    }
}

static void another_driver_is_a_miss(void **state)
{
    (void)state;
    write_file(whole, whole_bytes);
    assert_int_equal(use(8, true, NULL), 0);
    assert_int_equal(use(8, false, NULL), 100); /* written anew, for this one */
    assert_int_equal(use(7, false, NULL), 0);
}

static void not_a_file_is_a_miss(void **state)
{
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(use(7, true, NULL), 0); /* and cannot be replaced */
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(count_files(), 0);
    write_file(whole, whole_bytes);
    assert_int_equal(count_files(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_given), cmocka_unit_test(every_cut_is_a_miss),
        cmocka_unit_test(every_flip_is_a_miss), cmocka_unit_test(another_driver_is_a_miss),
        cmocka_unit_test(not_a_file_is_a_miss),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
