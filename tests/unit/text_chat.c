/* with: base */
/* Chat templates: which format those of tests/data/chat are recognised as, and what is rendered,
 * byte by byte against what python3-jinja2 renders of them (tests/tools/chat_vectors.py);
 * those that are none of the known ones; random conversations; ids.
 * With an argument: a file of vectors to check in place of all that. */
#include "text_toy.h"

#include "base/hash.h"
#include "text/chat.h"
#include "text/internal.h"

#include <stdlib.h>
#include <time.h>

#define FOLDER QD_SOURCE_DIR "/tests/data/chat/"
enum { MAX_MESSAGES = 16 };

static const struct tm now = {
    .tm_year = 125, .tm_mon = 2, .tm_mday = 4, .tm_hour = 5, .tm_min = 6, .tm_sec = 7};

/* Terminated, free with mem_free. */
static char *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s: cannot be read", path);
        return NULL;
    }
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = mem_alloc((size_t)size + 1, 1);
    assert_non_null(text);
    *bytes = fread(text, 1, (size_t)size, file);
    fclose(file);
    return text;
}

static size_t unescape(char *text)
{
    size_t used = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        char c = text[i];
        if (c == '\\') {
            c = text[++i];
            if (c == 'x') {
                char digits[3] = {text[i + 1], text[i + 2], '\0'};
                c = (char)strtol(digits, NULL, 16);
                i += 2;
            } else {
                c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
            }
        }
        text[used++] = c;
    }
    text[used] = '\0';
    return used;
}

struct check {
    struct chat_template *template;
    char name[64];
    struct chat_message messages[MAX_MESSAGES];
    size_t n;
    uint32_t templates, rendered, raised;
};

static void begin_template(struct check *check, const char *folder, char *line)
{
    char path[512], format[64], bos[64], eos[64];
    size_t bytes;
    struct log log;
    assert_int_equal(sscanf(line, "template %63s %63s %63s %63s", check->name, format, bos, eos),
                     4);
    snprintf(path, sizeof path, "%s%s.jinja", folder, check->name);
    char *source = read_file(path, &bytes);
    struct chat_tokens tokens = {.bos = strcmp(bos, "-") != 0 ? bos : "",
                                 .eos = strcmp(eos, "-") != 0 ? eos : ""};
    tokens.bos_bytes = strlen(tokens.bos);
    tokens.eos_bytes = strlen(tokens.eos);
    log_init(&log, NULL, NULL, LOG_ERROR);
    chat_template_destroy(check->template);
    check->template = chat_template_find(source, bytes, path, &tokens, &now, &log);
    if (check->template == NULL && strcmp(format, "?") != 0) {
        fail_msg("%s", log.last);
    }
    if (strcmp(format, "?") == 0) {
        print_message("%s: %s\n", check->name,
                      check->template != NULL ? chat_template_name(check->template) : log.last);
    } else {
        assert_string_equal(chat_template_name(check->template), format);
    }
    log_finish(&log);
    mem_free(source);
    check->templates++;
}

static void check_rendering(struct check *check, const char *want, size_t bytes)
{
    struct chat_text text;
    if (check->template == NULL) {
        return;
    }
    chat_text_init(&text);
    bool ok = chat_render(check->template, check->messages, check->n, &text, NULL);
    if (want == NULL) {
        assert_false(ok);
        check->raised++;
    } else if (!ok || text.text.bytes != bytes || memcmp(str_get(&text.text), want, bytes) != 0) {
        fail_msg("%s, conversation %u:\n%s\n--- but not\n%s", check->name, check->rendered, want,
                 ok ? str_get(&text.text) : "an error");
    } else {
        assert_int_equal(text.spans[text.count - 1].end, bytes);
        check->rendered++;
    }
    chat_text_finish(&text);
}

static void check_line(struct check *check, const char *folder, char *line)
{
    if (strncmp(line, "template ", 9) == 0) {
        begin_template(check, folder, line);
    } else if (strcmp(line, "conversation") == 0) {
        check->n = 0;
    } else if (line[0] == '!') {
        check_rendering(check, NULL, 0);
    } else if (line[0] == '=') {
        size_t bytes = unescape(line + 2);
        check_rendering(check, line + 2, bytes);
    } else {
        assert_true(check->n < MAX_MESSAGES);
        size_t bytes = unescape(line + 2);
        enum chat_role role = line[0] == 's'   ? CHAT_SYSTEM
                              : line[0] == 'u' ? CHAT_USER
                                               : CHAT_ASSISTANT;
        check->messages[check->n++] = (struct chat_message){role, line + 2, bytes};
    }
}

static struct check check_file(const char *path, const char *folder)
{
    struct check check = {.n = 0};
    size_t bytes;
    char *text = read_file(path, &bytes);
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        check_line(&check, folder, line);
        line = end + 1;
    }
    chat_template_destroy(check.template);
    mem_free(text);
    return check;
}

static void test_models(void **state)
{
    (void)state;
    struct check check = check_file(FOLDER "vectors.txt", FOLDER);
    print_message("%u templates, %u texts the same, %u refused by both\n", check.templates,
                  check.rendered, check.raised);
    assert_true(check.templates >= 20 && check.rendered >= 140 && check.raised >= 3);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        struct check check = check_file(argv[1], argc > 2 ? argv[2] : FOLDER);
        printf("%u templates, %u texts the same, %u refused by both\n", check.templates,
               check.rendered, check.raised);
        return check.templates == 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
