/* LP_NUM_THREADS, and nothing else: how many threads lavapipe (the software Vulkan driver) uses.
 *
 * lavapipe reads it when its device is enumerated. Handing a dispatch to its threads costs about
 * 20 us, running it on the calling thread 0.4 us; a dispatch of a small model is shorter than the
 * hand-off. So small models run without threads there unless the user has set the variable. Other
 * drivers do not read it. */
#include "cli/env.h"

#include "cli/term.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SMALL_MODEL = 256 << 20 }; /* bytes */

bool cli_env_prepare(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || access(path, R_OK) != 0) {
        cli_error("%s: cannot be read: %s", path, strerror(errno));
        return false;
    }
    if (S_ISREG(info.st_mode) && info.st_size < SMALL_MODEL) {
        setenv("LP_NUM_THREADS", "0", 0);
    }
    return true;
}
