/* quadriga eval perplexity, between its two files: the evaluation and what is printed of it. */
#ifndef QUADRIGA_CLI_EVAL_PERPLEXITY_H
#define QUADRIGA_CLI_EVAL_PERPLEXITY_H

#include "cli/eval.h"

struct perplexity {
    const struct cli_options *options;
    struct cli_eval eval;
    uint32_t *tokens; /* of the text */
    size_t n_tokens, n_chunks, n_done;
    uint32_t n_ctx, step, from; /* tokens of a chunk, between begins, before the first scored */
    struct eval_item *items;    /* [n_chunks] */
    uint64_t rows;
    struct eval_ppl ppl;
    struct eval_base base; /* written, or with --kl read */
    struct eval_kld kld;
    struct cli_eval_bar bar;
};

/* To standard output; returns a cli_exit. */
int perplexity_print(struct perplexity *perplexity);

#endif
