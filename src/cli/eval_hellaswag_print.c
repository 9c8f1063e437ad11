/* What quadriga eval hellaswag says, as text and JSON. Dummy weights have times, no accuracy. */
#include "cli/eval_hellaswag.h"

#include "cli/json.h"

#include <inttypes.h>
#include <string.h>

static const char *model_name(const struct hellaswag *h)
{
    return h->options->dummy != NULL ? h->options->dummy : h->options->model;
}

static const char *explain(enum eval_metric metric)
{
    static const char *const texts[EVAL_METRICS] = {"sum of log-probabilities", "over characters",
                                                    "over bytes", "over tokens (llama.cpp's)"};
    return texts[metric];
}

static void print_metric(const struct hellaswag *h, enum eval_metric metric)
{
    double low, high, share = (double)h->tally.right[metric] / (double)h->tally.n;
    eval_wilson(h->tally.right[metric], h->tally.n, &low, &high);
    printf("  %-12s %10.4f %%  [%.4f %%, %.4f %%]  %s\n", eval_metric_name(metric), 100 * share,
           100 * low, 100 * high, explain(metric));
}

static void print_text(const struct hellaswag *h)
{
    printf("HellaSwag, %s style: ", eval_style_name(h->style));
    cli_put_safe(stdout, model_name(h));
    printf("%s\n  %-12s %10" PRIu64 " of %" PRIu32, h->options->dummy != NULL ? " DUMMY" : "",
           "tasks", h->tally.n, h->n_chosen);
    if (h->n_before != 0) {
        printf(", %" PRIu32 " of them computed before", h->n_before);
    }
    printf("\n");
    for (uint32_t m = 0; m < EVAL_METRICS && h->tally.n != 0 && h->options->dummy == NULL; m++) {
        print_metric(h, (enum eval_metric)m);
    }
    if (h->options->dummy != NULL) {
        printf("  %-12s dummy: no accuracy\n", "weights");
    }
    if (h->n_items != 0) {
        printf("  %-12s %10" PRIu64 " computed, of %" PRIu64 " in pairs%s\n", "tokens",
               h->eval.n_rows, h->pair_rows, h->options->no_share ? ", one at a time" : "");
        cli_eval_print_times(&h->eval);
    }
}

static json_t *metric_json(const struct hellaswag *h, enum eval_metric metric)
{
    double low, high;
    json_t *out = json_object();
    eval_wilson(h->tally.right[metric], h->tally.n, &low, &high);
    cli_json_add(out, "value", json_real((double)h->tally.right[metric] / (double)h->tally.n));
    cli_json_add(out, "low", json_real(low));
    cli_json_add(out, "high", json_real(high));
    cli_json_add(out, "right", cli_json_uint(h->tally.right[metric]));
    return out;
}

static int print_json(const struct hellaswag *h)
{
    json_t *out = json_object();
    cli_json_add(out, "evaluation", json_string("hellaswag"));
    cli_json_add(out, "version", json_string(qd_version()));
    cli_json_add(out, "model", cli_json_text(model_name(h)));
    cli_json_add(out, "weights", json_string(h->options->dummy != NULL ? "dummy" : "file"));
    cli_json_add(out, "file", cli_json_text(h->options->file));
    cli_json_add(out, "style", json_string(eval_style_name(h->style)));
    cli_json_add(out, "shared", json_boolean(!h->options->no_share));
    cli_json_add(out, "tasks", cli_json_uint(h->tally.n));
    cli_json_add(out, "tasks_wanted", cli_json_uint(h->n_chosen));
    cli_json_add(out, "tasks_before", cli_json_uint(h->n_before));
    for (uint32_t m = 0; m < EVAL_METRICS && h->tally.n != 0 && h->options->dummy == NULL; m++) {
        cli_json_add(out, eval_metric_name((enum eval_metric)m),
                     metric_json(h, (enum eval_metric)m));
    }
    cli_json_add(out, "pair_tokens", cli_json_uint(h->pair_rows));
    cli_json_add(out, "tokens", cli_json_uint(h->eval.n_rows));
    if (h->n_items != 0) {
        cli_eval_add_times(&h->eval, out);
    }
    int code = cli_json_print(out);
    json_decref(out);
    return code;
}

int hellaswag_print(const struct hellaswag *h)
{
    if (h->options->output == CLI_JSON) {
        return print_json(h);
    }
    print_text(h);
    return CLI_DONE;
}
