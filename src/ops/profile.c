/* The profile of a device as a file: a strict reader, line by line, and a writer that replaces the
 * file at once. What preferences mean is left to variant.c, where the folder is to the caller. */
#include "ops/profile.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGEST = 64 << 10, MAX_WORDS = 6 + OPS_MAX_TUNABLES };

static const char head[] = "quadriga profile 1";

static void add_hex(struct str *out, const uint8_t uuid[16])
{
    for (int i = 0; i < 16; i++) {
        str_printf(out, "%02x", uuid[i]);
    }
}

bool ops_profile_path(char *out, size_t out_bytes, const char *dir, const struct dev_info *info)
{
    struct str text;
    str_init(&text);
    str_printf(&text, "%s/profile-%08x-%08x-", dir, info->vendor_id, info->device_id);
    add_hex(&text, info->uuid);
    str_printf(&text, "-");
    add_hex(&text, info->driver_uuid);
    str_printf(&text, "-%u.txt", info->caps.subgroup_size);
    bool ok = !text.failed && text.bytes < out_bytes;
    if (ok) {
        memcpy(out, text.text, text.bytes + 1);
    }
    str_finish(&text);
    return ok;
}

/* ---- reading ---- */

struct reader {
    const char *path;
    struct log *log;
    const struct dev_info *info;
    struct ops_prefs *prefs;
    char *at, *end;
    uint32_t line;
    char *words[MAX_WORDS];
    uint32_t n_words;
    const char *comment; /* behind "  # "; NULL: there is none */
};

static bool damaged(const struct reader *r, const char *what)
{
    log_warn(r->log, "%s: line %u: %s: the file is ignored", r->path, r->line, what);
    return false;
}

/* The next line without its end; NULL, said, when it is cut off or holds what no line may. */
static char *next_line(struct reader *r)
{
    char *line = r->at;
    r->line++;
    char *stop = r->at < r->end ? memchr(r->at, '\n', (size_t)(r->end - r->at)) : NULL;
    if (stop == NULL) {
        damaged(r, "the file ends before its last line");
        return NULL;
    }
    *stop = '\0';
    r->at = stop + 1;
    for (const char *c = line; c < stop; c++) {
        if (*c < ' ' || *c > '~') {
            damaged(r, "a byte that is not printable");
            return NULL;
        }
    }
    return line;
}

/* Words with one space between them, then perhaps a comment. */
static bool split(struct reader *r, char *line)
{
    char *mark = strstr(line, "  # ");
    r->comment = mark != NULL ? mark + 4 : NULL;
    if (mark != NULL) {
        *mark = '\0';
    }
    r->n_words = 0;
    for (char *word = line; word != NULL;) {
        char *space = strchr(word, ' ');
        if (space != NULL) {
            *space = '\0';
        }
        if (*word == '\0' || r->n_words == MAX_WORDS) {
            return damaged(r, "not words with one space between them");
        }
        r->words[r->n_words++] = word;
        word = space != NULL ? space + 1 : NULL;
    }
    return true;
}

