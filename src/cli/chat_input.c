/* Reading lines, so that a signal never waits for one. What the lines mean is chat.c's.
 *
 * The interrupt thread takes SIGINT and SIGTERM and writes to a pipe; here both the pipe and
 * standard input are waited for. At the prompt Ctrl-C comes to libedit as a key of its own. */
#include "cli/chat_input.h"

#include "cli/chat_history.h"
#include "cli/memory.h"
#include "cli/term.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#define KEY_CLEAR L'\x03'

enum { MAX_LINE = 1 << 24 };

struct chat_input {
    struct cli_interrupt *interrupt;
    EditLine *el; /* NULL: no terminal */
    struct chat_history *history;
    FILE *screen;
    bool cleared, ended, signalled;
    char buffer[65536]; /* read from standard input, [at, end) is not used yet */
    size_t at, end;
    char *line; /* UTF-8 */
    size_t bytes, cap;
};

/* One more byte of the line. */
static bool put_byte(struct chat_input *input, char c)
{
    if (input->bytes + 1 >= input->cap) {
        size_t cap = input->cap != 0 ? input->cap * 2 : 256;
        char *grown = cap <= MAX_LINE ? cli_resize(input->line, cap, 1) : NULL;
        if (grown == NULL) {
            cli_error("a line of more than %zu bytes", input->bytes);
            return false;
        }
        input->line = grown;
        input->cap = cap;
    }
    input->line[input->bytes++] = c;
    input->line[input->bytes] = '\0';
    return true;
}

static bool put_code(struct chat_input *input, uint32_t code)
{
    code = code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0xfffd : code;
    if (code < 0x80) {
        return put_byte(input, (char)code);
    }
    uint32_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    bool ok = put_byte(input, (char)(lead[more] | code >> (6 * more)));
    while (ok && more-- > 0) {
        ok = put_byte(input, (char)(0x80 | (code >> (6 * more) & 0x3f)));
    }
    return ok;
}

/* Waits for a byte of standard input. 1: it is in *c, 0: the end, -1: a signal, -2: said. */
static int next_byte(struct chat_input *input, unsigned char *c)
{
    while (input->at == input->end) {
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                {.fd = cli_interrupt_wake_fd(input->interrupt), .events = POLLIN}};
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            cli_error("cannot wait for standard input: %s", strerror(errno));
            return -2;
        }
        if (fds[1].revents != 0) {
            return -1;
        }
        ssize_t n = read(STDIN_FILENO, input->buffer, sizeof input->buffer);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            cli_error("standard input cannot be read: %s", strerror(errno));
            return -2;
        }
        if (n == 0) {
            return 0;
        }
        input->at = 0;
        input->end = n > 0 ? (size_t)n : 0;
    }
    *c = (unsigned char)input->buffer[input->at++];
    return 1;
}

/* One character; invalid bytes become U+FFFD one by one. As next_byte. */
static int next_code(struct chat_input *input, uint32_t *code)
{
    unsigned char c;
    int got = next_byte(input, &c);
    *code = c;
    if (got != 1 || c < 0x80) {
        return got;
    }
    uint32_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1, value = c & (0x3fu >> more);
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t need = more;
    if (c < 0xc2 || c > 0xf4) {
        *code = 0xfffd;
        return 1;
    }
    for (; more > 0; more--) {
        got = next_byte(input, &c);
        if (got != 1) {
            *code = 0xfffd;
            return got == 0 ? 1 : got; /* the end is seen again */
        }
        if ((c & 0xc0) != 0x80) {
            input->at--; /* it begins the next character */
            *code = 0xfffd;
            return 1;
        }
        value = value << 6 | (c & 0x3f);
    }
    *code = value < least[need] ? 0xfffd : value;
    return 1;
}

/* ---- the terminal ---- */

static wchar_t *make_prompt(EditLine *el)
{
    static wchar_t prompt[] = L"> ";
    (void)el;
    return prompt;
}

/* libedit asks for a character. */
static int get_key(EditLine *el, wchar_t *key)
{
    struct chat_input *input = NULL;
    uint32_t code = 0;
    el_wget(el, EL_CLIENTDATA, &input);
    int got = next_code(input, &code);
    if (got == -1) {
        bool only_clear = cli_interrupt_clear(input->interrupt) == 0;
        input->signalled = !only_clear;
        *key = only_clear ? KEY_CLEAR : L'\x04';
        return only_clear ? 1 : 0;
    }
    *key = (wchar_t)code;
    return got == 1 ? 1 : 0;
}

