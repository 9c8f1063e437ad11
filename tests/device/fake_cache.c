/* Over the fake: the pipeline cache on disk. A file that is cut, flipped, foreign or not a file is
 * never given to the driver, and is written anew; nothing that the folder is ends in an error. */
#include "fake.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[1024], path[2048];
static uint8_t whole[4096];
static size_t whole_bytes;

/* How a device is used; zero fields are the ordinary case. */
struct use {
    const char *dir; /* NULL: `folder` */
    bool no_dir, no_kernel;
    uint32_t vendor_id, device_id, driver_version, subgroup_size;
    uint8_t driver_uuid, cache_uuid;
    uint64_t shader_hash, cache_bytes;
    const char *line; /* part of a line that must be logged */
};

/* Opens a device, makes a kernel, closes it. Returns the bytes the driver was given. */
static uint64_t use(struct use u, uint8_t given[4096])
{
    static struct fake_fixture f;
    fake_init(&f, 1);
    struct fake_gpu *g = &f.fake.gpus[0];
    g->vendor_id += u.vendor_id;
    g->device_id += u.device_id;
    g->driver_version += u.driver_version;
    g->subgroup_size += u.subgroup_size;
    g->driver_uuid[15] = u.driver_uuid;
    g->cache_uuid[15] = u.cache_uuid;
    f.fake.cache_bytes = u.cache_bytes;
    assert_true(fake_open_instance(&f));
    const char *dir = u.dir != NULL ? u.dir : folder;
    struct dev *dev = dev_open(f.inst, &(struct dev_open_params){.cache_dir = u.no_dir ? NULL : dir,
                                                                 .shader_hash = u.shader_hash});
    assert_non_null(dev);
    uint64_t bytes = f.fake.cache_given_bytes;
    if (given != NULL && bytes != 0) {
        memcpy(given, f.fake.cache_given, (size_t)bytes);
    }
    if (!u.no_kernel) {
        fake_kernel(dev, &fake_shader);
    }
    dev_close(dev);
    assert_int_equal(f.errors, 0);
    if (u.line != NULL && strstr(f.lines, u.line) == NULL) {
        fail_msg("no line has '%s': %s", u.line, f.lines);
    }
    fake_finish(&f);
    return bytes;
}

static uint64_t look(void)
{
    return use((struct use){.no_kernel = true}, NULL);
}

static void write_file(const uint8_t *data, size_t bytes)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, bytes, out), bytes);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static uint32_t count_in(const char *dir_name)
{
    DIR *dir = opendir(dir_name);
    assert_non_null(dir);
    uint32_t n = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        n += e->d_name[0] != '.' ? 1 : 0;
    }
    closedir(dir);
    return n;
}

/* Removes what is in the folder. */
static void empty(void)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            assert_int_equal(unlinkat(dirfd(dir), e->d_name, 0), 0);
        }
    }
    closedir(dir);
}

/* Each test starts with the good file alone. */
static int setup(void **state)
{
    (void)state;
    empty();
    write_file(whole, whole_bytes);
    return 0;
}

static int setup_group(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/cache_test_XXXXXX", QD_BINARY_DIR);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(look(), 0);
    assert_int_equal(count_in(folder), 0); /* nothing was made, nothing is written */
    assert_int_equal(use((struct use){.line = "cache: miss, there is none"}, NULL), 0);
    assert_int_equal(count_in(folder), 1);
    DIR *dir = opendir(folder);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        }
    }
    closedir(dir);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    whole_bytes = fread(whole, 1, sizeof whole, in);
    fclose(in);
    return 0;
}

static int teardown_group(void **state)
{
    (void)state;
    empty();
    return rmdir(folder);
}

static void a_good_file_is_given(void **state)
{
    (void)state;
    uint8_t given[4096];
    struct stat st;
    assert_int_equal(use((struct use){.line = "cache: hit, 100 bytes"}, given), 100);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(given[i], (uint8_t)(i * 31 + 5));
    }
    assert_int_equal(unlink(path), 0);
    use((struct use){0}, NULL);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(count_in(folder), 1); /* no temporary file stays */
}

static void every_cut_is_a_miss(void **state)
{
    (void)state;
    for (size_t n = 0; n < whole_bytes; n++) {
        write_file(whole, n);
        assert_int_equal(look(), 0);
    }
    uint8_t more[4097];
    memcpy(more, whole, whole_bytes);
    more[whole_bytes] = 0;
    write_file(more, whole_bytes + 1);
    assert_int_equal(look(), 0);
}

