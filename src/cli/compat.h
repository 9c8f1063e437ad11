/* What the files of `quadriga compat` share. A result is a JSON object from the start (a row): the
 * journal, the reports, the page and the comparison with an old report all work on the same rows.
 *
 *     device    number of --device; of a model on several devices the first, and `devices` has all
 *     op        "matmul", "model"; variant "lanes", "device 0", "devices 0,1", "split 0+1"
 *     format    "Q4_K" or null; kv "f16", "f32" or null; shape {"tokens": 1, ...} or null
 *     way       "plain", "in place", "segments", "interleaved"; null: the variant as a whole
 *     status    "pass", "fail", "skip"; why: "" or the reason
 *     nmse, worst_error, worst_ratio, counts: null where nothing was computed
 *     figures   of models: the differences, their bounds, the tokens */
#ifndef QUADRIGA_CLI_COMPAT_H
#define QUADRIGA_CLI_COMPAT_H

#include "cli/engine.h"
#include "lab/compat.h"

#include <jansson.h>

#define COMPAT_MODEL     "classics-13m-F16.gguf"
#define COMPAT_REFERENCE "classics-13m.json"
#define COMPAT_ROW_TEXT  512

/* ---- compat_rows.c ---- */

json_t *compat_row_json(const struct lab_row *row);
const char *compat_text(const json_t *row, const char *key); /* "" where it is no string */
bool compat_is(const json_t *row, const char *status);
/* "matmul/lanes Q4_K tokens=1 rows=65 cols=256 residual=0, in place": what was run, without the
 * device. Returns `out`. */
const char *compat_row_text(const json_t *row, char *out, size_t bytes);
/* It has the fields and types of a row. */
bool compat_row_ok(const json_t *row);

/* ---- compat_journal.c: rows as JSON lines, flushed one by one ---- */

struct compat_journal {
    FILE *file; /* NULL: there is none */
    const char *path;
    json_t *rows;  /* that were in it */
    json_t *index; /* key -> row */
};

/* `header` says what the results are of. A file that is there must have the same one; a last line
 * that was cut is dropped. False: said. */
bool compat_journal_open(struct compat_journal *journal, const char *path, const json_t *header);
bool compat_journal_add(struct compat_journal *journal, const json_t *row); /* false: said */
/* The row of the same device and case; NULL: none. Owned by the journal. */
const json_t *compat_journal_find(const struct compat_journal *journal, const json_t *row);
void compat_journal_close(struct compat_journal *journal);

/* ---- compat_reference.c: what another implementation computed ---- */

struct compat_case {
    uint32_t n, n_greedy;
    uint32_t *tokens, *greedy;
    double *sums; /* [n_sums] logsumexp of the first positions; NULL without a reference */
    double *last; /* [n_last] logits of the last position; NULL where they are not known */
    uint32_t n_sums, n_last;
};

struct compat_reference {
    struct compat_case *cases;
    uint32_t n_cases;
};

/* At most `max_cases` entries of the file, each one case or two, and `max_greedy` tokens of each
 * case. False: said, naming file and field. */
bool compat_reference_open(struct compat_reference *reference, const char *path, uint32_t max_cases,
                           uint32_t max_greedy);
void compat_reference_close(struct compat_reference *reference);

/* ---- compat.c ---- */

struct compat {
    const struct cli_options *options;
    uint64_t seed;
    uint32_t caps_off; /* of --disable, like off */
    struct ops_prefs off;
    struct cli_interrupt *interrupt;
    qd_context *context;
    struct log log;
    struct dev_instance *inst;
    uint32_t devices[CLI_MAX_DEVICES], n_devices;
    json_t *facts; /* of these devices */
    json_t *rows;
    uint64_t totals[3]; /* enum lab_status */
    struct compat_journal journal;
    json_t *baseline, *changes;
    char model[4096], model_path[4096]; /* its name in reports; where it is, "": not found */
    char reference_path[4096];          /* "": none */
    struct compat_reference reference;
    bool shown; /* a progress line */
    uint64_t shown_ns;
    int code; /* CLI_DONE, or why the run was ended */
};

/* Takes `row` over: into the rows, the totals and the journal. False: the run ends, code is set. */
bool compat_add(struct compat *c, json_t *row);
bool compat_wants_ops(const struct compat *c);
bool compat_wants_model(const struct compat *c);

/* ---- compat_model.c ---- */

/* The model on each device, each pair and all of them; rows by compat_add. */
void compat_model_run(struct compat *c);

/* ---- compat_baseline.c ---- */

/* An old report; NULL: said. */
json_t *compat_baseline_open(const char *path);
/* {"baseline", "baseline_quick", "versions", "drivers", "status", "grown", "appeared", "vanished"};
 * old rows that these options leave out are not compared. */
json_t *compat_baseline_compare(const struct compat *c, const json_t *report);
void compat_baseline_print(const json_t *changes, bool markdown);

/* ---- compat_cells.c: rows by device, op and variant ---- */

struct compat_cell {
    json_int_t device;
    const char *op, *variant;
    uint64_t pass, fail, skip;
    double nmse, ratio;       /* worst of those that ran */
    const json_t *first_fail; /* NULL: none */
    const json_t *whole;      /* the row without a case: not supported, device gone; NULL: none */
    const json_t *last;
};

struct compat_cells {
    struct compat_cell *cells;
    size_t n;
};

/* In the order of the rows, which must stay. False: out of memory, said. */
bool compat_cells_make(struct compat_cells *cells, const json_t *rows);
void compat_cells_free(struct compat_cells *cells);
/* "pass", "FAIL", "not supported (needs coopmat)", "not run (...)" */
const char *compat_cell_text(const struct compat_cell *cell, char *out, size_t bytes);
/* "logits 0.00021 of 0.05, logsumexp 0.00011 of 0.02, 96 of 96 greedy tokens"; "" without figures.
 */
const char *compat_figures_text(const json_t *row, char *out, size_t bytes);

/* The page compat.html, terminated; the build makes it. */
extern const unsigned char compat_page[];

/* ---- reports, to standard output; each returns a cli_exit ---- */

json_t *compat_report(const struct compat *c);
int compat_print_text(const struct compat *c);     /* compat_text.c */
int compat_print_markdown(const struct compat *c); /* compat_markdown.c */
int compat_print_html(const struct compat *c);     /* compat_html.c */

#endif
