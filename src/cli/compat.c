/* quadriga compat: the lab's sweep over the devices, then the model, then a report. Here: what the
 * options mean, which devices, opening and closing; rows go to the journal as they come. */
#include "cli/compat.h"
#include "cli/commands.h"
#include "cli/compat_find.h"
#include "cli/device_json.h"
#include "cli/json.h"

#include <string.h>

enum { DEFAULT_SEED = 1, ALL = 1 << 16, QUICK_GREEDY = 8 };
#define SHOW_EVERY_NS 100000000u

bool compat_wants_ops(const struct compat *c)
{
    return c->options->op == NULL || strcmp(c->options->op, "model") != 0;
}

bool compat_wants_model(const struct compat *c)
{
    const struct cli_options *o = c->options;
    return !o->no_model && (o->op != NULL ? strcmp(o->op, "model") == 0 : o->variant == NULL);
}

static void show_progress(struct compat *c, const json_t *row)
{
    uint64_t now = cli_clock_ns();
    if (!cli_on_terminal(stderr) || now - c->shown_ns < SHOW_EVERY_NS) {
        return;
    }
    c->shown_ns = now;
    c->shown = true;
    fprintf(stderr, "\rdevice %lld  %-12.12s %-12.12s  %llu rows, %llu failed ",
            (long long)json_integer_value(json_object_get(row, "device")), compat_text(row, "op"),
            compat_text(row, "variant"), (unsigned long long)json_array_size(c->rows),
            (unsigned long long)c->totals[LAB_FAIL]);
    fflush(stderr);
}

static void hide_progress(struct compat *c)
{
    if (c->shown) {
        fprintf(stderr, "\r%79s\r", "");
    }
    c->shown = false;
}

static enum lab_status status_of(const json_t *row)
{
    return compat_is(row, "pass") ? LAB_PASS : compat_is(row, "fail") ? LAB_FAIL : LAB_SKIP;
}

static void count(struct compat *c, json_t *row)
{
    c->totals[status_of(row)]++;
    json_array_append(c->rows, row);
}

bool compat_add(struct compat *c, json_t *row)
{
    int number = cli_interrupted(c->interrupt);
    if (number != 0) { /* what ran while the signal came is not kept */
        json_decref(row);
        c->code = CLI_SIGNAL + number;
        return false;
    }
    count(c, row);
    show_progress(c, row);
    if (c->journal.file != NULL && !compat_journal_add(&c->journal, row)) {
        c->code = CLI_FAILED;
    }
    json_decref(row);
    return c->code == CLI_DONE;
}

static bool is_wanted(void *user, struct lab_row *row)
{
    struct compat *c = user;
    if (json_array_size(c->journal.rows) == 0) {
        return true;
    }
    json_t *json = compat_row_json(row);
    const json_t *known = compat_journal_find(&c->journal, json);
    json_decref(json);
    row->status = known != NULL ? status_of(known) : row->status;
    return known == NULL;
}

static bool on_row(void *user, const struct lab_row *row)
{
    return compat_add(user, compat_row_json(row));
}

static void on_line(void *user, enum log_level level, const char *line)
{
    cli_log(user, (enum qd_log_level)level, line);
}

/* ---- opening ---- */

static bool open_context(struct compat *c)
{
    char error[1024] = "";
    enum qd_status status =
        qd_context_create(&(struct qd_context_params){.log = cli_log, .log_level = QD_LOG_WARN},
                          &c->context, error, sizeof error);
    if (status != QD_OK) {
        cli_error("%s", *error != '\0' ? error : qd_status_text(status));
        return false;
    }
    /* The lab works below the public interface, with an instance of its own: the same devices. */
    c->inst = dev_instance_create(&(struct dev_instance_params){.log = &c->log});
    if (c->inst == NULL) {
        cli_error("%s", c->log.last);
    }
    return c->inst != NULL;
}

