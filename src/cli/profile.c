/* Shows what is remembered of devices, as text and JSON. */
#include "cli/profile.h"

#include "cli/json.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static void say(void *user, enum log_level level, const char *line)
{
    if (level == LOG_ERROR) {
        cli_error("%s", line);
    } else {
        cli_log(user, (enum qd_log_level)level, line);
    }
}

bool cli_profiles_open(struct cli_profiles *profiles, const struct cli_options *options)
{
    *profiles = (struct cli_profiles){.inst = NULL};
    log_init(&profiles->log, say, NULL, options->verbose ? LOG_INFO : LOG_WARN);
    if (!os_cache_dir(profiles->dir, sizeof profiles->dir)) {
        cli_error("no folder to remember anything in: set QUADRIGA_CACHE to one");
        return false;
    }
    profiles->inst = dev_instance_create(&(struct dev_instance_params){.log = &profiles->log});
    return profiles->inst != NULL;
}

int cli_profiles_close(struct cli_profiles *profiles, int code)
{
    uint32_t messages = profiles->inst != NULL ? dev_instance_messages(profiles->inst) : 0;
    dev_instance_destroy(profiles->inst);
    log_finish(&profiles->log);
    if (messages != 0 && code == CLI_DONE) {
        cli_error("the validation layer had %u messages", messages);
        code = CLI_FAILED;
    }
    return code;
}

static const char *format_name(const struct ops_tuned *tuned)
{
    return tuned->quant < QUANT_COUNT ? quant_get((enum quant_id)tuned->quant)->name : "-";
}

static void print_tuned(const struct ops_prefs *prefs)
{
    printf("    tile parameters:\n        %-28s %-7s %-7s\n", "kernel", "format", "tokens");
    for (size_t i = 0; i < prefs->n_tuned; i++) {
        const struct ops_tuned *tuned = &prefs->tuned[i];
        const struct ops_variant *variant = ops_find_variant(ops_find(tuned->op), tuned->variant);
        char kernel[2 * OPS_NAME];
        snprintf(kernel, sizeof kernel, "%s/%s", tuned->op, tuned->variant);
        printf("        %-28s %-7s %-7s", kernel, format_name(tuned),
               ops_token_class_name(tuned->class));
        for (uint32_t n = 0;
             n < OPS_MAX_TUNABLES && variant != NULL && variant->tunables[n].name != NULL; n++) {
            printf(" %s=%u", variant->tunables[n].name, tuned->values[n]);
        }
        printf("%s\n", tuned->first ? " first" : "");
    }
}

void cli_profile_print(struct cli_profiles *profiles, uint32_t device)
{
    struct ops_prefs prefs = {0};
    const struct dev_info *info = dev_instance_info(profiles->inst, device);
    ops_profile_load(&prefs, profiles->dir, info, &profiles->log);
    const struct ops_selftest *test = &prefs.selftest;
    if (test->date[0] != '\0') {
        printf("    self-test of %s (%s, seed %" PRIu64 "): %u cases passed, %u failed\n",
               test->date, test->quick ? "quick" : "full", test->seed, test->passed, test->failed);
    } else {
        printf("    self-test: none\n");
    }
    if (prefs.n_off != 0) {
        printf("    kernels that are not used:\n");
    }
    for (size_t i = 0; i < prefs.n_off; i++) {
        char kernel[2 * OPS_NAME];
        snprintf(kernel, sizeof kernel, "%s/%s", prefs.off[i].op, prefs.off[i].variant);
        printf("        %-28s ", kernel);
        cli_put_safe(stdout, prefs.off[i].why);
        printf("\n");
    }
    if (prefs.n_tuned != 0) {
        print_tuned(&prefs);
    }
    ops_prefs_finish(&prefs);
}

/* Files right in the folder, and their bytes. */
static uint64_t count_files(const char *dir, uint32_t *n)
{
    uint64_t bytes = 0;
    DIR *stream = opendir(dir);
    *n = 0;
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        char path[1024];
        struct stat st;
        int used = snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (used > 0 && (size_t)used < sizeof path && lstat(path, &st) == 0 &&
            S_ISREG(st.st_mode)) {
            bytes += (uint64_t)st.st_size;
            (*n)++;
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return bytes;
}

void cli_profiles_print_dir(const struct cli_profiles *profiles)
{
    uint32_t n;
    uint64_t bytes = count_files(profiles->dir, &n);
    printf("cache: ");
    cli_put_safe(stdout, profiles->dir);
    printf(", %u files, %.1f MiB\n", n, (double)bytes / (1 << 20));
}

static json_t *tuned_json(const struct ops_tuned *tuned)
{
    const struct ops_variant *variant = ops_find_variant(ops_find(tuned->op), tuned->variant);
    json_t *out = json_object(), *values = json_object();
    cli_json_add(out, "op", json_string(tuned->op));
    cli_json_add(out, "variant", json_string(tuned->variant));
    cli_json_add(out, "format",
                 tuned->quant < QUANT_COUNT ? json_string(format_name(tuned)) : json_null());
    cli_json_add(out, "tokens", json_string(ops_token_class_name(tuned->class)));
    for (uint32_t n = 0;
         n < OPS_MAX_TUNABLES && variant != NULL && variant->tunables[n].name != NULL; n++) {
        cli_json_add(values, variant->tunables[n].name, json_integer(tuned->values[n]));
    }
    cli_json_add(out, "values", values);
    cli_json_add(out, "first", json_boolean(tuned->first));
    return out;
}

static json_t *selftest_json(const struct ops_selftest *test)
{
    if (test->date[0] == '\0') {
        return json_null();
    }
    json_t *out = json_object();
    cli_json_add(out, "date", json_string(test->date));
    cli_json_add(out, "quick", json_boolean(test->quick));
    cli_json_add(out, "seed", cli_json_uint(test->seed));
    cli_json_add(out, "passed", json_integer(test->passed));
    cli_json_add(out, "failed", json_integer(test->failed));
    return out;
}

json_t *cli_profile_json(struct cli_profiles *profiles, uint32_t device)
{
    struct ops_prefs prefs = {0};
    const struct dev_info *info = dev_instance_info(profiles->inst, device);
    char file[1024];
    uint32_t n_files;
    bool loaded = ops_profile_load(&prefs, profiles->dir, info, &profiles->log);
    bool named = ops_profile_path(file, sizeof file, profiles->dir, info);
    json_t *out = json_object(), *off = json_array(), *tuned = json_array();
    cli_json_add(out, "file", cli_json_text(named ? file : ""));
    cli_json_add(out, "loaded", json_boolean(loaded));
    cli_json_add(out, "selftest", selftest_json(&prefs.selftest));
    for (size_t i = 0; i < prefs.n_off; i++) {
        json_t *entry = json_object();
        cli_json_add(entry, "op", json_string(prefs.off[i].op));
        cli_json_add(entry, "variant", json_string(prefs.off[i].variant));
        cli_json_add(entry, "why", cli_json_text(prefs.off[i].why));
        json_array_append_new(off, entry);
    }
    for (size_t i = 0; i < prefs.n_tuned; i++) {
        json_array_append_new(tuned, tuned_json(&prefs.tuned[i]));
    }
    cli_json_add(out, "off", off);
    cli_json_add(out, "tuned", tuned);
    cli_json_add(out, "cache_dir", cli_json_text(profiles->dir));
    cli_json_add(out, "cache_bytes", cli_json_uint(count_files(profiles->dir, &n_files)));
    cli_json_add(out, "cache_files", json_integer(n_files));
    ops_prefs_finish(&prefs);
    return out;
}