/* All of `text`, digits without a sign and without zeros before them. */
static bool read_number(const char *text, uint64_t most, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0' || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*text < '0' || *text > '9' || value > (most - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* The number in "name=number". */
static bool read_named(const char *text, const char *name, uint64_t most, uint64_t *out)
{
    size_t n = strlen(name);
    return strncmp(text, name, n) == 0 && text[n] == '=' && read_number(text + n + 1, most, out);
}

/* Op and variant of an off or tuned line. */
static const struct ops_variant *find_variant(const struct reader *r)
{
    const struct ops_variant *variant = NULL;
    if (r->n_words >= 3) {
        const struct op *op = ops_find(r->words[1]);
        variant = ops_find_variant(op, r->words[2]);
    }
    if (variant == NULL) {
        damaged(r, "there is no such kernel");
    }
    return variant;
}

static bool read_off(struct reader *r)
{
    if (find_variant(r) == NULL) {
        return false;
    }
    if (r->n_words != 3) {
        return damaged(r, "not \"off OP VARIANT\"");
    }
    return ops_prefs_add_failed(r->prefs, r->words[1], r->words[2],
                                r->comment != NULL ? r->comment : "") ||
           damaged(r, "out of memory");
}

static bool read_quant(const struct ops_variant *variant, const char *word, uint32_t *quant)
{
    *quant = QUANT_COUNT;
    for (uint32_t q = 0; q < QUANT_COUNT && variant->by_quant != NULL; q++) {
        if (variant->by_quant[q] != NULL && strcmp(quant_get((enum quant_id)q)->name, word) == 0) {
            *quant = q;
            return true;
        }
    }
    return variant->by_quant == NULL && strcmp(word, "-") == 0;
}

static bool read_tuned(struct reader *r)
{
    const struct ops_variant *variant = find_variant(r);
    if (variant == NULL) {
        return false;
    }
    struct ops_tuned tuned = {.class = OPS_TOKEN_CLASSES};
    if (r->n_words < 5 || r->comment != NULL) {
        return damaged(r, "not \"tuned OP VARIANT FORMAT TOKENS NAME=VALUE ... [first]\"");
    }
    if (!read_quant(variant, r->words[3], &tuned.quant)) {
        return damaged(r, "the kernel has no such format");
    }
    for (uint32_t c = 0; c < OPS_TOKEN_CLASSES; c++) {
        tuned.class = strcmp(r->words[4], ops_token_class_name(c)) == 0 ? c : tuned.class;
    }
    if (tuned.class == OPS_TOKEN_CLASSES) {
        return damaged(r, "no such class of token counts");
    }
    uint32_t n = 0;
    for (; n < OPS_MAX_TUNABLES && variant->tunables[n].name != NULL; n++) {
        uint64_t value;
        if (n + 5 >= r->n_words ||
            !read_named(r->words[n + 5], variant->tunables[n].name, UINT32_MAX, &value) ||
            !ops_tunable_has(&variant->tunables[n], (uint32_t)value)) {
            return damaged(r, "not the kernel's tile parameters, or no value of theirs");
        }
        tuned.values[n] = (uint32_t)value;
    }
    tuned.first = variant->rival && r->n_words == n + 6 && strcmp(r->words[n + 5], "first") == 0;
    if (n == 0 || r->n_words != n + 5 + (tuned.first ? 1 : 0)) {
        return damaged(r, "more tile parameters than the kernel has");
    }
    snprintf(tuned.op, sizeof tuned.op, "%s", r->words[1]);
    snprintf(tuned.variant, sizeof tuned.variant, "%s", r->words[2]);
    return ops_prefs_add_tuned(r->prefs, &tuned) || damaged(r, "out of memory");
}

/* "2026-11-24T12:24:04Z" */
static bool is_date(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    for (size_t i = 0; i < sizeof form; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == 'd' ? !digit : text[i] != form[i]) {
            return false;
        }
    }
    return true;
}

static bool read_selftest(struct reader *r)
{
    struct ops_selftest *test = &r->prefs->selftest;
    uint64_t passed, failed;
    if (test->date[0] != '\0') {
        return damaged(r, "a second self-test");
    }
    bool quick = r->n_words == 6 && strcmp(r->words[2], "quick") == 0;
    if (r->n_words != 6 || r->comment != NULL || !is_date(r->words[1]) ||
        (!quick && strcmp(r->words[2], "full") != 0) ||
        !read_named(r->words[3], "seed", UINT64_MAX, &test->seed) ||
        !read_named(r->words[4], "passed", UINT32_MAX, &passed) ||
        !read_named(r->words[5], "failed", UINT32_MAX, &failed)) {
        return damaged(r, "not \"selftest DATE quick|full seed=N passed=N failed=N\"");
    }
    snprintf(test->date, sizeof test->date, "%s", r->words[1]);
    test->quick = quick;
    test->passed = (uint32_t)passed;
    test->failed = (uint32_t)failed;
    return true;
}

