/* Ctrl-C (SIGINT) and SIGTERM without a signal handler: the signals are blocked in every thread,
 * and one thread waits for them. The first one ends the generation after the current step, the
 * second one the program at once.
 *
 * A signal that the parent had set to be ignored stays ignored. */
#ifndef QUADRIGA_CLI_INTERRUPT_H
#define QUADRIGA_CLI_INTERRUPT_H

#include "include/quadriga.h"

struct cli_interrupt;

/* Before the first call that may start threads. NULL: said on standard error. */
struct cli_interrupt *cli_interrupt_create(void);
void cli_interrupt_destroy(struct cli_interrupt *interrupt);
/* The session to cancel; NULL before it is destroyed. */
void cli_interrupt_watch(struct cli_interrupt *interrupt, qd_session *session);
/* The signal that came, or 0. */
int cli_interrupted(const struct cli_interrupt *interrupt);

#endif
