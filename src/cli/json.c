/* Small helpers around jansson. */
#include "cli/json.h"

#include "cli/options.h"
#include "cli/term.h"

#include <string.h>

void cli_json_add(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

json_t *cli_json_text(const char *text)
{
    char safe[1024];
    cli_make_safe(text, strlen(text), false, safe, sizeof safe);
    return json_string(safe);
}

json_t *cli_json_uint(uint64_t value)
{
    return json_integer(value < INT64_MAX ? (json_int_t)value : INT64_MAX);
}

int cli_json_print(const json_t *value)
{
    if (value == NULL || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) != 0) {
        cli_error("the JSON text cannot be written");
        return CLI_FAILED;
    }
    printf("\n");
    return CLI_DONE;
}
