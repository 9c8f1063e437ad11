/* The vtable of an op, and the site where one of its nodes is recorded. Implementations live in
 * src/ops/<op>.c; device types are only forward-declared here. */
#ifndef QUADRIGA_PLAN_OP_H
#define QUADRIGA_PLAN_OP_H

#include "plan/plan.h"

struct dev;
struct dev_buf;
struct dev_cmd;
struct ops_prefs;
struct ops_variant;

/* Rows [row0, row0 + rows) of a tensor on a device. Weights are cut into segments of whole rows
 * (each its own quant_layout) and KV caches into segments of whole KV heads, so that no binding
 * exceeds the device's limit; every other tensor is one segment. */
struct op_segment {
    struct dev_buf *buf;
    uint64_t offset, bytes;
    uint64_t row0, rows;
    const struct quant_layout *layout; /* weights only */
};

struct op_place {
    uint32_t n_segments;
    const struct op_segment *segments;
    uint32_t top; /* of a weight: quant_top_exponent of all its rows; 0: nobody has looked */
};

/* Which kernel the last recorded node got, for those who ask (lab). */
struct op_used {
    const char *variant; /* NULL: none */
    const char *unfit;   /* why the variant that was forced cannot run this node; NULL: it can */
};

struct op_site {
    struct dev *dev;
    struct dev_cmd *cmd; /* in recording */
    const struct plan *plan;
    const struct op_place *places; /* by tensor id, for this device */
    struct log *log;
    const struct ops_prefs *prefs; /* ops/variant.h; NULL: none */
    struct op_used *used;          /* may be NULL */
};

struct op_cost {
    double flop;
    double bytes; /* read and written */
};

struct op {
    const char *name;    /* that of the file */
    const char *purpose; /* one line */
    void (*cost)(const struct plan *plan, const struct plan_node *node, struct op_cost *cost);
    /* Chooses the kernel by capability and shape, records the dispatches. False: logged. */
    bool (*record)(const struct op_site *site, const struct plan_node *node);
    const struct ops_variant *variants; /* its kernels, best first (ops/variant.h) */
    uint32_t n_variants;
};

#endif
