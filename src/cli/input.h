/* The text that a command works on. */
#ifndef QUADRIGA_CLI_INPUT_H
#define QUADRIGA_CLI_INPUT_H

#include "include/quadriga.h"

/* Bytes of a file ("-": standard input), at most 1 GiB. Not terminated. False: said on standard
 * error. */
struct cli_text {
    char *bytes;
    size_t n;
};
bool cli_text_read(struct cli_text *text, const char *path);
void cli_text_finish(struct cli_text *text);

/* Ids of a text, with special tokens in it read as such (as: if asked for). False: said on standard
 * error. */
struct cli_ids {
    uint32_t *ids;
    size_t n;
};
bool cli_ids_read_as(struct cli_ids *ids, qd_context *context, qd_model *model, const char *text,
                     size_t bytes, bool add_special, bool parse_special);
bool cli_ids_read(struct cli_ids *ids, qd_context *context, qd_model *model, const char *text,
                  size_t bytes, bool add_special);
void cli_ids_finish(struct cli_ids *ids);

#endif
