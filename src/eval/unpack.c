/* bzip2, in memory. */
#include "eval/internal.h"

#include <bzlib.h>

enum { PIECE = 1 << 20 };

static const char *reason(int code)
{
    switch (code) {
    case BZ_MEM_ERROR:
        return "out of memory";
    case BZ_DATA_ERROR:
    case BZ_DATA_ERROR_MAGIC:
        return "the data is damaged";
    default:
        return "the data ends too early";
    }
}

/* Makes room for another piece. */
static bool grow(char **text, size_t *cap, size_t used, size_t limit)
{
    if (*cap - used > PIECE) {
        return true;
    }
    size_t larger = *cap != 0 ? *cap * 2 : 4 * (size_t)PIECE;
    char *grown = used <= limit ? mem_resize(*text, larger, 1) : NULL;
    if (grown != NULL) {
        *text = grown;
        *cap = larger;
    }
    return grown != NULL;
}

/* One stream after the other. BZ_OK: all of it. */
static int unpack(bz_stream *stream, char **text, size_t *cap, size_t *used, size_t limit)
{
    for (;;) {
        if (!grow(text, cap, *used, limit)) {
            return BZ_MEM_ERROR;
        }
        unsigned before = stream->avail_in;
        stream->next_out = *text + *used;
        stream->avail_out = PIECE;
        int code = BZ2_bzDecompress(stream);
        *used += PIECE - stream->avail_out;
        if (code == BZ_STREAM_END) {
            return BZ_OK;
        }
        if (code != BZ_OK) {
            return code;
        }
        if (before == 0 && stream->avail_out == PIECE) {
            return BZ_UNEXPECTED_EOF;
        }
    }
}

char *eval_unpack(const char *path, const char *data, size_t bytes, size_t limit, size_t *out_bytes,
                  struct log *log)
{
    char *text = NULL, *in = (char *)(uintptr_t)data; /* bzlib only reads it */
    size_t cap = 0, used = 0;
    int code = bytes < UINT32_MAX ? BZ_OK : BZ_MEM_ERROR;
    unsigned left = (unsigned)bytes;
    while (code == BZ_OK && left != 0) {
        bz_stream stream = {.next_in = in, .avail_in = left};
        code = BZ2_bzDecompressInit(&stream, 0, 0);
        if (code == BZ_OK) {
            code = unpack(&stream, &text, &cap, &used, limit);
            in = stream.next_in;
            left = stream.avail_in;
            BZ2_bzDecompressEnd(&stream);
        }
    }
    if (code != BZ_OK || used > limit) {
        log_error(log, "%s: cannot be unpacked (bzip2): %s after %zu bytes", path,
                  used > limit ? "too long" : reason(code), used);
        mem_free(text);
        return NULL;
    }
    text[used] = '\0';
    *out_bytes = used;
    return text;
}