static void every_flip_is_a_miss(void **state)
{
    (void)state;
    uint8_t bad[4096];
    for (size_t bit = 0; bit < whole_bytes * 8; bit++) {
        memcpy(bad, whole, whole_bytes);
        bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_file(bad, whole_bytes);
        assert_int_equal(look(), 0);
    }
}

/* Another value of any part of the key has a file of its own, and does not read the first one even
 * under its own name. */
static void every_part_of_the_key_counts(void **state)
{
    (void)state;
    const struct use other[] = {
        {.vendor_id = 1},  {.device_id = 1},   {.driver_version = 1},       {.driver_uuid = 1},
        {.cache_uuid = 1}, {.shader_hash = 1}, {.shader_hash = 1ull << 63}, {.subgroup_size = 32}};
    const uint32_t n = sizeof other / sizeof *other;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(use(other[i], NULL), 0);
        assert_int_equal(count_in(folder), i + 2);
        struct use again = other[i];
        again.no_kernel = true;
        assert_int_equal(use(again, NULL), 100);
    }
    assert_int_equal(look(), 100);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.' && strcmp(e->d_name, strrchr(path, '/') + 1) != 0) {
            int fd = openat(dirfd(dir), e->d_name, O_WRONLY | O_TRUNC);
            assert_int_equal(write(fd, whole, whole_bytes), whole_bytes);
            close(fd);
        }
    }
    closedir(dir);
    for (uint32_t i = 0; i < n; i++) {
        struct use again = other[i];
        again.no_kernel = true;
        assert_int_equal(use(again, NULL), 0);
    }
}

static void not_a_file_is_a_miss(void **state)
{
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(use((struct use){.line = "not a file"}, NULL), 0); /* cannot be replaced */
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(count_in(folder), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(use((struct use){.line = "not a file"}, NULL), 0); /* replaced */
    assert_int_equal(look(), 100);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    assert_int_equal(use((struct use){.line = "cache: miss"}, NULL), 0);
    assert_int_equal(look(), 100);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(strrchr(path, '/') + 1, path), 0); /* to itself */
    assert_int_equal(use((struct use){.line = "cache: miss"}, NULL), 0);
    assert_int_equal(look(), 100);
}

static void a_file_of_others_is_a_miss(void **state)
{
    (void)state;
    const mode_t modes[] = {0620, 0602, 0666};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(look(), 0);
    }
    assert_int_equal(chmod(path, 0600), 0);
    if (geteuid() == 0) { /* only root may give files away */
        assert_int_equal(chown(path, 1234, (gid_t)-1), 0);
        assert_int_equal(use((struct use){.line = "another user"}, NULL), 0);
    } else {
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(use((struct use){.line = "Permission denied"}, NULL), 0);
    }
    struct stat st;
    assert_int_equal(stat(path, &st), 0); /* written anew */
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(look(), 100);
}

