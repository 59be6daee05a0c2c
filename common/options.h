/* The flags of a program as a table, one row a flag. A value comes from the command line, else from
 * the environment (SWITCHBOARD_<FLAG>, upper case, dashes as underscores), else from the row. */
#pragma once

#include "common/compiler.h"
#include "common/slice.h"

enum option_type {
    OPTION_STRING, /* const char *; points into argv, the environment or the table */
    OPTION_NUMBER, /* uint64_t, within min and max */
};

struct option_row {
    const char *name; /* without the dashes */
    const char *unit; /* what the value is, for --help: "DIR", "bytes", "ms" */
    const char *help;
    const char *default_text; /* NULL: the flag must be given */
    enum option_type type;
    uint64_t min;
    uint64_t max;
    size_t offset; /* of the field in the struct to fill */
};

enum options_result {
    OPTIONS_RUN,  /* all fields are filled */
    OPTIONS_HELP, /* --help was asked for and printed: exit with 0 */
    OPTIONS_BAD,  /* what is wrong has been said on standard error: exit with 2 */
};

enum { OPTIONS_MAX = 32 };

/* Fills `target`. `summary` is the first line of --help. */
enum options_result options_parse(const struct option_row *rows, size_t row_count,
                                  const char *summary, int argc, char **argv, void *target);
