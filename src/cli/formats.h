/* Which weight formats a file has, and how much of it is in each. */
#ifndef QUADRIGA_CLI_FORMATS_H
#define QUADRIGA_CLI_FORMATS_H

#include "include/quadriga.h"

struct cli_format {
    char name[16]; /* "Q4_K" */
    uint64_t tensors, elements, bytes;
};
struct cli_formats {
    struct cli_format *list; /* by bytes, most first */
    size_t count, cap;
    uint64_t tensors, elements, bytes; /* of all */
};

/* Counts the tensors of a file. False: out of memory, said. Needs cli_formats_finish in any case.
 */
bool cli_formats_init(struct cli_formats *formats, qd_model *model);
void cli_formats_finish(struct cli_formats *formats);

#endif
