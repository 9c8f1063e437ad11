/* The ops that architectures may call. Each adds one node (or a few) to the plan and returns the id
 * of its result, PLAN_NONE after a failure (logged, plan->failed set). Shapes are checked here,
 * with a line naming op, tensor and sizes. Tokens are rows: an activation is [tokens][cols], f32.
 *
 * src/ops/<op>.c has builder, cost and record of an op; shaders/op/<op>*.comp its kernels;
 * src/lab/<op>.c its oracle and shapes. */
#ifndef QUADRIGA_OPS_OPS_H
#define QUADRIGA_OPS_OPS_H

#include "plan/plan.h"

/* x[t] = row token[t] of weight [vocab][dim]. The token is step.token[t], or ids_in[t] where that
 * is STEP_TOKEN_CHAINED. */
uint32_t op_embed(struct plan *plan, uint32_t weight, uint32_t step, uint32_t ids_in);

/* y = x / sqrt(mean(x^2) + eps) * w, each row by itself (Zhang & Sennrich 2019). w: F32 [1][cols];
 * where it has fewer columns than x, which it must divide, each group of as many is normalised
 * alone (the heads of q and k). */
struct op_rmsnorm_attr {
    float eps;
};
uint32_t op_rmsnorm(struct plan *plan, uint32_t x, uint32_t w, float eps);

/* The staged form of activations [tokens][cols]: x[t][k] = values[t][k] * scale[t], values f16
 * [tokens][cols], scale f32 [tokens][1]. A scale is a power of two such that the largest finite
 * |value| of the row lies in [2^13, 2^14), so that nothing overflows and scaling is exact; it is 1
 * for a row of zeros, and at least 2^-126 (rows whose largest is below 2^-113 stay smaller).
 * Infinity stays infinity and NaN stays NaN. cols: a multiple of 4. */
struct op_staged {
    uint32_t x, scale;
};
struct op_staged op_stage(struct plan *plan, uint32_t x);

/* op_stage of what op_rmsnorm makes of whole rows: cols is a multiple of 4 and that of w. fuse
 * makes it of the two. */
struct op_staged op_norm_stage(struct plan *plan, uint32_t x, uint32_t w, float eps);

/* What fuse makes of swiglu or geglu and the two products before it, for few tokens: y = act(gate
 * x)
 * * (up x), weights of one shape and format; and, with src[4], of x's norm (rmsnorm). */
struct op_matmul_gate_attr {
    uint32_t gelu; /* 0: silu */
    float eps;
};
uint32_t op_matmul_gate(struct plan *plan, const char *name, uint32_t gate, uint32_t up, uint32_t x,
                        bool gelu);

/* op_stage of what op_swiglu, or with `gelu` op_geglu, makes. fuse makes it of the two. */
struct op_gate_stage_attr {
    uint32_t gelu;
};
struct op_staged op_gate_stage(struct plan *plan, uint32_t gate, uint32_t up, bool gelu);

/* Activations quantized to signed bytes: x[t][k] = values[t][k] * scale[t][k / 32], about. values
 * s8 [tokens][cols], scale f32 [tokens][cols / 32]: the largest |x| of the 32 / 127, values
 * x / scale rounded to the nearest, -127 to 127. Since scales are f32, no finite activation is too
 * large. 32 values of which none reaches 2^-113 have the scale 0 and quants of 0; where one is
 * infinite or NaN the scale is NaN, and so is every product with them. cols: a multiple of 32. */
#define OP_Q8_BLOCK 32
struct op_staged op_stage_q8(struct plan *plan, uint32_t x);

/* y[t][r] = sum_k w[r][k] * x[t][k] (+ residual[t][r], PLAN_NONE: none). f32 accumulation.
 * GEMV for few tokens, GEMM for many. src: w, x, residual, scale; the scale where x is staged, in
 * either form, which ops_lower sees to. Kernels that read f16 round weights to f16; those that read
 * bytes multiply them by the quants of the weights in integers. `name` names the result. */
struct op_matmul_attr {
    uint32_t part; /* 0: the product is whole; else op_matmul_parts */
    float eps;     /* of the norm of x, whose weight is src[4] (fuse: norm_matmul) */
};
uint32_t op_matmul(struct plan *plan, const char *name, uint32_t w, uint32_t x);
/* x in either staged form. */
uint32_t op_matmul_staged(struct plan *plan, const char *name, uint32_t w, struct op_staged x);
/* A product that is split along its columns, for the kernels on matrix units: the sums over the
 * columns of each part, `part` of them (a multiple of 32) and what is left in the last. Result:
 * [parts * tokens][rows], part by part. */
uint32_t op_matmul_parts(struct plan *plan, const char *name, uint32_t w, struct op_staged x,
                         uint32_t part);

/* y[t][r] = sum_i parts[i * tokens + t][r] (+ residual[t][r], PLAN_NONE: none), in the order of i:
 * what op_matmul_parts left. tokens = rows of parts / n_parts, 2 to OP_MAX_PARTS. ops_lower makes
 * both of a matmul (ops/matmul_split.h). */
