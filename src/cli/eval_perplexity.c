/* quadriga eval perplexity: a text in chunks, each a sequence of its own, by llama.cpp's
 * definition. */
#include "cli/eval_perplexity.h"

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/memory.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { DEFAULT_CHUNK = 512, LEAST_CHUNK = 4 };

static int refuse(const char *what)
{
    cli_error("eval perplexity: %s (quadriga eval perplexity --help)", what);
    return CLI_USAGE;
}

static int check_usage(const struct cli_options *options)
{
    if (options->model == NULL) {
        return refuse("give a model with -m FILE");
    }
    if ((options->file == NULL) == (options->kl == NULL)) {
        return refuse("give a text with -f FILE, or a base with --kl FILE");
    }
    if (options->kl != NULL && (options->base != NULL || options->stride != 0)) {
        return refuse("--kl does not go with --logits-base or --stride");
    }
    if (options->base != NULL && options->stride != 0) {
        return refuse("--logits-base does not go with --stride");
    }
    if (options->n_ctx != 0 && options->n_ctx < LEAST_CHUNK) {
        return refuse("-c: a chunk has at least 4 tokens");
    }
    return CLI_DONE;
}

/* One newline at the end of a text is not part of it, as in llama.cpp. */
static bool read_tokens(struct perplexity *p)
{
    struct cli_text text;
    size_t count = 0;
    bool ok = cli_text_read(&text, p->options->file);
    if (ok) {
        size_t n = text.n - (text.n != 0 && text.bytes[text.n - 1] == '\n');
        ok = cli_eval_tokenize(&p->eval, text.bytes, n, true, false, &p->tokens, &count);
    }
    cli_text_finish(&text);
    p->n_tokens = count;
    return ok;
}

static bool read_base(struct perplexity *p)
{
    struct eval_base *base = &p->base;
    if (!eval_base_open(base, p->options->kl, &p->eval.log)) {
        return false;
    }
    if (base->n_vocab != p->eval.info.n_vocab) {
        cli_error("%s: is of a vocabulary of %" PRIu32 ", that of %s has %" PRIu32, base->path,
                  base->n_vocab, p->options->model, p->eval.info.n_vocab);
        return false;
    }
    if (p->options->n_ctx != 0 && p->options->n_ctx != base->n_ctx) {
        cli_error("%s: has chunks of %" PRIu32 " tokens, -c asks for %lld", base->path, base->n_ctx,
                  (long long)p->options->n_ctx);
        return false;
    }
    p->n_ctx = base->n_ctx;
    p->n_tokens = (size_t)base->n_ctx * base->n_chunk;
    return true;
}

/* Where chunks begin and what is scored of them. */
static bool size_chunks(struct perplexity *p)
{
    const struct cli_options *o = p->options;
    uint32_t stride = (uint32_t)o->stride;
    uint64_t chunk = o->n_ctx != 0 ? (uint64_t)o->n_ctx : DEFAULT_CHUNK, all;
    chunk = o->kl != NULL ? p->n_ctx : chunk + stride / 2;
    if (stride >= chunk) {
        cli_error("eval perplexity: --stride %" PRIu32 ": must be below %" PRIu64
                  ", the tokens of a chunk",
                  stride, chunk);
        return false;
    }
    if (o->kl == NULL && p->n_tokens < 2 * chunk) {
        cli_error("%s: has %zu tokens: chunks of %" PRIu64 " need at least %" PRIu64, o->file,
                  p->n_tokens, chunk, 2 * chunk);
        return false;
    }
    all = stride != 0 ? (p->n_tokens - chunk + stride - 1) / stride : p->n_tokens / chunk;
    p->n_ctx = (uint32_t)chunk;
    p->step = stride != 0 ? stride : p->n_ctx;
    p->from = stride != 0 ? p->n_ctx - stride : p->n_ctx / 2 + 1;
    p->n_chunks =
        (size_t)(o->n_chunks != 0 && (uint64_t)o->n_chunks < all ? (uint64_t)o->n_chunks : all);
    return true;
}

/* A chunk begins with BOS in place of its first token, where the vocabulary adds it; with a stride
 * it does not (llama.cpp's way). */
