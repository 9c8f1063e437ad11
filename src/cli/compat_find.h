/* What the options of compat name: ops, variants, and files that may be left out. */
#ifndef QUADRIGA_CLI_COMPAT_FIND_H
#define QUADRIGA_CLI_COMPAT_FIND_H

#include "cli/compat.h"

/* CLI_DONE, or CLI_USAGE, said: there is no such op or variant, or the options contradict. */
int compat_check_names(const struct cli_options *options);
/* Fills model, model_path and reference_path: as given, or the demo model and its reference, from
 * here, beside the program or where an installed program has them. Where there is none they stay
 * "". False: said, a given file cannot be read. */
bool compat_find_model(struct compat *c);

#endif
