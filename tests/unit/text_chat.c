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

/* ---- templates that are none of the known ones ---- */

static struct chat_template *find(const char *source, char *error, size_t bytes)
{
    struct chat_tokens tokens = {.bos = "<s>", .eos = "</s>", .bos_bytes = 3, .eos_bytes = 4};
    struct log log;
    log_init(&log, NULL, NULL, LOG_ERROR);
    struct chat_template *found =
        chat_template_find(source, strlen(source), "model.gguf", &tokens, &now, &log);
    snprintf(error, bytes, "%s", log.last);
    log_finish(&log);
    return found;
}

static void test_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *source, *says;
    } cases[] = {
        {"{% for m in messages %}{{ 'USER: ' + m['content'] }}{% endfor %}", "(vicuna)"},
        {"{% for m in messages %}<|START_OF_TURN_TOKEN|>{{ m['content'] }}{% endfor %}",
         "(command-r)"},
        /* ChatML but for one line end, or one mark of another format */
        {"{% for m in messages %}{{'<|im_start|>' + m['role'] + '\\n' + m['content'] + "
         "'<|im_end|>'}}{% endfor %}{{ '<|im_start|>assistant\\n' }}",
         "(a variant of chatml)"},
        /* nothing of it is rendered */
        {"{# <|im_start|> #}{% if false %}<|im_start|>{% endif %}", "none of the known"},
        {"", "none of the known"},
        {"Hello", "chatml, qwen3"},
        {"{{ messages", "line 1: a tag without its end"},
        {"\n\n{% include 'x' %}", "line 3: the statement include is left out"},
        {"{% macro x(a, b='%}') %}{{ a }}{% endmacro %}{{ x(1) }}", "an unknown function"},
        {"{% macro x() %}", "endmacro is missing at the end"},
        {"{{ messages | tojson }}", "the filter tojson is left out"},
        {"{{ raise_exception('not today') }}", "not today"},
        {"{% for x in range(2000000000) %}{% endfor %}", "it needs too much memory"},
        {"{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}"
         "{% set ns.x = ns.x + ns.x %}{% endfor %}",
         "it needs too much memory"},
        {"{% for m in messages %}{{ m['content'].nothing.more }}{% endfor %}",
         "a member of what is not defined"},
        {"{% endif %}", "the statement endif is left out"},
        {"{% if true %}", "endif is missing at the end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char error[1024];
        assert_null(find(cases[i].source, error, sizeof error));
        if (strstr(error, cases[i].says) == NULL || strncmp(error, "model.gguf: ", 12) != 0) {
            fail_msg("\"%s\"\ngives: %s", cases[i].source, error);
        }
    }
    char deep[4096], error[1024];
    for (size_t i = 0; i < sizeof deep - 1; i++) {
        deep[i] = i < 2 ? '{' : '(';
    }
    deep[sizeof deep - 1] = '\0';
    assert_null(find(deep, error, sizeof error));
    assert_non_null(strstr(error, "too deep"));
    size_t n = 0;
    for (; n < sizeof deep - 8; n += 2) {
        memcpy(deep + n, n == 0 ? "{{" : n == 2 ? "1 " : "+1", 3);
    }
    memcpy(deep + n, "}}", 3);
    assert_null(find(deep, error, sizeof error));
    assert_non_null(strstr(error, "too deep"));
}

