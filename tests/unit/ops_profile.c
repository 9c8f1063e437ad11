/* The file of what is remembered of a device: what is written is read again, and whatever is
 * damaged, unknown or foreign is left out as a whole, with one line. */
#include "ops/profile.h"

#include "base/mem.h"
#include "base/os.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fix {
    struct log log;
    uint32_t errors, warnings, infos;
    char last[1024]; /* of any level */
    char dir[64], path[256];
    struct dev_info info;
    struct ops_prefs prefs;
};

static void count_line(void *user, enum log_level level, const char *line)
{
    struct fix *f = user;
    f->errors += level == LOG_ERROR;
    f->warnings += level == LOG_WARN;
    f->infos += level == LOG_INFO;
    snprintf(f->last, sizeof f->last, "%s", line);
}

static int start(void **state)
{
    static struct fix f;
    memset(&f, 0, sizeof f);
    log_init(&f.log, count_line, &f, LOG_DEBUG);
    f.info = (struct dev_info){.index = 2,
                               .name = "Device\n(tm)",
                               .vendor_id = 0x10de,
                               .device_id = 0x2335,
                               .driver_version = 4194304};
    for (uint8_t i = 0; i < 16; i++) {
        f.info.uuid[i] = i;
        f.info.driver_uuid[i] = (uint8_t)(0xf0 + i);
    }
    snprintf(f.dir, sizeof f.dir, "test-profile-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    assert_true(ops_profile_path(f.path, sizeof f.path, f.dir, &f.info));
    *state = &f;
    return 0;
}

static int stop(void **state)
{
    struct fix *f = *state;
    ops_prefs_finish(&f->prefs);
    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0); /* no temporary file was left */
    log_finish(&f->log);
    return 0;
}

static void write_file(const struct fix *f, const char *text, size_t bytes)
{
    FILE *out = fopen(f->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, bytes, out), bytes);
    assert_int_equal(fclose(out), 0);
}

static char *read_file(struct fix *f, size_t *bytes)
{
    char *text = os_read_text(f->path, 1 << 20, bytes, &f->log);
    assert_non_null(text);
    return text;
}

static bool load(struct fix *f)
{
    f->errors = f->warnings = f->infos = 0;
    ops_prefs_finish(&f->prefs);
    return ops_profile_load(&f->prefs, f->dir, &f->info, &f->log);
}

static bool is_empty(const struct ops_prefs *prefs)
{
    return prefs->n_off == 0 && prefs->n_tuned == 0 && prefs->selftest.date[0] == '\0';
}

/* A profile with everything in it. */
static void fill(struct ops_prefs *prefs)
{
    struct ops_tuned lanes = {
        .op = "matmul", .variant = "lanes", .quant = QUANT_Q4_K, .class = 1, .values = {8, 2, 1}};
    prefs->selftest = (struct ops_selftest){.date = "2026-11-24T12:24:04Z",
                                            .quick = true,
                                            .seed = UINT64_MAX,
                                            .passed = 120,
                                            .failed = 3};
    assert_true(ops_prefs_add_failed(prefs, "matmul", "subgroup", "y[3,5] is 1.25\n  # not 1"));
    assert_true(ops_prefs_add_failed(prefs, "add", "plain", ""));
    assert_true(ops_prefs_add_off(prefs, NULL, "lanes"));
    assert_true(ops_prefs_add_off(prefs, "rope", "plain"));
    assert_true(ops_prefs_add_tuned(prefs, &lanes));
}

static char *saved(struct fix *f, size_t *bytes)
{
    struct ops_prefs prefs = {0};
    fill(&prefs);
    assert_true(ops_profile_save(&prefs, f->dir, &f->info, &f->log));
    ops_prefs_finish(&prefs);
    return read_file(f, bytes);
}

static void test_round_trip(void **state)
{
    struct fix *f = *state;
    assert_false(load(f)); /* no file: silent */
    assert_int_equal(f->errors + f->warnings + f->infos, 0);
    size_t bytes, again_bytes;
    char *text = saved(f, &bytes);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(load(f));
    assert_int_equal(f->errors + f->warnings + f->infos, 0);
    assert_int_equal(f->prefs.n_off, 2); /* without those that somebody asked for */
    assert_string_equal(f->prefs.off[0].why, "y[3,5] is 1.25?  # not 1");
    assert_true(ops_prefs_is_off(&f->prefs, "add", "plain"));
    assert_false(ops_prefs_is_off(&f->prefs, "rope", "plain"));
    assert_int_equal(f->prefs.n_tuned, 1);
    const struct ops_tuned *tuned = &f->prefs.tuned[0];
    assert_int_equal(tuned->quant, QUANT_Q4_K);
    assert_int_equal(tuned->class, 1);
    assert_int_equal(tuned->values[0], 8);
    assert_int_equal(tuned->values[1], 2);
    assert_int_equal(tuned->values[2], 1);
    assert_true(f->prefs.selftest.quick);
    assert_true(f->prefs.selftest.seed == UINT64_MAX);
    assert_int_equal(f->prefs.selftest.passed, 120);
    assert_int_equal(f->prefs.selftest.failed, 3);
    assert_true(ops_profile_save(&f->prefs, f->dir, &f->info, &f->log));
    char *again = read_file(f, &again_bytes);
    assert_string_equal(text, again);
    mem_free(text);
    mem_free(again);
}

