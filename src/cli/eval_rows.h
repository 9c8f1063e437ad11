/* The file of --per-task: CSV, a row for each task that is done. Its first line, a comment, says
 * what it belongs to; --resume takes its rows and goes on behind the last whole one. */
#ifndef QUADRIGA_CLI_EVAL_ROWS_H
#define QUADRIGA_CLI_EVAL_ROWS_H

#include "eval/eval.h"

#include <stdio.h>

struct cli_eval_rows {
    const char *path;
    FILE *file;                  /* NULL: none is wanted */
    struct eval_result *results; /* those that were there */
    size_t n, cap;
};

/* `id`: one line without control characters; a file with another one is refused, and so are rows
 * of tasks that the set does not have. With `go_on` a missing file is begun. False: said. Needs
 * cli_eval_rows_close in any case. */
bool cli_eval_rows_open(struct cli_eval_rows *rows, const char *path, const char *id, bool go_on,
                        const struct eval_set *set);
/* Does nothing without a file. False: said. */
bool cli_eval_rows_add(struct cli_eval_rows *rows, const struct eval_result *result);
bool cli_eval_rows_close(struct cli_eval_rows *rows);

#endif
