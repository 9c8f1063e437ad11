/* From arguments to struct cli_options, by the table. Values are values.c's; what a command needs
 * beyond the syntax (a model, a prompt) it checks itself. */
#include "cli/options.h"

#include "cli/term.h"

#include <string.h>

enum { LONGEST_NAME = 32, MAX_NAMES = 128 };

/* Edit distance; a name longer than LONGEST_NAME is far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b), row[LONGEST_NAME + 1];
    if (na > LONGEST_NAME || nb > LONGEST_NAME) {
        return LONGEST_NAME;
    }
    for (size_t j = 0; j <= nb; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t insert = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < insert ? change : insert;
        }
    }
    return row[nb];
}

const char *cli_nearest(const char *name, const char *const *names)
{
    size_t best = strlen(name) > 8 ? 4 : strlen(name) > 3 ? 3 : 2; /* must be less than this */
    const char *nearest = NULL;
    for (; *names != NULL; names++) {
        size_t d = distance(name, *names);
        if (d < best) {
            best = d;
            nearest = *names;
        }
    }
    return nearest;
}

/* The option called by the first `bytes` of `name`, or NULL. */
static const struct cli_option *find(const struct cli_command *command, const char *name,
                                     size_t bytes)
{
    for (const struct cli_option *o = NULL; (o = cli_option_next(o)) != NULL;) {
        for (size_t i = 0; i < 3 && o->names[i] != NULL && (o->commands & command->bit); i++) {
            if (strlen(o->names[i]) == bytes && memcmp(o->names[i], name, bytes) == 0) {
                return o;
            }
        }
    }
    return NULL;
}

static void say_unknown(const struct cli_command *command, const char *name, size_t bytes)
{
    const char *names[MAX_NAMES];
    size_t n = 0;
    for (const struct cli_option *o = NULL; (o = cli_option_next(o)) != NULL;) {
        for (size_t i = 0; i < 3 && o->names[i] != NULL && (o->commands & command->bit); i++) {
            if (n + 1 < MAX_NAMES) {
                names[n++] = o->names[i];
            }
        }
    }
    names[n] = NULL;
    char cut[LONGEST_NAME + 1];
    snprintf(cut, sizeof cut, "%.*s", (int)(bytes < LONGEST_NAME ? bytes : LONGEST_NAME), name);
    const char *nearest = cli_nearest(cut, names);
    if (nearest != NULL) {
        cli_error("%s: unknown option %s: did you mean %s? (quadriga %s --help)", command->name,
                  cut, nearest, command->name);
    } else {
        cli_error("%s: unknown option %s (quadriga %s --help)", command->name, cut, command->name);
    }
}

static void set_defaults(const struct cli_command *command, struct cli_options *out)
{
    *out = (struct cli_options){
        .n_predict = command->bit == CLI_BENCH ? 32 : -1,
        .n_prompt = 128,
        .n_repeats = command->bit == CLI_BENCH ? 5 : 0,
        .n_streams = 1,
        .time_limit = 200,
        .temperature = 0.8,
        .top_k = 40,
        .top_p = 0.95,
        .min_p = 0.05,
        .repeat_penalty = 1.0,
        .n_tasks = -1,
        .type_k = QD_TYPE_F16,
        .type_v = QD_TYPE_F16,
        .output = (command->bit & (CLI_BENCH | CLI_MICROBENCH)) != 0 ? CLI_MARKDOWN : CLI_TEXT,
    };
}

bool cli_options_parse(const struct cli_command *command, int n, char **args,
                       struct cli_options *out)
{
    set_defaults(command, out);
    for (int i = 0; i < n; i++) {
        const char *arg = args[i];
        if (arg[0] != '-' || arg[1] == '\0') {
            if (command->bit == CLI_MICROBENCH && out->group == NULL) {
                out->group = arg;
                continue;
            }
            cli_error("%s: unexpected argument '%s' (quadriga %s --help)", command->name, arg,
                      command->name);
            return false;
        }
        const char *equals = arg[1] == '-' ? strchr(arg, '=') : NULL;
        size_t bytes = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
        const struct cli_option *option = find(command, arg, bytes);
        if (option == NULL) {
            say_unknown(command, arg, bytes);
            return false;
        }
        char name[LONGEST_NAME + 1];
        snprintf(name, sizeof name, "%.*s", (int)bytes, arg);
        if (option->kind == CLI_FLAG) {
            if (equals != NULL) {
                cli_error("%s: %s takes no value, '%s' was given", command->name, name, equals + 1);
                return false;
            }
            *(bool *)((char *)out + option->offset) = true;
            continue;
        }
        if (equals == NULL && i + 1 == n) {
            cli_error("%s: %s needs a value: %s", command->name, name, option->value);
            return false;
        }
        const char *value = equals != NULL ? equals + 1 : args[++i];
        if (!cli_value_parse(command, option, name, value, out)) {
            return false;
        }
    }
    if (out->n_ubatch != 0 && (out->n_batch == 0 || out->n_ubatch < out->n_batch)) {
        out->n_batch = out->n_ubatch;
    }
    return true;
}
