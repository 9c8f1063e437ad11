/* Text to standard output, safe for a terminal; options to a sampler. */
#include "cli/output.h"

#include "cli/term.h"

#include <errno.h>
#include <stdio.h>

bool cli_output_put(struct cli_output_text *out, const char *text, size_t bytes)
{
    while (bytes != 0 && out->to_terminal) {
        char safe[512];
        size_t part = bytes < 256 ? bytes : 256;
        while (part < bytes && part > 250 && ((unsigned char)text[part] & 0xc0) == 0x80) {
            part--; /* not inside a UTF-8 sequence */
        }
        size_t n = cli_make_safe(text, part, true, safe, sizeof safe);
        fwrite(safe, 1, n, stdout);
        text += part;
        bytes -= part;
    }
    fwrite(text, 1, bytes, stdout);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        out->error = errno;
        return false;
    }
    return true;
}

static uint64_t random_seed(void)
{
    uint32_t seed = (uint32_t)cli_clock_ns();
    FILE *file = fopen("/dev/urandom", "rb");
    if (file != NULL) {
        uint32_t bits;
        if (fread(&bits, sizeof bits, 1, file) == 1) {
            seed ^= bits;
        }
        fclose(file);
    }
    return seed;
}

struct qd_sampling cli_sampling(const struct cli_options *options)
{
    return (struct qd_sampling){
        .temperature = (float)options->temperature,
        .top_k = (uint32_t)options->top_k,
        /* 0 would be off for the library; for a user it is the likeliest token */
        .top_p = options->top_p > 0 ? (float)options->top_p : 1e-9f,
        .min_p = (float)options->min_p,
        .repeat_penalty = (float)options->repeat_penalty,
        .seed = options->has_seed ? options->seed : random_seed(),
    };
}
