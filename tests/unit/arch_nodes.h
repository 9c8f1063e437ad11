/* For tests of the build pass: the nodes of a layer as text. */
#ifndef QUADRIGA_TESTS_ARCH_NODES_H
#define QUADRIGA_TESTS_ARCH_NODES_H

#include "plan/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* "embed rmsnorm matmul ..." of the live nodes of one layer. */
static void list_ops(const struct plan *plan, int32_t layer, char *out, size_t bytes)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < plan->n_nodes; i++) {
        const struct plan_node *node = &plan->nodes[i];
        if (node->layer == layer && !node->dead) {
            const char *name = node->kind == PLAN_BORDER ? "border" : node->op->name;
            n += (size_t)snprintf(out + n, bytes - n, "%s%s", n != 0 ? " " : "", name);
            assert_true(n < bytes);
        }
    }
}

static void expect_ops(const struct plan *plan, int32_t layer, const char *want)
{
    char have[512];
    list_ops(plan, layer, have, sizeof have);
    assert_string_equal(have, want);
}

#endif