/* The first four lines. *foreign: of another driver or other kernels, there is no more to read. */
static bool read_head(struct reader *r, bool *foreign)
{
    char *line = next_line(r);
    if (line == NULL || strcmp(line, head) != 0) {
        return line != NULL && damaged(r, "not \"quadriga profile 1\"");
    }
    line = next_line(r);
    if (line == NULL || strncmp(line, "device ", 7) != 0) {
        return line != NULL && damaged(r, "not \"device NAME\"");
    }
    uint64_t driver;
    line = next_line(r);
    if (line == NULL || strncmp(line, "driver ", 7) != 0 ||
        !read_number(line + 7, UINT32_MAX, &driver)) {
        return line != NULL && damaged(r, "not \"driver VERSION\"");
    }
    char shaders[32];
    snprintf(shaders, sizeof shaders, "shaders %016" PRIx64, ops_shader_hash());
    line = next_line(r);
    if (line == NULL || strncmp(line, "shaders ", 8) != 0 || strlen(line) != strlen(shaders) ||
        strspn(line + 8, "0123456789abcdef") != 16) {
        return line != NULL && damaged(r, "not \"shaders HASH\"");
    }
    bool other = driver != r->info->driver_version;
    *foreign = other || strcmp(line, shaders) != 0;
    if (*foreign) {
        log_info(r->log,
                 "device %u (%s): the %s changed since the self-test: what it found is not used",
                 r->info->index, r->info->name, other ? "driver" : "kernels");
    }
    return true;
}

static bool read_lines(struct reader *r)
{
    for (;;) {
        char *line = next_line(r);
        if (line == NULL) {
            return false;
        }
        if (strcmp(line, "end") == 0) {
            return r->at == r->end || damaged(r, "something behind the end");
        }
        if (!split(r, line)) {
            return false;
        }
        bool ok;
        if (strcmp(r->words[0], "off") == 0) {
            ok = read_off(r);
        } else if (strcmp(r->words[0], "tuned") == 0) {
            ok = read_tuned(r);
        } else if (strcmp(r->words[0], "selftest") == 0) {
            ok = read_selftest(r);
        } else {
            ok = damaged(r, "not off, tuned, selftest or end");
        }
        if (!ok) {
            return false;
        }
    }
}

static bool merge(struct ops_prefs *prefs, const struct ops_prefs *read, struct log *log)
{
    bool ok = true;
    for (size_t i = 0; i < read->n_off && ok; i++) {
        ok = ops_prefs_add_failed(prefs, read->off[i].op, read->off[i].variant, read->off[i].why);
    }
    for (size_t i = 0; i < read->n_tuned && ok; i++) {
        ok = ops_prefs_add_tuned(prefs, &read->tuned[i]);
    }
    prefs->selftest = read->selftest;
    if (!ok) {
        log_warn(log, "out of memory for the profile of a device");
    }
    return ok;
}

/* The text of the file, NULL when there is none (silent) or it cannot be one (said). */
static char *read_text(const char *path, size_t *bytes, struct log *log)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > LARGEST) {
        log_warn(log, "%s: line 1: not a regular file of at most %d bytes: the file is ignored",
                 path, LARGEST);
        return NULL;
    }
    char *text = os_read_text(path, LARGEST, bytes, NULL);
    if (text == NULL) {
        log_warn(log, "%s: line 1: cannot be read: the file is ignored", path);
    }
    return text;
}

