/* Oracle and shapes of matmul, without and with residual, of f32, staged (1) and quantized (2)
 * activations, whole and in parts of so many columns, in every weight format. The sum is taken in
 * double over what the blocks decode to; bounds: staged.c.
 */
#include "lab/internal.h"

enum { TOKENS, ROWS, COLS, RESIDUAL, STAGED, PART, NORM };
enum { STAGED_F16 = 1, STAGED_Q8 };

/* Tails of every tile: rows of 4 * 4 .. 4 * 16 and 64, tokens of 1, 2, 4, 8, 16 and 64, columns
 * that end inside a unit, a fetch, a chunk of 32 and a block of 64. Like ones in threes: see
 * takes() in lab.c. */
static const uint32_t SHAPES[][LAB_DIMS] = {
    {1, 1024, 256, 0},
    {1, 256, 1024, 1},
    {1, 130, 512, 1}, /* one token, long */
    {2, 65, 256, 0},
    {3, 33, 256, 1},
    {3, 1, 256, 0}, /* few, odd rows */
    {9, 77, 352, 1},
    {2, 9, 32, 0},
    {1, 40, 416, 1}, /* no whole block of 256 */
    {64, 96, 256, 0},
    {70, 200, 512, 1},
    {17, 31, 768, 1}, /* tiles of tokens */
    {7, 128, 512, 0},
    {8, 64, 256, 1},
    {9, 100, 256, 0}, /* between */
    {1, 37, 100, 1},
    {5, 70, 36, 0},
    {70, 67, 4, 1}, /* no whole block of 32 */
    {9, 3, 60, 0},
    {128, 256, 256, 0},
    /* staged: tiles of 32 to 128 rows and tokens, alone and with tails; columns of 32 and 64 */
    {17, 33, 256, 0, 1},
    {64, 128, 256, 1, 1},
    {70, 200, 512, 0, 1},
    {1, 40, 32, 1, 1},
    {130, 65, 352, 0, 1},
    {33, 257, 96, 1, 1},
    {300, 96, 256, 1, 1},
    {40, 64, 2048, 1, 1},
    {128, 130, 768, 0, 1},
    /* in parts: equal ones, a short last one, one chunk each; with tails of tokens and rows */
    {32, 128, 512, 0, 1, 128},
    {70, 200, 1024, 0, 1, 256},
    {17, 33, 768, 0, 1, 512},
    {40, 65, 1280, 0, 1, 192},
    {33, 70, 352, 0, 1, 32},
    {1, 40, 64, 0, 1, 32},
    /* quantized: tails of tiles of 64, one chunk of 32 columns and odd numbers of them */
    {17, 33, 256, 0, 2},
    {64, 128, 512, 1, 2},
    {70, 200, 768, 0, 2},
    {1, 40, 32, 1, 2},
    {130, 65, 352, 0, 2},
    {33, 257, 96, 1, 2},
    {100, 64, 256, 1, 2},
    {65, 129, 256, 0, 2},
    {128, 31, 1280, 1, 2},
    /* with the norm of x, which kernels for few tokens make */
    {1, 130, 512, 1, 0, 0, 1},
    {4, 65, 768, 0, 0, 0, 1},
    {1, 24, 17920, 0, 0, 0, 1},
    {3, 33, 100, 1, 0, 0, 1},
    {2, 9, 32, 0, 0, 0, 1},
    {1, 20, 11008, 1, 0, 0, 1},
};

/* The x that a product reads, by the number of its first value. */
static const float *read_x(struct lab *lab, const struct op_staged *x, const float *normed)
{
    return normed != NULL ? normed : lab_values(lab, x->x);
}

/* The sums over columns [first, first + n), as result number `part`; `rounded`: bounds for kernels
 * that quantize x. */