/* What is loaded is added to what is there. */
static void test_adds(void **state)
{
    struct fix *f = *state;
    size_t bytes;
    mem_free(saved(f, &bytes));
    struct ops_prefs prefs = {.forced = "plain"};
    assert_true(ops_prefs_add_off(&prefs, "matmul", "subgroup"));
    assert_true(ops_profile_load(&prefs, f->dir, &f->info, &f->log));
    assert_string_equal(prefs.forced, "plain");
    assert_int_equal(prefs.n_off, 3);
    assert_string_equal(prefs.off[0].why, "");
    assert_string_not_equal(prefs.off[1].why, "");
    ops_prefs_finish(&prefs);
}

/* Another driver version, other kernels, another device, another driver. */
static void test_foreign(void **state)
{
    struct fix *f = *state;
    size_t bytes;
    char *text = saved(f, &bytes);
    f->info.driver_version++;
    assert_false(load(f));
    assert_true(is_empty(&f->prefs));
    assert_int_equal(f->infos, 1);
    assert_int_equal(f->warnings + f->errors, 0);
    assert_non_null(strstr(f->last, "the driver changed since the self-test"));
    f->info.driver_version--;
    char *hash = strstr(text, "\nshaders ") + 9;
    *hash = *hash == '0' ? '1' : '0';
    write_file(f, text, bytes);
    assert_false(load(f));
    assert_true(is_empty(&f->prefs));
    assert_int_equal(f->infos, 1);
    assert_non_null(strstr(f->last, "the kernels changed since the self-test"));
    mem_free(text);
    f->info.driver_uuid[15]++;
    assert_false(load(f)); /* a file of its own */
    f->info.driver_uuid[15]--;
    f->info.device_id++;
    assert_false(load(f));
    f->info.device_id--;
    assert_int_equal(f->infos + f->warnings + f->errors, 0);
}

/* One warning that names the file and this line and says why; nothing is taken from it. */
static void refused(struct fix *f, uint32_t line, const char *why)
{
    char name[300];
    snprintf(name, sizeof name, "%s: line %u: ", f->path, line);
    assert_false(load(f));
    assert_true(is_empty(&f->prefs));
    assert_int_equal(f->warnings, 1);
    assert_int_equal(f->errors + f->infos, 0);
    if (strncmp(f->last, name, strlen(name)) != 0 || strstr(f->last, why) == NULL) {
        fail_msg("\"%s\" is not \"%s... %s\"", f->last, name, why);
    }
}

static void test_truncated(void **state)
{
    struct fix *f = *state;
    size_t bytes;
    char *text = saved(f, &bytes);
    for (size_t n = 0; n < bytes; n++) {
        uint32_t line = 1;
        for (size_t i = 0; i < n; i++) {
            line += text[i] == '\n';
        }
        write_file(f, text, n);
        refused(f, line, "the file ends before its last line");
    }
    mem_free(text);
}

/* Whatever is read is something that exists. */
static void check_known(const struct ops_prefs *prefs)
{
    for (size_t i = 0; i < prefs->n_off; i++) {
        assert_non_null(ops_find_variant(ops_find(prefs->off[i].op), prefs->off[i].variant));
    }
    for (size_t i = 0; i < prefs->n_tuned; i++) {
        const struct ops_tuned *t = &prefs->tuned[i];
        const struct ops_variant *v = ops_find_variant(ops_find(t->op), t->variant);
        assert_non_null(v);
        assert_true(t->class < OPS_TOKEN_CLASSES);
        for (uint32_t n = 0; n < OPS_MAX_TUNABLES && v->tunables[n].name != NULL; n++) {
            assert_true(ops_tunable_has(&v->tunables[n], t->values[n]));
        }
    }
}