/* Other ways to write what a known template renders are known too. */
static void test_variants(void **state)
{
    (void)state;
    static const struct {
        const char *source, *name, *standard;
        enum chat_system system;
    } cases[] = {
        {"{# llama: [INST] <<SYS>> #}{{ bos_token }}{% for m in messages -%}\n"
         "    {{ '<|im_start|>' ~ m.role ~ \"\\n\" ~ m.content | trim ~ '<|im_end|>\\n' }}\n"
         "{%- endfor %}{{ '<|im_start|>assistant\\n' }}",
         "chatml", "", CHAT_SYSTEM_TURN},
        {"{% if messages[0].role != 'system' %}<|im_start|>system\nBe <kind>.<|im_end|>\n"
         "{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
         "{{ '' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
         "chatml", "Be <kind>.", CHAT_SYSTEM_TURN},
        {"{{ bos_token }}{% for m in messages if m.role != 'system' %}{{ '[INST] ' + m.content + "
         "' [/INST]' if m.role == 'user' else m.content + eos_token }}{% endfor %}",
         "mistral-v0.2", "", CHAT_SYSTEM_DROPPED},
        {"{{ bos_token }}{% set s = messages[0].content if messages[0].role == 'system' else '' %}"
         "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}[INST]"
         "{{ s + '\n\n' if s and loop.first }}{{ m.content }}[/INST]{% else %}{{ m.content }}"
         "{{ eos_token }}{% endif %}{% endfor %}",
         "mistral-v3-tekken", "", CHAT_SYSTEM_FIRST},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char error[1024];
        struct chat_template *found = find(cases[i].source, error, sizeof error);
        if (found == NULL) {
            fail_msg("\"%s\"\ngives: %s", cases[i].source, error);
            return;
        }
        assert_string_equal(chat_template_name(found), cases[i].name);
        assert_string_equal(chat_template_default_system(found), cases[i].standard);
        assert_int_equal(chat_template_system(found), cases[i].system);
        chat_template_destroy(found);
    }
}

/* Damaged templates are refused, or are another one; nothing worse. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen3", "llama3.1", "mistral-nemo", "gemma3", "zephyr"};
    static const char bytes[] = "{}%#-+'\"\\()[]|.:,=~<> \nx0";
    uint64_t random = 7;
    struct log log;
    log_init(&log, NULL, NULL, LOG_ERROR);
    struct chat_tokens tokens = {.bos = "<s>", .eos = "</s>", .bos_bytes = 3, .eos_bytes = 4};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        size_t n;
        snprintf(path, sizeof path, FOLDER "%s.jinja", names[i]);
        char *source = read_file(path, &n), *damaged = mem_alloc(n, 1);
        assert_non_null(damaged);
        for (int round = 0; round < 400; round++) {
            memcpy(damaged, source, n);
            size_t cut = round % 4 == 0 ? hash_next(&random) % n : n;
            for (int k = 0; k < 1 + round % 5; k++) {
                damaged[hash_next(&random) % n] = bytes[hash_next(&random) % (sizeof bytes - 1)];
            }
            chat_template_destroy(chat_template_find(damaged, cut, names[i], &tokens, &now, &log));
        }
        mem_free(damaged);
        mem_free(source);
    }
    log_finish(&log);
}

/* ---- conversations ---- */

static void test_order(void **state)
{
    (void)state;
    static const struct {
        const char *roles, *says;
    } cases[] = {{"", "ends without a message of the user"},
                 {"s", "ends without a message of the user"},
                 {"ua", "ends without a message of the user"},
                 {"a", "message 0 of the conversation is not from the user"},
                 {"uu", "message 1 of the conversation is not from the assistant"},
                 {"sus", "message 2 of the conversation is not from the assistant"}};
    struct chat_tokens tokens = {.bos = "", .eos = ""};
    struct chat_template *template = chat_template_named("gemma", &tokens, NULL);
    struct log log;
    log_init(&log, NULL, NULL, LOG_ERROR);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chat_message messages[4];
        struct chat_text text;
        size_t n = strlen(cases[i].roles);
        for (size_t m = 0; m < n; m++) {
            char c = cases[i].roles[m];
            messages[m] = (struct chat_message){c == 's'   ? CHAT_SYSTEM
                                                : c == 'u' ? CHAT_USER
                                                           : CHAT_ASSISTANT,
                                                "x", 1};
        }
        chat_text_init(&text);
        assert_false(chat_render(template, messages, n, &text, &log));
        assert_non_null(strstr(log.last, cases[i].says));
        chat_text_finish(&text);
    }
    const struct chat_message system[] = {{CHAT_SYSTEM, "x", 1}, {CHAT_USER, "x", 1}};
    struct chat_text text;
    chat_text_init(&text);
    assert_false(chat_render(template, system, 2, &text, &log));
    assert_non_null(strstr(log.last, "the chat template gemma takes no system text"));
    assert_null(chat_template_named("nothing", &tokens, &log));
    chat_text_finish(&text);
    chat_template_destroy(template);
    log_finish(&log);
}