static unsigned char clear_line(EditLine *el, wint_t key)
{
    struct chat_input *input = NULL;
    (void)key;
    el_wget(el, EL_CLIENTDATA, &input);
    input->cleared = true;
    return CC_NEWLINE;
}

static bool open_terminal(struct chat_input *input)
{
    const char *type = setlocale(LC_CTYPE, "");
    if (type == NULL || MB_CUR_MAX < 2) {
        setlocale(LC_CTYPE, "C.UTF-8"); /* so that libedit shows what is typed */
    }
    input->el = el_init("quadriga", stdin, input->screen, stderr);
    if (input->el == NULL) {
        cli_error("the terminal cannot be opened for line editing");
        return false;
    }
    el_wset(input->el, EL_CLIENTDATA, input);
    el_wset(input->el, EL_PROMPT, make_prompt);
    el_wset(input->el, EL_EDITOR, L"emacs");
    el_wset(input->el, EL_SIGNAL, 1);
    el_wset(input->el, EL_GETCFN, get_key);
    el_wset(input->el, EL_ADDFN, L"chat-clear", L"forget the line", clear_line);
    el_wset(input->el, EL_BIND, L"^C", L"chat-clear", NULL);
    el_wset(input->el, EL_BIND, L"^R", L"em-inc-search-prev", NULL);
    input->history = chat_history_create(input->el);
    return input->history != NULL;
}

static enum chat_line read_terminal(struct chat_input *input)
{
    int count = 0;
    input->cleared = input->signalled = false;
    const wchar_t *line = el_wgets(input->el, &count);
    if (input->signalled) {
        return CHAT_SIGNAL;
    }
    if (input->cleared) {
        fprintf(input->screen, "^C\n");
        el_reset(input->el);
        return CHAT_CLEARED;
    }
    if (line == NULL || count <= 0) {
        fprintf(input->screen, "\n");
        return CHAT_END;
    }
    for (int i = 0; i < count && line[i] != L'\n' && line[i] != L'\r'; i++) {
        if (!put_code(input, (uint32_t)line[i])) {
            return CHAT_BROKEN;
        }
    }
    chat_history_add(input->history, line);
    return CHAT_LINE;
}

/* ---- anything else ---- */

static enum chat_line read_plain(struct chat_input *input)
{
    while (!input->ended) {
        uint32_t code;
        int got = next_code(input, &code);
        if (got < 0) {
            return got == -1 ? CHAT_SIGNAL : CHAT_BROKEN;
        }
        input->ended = got == 0;
        if (got == 1 && code == '\n') {
            return CHAT_LINE;
        }
        if (got == 1 && !put_code(input, code)) {
            return CHAT_BROKEN;
        }
    }
    return input->bytes != 0 ? CHAT_LINE : CHAT_END;
}

enum chat_line chat_input_read(struct chat_input *input, const char **text, size_t *bytes)
{
    input->bytes = 0;
    *text = "";
    enum chat_line result = input->el != NULL ? read_terminal(input) : read_plain(input);
    if (input->bytes != 0 && input->line[input->bytes - 1] == '\r') {
        input->bytes--;
    }
    *bytes = result == CHAT_LINE ? input->bytes : 0;
    if (*bytes != 0) {
        *text = input->line;
    }
    return result;
}

struct chat_input *chat_input_create(struct cli_interrupt *interrupt)
{
    struct chat_input *input = cli_alloc(1, sizeof *input);
    if (input == NULL) {
        return NULL;
    }
    input->interrupt = interrupt;
    input->screen = cli_on_terminal(stdout) ? stdout : stderr;
    if (cli_on_terminal(stdin) && cli_on_terminal(input->screen) && !open_terminal(input)) {
        chat_input_destroy(input);
        return NULL;
    }
    return input;
}

void chat_input_destroy(struct chat_input *input)
{
    if (input != NULL) {
        chat_history_destroy(input->history);
        if (input->el != NULL) {
            el_end(input->el);
        }
        cli_free(input->line);
        cli_free(input);
    }
}

bool chat_input_is_terminal(const struct chat_input *input)
{
    return input->el != NULL;
}
