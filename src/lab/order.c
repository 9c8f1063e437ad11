/* Cases of one format by their use for a quick check: what a table begins with, a small shape with
 * its tails, an ordinary one, then the rest from small to large. */
#include "lab/compat.h"

static uint64_t size_of(const struct lab_op *op, uint32_t index)
{
    const struct lab_case c = lab_case_get(op, index, 0);
    uint64_t size = 1;
    for (uint32_t i = 0; i < LAB_DIMS && op->dims[i] != NULL; i++) {
        uint64_t next;
        size = size_mul(size, c.dims[i] != 0 ? c.dims[i] : 1, &next) ? next : UINT64_MAX;
    }
    return size;
}

static void sort_by_size(const struct lab_op *op, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        uint32_t index = order[i], at = i;
        while (at > 0 && size_of(op, order[at - 1]) > size_of(op, index)) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = index;
    }
}

/* Moves the entry at `from` to `to`, which is not behind it. */
static void move_up(uint32_t *order, uint32_t from, uint32_t to)
{
    uint32_t index = order[from];
    for (uint32_t at = from; at > to; at--) {
        order[at] = order[at - 1];
    }
    order[to] = index;
}

uint32_t lab_case_order(const struct lab_op *op, enum quant_id quant, enum plan_elem kv_elem,
                        bool by_use, uint32_t *order)
{
    uint32_t n = 0, count = lab_case_count(op);
    for (uint32_t i = 0; i < count; i++) {
        const struct lab_case c = lab_case_get(op, i, 0);
        if (c.quant == quant && c.kv_elem == kv_elem) {
            order[n++] = i;
        }
    }
    if (!by_use || n < 3) {
        return n;
    }
    uint32_t first = order[0], at, small = n / 4, ordinary = n * 6 / 10;
    sort_by_size(op, order, n);
    move_up(order, ordinary, 0);
    move_up(order, small + 1, 0); /* the ordinary one has moved it on */
    for (at = 0; order[at] != first; at++) {
    }
    move_up(order, at, 0);
    return n;
}
