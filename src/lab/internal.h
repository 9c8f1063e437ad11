/* What the files of src/lab share: a case with its plan, inputs and expected results. */
#ifndef QUADRIGA_LAB_INTERNAL_H
#define QUADRIGA_LAB_INTERNAL_H

#include "lab/lab.h"
#include "ops/ops.h"

/* Written to results before the run: a NaN as f32 and as two f16, and no index. */
#define LAB_POISON 0x7fedfeedu
#define LAB_GUARD  0xa5c3a5c3u /* beside every tensor */

/* What the host knows of one tensor; all NULL for tensors in between. */
struct lab_data {
    float *values;         /* [rows][cols] of f32, f16 and decoded weights */
    uint32_t *words;       /* of u32 tensors */
    uint8_t *blocks;       /* weights, as in a file */
    double *value, *bound; /* results */
    double *half;          /* bound where a kernel rounds operands itself; NULL: no other */
};

struct lab {
    struct lab_case c;
    struct log *log;
    struct arena arena;
    struct plan plan;
    bool has_plan;
    double nmse; /* limit; 0: the op's */
    double nmse_half;
    uint64_t rng;
    struct lab_data *data; /* [plan.n_tensors], see lab_data_get */
    size_t n_data;
    uint32_t step_cap, blocks;
    bool local;    /* slots are those of the local group */
    uint32_t step; /* tensor id */
};

/* Grows data to the plan's tensors; NULL (logged, plan failed) when memory is out. */
struct lab_data *lab_data_get(struct lab *lab, uint32_t id);

/* gate.c: a case of a gated activation, y = gate(x) * up. `bound` is that of gate(x) * up in LAB_U
 * times its size. */
#define LAB_GATE_SHAPES                                                                            \
    {                                                                                              \
        {1, 1}, {1, 3}, {3, 5}, {2, 64}, {1, 1024}, {7, 252}, {5, 257}, {128, 1024}, {33, 1023},   \
    }
bool lab_gate_make(struct lab *lab, uint32_t (*op)(struct plan *plan, uint32_t gate, uint32_t up),
                   double (*gate)(double x, double *bound));

double lab_silu(double x, double *bound); /* swiglu.c */
double lab_gelu(double x, double *bound); /* geglu.c */

/* rope.c: one head x, turned. `bound` of values that pass through stays as it is. */
struct op_rope_attr;
struct lab_turn {
    const struct op_rope_attr *attr;
    const float *factors; /* or NULL */
    uint32_t pos;
};
void lab_rope_turn(const struct lab_turn *turn, const float *x, double *y, double *bound);
/* far: 0 small positions, 1 up to 4096, 2 up to 2^20 and above, some of them corners. */
uint32_t lab_rope_position(uint64_t *rng, uint32_t far, uint32_t t);

/* kv_append.c: values of an activation that are hard to store in a cache of this type; and what a
 * cache holds behind an append of rows [tokens][kv_heads][head_dim], exactly. */
struct op_kv_append_attr;
void lab_kv_corners(struct lab *lab, uint32_t id, enum plan_elem elem);
void lab_kv_expect(struct lab *lab, uint32_t cache, uint32_t from,
                   const struct op_kv_append_attr *attr);

/* staged_row.c: the staged form of a row whose values come with an error. */
struct lab_staged_row {
    const double *value, *error;
    size_t cols;
};
/* Mantissas of f32, of which LAB_GRID differ: powers of two, two bits, and all ones from one bit
 * up, each with its neighbours. Wherever f16 cuts, there are ties to even and odd and what is next
 * to them, and what carries into the exponent. */
enum { LAB_GRID = 23 * 9 };
uint32_t lab_grid_mantissa(uint32_t i);

/* The largest value, number *at, is so close to a power of two that its error may move the scale:
 * the caller makes it smaller. */
bool lab_staged_unclear(const double *row, size_t cols, size_t *at);
/* Fills row t of values and scales. */
void lab_staged_expect(const struct lab_staged_row *row, struct lab_expect x,
                       struct lab_expect scale, size_t t);

/* staged.c: products of weights and activations. */
/* Inputs [rows][cols] in the staged form, with scales that differ. */
struct op_staged lab_staged(struct lab *lab, const char *name, uint64_t rows, uint64_t cols);
/* The same as signed bytes with a scale for each 32. */
struct op_staged lab_quantized(struct lab *lab, const char *name, uint64_t rows, uint64_t cols);
/* Of a case with staged inputs: errors of rounded weights are allowed. */
void lab_staged_limit(struct lab *lab);
struct lab_factors {
    const float *w, *x; /* a row each */
    size_t cols;
    enum quant_id quant; /* of w */
    const float *scale;  /* of x, which is staged; NULL: it is not */
    const float *scales; /* of each 32 of x, which is quantized; NULL: it is not */
};
struct lab_product {
    double value, bound;
};
struct lab_product lab_product(const struct lab_factors *factors, double add);
/* Gives the last node of the plan the norm of its x (fuse: norm_matmul). Returns x as the product
 * then reads it, [rows][cols]; NULL: the case failed. */
const float *lab_add_norm(struct lab *lab, uint32_t x);
/* What it adds to the bound that a kernel quantizes x itself, which is f32. */
#define LAB_ROUNDING_NMSE                                                                          \
    1e-3 /* 1.5e-5 for x that is even up to its largest; results may be few                        \
          */
double lab_rounding_bound(const struct lab_factors *factors);

/* kv_block.c: values of a KV cache, in any of its types. Quantized ones come in whole blocks. */
/* What the cache holds of n values: rounded, f16 and scales within f16's range. */
void lab_kv_round(enum plan_elem elem, float *x, uint64_t n);
/* A whole quantized segment of n values, as shaders/common/kv_types.h describes it. Packing what
 * was rounded changes nothing. */
void lab_kv_pack(enum plan_elem elem, const float *x, uint64_t n, uint8_t *out);
void lab_kv_unpack(enum plan_elem elem, const uint8_t *in, uint64_t n, float *out);

/* compare.c: judges `words`, the bits that came back for a result, and adds to `result`. */
struct lab_sums {
    double error, expected; /* of squares */
};
void lab_compare(const struct plan_tensor *tensor, const struct lab_data *data,
                 const uint32_t *words, struct lab_result *result, struct lab_sums *sums);
/* Ends the judgement: nmse, passed. */
void lab_judge(struct lab_result *result, const struct lab_sums *sums, double limit);

#endif
