/* Messages of the validation layer that are bugs of the layer, not ours. One row each, with the
 * reason; a row goes when the oldest layer we run under has the fix. */
#include "device/internal.h"

#include <string.h>

struct known {
    const char *vuid;   /* exact id of the message */
    const char *text;   /* part of its text, NULL: any */
    const char *reason; /* what is wrong in the layer, with a link */
};

/* Empty rows end the table, so that it may have no others. */
static const struct known table[] = {
    {NULL, NULL, NULL},
};

bool validate_known(const char *vuid, const char *text)
{
    for (const struct known *k = table; k->vuid != NULL; k++) {
        if (vuid != NULL && strcmp(vuid, k->vuid) == 0 &&
            (k->text == NULL || (text != NULL && strstr(text, k->text) != NULL))) {
            return true;
        }
    }
    return false;
}
