/* Files of log-probabilities in llama.cpp's format, read and written. */
#include "eval/eval.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char magic[8] = {'_', 'l', 'o', 'g', 'i', 't', 's', '_'};

enum { HEAD = 4, STEPS = 65535, MOST_VOCAB = 1 << 24, MOST_CTX = 1 << 24 };
static const float deepest = 16; /* below the largest logit: the rest is cut */

static bool fail(const struct eval_base *base, const char *what, struct log *log)
{
    log_error(log, "%s: cannot be %s: %s", base->path, what, strerror(errno));
    return false;
}

static uint32_t rows_of_chunk(const struct eval_base *base)
{
    return base->n_ctx - 1 - base->n_ctx / 2;
}

static bool alloc_row(struct eval_base *base, struct log *log)
{
    base->row_words = 2 * (((size_t)base->n_vocab + 1) / 2) + HEAD;
    base->row = mem_alloc(base->row_words, sizeof *base->row);
    if (base->row == NULL) {
        log_error(log, "%s: out of memory for %" PRIu32 " log-probabilities", base->path,
                  base->n_vocab);
    }
    return base->row != NULL;
}

static bool check_field(const struct eval_base *base, const char *field, uint32_t value,
                        uint32_t least, uint32_t most, struct log *log)
{
    if (value < least || value > most) {
        log_error(log, "%s: %s is %" PRIu32 ": must be %" PRIu32 " to %" PRIu32, base->path, field,
                  value, least, most);
        return false;
    }
    return true;
}

static bool read_header(struct eval_base *base, struct log *log)
{
    char name[sizeof magic];
    uint32_t words[3];
    if (fread(name, 1, sizeof name, base->file) != sizeof name ||
        memcmp(name, magic, sizeof magic) != 0) {
        log_error(log, "%s: does not begin with _logits_: no file of log-probabilities",
                  base->path);
        return false;
    }
    if (fread(words, sizeof words[0], 3, base->file) != 3) {
        log_error(log, "%s: ends within its header", base->path);
        return false;
    }
    base->n_ctx = words[0];
    base->n_vocab = words[1];
    base->n_chunk = words[2];
    return check_field(base, "n_ctx", words[0], 4, MOST_CTX, log) &&
           check_field(base, "n_vocab", words[1], 2, MOST_VOCAB, log) &&
           check_field(base, "n_chunk", words[2], 1, INT32_MAX, log);
}

/* The file must be as long as its header says, before anything is made for it. */
static bool check_size(const struct eval_base *base, struct log *log)
{
    uint64_t tokens = (uint64_t)base->n_ctx * base->n_chunk; /* below 2^55 */
    uint64_t rows = (uint64_t)base->n_chunk * rows_of_chunk(base), row_bytes, bytes = 0;
    uint64_t row = (uint64_t)base->row_words * sizeof *base->row;
    bool fits = size_mul(rows, row, &row_bytes) &&
                size_add(row_bytes, tokens * sizeof(uint32_t) + sizeof magic + 12, &bytes);
    long here = ftell(base->file);
    long end = fseek(base->file, 0, SEEK_END) == 0 ? ftell(base->file) : -1;
    if (here < 0 || end < 0 || fseek(base->file, here, SEEK_SET) != 0) {
        return fail(base, "read", log);
    }
    if (!fits || (uint64_t)end != bytes) {
        log_error(
            log,
            "%s: is %ld bytes long: %" PRIu32 " chunks of %" PRIu32 " tokens and a vocabulary "
            "of %" PRIu32 " need %" PRIu64,
            base->path, end, base->n_chunk, base->n_ctx, base->n_vocab, fits ? bytes : UINT64_MAX);
        return false;
    }
    return true;
}

