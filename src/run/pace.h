/* How fast a device works: assumed from its kind before anything ran, then as measured. From it
 * follow where commands are cut and how many tokens a chunk of a prompt may have, so that no
 * submission takes longer than RUN_SUBMIT_NS, also on a device that is slower than thought.
 *
 * Plain arithmetic. Thread rule: any thread reads; one at a time adds. */
#ifndef QUADRIGA_RUN_PACE_H
#define QUADRIGA_RUN_PACE_H

#include "plan/op.h"

#include <stdbool.h>
#include <stdint.h>

/* No submission takes longer than this. Those of GPUs are planned for less, by pace_init. */
#define RUN_SUBMIT_NS 250e6

/* Few tokens wait for memory, many for arithmetic: two measures. */
enum pace_kind { PACE_STEP, PACE_CHUNK, PACE_KINDS };

struct run_pace {
    bool cpu;
    double ns_per_flop, ns_per_byte;  /* as assumed */
    double cut_ns;                    /* planned length of a submission, at most */
    _Atomic double scale[PACE_KINDS]; /* measured / assumed; 0: nothing was measured */
};

void pace_init(struct run_pace *pace, bool cpu);
enum pace_kind pace_kind_of(uint32_t n_tokens);
/* Time of a node as assumed; times pace_scale it is the prediction. */
double pace_assumed_ns(const struct run_pace *pace, const struct op_cost *cost);
bool pace_is_known(const struct run_pace *pace, enum pace_kind kind);
/* Of a GPU that was not measured: as of a very slow one. */
double pace_scale(const struct run_pace *pace, enum pace_kind kind);
/* Work that was assumed to take assumed_ns took ns. A device that is slower than thought is taken
 * at its word, a faster one step by step. */
void pace_add(struct run_pace *pace, enum pace_kind kind, double assumed_ns, double ns);
/* A node predicted to take more_ns is not for a command that has open_ns already. */
bool pace_splits(const struct run_pace *pace, double open_ns, double more_ns);
/* Tokens for which a node of `flop` per token stays within the planned length; at least 1. Before a
 * GPU was measured, few: a first chunk that is measured. */
uint32_t pace_tokens(const struct run_pace *pace, double flop);

/* Tokens of each chunk but the last, of a prompt of n in as few chunks of at most `most` as do:
 * equal ones, or, where they are long, rounded up to full tiles. */
uint32_t pace_chunk_size(uint32_t n, uint32_t most);
/* `most` as pace_chunk_size wants it: of full tiles, when it is not less than one. */
uint32_t pace_full_tiles(uint32_t most);

#endif
