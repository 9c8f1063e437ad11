/* Reads texts and makes token ids of them. */
#include "cli/input.h"

#include "cli/memory.h"
#include "cli/term.h"

#include <errno.h>
#include <string.h>

static const size_t longest = (size_t)1 << 30;

static bool read_all(struct cli_text *text, FILE *file, const char *name)
{
    size_t cap = 0;
    do {
        if (text->n == cap) {
            size_t larger = cap != 0 ? cap * 2 : 65536;
            char *grown = larger <= longest * 2 ? cli_resize(text->bytes, larger, 1) : NULL;
            if (grown == NULL) {
                cli_error("%s: longer than %zu bytes", name, cap);
                return false;
            }
            text->bytes = grown;
            cap = larger;
        }
        text->n += fread(text->bytes + text->n, 1, cap - text->n, file);
    } while (!feof(file) && !ferror(file));
    if (ferror(file)) {
        cli_error("%s: cannot be read: %s", name, strerror(errno));
        return false;
    }
    return true;
}

bool cli_text_read(struct cli_text *text, const char *path)
{
    *text = (struct cli_text){0};
    if (strcmp(path, "-") == 0) {
        return read_all(text, stdin, "standard input");
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        cli_error("%s: cannot be read: %s", path, strerror(errno));
        return false;
    }
    bool ok = read_all(text, file, path);
    fclose(file);
    return ok;
}

void cli_text_finish(struct cli_text *text)
{
    cli_free(text->bytes);
    *text = (struct cli_text){0};
}

bool cli_ids_read_as(struct cli_ids *ids, qd_context *context, qd_model *model, const char *text,
                     size_t bytes, bool add_special, bool parse_special)
{
    *ids = (struct cli_ids){0};
    size_t count;
    size_t room = bytes + 16; /* a text has seldom more tokens than bytes */
    for (int attempt = 0; attempt < 2; attempt++) {
        ids->ids = cli_alloc(room, sizeof *ids->ids);
        if (ids->ids == NULL) {
            return false;
        }
        enum qd_status status =
            qd_tokenize(model, text, bytes, add_special, parse_special, ids->ids, room, &count);
        if (status != QD_OK) {
            cli_error_status(context, status);
            return false;
        }
        if (count <= room) {
            break;
        }
        cli_free(ids->ids);
        room = count;
    }
    ids->n = count;
    return true;
}

bool cli_ids_read(struct cli_ids *ids, qd_context *context, qd_model *model, const char *text,
                  size_t bytes, bool add_special)
{
    return cli_ids_read_as(ids, context, model, text, bytes, add_special, true);
}

void cli_ids_finish(struct cli_ids *ids)
{
    cli_free(ids->ids);
    *ids = (struct cli_ids){0};
}
