#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 };

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

static enum log_level max_level_logged = LOG_LEVEL_INFO;

void log_set_level(enum log_level max_level)
{
    max_level_logged = max_level;
}

bool log_set_level_by_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            log_set_level((enum log_level)i);
            return true;
        }
    }
    (void)fprintf(stderr, "--log-level: \"%s\" is not error, warn, info or debug\n", name);
    return false;
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
    if (level > max_level_logged) {
        return;
    }
    char line[LINE_MAX_BYTES];
    size_t len = (size_t)snprintf(line, sizeof line / 2, "%s %s ", level_names[level], event);
    va_list args;
    va_start(args, format);
    int added = vsnprintf(line + len, sizeof line - len, format, args);
    va_end(args);
    if (added > 0) {
        size_t room = sizeof line - len - 1;
        len += (size_t)added < room ? (size_t)added : room;
    }
    if (len == sizeof line - 1 || line[len - 1] == ' ') {
        len--;
    }
    line[len++] = '\n';
    /* One write a line, so that lines of several processes do not mix. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}

struct log_quoted log_quote(struct slice text)
{
    struct log_quoted quoted;
    size_t max = sizeof quoted.text - 2;
    size_t len = 0;
    quoted.text[len++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        size_t need = plain ? 1 : 4;
        if (len + need > max) {
            break;
        }
        if (plain) {
            quoted.text[len++] = (char)c;
        } else {
            (void)snprintf(quoted.text + len, 5, "\\x%02x", c);
            len += need;
        }
    }
    quoted.text[len++] = '"';
    quoted.text[len] = '\0';
    return quoted;
}
