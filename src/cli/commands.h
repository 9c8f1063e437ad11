/* The commands, one file each. They return a cli_exit and have said why on standard error. */
#ifndef QUADRIGA_CLI_COMMANDS_H
#define QUADRIGA_CLI_COMMANDS_H

#include "cli/options.h"

int cli_run(const struct cli_options *options);
int cli_chat(const struct cli_options *options);
int cli_devices(const struct cli_options *options);
int cli_info(const struct cli_options *options);
int cli_tokenize(const struct cli_options *options);
int cli_bench(const struct cli_options *options);
int cli_compat(const struct cli_options *options);
int cli_microbench(const struct cli_options *options);
int cli_hellaswag(const struct cli_options *options);
int cli_perplexity(const struct cli_options *options);

#endif
