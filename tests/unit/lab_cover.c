/* with: ops */
/* Nothing of the engine is without an oracle: every op has one, and for every kernel variant in
 * every weight format there is a case. Which of them a device runs is up to tests/ops. */
#include "lab/lab.h"

#include "gen/fill.h"
#include "gen/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static bool has_case(const struct lab_op *op, uint32_t quant)
{
    for (uint32_t i = 0; i < lab_case_count(op); i++) {
        if (quant == QUANT_COUNT || lab_case_get(op, i, 1).quant == quant) {
            return true;
        }
    }
    return false;
}

static void test_every_op(void **state)
{
    (void)state;
    uint32_t n;
    const struct op *const *list = ops_list(&n);
    assert_true(n >= 11);
    for (uint32_t i = 0; i < n; i++) {
        const struct lab_op *lab = lab_find(list[i]->name);
        if (lab == NULL) {
            fail_msg("op %s has no oracle: src/lab/%s.c is missing", list[i]->name, list[i]->name);
        }
        assert_true(has_case(lab, QUANT_COUNT));
        assert_true(list[i]->n_variants != 0);
        for (uint32_t v = 0; v < list[i]->n_variants; v++) {
            const struct ops_variant *variant = &list[i]->variants[v];
            assert_true(variant->shader == NULL || variant->by_quant == NULL);
            assert_ptr_equal(ops_find_variant(list[i], variant->name), variant);
            for (uint32_t q = 0; q < QUANT_COUNT && variant->by_quant != NULL; q++) {
                if (variant->by_quant[q] != NULL && !has_case(lab, q)) {
                    fail_msg("%s/%s: no case in format %s", lab->name, variant->name,
                             quant_get((enum quant_id)q)->name);
                }
            }
        }
    }
}

static bool is_of_a_variant(const struct dev_shader *shader)
{
    uint32_t n;
    const struct op *const *list = ops_list(&n);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t v = 0; v < list[i]->n_variants; v++) {
            const struct ops_variant *variant = &list[i]->variants[v];
            for (uint32_t q = 0; q < QUANT_COUNT && variant->by_quant != NULL; q++) {
                if (variant->by_quant[q] == shader) {
                    return true;
                }
            }
            if (variant->shader == shader) {
                return true;
            }
        }
    }
    return false;
}

/* No kernel of the engine is beside the tables, where no oracle would see it; but the filler of
 * dummy weights, which tests/unit/ops_fill.c compares with its own C. */
static void test_every_shader(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < shaders_all_count; i++) {
        if (shaders_all[i] != &shader_fill && !is_of_a_variant(shaders_all[i])) {
            fail_msg("shader %s is in no op's table of variants", shaders_all[i]->name);
        }
    }
}

/* The last row of a table runs anywhere: no device is left without a kernel. */
static void test_last_row(void **state)
{
    (void)state;
    uint32_t n;
    const struct op *const *list = ops_list(&n);
    for (uint32_t i = 0; i < n; i++) {
        const struct ops_variant *last = &list[i]->variants[list[i]->n_variants - 1];
        if (strcmp(list[i]->name, "rope_append") == 0 ||
            strcmp(list[i]->name, "matmul_gate") == 0) {
            continue; /* fusions that are left out where they have no kernel */
        }
        assert_true(last->needs == 0 && last->min_subgroup == 0 && last->max_subgroup == 0 &&
                    last->min_tokens == 0 && last->max_tokens == 0);
    }
}

/* Names of cases go into reports and are looked up again: no two of an op are the same. */
static void test_case_names(void **state)
{
    (void)state;
    uint32_t n;
    const struct lab_op *const *list = lab_list(&n);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < lab_case_count(list[i]); k++) {
            char a[256], b[256];
            const struct lab_case one = lab_case_get(list[i], k, 5);
            lab_case_text(&one, a, sizeof a);
            assert_ptr_equal(strstr(a, list[i]->name), a);
            for (uint32_t j = 0; j < k; j++) {
                const struct lab_case other = lab_case_get(list[i], j, 5);
                lab_case_text(&other, b, sizeof b);
                assert_string_not_equal(a, b);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op),
        cmocka_unit_test(test_every_shader),
        cmocka_unit_test(test_last_row),
        cmocka_unit_test(test_case_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
