/* What is remembered of devices, for `devices`: the self-test and its result, tuned tile
 * parameters, the folder. The files are the engine's (ops/profile.h); here they are made and shown.
 */
#ifndef QUADRIGA_CLI_PROFILE_H
#define QUADRIGA_CLI_PROFILE_H

#include "cli/engine.h"
#include "lab/selftest.h"

#include <jansson.h>

struct cli_profiles {
    struct log log;
    struct dev_instance *inst; /* of its own; devices have the numbers that the context gives */
    char dir[512];             /* of the caches */
};

/* False: said. Needs cli_profiles_close in any case. */
bool cli_profiles_open(struct cli_profiles *profiles, const struct cli_options *options);
/* Returns `code`; CLI_FAILED, said, in place of CLI_DONE where the validation layer had a message.
 */
int cli_profiles_close(struct cli_profiles *profiles, int code);

/* Lines for people, and an object: file, self-test, kernels that are off, tile parameters. */
void cli_profile_print(struct cli_profiles *profiles, uint32_t device);
json_t *cli_profile_json(struct cli_profiles *profiles, uint32_t device);
/* "cache: FOLDER, 3 files, 1.2 MiB" */
void cli_profiles_print_dir(const struct cli_profiles *profiles);

/* Tests devices, saves their profiles, and with `show` says what came of it. Returns a cli_exit:
 * CLI_FAILED when a kernel failed. */
int cli_selftest(struct cli_profiles *profiles, const struct cli_engine *engine,
                 const struct cli_options *options, const uint32_t *devices, uint32_t n, bool show);

#endif
