/* Ctrl-C (SIGINT) and SIGTERM without a signal handler: the signals are blocked in every thread,
 * and one thread waits for them. The first one ends the generation after the current step, the
 * second one the program at once.
 *
 * A signal that the parent had set to be ignored stays ignored.
 *
 * With cli_interrupt_keep (chat) Ctrl-C never ends the program: it ends the generation, and wakes
 * who waits for cli_interrupt_wake_fd; cli_interrupt_clear then forgets it. SIGTERM stays what it
 * is. */
#ifndef QUADRIGA_CLI_INTERRUPT_H
#define QUADRIGA_CLI_INTERRUPT_H

#include "include/quadriga.h"

struct cli_interrupt;

/* Before the first call that may start threads. NULL: said on standard error. */
struct cli_interrupt *cli_interrupt_create(void);
void cli_interrupt_destroy(struct cli_interrupt *interrupt);
/* The session to cancel; NULL before it is destroyed. */
void cli_interrupt_watch(struct cli_interrupt *interrupt, qd_session *session);
/* False: said. */
bool cli_interrupt_keep(struct cli_interrupt *interrupt);
/* Readable as long as a signal came that is not cleared; -1 without cli_interrupt_keep. */
int cli_interrupt_wake_fd(const struct cli_interrupt *interrupt);
/* Forgets a Ctrl-C; the signal that there is then, SIGTERM or 0. */
int cli_interrupt_clear(struct cli_interrupt *interrupt);
/* The signal that came, or 0. */
int cli_interrupted(const struct cli_interrupt *interrupt);

#endif
