/* The self-test of a device: the quick sweep, and what is remembered of it in the device's profile
 * (ops/profile.h), so that the engine leaves out the kernels that failed.
 *
 * A kernel (op and variant) fails with any of its cases. Cases that say nothing about it (the
 * device was gone already, memory was out) leave it unjudged: what was known of it stays.
 * Thread rule: one thread at a time on one instance. */
#ifndef QUADRIGA_LAB_SELFTEST_H
#define QUADRIGA_LAB_SELFTEST_H

#include "base/os.h"
#include "lab/compat.h"
#include "ops/profile.h"

/* A kernel on a device. */
struct lab_cell {
    const char *op, *variant;
    uint32_t passed, failed, unjudged; /* cases */
    char why[OPS_WHY];                 /* first fault; without one, why it was not judged */
};

struct lab_verdict {
    const struct dev_info *info; /* of the device, owned by the instance */
    struct lab_cell *cells;
    size_t n_cells, cap_cells;
    struct ops_selftest test; /* with the date of its begin, UTC, and the sums */
};

struct lab_selftest_params {
    struct dev_instance *inst;
    struct log *log;             /* the one of the instance */
    uint32_t caps_off;           /* enum dev_cap bits */
    const struct ops_prefs *off; /* kernels that are not tried; NULL: all are */
    uint64_t seed;
    bool (*go_on)(void *user); /* asked after each case; false ends the test. May be NULL */
    void *user;
};

/* Tries the kernels of one device, which can be used. Fills *verdict, to be finished in any case.
 * False: it was ended, or, logged, host memory is out. */
bool lab_selftest(const struct lab_selftest_params *params, uint32_t device,
                  struct lab_verdict *verdict);
void lab_verdict_finish(struct lab_verdict *verdict);

/* Counts a row. False: memory is out. */
bool lab_verdict_add(struct lab_verdict *verdict, const struct lab_row *row);
uint32_t lab_verdict_failures(const struct lab_verdict *verdict); /* kernels */

/* Replaces the profile of the last of `n` verdicts of one session: tile parameters stay, and so
 * does what was known of kernels that were not judged now. Devices that share a file (the earlier
 * verdicts) share their failures. False: logged. */
bool lab_verdict_save(const struct lab_verdict *verdicts, uint32_t n, const char *dir,
                      struct log *log);

#endif
