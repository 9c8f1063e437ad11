/* The lab itself on a device: an op made of fills, right and then wrong in each way that the lab
 * must notice. */
#include "lab/lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 3, COLS = 5, ONE = 0x3f800000, TWO = 0x40000000 };
enum fault { NO_FAULT, SHORT, WRONG, NOT_FINITE, BEFORE, BEHIND, INPUT, FAULTS };

static struct dev *dev;
static struct log log_lines;

/* y = 1. The first word of attr names the fault. */
static bool record(const struct op_site *site, const struct plan_node *node)
{
    uint32_t fault, bytes = ROWS * COLS * 4;
    memcpy(&fault, node->attr, sizeof fault);
    const struct op_segment *y = &site->places[node->dst[0]].segments[0];
    const struct op_segment *x = &site->places[node->src[0]].segments[0];
    uint64_t end = y->offset + bytes;
    bool ok = dev_cmd_fill(site->cmd, y->buf, y->offset, fault == SHORT ? bytes - 4 : bytes, ONE);
    switch (fault) {
    case WRONG:
        return ok && dev_cmd_fill(site->cmd, y->buf, y->offset + 8, 4, TWO);
    case NOT_FINITE:
        return ok && dev_cmd_fill(site->cmd, y->buf, y->offset + 8, 4, 0x7f800000);
    case BEFORE:
        return ok && dev_cmd_fill(site->cmd, y->buf, y->offset - 4, 4, ONE);
    case BEHIND:
        return ok && dev_cmd_fill(site->cmd, y->buf, end, 8, ONE);
    case INPUT:
        return ok && dev_cmd_fill(site->cmd, x->buf, x->offset, 4, TWO);
    default:
        return ok;
    }
}

static void cost(const struct plan *plan, const struct plan_node *node, struct op_cost *out)
{
    *out = (struct op_cost){.flop = 0,
                            .bytes = (double)plan_tensor_bytes(&plan->tensors[node->dst[0]])};
}

static const struct op op_ones = {
    .name = "ones", .purpose = "ones", .cost = cost, .record = record};

static bool make(struct lab *lab)
{
    uint32_t fault = lab_dim(lab, 0);
    lab_tokens(lab, ROWS, 0);
    struct plan_node node = {
        .kind = PLAN_OP, .op = &op_ones, .n_src = 1, .n_dst = 1, .in_place = 0};
    node.src[0] = lab_act(lab, "x", ROWS, COLS, 5, 6);
    node.dst[0] = plan_add_act(lab_plan(lab), "y", ROWS, COLS);
    memcpy(node.attr, &fault, sizeof fault);
    plan_add_node(lab_plan(lab), &node);
    struct lab_expect e = lab_expect(lab, node.dst[0]);
    for (uint32_t i = 0; e.value != NULL && i < ROWS * COLS; i++) {
        e.value[i] = 1;
    }
    return e.value != NULL;
}

static const uint32_t shapes[][LAB_DIMS] = {{NO_FAULT}, {SHORT},  {WRONG}, {NOT_FINITE},
                                            {BEFORE},   {BEHIND}, {INPUT}};
static const struct lab_op lab_ones = {
    .name = "ones", .dims = {"fault"}, .shapes = shapes, .n_shapes = FAULTS, .make = make};

static struct lab_result run(enum fault fault, bool in_place)
{
    struct lab_result result;
    const struct lab_case c = lab_case_get(&lab_ones, fault, 1);
    struct lab *lab = lab_create(&c, &log_lines);
    assert_non_null(lab);
    assert_true(lab_can_in_place(lab));
    assert_false(lab_can_segment(lab));
    const struct lab_run_params params = {.dev = dev, .in_place = in_place, .repeat = 2};
    assert_true(lab_run(lab, &params, &result));
    lab_destroy(lab);
    return result;
}

static void test_right(void **state)
{
    (void)state;
    for (uint32_t in_place = 0; in_place < 2; in_place++) {
        struct lab_result r = run(NO_FAULT, in_place != 0);
        assert_string_equal(r.first, "");
        assert_true(r.passed);
        assert_int_equal(r.elements, ROWS * COLS);
        assert_true(r.ns > 0 && r.bytes == ROWS * COLS * 4);
    }
}

static void test_results(void **state)
{
    (void)state;
    struct lab_result r = run(SHORT, false);
    assert_false(r.passed);
    assert_int_equal(r.unwritten, 1);
    r = run(SHORT, true); /* the source's value is still there */
    assert_false(r.passed);
    assert_int_equal(r.beyond, 1);
    r = run(WRONG, false);
    assert_false(r.passed);
    assert_int_equal(r.beyond, 1);
    r = run(NOT_FINITE, false);
    assert_false(r.passed);
    assert_int_equal(r.not_finite, 1);
}

static void test_outside(void **state)
{
    (void)state;
    for (uint32_t in_place = 0; in_place < 2; in_place++) {
        struct lab_result r = run(BEFORE, in_place != 0);
        assert_false(r.passed);
        assert_int_equal(r.outside, 1);
        r = run(BEHIND, in_place != 0);
        assert_false(r.passed);
        assert_int_equal(r.outside, 2);
    }
    struct lab_result r = run(INPUT, false);
    assert_false(r.passed);
    assert_int_equal(r.outside, 1);
    assert_non_null(strstr(r.first, "of an input"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_outside),
    };
    log_init(&log_lines, NULL, NULL, LOG_ERROR);
    struct dev_instance *inst =
        dev_instance_create(&(struct dev_instance_params){.log = &log_lines});
    if (inst == NULL) {
        fprintf(stderr, "skipped: %s\n", log_lines.last);
        return 77;
    }
    uint32_t index = 0;
    dev_instance_default(inst, &index, 1);
    dev = dev_open(inst, &(struct dev_open_params){.index = index});
    int failed = dev == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    dev_close(dev);
    failed += dev_instance_messages(inst) != 0 ? 1 : 0;
    dev_instance_destroy(inst);
    log_finish(&log_lines);
    return failed;
}
