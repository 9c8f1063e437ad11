/* Every option of every command, in one table: the parser, the error texts and --help all read it.
 *
 * Matching is exact: a long name may take its value as --name=value, a short one only as the next
 * argument. A value is the next argument whatever it looks like ("-n -1"). The last one counts,
 * except for -r of run, which adds up. Only microbench takes an argument that is no option, one. */
#ifndef QUADRIGA_CLI_OPTIONS_H
#define QUADRIGA_CLI_OPTIONS_H

#include "include/quadriga.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_SIGNAL = 128 /* + the signal that ended it */
};

enum cli_command_bit {
    CLI_RUN = 1 << 0,
    CLI_DEVICES = 1 << 1,
    CLI_INFO = 1 << 2,
    CLI_TOKENIZE = 1 << 3,
    CLI_BENCH = 1 << 4,
    CLI_COMPAT = 1 << 5,
    CLI_MICROBENCH = 1 << 6,
    CLI_CHAT = 1 << 7,
    CLI_HELLASWAG = 1 << 8,
    CLI_PERPLEXITY = 1 << 9,
    CLI_EVAL = CLI_HELLASWAG | CLI_PERPLEXITY,
    CLI_ALL = (1 << 10) - 1
};

enum { CLI_MAX_STOPS = 16, CLI_MAX_DEVICES = 64 };
enum cli_eval_style { CLI_LM_EVAL, CLI_LLAMA_CPP };
enum cli_output { CLI_TEXT, CLI_JSON, CLI_MARKDOWN, CLI_CSV, CLI_HTML };

/* Strings point into argv. */
struct cli_options {
    bool help, verbose, no_cache;
    const char *group; /* of microbench: its one argument that is no option; NULL */
    const char *type, *shape, *plot;
    const char *variant; /* of microbench and compat */
    bool warm, tune;
    bool quick; /* of microbench and compat */
    double time_limit;
    const char *model, *dummy;
    const char *prompt, *file, *logits;
    const char *system, *template; /* of chat; NULL: none, the file's */
    bool lines, no_bos, no_parse_special;
    bool no_display_prompt, ignore_eos, dry_run;
    bool selftest;
    bool profile;        /* of bench */
    const char *disable; /* names, checked; NULL: nothing */
    const char *trace;   /* file to write; NULL: none */
    const char *stops[CLI_MAX_STOPS];
    uint32_t n_stops;
    int64_t n_predict, n_ctx, n_batch;    /* n_ctx, n_batch: 0 is the library's default */
    int64_t n_ubatch;                     /* parsed into n_batch, the smaller of both */
    int64_t n_prompt, n_depth, n_repeats; /* of bench; its -n is n_predict */
    int64_t n_streams;                    /* of bench */
    int64_t top_k;
    double temperature, top_p, min_p, repeat_penalty;
    bool has_seed;
    uint64_t seed;
    uint32_t devices[CLI_MAX_DEVICES], n_devices; /* 0: the default devices */
    double shares[QD_MAX_DEVICES];
    uint32_t n_shares;
    enum qd_split split;
    enum qd_type type_k, type_v;
    enum qd_act act;
    enum cli_output output;
    bool no_model; /* of compat, like the rest */
    const char *op, *resume, *baseline, *reference;
    int64_t n_tasks, n_chunks; /* of evaluations, like the rest; 0: all, n_tasks -1: not given */
    int64_t stride;
    enum cli_eval_style style;
    bool go_on, no_share;
    const char *tokenizer, *per_task, *base, *kl;
};

struct cli_command {
    const char *name; /* one word, or two */
    unsigned bit;     /* cli_command_bit */
    const char *usage, *about;
    int (*run)(const struct cli_options *options); /* returns a cli_exit */
};
/* All commands; ends with an entry without a name. */
const struct cli_command *cli_commands(void);

/* Options of `command` from its arguments (without program and command name). False: said on
 * standard error, the exit code is CLI_USAGE. */
bool cli_options_parse(const struct cli_command *command, int n, char **args,
                       struct cli_options *out);
/* To standard output. */
void cli_help(const struct cli_command *command); /* NULL: the overview */
/* The nearest of `names` (ends with NULL) to a mistyped one; NULL when none is near. */
const char *cli_nearest(const char *name, const char *const *names);

/* ---- the table, for options.c, values.c and help.c ---- */

enum cli_kind {
    CLI_FLAG,
    CLI_STRING,
    CLI_STRINGS, /* adds to stops */
    CLI_INT,     /* int64_t, min..max */
    CLI_COUNT,   /* the same, and "all" is 0 */
    CLI_REAL,    /* double, min..max */
    CLI_SEED,
    CLI_DEVICE_LIST, /* at most max numbers; max 0: QD_MAX_DEVICES */
    CLI_SHARE_LIST,
    CLI_DISABLE, /* names of capabilities and kernels */
    CLI_CHOICE   /* an enum: `choices` and the values beside them */
};
struct cli_choice {
    const char *name;
    int value;
};
struct cli_option {
    const char *names[3]; /* short first; unused ones are NULL */
    const char *value;    /* what --help calls it */
    enum cli_kind kind;
    unsigned commands; /* cli_command_bit */
    size_t offset;     /* in struct cli_options */
    double min, max;
    const struct cli_choice *choices; /* ends with an entry without a name */
    const char *help;
};
/* The option after this one (NULL: the first); NULL: it was the last. */
const struct cli_option *cli_option_next(const struct cli_option *option);
/* table_eval.c: options of evaluations. Ends with an entry without names. */
const struct cli_option *cli_eval_option_table(void);
/* Of a KV cache, as -ctk takes it. */
const char *cli_type_name(enum qd_type type);
/* Reads `text` as the value of `option`, strictly. False: said. `name`: as the user wrote it. */
bool cli_value_parse(const struct cli_command *command, const struct cli_option *option,
                     const char *name, const char *text, struct cli_options *out);

/* disable.c: a list of names, each of which must be known. False: said, with the nearest one. */
bool cli_disable_parse(const struct cli_command *command, const char *option, const char *text,
                       struct cli_options *out);

#endif