static bool choose_devices(struct compat *c)
{
    const struct cli_options *o = c->options;
    uint32_t n = qd_device_count(c->context);
    c->n_devices = o->n_devices != 0 ? o->n_devices : n < CLI_MAX_DEVICES ? n : CLI_MAX_DEVICES;
    for (uint32_t i = 0; i < c->n_devices; i++) {
        struct qd_device_info info;
        c->devices[i] = o->n_devices != 0 ? o->devices[i] : i;
        if (c->devices[i] >= n || qd_device_get(c->context, c->devices[i], &info) != QD_OK) {
            cli_error("there is no device %u, there are %u", c->devices[i], n);
            return false;
        }
        json_array_append_new(c->facts, cli_device_json(&info));
    }
    return true;
}

static json_t *disable_json(const struct compat *c)
{
    return c->options->disable != NULL ? cli_json_text(c->options->disable) : json_null();
}

static bool read_disable(struct compat *c)
{
    char error[128];
    if (!ops_disable_parse(c->options->disable, &c->caps_off, &c->off, error, sizeof error)) {
        cli_error("compat: --disable: %s", error);
        return false;
    }
    return true;
}

/* What results depend on; the journal's first line. */
static json_t *make_header(const struct compat *c)
{
    static const char *const fields[] = {"index",  "name",        "uuid",           "driver_uuid",
                                         "driver", "driver_info", "driver_version", "api_version",
                                         "quirks", "usable"};
    json_t *header = json_object(), *devices = json_array(), *facts;
    size_t i;
    cli_json_add(header, "journal", json_integer(1));
    cli_json_add(header, "quadriga", json_string(qd_version()));
    cli_json_add(header, "seed", cli_json_uint(c->seed));
    cli_json_add(header, "quick", json_boolean(c->options->quick));
    cli_json_add(header, "op", cli_json_text(c->options->op != NULL ? c->options->op : "all"));
    cli_json_add(header, "variant",
                 cli_json_text(c->options->variant != NULL ? c->options->variant : "all"));
    cli_json_add(header, "disable", disable_json(c));
    cli_json_add(header, "model", cli_json_text(c->model));
    cli_json_add(header, "reference", cli_json_text(c->reference_path));
    json_array_foreach(c->facts, i, facts)
    {
        json_t *device = json_object();
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
            json_object_set(device, fields[k], json_object_get(facts, fields[k]));
        }
        json_array_append_new(devices, device);
    }
    cli_json_add(header, "devices", devices);
    return header;
}

static bool open_journal(struct compat *c)
{
    if (c->options->resume == NULL) {
        c->journal.rows = json_array();
        return true;
    }
    json_t *header = make_header(c), *row;
    size_t i;
    bool ok = compat_journal_open(&c->journal, c->options->resume, header);
    json_decref(header);
    json_array_foreach(c->journal.rows, i, row)
    {
        count(c, row);
    }
    return ok;
}

static bool open_files(struct compat *c)
{
    const struct cli_options *o = c->options;
    if (o->baseline != NULL && (c->baseline = compat_baseline_open(o->baseline)) == NULL) {
        return false;
    }
    if (!compat_wants_model(c)) {
        return true;
    }
    return compat_find_model(c) &&
           (c->reference_path[0] == '\0' ||
            compat_reference_open(&c->reference, c->reference_path, o->quick ? 1 : ALL,
                                  o->quick ? QUICK_GREEDY : ALL));
}

/* ---- running ---- */

/* Devices that cannot be used are a row each. */
static bool add_unusable(struct compat *c)
{
    size_t i;
    json_t *facts;
    json_array_foreach(c->facts, i, facts)
    {
        if (json_is_true(json_object_get(facts, "usable"))) {
            continue;
        }
        json_t *row = json_pack("{s:O, s:s, s:s, s:n, s:n, s:n, s:n, s:s, s:O, s:n, s:n, s:n, s:n}",
                                "device", json_object_get(facts, "index"), "op", "device",
                                "variant", "use", "format", "kv", "shape", "way", "status", "skip",
                                "why", json_object_get(facts, "why_not"), "nmse", "worst_error",
                                "worst_ratio", "counts");
        if (compat_journal_find(&c->journal, row) != NULL) {
            json_decref(row);
        } else if (!compat_add(c, row)) {
            return false;
        }
    }
    return true;
}