static void test_flipped(void **state)
{
    struct fix *f = *state;
    size_t bytes;
    char *text = saved(f, &bytes);
    uint32_t taken = 0, left = 0;
    for (size_t i = 0; i < bytes * 8; i++) {
        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
        write_file(f, text, bytes);
        if (load(f)) {
            taken++;
            check_known(&f->prefs);
            assert_int_equal(f->warnings + f->errors + f->infos, 0);
        } else {
            left++;
            assert_true(is_empty(&f->prefs));
            assert_int_equal(f->warnings + f->infos, 1);
            assert_int_equal(f->errors, 0);
        }
        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
    }
    print_message("%u of %zu files with a flipped bit were still a profile\n", taken, bytes * 8);
    assert_true(left > taken);
    mem_free(text);
}

/* A good head, then this line and the end. */
static void write_line(struct fix *f, const char *line)
{
    struct ops_prefs none = {0};
    assert_true(ops_profile_save(&none, f->dir, &f->info, &f->log));
    size_t bytes;
    char *text = read_file(f, &bytes), all[4096];
    assert_true(bytes > 4 && strcmp(text + bytes - 4, "end\n") == 0);
    int n = snprintf(all, sizeof all, "%.*s%s\nend\n", (int)bytes - 4, text, line);
    write_file(f, all, (size_t)n);
    mem_free(text);
}

static void test_lines(void **state)
{
    struct fix *f = *state;
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"off matmul nonsense", "no such kernel"},
        {"off nonsense lanes", "no such kernel"},
        {"off matmul", "no such kernel"},
        {"off", "no such kernel"},
        {"off matmul lanes lanes", "not \"off OP VARIANT\""},
        {"off  matmul lanes", "one space between"},
        {"off matmul lanes ", "one space between"},
        {" off matmul lanes", "one space between"},
        {"", "one space between"},
        {"a b c d e f g h i j k l m n o p", "one space between"},
        {"on matmul lanes", "not off, tuned"},
        {"end ", "one space between"},
        {"tuned matmul lanes", "not \"tuned OP"},
        {"tuned matmul nonsense Q4_K 1 rows=8", "no such kernel"},
        {"tuned matmul lanes q5_x 1 rows=8 group=2 tokens=1", "no such format"},
        {"tuned matmul lanes - 1 rows=8 group=2 tokens=1", "no such format"},
        {"tuned matmul lanes Q4_K 3 rows=8 group=2 tokens=1", "class of token counts"},
        {"tuned matmul lanes Q4_K 1 rows=8 group=2", "tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=8 tokens=1 group=2", "tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=8 group=2 tokens=1 x=1", "more tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=9 group=2 tokens=1", "tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=8 group=2 tokens=1 first", "more tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=08 group=2 tokens=1", "tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=+8 group=2 tokens=1", "tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=0 group=2 tokens=1", "tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=4294967304 group=2 tokens=1", "tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=18446744073709551624 group=2 tokens=1", "tile parameters"},
        {"tuned matmul lanes Q4_K 1 rows=8 group=2 tokens=1  # why", "not \"tuned OP"},
        {"tuned matmul plain_gemm Q4_K 1", "more tile parameters"},
        {"selftest", "not \"selftest DATE"},
        {"selftest today quick seed=1 passed=1 failed=0", "not \"selftest DATE"},
        {"selftest 2026-11-24T12:24:04 quick seed=1 passed=1 failed=0", "not \"selftest DATE"},
        {"selftest 2026-11-24T12:24:04Z slow seed=1 passed=1 failed=0", "not \"selftest DATE"},
        {"selftest 2026-11-24T12:24:04Z full seed=18446744073709551616 passed=1 failed=0",
         "not \"selftest DATE"},
        {"selftest 2026-11-24T12:24:04Z full seed=1 passed=4294967296 failed=0",
         "not \"selftest DATE"},
        {"selftest 2026-11-24T12:24:04Z full seed=1 passed=1 failed=-1", "not \"selftest DATE"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_line(f, bad[i].line);
        refused(f, 5, bad[i].why);
    }
    static const char good[] = "selftest 2026-11-24T12:24:04Z full seed=1 passed=1 failed=0";
    char text[256];
    snprintf(text, sizeof text, "%s\n%s", good, good);
    write_line(f, text);
    refused(f, 6, "a second self-test");
    write_line(f, "end\noff matmul lanes");
    refused(f, 5, "behind the end");
    write_line(f, "off matmul lanes"); /* as a person writes it */
    assert_true(load(f));
    assert_string_equal(f->prefs.off[0].why, "no reason is noted");
}

