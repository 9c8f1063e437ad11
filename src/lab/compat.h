/* The device check: every kernel variant that a device can run, over the shape tables, against the
 * oracles. A sweep walks devices, ops, cases, variants and ways and hands over one row for each;
 * who prints or keeps rows knows nothing of how they were made.
 *
 * A device that is lost or runs out of memory is a result: that row fails, the device is opened
 * again for the next one. When it cannot be opened, or is lost three times in a row, each of its
 * remaining op x variants is one failed row, and the sweep goes on with the next device.
 *
 * Thread rule: one thread at a time on one instance. */
#ifndef QUADRIGA_LAB_COMPAT_H
#define QUADRIGA_LAB_COMPAT_H

#include "lab/lab.h"

enum lab_status { LAB_PASS, LAB_FAIL, LAB_SKIP };

/* One run of a case by a variant on a device; or, with c.dims NULL, a whole op x variant that was
 * not run there: skipped for a missing capability, or failed because the device is gone. */
struct lab_row {
    uint32_t device; /* of dev_instance_info */
    const struct lab_op *op;
    const struct ops_variant *variant;
    struct lab_case c;
    bool in_place, segments, interleave; /* the way; at most one is true */
    enum lab_status status;
    char why[256];            /* of a failure: the first fault; of a skip: what is missing */
    struct lab_result result; /* zero where nothing was run; its texts are constant */
};

struct lab_sweep_params {
    struct dev_instance *inst;
    struct log *log;         /* the one of the instance. While a case runs, error lines go to the
                                row's `why` and not to the sink of this log */
    const uint32_t *devices; /* those that cannot be used give no rows */
    uint32_t n_devices;
    const char *op, *variant; /* only these; NULL: all */
    /* For each op x variant x format some cases only: the first of the table, a small and an
     * ordinary one, and one more for each way that these do not have. */
    bool quick;
    uint64_t seed;
    uint32_t caps_off; /* enum dev_cap bits */
    /* A kernel that is off here is one skipped row, "switched off"; NULL: none is. */
    const struct ops_prefs *prefs;
    /* Asked before a row is made; false leaves it out, and row->status is then what is known of
     * it (LAB_SKIP: it could not be run). The rows of a case and variant come in the order
     * interleave, segments, in place, plain; where the plain one is left out, those of the others
     * that are wanted are taken to be impossible. NULL: all rows. */
    bool (*wanted)(void *user, struct lab_row *row);
    /* Each row as soon as it is there; false ends the sweep. */
    bool (*on_row)(void *user, const struct lab_row *row);
    void *user;
};

/* False when on_row ended it, or, logged, when there is no such op or variant or host memory is
 * out. Failed rows are no failure of the sweep. */
bool lab_sweep(const struct lab_sweep_params *params);

/* ---- which cases a quick sweep tries, in which order ---- */

/* Indices of the cases of `op` with this format and cache type into `order` (at least
 * lab_case_count of them); returns how many. `by_use`: those that a quick sweep wants first, then
 * the others from small to large; else in the order of the table. */
uint32_t lab_case_order(const struct lab_op *op, enum quant_id quant, enum plan_elem kv_elem,
                        bool by_use, uint32_t *order);

#endif
