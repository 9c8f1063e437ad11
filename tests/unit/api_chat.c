/* with: fixture */
/* The chat side of the interface: where a template comes from, texts and ids of conversations, and
 * what is refused. */
#include "gguf_make.h"

#include "include/quadriga.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LLAMA2                                                                                     \
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip()" \
    " + ' [/INST]' }}{% elif m.role == 'assistant' %}{{ ' ' + m.content.strip() + ' ' + "          \
    "eos_token }}{% else %}{{ raise_exception('no system') }}{% endif %}{% endfor %}"

static qd_context *open_context(void)
{
    struct qd_context_params params = {.no_devices = true};
    qd_context *context;
    assert_int_equal(qd_context_create(&params, &context, NULL, 0), QD_OK);
    return context;
}

/* A model for its vocabulary, with this template in its file; NULL: without. */
static qd_model *open_model(qd_context *context, const char *source)
{
    static const char path[] = QD_BINARY_DIR "/api_chat.gguf";
    struct gguf_make_params params = gguf_make_defaults();
    struct gguf_make_kv kvs[2] = {{.key = NULL}, {.key = NULL}};
    uint8_t value[1024];
    if (source != NULL) {
        uint64_t n = strlen(source);
        memcpy(value, &n, sizeof n);
        memcpy(value + sizeof n, source, n);
        kvs[0] = (struct gguf_make_kv){.key = "tokenizer.chat_template",
                                       .type = GGUF_STRING,
                                       .value = value,
                                       .bytes = sizeof n + n};
        params.kvs = kvs;
    }
    assert_true(gguf_make_file(&params, path, NULL));
    qd_model *model;
    assert_int_equal(qd_model_load(context,
                                   &(struct qd_model_params){.path = path, .depth = QD_DEPTH_VOCAB},
                                   &model),
                     QD_OK);
    remove(path);
    return model;
}

static void test_sources(void **state)
{
    (void)state;
    qd_context *context = open_context();
    qd_model *model = open_model(context, LLAMA2), *bare = open_model(context, NULL);
    qd_chat *chat;
    struct qd_chat_info info;
    assert_int_equal(qd_chat_create(model, NULL, &chat), QD_OK);
    qd_chat_get_info(chat, &info);
    assert_string_equal(info.name, "llama2");
    assert_int_equal(info.system, QD_SYSTEM_REFUSED);
    assert_string_equal(info.end_text, "");
    qd_chat_destroy(&chat);
    assert_null(chat);
    qd_chat_destroy(&chat);

    assert_int_equal(qd_chat_create(bare, NULL, &chat), QD_BAD_FILE);
    assert_null(chat);
    assert_non_null(strstr(qd_last_error(context), "api_chat.gguf: there is no chat template"));
    struct qd_chat_params named = {.name = "chatml"};
    assert_int_equal(qd_chat_create(bare, &named, &chat), QD_OK);
    qd_chat_get_info(chat, &info);
    assert_string_equal(info.end_text, "<|im_end|>"); /* no token there */
    assert_int_equal(info.system, QD_SYSTEM_TAKEN);
    qd_chat_destroy(&chat);
    named.name = "nothing";
    assert_int_equal(qd_chat_create(bare, &named, &chat), QD_BAD_ARGUMENT);
    struct qd_chat_params text = {.source = "x", .source_bytes = 1, .source_name = "my.jinja"};
    assert_int_equal(qd_chat_create(bare, &text, &chat), QD_BAD_FILE);
    assert_non_null(strstr(qd_last_error(context), "my.jinja: the chat template"));

    uint32_t n = 0;
    while (qd_chat_template_name(n) != NULL) {
        n++;
    }
    assert_true(n >= 18);
    assert_null(qd_chat_template_name(n + 7));
    qd_model_destroy(&bare);
    qd_model_destroy(&model);
    qd_context_destroy(&context);
}

static void test_conversation(void **state)
{
    (void)state;
    static const char want[] = "<s>[INST] one [/INST] two </s><s>[INST] </s> [/INST]";
    qd_context *context = open_context();
    qd_model *model = open_model(context, LLAMA2);
    const struct qd_message messages[] = {
        {QD_ROLE_USER, "one ", 4}, {QD_ROLE_ASSISTANT, "two", 3}, {QD_ROLE_USER, "</s>", 4}};
    struct qd_message system = {QD_ROLE_SYSTEM, "x", 1};
    qd_chat *chat;
    char text[128], little[4];
    uint32_t all[128], rest[128];
    size_t bytes, n_all, n_rest, ends = 0;
    assert_int_equal(qd_chat_create(model, NULL, &chat), QD_OK);
    assert_int_equal(qd_chat_render(chat, messages, 3, text, sizeof text, &bytes), QD_OK);
    assert_string_equal(text, want);
    assert_int_equal(bytes, sizeof want - 1);
    assert_int_equal(qd_chat_render(chat, messages, 3, little, sizeof little, &bytes), QD_OK);
    assert_int_equal(bytes, sizeof want - 1);
    assert_memory_equal(little, want, sizeof little);
    assert_int_equal(qd_chat_render(chat, messages, 3, NULL, 0, &bytes), QD_OK);

    assert_int_equal(qd_chat_tokenize(chat, messages, 3, 0, all, 128, &n_all), QD_OK);
    assert_true(n_all < 128 && all[0] == 1 && all[1] != 1);
    for (size_t i = 0; i < n_all; i++) {
        ends += all[i] == 2;
    }
    assert_int_equal(ends, 1); /* the template's, not the user's */
    size_t skip = strlen("<s>[INST] one [/INST] two ");
    assert_int_equal(qd_chat_tokenize(chat, messages, 3, skip, rest, 128, &n_rest), QD_OK);
    assert_true(n_rest < n_all && rest[0] == 2);
    assert_memory_equal(all + n_all - n_rest, rest, n_rest * sizeof *rest);
    assert_int_equal(qd_chat_tokenize(chat, messages, 3, 0, rest, 3, &n_rest), QD_OK);
    assert_int_equal(n_rest, n_all);
    assert_int_equal(qd_chat_tokenize(chat, messages, 3, bytes + 1, rest, 3, &n_rest),
                     QD_BAD_ARGUMENT);

    assert_int_equal(qd_chat_answer_start(chat, " two", 4), 1);
    assert_int_equal(qd_chat_answer_start(chat, "two", 3), 0);
    assert_int_equal(qd_chat_answer_start(chat, "", 0), 0);
    assert_int_equal(qd_chat_render(chat, messages, 2, text, sizeof text, &bytes), QD_BAD_ARGUMENT);
    assert_int_equal(qd_chat_render(chat, &system, 1, text, sizeof text, &bytes), QD_BAD_ARGUMENT);
    assert_non_null(strstr(qd_last_error(context), "without a message of the user"));
    qd_chat_destroy(&chat);
    qd_model_destroy(&model);
    qd_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sources),
                                       cmocka_unit_test(test_conversation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
