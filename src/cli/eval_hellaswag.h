/* quadriga eval hellaswag, between its two files: the evaluation and what is printed of it. */
#ifndef QUADRIGA_CLI_EVAL_HELLASWAG_H
#define QUADRIGA_CLI_EVAL_HELLASWAG_H

#include "cli/eval.h"
#include "cli/eval_rows.h"

struct hellaswag {
    const struct cli_options *options;
    enum eval_style style;
    struct cli_eval eval;
    struct eval_set set;
    uint32_t *chosen, n_chosen; /* indices in the set, in order */
    struct eval_item *items;    /* of the chosen ones that are to be computed */
    size_t n_items;
    uint64_t pair_rows, rows; /* of the items that were done; of all items */
    struct eval_collect collect;
    struct eval_tally tally; /* of the chosen tasks that are done */
    uint32_t n_before;       /* of them, those that the file of --resume had */
    struct cli_eval_rows per_task;
    struct cli_eval_bar bar;
};

/* To standard output; returns a cli_exit. */
int hellaswag_print(const struct hellaswag *hellaswag);

#endif
