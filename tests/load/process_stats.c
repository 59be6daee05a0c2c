#include "tests/load/process_stats.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 320, LINE_MAX_BYTES = 1024, DECIMAL = 10, NS_PER_S = 1000000000 };

/* A file's first line. False: there is none. */
static bool read_line(const char *path, char line[LINE_MAX_BYTES])
{
    FILE *file = fopen(path, "r");
    bool is_read = file != NULL && fgets(line, LINE_MAX_BYTES, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_read;
}

/* The number behind `label` in a file of such lines; 0: no such line. */
static uint64_t read_labelled(const char *path, const char *label)
{
    char line[LINE_MAX_BYTES];
    uint64_t value = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, label, strlen(label)) == 0) {
            value = strtoull(line + strlen(label), NULL, DECIMAL);
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return value;
}

static void add_thread(const char *task_dir, const char *tid, struct process_stats *stats)
{
    char path[PATH_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s/schedstat", task_dir, tid);
    if (read_line(path, line)) {
        stats->cpu_ns += strtoull(line, NULL, DECIMAL);
    }
    (void)snprintf(path, sizeof path, "%s/%s/status", task_dir, tid);
    stats->switches += read_labelled(path, "voluntary_ctxt_switches:") +
                       read_labelled(path, "nonvoluntary_ctxt_switches:");
}

/* Fields 14 and 15 of stat, counted from behind the name, which may hold anything. */
static bool add_times(pid_t pid, struct process_stats *stats)
{
    enum { FIELDS_BEFORE_UTIME = 12 };
    char path[PATH_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    char *at = read_line(path, line) ? strrchr(line, ')') : NULL;
    for (int i = 0; i < FIELDS_BEFORE_UTIME && at != NULL; i++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL) {
        return false;
    }
    uint64_t tick_ns = (uint64_t)NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
    stats->user_ns += strtoull(at, &at, DECIMAL) * tick_ns;
    stats->sys_ns += strtoull(at, NULL, DECIMAL) * tick_ns;
    return true;
}

static bool add_process(pid_t pid, struct process_stats *stats)
{
    char path[PATH_MAX_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL || !add_times(pid, stats)) {
        if (tasks != NULL) {
            (void)closedir(tasks);
        }
        return false;
    }
    const struct dirent *entry = NULL;
    while ((entry = readdir(tasks)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        if (entry->d_name[0] != '.') {
            add_thread(path, entry->d_name, stats);
        }
    }
    (void)closedir(tasks);
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    stats->rss_kb += read_labelled(path, "VmRSS:");
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    stats->pss_kb += read_labelled(path, "Pss:");
    return true;
}

bool process_stats_read(const pid_t *pids, size_t count, struct process_stats *stats)
{
    *stats = (struct process_stats){0};
    for (size_t i = 0; i < count; i++) {
        if (!add_process(pids[i], stats)) {
            return false;
        }
    }
    return true;
}

struct process_stats process_stats_since(const struct process_stats *before,
                                         const struct process_stats *after)
{
    struct process_stats used = *after;
    used.cpu_ns -= before->cpu_ns;
    used.user_ns -= before->user_ns;
    used.sys_ns -= before->sys_ns;
    used.switches -= before->switches;
    return used;
}
