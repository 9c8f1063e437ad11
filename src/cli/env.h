/* Environment that the program sets for the drivers below it (docs/env.md). */
#ifndef QUADRIGA_CLI_ENV_H
#define QUADRIGA_CLI_ENV_H

#include <stdbool.h>

/* Before the context is created and threads exist: settings for a model file. False: the file
 * cannot be read, said on standard error. */
bool cli_env_prepare(const char *path);

#endif
