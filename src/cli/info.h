/* quadriga info: what is known of a model file, and whether it will run here. */
#ifndef QUADRIGA_CLI_INFO_H
#define QUADRIGA_CLI_INFO_H

#include "cli/formats.h"
#include "cli/options.h"

struct cli_info {
    const struct cli_options *options;
    qd_context *context;
    qd_model *model;            /* loaded as deep as it goes */
    enum qd_depth depth;        /* how deep */
    struct qd_model_info facts; /* whole from QD_DEPTH_FACTS on, else the file's */
    bool runs;                  /* planned on the devices: it fits */
    char why_not[1200];         /* where it does not */
    char chat[64];      /* format of the chat template; "" where there is none that is known */
    char chat_why[512]; /* why not; "" where the file has no template */
    struct cli_formats formats;
    bool quiet; /* warnings were said already */
};

/* Where the memory goes: name of a KV cache's type, text of key `key` of the file ("" where there
 * is none; cut at cap - 1 bytes). */
const char *cli_info_type(enum qd_type type);
void cli_info_meta(const struct cli_info *info, const char *key, char *out, size_t cap);

void cli_info_print(const struct cli_info *info);     /* as text */
int cli_info_print_json(const struct cli_info *info); /* a cli_exit */

#endif
