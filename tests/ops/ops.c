/* Each op against its oracle: every case of its table, on every device present, with capabilities
 * taken away, in place and not, in one segment and in several; and each kernel variant by name.
 *
 *     test_ops [OP [SEED]]      no OP: all of them
 *
 * Exit 0 passed, 1 failed, 77 no driver. */
#include "lab/lab.h"

#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPEN = 16, SHOWN = 5 };

static const struct mask {
    const char *name;
    uint32_t off;
} masks[] = {
    {"all capabilities", 0},
    {"no subgroup", DEV_CAP_SUBGROUP | DEV_CAP_SHUFFLE},
    {"not a CPU", DEV_CAP_CPU},
    {"no texel", DEV_CAP_TEXEL | DEV_CAP_COOPMAT}, /* matrices: as the mask before */
    {"no small types", DEV_CAP_FP16 | DEV_CAP_STORAGE16 | DEV_CAP_STORAGE8 | DEV_CAP_INT8 |
                           DEV_CAP_INT16 | DEV_CAP_INT_DOT},
    {"no matrices", DEV_CAP_COOPMAT},
    {"nothing optional", ~0u},
};

struct seat {
    struct dev *dev;
    const char *mask;
    uint32_t index;
};

struct total {
    uint32_t runs, failed;
    double nmse, ratio;
};

static void print(void *user, enum log_level level, const char *line)
{
    (void)user;
    fprintf(stderr, "%s: %s\n", level == LOG_ERROR ? "error" : "note", line);
}

/* The first seat of its physical device with these capabilities. */
static bool is_new(const struct seat *seats, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (seats[i].index == seats[n].index &&
            dev_get_caps(seats[i].dev)->has == dev_get_caps(seats[n].dev)->has) {
            return false;
        }
    }
    return true;
}

/* Every device under every mask that makes a difference; 0 after an error. */
static uint32_t open_seats(struct dev_instance *inst, struct seat *seats)
{
    uint32_t n = 0, n_masks = sizeof masks / sizeof *masks;
    for (uint32_t d = 0; d < dev_instance_count(inst); d++) {
        if (!dev_instance_info(inst, d)->usable) {
            continue;
        }
        for (uint32_t m = 0; m < n_masks && n < MAX_OPEN; m++) {
            seats[n] = (struct seat){.mask = masks[m].name, .index = d};
            seats[n].dev =
                dev_open(inst, &(struct dev_open_params){
                                   .index = d, .caps_off = masks[m].off, .sharers = n_masks});
            if (seats[n].dev == NULL) {
                return 0;
            }
            if (is_new(seats, n)) {
                n++;
            } else {
                dev_close(seats[n].dev);
            }
        }
    }
    return n;
}

/* How a case is laid out beside the plain way. */
struct way {
    bool in_place, segments, interleave;
};

static void run_one(struct lab *lab, const struct lab_case *c, const struct seat *seat,
                    const char *forced, struct way way, struct total *total)
{
    struct lab_result result;
    const struct ops_prefs prefs = {.forced = forced};
    const struct lab_run_params params = {.dev = seat->dev,
                                          .in_place = way.in_place,
                                          .segments = way.segments,
                                          .interleave = way.interleave,
                                          .prefs = &prefs};
    bool ran = lab_run(lab, &params, &result);
    if (ran && result.unfit != NULL) {
        return;
    }
    total->runs++;
    if (ran) {
        bool right = forced == NULL || strcmp(result.variant, forced) == 0;
        total->nmse = result.nmse > total->nmse ? result.nmse : total->nmse;
        total->ratio = result.worst_ratio > total->ratio ? result.worst_ratio : total->ratio;
        if (result.passed && right) {
            return;
        }
    }
    if (total->failed++ < SHOWN) {
        char text[256];
        lab_case_text(c, text, sizeof text);
        printf("FAILED %s, device %u, %s, variant %s%s%s%s: %s\n", text, seat->index, seat->mask,
               forced != NULL ? forced : "chosen", way.in_place ? ", in place" : "",
               way.segments ? ", in segments" : "", way.interleave ? ", interleaved" : "",
               ran ? result.first : "could not be run");
        if (ran) {
            printf("       %llu elements: %llu beyond, %llu not finite, %llu unwritten, %llu words "
                   "outside; NMSE %.3g\n",
                   (unsigned long long)result.elements, (unsigned long long)result.beyond,
                   (unsigned long long)result.not_finite, (unsigned long long)result.unwritten,
                   (unsigned long long)result.outside, result.nmse);
        }
    }
}

static void run_ways(struct lab *lab, const struct lab_case *c, const struct seat *seat,
                     const char *forced, struct total *total)
{
    run_one(lab, c, seat, forced, (struct way){0}, total);
    if (lab_can_in_place(lab)) {
        run_one(lab, c, seat, forced, (struct way){.in_place = true}, total);
    }
    if (lab_can_segment(lab)) {
        run_one(lab, c, seat, forced, (struct way){.segments = true}, total);
    }
    if (forced != NULL && strcmp(forced, "lanes") != 0 && lab_can_interleave(lab, seat->dev)) {
        run_one(lab, c, seat, forced, (struct way){.interleave = true}, total);
    }
}

/* Every kernel of the op that a device can run must have run at least once: by_quant in each
 * format. */
