/* The program's options as a man page and as a completion script of bash: from the same tables as
 * --help, so that none of the three can miss an option. */
#ifndef QUADRIGA_CLI_MANUAL_H
#define QUADRIGA_CLI_MANUAL_H

/* quadriga(1) as roff (man(7) macros), to standard output. */
void cli_manual_print(void);
/* A completion script for bash: commands, options of each, values of choices, files. */
void cli_completion_print(void);

#endif
