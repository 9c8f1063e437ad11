/* Values of options: numbers with their range and nothing behind them, lists, choices. An error
 * names the option as it was written and the value. */
#include "cli/options.h"

#include "cli/term.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *field(struct cli_options *out, const struct cli_option *option)
{
    return (char *)out + option->offset;
}

/* strto* skip spaces and take "0x" and "inf"; we do not. */
static bool starts_number(const char *text)
{
    const char *c = text + (*text == '-' || *text == '+');
    return isdigit((unsigned char)*c) || (*c == '.' && isdigit((unsigned char)c[1]));
}

static bool read_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return starts_number(text) && *end == '\0' && errno == 0;
}

/* `end` is where the number stops. */
static bool read_real(const char *text, double *out, char **end)
{
    errno = 0;
    *out = strtod(text, end);
    bool hex = memchr(text, 'x', (size_t)(*end - text)) != NULL ||
               memchr(text, 'X', (size_t)(*end - text)) != NULL;
    return starts_number(text) && !hex && (errno == 0 || *out == 0) && isfinite(*out);
}

static bool parse_int(const struct cli_option *option, const char *text, struct cli_options *out)
{
    int64_t value;
    if (!read_int(text, &value) || (double)value < option->min || (double)value > option->max) {
        return false;
    }
    memcpy(field(out, option), &value, sizeof value);
    return true;
}

static bool parse_real(const struct cli_option *option, const char *text, struct cli_options *out)
{
    double value;
    char *end;
    if (!read_real(text, &value, &end) || *end != '\0' || value < option->min ||
        value > option->max) {
        return false;
    }
    memcpy(field(out, option), &value, sizeof value);
    return true;
}

static bool parse_seed(const char *text, struct cli_options *out)
{
    if (strcmp(text, "-1") == 0) {
        out->has_seed = false;
        return true;
    }
    char *end;
    errno = 0;
    out->seed = strtoull(text, &end, 10);
    out->has_seed = true;
    return isdigit((unsigned char)*text) && *end == '\0' && errno == 0;
}

static uint32_t most_devices(const struct cli_option *option)
{
    return option->max > 0 ? (uint32_t)option->max : QD_MAX_DEVICES;
}

static bool parse_devices(const struct cli_option *option, const char *text,
                          struct cli_options *out)
{
    out->n_devices = 0;
    for (;;) {
        char *end;
        errno = 0;
        unsigned long value = strtoul(text, &end, 10);
        if (!isdigit((unsigned char)*text) || errno != 0 || value > 1000 ||
            out->n_devices == most_devices(option) || (*end != ',' && *end != '\0')) {
            return false;
        }
        out->devices[out->n_devices++] = (uint32_t)value;
        if (*end == '\0') {
            return true;
        }
        text = end + 1;
    }
}

static bool parse_shares(const char *text, struct cli_options *out)
{
    double sum = 0;
    out->n_shares = 0;
    for (;;) {
        double value;
        char *end;
        if (!read_real(text, &value, &end) || value < 0 || value > 1e9 ||
            out->n_shares == QD_MAX_DEVICES || (*end != ',' && *end != '/' && *end != '\0')) {
            return false;
        }
        out->shares[out->n_shares++] = value;
        sum += value;
        if (*end == '\0') {
            return sum > 0;
        }
        text = end + 1;
    }
}

static bool parse_choice(const struct cli_option *option, const char *text, struct cli_options *out)
{
    for (const struct cli_choice *choice = option->choices; choice->name != NULL; choice++) {
        if (strcmp(choice->name, text) == 0) {
            memcpy(field(out, option), &choice->value, sizeof choice->value);
            return true;
        }
    }
    return false;
}

static bool parse(const struct cli_option *option, const char *text, struct cli_options *out)
{
    switch (option->kind) {
    case CLI_FLAG:
    case CLI_DISABLE:
        return false;
    case CLI_STRING:
        memcpy(field(out, option), &text, sizeof text);
        return true;
    case CLI_STRINGS:
        if (*text == '\0' || out->n_stops == CLI_MAX_STOPS) {
            return false;
        }
        out->stops[out->n_stops++] = text;
        return true;
    case CLI_COUNT:
        return parse_int(option, strcmp(text, "all") == 0 ? "0" : text, out);
    case CLI_INT:
        return parse_int(option, text, out);
    case CLI_REAL:
        return parse_real(option, text, out);
    case CLI_SEED:
        return parse_seed(text, out);
    case CLI_DEVICE_LIST:
        return parse_devices(option, text, out);
    case CLI_SHARE_LIST:
        return parse_shares(text, out);
    case CLI_CHOICE:
        return parse_choice(option, text, out);
    }
    return false;
}

/* What would have been right. */
static void describe(const struct cli_option *option, char *out, size_t bytes)
{
    size_t used = 0;
    switch (option->kind) {
    case CLI_INT:
        snprintf(out, bytes, "a whole number from %.0f to %.0f", option->min, option->max);
        return;
    case CLI_COUNT:
        snprintf(out, bytes, "all or a whole number from %.0f to %.0f", option->min, option->max);
        return;
    case CLI_REAL:
        snprintf(out, bytes, "a number from %g to %g", option->min, option->max);
        return;
    case CLI_SEED:
        snprintf(out, bytes, "a whole number from 0 to 18446744073709551615, or -1");
        return;
    case CLI_DEVICE_LIST:
        snprintf(out, bytes, "one to %u device numbers with commas between them",
                 most_devices(option));
        return;
    case CLI_SHARE_LIST:
        snprintf(out, bytes, "one to %d shares, not all 0, with commas between them",
                 QD_MAX_DEVICES);
        return;
    case CLI_CHOICE:
        *out = '\0';
        for (const struct cli_choice *c = option->choices; c->name != NULL && used < bytes; c++) {
            const char *joint = c == option->choices ? "" : c[1].name != NULL ? ", " : " or ";
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", joint, c->name);
        }
        return;
    default:
        snprintf(out, bytes, "not empty, and given at most %d times", CLI_MAX_STOPS);
        return;
    }
}

bool cli_value_parse(const struct cli_command *command, const struct cli_option *option,
                     const char *name, const char *text, struct cli_options *out)
{
    if (option->kind == CLI_DISABLE) {
        return cli_disable_parse(command, name, text, out);
    }
    if (parse(option, text, out)) {
        return true;
    }
    char expected[160];
    describe(option, expected, sizeof expected);
    cli_error("%s: %s '%s': must be %s", command->name, name, text, expected);
    return false;
}
