/* What quadriga eval perplexity says, as text and JSON. */
#include "cli/eval_perplexity.h"

#include "cli/json.h"

#include <inttypes.h>
#include <math.h>

static const struct {
    const char *name, *json;
    double share;
} quantiles[] = {
    {"maximum", "max", 1}, {"99.9 %", "q99.9", 0.999}, {"99 %", "q99", 0.99}, {"95 %", "q95", 0.95},
    {"90 %", "q90", 0.90}, {"median", "median", 0.5},  {"10 %", "q10", 0.1},  {"5 %", "q5", 0.05},
    {"1 %", "q1", 0.01},   {"minimum", "min", 0},
};
enum { QUANTILES = sizeof quantiles / sizeof *quantiles };

static double mean_error(double sum, double sum2, size_t n)
{
    double mean = sum / (double)n, spread = sum2 / (double)n - mean * mean;
    return spread > 0 && n > 1 ? sqrt(spread / (double)(n - 1)) : 0;
}

static void print_kl(const struct perplexity *p)
{
    const struct eval_kld *kld = &p->kld;
    double base, base_error, ratio, ratio_error, low, high, n = (double)kld->n;
    eval_ppl_get(&kld->there, &base, &base_error);
    eval_kld_ln_ratio(kld, &ratio, &ratio_error);
    eval_wilson(kld->n_same_top, kld->n, &low, &high);
    printf("  %-12s %12.6f +/- %.6f\n", "base ppl", base, base_error);
    printf("  %-12s %12.6f +/- %.6f  mean of ln ppl - ln ppl of the base\n", "change", ratio,
           ratio_error);
    printf("  %-12s %12.6f +/- %.6f\n", "mean KL", kld->sum / n,
           mean_error(kld->sum, kld->sum2, kld->n));
    for (size_t i = 0; i < QUANTILES; i++) {
        printf("    %-10s %12.6f\n", quantiles[i].name, eval_kld_quantile(kld, quantiles[i].share));
    }
    printf("  %-12s %12.4f %%  [%.4f %%, %.4f %%]\n", "same top", 100 * (double)kld->n_same_top / n,
           100 * low, 100 * high);
}

static void print_text(struct perplexity *p)
{
    double value, error;
    printf("perplexity of ");
    cli_put_safe(stdout, p->options->kl != NULL ? p->options->kl : p->options->file);
    printf(": ");
    cli_put_safe(stdout, p->options->model);
    printf("\n");
    if (p->ppl.n > 1) {
        eval_ppl_get(&p->ppl, &value, &error);
        printf("  %-12s %12.6f +/- %.6f\n", "ppl", value, error);
    }
    if (p->kld.n > 1) {
        print_kl(p);
    }
    printf("  %-12s %12" PRIu64 " scored, %" PRIu64 " computed\n", "tokens", p->ppl.n,
           p->eval.n_rows);
    printf("  %-12s %12zu of %zu, of %" PRIu32 " tokens\n", "chunks", p->n_done, p->n_chunks,
           p->n_ctx);
    cli_eval_print_times(&p->eval);
}

static void add_kl(const struct perplexity *p, json_t *out)
{
    const struct eval_kld *kld = &p->kld;
    double base, base_error, ratio, ratio_error, n = (double)kld->n;
    json_t *list = json_object(), *kl = json_object();
    eval_ppl_get(&kld->there, &base, &base_error);
    eval_kld_ln_ratio(kld, &ratio, &ratio_error);
    for (size_t i = 0; i < QUANTILES; i++) {
        cli_json_add(list, quantiles[i].json,
                     json_real(eval_kld_quantile(kld, quantiles[i].share)));
    }
    cli_json_add(kl, "base_ppl", json_real(base));
    cli_json_add(kl, "base_ppl_err", json_real(base_error));
    cli_json_add(kl, "ln_ppl_change", json_real(ratio));
    cli_json_add(kl, "ln_ppl_change_err", json_real(ratio_error));
    cli_json_add(kl, "mean", json_real(kld->sum / n));
    cli_json_add(kl, "mean_err", json_real(mean_error(kld->sum, kld->sum2, kld->n)));
    cli_json_add(kl, "quantiles", list);
    cli_json_add(kl, "same_top", json_real((double)kld->n_same_top / n));
    cli_json_add(out, "kl", kl);
}

static int print_json(struct perplexity *p)
{
    double value, error;
    json_t *out = json_object();
    const struct cli_options *o = p->options;
    cli_json_add(out, "evaluation", json_string("perplexity"));
    cli_json_add(out, "version", json_string(qd_version()));
    cli_json_add(out, "model", cli_json_text(o->model));
    cli_json_add(out, "file", cli_json_text(o->kl != NULL ? o->kl : o->file));
    if (p->ppl.n > 1) {
        eval_ppl_get(&p->ppl, &value, &error);
        cli_json_add(out, "ppl", json_real(value));
        cli_json_add(out, "ppl_err", json_real(error));
    }
    cli_json_add(out, "tokens", cli_json_uint(p->ppl.n));
    cli_json_add(out, "tokens_computed", cli_json_uint(p->eval.n_rows));
    cli_json_add(out, "chunks", cli_json_uint(p->n_done));
    cli_json_add(out, "chunks_wanted", cli_json_uint(p->n_chunks));
    cli_json_add(out, "n_ctx", json_integer(p->n_ctx));
    cli_json_add(out, "stride", json_integer(o->stride));
    if (p->kld.n > 1) {
        add_kl(p, out);
    }
    cli_eval_add_times(&p->eval, out);
    int code = cli_json_print(out);
    json_decref(out);
    return code;
}

int perplexity_print(struct perplexity *p)
{
    eval_kld_sort(&p->kld);
    if (p->options->output == CLI_JSON) {
        return print_json(p);
    }
    print_text(p);
    return CLI_DONE;
}
