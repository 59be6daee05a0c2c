#include "broker/call_log.h"

#include "common/json_string.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 8192, /* four names with every byte escaped, and the rest */
    FILE_MODE = 0640,
    NS_PER_MS = 1000000,
};

struct call_log {
    const char *path;
    int fd;
    bool is_failing; /* the trouble has been logged */
    struct buffer line;
};

static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        log_write(LOG_LEVEL_ERROR, "call-log-failed", "path=%s error=\"%s\"", path,
                  strerror(errno));
    }
    return fd;
}

struct call_log *call_log_open(const char *path)
{
    struct call_log *log = calloc(1, sizeof *log);
    if (log == NULL) {
        return NULL;
    }
    log->path = path;
    log->fd = open_file(path);
    buffer_init(&log->line, LINE_MAX_BYTES);
    if (log->fd < 0) {
        call_log_close(log);
        return NULL;
    }
    return log;
}

void call_log_close(struct call_log *log)
{
    if (log == NULL) {
        return;
    }
    if (log->fd >= 0) {
        (void)close(log->fd);
    }
    buffer_fini(&log->line);
    free(log);
}

void call_log_reopen(struct call_log *log)
{
    int fd = open_file(log->path);
    if (fd >= 0) {
        (void)close(log->fd);
        log->fd = fd;
        log->is_failing = false;
    }
}

static void put_member(struct buffer *line, const char *comma_and_key, struct slice text)
{
    buffer_put_string(line, comma_and_key);
    json_put_string(line, text);
}

/* The time of the day, for people and for joining with other records (RFC 3339). */
static void put_time(struct buffer *line)
{
    struct timespec now;
    struct tm utc;
    char text[sizeof "2026-01-02T03:04:05"];
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || gmtime_r(&now.tv_sec, &utc) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc) == 0) {
        text[0] = '\0';
        now.tv_nsec = 0;
    }
    buffer_put_format(line, "{\"event\":\"call-ended\",\"time\":\"%s.%03ldZ\"", text,
                      now.tv_nsec / NS_PER_MS);
}

/* False: nothing of the line is in the file, and errno says why. */
static bool append(int fd, struct slice line)
{
    ssize_t count = write(fd, line.data, line.len);
    if (count == (ssize_t)line.len) {
        return true;
    }
    int error = count < 0 ? errno : ENOSPC;
    struct stat status;
    if (count > 0 && fstat(fd, &status) == 0 && ftruncate(fd, status.st_size - count) != 0) {
        error = errno;
    }
    errno = error;
    return false;
}

void call_log_write(struct call_log *log, const struct call_report *report)
{
    struct buffer *line = &log->line;
    buffer_clear(line);
    put_time(line);
    put_member(line, ",\"callId\":", report->call_id);
    put_member(line, ",\"caller\":", report->caller);
    put_member(line, ",\"callee\":", report->callee);
    put_member(line, ",\"device\":", report->device);
    put_member(line, ",\"result\":", slice_from_string(report->result));
    put_member(line, ",\"reason\":", report->reason);
    buffer_put_format(line, ",\"ring_ms\":%" PRIu64 ",\"talk_ms\":%" PRIu64 "}\n", report->ring_ms,
                      report->talk_ms);
    bool is_written = !line->failed && append(log->fd, buffer_slice(line));
    if (!is_written && !log->is_failing) {
        log_write(LOG_LEVEL_ERROR, "call-log-failed", "path=%s error=\"%s\"", log->path,
                  line->failed ? "memory" : strerror(errno));
    }
    log->is_failing = !is_written;
}
