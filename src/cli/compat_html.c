/* The report as one page: the template compat.html, which the build embeds, with the report as JSON
 * in its place. Nothing in the data can end the script element: '<' is written as an escape. */
#include "cli/compat.h"
#include "cli/memory.h"

#include <string.h>

int compat_print_html(const struct compat *c)
{
    static const char mark[] = "@REPORT@";
    const char *page = (const char *)compat_page, *at = strstr(page, mark);
    json_t *report = compat_report(c);
    char *text = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(report);
    if (text == NULL || at == NULL) {
        cli_error("the page cannot be written");
        cli_free(text);
        return CLI_FAILED;
    }
    fwrite(page, 1, (size_t)(at - page), stdout);
    for (const char *s = text; *s != '\0';) {
        size_t n = strcspn(s, "<");
        fwrite(s, 1, n, stdout);
        s += n;
        if (*s == '<') {
            fputs("\\u003c", stdout);
            s++;
        }
    }
    fputs(at + strlen(mark), stdout);
    cli_free(text);
    return CLI_DONE;
}