bool ops_profile_load(struct ops_prefs *prefs, const char *dir, const struct dev_info *info,
                      struct log *log)
{
    char path[1024];
    size_t bytes = 0;
    char *text =
        ops_profile_path(path, sizeof path, dir, info) ? read_text(path, &bytes, log) : NULL;
    if (text == NULL) {
        return false;
    }
    struct ops_prefs read = {0};
    struct reader r = {
        .path = path, .log = log, .info = info, .prefs = &read, .at = text, .end = text + bytes};
    bool foreign = false;
    bool ok = read_head(&r, &foreign) && !foreign && read_lines(&r) && merge(prefs, &read, log);
    ops_prefs_finish(&read);
    mem_free(text);
    return ok;
}

/* ---- writing ---- */

/* As the reader wants it: one line of printable bytes. */
static void add_text(struct str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        char c = *text >= ' ' && *text <= '~' ? *text : '?';
        str_add(out, &c, 1);
    }
}

static void add_tuned(struct str *out, const struct ops_tuned *tuned)
{
    const struct ops_variant *variant = ops_find_variant(ops_find(tuned->op), tuned->variant);
    str_printf(out, "tuned %s %s %s %s", tuned->op, tuned->variant,
               tuned->quant < QUANT_COUNT ? quant_get((enum quant_id)tuned->quant)->name : "-",
               ops_token_class_name(tuned->class));
    for (uint32_t i = 0;
         i < OPS_MAX_TUNABLES && variant != NULL && variant->tunables[i].name != NULL; i++) {
        str_printf(out, " %s=%u", variant->tunables[i].name, tuned->values[i]);
    }
    str_printf(out, "%s\n", tuned->first ? " first" : "");
}

static void make_text(struct str *out, const struct ops_prefs *prefs, const struct dev_info *info)
{
    const struct ops_selftest *test = &prefs->selftest;
    str_printf(out, "%s\ndevice ", head);
    add_text(out, info->name);
    str_printf(out, "\ndriver %u\nshaders %016" PRIx64 "\n", info->driver_version,
               ops_shader_hash());
    if (test->date[0] != '\0') {
        str_printf(out, "selftest %s %s seed=%" PRIu64 " passed=%u failed=%u\n", test->date,
                   test->quick ? "quick" : "full", test->seed, test->passed, test->failed);
    }
    for (size_t i = 0; i < prefs->n_off; i++) {
        const struct ops_off *off = &prefs->off[i];
        if (off->why[0] != '\0' && off->op[0] != '\0') {
            str_printf(out, "off %s %s  # ", off->op, off->variant);
            add_text(out, off->why);
            str_printf(out, "\n");
        }
    }
    for (size_t i = 0; i < prefs->n_tuned; i++) {
        add_tuned(out, &prefs->tuned[i]);
    }
    str_printf(out, "end\n");
}

static bool write_all(int fd, const char *text, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, text + done, bytes - done);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static bool replace(const char *path, const struct str *text, struct log *log)
{
    char temp[1100];
    snprintf(temp, sizeof temp, "%s.XXXXXX", path);
    int fd = mkstemp(temp); /* mode 0600 */
    bool ok = fd >= 0 && write_all(fd, text->text, text->bytes);
    int error = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        error = errno;
        ok = false;
    }
    if (ok && rename(temp, path) != 0) {
        error = errno;
        ok = false;
    }
    if (!ok) {
        log_error(log, "%s: cannot be written: %s", path, strerror(error));
    }
    if (!ok && fd >= 0) {
        unlink(temp);
    }
    return ok;
}

bool ops_profile_save(const struct ops_prefs *prefs, const char *dir, const struct dev_info *info,
                      struct log *log)
{
    char path[1024];
    if (!ops_profile_path(path, sizeof path, dir, info)) {
        log_error(log, "%s: the name of the folder is too long", dir);
        return false;
    }
    struct str text;
    str_init(&text);
    make_text(&text, prefs, info);
    bool ok = !text.failed && text.bytes <= LARGEST;
    if (!ok) {
        log_error(log, "%s: too long, or out of memory", path);
    }
    ok = ok && replace(path, &text, log);
    str_finish(&text);
    return ok;
}