static bool read_tokens(struct eval_base *base, struct log *log)
{
    size_t n = (size_t)base->n_ctx * base->n_chunk;
    base->tokens = mem_alloc(n, sizeof *base->tokens);
    if (base->tokens == NULL) {
        log_error(log, "%s: out of memory for %zu tokens", base->path, n);
        return false;
    }
    if (fread(base->tokens, sizeof *base->tokens, n, base->file) != n) {
        return fail(base, "read", log);
    }
    for (size_t i = 0; i < n; i++) {
        if (base->tokens[i] >= base->n_vocab) {
            log_error(log, "%s: token %zu is %" PRIu32 ", the vocabulary has %" PRIu32, base->path,
                      i, base->tokens[i], base->n_vocab);
            return false;
        }
    }
    return true;
}

bool eval_base_open(struct eval_base *base, const char *path, struct log *log)
{
    *base = (struct eval_base){.path = path, .file = fopen(path, "rb")};
    if (base->file == NULL) {
        return fail(base, "opened", log);
    }
    return read_header(base, log) && alloc_row(base, log) && check_size(base, log) &&
           read_tokens(base, log);
}

bool eval_base_create(struct eval_base *base, const char *path, uint32_t n_ctx, uint32_t n_vocab,
                      uint32_t n_chunk, const uint32_t *tokens, struct log *log)
{
    *base =
        (struct eval_base){.path = path, .n_ctx = n_ctx, .n_vocab = n_vocab, .n_chunk = n_chunk};
    if (!alloc_row(base, log)) {
        return false;
    }
    base->file = fopen(path, "wb");
    if (base->file == NULL) {
        return fail(base, "opened", log);
    }
    uint32_t words[3] = {n_ctx, n_vocab, n_chunk};
    size_t n = (size_t)n_ctx * n_chunk;
    bool ok = fwrite(magic, 1, sizeof magic, base->file) == sizeof magic &&
              fwrite(words, sizeof words[0], 3, base->file) == 3 &&
              fwrite(tokens, sizeof *tokens, n, base->file) == n;
    return ok || fail(base, "written", log);
}

bool eval_base_read_row(struct eval_base *base, struct log *log)
{
    if (fread(base->row, sizeof *base->row, base->row_words, base->file) != base->row_words) {
        if (feof(base->file)) {
            log_error(log, "%s: ends within a row", base->path);
            return false;
        }
        return fail(base, "read", log);
    }
    return true;
}

/* Scale and least of a row: all but `deepest` below the largest. */
static void find_range(const float *logits, uint32_t n, float *least, float head[2])
{
    float most = logits[0];
    double sum = 0;
    *least = logits[0];
    for (uint32_t i = 1; i < n; i++) {
        most = logits[i] > most ? logits[i] : most;
        *least = logits[i] < *least ? logits[i] : *least;
    }
    for (uint32_t i = 0; i < n; i++) {
        sum += expf(logits[i] - most);
    }
    *least = *least > most - deepest ? *least : most - deepest;
    head[0] = (most - *least) / STEPS;
    head[1] = *least - most - (float)log(sum);
}

bool eval_base_write_row(struct eval_base *base, const float *logits, struct log *log)
{
    float head[2], least;
    find_range(logits, base->n_vocab, &least, head);
    memcpy(base->row, head, sizeof head);
    memset(base->row + HEAD, 0, (base->row_words - HEAD) * sizeof *base->row);
    for (uint32_t i = 0; i < base->n_vocab && head[0] > 0; i++) {
        if (logits[i] > least) {
            long step = lrintf((logits[i] - least) / head[0]);
            base->row[HEAD + i] = (uint16_t)(step < STEPS ? step : STEPS);
        }
    }
    if (fwrite(base->row, sizeof *base->row, base->row_words, base->file) != base->row_words) {
        return fail(base, "written", log);
    }
    return true;
}

bool eval_base_close(struct eval_base *base, struct log *log)
{
    bool ok = base->file == NULL || (ferror(base->file) == 0);
    if (base->file != NULL && (fclose(base->file) != 0 || !ok)) {
        ok = fail(base, "written", log);
    }
    mem_free(base->tokens);
    mem_free(base->row);
    *base = (struct eval_base){0};
    return ok;
}