static void run(struct compat *c)
{
    if (!add_unusable(c)) {
        return;
    }
    if (compat_wants_ops(c)) {
        const struct lab_sweep_params params = {.inst = c->inst,
                                                .log = &c->log,
                                                .devices = c->devices,
                                                .n_devices = c->n_devices,
                                                .op = c->options->op,
                                                .variant = c->options->variant,
                                                .quick = c->options->quick,
                                                .seed = c->seed,
                                                .caps_off = c->caps_off,
                                                .prefs = &c->off,
                                                .wanted = is_wanted,
                                                .on_row = on_row,
                                                .user = c};
        if (!lab_sweep(&params) && c->code == CLI_DONE) {
            cli_error("%s", c->log.last);
            c->code = CLI_FAILED;
        }
    }
    if (c->code == CLI_DONE && compat_wants_model(c)) {
        compat_model_run(c);
    }
}

/* ---- the report ---- */

json_t *compat_report(const struct compat *c)
{
    json_t *report = json_object(), *totals = json_object();
    cli_json_add(report, "quadriga", json_string(qd_version()));
    cli_json_add(report, "seed", cli_json_uint(c->seed));
    cli_json_add(report, "quick", json_boolean(c->options->quick));
    cli_json_add(report, "disable", disable_json(c));
    cli_json_add(report, "model", cli_json_text(c->model));
    cli_json_add(report, "reference", cli_json_text(c->reference_path));
    json_object_set(report, "devices", c->facts);
    cli_json_add(totals, "pass", cli_json_uint(c->totals[LAB_PASS]));
    cli_json_add(totals, "fail", cli_json_uint(c->totals[LAB_FAIL]));
    cli_json_add(totals, "skip", cli_json_uint(c->totals[LAB_SKIP]));
    cli_json_add(report, "totals", totals);
    if (c->changes != NULL) {
        json_object_set(report, "changes", c->changes);
    }
    json_object_set(report, "rows", c->rows);
    return report;
}

static int print_report(const struct compat *c)
{
    json_t *report;
    int code;
    switch (c->options->output) {
    case CLI_JSON:
        report = compat_report(c);
        code = cli_json_print(report);
        json_decref(report);
        return code;
    case CLI_MARKDOWN:
        return compat_print_markdown(c);
    case CLI_HTML:
        return compat_print_html(c);
    default:
        return compat_print_text(c);
    }
}

static int finish(struct compat *c)
{
    hide_progress(c);
    if (c->code > CLI_SIGNAL) {
        cli_error(c->journal.file != NULL ? "interrupted; the same command goes on from %s"
                                          : "interrupted; with --resume FILE it could go on",
                  c->options->resume);
    }
    if (c->code != CLI_DONE) {
        return c->code;
    }
    if (c->baseline != NULL) {
        c->changes = compat_baseline_compare(c, c->baseline);
    }
    int code = print_report(c);
    uint32_t messages = qd_validation_messages(c->context) + dev_instance_messages(c->inst);
    if (messages != 0) {
        cli_error("the validation layer had %u messages", messages);
        return CLI_FAILED;
    }
    return code == CLI_DONE && c->totals[LAB_FAIL] != 0 ? CLI_FAILED : code;
}

static void close_all(struct compat *c)
{
    compat_journal_close(&c->journal);
    compat_reference_close(&c->reference);
    dev_instance_destroy(c->inst);
    qd_context_destroy(&c->context);
    cli_interrupt_destroy(c->interrupt);
    json_decref(c->rows);
    json_decref(c->facts);
    json_decref(c->baseline);
    json_decref(c->changes);
    ops_prefs_finish(&c->off);
    log_finish(&c->log);
}

int cli_compat(const struct cli_options *options)
{
    struct compat c = {.options = options,
                       .seed = options->has_seed ? options->seed : DEFAULT_SEED,
                       .rows = json_array(),
                       .facts = json_array()};
    log_init(&c.log, on_line, NULL, LOG_WARN);
    c.code = compat_check_names(options);
    if (c.code == CLI_DONE) {
        c.code = CLI_FAILED;
        if (read_disable(&c) && open_files(&c) && (c.interrupt = cli_interrupt_create()) != NULL &&
            open_context(&c) && choose_devices(&c) && open_journal(&c)) {
            c.code = CLI_DONE;
            run(&c);
            c.code = finish(&c);
        }
    }
    close_all(&c);
    return c.code;
}
