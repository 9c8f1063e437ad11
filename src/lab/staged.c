/* What the oracles of matmul and matmul_experts share: staged and quantized inputs, and one product
 * with its bound, for f32, staged and quantized activations.
 *
 * f32: c * u * sum |w * x|, an added value included, with c = LAB_DOT(cols): kernels add up to cols
 * products in one float32, whose rounding errors add up to the square root of that number, seldom
 * more than a few times; where a format has an offset, its part and that of the quants are summed
 * apart, and larger than the result.
 *
 * Staged: products of two f16 are exact in f32, but matrix units add them in an order of their own,
 * some with truncation, which is up to two units where rounding is half of one: four times as much.
 * Weights are rounded to f16, which is half a unit of 2^-10, or 2^-25 where they are subnormal;
 * those of F16 are not. Scales are powers of two.
 *
 * Quantized: products of bytes are added exactly within a block of 32, and what is left is summed
 * as f32 is; so is its bound. Where the kernel quantizes, each x is off by up to half a step, which
 * is the block's largest magnitude / 127, and a little more where a division is. */
#include "lab/internal.h"

#include "base/half.h"
#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WEIGHT_ERROR    (0x1p-11 * (1 + 0x1p-8))
#define SUBNORMAL_ERROR 0x1p-25

struct op_staged lab_staged(struct lab *lab, const char *name, uint64_t rows, uint64_t cols)
{
    char scale_name[32];
    snprintf(scale_name, sizeof scale_name, "%s_scale", name);
    struct op_staged staged = {lab_act_f16(lab, name, rows, cols, -16384.0f, 16384.0f),
                               lab_act(lab, scale_name, rows, 1, 0, 1)};
    if (lab_plan(lab)->failed) {
        return (struct op_staged){PLAN_NONE, PLAN_NONE};
    }
    float *scale = lab_values(lab, staged.scale);
    for (uint64_t t = 0; t < rows; t++) {
        scale[t] = ldexpf(1.0f, -16 + (int)(hash_next(lab_rng(lab)) % 7));
    }
    return staged;
}

struct op_staged lab_quantized(struct lab *lab, const char *name, uint64_t rows, uint64_t cols)
{
    char scale_name[32];
    snprintf(scale_name, sizeof scale_name, "%s_scales", name);
    struct op_staged out = {lab_act(lab, name, rows, cols, -127.5f, 127.5f),
                            lab_act(lab, scale_name, rows, cols / OP_Q8_BLOCK, 0x1p-8f, 0x1p-5f)};
    if (lab_plan(lab)->failed) {
        return (struct op_staged){PLAN_NONE, PLAN_NONE};
    }
    float *x = lab_values(lab, out.x);
    for (uint64_t i = 0; i < rows * cols; i++) {
        x[i] = fminf(fmaxf(roundf(x[i]), -127), 127);
    }
    lab_plan(lab)->tensors[out.x].elem = PLAN_S8;
    return out;
}

void lab_staged_limit(struct lab *lab)
{
    lab_set_nmse(lab, lab_quant(lab) == QUANT_F16 ? 1e-9 : 0x1p-22);
}

struct lab_product lab_product(const struct lab_factors *f, double add)
{
    double sum = 0, size = 0, of_x = 0, u = LAB_DOT(f->cols) * LAB_U;
    for (size_t k = 0; k < f->cols; k++) {
        double by = f->scales != NULL ? (double)f->scales[k / OP_Q8_BLOCK] : 1;
        double product = (double)f->w[k] * (double)f->x[k] * by;
        sum += product;
        size += fabs(product);
        of_x += fabs((double)f->x[k]);
    }
    if (f->scale == NULL) {
        return (struct lab_product){sum + add, u * (size + fabs(add))};
    }
    double error = 4 * u * size;
    if (f->quant != QUANT_F16) {
        error += WEIGHT_ERROR * size + SUBNORMAL_ERROR * of_x;
    }
    double scale = *f->scale;
    return (struct lab_product){sum * scale + add, error * fabs(scale) + 4 * LAB_U * fabs(add)};
}

static const float EPS = 1e-5f;

const float *lab_add_norm(struct lab *lab, uint32_t x)
{
    struct plan *plan = lab_plan(lab);
    size_t rows = plan->tensors[x].rows, cols = plan->tensors[x].cols;
    uint32_t norm = lab_weight(lab, "norm", QUANT_F32, 1, cols, 0.5f, 1.5f);
    float *out = plan->failed ? NULL : arena_alloc(&lab->arena, rows * cols, sizeof *out);
    if (out == NULL) {
        return NULL;
    }
    const float *in = lab_values(lab, x), *by = lab_values(lab, norm);
    for (size_t t = 0; t < rows; t++) {
        double sum = 0;
        for (size_t c = 0; c < cols; c++) {
            sum += (double)in[t * cols + c] * in[t * cols + c];
        }
        double scale = 1 / sqrt(sum / (double)cols + (double)EPS);
        for (size_t c = 0; c < cols; c++) {
            out[t * cols + c] = (float)(in[t * cols + c] * scale * by[c]);
        }
    }
    struct plan_node *node = &plan->nodes[plan->n_nodes - 1];
    while (node->n_src <= 4) {
        node->src[node->n_src++] = PLAN_NONE;
    }
    node->src[4] = norm;
    if (strcmp(node->op->name, "matmul") == 0) {
        ((struct op_matmul_attr *)(void *)node->attr)->eps = EPS;
    } else {
        ((struct op_matmul_gate_attr *)(void *)node->attr)->eps = EPS;
    }
    return out;
}

double lab_rounding_bound(const struct lab_factors *f)
{
    double bound = 0;
    for (size_t k0 = 0; k0 < f->cols; k0 += OP_Q8_BLOCK) {
        double top = 0, size = 0;
        for (size_t k = k0; k < f->cols && k < k0 + OP_Q8_BLOCK; k++) {
            top = fmax(top, fabs((double)f->x[k]));
            size += fabs((double)f->w[k]);
        }
        bound += top / 254 * (1 + 0x1p-14) * size;
    }
    return bound;
}
