/* The format: magic, version, length and text of a header padded to 64 bytes, then the numbers. */
#include "cli/npy.h"

#include "cli/memory.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER = 128, CHUNK = 1024 };

static bool fail(struct cli_npy *npy)
{
    cli_error("%s: cannot be written: %s", npy->path, strerror(errno));
    cli_npy_close(npy, false);
    return false;
}

static bool write_header(struct cli_npy *npy)
{
    char header[HEADER + 1];
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = HEADER - 10;
    header[9] = 0;
    int n =
        snprintf(header + 10, sizeof header - 10,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRIu64 ", %" PRIu64 "), }",
                 npy->rows, npy->cols);
    memset(header + 10 + n, ' ', (size_t)(HEADER - 10 - n));
    header[HEADER - 1] = '\n';
    return fwrite(header, 1, HEADER, npy->file) == HEADER;
}

bool cli_npy_open(struct cli_npy *npy, const char *path, uint64_t rows, uint64_t cols)
{
    struct stat info;
    *npy = (struct cli_npy){0};
    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode)) { /* rename would replace a device */
        cli_error("%s: cannot be written: not a regular file", path);
        return false;
    }
    *npy = (struct cli_npy){.path = path, .rows = rows, .cols = cols};
    size_t bytes = strlen(path) + 32;
    npy->temporary = cli_alloc(bytes, 1);
    if (npy->temporary == NULL) {
        return false;
    }
    snprintf(npy->temporary, bytes, "%s.%ld.tmp", path, (long)getpid());
    int fd = open(npy->temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
    npy->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (npy->file == NULL) {
        cli_error("%s: cannot be created: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
            unlink(npy->temporary);
        }
        cli_free(npy->temporary);
        *npy = (struct cli_npy){0};
        return false;
    }
    return write_header(npy) || fail(npy);
}

bool cli_npy_write(struct cli_npy *npy, const float *values, uint64_t rows)
{
    uint64_t n = rows * npy->cols;
    unsigned char chunk[CHUNK * 4];
    for (uint64_t i = 0; i < n; i += CHUNK) {
        size_t count = n - i < CHUNK ? (size_t)(n - i) : CHUNK;
        for (size_t k = 0; k < count; k++) {
            uint32_t word;
            memcpy(&word, &values[i + k], sizeof word);
            for (int byte = 0; byte < 4; byte++) {
                chunk[k * 4 + (size_t)byte] = (unsigned char)(word >> (8 * byte));
            }
        }
        if (fwrite(chunk, 4, count, npy->file) != count) {
            return fail(npy);
        }
    }
    npy->written += rows;
    return true;
}

bool cli_npy_close(struct cli_npy *npy, bool keep)
{
    if (npy->file == NULL) {
        return !keep;
    }
    bool ok = fclose(npy->file) == 0;
    bool whole = npy->written == npy->rows;
    npy->file = NULL;
    if (keep && ok && whole) {
        ok = rename(npy->temporary, npy->path) == 0;
    }
    if (!ok || !keep || !whole) {
        int reason = errno;
        unlink(npy->temporary);
        errno = reason;
    }
    if (keep && !ok) {
        cli_error("%s: cannot be written: %s", npy->path, strerror(errno));
    } else if (keep && !whole) {
        cli_error("%s: only %" PRIu64 " of %" PRIu64 " rows came", npy->path, npy->written,
                  npy->rows);
    }
    cli_free(npy->temporary);
    npy->temporary = NULL;
    return ok && whole;
}
