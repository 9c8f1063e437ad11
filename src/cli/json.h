/* What we need of jansson beyond jansson. */
#ifndef QUADRIGA_CLI_JSON_H
#define QUADRIGA_CLI_JSON_H

#include <jansson.h>
#include <stdint.h>

/* Adds `value` and takes it over; without memory for it the key is left out. */
void cli_json_add(json_t *object, const char *key, json_t *value);
json_t *cli_json_text(const char *text); /* made safe: any bytes are fine */
json_t *cli_json_uint(uint64_t value);   /* saturates at INT64_MAX, the largest in jansson */
/* Indented, to standard output. Returns a cli_exit; a failure is said. */
int cli_json_print(const json_t *value);

#endif
