/* quadriga info: facts, metadata and tensors of a file, as text. */
#include "cli/commands.h"
#include "cli/engine.h"

#include <inttypes.h>

static void print_facts(const qd_model *model)
{
    struct qd_model_info info;
    qd_model_get_info(model, &info);
    printf("architecture  ");
    cli_put_safe(stdout, info.architecture);
    printf("\nfile          %.2f MiB\nvocabulary    %u tokens", (double)info.file_bytes / (1 << 20),
           info.n_vocab);
    if (info.bos != UINT32_MAX) {
        printf(", begin %u%s", info.bos, info.adds_bos ? " (added)" : "");
    }
    if (info.eos != UINT32_MAX) {
        printf(", end %u", info.eos);
    }
    printf("\n");
}

int cli_info(const struct cli_options *options)
{
    if (options->model == NULL) {
        cli_error("info: give a model with -m FILE (quadriga info --help)");
        return CLI_USAGE;
    }
    struct cli_engine engine;
    int code = cli_engine_open_vocab(&engine, options);
    if (code == CLI_DONE) {
        const char *key, *type, *value;
        uint64_t rows, cols, elements = 0, i;
        print_facts(engine.model);
        printf("\nmetadata\n");
        for (i = 0; qd_model_get_meta(engine.model, i, &key, &type, &value); i++) {
            printf("  ");
            cli_put_safe(stdout, key);
            printf(" %s ", type);
            cli_put_safe(stdout, value);
            printf("\n");
        }
        printf("\ntensors\n");
        for (i = 0; qd_model_get_tensor(engine.model, i, &key, &type, &rows, &cols); i++) {
            printf("  %-6s %8" PRIu64 " x %-8" PRIu64 " ", type, rows, cols);
            cli_put_safe(stdout, key);
            printf("\n");
            elements += rows * cols;
        }
        printf("\n%" PRIu64 " tensors, %.2f M elements\n", i, (double)elements / 1e6);
    }
    return cli_engine_close(&engine, code);
}
