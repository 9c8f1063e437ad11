/* What begins with "/" in a chat. */
#ifndef QUADRIGA_CLI_CHAT_COMMAND_H
#define QUADRIGA_CLI_CHAT_COMMAND_H

#include "cli/chat_talk.h"

enum chat_done { CHAT_DONE, CHAT_NOT_DONE /* said */, CHAT_QUIT };
/* Runs a line that begins with "/", without that. */
enum chat_done chat_command_run(struct chat_talk *talk, const char *line, size_t bytes);

#endif
