/* Lists of what to do without: names of capabilities, of kernels, of both; names that are nothing;
 * and that the choice of kernels follows. */
#include "ops/fuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct ops_prefs prefs;
static uint32_t caps;
static char error[128];

static bool parse(const char *list)
{
    ops_prefs_finish(&prefs);
    caps = 0;
    error[0] = '\0';
    return ops_disable_parse(list, &caps, &prefs, error, sizeof error);
}

static int finish(void **state)
{
    (void)state;
    ops_prefs_finish(&prefs);
    return 0;
}

static void test_names(void **state)
{
    (void)state;
    assert_true(parse(NULL));
    assert_int_equal(caps, 0);
    assert_int_equal(prefs.n_off, 0);
    assert_true(parse("fp16,texel")); /* capabilities only */
    assert_int_equal(caps, DEV_CAP_FP16 | DEV_CAP_TEXEL);
    assert_int_equal(prefs.n_off, 0);
    assert_true(parse("lanes")); /* kernels of all ops */
    assert_int_equal(caps, 0);
    assert_true(ops_prefs_is_off(&prefs, "matmul", "lanes"));
    assert_true(ops_prefs_is_off(&prefs, "rmsnorm", "lanes"));
    assert_true(parse("matmul/lanes,matmul/subgroup")); /* of one */
    assert_int_equal(prefs.n_off, 2);
    assert_true(ops_prefs_is_off(&prefs, "matmul", "lanes"));
    assert_false(ops_prefs_is_off(&prefs, "rmsnorm", "lanes"));
    assert_int_equal(caps, 0);
    assert_true(parse("subgroup")); /* both */
    assert_int_equal(caps, DEV_CAP_SUBGROUP);
    assert_true(ops_prefs_is_off(&prefs, "matmul", "subgroup"));
}

static void test_fusions(void **state)
{
    (void)state;
    assert_true(parse("fuse/residual,fuse/residual"));
    assert_int_equal(prefs.n_off, 1);
    assert_true(ops_prefs_is_off(&prefs, OPS_FUSE, "residual"));
    assert_false(ops_prefs_is_off(&prefs, OPS_FUSE, "rope_append"));
    assert_true(parse("fuse"));
    for (uint32_t i = 0; ops_fusion_get(i) != NULL; i++) {
        assert_true(ops_prefs_is_off(&prefs, OPS_FUSE, ops_fusion_get(i)->name));
        assert_int_equal(prefs.n_off > i, 1);
    }
    assert_true(parse("lanes"));
    assert_false(ops_prefs_is_off(&prefs, OPS_FUSE, "residual"));
    assert_true(parse("split"));
    assert_int_equal(prefs.n_off, 1);
    assert_true(ops_prefs_is_off(&prefs, "matmul", "split"));
}

static void test_unknown(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      ",",
                                      "fp16,",
                                      ",fp16",
                                      "fp16,,texel",
                                      "nonsense",
                                      "fp16 ",
                                      "FP16",
                                      "matmul",
                                      "matmul/",
                                      "/lanes",
                                      "matmul/nonsense",
                                      "nonsense/lanes",
                                      "rope/lanes",
                                      "matmul/lanes/x",
                                      "matmul/fp16",
                                      "fuse/",
                                      "fuse/lanes",
                                      "fuse/residual/x",
                                      "residual",
                                      "matmul/residual",
                                      "matmul/split",
                                      "fuse/split",
                                      "matmul/lanesssssssssssssssssssssssssssssssssssssssssssssss"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse(bad[i])) {
            fail_msg("'%s' was taken", bad[i]);
        }
        assert_non_null(strstr(error, "neither a capability nor a kernel nor a fusion"));
    }
    assert_false(parse("fp16,matmul/nonsense"));
    assert_non_null(strstr(error, "'matmul/nonsense'"));
}

/* Every name that is listed is known, and is listed once. */
static void test_list(void **state)
{
    (void)state;
    char name[64], other[64];
    uint32_t n = 0;
    for (; ops_disable_name(n, name, sizeof name); n++) {
        if (!parse(name)) {
            fail_msg("%s: %s", name, error);
        }
        assert_true(caps != 0 || prefs.n_off != 0);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(ops_disable_name(i, other, sizeof other));
            assert_string_not_equal(name, other);
        }
    }
    assert_true(n > 20);
}

static void test_choice(void **state)
{
    (void)state;
    struct dev_caps device = {.has =
                                  DEV_CAP_CPU | DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE | DEV_CAP_TEXEL,
                              .subgroup_size = 8};
    const struct ops_need need = {.op = ops_find("matmul"), .tokens = 1, .quant = QUANT_Q4_K};
    static const struct {
        const char *list, *variant;
        uint32_t lanes;
    } rows[] = {{NULL, "lanes", 8},
                {"matmul/lanes", "subgroup", 1},
                {"rmsnorm/lanes", "lanes", 8},
                {"lanes,matmul/subgroup", "plain_gemv", 1},
                {"lanes,matmul/subgroup,plain_gemv", "plain_gemm", 1},
                {"lanes,shared,subgroup,plain_gemv,plain_gemm", NULL, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *why;
        assert_true(parse(rows[i].list));
        const struct ops_variant *v = ops_variant_choose(&need, &device, &prefs, &why);
        assert_true((v == NULL) == (rows[i].variant == NULL));
        if (v != NULL) {
            assert_string_equal(v->name, rows[i].variant);
        } else {
            assert_string_equal(why, "no kernel is left");
        }
        assert_int_equal(ops_weight_lanes(&device, &prefs), rows[i].lanes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_fusions),
        cmocka_unit_test(test_unknown), cmocka_unit_test(test_list),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
