/* Writes a small model with random weights: chat_model OUT.gguf [TEMPLATE.jinja [CONTEXT]], with
 * the file's text as its chat template. */
#include "gguf_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t longest = 1 << 16;

int main(int argc, char **argv)
{
    static uint8_t value[(1 << 16) + 8];
    struct gguf_make_params params = gguf_make_defaults();
    struct gguf_make_kv kvs[2] = {{.key = NULL}, {.key = NULL}};
    struct log log;
    if (argc < 2) {
        fprintf(stderr, "usage: chat_model OUT.gguf [TEMPLATE.jinja [CONTEXT]]\n");
        return 2;
    }
    if (argc > 2) {
        FILE *file = fopen(argv[2], "rb");
        if (file == NULL) {
            perror(argv[2]);
            return 1;
        }
        uint64_t n = fread(value + sizeof n, 1, longest, file);
        fclose(file);
        memcpy(value, &n, sizeof n);
        kvs[0] = (struct gguf_make_kv){.key = "tokenizer.chat_template",
                                       .type = GGUF_STRING,
                                       .value = value,
                                       .bytes = (size_t)n + sizeof n};
        params.kvs = kvs;
    }
    if (argc > 3) {
        params.ctx = (uint32_t)strtoul(argv[3], NULL, 10);
    }
    log_init(&log, NULL, NULL, LOG_ERROR);
    bool ok = gguf_make_file(&params, argv[1], &log);
    if (!ok) {
        fprintf(stderr, "%s\n", log.last);
    }
    log_finish(&log);
    return ok ? 0 : 1;
}
