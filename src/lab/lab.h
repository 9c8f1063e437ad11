/* The lab: for each op one oracle and one table of shapes, in src/lab/<op>.c, found by name. Three
 * customers: the op tests, the device check and the microbenchmarks.
 *
 * A `lab` is one case, made once: a small plan built with the ops' own builders, random inputs that
 * are rounded to what the device will hold, and the expected results in double precision with a
 * bound for every element. It can then be run on any number of devices: tensors lie in buffers of
 * their own between guard bands, results are filled with a poison first, and what comes back is
 * compared with the bounds.
 *
 * Errors: NULL or false, logged once. Thread rule: one thread at a time on one lab. */
#ifndef QUADRIGA_LAB_LAB_H
#define QUADRIGA_LAB_LAB_H

#include "device/device.h"
#include "ops/variant.h"
#include "plan/op.h"

#define LAB_DIMS 9
#define LAB_U    0x1p-24 /* unit roundoff of float32 */
#define LAB_HALF 0x1p-10 /* of float16, whichever way a device rounds */
/* Bound of a dot product of n terms in float32, in LAB_U times the sum of their sizes: see
 * matmul.c. */
#define LAB_DOT(n) ((double)(n) / 16 + 12)

#define LAB_KV_TYPES 4 /* of caches */

struct lab;

enum lab_vary {
    LAB_BY_QUANT = 1 << 0, /* each shape is run in every weight format (lab_quant) whose blocks fit
                              dimension `quant_dim` */
    LAB_BY_KV = 1 << 1,    /* each shape is run with every type of cache (lab_kv_elem) that fits it
                              (`kv_fits`) */
};

/* One op. src/lab/<op>.c defines `const struct lab_op lab_op_<op> = {` on one line. */
struct lab_op {
    const char *name;
    const char *dims[LAB_DIMS];         /* names of the dimensions, for messages; NULL: unused */
    const uint32_t (*shapes)[LAB_DIMS]; /* rows of the table */
    uint32_t n_shapes;
    uint32_t vary;      /* enum lab_vary */
    uint32_t quant_dim; /* LAB_BY_QUANT: the dimension that counts the weight's columns */
    bool (*kv_fits)(const uint32_t *dims, enum plan_elem elem); /* LAB_BY_KV */
    double nmse; /* limit of f32 results; 0: 1e-10. f16 results: 1e-6 */
    /* Makes the inputs, builds the node(s), fills what is expected. False: logged. */
    bool (*make)(struct lab *lab);
};

const struct lab_op *const *lab_list(uint32_t *count); /* generated from the files of src/lab */
const struct lab_op *lab_find(const char *name);       /* NULL when there is none */

/* Cases of an op: shapes x formats x cache types. */
struct lab_case {
    const struct lab_op *op;
    const uint32_t *dims;   /* LAB_DIMS numbers, a row of op->shapes */
    enum quant_id quant;    /* LAB_BY_QUANT */
    enum plan_elem kv_elem; /* LAB_BY_KV */
    uint64_t seed;          /* of the inputs */
};
enum plan_elem lab_kv_type(uint32_t i); /* number i < LAB_KV_TYPES */
uint32_t lab_case_count(const struct lab_op *op);
/* Case number `index`, below the count; its seed comes from `seed` and the index. */
struct lab_case lab_case_get(const struct lab_op *op, uint32_t index, uint64_t seed);
/* "matmul tokens=7 rows=65 cols=256 q4_k seed=12" */
void lab_case_text(const struct lab_case *c, char *out, size_t out_bytes);

struct lab *lab_create(const struct lab_case *c, struct log *log);
void lab_destroy(struct lab *lab);

/* ---- running ---- */

struct lab_run_params {
    struct dev *dev;
    bool in_place;   /* results take the memory of the source that their node allows (in_place) */
    bool segments;   /* weights and caches are cut into several segments of rows */
    bool interleave; /* weights lie as the lanes kernels want them, whichever kernel is forced */
    const struct ops_prefs *prefs; /* a forced variant, tile parameters; NULL: as the ops choose */
    bool record_only; /* nothing is uploaded or compared, for devices that compute nothing: only
                         variant, unfit, flop and bytes are known then */
    uint32_t repeat;  /* times the nodes are recorded into the submission that is timed after the
                         checked one; 0: no timing */
};

struct lab_result {
    bool passed;
    const char *variant; /* that ran; of the last node, where a case has several */
    const char *unfit;   /* the forced variant cannot run this shape, or none can read staged
                            activations, and why: nothing was run */
    double nmse;         /* sum of squared errors / sum of squared expected values */
    double worst_error;  /* largest |error| */
    double worst_ratio;  /* largest |error| / bound, of elements with a bound above 0 */
    uint64_t elements, beyond, not_finite, unwritten, outside; /* outside: words beside a tensor, or
                                                                  in an input, that were written */
    char first[256];    /* the first fault: tensor, row, column, found, expected, bound; else "" */
    double ns;          /* of one pass over the nodes: best submission, host clock, / repeat */
    double flop, bytes; /* of one pass, as the ops say */
};

