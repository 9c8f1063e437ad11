/* The step buffer: everything that changes from step to step, as 32-bit words. Included by C and by
 * GLSL. One word is a header field, then come arrays of `cap` words each, then the block table.
 * Where the model has layers with a sliding window (group 1, local), their slots and table follow.
 *
 *     header[STEP_HEADER]                 see below
 *     token[cap] pos[cap] seq[cap] slot[cap] len[cap] out[cap] target[cap]
 *     table[n_seq][blocks]                physical block of each logical block of a sequence
 *     local_slot[cap]                     the same two for the caches of local layers
 *     local_table[n_seq][blocks]
 *     ticket[n_tokens][heads]             in steps of few tokens
 *     copy_from[most] copy_to[most]       behind the rest, in steps with copies: pairs of slots
 *     local_copy_from[most] local_copy_to[most]
 *
 * token: id, or STEP_TOKEN_CHAINED: take it from the ids the device wrote in the last step.
 * pos:   position for RoPE. seq: row of the block table. slot: where this token's K and V go.
 * len:   entries of the sequence up to this token, itself included. It sees all of them, or in a
 *        layer with a window the last `window`. Table entries of blocks before that mean nothing.
 * out:   for i < n_out: the row whose logits are wanted. target: the id that is scored there.
 * copy:  for i < n_copies of the group: after the tokens' K and V are in the caches, and before
 *        anybody reads them, what copy_from[i] holds goes to copy_to[i]. In any order: no slot is
 *        in both arrays.
 * ticket: where attention of few tokens is cut into splits: how many of a head are done, 0 between
 *        dispatches. The one part that devices write.
 * No position is derived from a slot. */
#ifndef QUADRIGA_STEP_H
#define QUADRIGA_STEP_H

#define STEP_N_TOKENS 0 /* header words */
#define STEP_N_OUT    1
#define STEP_CAP      2 /* stride of the arrays */
#define STEP_BLOCKS   3 /* stride of the block table */
#define STEP_N_SEQ    4
#define STEP_N_COPIES 5 /* and 6: of the local group */
#define STEP_COPIES   7 /* word where the pairs begin */
#define STEP_COPY_CAP 8 /* stride of their arrays */
#define STEP_TICKETS  9 /* word where they begin */
#define STEP_HEADER   16

#define STEP_TOKEN  0 /* array numbers: word STEP_HEADER + number * cap + t */
#define STEP_POS    1
#define STEP_SEQ    2
#define STEP_SLOT   3
#define STEP_LEN    4
#define STEP_OUT    5
#define STEP_TARGET 6
#define STEP_ARRAYS 7

#define STEP_BLOCK         32 /* slots per block of the KV cache */
#define STEP_TOKEN_CHAINED 0xffffffffu

#endif
