/* Runs a fuzz target without libFuzzer: the files named on the command line, or else mutations of
 * the target's seeds by a fixed pseudo-random sequence.
 *
 *     test_fuzz_gguf [--seed N] [--count N] [--only I] [FILE...]
 *     test_fuzz_gguf --write FOLDER        the seeds as files, for libFuzzer
 *
 * Before each input its number is kept; a crash prints seed and number, and --only runs that one.
 */
#include "fuzz.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct input {
    uint8_t *data;
    size_t bytes;
};

/* For the signal handler. */
static char where[128];

static void on_crash(int number)
{
    if (write(STDERR_FILENO, where, strlen(where)) < 0) {
        _exit(2);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t below(uint64_t *state, uint64_t n)
{
    return n != 0 ? hash_next(state) % n : 0;
}

/* Most positions near the start, where the structure is. */
static size_t position(uint64_t *state, size_t bytes)
{
    return (size_t)below(state, below(state, 4) == 0 ? bytes : bytes < 700 ? bytes : 700);
}

static void overwrite(struct input *in, uint64_t *state)
{
    static const uint64_t VALUES[] = {0,          1,          2,          13,
                                      255,        256,        65536,      INT32_MAX,
                                      1ull << 31, UINT32_MAX, 1ull << 32, 1ull << 40,
                                      INT64_MAX,  1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    uint64_t value = VALUES[below(state, sizeof VALUES / sizeof VALUES[0])];
    size_t n = (size_t)1 << below(state, 4), at = position(state, in->bytes);
    if (below(state, 3) == 0) {
        value = in->bytes - at + below(state, 17) - 8; /* about what is left */
    }
    memcpy(in->data + at, &value, n < in->bytes - at ? n : in->bytes - at);
}

static void remove_range(struct input *in, uint64_t *state)
{
    size_t at = position(state, in->bytes), n = 1 + (size_t)below(state, 24);
    n = n < in->bytes - at ? n : in->bytes - at;
    memmove(in->data + at, in->data + at + n, in->bytes - at - n);
    in->bytes -= n;
}

/* Over what follows, so that the size stays. */
static void repeat_range(struct input *in, uint64_t *state)
{
    size_t from = position(state, in->bytes), to = position(state, in->bytes);
    size_t last = from > to ? from : to, n = 1 + (size_t)below(state, 64);
    n = n < in->bytes - last ? n : in->bytes - last;
    memmove(in->data + to, in->data + from, n);
}

static void mutate(struct input *in, uint64_t *state)
{
    uint64_t changes = 1 + below(state, 4);
    for (uint64_t i = 0; i < changes && in->bytes > 1; i++) {
        switch (below(state, 8)) {
        case 0:
        case 1:
        case 2:
            overwrite(in, state);
            break;
        case 3:
            remove_range(in, state);
            break;
        case 4:
            repeat_range(in, state);
            break;
        case 5:
            in->bytes = 1 + (size_t)below(state, in->bytes);
            break;
        default:
            in->data[position(state, in->bytes)] ^= (uint8_t)(1u << below(state, 8));
        }
    }
}

/* A copy of exactly the input's size, so that a sanitizer sees every byte read too far. */
static bool run_one(const struct input *in)
{
    uint8_t *copy = mem_alloc(in->bytes, 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, in->data, in->bytes);
    LLVMFuzzerTestOneInput(copy, in->bytes);
    mem_free(copy);
    return true;
}

static bool replay(uint64_t seed, uint64_t count, uint64_t only)
{
    uint64_t number = 0;
    for (unsigned s = 0;; s++) {
        struct input base;
        base.data = fuzz_seed(s, &base.bytes);
        if (base.data == NULL) {
            break;
        }
        struct input in = {mem_alloc(base.bytes, 1), 0};
        bool ok = in.data != NULL;
        for (uint64_t i = 0; ok && i <= count; i++, number++) {
            uint64_t state = seed * 1000003 + number;
            if (only != UINT64_MAX && only != number) {
                continue;
            }
            memcpy(in.data, base.data, base.bytes);
            in.bytes = base.bytes;
            if (i != 0) { /* the seed itself first */
                mutate(&in, &state);
            }
            snprintf(where, sizeof where, "\nfuzz input: --seed %" PRIu64 " --only %" PRIu64 "\n",
                     seed, number);
            ok = run_one(&in);
        }
        mem_free(in.data);
        mem_free(base.data);
        if (!ok) {
            fprintf(stderr, "out of memory\n");
            return false;
        }
    }
    printf("seed %" PRIu64 ": %" PRIu64 " inputs\n", seed, number);
    return number != 0;
}

static bool write_seeds(const char *folder)
{
    bool ok = true;
    for (unsigned s = 0; ok; s++) {
        char path[1024];
        size_t bytes;
        uint8_t *data = fuzz_seed(s, &bytes);
        if (data == NULL) {
            return s != 0;
        }
        snprintf(path, sizeof path, "%s/seed-%u", folder, s);
        FILE *file = fopen(path, "wb");
        ok = file != NULL && fwrite(data, 1, bytes, file) == bytes;
        ok = file != NULL && fclose(file) == 0 && ok;
        mem_free(data);
    }
    return ok;
}

static bool run_file(const char *path)
{
    struct input in;
    in.data = (uint8_t *)os_read_text(path, (size_t)1 << 30, &in.bytes, NULL);
    bool ok = in.data != NULL && run_one(&in);
    printf("%s: %s\n", path, ok ? "done" : "cannot be read");
    mem_free(in.data);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, count = fuzz_replay_count, only = UINT64_MAX;
    bool ok = true, files = false;
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    signal(SIGILL, on_crash);
    signal(SIGTRAP, on_crash);
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (more && strcmp(argv[i], "--write") == 0) {
            return write_seeds(argv[i + 1]) ? 0 : 1;
        }
        if (more && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (more && strcmp(argv[i], "--count") == 0) {
            count = strtoull(argv[++i], NULL, 10);
        } else if (more && strcmp(argv[i], "--only") == 0) {
            only = strtoull(argv[++i], NULL, 10);
        } else {
            files = true;
            ok = run_file(argv[i]) && ok;
        }
    }
    return (files ? ok : replay(seed, count, only)) ? 0 : 1;
}
