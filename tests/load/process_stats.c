#include "tests/load/process_stats.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_MAX_BYTES = 320,
    LINE_MAX_BYTES = 1024,
    DECIMAL = 10,
};

/* The number behind the first line that begins with `key`; 0: there is none. */
static uint64_t read_row(FILE *file, const char *key)
{
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            return strtoull(line + strlen(key), NULL, DECIMAL);
        }
    }
    return 0;
}

/* The first row of each file is what we look for first, so one pass is enough. */
static bool read_rows(const char *path, const char *key, uint64_t *value, const char *second_key,
                      uint64_t *second_value)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    *value = read_row(file, key);
    if (second_key != NULL) {
        *second_value = read_row(file, second_key);
    }
    (void)fclose(file);
    return true;
}

static bool add_thread(struct process_times *times, pid_t pid, const char *thread)
{
    char path[PATH_MAX_BYTES];
    uint64_t cpu_ns = 0;
    uint64_t voluntary = 0;
    uint64_t involuntary = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, thread);
    if (!read_rows(path, "", &cpu_ns, NULL, NULL)) {
        return false;
    }
    (void)snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, thread);
    if (!read_rows(path, "voluntary_ctxt_switches:", &voluntary,
                   "nonvoluntary_ctxt_switches:", &involuntary)) {
        return false;
    }
    times->cpu_ns += cpu_ns;
    times->switches += voluntary + involuntary;
    return true;
}

/* utime and stime, the 12th and 13th field behind the name, which is in parentheses. */
static bool add_ticks(struct process_times *times, pid_t pid)
{
    char path[PATH_MAX_BYTES];
    char line[LINE_MAX_BYTES] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    size_t len = fread(line, 1, sizeof line - 1, file);
    (void)fclose(file);
    line[len] = '\0';
    char *at = strrchr(line, ')');
    if (at == NULL) {
        return false;
    }
    for (int spaces = 0; spaces < 12 && *at != '\0'; at++) {
        spaces += *at == ' ';
    }
    times->user_ticks += strtoull(at, &at, DECIMAL);
    times->sys_ticks += strtoull(at, NULL, DECIMAL);
    return true;
}

bool process_times_add(struct process_times *times, pid_t pid)
{
    char path[PATH_MAX_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return false;
    }
    struct process_times sum = *times;
    bool is_there = add_ticks(&sum, pid);
    const struct dirent *entry = NULL;
    while ((entry = readdir(tasks)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0])) {
            bool is_counted = add_thread(&sum, pid, entry->d_name);
            (void)is_counted; /* else the thread has just ended */
        }
    }
    (void)closedir(tasks);
    if (is_there) {
        *times = sum;
    }
    return is_there;
}

bool process_memory_add(struct process_memory *memory, pid_t pid)
{
    char path[PATH_MAX_BYTES];
    uint64_t rss_kb = 0;
    uint64_t pss_kb = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    if (!read_rows(path, "Rss:", &rss_kb, "Pss:", &pss_kb)) {
        return false;
    }
    memory->rss_kb += rss_kb;
    memory->pss_kb += pss_kb;
    return true;
}

struct process_times process_times_since(const struct process_times *before,
                                         const struct process_times *after)
{
    return (struct process_times){
        .cpu_ns = after->cpu_ns - before->cpu_ns,
        .user_ticks = after->user_ticks - before->user_ticks,
        .sys_ticks = after->sys_ticks - before->sys_ticks,
        .switches = after->switches - before->switches,
    };
}
