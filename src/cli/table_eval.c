/* Options that only evaluations have, or have in another way: the first part of the table. */
#include "cli/options.h"

#include <stddef.h>

#define AT(field) offsetof(struct cli_options, field)

static const struct cli_choice styles[] = {
    {"lm-eval", CLI_LM_EVAL}, {"llama.cpp", CLI_LLAMA_CPP}, {NULL, 0}};

static const struct cli_option options[] = {
    {.names = {"-m", "--model"},
     .value = "FILE",
     .kind = CLI_STRING,
     .commands = CLI_EVAL,
     .offset = AT(model),
     .help = "model, a GGUF file"},
    {.names = {"-f", "--file"},
     .value = "FILE",
     .kind = CLI_STRING,
     .commands = CLI_HELLASWAG,
     .offset = AT(file),
     .help = "the tasks: six lines each (context, label, four endings), or the official JSON with "
             "one object a line; either may be packed with bzip2"},
    {.names = {"--tasks"},
     .value = "N",
     .kind = CLI_COUNT,
     .commands = CLI_HELLASWAG,
     .offset = AT(n_tasks),
     .min = 0,
     .max = INT32_MAX,
     .help = "so many of them, the first ones, or with --style llama.cpp those that it draws; all "
             "or 0: all (default: all; 400 with --style llama.cpp)"},
    {.names = {"--style"},
     .value = "STYLE",
     .kind = CLI_CHOICE,
     .commands = CLI_HELLASWAG,
     .offset = AT(style),
     .choices = styles,
     .help = "whose texts and scored tokens: lm-evaluation-harness' or llama-perplexity's (default "
             "lm-eval)"},
    {.names = {"--tokenizer"},
     .value = "FILE",
     .kind = CLI_STRING,
     .commands = CLI_HELLASWAG,
     .offset = AT(tokenizer),
     .help = "with --dummy: a GGUF file whose vocabulary makes the tokens"},
    {.names = {"--per-task"},
     .value = "FILE.csv",
     .kind = CLI_STRING,
     .commands = CLI_HELLASWAG,
     .offset = AT(per_task),
     .help = "write a row for each task as it is done: sums of log-probabilities, tokens, "
             "characters and bytes of the endings, what was chosen"},
    {.names = {"--resume"},
     .kind = CLI_FLAG,
     .commands = CLI_HELLASWAG,
     .offset = AT(go_on),
     .help = "go on with the file of --per-task: tasks that are in it are not computed again"},
    {.names = {"--no-share"},
     .kind = CLI_FLAG,
     .commands = CLI_HELLASWAG,
     .offset = AT(no_share),
     .help = "one pair of context and ending at a time, each with its whole context, scored on the "
             "host in double precision: slow, to check the usual way with"},
    {.names = {"-f", "--file"},
     .value = "FILE",
     .kind = CLI_STRING,
     .commands = CLI_PERPLEXITY,
     .offset = AT(file),
     .help = "the text; - is standard input"},
    {.names = {"-c", "--ctx-size"},
     .value = "N",
     .kind = CLI_INT,
     .commands = CLI_PERPLEXITY,
     .offset = AT(n_ctx),
     .max = 1 << 24,
     .help = "tokens of a chunk; 0: 512, or those of the base (default 0)"},
    {.names = {"--chunks"},
     .value = "N",
     .kind = CLI_COUNT,
     .commands = CLI_PERPLEXITY,
     .offset = AT(n_chunks),
     .min = 0,
     .max = INT32_MAX,
     .help = "the first N chunks only; all or 0: all (default all)"},
    {.names = {"--stride", "--ppl-stride"},
     .value = "S",
     .kind = CLI_INT,
     .commands = CLI_PERPLEXITY,
     .offset = AT(stride),
     .max = 1 << 24,
     .help = "chunks begin S tokens apart, have S / 2 tokens more, and only their last S are "
             "scored; 0: chunks side by side, the second half scored (default 0)"},
    {.names = {"--logits-base"},
     .value = "FILE",
     .kind = CLI_STRING,
     .commands = CLI_PERPLEXITY,
     .offset = AT(base),
     .help = "write the log-probabilities of all scored tokens, as llama.cpp's "
             "--kl-divergence-base does"},
    {.names = {"--kl"},
     .value = "FILE",
     .kind = CLI_STRING,
     .commands = CLI_PERPLEXITY,
     .offset = AT(kl),
     .help = "compare with the log-probabilities in FILE, of --logits-base or of llama.cpp; its "
             "tokens are taken, in place of -f"},
    {.names = {"-b", "--batch-size"},
     .value = "N",
     .kind = CLI_INT,
     .commands = CLI_EVAL,
     .offset = AT(n_batch),
     .max = 4096,
     .help = "tokens of a step, of as many sequences as they make; 0: by device, 64 or 2048 "
             "(default 0)"},
    {.names = {"-ub", "--ubatch-size"},
     .value = "N",
     .kind = CLI_INT,
     .commands = CLI_EVAL,
     .offset = AT(n_ubatch),
     .max = 4096,
     .help = "the same; where both are given, the smaller one counts (default 0)"},
    {.help = NULL},
};

const struct cli_option *cli_eval_option_table(void)
{
    return options;
}