#define OP_MAX_PARTS 16
uint32_t op_split_sum(struct plan *plan, const char *name, uint32_t parts, uint32_t n_parts,
                      uint32_t residual);

/* y = a + b. b may be one row, an activation or an F32 weight, which every row of a gets (bias). */
uint32_t op_add(struct plan *plan, uint32_t a, uint32_t b);

/* y = silu(gate) * up, silu(v) = v / (1 + exp(-v)) (Shazeer 2020). */
uint32_t op_swiglu(struct plan *plan, uint32_t gate, uint32_t up);

/* y = gelu(gate) * up, gelu in its tanh form (Hendrycks & Gimpel 2016). */
uint32_t op_geglu(struct plan *plan, uint32_t gate, uint32_t up);

/* y = scale * x, or softcap * tanh(scale * x / softcap) where softcap is not 0. */
uint32_t op_scale(struct plan *plan, uint32_t x, float scale, float softcap);

/* Rotary embedding of x [tokens][heads * head_dim] at positions step.pos[t] (Su et al. 2021).
 * The first `dims` of each head are rotated, in pairs (2i, 2i+1) or, when half_split, (i,
 * i+dims/2), by the angle pos * scale * base^(-2i/dims) / factor[i]; factors: F32 [1][dims/2]
 * weight or PLAN_NONE (all 1). `scale` is 1/linear scaling factor; sine and cosine are multiplied
 * by `magnitude` (1 but for some long contexts). */
struct op_rope_attr {
    uint32_t heads, head_dim, dims;
    uint32_t half_split; /* 0 interleaved (llama), 1 half-split (NeoX) */
    float base, scale, magnitude;
};
uint32_t op_rope(struct plan *plan, uint32_t x, uint32_t step, uint32_t factors,
                 const struct op_rope_attr *attr);

#define OP_MAX_HEAD_DIM 256 /* of KV append and attention; head_dim is even */
#define OP_MAX_SPLITS   64
#define OP_FEW_TOKENS   16  /* up to here attention may have splits */
#define OP_MOST_STREAMS 128 /* the same where each token is of another sequence */

/* Writes k and v [tokens][kv_heads * head_dim] to slot step.slot[t] of the caches
 * [kv_heads][slots][head_dim] (f16 or f32 each). group: 0, or 1 for caches of layers with a sliding
 * window: which slots and which block table of the step buffer (step.h) count. */
struct op_kv_append_attr {
    uint32_t kv_heads, head_dim, slots;
    uint32_t group;
};
void op_kv_append(struct plan *plan, uint32_t k, uint32_t v, uint32_t k_cache, uint32_t v_cache,
                  uint32_t step, const struct op_kv_append_attr *attr);

/* Copies entries of the caches from slot to slot, the pairs of the step buffer's group (step.h), K
 * and V of all heads as they are stored. `copies`: the most pairs that a step has; none is in the
 * way of another. */
struct op_kv_copy_attr {
    uint32_t kv_heads, head_dim, slots;
    uint32_t group;
    uint32_t copies;
};
void op_kv_copy(struct plan *plan, uint32_t k_cache, uint32_t v_cache, uint32_t step,
                const struct op_kv_copy_attr *attr);

/* op_rope of q and of k, which differ in `heads` alone, and op_kv_append of that k and v in one;
 * the result is the turned q, its bits and those of the caches are what the three make. src: q, k,
 * v, step, factors. fuse makes it of the three. */
struct op_rope_append_attr {
    struct op_rope_attr rope; /* heads: those of q */
    struct op_kv_append_attr append;
};
uint32_t op_rope_append(struct plan *plan, const uint32_t qkv[3], const uint32_t caches[2],
                        uint32_t step, uint32_t factors, const struct op_rope_append_attr *attr);

/* o[t] = softmax(scale * q[t] K^T) V over the first step.len[t] entries of sequence step.seq[t];
 * entry i lies in slot table[seq][i / STEP_BLOCK] * STEP_BLOCK + i % STEP_BLOCK. Online softmax
 * (Milakov & Gimelshein 2018): no score matrix. q: [tokens][heads * head_dim]; heads are grouped:
 * head h uses KV head h / (heads / kv_heads). splits > 1 (decode): each KV head's entries are cut
 * into `splits` parts whose partial results a second node (attn_merge) joins.
 * window (0: none): only the last `window` of those entries are seen, the token's own included;
 * blocks before them are not visited. softcap (0: none): a score becomes
 * softcap * tanh(score / softcap), score = scale * q K^T. group as for KV append. */
