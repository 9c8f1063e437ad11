/* Rows: from the lab's to JSON, and what a reader of JSON may rely on. */
#include "cli/compat.h"
#include "cli/json.h"

#include <math.h>
#include <string.h>

static const char *const statuses[] = {"pass", "fail", "skip"};

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *counts_json(const struct lab_result *result)
{
    json_t *counts = json_object();
    cli_json_add(counts, "elements", cli_json_uint(result->elements));
    cli_json_add(counts, "beyond", cli_json_uint(result->beyond));
    cli_json_add(counts, "not_finite", cli_json_uint(result->not_finite));
    cli_json_add(counts, "unwritten", cli_json_uint(result->unwritten));
    cli_json_add(counts, "outside", cli_json_uint(result->outside));
    return counts;
}

static const char *way_of(const struct lab_row *row)
{
    return row->in_place     ? "in place"
           : row->segments   ? "segments"
           : row->interleave ? "interleaved"
                             : "plain";
}

static void add_case(json_t *out, const struct lab_row *row)
{
    bool has_case = row->c.dims != NULL;
    bool quant = has_case && (row->op->vary & LAB_BY_QUANT) != 0;
    bool kv = has_case && (row->op->vary & LAB_BY_KV) != 0;
    json_t *shape = has_case ? json_object() : json_null();
    for (uint32_t i = 0; has_case && i < LAB_DIMS && row->op->dims[i] != NULL; i++) {
        cli_json_add(shape, row->op->dims[i], json_integer(row->c.dims[i]));
    }
    cli_json_add(out, "format", quant ? json_string(quant_get(row->c.quant)->name) : json_null());
    cli_json_add(out, "kv", kv ? json_string(plan_elem_name(row->c.kv_elem)) : json_null());
    cli_json_add(out, "shape", shape);
    cli_json_add(out, "way", has_case ? json_string(way_of(row)) : json_null());
}

json_t *compat_row_json(const struct lab_row *row)
{
    const struct lab_result *result = &row->result;
    bool ran = result->elements != 0;
    json_t *out = json_object();
    cli_json_add(out, "device", json_integer(row->device));
    cli_json_add(out, "op", json_string(row->op->name));
    cli_json_add(out, "variant", json_string(row->variant->name));
    add_case(out, row);
    cli_json_add(out, "status", json_string(statuses[row->status]));
    cli_json_add(out, "why", cli_json_text(row->why));
    cli_json_add(out, "nmse", ran ? real(result->nmse) : json_null());
    cli_json_add(out, "worst_error", ran ? real(result->worst_error) : json_null());
    cli_json_add(out, "worst_ratio", ran ? real(result->worst_ratio) : json_null());
    cli_json_add(out, "counts", ran ? counts_json(result) : json_null());
    return out;
}

const char *compat_text(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

bool compat_is(const json_t *row, const char *status)
{
    return strcmp(compat_text(row, "status"), status) == 0;
}

static size_t put(char *out, size_t bytes, size_t at, const char *before, const char *text)
{
    int n = at < bytes ? snprintf(out + at, bytes - at, "%s%s", before, text) : 0;
    return at + (n > 0 ? (size_t)n : 0);
}

const char *compat_row_text(const json_t *row, char *out, size_t bytes)
{
    const char *format = compat_text(row, "format"), *kv = compat_text(row, "kv"), *name;
    const char *way = compat_text(row, "way");
    json_t *value;
    char number[40];
    size_t at = put(out, bytes, 0, "", compat_text(row, "op"));
    at = put(out, bytes, at, "/", compat_text(row, "variant"));
    at = put(out, bytes, at, *format != '\0' ? " " : "", format);
    at = put(out, bytes, at, *kv != '\0' ? " kv=" : "", kv);
    json_object_foreach(json_object_get(row, "shape"), name, value)
    {
        snprintf(number, sizeof number, "=%lld", (long long)json_integer_value(value));
        at = put(out, bytes, at, " ", name);
        at = put(out, bytes, at, "", number);
    }
    bool named = *way != '\0' && strcmp(way, "plain") != 0;
    put(out, bytes, at, named ? ", " : "", named ? way : "");
    return out;
}

static bool is_text_or_null(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    return json_is_string(value) || json_is_null(value);
}

static bool is_number_or_null(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    return json_is_number(value) || json_is_null(value);
}

bool compat_row_ok(const json_t *row)
{
    const json_t *shape = json_object_get(row, "shape");
    bool status = compat_is(row, "pass") || compat_is(row, "fail") || compat_is(row, "skip");
    return status && json_is_integer(json_object_get(row, "device")) &&
           json_is_string(json_object_get(row, "op")) &&
           json_is_string(json_object_get(row, "variant")) &&
           json_is_string(json_object_get(row, "why")) && is_text_or_null(row, "format") &&
           is_text_or_null(row, "kv") && is_text_or_null(row, "way") &&
           (json_is_object(shape) || json_is_null(shape)) && is_number_or_null(row, "nmse") &&
           is_number_or_null(row, "worst_error") && is_number_or_null(row, "worst_ratio");
}
