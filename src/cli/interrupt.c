/* A thread that waits for signals and cancels the session. The exit code is the command's. */
#include "cli/interrupt.h"

#include "cli/memory.h"
#include "cli/options.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct cli_interrupt {
    pthread_t thread;
    pthread_mutex_t lock; /* session */
    qd_session *session;
    sigset_t signals;
    bool waiting;
    atomic_int signal;
    atomic_bool done, keep;
    int wake[2]; /* a pipe with a byte in it for each signal; with keep */
};

static void note_signal(struct cli_interrupt *interrupt, int number)
{
    if (!atomic_load(&interrupt->keep)) {
        if (atomic_exchange(&interrupt->signal, number) != 0) {
            _exit(CLI_SIGNAL + number);
        }
        return;
    }
    int before = 0;
    if (number == SIGINT) { /* never in the place of SIGTERM */
        atomic_compare_exchange_strong(&interrupt->signal, &before, number);
    } else if (atomic_exchange(&interrupt->signal, number) == number) {
        _exit(CLI_SIGNAL + number);
    }
    if (write(interrupt->wake[1], "", 1) < 0) {
        return; /* the pipe is full: it is readable, which is all that is wanted */
    }
}

static void *wait_for_signals(void *arg)
{
    struct cli_interrupt *interrupt = arg;
    int number;
    while (sigwait(&interrupt->signals, &number) == 0 && !atomic_load(&interrupt->done)) {
        note_signal(interrupt, number);
        pthread_mutex_lock(&interrupt->lock);
        if (interrupt->session != NULL) {
            qd_session_cancel(interrupt->session);
        }
        pthread_mutex_unlock(&interrupt->lock);
    }
    return NULL;
}

struct cli_interrupt *cli_interrupt_create(void)
{
    struct cli_interrupt *interrupt = cli_alloc(1, sizeof *interrupt);
    if (interrupt == NULL) {
        return NULL;
    }
    pthread_mutex_init(&interrupt->lock, NULL);
    interrupt->wake[0] = interrupt->wake[1] = -1;
    sigemptyset(&interrupt->signals);
    const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
            sigaddset(&interrupt->signals, numbers[i]);
            interrupt->waiting = true;
        }
    }
    if (!interrupt->waiting) {
        return interrupt;
    }
    pthread_sigmask(SIG_BLOCK, &interrupt->signals, NULL);
    int failed = pthread_create(&interrupt->thread, NULL, wait_for_signals, interrupt);
    if (failed != 0) {
        cli_error("cannot start a thread: %s", strerror(failed));
        interrupt->waiting = false;
        cli_interrupt_destroy(interrupt);
        return NULL;
    }
    return interrupt;
}

void cli_interrupt_destroy(struct cli_interrupt *interrupt)
{
    if (interrupt == NULL) {
        return;
    }
    if (interrupt->waiting) {
        atomic_store(&interrupt->done, true);
        pthread_kill(interrupt->thread,
                     sigismember(&interrupt->signals, SIGINT) == 1 ? SIGINT : SIGTERM);
        pthread_join(interrupt->thread, NULL);
    }
    for (int i = 0; i < 2; i++) {
        if (interrupt->wake[i] >= 0) {
            close(interrupt->wake[i]);
        }
    }
    pthread_mutex_destroy(&interrupt->lock);
    cli_free(interrupt);
}

bool cli_interrupt_keep(struct cli_interrupt *interrupt)
{
    if (pipe(interrupt->wake) != 0) {
        cli_error("cannot make a pipe: %s", strerror(errno));
        interrupt->wake[0] = interrupt->wake[1] = -1;
        return false;
    }
    for (int i = 0; i < 2; i++) {
        int flags = fcntl(interrupt->wake[i], F_GETFL);
        fcntl(interrupt->wake[i], F_SETFL, flags | O_NONBLOCK);
    }
    atomic_store(&interrupt->keep, true);
    return true;
}

int cli_interrupt_wake_fd(const struct cli_interrupt *interrupt)
{
    return interrupt->wake[0];
}

int cli_interrupt_clear(struct cli_interrupt *interrupt)
{
    int number = SIGINT;
    char bytes[16];
    while (read(interrupt->wake[0], bytes, sizeof bytes) > 0) {
    }
    atomic_compare_exchange_strong(&interrupt->signal, &number, 0);
    number = atomic_load(&interrupt->signal);
    if (number != 0 && write(interrupt->wake[1], "", 1) < 0) {
        return number; /* full, so readable */
    }
    return number;
}

void cli_interrupt_watch(struct cli_interrupt *interrupt, qd_session *session)
{
    pthread_mutex_lock(&interrupt->lock);
    interrupt->session = session;
    pthread_mutex_unlock(&interrupt->lock);
}

int cli_interrupted(const struct cli_interrupt *interrupt)
{
    return atomic_load(&interrupt->signal);
}
