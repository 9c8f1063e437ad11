/* Conversations in files: JSON with the name of the template, the system text and the messages. */
#ifndef QUADRIGA_CLI_CHAT_FILE_H
#define QUADRIGA_CLI_CHAT_FILE_H

#include "cli/chat_talk.h"

/* A file that is there and no saved chat is not written over. False: said. */
bool chat_file_save(const struct chat_talk *talk, const char *path);
/* False: said, and the conversation is as it was. */
bool chat_file_load(struct chat_talk *talk, const char *path);

#endif
