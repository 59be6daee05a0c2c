/* The record of calls: one line of JSON for each that has ended, appended to a file.
 *
 * A line is one write to a file opened for appending, so it is whole whatever dies; one that the
 * disk took only a part of is taken back. What cannot be written is lost and logged: calls do not
 * wait for a disk. */
#pragma once

#include "broker/router.h"

struct call_log;

/* NULL: the cause has been logged. `path` must outlive it. */
struct call_log *call_log_open(const char *path);
/* Opens the path anew: the file has been renamed. Without success it goes on with the old one. */
void call_log_reopen(struct call_log *log);
void call_log_write(struct call_log *log, const struct call_report *report);
/* May be NULL. */
void call_log_close(struct call_log *log);
