/* The table that closes a run. */
#ifndef QUADRIGA_CLI_REPORT_H
#define QUADRIGA_CLI_REPORT_H

#include "include/quadriga.h"

/* To standard error. */
void cli_report(const qd_model *model, const qd_session *session,
                const struct qd_generate_result *result);

#endif