static void expect_part(struct lab *lab, struct lab_expect out, double *rounded, uint32_t w,
                        struct op_staged x, const float *normed, uint32_t residual, size_t part,
                        size_t first, size_t n)
{
    const float *add = residual != PLAN_NONE ? lab_values(lab, residual) : NULL;
    const float *scale = x.scale != PLAN_NONE ? lab_values(lab, x.scale) : NULL;
    bool staged = lab_dim(lab, STAGED) == STAGED_F16, q8 = lab_dim(lab, STAGED) == STAGED_Q8;
    size_t tokens = lab_dim(lab, TOKENS), rows = lab_dim(lab, ROWS), cols = lab_dim(lab, COLS);
    for (size_t t = 0; t < tokens && out.value != NULL; t++) {
        for (size_t r = 0; r < rows; r++) {
            const struct lab_factors f = {.w = lab_values(lab, w) + r * cols + first,
                                          .x = read_x(lab, &x, normed) + t * cols + first,
                                          .cols = n,
                                          .quant = lab_quant(lab),
                                          .scale = staged ? scale + t : NULL,
                                          .scales = q8 ? scale + t * (cols / OP_Q8_BLOCK) : NULL};
            struct lab_product p = lab_product(&f, add != NULL ? (double)add[t * rows + r] : 0);
            size_t at = (part * tokens + t) * rows + r;
            p.bound *= normed != NULL ? 2 : 1; /* a norm has a root and products of its own */
            out.value[at] = p.value;
            out.bound[at] = p.bound;
            if (rounded != NULL) {
                rounded[at] = p.bound + lab_rounding_bound(&f);
            }
        }
    }
}

static void expect(struct lab *lab, uint32_t y, uint32_t w, struct op_staged x, const float *normed,
                   uint32_t residual)
{
    struct lab_expect out = lab_expect(lab, y);
    double *rounded = lab_dim(lab, STAGED) == 0 ? lab_expect_half(lab, y) : NULL;
    size_t cols = lab_dim(lab, COLS), most = lab_dim(lab, PART) != 0 ? lab_dim(lab, PART) : cols;
    for (size_t first = 0, part = 0; first < cols; first += most, part++) {
        size_t n = cols - first < most ? cols - first : most;
        expect_part(lab, out, rounded, w, x, normed, residual, part, first, n);
    }
}

/* What fuse makes of an add after the matmul. */
static void add_residual(struct lab *lab, uint32_t residual)
{
    struct plan *plan = lab_plan(lab);
    if (!plan->failed) {
        struct plan_node *node = &plan->nodes[plan->n_nodes - 1];
        node->src[2] = residual;
        node->n_src = node->n_src < 3 ? 3 : node->n_src;
        node->in_place = 2;
    }
}

static bool make(struct lab *lab)
{
    uint32_t tokens = lab_dim(lab, TOKENS), rows = lab_dim(lab, ROWS), cols = lab_dim(lab, COLS);
    lab_tokens(lab, tokens, 0);
    struct plan *plan = lab_plan(lab);
    struct op_staged x = {.scale = PLAN_NONE};
    uint32_t w = lab_weight(lab, "w", lab_quant(lab), rows, cols, -0.5f, 0.5f);
    uint32_t residual = PLAN_NONE, y;
    if (lab_dim(lab, STAGED) == STAGED_F16) {
        x = lab_staged(lab, "x", tokens, cols);
        lab_staged_limit(lab);
    } else if (lab_dim(lab, STAGED) == STAGED_Q8) {
        x = lab_quantized(lab, "x", tokens, cols);
    } else {
        x.x = lab_act(lab, "x", tokens, cols, -2.0f, 2.0f);
    }
    if (lab_dim(lab, RESIDUAL) != 0) {
        residual = lab_act(lab, "residual", tokens, rows, -4.0f, 4.0f);
    }
    y = lab_dim(lab, STAGED) != 0 ? op_matmul_parts(plan, "y", w, x, lab_dim(lab, PART))
                                  : op_matmul(plan, "y", w, x.x);
    if (residual != PLAN_NONE) {
        add_residual(lab, residual);
    }
    lab_set_nmse_half(lab, LAB_ROUNDING_NMSE);
    const float *normed = lab_dim(lab, NORM) != 0 && !plan->failed ? lab_add_norm(lab, x.x) : NULL;
    if (!plan->failed) {
        expect(lab, y, w, x, normed, residual);
    }
    return !plan->failed;
}

const struct lab_op lab_op_matmul = {
    .name = "matmul",
    .dims = {"tokens", "rows", "cols", "residual", "staged", "part", "norm"},
    .shapes = SHAPES,
    .n_shapes = sizeof SHAPES / sizeof *SHAPES,
    .vary = LAB_BY_QUANT,
    .quant_dim = COLS,
    .make = make,
};
