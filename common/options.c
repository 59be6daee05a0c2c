#include "common/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { HELP_VALUE = 1, FIRST_ROW_VALUE = 2, ENV_NAME_MAX_BYTES = 64 };

static void print_help(const struct option_row *rows, size_t row_count, const char *summary,
                       const char *program)
{
    printf("%s\n\nusage: %s [flags]\n\n", summary, program);
    for (size_t i = 0; i < row_count; i++) {
        const struct option_row *row = &rows[i];
        printf("  --%s %s\n      %s", row->name, row->unit, row->help);
        if (row->default_text == NULL) {
            printf(" (required)\n");
        } else {
            printf(" (default %s)\n", row->default_text[0] == '\0' ? "empty" : row->default_text);
        }
    }
    printf("  --help\n      Prints this.\n\n"
           "Each flag can also come from the environment: --link-dir as SWITCHBOARD_LINK_DIR.\n");
}

static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || parsed < min || parsed > max) {
        return false;
    }
    *number = parsed;
    return true;
}

/* False: the text is no value for this row; said on standard error. */
static bool set_field(const struct option_row *row, const char *text, void *target)
{
    char *field = (char *)target + row->offset;
    if (row->type == OPTION_STRING) {
        memcpy(field, &text, sizeof text);
        return true;
    }
    uint64_t number = 0;
    if (!parse_number(text, row->min, row->max, &number)) {
        (void)fprintf(stderr, "--%s: \"%s\" is not a whole number from %llu to %llu (%s)\n",
                      row->name, text, (unsigned long long)row->min, (unsigned long long)row->max,
                      row->unit);
        return false;
    }
    memcpy(field, &number, sizeof number);
    return true;
}

static const char *find_in_environment(const struct option_row *row)
{
    char name[ENV_NAME_MAX_BYTES];
    int len = snprintf(name, sizeof name, "SWITCHBOARD_%s", row->name);
    assert(len > 0 && (size_t)len < sizeof name);
    for (char *c = name; *c != '\0'; c++) {
        *c = (char)(*c == '-' ? '_' : toupper((unsigned char)*c));
    }
    return getenv(name);
}

/* Environment, then the row's own default, for every flag that the command line left out. */
static bool fill_the_rest(const struct option_row *rows, size_t row_count, const bool *is_set,
                          void *target)
{
    for (size_t i = 0; i < row_count; i++) {
        if (is_set[i]) {
            continue;
        }
        const char *text = find_in_environment(&rows[i]);
        if (text == NULL) {
            text = rows[i].default_text;
        }
        if (text == NULL) {
            (void)fprintf(stderr, "--%s is required (see --help)\n", rows[i].name);
            return false;
        }
        if (!set_field(&rows[i], text, target)) {
            return false;
        }
    }
    return true;
}

enum options_result options_parse(const struct option_row *rows, size_t row_count,
                                  const char *summary, int argc, char **argv, void *target)
{
    assert(row_count <= OPTIONS_MAX);
    struct option longopts[OPTIONS_MAX + 2] = {{.name = "help", .val = HELP_VALUE}};
    bool is_set[OPTIONS_MAX] = {false};
    for (size_t i = 0; i < row_count; i++) {
        longopts[i + 1] = (struct option){
            .name = rows[i].name,
            .has_arg = required_argument,
            .val = (int)(FIRST_ROW_VALUE + i),
        };
    }
    optind = 0;
    for (;;) {
        int value = getopt_long(argc, argv, "", longopts, NULL);
        if (value == -1) {
            break;
        }
        if (value == HELP_VALUE) {
            print_help(rows, row_count, summary, argv[0]);
            return OPTIONS_HELP;
        }
        if (value == '?') {
            return OPTIONS_BAD;
        }
        size_t row = (size_t)(value - FIRST_ROW_VALUE);
        if (!set_field(&rows[row], optarg, target)) {
            return OPTIONS_BAD;
        }
        is_set[row] = true;
    }
    if (optind < argc) {
        (void)fprintf(stderr, "%s: unexpected argument \"%s\" (see --help)\n", argv[0],
                      argv[optind]);
        return OPTIONS_BAD;
    }
    return fill_the_rest(rows, row_count, is_set, target) ? OPTIONS_RUN : OPTIONS_BAD;
}
