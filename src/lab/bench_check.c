/* Judges results of a case on a sample of their elements: rows at both ends, the last columns, and
 * random ones of both, against values in double precision with bounds. Rows that are sampled must
 * be written and finite in every column. */
#include "lab/bench_internal.h"

#include "base/hash.h"
#include "lab/internal.h"
#include "ops/fill.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool bench_case_row(struct bench_case *c, uint32_t tensor, uint64_t row, float *out)
{
    const struct bench_tensor *t = &c->tensors[tensor];
    struct quant_layout layout;
    if (plan_elem_block(c->plan.tensors[tensor].elem) > 1) {
        bench_cache_row(c, tensor, row, out);
        return true;
    }
    if (!quant_layout_init(&layout, t->quant, 1, t->cols, 1)) {
        return false;
    }
    uint8_t *image = mem_alloc((size_t)layout.bytes, 1);
    if (image == NULL) {
        return false;
    }
    ops_fill_host(&layout, row, t->seed, image);
    quant_unpack_row(&layout, image, 0, out);
    mem_free(image);
    return true;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* `n` numbers below `end`: the first, the last `tail`, `random` others; ascending, each once. */
static uint32_t pick(uint64_t *rng, uint64_t end, uint32_t tail, uint32_t random, uint64_t *out)
{
    uint32_t n = 0, unique = 0;
    out[n++] = 0;
    for (uint32_t i = 0; i < tail && i < end; i++) {
        out[n++] = end - 1 - i;
    }
    for (uint32_t i = 0; i < random; i++) {
        out[n++] = hash_next(rng) % end;
    }
    qsort(out, n, sizeof *out, by_size);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || out[i] != out[i - 1]) {
            out[unique++] = out[i];
        }
    }
    return unique;
}

/* One row that came back. */
static bool judge_row(const struct plan_tensor *y, const struct bench_picks *picks, uint32_t row,
                      const float *found, const double *value, const double *bound, char *why,
                      size_t why_bytes)
{
    uint64_t r = picks->rows[row];
    for (uint64_t col = 0; col < y->cols; col++) {
        uint32_t word;
        memcpy(&word, &found[col], sizeof word);
        if (word == LAB_POISON || !isfinite(found[col])) {
            snprintf(why, why_bytes, "[%llu][%llu] %s", (unsigned long long)r,
                     (unsigned long long)col,
                     word == LAB_POISON ? "was not written" : "is not finite");
            return false;
        }
    }
    for (uint32_t i = 0; i < picks->n_cols; i++) {
        double got = (double)found[picks->cols[i]], want = value[row * picks->n_cols + i];
        double most = bound[row * picks->n_cols + i];
        if (!(fabs(got - want) <= most)) {
            snprintf(why, why_bytes, "[%llu][%llu] is %.9g, expected %.9g within %.3g",
                     (unsigned long long)r, (unsigned long long)picks->cols[i], got, want, most);
            return false;
        }
    }
    return true;
}

static bool judge(struct bench_case *c, uint32_t copy, const struct bench_picks *picks,
                  float *found, double *value, char *why, size_t why_bytes)
{
    const struct plan_node *last = &c->plan.nodes[c->plan.n_nodes - 1];
    const struct plan_tensor *y = &c->plan.tensors[last->dst[0]];
    const struct bench_tensor *t = &c->tensors[last->dst[0]];
    double *bound = value + (size_t)picks->n_rows * picks->n_cols;
    if (!c->kind->expect(c, picks, value, bound)) {
        snprintf(why, why_bytes, "out of memory for the expected values");
        return false;
    }
    uint64_t base = c->out_at + copy * c->out_bytes + t->at, row_bytes = y->cols * sizeof *found;
    for (uint32_t i = 0; i < picks->n_rows; i++) {
        if (!dev_download(c->bd->dev, c->buf, base + picks->rows[i] * row_bytes, found,
                          row_bytes)) {
            log_get_last(c->bd->log, why, why_bytes);
            return false;
        }
        if (!judge_row(y, picks, i, found, value, bound, why, why_bytes)) {
            return false;
        }
    }
    return true;
}

bool bench_case_check(struct bench_case *c, uint32_t copy, char *why, size_t why_bytes)
{
    const struct plan_node *last = &c->plan.nodes[c->plan.n_nodes - 1];
    const struct plan_tensor *y = &c->plan.tensors[last->dst[0]];
    const struct bench_kind *kind = c->kind;
    uint64_t rng = c->bd->params->seed ^ ((uint64_t)copy << 32);
    uint32_t tail = kind->most_rows / 2;
    struct bench_picks picks;
    picks.n_rows = pick(&rng, y->rows, tail, kind->most_rows - 1 - tail, picks.rows);
    picks.n_cols = pick(&rng, y->cols, kind->tail_cols, kind->random_cols, picks.cols);
    float *found = mem_alloc((size_t)y->cols, sizeof *found);
    double *value = mem_alloc((size_t)picks.n_rows * picks.n_cols * 2, sizeof *value);
    bool ok = found != NULL && value != NULL;
    if (ok) {
        ok = judge(c, copy, &picks, found, value, why, why_bytes);
    } else {
        snprintf(why, why_bytes, "out of memory for a row of results");
    }
    mem_free(found);
    mem_free(value);
    return ok;
}
