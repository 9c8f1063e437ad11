/* Real vocabularies, SentencePiece and byte-level BPE, with llama.cpp's own test texts and ids.
 * They are not part of the project: skipped, visibly, where ../shared is absent. */
#include "text/text.h"

#include "base/mem.h"
#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER QD_SOURCE_DIR "/../shared/vocab/ggml-vocab-"

static void print_line(void *user, enum log_level level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

/* One text and its line of ids. */
static bool check(const struct vocab *vocab, const char *text, size_t bytes, const char *line,
                  size_t line_bytes)
{
    struct text_tokens got = {0};
    const char *end = line + line_bytes;
    size_t n = 0;
    bool ok = vocab_encode(vocab, text, bytes, 0, &got, NULL);
    while (ok && line < end) {
        char *after;
        unsigned long id = strtoul(line, &after, 10);
        if (after == line || after > end) {
            break;
        }
        ok = n < got.count && got.ids[n] == id;
        n++;
        line = after;
    }
    ok = ok && n == got.count;
    if (!ok) {
        fprintf(stderr, "other ids for \"%.*s\", from number %zu\n", (int)bytes, text, n);
    }
    text_tokens_finish(&got);
    return ok;
}

/* The number of texts that fail, -1 when the files are absent. */
static int run(const char *name, struct log *log)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char path[1024];
    size_t n_in, n_out;
    int failed = 0, n = 0;
    snprintf(path, sizeof path, FOLDER "%s.gguf", name);
    FILE *there = fopen(path, "rb");
    if (there == NULL) {
        return -1;
    }
    fclose(there);
    struct gguf_file *file = gguf_open(path, log);
    struct vocab *vocab = file != NULL ? vocab_create(file, log) : NULL;
    gguf_close(file);
    snprintf(path, sizeof path, FOLDER "%s.gguf.inp", name);
    char *in = os_read_text(path, 1 << 20, &n_in, log);
    snprintf(path, sizeof path, FOLDER "%s.gguf.out", name);
    char *out = os_read_text(path, 1 << 20, &n_out, log);
    if (vocab == NULL || in == NULL || out == NULL) {
        failed = 1;
    } else {
        const char *text = in, *line = out;
        while (line < out + n_out) {
            const char *end = strstr(text, mark), *eol = strchr(line, '\n');
            size_t bytes = end != NULL ? (size_t)(end - text) : (size_t)(in + n_in - text);
            size_t width = eol != NULL ? (size_t)(eol - line) : strlen(line);
            failed += !check(vocab, text, bytes, line, width);
            n++;
            if (end == NULL) {
                break;
            }
            text = end + sizeof mark - 1;
            line += width + 1;
        }
        printf("%s: %d of %d texts have the expected ids\n", name, n - failed, n);
        failed += n < 40; /* the files have 47 */
    }
    mem_free(in);
    mem_free(out);
    vocab_destroy(vocab);
    return failed;
}

int main(void)
{
    struct log log;
    log_init(&log, print_line, NULL, LOG_INFO);
    static const char *const names[] = {"llama-spm", "phi-3", "gpt-2", "falcon"};
    int failed = 0;
    bool absent = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int n = run(names[i], &log);
        absent = absent || n < 0;
        failed += n > 0 ? n : 0;
    }
    log_finish(&log);
    if (absent) {
        printf("skipped: no vocabularies at " FOLDER "*.gguf\n");
        return 77;
    }
    return failed > 0;
}
