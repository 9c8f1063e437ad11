/* The lines typed so far, for the arrow keys of libedit. They are kept from one chat to the next in
 * $XDG_STATE_HOME/quadriga/chat_history (mode 0600) where XDG_STATE_HOME is set, else nowhere. */
#ifndef QUADRIGA_CLI_CHAT_HISTORY_H
#define QUADRIGA_CLI_CHAT_HISTORY_H

#include <histedit.h>

struct chat_history;

/* NULL: said. A file that cannot be used is said, too, and done without. */
struct chat_history *chat_history_create(EditLine *el);
/* Writes the file; NULL is fine. Before the EditLine ends. */
void chat_history_destroy(struct chat_history *history);
void chat_history_add(struct chat_history *history, const wchar_t *line);

#endif
