/* Generated text on standard output, and the sampling that the options ask for: what run and chat
 * have in common. */
#ifndef QUADRIGA_CLI_OUTPUT_H
#define QUADRIGA_CLI_OUTPUT_H

#include "cli/options.h"

struct cli_output_text {
    bool to_terminal; /* control characters become '?' */
    int error;        /* errno of the write that failed; 0 */
};
/* False: standard output is gone, `error` says why. */
bool cli_output_put(struct cli_output_text *out, const char *text, size_t bytes);

/* With the seed of the options, or a random one that is short enough to be typed again. */
struct qd_sampling cli_sampling(const struct cli_options *options);

#endif