struct op_attention_attr {
    uint32_t heads, kv_heads, head_dim, slots, splits;
    float scale;
    float softcap;
    uint32_t window, group;
};
/* Most splits of which none is without work where a token sees that many entries. */
uint32_t op_attention_parts(uint64_t entries);
/* How many splits a step of `tokens` is worth: enough workgroups for a GPU, but no fewer than 2,
 * with which teams of subgroups share a split. For up to OP_FEW_TOKENS, or OP_MOST_STREAMS of as
 * many sequences; tiles of tokens that see the same entries are better for more. Tokens count by
 * the power of two from them on, so that of all steps up to that one it has the most partials.
 * Those that sequences of up to n_ctx entries leave without work cost next to nothing. */
uint32_t op_attention_splits(uint32_t kv_heads, uint32_t n_ctx, uint32_t tokens);
uint32_t op_attention(struct plan *plan, uint32_t q, uint32_t k_cache, uint32_t v_cache,
                      uint32_t step, const struct op_attention_attr *attr);

/* The same with more than one split in one node, which also has the partials as a second result.
 * Kernels that count who is done join by themselves (tickets of the step buffer), others are
 * followed by a dispatch of attn_merge's. Bit for bit what the two nodes make. */
uint32_t op_attention_merged(struct plan *plan, uint32_t q, uint32_t k_cache, uint32_t v_cache,
                             uint32_t step, const struct op_attention_attr *attr);

/* Joins attention's partial results, in the order of the splits; op_attention adds it by itself.
 * partial: [tokens * heads * splits][maximum of scores / ln 2, sum, head_dim values]; rows of
 * splits that step.len leaves without entries (shaders/common/kv_split.glsl) are not read. */
uint32_t op_attn_merge(struct plan *plan, uint32_t partial, uint32_t step,
                       const struct op_attention_attr *attr);

/* y[i] = x[step.out[i]] for i < n_out. */
uint32_t op_rows(struct plan *plan, uint32_t x, uint32_t step);

#define OP_MAX_BANNED 8

/* ids[i] = index of the largest value of row i of the logits, lowest index on ties; what is banned,
 * infinite or NaN never wins, and UINT32_MAX says that nothing is left. Result: a PLAN_IDS_OUT
 * tensor. */
struct op_argmax_attr {
    uint32_t n_banned, banned[OP_MAX_BANNED];
};
uint32_t op_argmax(struct plan *plan, uint32_t logits, const struct op_argmax_attr *attr);

#define OP_MAX_TOP 512

/* Row i: the bits of the k largest logits of row i, largest first, then their tokens; of equal ones
 * the lowest token first. Only finite ones count; where they are fewer than k, -infinity and
 * UINT32_MAX. Result: a PLAN_IDS_OUT tensor [n_out][2 * k]; k at most OP_MAX_TOP. */
uint32_t op_topk(struct plan *plan, uint32_t logits, uint32_t k);

/* score[i] = x[target] - log(sum_v exp(x[v])), x row i of the logits and target = step.target[i]:
 * the natural logarithm of that token's probability. NaN where the target is not in the vocabulary,
 * or where a logit of the row is NaN or infinity, or all are -infinity. Result: a PLAN_SCORES
 * tensor [n_out][1]. */
uint32_t op_score(struct plan *plan, uint32_t logits, uint32_t step);

#define OP_MAX_EXPERTS 512

/* The `used` experts with the largest logits [tokens][experts] of each token, in that order; of
 * equal ones the lowest, and NaN is behind every number, so that ids are always experts. Weights:
 * softmax over all experts (Shazeer et al. 2017); `normalise`: divided by their sum, as in Mixtral
 * (Jiang et al. 2024). They are NaN where one of the logits is, or where the largest is infinite.
 * Both results have the shape [tokens][used]; ids are u32. */
struct op_router_attr {
    uint32_t used, normalise;
};
struct op_routes {
    uint32_t ids, weights;
};
struct op_routes op_router(struct plan *plan, uint32_t logits, const struct op_router_attr *attr);

/* For i = t * used + j, a pair of token and expert: y[i][r] = sum_k w[ids[t][j]][r][k] * x[..][k].
 * w: [experts * rows][cols]; x has a row for each token (t) or for each pair (i). Where there
 * are more pairs than experts it adds expert_lists, once for the same ids. src: w, x, ids, lists,
 * scale (as matmul's). */
struct op_matmul_experts_attr {
    uint32_t experts;
    uint32_t most_tokens; /* of a dispatch, a multiple of 64; 0: as many as bindings may hold */
};
uint32_t op_matmul_experts(struct plan *plan, const char *name, uint32_t w, uint32_t x,
                           uint32_t ids, uint32_t n_experts);

/* Pairs by expert, each in ascending order: u32 [experts + 1] first entries of each expert, then
 * the pairs; op_matmul_experts adds it by itself. */
uint32_t op_expert_lists(struct plan *plan, uint32_t ids, uint32_t n_experts);

/* out[t] = sum_j weights[t][j] * y[t * used + j], in the order of j. */
uint32_t op_experts_sum(struct plan *plan, uint32_t y, uint32_t weights);

/* Marks a matmul's result as the logits of the plan (role PLAN_LOGITS). */
void op_logits(struct plan *plan, uint32_t x);

#endif