static void test_heads(void **state)
{
    struct fix *f = *state;
    static const struct {
        const char *text;
        uint32_t line;
        const char *why;
    } bad[] = {
        {"quadriga profile 2\n", 1, "not \"quadriga profile 1\""},
        {"\n", 1, "not \"quadriga profile 1\""},
        {"\x7f"
         "ELF\n",
         1, "not printable"},
        {"quadriga profile 1\ndevices\n", 2, "not \"device NAME\""},
        {"quadriga profile 1\ndevice a\ndriver -1\n", 3, "not \"driver VERSION\""},
        {"quadriga profile 1\ndevice a\ndriver 4294967296\n", 3, "not \"driver VERSION\""},
        {"quadriga profile 1\ndevice a\ndriver 1\nshaders 12\n", 4, "not \"shaders HASH\""},
        {"quadriga profile 1\ndevice a\ndriver 1\nshaders 0123456789ABCDEF\n", 4,
         "not \"shaders HASH\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(f, bad[i].text, strlen(bad[i].text));
        refused(f, bad[i].line, bad[i].why);
    }
    static char large[65537];
    memset(large, 'a', sizeof large);
    write_file(f, large, sizeof large);
    refused(f, 1, "not a regular file of at most 65536 bytes");
    write_file(f, large, sizeof large - 1);
    refused(f, 1, "ends before its last line");
}

/* What is no file, and folders that cannot be written. */
static void test_folders(void **state)
{
    struct fix *f = *state;
    struct ops_prefs prefs = {0};
    fill(&prefs);
    assert_int_equal(mkdir(f->path, 0700), 0);
    refused(f, 1, "not a regular file");
    assert_false(ops_profile_save(&prefs, f->dir, &f->info, &f->log));
    assert_int_equal(f->errors, 1);
    assert_non_null(strstr(f->last, f->path));
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    refused(f, 1, "not a regular file"); /* does not wait for a writer */
    assert_int_equal(unlink(f->path), 0);
    f->errors = 0;
    assert_false(ops_profile_save(&prefs, "no-such-folder", &f->info, &f->log));
    assert_int_equal(f->errors, 1);
    assert_non_null(strstr(f->last, strerror(ENOENT)));
    assert_int_equal(chmod(f->dir, 0500), 0);
    if (geteuid() != 0) { /* root may write anywhere */
        assert_false(ops_profile_save(&prefs, f->dir, &f->info, &f->log));
        assert_int_equal(f->errors, 2);
    }
    assert_int_equal(chmod(f->dir, 0700), 0);
    char longest[2048];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_false(ops_profile_load(&prefs, longest, &f->info, &f->log));
    assert_false(ops_profile_save(&prefs, longest, &f->info, &f->log));
    ops_prefs_finish(&prefs);
}

/* A kernel that goes before others, where this build has it. */
static void test_first(void **state)
{
    struct fix *f = *state;
    const struct ops_variant *rival = ops_find_variant(ops_find("matmul"), "coopmat2");
    write_line(
        f, "tuned matmul coopmat2 Q4_K 65-512 rows=64 tokens=64 columns=32 invocations=128 first");
    if (rival->by_quant[QUANT_Q4_K] == NULL) {
        refused(f, 5, "no such format");
        return;
    }
    assert_true(load(f));
    assert_true(ops_prefs_is_first(&f->prefs, "matmul", "coopmat2", QUANT_Q4_K, 3));
    assert_false(ops_prefs_is_first(&f->prefs, "matmul", "coopmat2", QUANT_Q4_K, 2));
    assert_false(ops_prefs_is_first(&f->prefs, "matmul", "coopmat", QUANT_Q4_K, 3));
    assert_true(ops_profile_save(&f->prefs, f->dir, &f->info, &f->log));
    size_t bytes;
    char *text = read_file(f, &bytes);
    assert_non_null(strstr(text, " invocations=128 first\n"));
    mem_free(text);
    write_line(
        f, "tuned matmul coopmat2 Q4_K 65-512 rows=64 tokens=64 columns=32 invocations=128 last");
    refused(f, 5, "more tile parameters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, start, stop),
        cmocka_unit_test_setup_teardown(test_first, start, stop),
        cmocka_unit_test_setup_teardown(test_adds, start, stop),
        cmocka_unit_test_setup_teardown(test_foreign, start, stop),
        cmocka_unit_test_setup_teardown(test_truncated, start, stop),
        cmocka_unit_test_setup_teardown(test_flipped, start, stop),
        cmocka_unit_test_setup_teardown(test_lines, start, stop),
        cmocka_unit_test_setup_teardown(test_heads, start, stop),
        cmocka_unit_test_setup_teardown(test_folders, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
