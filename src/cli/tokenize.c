/* quadriga tokenize: texts to lines of token ids. */
#include "cli/commands.h"
#include "cli/engine.h"
#include "cli/input.h"

#include <string.h>

static bool print_ids(struct cli_engine *engine, const char *text, size_t bytes,
                      const struct cli_options *options)
{
    struct cli_ids ids;
    bool ok = cli_ids_read_as(&ids, engine->context, engine->model, text, bytes, !options->no_bos,
                              !options->no_parse_special);
    for (size_t i = 0; i < ids.n && ok; i++) {
        printf("%s%u", i == 0 ? "" : " ", ids.ids[i]);
    }
    if (ok) {
        printf("\n");
    }
    cli_ids_finish(&ids);
    return ok;
}

/* A newline ends a line; what follows the last one is a line unless it is empty. */
static bool print_lines(struct cli_engine *engine, const struct cli_text *text,
                        const struct cli_options *options)
{
    size_t at = 0;
    bool ok = true;
    while (at < text->n && ok) {
        const char *end = memchr(text->bytes + at, '\n', text->n - at);
        size_t bytes = end != NULL ? (size_t)(end - text->bytes) - at : text->n - at;
        ok = print_ids(engine, text->bytes + at, bytes, options);
        at += bytes + 1;
    }
    return ok;
}

int cli_tokenize(const struct cli_options *options)
{
    if (options->model == NULL) {
        cli_error("tokenize: give a model with -m FILE (quadriga tokenize --help)");
        return CLI_USAGE;
    }
    if (options->prompt != NULL && (options->file != NULL || options->lines)) {
        cli_error("tokenize: -p does not go with -f or --lines");
        return CLI_USAGE;
    }
    struct cli_engine engine;
    struct cli_text text = {0};
    int code = cli_engine_open_vocab(&engine, options, QD_DEPTH_VOCAB);
    if (code == CLI_DONE) {
        bool ok;
        if (options->prompt != NULL) {
            ok = print_ids(&engine, options->prompt, strlen(options->prompt), options);
        } else {
            ok = cli_text_read(&text, options->file != NULL ? options->file : "-") &&
                 (options->lines ? print_lines(&engine, &text, options)
                                 : print_ids(&engine, text.bytes, text.n, options));
        }
        code = ok ? CLI_DONE : CLI_FAILED;
    }
    cli_text_finish(&text);
    return cli_engine_close(&engine, code);
}