static bool make_chunks(struct perplexity *p)
{
    const uint32_t *tokens = p->options->kl != NULL ? p->base.tokens : p->tokens;
    const struct qd_model_info *info = &p->eval.info;
    bool begins = p->options->stride == 0 && info->adds_bos && info->bos != UINT32_MAX;
    p->items = cli_alloc(p->n_chunks, sizeof *p->items);
    for (size_t i = 0; p->items != NULL && i < p->n_chunks; i++) {
        struct eval_item *item = &p->items[i];
        uint32_t *own = cli_alloc(p->n_ctx, sizeof *own);
        if (own == NULL) {
            return false;
        }
        memcpy(own, tokens + i * p->step, p->n_ctx * sizeof *own);
        own[0] = begins ? info->bos : own[0];
        *item = (struct eval_item){
            .index = (uint32_t)i, .n_ways = 1, .tokens = {own}, .n = {p->n_ctx}, .from = p->from};
        p->rows += p->n_ctx - 1;
    }
    return p->items != NULL;
}

static int prepare(struct perplexity *p)
{
    int code = cli_eval_open_vocab(&p->eval);
    if (code != CLI_DONE) {
        return code;
    }
    bool ok = (p->options->kl != NULL ? read_base(p) : read_tokens(p)) && size_chunks(p) &&
              make_chunks(p);
    if (ok && p->options->base != NULL) {
        ok = eval_base_create(&p->base, p->options->base, p->n_ctx, p->eval.info.n_vocab,
                              (uint32_t)p->n_chunks, p->tokens, &p->eval.log);
    }
    return ok ? CLI_DONE : CLI_FAILED;
}

/* Logits come in the order of the base's rows. */
static bool on_logits(struct perplexity *p, const float *logits, uint32_t target)
{
    if (p->options->base != NULL) {
        eval_ppl_add(&p->ppl, eval_nll(logits, p->eval.info.n_vocab, target));
        return eval_base_write_row(&p->base, logits, &p->eval.log);
    }
    if (!eval_base_read_row(&p->base, &p->eval.log)) {
        return false;
    }
    if (!eval_kld_add(&p->kld, &p->base, logits, target)) {
        cli_error("out of memory for %zu divergences", p->kld.n + 1);
        return false;
    }
    p->ppl = p->kld.here;
    return true;
}

static bool on_row(void *user, const struct eval_row *row, double score, const float *logits)
{
    struct perplexity *p = user;
    const struct eval_item *item = &p->items[row->item];
    if (logits == NULL) {
        eval_ppl_add(&p->ppl, -score);
    } else if (!on_logits(p, logits, item->tokens[0][row->at])) {
        return false;
    }
    if (!isfinite(p->ppl.sum)) {
        cli_error("chunk %" PRIu32 ": token %" PRIu32 ": the model's log-probability is no number",
                  row->item, row->at);
        return false;
    }
    p->n_done += row->at + 1 == item->n[0];
    return true;
}

static void on_step(void *user)
{
    struct perplexity *p = user;
    char text[64];
    double value, error;
    int n = snprintf(text, sizeof text, "%zu of %zu chunks", p->n_done, p->n_chunks);
    if (p->ppl.n > 1 && n > 0) {
        eval_ppl_get(&p->ppl, &value, &error);
        snprintf(text + n, sizeof text - (size_t)n, ", ppl %.4f", value);
    }
    cli_eval_bar_show(&p->bar, p->eval.n_rows, p->rows, text);
}

static int evaluate(struct perplexity *p)
{
    int code = prepare(p);
    if (code == CLI_DONE) {
        code = cli_eval_load(&p->eval, p->items, p->n_chunks);
    }
    if (code != CLI_DONE) {
        return code;
    }
    code = cli_eval_run(&p->eval, &(struct cli_eval_job){.items = p->items,
                                                         .n = p->n_chunks,
                                                         .logits = p->options->base != NULL ||
                                                                   p->options->kl != NULL,
                                                         .row = on_row,
                                                         .step = on_step,
                                                         .user = p});
    cli_eval_bar_end(&p->bar);
    if (code == CLI_DONE || code > CLI_SIGNAL) {
        int printed = perplexity_print(p);
        code = printed != CLI_DONE ? printed : code;
    }
    return code;
}

int cli_perplexity(const struct cli_options *options)
{
    int code = check_usage(options);
    if (code != CLI_DONE) {
        return code;
    }
    struct perplexity p = {.options = options};
    cli_eval_init(&p.eval, options);
    code = evaluate(&p);
    if (!eval_base_close(&p.base, &p.eval.log) && code == CLI_DONE) {
        code = CLI_FAILED;
    }
    if (options->base != NULL && code != CLI_DONE && p.n_chunks != 0) {
        remove(options->base); /* half of one would be refused */
    }
    for (size_t i = 0; p.items != NULL && i < p.n_chunks; i++) {
        eval_item_finish(&p.items[i]);
    }
    eval_kld_finish(&p.kld);
    cli_free(p.items);
    cli_free(p.tokens);
    return cli_eval_finish(&p.eval, code);
}
