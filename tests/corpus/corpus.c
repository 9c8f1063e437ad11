/* Reads every file of the corpus and counts. usage: test_corpus
 * [fields|models|vocabs|cuts|flips]... On a signal the class and the file are printed. */
#include "corpus.h"

#include "arch/arch.h"
#include "text/text.h"

#include "base/os.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_LEAST = 1500 }; /* files, when all generators run */

/* For the signal handler. */
static char where[256];

static void on_crash(int number)
{
    if (write(STDERR_FILENO, where, strlen(where)) < 0) {
        _exit(2);
    }
    signal(number, SIG_DFL);
    raise(number);
}

struct lines {
    struct log log;
    uint32_t errors;
    char first[1100];
};

static void note(void *user, enum log_level level, const char *line)
{
    struct lines *lines = user;
    if (level == LOG_ERROR && lines->errors++ == 0) {
        snprintf(lines->first, sizeof lines->first, "%s", line);
    }
}

/* A use of the vocabulary that was accepted. */
static bool use_vocab(const struct vocab *vocab, struct log *log)
{
    static const char TEXT[] = "ab  \xe2\x96\x81"
                               "a\xff 12\n<s></s>";
    struct text_tokens tokens = {0};
    struct text_stream *stream = text_stream_create(vocab, true);
    size_t n;
    bool ok = stream != NULL && vocab_encode(vocab, TEXT, sizeof TEXT,
                                             TEXT_ADD_SPECIAL | TEXT_PARSE_SPECIAL, &tokens, log);
    for (size_t i = 0; i < tokens.count && ok; i++) {
        ok = tokens.ids[i] < vocab_count(vocab) &&
             text_stream_add(stream, tokens.ids[i], &n) != NULL;
    }
    text_stream_destroy(stream);
    text_tokens_finish(&tokens);
    return ok;
}

static bool read_model(const uint8_t *data, size_t bytes, bool vocab_only, struct log *log)
{
    struct arch_model model = {0};
    struct gguf_file *file = gguf_open_memory("corpus.gguf", data, bytes, log);
    struct vocab *vocab = NULL;
    bool ok = file != NULL && (vocab_only || arch_model_read(&model, file, log));
    if (ok) {
        vocab = vocab_create(file, log);
        ok = vocab != NULL && use_vocab(vocab, log);
    }
    if (ok && !vocab_only && vocab_count(vocab) != model.hp.n_vocab) {
        log_error(log, "corpus.gguf: %u tokens, %u rows", vocab_count(vocab), model.hp.n_vocab);
        ok = false;
    }
    vocab_destroy(vocab);
    arch_model_finish(&model);
    gguf_close(file);
    return ok;
}

static int class_number(const char *name)
{
    return (int)strtol(name + 1, NULL, 10) - 1 + (name[0] == 'T' ? CORPUS_G : 0);
}

static const char *judge(enum corpus_want want, const char *field, bool ok,
                         const struct lines *lines)
{
    if (ok) {
        return lines->errors != 0       ? "read, but with an error line"
               : want == CORPUS_REFUSED ? "read, must be refused"
                                        : NULL;
    }
    if (lines->errors != 1) {
        return lines->errors == 0 ? "refused without a word" : "refused with several lines";
    }
    if (strncmp(lines->first, "corpus.gguf: ", 13) != 0 || strlen(lines->first) < 20) {
        return "the line does not begin with the file";
    }
    if (want == CORPUS_GOOD) {
        return "refused, must be read";
    }
    return want == CORPUS_REFUSED && strstr(lines->first, field) == NULL
               ? "the line does not name the field"
               : NULL;
}

void corpus_try(struct corpus *corpus, const char *name, const char *what, enum corpus_want want,
                const char *field, const uint8_t *data, size_t bytes)
{
    struct lines lines = {.errors = 0};
    int number = class_number(name);
    snprintf(where, sizeof where, "\ncorpus: %s %s\n", name, what);
    /* exactly the bytes, so that a sanitizer sees one read too far */
    uint8_t *copy = mem_alloc(bytes != 0 ? bytes : 1, 1);
    if (copy == NULL || data == NULL) {
        fprintf(stderr, "out of memory\n");
        corpus->faults++;
        mem_free(copy);
        return;
    }
    memcpy(copy, data, bytes);
    log_init(&lines.log, note, &lines, LOG_WARN);
    uint64_t begin = os_clock_ns();
    bool ok = read_model(copy, bytes, corpus->vocab_only, &lines.log);
    uint64_t ns = os_clock_ns() - begin;
    const char *fault = judge(want, field, ok, &lines);
    if (fault != NULL) {
        fprintf(stderr, "%s %s: %s%s%s: %s\n", name, what, fault, field != NULL ? ", " : "",
                field != NULL ? field : "", lines.first);
        corpus->faults++;
    }
    corpus->files[number]++;
    corpus->refused[number] += ok ? 0 : 1;
    if (ns > corpus->slowest_ns) {
        corpus->slowest_ns = ns;
        corpus->slowest = name;
    }
    log_finish(&lines.log);
    mem_free(copy);
}

static bool report(const struct corpus *corpus, bool all)
{
    uint32_t total = 0, refused = 0, empty = 0;
    for (int i = 0; i < CORPUS_CLASSES; i++) {
        bool is_t = i >= CORPUS_G;
        printf("%c%02d %6u files %6u refused%s", is_t ? 'T' : 'G', i + 1 - (is_t ? CORPUS_G : 0),
               corpus->files[i], corpus->refused[i], i % 3 == 2 ? "\n" : "   ");
        total += corpus->files[i];
        refused += corpus->refused[i];
        empty += corpus->files[i] == 0;
    }
    printf("%u files, %u refused, %u faults; slowest %.1f ms (%s)\n", total, refused,
           corpus->faults, (double)corpus->slowest_ns / 1e6,
           corpus->slowest != NULL ? corpus->slowest : "none");
    if (all && (empty != 0 || total < AT_LEAST)) {
        fprintf(stderr, "%u classes without a file, %u files of %d\n", empty, total, AT_LEAST);
        return false;
    }
    return corpus->faults == 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct corpus *corpus);
    } PARTS[] = {
        {"fields", corpus_fields}, {"models", corpus_models}, {"vocabs", corpus_vocabs},
        {"cuts", corpus_cuts},     {"flips", corpus_flips},
    };
    struct corpus corpus = {.faults = 0};
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    signal(SIGFPE, on_crash);
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++) {
            wanted = wanted || strcmp(argv[a], PARTS[i].name) == 0;
        }
        if (wanted) {
            corpus.vocab_only = false;
            PARTS[i].run(&corpus);
        }
    }
    return report(&corpus, argc < 2) ? 0 : 1;
}
