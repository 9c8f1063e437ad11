/* --trace FILE.json: what devices and threads did, as the Chrome trace format has it (Perfetto and
 * chrome://tracing open it). */
#ifndef QUADRIGA_CLI_TRACE_H
#define QUADRIGA_CLI_TRACE_H

#include "include/quadriga.h"

#include <stdio.h>

struct cli_trace {
    const char *path; /* NULL: none is asked for */
    char *temporary;
    FILE *file;
};

/* Before anything is computed: a file that cannot be written is said now. `path` may be NULL.
 * False: said. */
bool cli_trace_open(struct cli_trace *trace, const char *path);
/* Writes the events so far and closes; without a session nothing is left. False: said. */
bool cli_trace_close(struct cli_trace *trace, qd_context *context, qd_model *model,
                     qd_session *session);

#endif
