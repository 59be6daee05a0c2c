/* Log lines on standard error, one an event: `level event key=value key=value`.
 * Payloads are never logged. Text that came from a client goes through log_quote. */
#pragma once

#include "common/compiler.h"
#include "common/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Events above this level are dropped. Starts at LOG_LEVEL_INFO. The one piece of state that the
 * whole process shares. */
void log_set_level(enum log_level max_level);
/* The same for the value of a --log-level flag. False: no level has that name; that has been said
 * on standard error. */
MUST_CHECK bool log_set_level_by_name(const char *name);

/* `format` makes the `key=value ...` part; "" for none. A line is cut at 1,024 bytes. A failed
 * write (full disk, closed pipe) loses the line and nothing else. */
void log_write(enum log_level level, const char *event, const char *format, ...)
    PRINTF_FORMAT(3, 4);

struct log_quoted {
    char text[96];
};

/* `text` in double quotes with everything but printable ASCII escaped; cut when too long.
 * Use as log_quote(s).text within one call. */
struct log_quoted log_quote(struct slice text);
