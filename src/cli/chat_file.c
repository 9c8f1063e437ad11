/* /save and /load. A file is checked as a whole before the conversation is touched, and written
 * beside its place and then put there.
 *
 *     {"format": "quadriga chat", "version": 1, "template": "chatml", "system": "Be brief.",
 *      "messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
 */
#include "cli/chat_file.h"

#include "cli/json.h"
#include "cli/term.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT "quadriga chat"

enum { LONGEST = 1 << 28 };

/* ---- reading ---- */

static bool say(const char *path, const char *why)
{
    cli_error("%s: %s", path, why);
    return false;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* The parsed file if it is a saved chat; NULL: said. */
static json_t *read_chat(const char *path)
{
    struct stat info;
    json_error_t error;
    if (stat(path, &info) != 0) {
        cli_error("%s: cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(info.st_mode) || info.st_size > LONGEST) {
        say(path, "no saved chat: no regular file, or too long");
        return NULL;
    }
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL) {
        cli_error("%s: no saved chat: line %d: %s", path, error.line, error.text);
        return NULL;
    }
    if (!is_text(json_object_get(root, "format"), FORMAT)) {
        say(path, "no saved chat: \"format\" is not \"" FORMAT "\"");
    } else if (json_integer_value(json_object_get(root, "version")) != 1) {
        say(path, "a saved chat of another version: \"version\" is not 1");
    } else {
        return root;
    }
    json_decref(root);
    return NULL;
}

static bool check_messages(const char *path, const json_t *messages)
{
    if (!json_is_array(messages)) {
        return say(path, "a damaged chat: \"messages\" is no list");
    }
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        const char *role = i % 2 == 0 ? "user" : "assistant";
        if (!is_text(json_object_get(message, "role"), role)) {
            cli_error("%s: a damaged chat: messages[%zu].role is not \"%s\"", path, i, role);
            return false;
        }
        if (!json_is_string(json_object_get(message, "content"))) {
            cli_error("%s: a damaged chat: messages[%zu].content is no text", path, i);
            return false;
        }
    }
    return json_array_size(messages) % 2 == 0 ||
           say(path, "a damaged chat: the last message has no answer");
}

static bool add_messages(struct chat_talk *talk, const json_t *messages)
{
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *text = json_object_get(json_array_get(messages, i), "content");
        if (!chat_talk_add(talk, json_string_value(text), json_string_length(text))) {
            return false;
        }
    }
    return true;
}

bool chat_file_load(struct chat_talk *talk, const char *path)
{
    bool ok = false;
    json_t *root = read_chat(path);
    if (root == NULL) {
        return false;
    }
    const json_t *messages = json_object_get(root, "messages");
    const json_t *system = json_object_get(root, "system");
    const char *template = json_string_value(json_object_get(root, "template"));
    if (system != NULL && !json_is_string(system)) {
        say(path, "a damaged chat: \"system\" is no text");
    } else if (template == NULL) {
        say(path, "a damaged chat: \"template\" is no text");
    } else if (check_messages(path, messages) &&
               chat_talk_set_system(talk, system != NULL ? json_string_value(system) : "",
                                    system != NULL ? json_string_length(system) : 0)) {
        struct qd_chat_info info;
        qd_chat_get_info(talk->chat, &info);
        chat_talk_reset(talk);
        ok = add_messages(talk, messages);
        fprintf(stderr, "%zu messages%s%s\n", talk->n_messages,
                strcmp(template, info.name) != 0 ? ", saved with the template " : "",
                strcmp(template, info.name) != 0 ? template : "");
    }
    json_decref(root);
    return ok;
}

/* ---- writing ---- */

static json_t *make_message(const char *role, const struct talk_text *text)
{
    json_t *message = json_object();
    cli_json_add(message, "role", json_string(role));
    cli_json_add(message, "content", json_stringn(text->n != 0 ? text->bytes : "", text->n));
    return message;
}

/* NULL, or without a key: out of memory, or a text that is not UTF-8. */
static json_t *make_chat(const struct chat_talk *talk)
{
    struct qd_chat_info info;
    qd_chat_get_info(talk->chat, &info);
    json_t *root = json_object(), *messages = json_array();
    cli_json_add(root, "format", json_string(FORMAT));
    cli_json_add(root, "version", json_integer(1));
    cli_json_add(root, "template", json_string(info.name));
    if (talk->system.n != 0) {
        cli_json_add(root, "system", json_stringn(talk->system.bytes, talk->system.n));
    }
    for (size_t i = 0; i < talk->n_messages; i++) {
        json_t *message = make_message(i % 2 == 0 ? "user" : "assistant", &talk->messages[i]);
        if (json_object_size(message) != 2 || json_array_append_new(messages, message) != 0) {
            json_decref(messages);
            messages = NULL;
            break;
        }
    }
    cli_json_add(root, "messages", messages);
    if (json_object_size(root) != (talk->system.n != 0 ? 5u : 4u)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* Whether there is nothing at the path, or a saved chat. */
static bool may_write(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0) {
        return true; /* what is wrong with the path the writing says */
    }
    json_t *old = S_ISREG(info.st_mode) ? read_chat(path) : NULL;
    if (old == NULL && !S_ISREG(info.st_mode)) {
        return say(path, "not written: there is something else");
    }
    json_decref(old);
    return old != NULL; /* else said: no saved chat */
}

bool chat_file_save(const struct chat_talk *talk, const char *path)
{
    char beside[4096];
    int n = snprintf(beside, sizeof beside, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof beside) {
        return say(path, "a path that is too long");
    }
    if (!may_write(path)) {
        return false;
    }
    json_t *root = make_chat(talk);
    if (root == NULL) {
        return say(path, "not written: out of memory");
    }
    bool ok = json_dump_file(root, beside, JSON_INDENT(2)) == 0;
    int why = errno;
    if (ok && rename(beside, path) != 0) {
        why = errno;
        ok = false;
    }
    json_decref(root);
    if (!ok) {
        unlink(beside);
        cli_error("%s: cannot be written: %s", path, strerror(why));
        return false;
    }
    fprintf(stderr, "%zu messages in %s\n", talk->n_messages, path);
    return true;
}
