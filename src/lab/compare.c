/* Judges what came back from a device against the expected values and their bounds. Knows nothing
 * of ops or devices, so that it can be tested with made-up results. */
#include "lab/internal.h"

#include "base/half.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One element as a number; `poison`: nobody wrote it. */
static double read_element(enum plan_elem elem, const uint32_t *words, uint64_t i, bool *poison)
{
    if (elem == PLAN_F16) {
        uint16_t half = (uint16_t)(words[i / 2] >> (i % 2 * 16));
        *poison = half == (uint16_t)(LAB_POISON >> (i % 2 * 16));
        return half_to_float(half);
    }
    if (elem == PLAN_S8) {
        uint8_t byte = (uint8_t)(words[i / 4] >> (i % 4 * 8));
        *poison = words[i / 4] == LAB_POISON; /* its bytes alone are quants like others */
        return (int8_t)byte;
    }
    *poison = words[i] == LAB_POISON;
    if (elem == PLAN_U32) {
        return words[i];
    }
    float value;
    memcpy(&value, &words[i], sizeof value);
    return value;
}

static void note(const struct plan_tensor *tensor, const struct lab_data *data, uint64_t i,
                 const char *what, double found, struct lab_result *result)
{
    if (result->first[0] == '\0') {
        snprintf(result->first, sizeof result->first,
                 "%s[%llu][%llu] %s: %.9g, expected %.9g within %.3g", tensor->name,
                 (unsigned long long)(i / tensor->cols), (unsigned long long)(i % tensor->cols),
                 what, found, data->value[i], data->bound[i]);
    }
}

/* An expected value that is not finite: the same infinity, or some NaN. */
static bool same_class(double found, double expected)
{
    return isnan(expected) ? isnan(found) : found == expected;
}

void lab_compare(const struct plan_tensor *tensor, const struct lab_data *data,
                 const uint32_t *words, struct lab_result *result, struct lab_sums *sums)
{
    bool has_poison = data->values == NULL; /* else it held its values before the run */
    for (uint64_t i = 0; i < tensor->rows * tensor->cols; i++) {
        bool poison;
        double found = read_element(tensor->elem, words, i, &poison), expected = data->value[i];
        result->elements++;
        if (poison && has_poison) {
            result->unwritten++;
            note(tensor, data, i, "was not written", found, result);
        } else if (!isfinite(expected)) {
            if (!same_class(found, expected)) {
                result->beyond++;
                note(tensor, data, i, "is of the wrong class", found, result);
            }
        } else if (!isfinite(found)) {
            result->not_finite++;
            note(tensor, data, i, "is not finite", found, result);
        } else {
            double error = fabs(found - expected), bound = data->bound[i];
            if (!(error <= bound)) {
                result->beyond++;
                note(tensor, data, i, "is beyond its bound", found, result);
            }
            result->worst_error = fmax(result->worst_error, error);
            result->worst_ratio =
                bound > 0 ? fmax(result->worst_ratio, error / bound) : result->worst_ratio;
            if (tensor->elem != PLAN_U32) {
                sums->error += error * error;
                sums->expected += expected * expected;
            }
        }
    }
}

void lab_judge(struct lab_result *result, const struct lab_sums *sums, double limit)
{
    result->nmse = sums->expected > 0 ? sums->error / sums->expected : sums->error;
    result->passed = result->elements != 0 && result->beyond == 0 && result->not_finite == 0 &&
                     result->unwritten == 0 && result->outside == 0 && result->nmse <= limit;
    if (!result->passed && result->first[0] == '\0') {
        snprintf(result->first, sizeof result->first, "NMSE %.3g, the limit is %.3g", result->nmse,
                 limit);
    }
}