static bool check_cover(const struct lab_op *op, const struct ops_variant *v,
                        const uint32_t runs[QUANT_COUNT])
{
    bool ok = true;
    for (uint32_t q = 0; q < QUANT_COUNT; q++) {
        if (v->by_quant != NULL ? v->by_quant[q] != NULL && runs[q] == 0 : q == 0 && runs[0] == 0) {
            printf("FAILED %s/%s: no case runs it%s%s\n", op->name, v->name,
                   v->by_quant != NULL ? " in format " : "",
                   v->by_quant != NULL ? quant_get((enum quant_id)q)->name : "");
            ok = false;
        }
    }
    return ok;
}

/* Each variant by name, on the seats with all capabilities. */
static bool run_variant(const struct lab_op *op, const struct ops_variant *v,
                        const struct seat *seats, uint32_t n, uint64_t seed, struct log *log)
{
    struct total total = {0};
    uint32_t runs[QUANT_COUNT] = {0};
    bool supported = false;
    uint64_t begin = os_clock_ns();
    for (uint32_t i = 0; i < lab_case_count(op); i++) {
        const struct lab_case c = lab_case_get(op, i, seed);
        struct lab *lab = lab_create(&c, log);
        if (lab == NULL) {
            return false;
        }
        for (uint32_t s = 0; s < n; s++) {
            char why[128];
            if (seats[s].mask == masks[0].name &&
                ops_variant_supported(v, dev_get_caps(seats[s].dev), why, sizeof why)) {
                supported = true;
                uint32_t before = total.runs;
                run_ways(lab, &c, &seats[s], v->name, &total);
                runs[c.quant] += total.runs - before;
            }
        }
        lab_destroy(lab);
    }
    printf("  %-10s %5u runs, %u failed; worst NMSE %.2g, worst error/bound %.2f; %.1f s\n",
           v->name, total.runs, total.failed, total.nmse, total.ratio,
           (double)(os_clock_ns() - begin) * 1e-9);
    return total.failed == 0 && (!supported || check_cover(op, v, runs));
}

/* Without some capabilities other kernels are chosen. Every kernel runs every case by its name, so
 * where there are many formats a third of the cases shows the choice; each seat takes another one.
 */
static bool takes(const struct lab_op *op, const struct seat *seats, uint32_t s, uint32_t i)
{
    bool all = seats[s].mask == masks[0].name || (op->vary & LAB_BY_QUANT) == 0;
    return all || (i + s) % 3 == 0;
}

static bool run_op(const struct lab_op *op, const struct seat *seats, uint32_t n, uint64_t seed,
                   struct log *log)
{
    struct total total = {0};
    const struct op *def = ops_find(op->name);
    uint64_t begin = os_clock_ns();
    for (uint32_t i = 0; i < lab_case_count(op); i++) {
        const struct lab_case c = lab_case_get(op, i, seed);
        struct lab *lab = lab_create(&c, log);
        if (lab == NULL) {
            return false;
        }
        for (uint32_t s = 0; s < n; s++) {
            if (takes(op, seats, s, i)) {
                run_ways(lab, &c, &seats[s], NULL, &total);
            }
        }
        lab_destroy(lab);
    }
    printf(
        "%-12s %4u cases, %5u runs, %u failed; worst NMSE %.2g, worst error/bound %.2f; %.1f s\n",
        op->name, lab_case_count(op), total.runs, total.failed, total.nmse, total.ratio,
        (double)(os_clock_ns() - begin) * 1e-9);
    bool ok = def != NULL && total.failed == 0 && total.runs != 0;
    for (uint32_t v = 0; def != NULL && v < def->n_variants; v++) {
        ok = run_variant(op, &def->variants[v], seats, n, seed, log) && ok;
    }
    return ok;
}

static int run(const char *name, uint64_t seed, struct dev_instance *inst, struct log *log)
{
    struct seat seats[MAX_OPEN];
    uint32_t n = open_seats(inst, seats), n_ops, ran = 0, failed = 0;
    const struct lab_op *const *ops = lab_list(&n_ops);
    printf("seed 0x%llx\n", (unsigned long long)seed);
    for (uint32_t i = 0; i < n; i++) {
        printf("device %u, %s: %s, capabilities 0x%x, subgroup %u\n", seats[i].index,
               dev_get_info(seats[i].dev)->name, seats[i].mask, dev_get_caps(seats[i].dev)->has,
               dev_get_caps(seats[i].dev)->subgroup_size);
    }
    for (uint32_t i = 0; i < n_ops && n != 0; i++) {
        if (name == NULL || strcmp(name, ops[i]->name) == 0) {
            ran++;
            failed += run_op(ops[i], seats, n, seed, log) ? 0 : 1;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        dev_close(seats[i].dev);
    }
    if (ran == 0) {
        fprintf(stderr, "nothing was run: no usable device, or no op %s\n",
                name != NULL ? name : "");
    }
    return ran != 0 && failed == 0 && dev_instance_messages(inst) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct log log;
    const char *validate = getenv("QUADRIGA_VALIDATE");
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x51ade5;
    log_init(&log, print, NULL, LOG_WARN);
    struct dev_instance *inst = dev_instance_create(&(struct dev_instance_params){
        .log = &log, .validate = validate != NULL && strcmp(validate, "1") == 0});
    if (inst == NULL) {
        return 77;
    }
    int code = run(argc > 1 ? argv[1] : NULL, seed, inst, &log);
    dev_instance_destroy(inst);
    log_finish(&log);
    return code;
}