static const char *const pieces[] = {
    "a",        "the",   " ",       "\n",         "\xc2\xa0",         "\xff",
    "\xe4\xb8", "<|im_", "end|>",   "<|im_end|>", "[INST]",           "</s>",
    "<s>",      "{{",    "<think>", "</think>",   "\xf0\x9f\x98\x80", "<|im_start|>",
    "[u]",      "\t"};
enum { N_PIECES = sizeof pieces / sizeof *pieces, N_PLAIN_PIECES = 5, ROOM = 256 };

/* A text of up to 12 of the first `n` pieces. */
static size_t random_text(uint64_t *random, size_t n, char *out)
{
    size_t used = 0, count = hash_next(random) % 12;
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[hash_next(random) % n];
        memcpy(out + used, piece, strlen(piece));
        used += strlen(piece);
    }
    return used;
}

static size_t random_conversation(uint64_t *random, size_t n_pieces, bool system,
                                  char texts[][ROOM], struct chat_message *messages)
{
    size_t n = 0, turns = 1 + 2 * (hash_next(random) % 4);
    if (system) {
        messages[n++].role = CHAT_SYSTEM;
    }
    for (size_t i = 0; i < turns; i++) {
        messages[n++].role = i % 2 == 0 ? CHAT_USER : CHAT_ASSISTANT;
    }
    for (size_t i = 0; i < n; i++) {
        messages[i].text = texts[i];
        messages[i].bytes = random_text(random, n_pieces, texts[i]);
    }
    return n;
}

/* The marks of ChatML and </s>, [INST] as control tokens; [u] and <|u|> as user-defined ones. */
static struct vocab *make_vocab(bool bpe)
{
    static const char *const controls[] = {"<|im_start|>", "<|im_end|>", "[INST]", "[/INST]"};
    struct toy *toy = bpe ? toy_create_bpe("gpt-2") : toy_create(true);
    if (!bpe) {
        toy_add(toy, "\xe2\x96\x81", -1, TOY_NORMAL);
        toy_add(toy, "t", -2, TOY_NORMAL);
        toy_add(toy, "h", -3, TOY_NORMAL);
        toy_add(toy, "th", -1, TOY_NORMAL);
        toy_add(toy, "\xe2\x96\x81th", -1, TOY_NORMAL);
    } else {
        toy_merge(toy, 't', 'h');
        toy_add(toy, "<s>", 0, TOY_CONTROL);
        toy_add(toy, "</s>", 0, TOY_CONTROL);
    }
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        toy_add(toy, controls[i], 0, TOY_CONTROL);
    }
    toy_add(toy, "[u]", 0, TOY_USER);
    toy_add(toy, "<|u|>", 0, TOY_USER);
    struct vocab *vocab = toy_open(toy);
    assert_non_null(vocab);
    toy_finish(toy);
    return vocab;
}

static bool same_ids(const struct text_tokens *a, const struct text_tokens *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0);
}

/* Control tokens in `ids`. */
static size_t count_controls(const struct vocab *vocab, const struct text_tokens *ids)
{
    size_t n = 0;
    for (size_t i = 0; i < ids->count; i++) {
        n += vocab->tokens[ids->ids[i]].type == TOKEN_CONTROL ||
             (vocab->tokens[ids->ids[i]].flags & TOKEN_IS_MARK) != 0;
    }
    return n;
}

/* Texts with special tokens written out have no more control tokens than the conversation with
 * empty texts has; texts without give the ids of the whole text. */
