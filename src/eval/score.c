/* Sums of log-probabilities, what is chosen by them, shares with their intervals, perplexity. */
#include "eval/eval.h"

#include <math.h>

const char *eval_metric_name(enum eval_metric metric)
{
    static const char *const names[EVAL_METRICS] = {"acc", "acc_norm", "acc_bytes", "acc_tok"};
    return names[metric];
}

static double divisor(const struct eval_result *result, enum eval_metric metric, uint32_t way)
{
    switch (metric) {
    case EVAL_ACC_NORM:
        return result->n_chars[way];
    case EVAL_ACC_BYTES:
        return result->n_bytes[way];
    case EVAL_ACC_TOK:
        return result->n_tokens[way];
    default:
        return 1;
    }
}

uint32_t eval_choose(const struct eval_result *result, enum eval_metric metric)
{
    uint32_t best = 0;
    double most = result->sum[0] / divisor(result, metric, 0);
    for (uint32_t e = 1; e < EVAL_ENDINGS; e++) {
        double value = result->sum[e] / divisor(result, metric, e);
        if (value > most) {
            most = value;
            best = e;
        }
    }
    return best;
}

bool eval_collect_init(struct eval_collect *collect, const struct eval_item *items, size_t n)
{
    *collect = (struct eval_collect){.items = items, .n = n};
    collect->sum = mem_alloc(n, sizeof *collect->sum);
    collect->left = mem_alloc(n, sizeof *collect->left);
    if (collect->sum == NULL || collect->left == NULL) {
        eval_collect_finish(collect);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        collect->left[i] = eval_item_wanted(&items[i]);
    }
    return true;
}

void eval_collect_finish(struct eval_collect *collect)
{
    mem_free(collect->sum);
    mem_free(collect->left);
    *collect = (struct eval_collect){0};
}

bool eval_collect_add(struct eval_collect *collect, const struct eval_row *row, double score)
{
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        if (row->way == e || row->way == EVAL_ENDINGS) {
            collect->sum[row->item][e] += score;
        }
    }
    collect->n_scores++;
    return --collect->left[row->item] == 0;
}

void eval_collect_result(const struct eval_collect *collect, size_t item, struct eval_result *out)
{
    const struct eval_item *from = &collect->items[item];
    *out = (struct eval_result){.index = from->index, .label = from->label};
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        out->sum[e] = collect->sum[item][e];
        out->n_tokens[e] = from->n[e] - from->from;
        out->n_chars[e] = from->n_chars[e];
        out->n_bytes[e] = from->n_bytes[e];
    }
}

bool eval_result_ok(const struct eval_result *result)
{
    bool ok = true;
    for (uint32_t e = 0; e < EVAL_ENDINGS; e++) {
        ok = ok && isfinite(result->sum[e]);
    }
    return ok;
}

void eval_tally_add(struct eval_tally *tally, const struct eval_result *result)
{
    tally->n++;
    for (uint32_t m = 0; m < EVAL_METRICS; m++) {
        tally->right[m] += eval_choose(result, (enum eval_metric)m) == result->label;
    }
}

void eval_wilson(uint64_t right, uint64_t n, double *low, double *high)
{
    const double z = 1.95996398454;
    double count = (double)n, p = (double)right / count, zz = z * z / count;
    double middle = (p + zz / 2) / (1 + zz);
    double half = z / (1 + zz) * sqrt(p * (1 - p) / count + zz / (4 * count));
    *low = right == 0 ? 0 : middle - half;
    *high = right == n ? 1 : middle + half;
}

void eval_ppl_add(struct eval_ppl *ppl, double nll)
{
    ppl->n++;
    ppl->sum += nll;
    ppl->sum2 += nll * nll;
}

void eval_ppl_get(const struct eval_ppl *ppl, double *value, double *error)
{
    double n = (double)ppl->n, mean = ppl->sum / n, spread = ppl->sum2 / n - mean * mean;
    *value = exp(mean);
    *error = spread > 0 ? *value * sqrt(spread / (n - 1)) : 0;
}

double eval_nll(const float *logits, uint32_t n_vocab, uint32_t target)
{
    float most = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < n_vocab; i++) {
        most = logits[i] > most ? logits[i] : most;
    }
    for (uint32_t i = 0; i < n_vocab; i++) {
        sum += expf(logits[i] - most);
    }
    return (double)most - (double)logits[target] + log(sum);
}
