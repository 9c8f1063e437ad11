/* Checks a trace (standard input, as --trace writes it) of N devices, the first argument: every
 * step is on every device, in order, one at a time; begins are not behind ends; exchanges are
 * complete. With a second argument `stats` the work of each device takes as long as the statistics
 * say. Prints the share of the time that each device works between fill and drain, in the run
 * (until the devices are empty) with the most steps. Prints the first thing that is wrong. */
#include <jansson.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4 };

struct work {
    double begin, end; /* us */
    json_int_t step;
    bool last; /* part of the step */
};

struct device {
    struct work *work;
    size_t n, n_steps, n_in, n_out;
    double sum;
};

static double real(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool bad(size_t i, const char *what)
{
    fprintf(stderr, "event %zu: %s\n", i, what);
    return false;
}

static bool take_work(struct device *d, size_t i, const json_t *event)
{
    const json_t *args = json_object_get(event, "args");
    struct work w = {.begin = real(event, "ts"),
                     .step = json_integer_value(json_object_get(args, "step")),
                     .last = real(args, "part") + 1 == real(args, "parts")};
    w.end = w.begin + real(event, "dur");
    if (!(w.begin <= w.end)) {
        return bad(i, "it ends before it begins");
    }
    if (d->n != 0 && !(w.begin >= d->work[d->n - 1].end - 0.002)) {
        return bad(i, "the device works on two at once");
    }
    if (d->n != 0 && w.step != d->work[d->n - 1].step + (d->work[d->n - 1].last ? 1 : 0)) {
        return bad(i, "not the next step");
    }
    if (!(real(args, "tokens") > 0) || !(real(args, "layers") > 0)) {
        return bad(i, "without tokens or layers");
    }
    struct work *grown = realloc(d->work, (d->n + 1) * sizeof *grown);
    if (grown == NULL) {
        return bad(i, "out of memory");
    }
    d->work = grown;
    d->work[d->n++] = w;
    d->n_steps += w.last;
    d->sum += w.end - w.begin;
    return true;
}

static bool take_event(struct device *devices, int n, size_t i, const json_t *event)
{
    const char *phase = json_string_value(json_object_get(event, "ph"));
    const char *name = json_string_value(json_object_get(event, "name"));
    const char *kind = json_string_value(json_object_get(event, "cat"));
    double pid = real(event, "pid");
    if (phase == NULL || name == NULL || !(pid >= 0) || pid > MOST || !(real(event, "tid") >= 0)) {
        return bad(i, "not complete");
    }
    if (strcmp(phase, "M") == 0) {
        return true;
    }
    if (strcmp(phase, "X") != 0 || kind == NULL || !(real(event, "dur") >= 0)) {
        return bad(i, "not of this format");
    }
    bool of_device = strcmp(kind, "work") == 0 || strcmp(kind, "exchange") == 0;
    if (of_device != (pid < n)) {
        return bad(i, "of no device that there is");
    }
    if (strcmp(kind, "work") == 0) {
        return take_work(&devices[(int)pid], i, event);
    }
    if (of_device && !(real(json_object_get(event, "args"), "bytes") > 0)) {
        return bad(i, "an exchange of nothing");
    }
    devices[(int)pid % MOST].n_out += of_device && strncmp(name, "publish", 7) == 0;
    devices[(int)pid % MOST].n_in += of_device && strncmp(name, "fetch", 5) == 0;
    return true;
}

static bool check_devices(const struct device *devices, int n)
{
    for (int d = 0; d < n; d++) {
        const struct device *at = &devices[d];
        if (at->n == 0 || at->n_steps != devices[0].n_steps ||
            at->work[0].step != devices[0].work[0].step) {
            fprintf(stderr, "device %d: %zu steps, device 0 has %zu\n", d, at->n_steps,
                    devices[0].n_steps);
            return false;
        }
        if (at->n_in != (d == 0 ? 0 : at->n_steps) || at->n_out != (d + 1 == n ? 0 : at->n_steps)) {
            fprintf(stderr, "device %d: %zu steps, %zu in, %zu out\n", d, at->n_steps, at->n_in,
                    at->n_out);
            return false;
        }
    }
    return true;
}

static bool check_stats(const json_t *root, const struct device *devices, int n)
{
    const json_t *list = json_object_get(json_object_get(root, "otherData"), "devices");
    for (int d = 0; d < n; d++) {
        double busy = real(json_array_get(list, (size_t)d), "busy_ns") / 1e3;
        if (!(fabs(busy - devices[d].sum) <= 0.002 * busy)) {
            fprintf(stderr, "device %d: works for %.1f us, the statistics say %.1f\n", d,
                    devices[d].sum, busy);
            return false;
        }
    }
    return true;
}

static size_t find(const struct device *d, json_int_t step, bool end)
{
    size_t i = 0;
    while (i < d->n && (d->work[i].step < step || (end && d->work[i].step == step))) {
        i++;
    }
    return i;
}

/* Steps [first, last] of a run. */
static void print_run(const struct device *devices, int n, json_int_t first, json_int_t last)
{
    const struct device *front = &devices[0], *back = &devices[n - 1];
    double begin = back->work[find(back, first, false)].begin;
    double end = front->work[find(front, last, true) - 1].end;
    printf("%lld steps, %.1f ms between fill and drain\n", (long long)(last - first + 1),
           (end - begin) / 1e3);
    for (int d = 0; d < n && end > begin; d++) {
        double busy = 0;
        for (size_t i = find(&devices[d], first, false); i < find(&devices[d], last, true); i++) {
            const struct work *w = &devices[d].work[i];
            double from = fmax(w->begin, begin), to = fmin(w->end, end);
            busy += to > from ? to - from : 0;
        }
        printf("[%d] %.1f %%\n", d, 100 * busy / (end - begin));
    }
}

static void print_longest(const struct device *devices, int n)
{
    json_int_t first = devices[0].work[0].step, best = first, best_last = first;
    json_int_t all = first + (json_int_t)devices[0].n_steps;
    for (json_int_t step = first + 1; step <= all; step++) {
        const struct device *back = &devices[n - 1];
        bool empty = step == all || devices[0].work[find(&devices[0], step, false)].begin >
                                        back->work[find(back, step - 1, true) - 1].end;
        if (empty && step - 1 - first >= best_last - best) {
            best = first;
            best_last = step - 1;
        }
        first = empty ? step : first;
    }
    print_run(devices, n, best, best_last);
}

int main(int argc, char **argv)
{
    json_error_t error;
    struct device devices[MOST] = {0};
    int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
    json_t *root = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
    const json_t *events = json_object_get(root, "traceEvents");
    bool ok = n >= 1 && n <= MOST && json_is_array(events);
    if (!ok) {
        fprintf(stderr, "not a trace: line %d: %s\n", error.line, error.text);
    }
    for (size_t i = 0; ok && i < json_array_size(events); i++) {
        ok = take_event(devices, n, i, json_array_get(events, i));
    }
    ok = ok && check_devices(devices, n);
    ok = ok && (argc < 3 || check_stats(root, devices, n));
    if (ok) {
        print_longest(devices, n);
    }
    for (int d = 0; d < MOST; d++) {
        free(devices[d].work);
    }
    json_decref(root);
    return ok ? 0 : 1;
}