/* In a child, since root must become somebody to whom permissions apply. */
static void a_folder_that_cannot_be_written(void **state)
{
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(use((struct use){.dir = "/nowhere/at/all", .line = "not be written"}, NULL),
                     0);
    assert_int_equal(use((struct use){.dir = "/dev/null", .line = "not be written"}, NULL), 0);
    assert_int_equal(use((struct use){.dir = "", .no_kernel = true}, NULL), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && setuid(1234) != 0) {
            _exit(2);
        }
        _exit(use((struct use){.line = "not be written"}, NULL) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(count_in(folder), 0);
}

static void without_a_cache_nothing_is_touched(void **state)
{
    (void)state;
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(use((struct use){.no_dir = true, .cache_bytes = 50}, NULL), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(count_in(folder), 1);
}

/* A file of this size (sparse) and age beside ours. */
static void put(const char *name, off_t bytes, time_t age)
{
    char where[2048];
    snprintf(where, sizeof where, "%s/%s", folder, name);
    int fd = open(where, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static bool is_there(const char *name)
{
    char where[2048];
    struct stat st;
    snprintf(where, sizeof where, "%s/%s", folder, name);
    return lstat(where, &st) == 0;
}

static void the_least_recently_used_go(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    const char *own = strrchr(path, '/') + 1;
    put("pipelines-new.bin", 60 * MIB, 100);
    put("pipelines-oldest.bin", 60 * MIB, 5000);
    put("pipelines-middle.bin", 60 * MIB, 3000);
    put("pipelines-older.bin", 60 * MIB, 4000);
    put("pipelines-newer.bin", 60 * MIB, 50);
    put("other-oldest.bin", 300 * MIB, 90000);
    put("pipelines-x.bin.abcdef", 10, 3700);
    put("pipelines-y.bin.abcdef", 10, 3000);
    put("pipelines-x.bin-abcdef", 10, 90000);
    assert_int_equal(look(), 100);
    assert_int_equal(count_in(folder), 10);      /* nothing was saved, nothing is looked at */
    use((struct use){.cache_bytes = 200}, NULL); /* 5 * 60 MiB and ours: one has to go */
    assert_false(is_there("pipelines-oldest.bin"));
    assert_true(is_there("pipelines-older.bin") && is_there("pipelines-middle.bin"));
    assert_true(is_there("pipelines-new.bin") && is_there("pipelines-newer.bin"));
    assert_true(is_there("other-oldest.bin") && is_there("pipelines-x.bin-abcdef"));
    assert_false(is_there("pipelines-x.bin.abcdef"));
    assert_true(is_there("pipelines-y.bin.abcdef"));
    /* What is read is in use: ours, made old, is touched by a hit and stays when another grows. */
    put("pipelines-huge.bin", 120 * MIB, 10);
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(look(), 200);
    use((struct use){.device_id = 5}, NULL);
    assert_true(is_there(own));
    assert_false(is_there("pipelines-older.bin") || is_there("pipelines-middle.bin"));
    assert_true(is_there("pipelines-new.bin") && is_there("pipelines-huge.bin"));
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    put("pipelines-middle.bin", 60 * MIB, 1);
    use((struct use){.device_id = 6}, NULL);
    assert_false(is_there(own)); /* not read: the oldest */
    for (char name[] = "pipelines-future-a.bin"; name[17] <= 'e'; name[17]++) {
        put(name, 60 * MIB, -1000);
    }
    use((struct use){0}, NULL);
    assert_true(is_there(own)); /* just written: it stays though the others are newer */
    assert_int_equal(look(), 100);
}

static void too_large_a_cache_is_not_written(void **state)
{
    (void)state;
    assert_int_equal(use((struct use){.cache_bytes = 64u << 20, .line = "too many"}, NULL), 100);
    assert_int_equal(look(), 100);
    assert_int_equal(truncate(path, 65 << 20), 0);
    assert_int_equal(look(), 0);
}

static void what_did_not_change_is_not_written(void **state)
{
    (void)state;
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(use((struct use){0}, NULL), 100);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(use((struct use){.cache_bytes = 101}, NULL), 100);
    assert_int_equal(look(), 101);
}

/* Two processes write files of different sizes while this one reads: always one whole file. */
static void two_processes_write_at_once(void **state)
{
    (void)state;
    enum { ROUNDS = 60 };
    pid_t children[2];
    for (uint64_t c = 0; c < 2; c++) {
        children[c] = fork();
        assert_true(children[c] >= 0);
        for (uint64_t i = 0; children[c] == 0; i++) {
            if (i == ROUNDS) {
                _exit(0);
            }
            use((struct use){.cache_bytes = 1000 + 1000 * c + i}, NULL);
        }
    }
    uint32_t running = 2, reads = 0, seen[2] = {0, 0};
    while (running != 0) {
        int status;
        uint64_t bytes = look();
        assert_true(bytes == 100 || (bytes >= 1000 && bytes < 2000 + ROUNDS));
        seen[0] += bytes >= 1000 && bytes < 2000 ? 1 : 0;
        seen[1] += bytes >= 2000 ? 1 : 0;
        reads++;
        if (waitpid(-1, &status, WNOHANG) > 0) {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            running--;
        }
    }
    printf("%u reads, %u and %u of them files of the two\n", reads, seen[0], seen[1]);
    assert_true(seen[0] + seen[1] != 0);
    assert_int_equal(count_in(folder), 1);
    assert_true(look() >= 1000);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_file_is_given),
        TEST(every_cut_is_a_miss),
        TEST(every_flip_is_a_miss),
        TEST(every_part_of_the_key_counts),
        TEST(not_a_file_is_a_miss),
        TEST(a_file_of_others_is_a_miss),
        TEST(a_folder_that_cannot_be_written),
        TEST(without_a_cache_nothing_is_touched),
        TEST(the_least_recently_used_go),
        TEST(too_large_a_cache_is_not_written),
        TEST(what_did_not_change_is_not_written),
        TEST(two_processes_write_at_once),
    };
    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
