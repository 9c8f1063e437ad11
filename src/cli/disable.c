/* The value of --disable: every name is looked up in what the engine knows, so that a typing error
 * is said with the name that was meant. What the names do is the engine's business. */
#include "cli/options.h"

#include "cli/term.h"
#include "lab/lab.h"

#include <string.h>

enum { MAX_NAMES = 256, NAME_BYTES = 2 * OPS_NAME };

bool cli_disable_parse(const struct cli_command *command, const char *option, const char *text,
                       struct cli_options *out)
{
    char names[MAX_NAMES][NAME_BYTES];
    const char *list[MAX_NAMES + 1];
    uint32_t n = 0;
    while (n < MAX_NAMES && ops_disable_name(n, names[n], sizeof names[n])) {
        list[n] = names[n];
        n++;
    }
    list[n] = NULL;
    for (const char *at = text; at != NULL;) {
        const char *comma = strchr(at, ',');
        size_t bytes = comma != NULL ? (size_t)(comma - at) : strlen(at);
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "%.*s", (int)(bytes < NAME_BYTES ? bytes : NAME_BYTES), at);
        bool known = false;
        for (uint32_t i = 0; i < n && bytes < NAME_BYTES; i++) {
            known = known || strcmp(name, list[i]) == 0;
        }
        if (!known) {
            const char *nearest = cli_nearest(name, list);
            cli_error("%s: %s '%s': neither a capability nor a kernel nor a fusion%s%s%s",
                      command->name, option, name, nearest != NULL ? ": did you mean " : "",
                      nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
            return false;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    out->disable = text;
    return true;
}
