/* Runs gnuplot, without a shell: commands from a file to its standard input, the picture from its
 * standard output to a file. What is drawn is in plot_script.c. */
#include "cli/plot.h"

#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The three files are gnuplot's standard streams. Returns its exit code; -1: it did not run. */
static int run_gnuplot(FILE *in, FILE *out, FILE *err)
{
    char name[] = "gnuplot", no_settings[] = "-d", from_input[] = "-";
    char *args[] = {name, no_settings, from_input, NULL};
    FILE *const streams[] = {in, out, err};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        cli_error("gnuplot: out of memory");
        return -1;
    }
    int problem = 0, status = 0;
    for (int fd = 0; fd < 3 && problem == 0; fd++) {
        problem = posix_spawn_file_actions_adddup2(&actions, fileno(streams[fd]), fd);
    }
    pid_t pid = 0;
    problem = problem != 0 ? problem : posix_spawnp(&pid, name, &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (problem == ENOENT) {
        cli_error("gnuplot was not found: install the package gnuplot-nox");
        return -1;
    } else if (problem != 0) {
        cli_error("gnuplot: cannot be run: %s", strerror(problem));
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            cli_error("gnuplot: %s", strerror(errno));
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* gnuplot shows the command and a mark below it before it says what is wrong. */
static void say_failure(FILE *err)
{
    char line[256], said[256] = "no reason given";
    rewind(err);
    while (fgets(line, sizeof line, err) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[strspn(line, " ^")] != '\0') {
            snprintf(said, sizeof said, "%s", line);
        }
    }
    cli_error("gnuplot failed: %s", said);
}

static bool copy_to(const char *path, FILE *from)
{
    char block[16384];
    size_t n;
    rewind(from);
    FILE *to = fopen(path, "wb");
    if (to == NULL) {
        cli_error("%s: cannot write: %s", path, strerror(errno));
        return false;
    }
    bool ok = true;
    while (ok && (n = fread(block, 1, sizeof block, from)) > 0) {
        ok = fwrite(block, 1, n, to) == n;
    }
    int problem = errno;
    if (fclose(to) != 0 || !ok) {
        cli_error("%s: cannot write: %s", path, strerror(ok ? errno : problem));
        return false;
    }
    return true;
}

/* gnuplot with what `write` puts into its input; its output to `path`, NULL: dropped. */
static bool draw(const char *path, const struct bench_row *rows, size_t n,
                 const struct plot_panel *panels, uint32_t n_panels)
{
    FILE *files[3] = {NULL};
    bool ok = true;
    for (int i = 0; i < 3 && ok; i++) {
        files[i] = tmpfile();
        ok = files[i] != NULL;
    }
    if (ok && n_panels > 0) {
        plot_script(files[0], rows, n, panels, n_panels);
    }
    if (!ok || fflush(files[0]) != 0 || ferror(files[0]) || fseek(files[0], 0, SEEK_SET) != 0) {
        cli_error("gnuplot: no temporary file: %s", strerror(errno));
        ok = false;
    } else {
        int code = run_gnuplot(files[0], files[1], files[2]);
        if (code > 0) {
            say_failure(files[2]);
        }
        ok = code == 0 && (path == NULL || copy_to(path, files[1]));
    }
    for (int i = 0; i < 3; i++) {
        if (files[i] != NULL) {
            fclose(files[i]);
        }
    }
    return ok;
}

bool cli_plot_ready(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    bool made = fd >= 0;
    if (fd < 0 && errno == EEXIST) {
        fd = open(path, O_WRONLY | O_NONBLOCK);
    }
    if (fd < 0) {
        cli_error("%s: cannot write: %s", path, strerror(errno));
        return false;
    }
    close(fd);
    if (made) {
        unlink(path);
    }
    return draw(NULL, NULL, 0, NULL, 0);
}

bool cli_plot_roofline(const char *path, const struct bench_row *rows, size_t n,
                       qd_context *context)
{
    struct plot_panel panels[PLOT_DEVICES];
    uint32_t n_panels = plot_panels(rows, n, panels);
    if (n_panels == 0) {
        cli_error("%s: nothing to draw: no kernel that computes was measured", path);
        return false;
    }
    for (uint32_t i = 0; i < n_panels; i++) {
        struct qd_device_info info;
        panels[i].name[0] = '\0';
        if (context != NULL && qd_device_get(context, panels[i].device, &info) == QD_OK) {
            snprintf(panels[i].name, sizeof panels[i].name, "%s", info.name);
        }
    }
    return draw(path, rows, n, panels, n_panels);
}
