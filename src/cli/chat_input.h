/* Lines of a chat: from a terminal with line editing and history (libedit), or plainly from
 * anything else. */
#ifndef QUADRIGA_CLI_CHAT_INPUT_H
#define QUADRIGA_CLI_CHAT_INPUT_H

#include "cli/interrupt.h"

enum chat_line {
    CHAT_LINE,    /* there is one */
    CHAT_CLEARED, /* Ctrl-C at the prompt: ask again */
    CHAT_END,     /* Ctrl-D, or the end of the file */
    CHAT_SIGNAL,  /* SIGTERM, or Ctrl-C where there is no prompt */
    CHAT_BROKEN   /* said */
};
struct chat_input;

/* NULL: said. `interrupt` must be kept (cli_interrupt_keep) and outlive the input. */
struct chat_input *chat_input_create(struct cli_interrupt *interrupt);
void chat_input_destroy(struct chat_input *input); /* NULL is fine */
/* Whether somebody types at a prompt. */
bool chat_input_is_terminal(const struct chat_input *input);
/* The next line, without its end: valid UTF-8 (invalid bytes are U+FFFD), owned by the input until
 * the next call. */
enum chat_line chat_input_read(struct chat_input *input, const char **text, size_t *bytes);

#endif
