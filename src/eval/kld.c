/* Kullback-Leibler divergence from the log-probabilities of a base, as llama.cpp computes it. */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 4 }; /* words before the steps of a row: two floats */
static const float deepest = -16;

bool eval_kld_add(struct eval_kld *kld, const struct eval_base *base, const float *logits,
                  uint32_t target)
{
    const uint16_t *steps = base->row + HEAD;
    float head[2]; /* scale, least */
    memcpy(head, base->row, sizeof head);
    if (!mem_grow((void **)&kld->values, &kld->cap, kld->n, sizeof *kld->values)) {
        return false;
    }
    double nll = eval_nll(logits, base->n_vocab, target);
    double nll_base = -((double)head[0] * steps[target] + (double)head[1]);
    double norm = nll + (double)logits[target]; /* log of the sum of exponentials */
    double sum = 0;
    uint32_t top = 0, top_base = 0;
    for (uint32_t i = 0; i < base->n_vocab; i++) {
        float log_p = head[0] * steps[i] + head[1];
        top = logits[i] > logits[top] ? i : top;
        top_base = steps[i] > steps[top_base] ? i : top_base;
        if (log_p > deepest) {
            sum += (double)expf(log_p) * ((double)log_p - (double)logits[i] + norm);
        }
    }
    eval_ppl_add(&kld->here, nll);
    eval_ppl_add(&kld->there, nll_base);
    kld->sum_both += nll * nll_base;
    kld->sum += sum;
    kld->sum2 += sum * sum;
    kld->n_same_top += top == top_base;
    kld->values[kld->n++] = (float)sum;
    return true;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void eval_kld_sort(struct eval_kld *kld)
{
    if (kld->n != 0) {
        qsort(kld->values, kld->n, sizeof *kld->values, compare);
    }
}

/* Between the two values around it. */
double eval_kld_quantile(const struct eval_kld *kld, double share)
{
    double at = share * (double)(kld->n - 1), below = floor(at);
    size_t i = (size_t)below;
    double low = kld->values[i], high = i + 1 < kld->n ? kld->values[i + 1] : kld->values[i];
    return low + (at - below) * (high - low);
}

void eval_kld_ln_ratio(const struct eval_kld *kld, double *mean, double *error)
{
    double n = (double)kld->n, here = kld->here.sum / n, there = kld->there.sum / n;
    double spread_here = kld->here.sum2 / n - here * here;
    double spread_there = kld->there.sum2 / n - there * there;
    double both = kld->sum_both / n - here * there;
    double spread = spread_here + spread_there - 2 * both;
    *mean = here - there;
    *error = spread > 0 && n > 1 ? sqrt(spread / (n - 1)) : 0;
}

void eval_kld_finish(struct eval_kld *kld)
{
    mem_free(kld->values);
    *kld = (struct eval_kld){0};
}
