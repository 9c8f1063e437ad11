/* Where the time of a session's steps goes: per kernel and shape by timestamps around every
 * dispatch, and by what the host did while a device was idle. (What is remembered of a device is a
 * profile of another kind: ops/profile.h.)
 *
 * Owned by the session; NULL in it: off, and every call here does nothing. Thread rule: the calls
 * for steps come from any of the session's threads, its lock is taken inside; set, reset and get
 * while nothing is in flight. */
#ifndef QUADRIGA_RUN_PROFILE_H
#define QUADRIGA_RUN_PROFILE_H

#include "plan/op.h"
#include "run/idle.h"

struct run_profile;
struct run_session;
struct run_slot;
struct run_recording;
struct run_part;

/* Values as in include/quadriga.h. */
enum run_profile_kind { RUN_PROFILE_KERNEL, RUN_PROFILE_COPY, RUN_PROFILE_GAP, RUN_PROFILE_HOST };

struct run_profile_row {
    uint32_t device;
    enum run_profile_kind kind;
    char op[32], variant[32], format[16], shape[48], what[64];
    uint64_t calls, dispatches, ns;
    double flop, bytes; /* of all calls; 0: not known */
};

/* Commands of one node within a part: spans [first, first + n) of its command `cmd`. */
struct run_mark {
    size_t cmd;
    uint32_t first, n, row;
    double flop, bytes;
};

/* From now on recordings have timestamps around every dispatch; the old ones are dropped. False: a
 * device has no timestamps, or memory is out (logged); then it is off. */
bool run_profile_start(struct run_session *session);
void run_profile_stop(struct run_session *session);
void run_profile_reset(struct run_session *session); /* times to zero */

/* ---- recording: before the commands of a node (NULL: a copy called `what`), and after ---- */
struct run_mark run_profile_mark(const struct run_part *part);
bool run_profile_end_mark(struct run_session *session, uint32_t d, struct run_part *part,
                          const struct run_mark *mark, const struct op_site *site,
                          const struct plan_node *node, const char *what);

/* ---- steps ---- */

/* Something the host does, on the caller's thread but for IDLE_EXCHANGE: begin gives the time, 0
 * when off. A trace is told too. */
uint64_t run_profile_begin(const struct run_session *session);
void run_profile_end(struct run_session *session, enum idle_why why, uint64_t begin);
/* After a step was waited for. False: logged. */
bool run_profile_step(struct run_session *session, const struct run_slot *slot,
                      const struct run_recording *rec);

/* Rows by device and kind, the longest first; up to `cap` of them into `rows`. Kernels, copies and
 * gaps of a device are its busy time, host rows its idle time as far as that is explained. False:
 * out of memory (logged). */
bool run_profile_get(struct run_session *session, struct run_profile_row *rows, size_t cap,
                     size_t *count);

#endif