static void check_ids(const struct vocab *vocab, const struct chat_template *template,
                      uint64_t *random)
{
    char texts[MAX_MESSAGES][ROOM];
    struct chat_message messages[MAX_MESSAGES];
    bool system =
        chat_template_system(template) != CHAT_SYSTEM_REFUSED && hash_next(random) % 2 == 0;
    bool plain = hash_next(random) % 2 == 0;
    size_t n =
        random_conversation(random, plain ? N_PLAIN_PIECES : N_PIECES, system, texts, messages);
    struct text_tokens ids = {0}, whole = {0};
    struct chat_text text;
    chat_text_init(&text);
    assert_true(chat_render(template, messages, n, &text, NULL));
    assert_true(utf8_valid(str_get(&text.text), text.text.bytes));
    assert_true(chat_encode(vocab, &text, 0, &ids, NULL));
    if (plain) {
        assert_true(vocab_encode(vocab, str_get(&text.text), text.text.bytes,
                                 TEXT_ADD_SPECIAL | TEXT_PARSE_SPECIAL, &whole, NULL));
        size_t twice = whole.count > 1 && whole.ids[0] == vocab->bos && whole.ids[1] == vocab->bos;
        whole.ids += twice;
        whole.count -= twice;
        assert_true(same_ids(&ids, &whole));
        whole.ids -= twice;
    } else {
        size_t controls = count_controls(vocab, &ids);
        for (size_t i = 0; i < n; i++) {
            messages[i].text = "a";
            messages[i].bytes = messages[i].bytes != 0; /* an empty system text is none */
        }
        text.count = 0;
        str_clear(&text.text);
        assert_true(chat_render(template, messages, n, &text, NULL));
        assert_true(vocab_encode(vocab, str_get(&text.text), text.text.bytes,
                                 TEXT_ADD_SPECIAL | TEXT_PARSE_SPECIAL, &whole, NULL));
        size_t twice = whole.count > 1 && whole.ids[0] == vocab->bos && whole.ids[1] == vocab->bos;
        assert_int_equal(controls, count_controls(vocab, &whole) - twice);
    }
    chat_text_finish(&text);
    text_tokens_finish(&ids);
    text_tokens_finish(&whole);
}

static void test_random(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int bpe = 0; bpe < 2; bpe++) {
        struct vocab *vocab = make_vocab(bpe);
        struct chat_tokens tokens = chat_tokens_of(vocab);
        uint32_t i = 0;
        for (; chat_format_name(i) != NULL; i++) {
            struct chat_template *template =
                chat_template_named(chat_format_name(i), &tokens, NULL);
            assert_non_null(template);
            for (int k = 0; k < 280; k++) { /* with 2 vocabularies over 10,000 in all */
                check_ids(vocab, template, &random);
            }
            chat_template_destroy(template);
        }
        assert_true(i >= 18);
        vocab_destroy(vocab);
    }
}

/* A conversation goes on where its first part ended. */
static void test_continues(void **state)
{
    (void)state;
    struct vocab *vocab = make_vocab(false);
    struct chat_tokens tokens = chat_tokens_of(vocab);
    static const char *const names[] = {"chatml", "llama2", "mistral-v3-tekken"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct chat_template *template = chat_template_named(names[i], &tokens, NULL);
        struct chat_message messages[] = {
            {CHAT_USER, "the a", 5}, {CHAT_ASSISTANT, "the the", 7}, {CHAT_USER, "a</s>", 5}};
        struct chat_text first, all;
        struct text_tokens ids = {0}, rest = {0};
        chat_text_init(&first);
        chat_text_init(&all);
        assert_true(chat_render(template, messages, 1, &first, NULL));
        assert_true(chat_render(template, messages, 3, &all, NULL));
        size_t start = first.text.bytes + (strcmp(names[i], "llama2") == 0) + 7;
        assert_memory_equal(str_get(&all.text), str_get(&first.text), first.text.bytes);
        assert_true(chat_encode(vocab, &all, 0, &ids, NULL));
        assert_true(chat_encode(vocab, &all, start, &rest, NULL));
        assert_true(rest.count < ids.count && ids.ids[0] == vocab->bos);
        assert_memory_equal(ids.ids + ids.count - rest.count, rest.ids,
                            rest.count * sizeof *rest.ids);
        chat_text_finish(&first);
        chat_text_finish(&all);
        text_tokens_finish(&ids);
        text_tokens_finish(&rest);
        chat_template_destroy(template);
    }
    vocab_destroy(vocab);
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
        cmocka_unit_test(test_models),    cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_variants),  cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_order),     cmocka_unit_test(test_random),
        cmocka_unit_test(test_continues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