bool lab_can_in_place(const struct lab *lab); /* some node of the plan allows it */
bool lab_can_segment(const struct lab *lab);  /* some weight or cache is large enough to be cut */
/* True when more than one row interleave of weights is possible there. */
bool lab_can_interleave(const struct lab *lab, const struct dev *dev);
/* False when it could not be run (logged); otherwise the result says whether it passed, or that
 * the variant does not fit. */
bool lab_run(struct lab *lab, const struct lab_run_params *params, struct lab_result *result);

/* ---- for op files: inside make() ---- */

struct plan *lab_plan(struct lab *lab); /* given to the op's builder */
uint32_t lab_dim(const struct lab *lab, uint32_t i);
enum quant_id lab_quant(const struct lab *lab);
enum plan_elem lab_kv_elem(const struct lab *lab);
/* For a V cache of another type: the other of f16 and f32, or of q8_0 and q4_0; with `cross` one of
 * the other kind. */
enum plan_elem lab_kv_other(const struct lab *lab, bool cross);
uint64_t *lab_rng(struct lab *lab); /* for base/hash.h */
struct log *lab_log(struct lab *lab);
/* The limit of this case's NMSE in place of the op's. */
void lab_set_nmse(struct lab *lab, double limit);
/* The same for kernels that round operands to float16 (ops_variant.halves), which have 1e-6. */
void lab_set_nmse_half(struct lab *lab, double limit);
/* Tokens of the plan and rows of logits; call first, before inputs are made. */
void lab_tokens(struct lab *lab, uint32_t n_tokens, uint32_t n_out);

/* Inputs: ids of tensors, PLAN_NONE after a failure (the plan is then failed too, so that builders
 * may be called without a check). Values are uniform in [lo, hi). */
uint32_t lab_act(struct lab *lab, const char *name, uint64_t rows, uint64_t cols, float lo,
                 float hi);
/* The same in f16, to which the values are rounded. */
uint32_t lab_act_f16(struct lab *lab, const char *name, uint64_t rows, uint64_t cols, float lo,
                     float hi);
/* Random values encoded in the format; lab_values are what the blocks decode to. Interleaved as the
 * device wants it (ops_weight_lanes; 1 for vectors). */
uint32_t lab_weight(struct lab *lab, const char *name, enum quant_id quant, uint64_t rows,
                    uint64_t cols, float lo, float hi);
/* A cache [kv_heads][slots][head_dim]; values are rounded to `elem`. */
uint32_t lab_kv(struct lab *lab, const char *name, enum plan_elem elem, bool is_value,
                uint32_t kv_heads, uint32_t slots, uint32_t head_dim, float lo, float hi);
/* u32 words, zeroed, of role PLAN_IDS_IN. Fill by lab_words. */
uint32_t lab_ids_in(struct lab *lab, uint32_t n);
/* The step buffer of the plan's tokens: a header, arrays of zeros whose stride is larger than the
 * number of tokens, and a block table in which the blocks of `n_seq` sequences, `blocks` each, lie
 * in random order among all n_seq * blocks physical blocks. The same again, in another order, for
 * the caches of local layers. */
uint32_t lab_step(struct lab *lab, uint32_t n_seq, uint32_t blocks);
/* The same with room for `copies` pairs of slots of each group. */
uint32_t lab_step_with_copies(struct lab *lab, uint32_t n_seq, uint32_t blocks, uint32_t copies);
/* Sets how many pairs there are: their sources, and as many words behind as there is room for pairs
 * their destinations. NULL after a failure. */
uint32_t *lab_step_copies(struct lab *lab, uint32_t n);
/* From here on slots are those of the local group. */
void lab_step_local(struct lab *lab);
uint32_t *lab_step_array(struct lab *lab, uint32_t array); /* STEP_TOKEN.., [n_tokens] */
/* Physical slot of entry `i` of a sequence, by the block table. */
uint32_t lab_step_slot(const struct lab *lab, uint32_t seq, uint32_t i);

/* Values of an input, [rows][cols] as the device will see them. Those of activations and caches may
 * be changed (to numbers that the element type holds). */
float *lab_values(struct lab *lab, uint32_t id);
uint32_t *lab_words(struct lab *lab, uint32_t id);

/* Marks a tensor as a result. Both arrays have rows * cols elements: value, and the bound of
 * |found - value|, zeroed. For a cache (input and result) value starts as what the cache holds, so
 * that only what is written needs to be filled. Both NULL after a failure. u32 results must be
 * equal. A value that is not finite asks for the same infinity, or for some NaN. */
struct lab_expect {
    double *value, *bound;
};
struct lab_expect lab_expect(struct lab *lab, uint32_t id);
/* For a result of lab_expect: bounds for kernels that round operands to float16, zeroed. Where an
 * op has none they are judged like others. NULL after a failure. */
double *lab_expect_half(struct lab *lab, uint32_t id);

#endif
