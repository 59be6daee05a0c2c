#include "gateway/static_files.h"

#include "common/log.h"
#include "gateway/http_response.h"
#include "gateway/query.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_MAX_BYTES = 1024, /* decoded */
    DEPTH_MAX = 16,        /* directories within directories, each with an open descriptor */
    OK = 200,
    NOT_MODIFIED = 304,
    NOT_FOUND = 404,
};

struct static_files {
    size_t count;
    size_t total_bytes;
    struct static_file table[STATIC_FILES_MAX]; /* sorted by path once all are there */
};

struct type_row {
    const char *suffix;
    const char *content_type;
};

static const struct type_row type_rows[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".txt", "text/plain; charset=utf-8"},
    {".d.ts", "text/plain; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".wasm", "application/wasm"},
};

static const char *content_type_of(const char *path)
{
    size_t path_len = strlen(path);
    for (size_t i = 0; i < ARRAY_LENGTH(type_rows); i++) {
        size_t suffix_len = strlen(type_rows[i].suffix);
        if (path_len > suffix_len &&
            strcasecmp(path + path_len - suffix_len, type_rows[i].suffix) == 0) {
            return type_rows[i].content_type;
        }
    }
    return "application/octet-stream";
}

static void compute_etag(struct static_file *file)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA1(file->content.data, file->content.len, digest);
    size_t len = 0;
    file->etag[len++] = '"';
    for (size_t i = 0; i < sizeof digest; i++) {
        file->etag[len++] = digits[digest[i] >> 4];
        file->etag[len++] = digits[digest[i] & 0xf];
    }
    file->etag[len++] = '"';
    file->etag[len] = '\0';
}

/* Always false, for the caller to pass on. */
static bool log_failure(const char *path, const char *error)
{
    log_write(LOG_LEVEL_ERROR, "static-files-failed", "path=%s error=\"%s\"",
              log_quote(slice_from_string(path)).text, error);
    return false;
}

/* Reads until `max_bytes` or the end. False: errno says why. */
static bool read_content(int fd, uint8_t *data, size_t max_bytes, size_t *len)
{
    *len = 0;
    while (*len < max_bytes) {
        ssize_t count = read(fd, data + *len, max_bytes - *len);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return false;
        }
        if (count == 0) {
            break;
        }
        *len += (size_t)count;
    }
    return true;
}

/* Adds an open regular file of `size` bytes. */
static bool add_file(struct static_files *files, int fd, size_t size, const char *path)
{
    if (files->count == STATIC_FILES_MAX) {
        return log_failure(path, "too many files");
    }
    if (size > STATIC_FILES_TOTAL_MAX_BYTES - files->total_bytes) {
        return log_failure(path, "the files are too large together");
    }
    /* One byte more: malloc may answer NULL for none at all. */
    uint8_t *data = malloc(size + 1);
    char *path_copy = strdup(path);
    size_t len = 0;
    if (data == NULL || path_copy == NULL || !read_content(fd, data, size, &len)) {
        (void)log_failure(path, strerror(errno));
        free(path_copy);
        free(data);
        return false;
    }
    struct static_file *file = &files->table[files->count++];
    *file = (struct static_file){
        .path = path_copy,
        .content_type = content_type_of(path_copy),
        .content = slice_of(data, len),
    };
    compute_etag(file);
    files->total_bytes += len;
    return true;
}

static bool add_directory(struct static_files *files, int fd, const char *path, unsigned depth);

/* Adds what `name` in the directory is, as `path`. */
static bool add_entry(struct static_files *files, int dir_fd, const char *name, const char *path,
                      unsigned depth)
{
    struct stat status;
    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return log_failure(path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
        return true;
    }
    /* It may have become something else since: no link is followed, no pipe waited for. */
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        (void)log_failure(path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    if (S_ISDIR(status.st_mode)) {
        return add_directory(files, fd, path, depth + 1);
    }
    bool is_added = !S_ISREG(status.st_mode) || add_file(files, fd, (size_t)status.st_size, path);
    (void)close(fd);
    return is_added;
}

/* Takes over `fd`. `path` is the directory's, without a slash at its end. */
static bool add_directory(struct static_files *files, int fd, const char *path, unsigned depth)
{
    DIR *dir = depth > DEPTH_MAX ? NULL : fdopendir(fd);
    if (dir == NULL) {
        (void)log_failure(path, depth > DEPTH_MAX ? "nested too deep" : strerror(errno));
        (void)close(fd);
        return false;
    }
    bool is_good = true;
    const struct dirent *entry;
    while (is_good && (errno = 0, entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char entry_path[PATH_MAX_BYTES + 1];
        int len = snprintf(entry_path, sizeof entry_path, "%s/%s", path, entry->d_name);
        is_good = (len > 0 && (size_t)len < sizeof entry_path) ||
                  log_failure(path, "a path in it is too long");
        is_good = is_good && add_entry(files, fd, entry->d_name, entry_path, depth);
    }
    if (is_good && errno != 0) {
        is_good = log_failure(path, strerror(errno));
    }
    (void)closedir(dir);
    return is_good;
}

static int compare_paths(const void *a, const void *b)
{
    const struct static_file *file_a = a;
    const struct static_file *file_b = b;
    return strcmp(file_a->path, file_b->path);
}

struct static_files *static_files_load(const char *directory)
{
    struct static_files *files = calloc(1, sizeof *files);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files == NULL || fd < 0) {
        (void)log_failure(directory, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        free(files);
        return NULL;
    }
    if (!add_directory(files, fd, "", 0)) {
        static_files_free(files);
        return NULL;
    }
    qsort(files->table, files->count, sizeof files->table[0], compare_paths);
    return files;
}

void static_files_free(struct static_files *files)
{
    if (files == NULL) {
        return;
    }
    for (size_t i = 0; i < files->count; i++) {
        free((void *)files->table[i].path);
        free((void *)files->table[i].content.data);
    }
    free(files);
}

const struct static_file *static_files_find(const struct static_files *files, struct slice path)
{
    char decoded[PATH_MAX_BYTES + 1];
    size_t len = 0;
    if (query_decode(path, (uint8_t *)decoded, PATH_MAX_BYTES, &len) != QUERY_FOUND ||
        memchr(decoded, '\0', len) != NULL) {
        return NULL;
    }
    decoded[len] = '\0';
    struct static_file wanted = {.path = strcmp(decoded, "/") == 0 ? "/index.html" : decoded};
    return bsearch(&wanted, files->table, files->count, sizeof files->table[0], compare_paths);
}

/* If-None-Match (RFC 9110, 13.1.2), compared weakly. */
static bool is_held_by_client(const struct http_request *request, const char *etag)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (!slice_equal_nocase(request->headers[i].name, "if-none-match")) {
            continue;
        }
        struct slice list = request->headers[i].value;
        struct slice held;
        while (http_list_take(&list, &held)) {
            if (held.len > 2 && memcmp(held.data, "W/", 2) == 0) {
                held = slice_drop(held, 2);
            }
            if (slice_equal_string(held, etag) || slice_equal_string(held, "*")) {
                return true;
            }
        }
    }
    return false;
}

void static_files_respond(const struct static_files *files, const struct http_request *request,
                          struct buffer *out, struct slice *body)
{
    *body = slice_of(NULL, 0);
    bool is_head = slice_equal_string(request->method, "HEAD");
    struct http_refusal refusal = {NOT_FOUND, "there is nothing at this path"};
    const struct static_file *file = NULL;
    if (http_request_check(request, true, &refusal)) {
        file = static_files_find(files, request->path);
    }
    if (file == NULL && is_head) {
        http_response_put_refusal_head(out, &refusal);
        return;
    }
    if (file == NULL) {
        http_response_put_refusal(out, &refusal);
        return;
    }
    char extra_headers[160];
    (void)snprintf(extra_headers, sizeof extra_headers,
                   "ETag: %s\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n",
                   file->etag);
    if (is_held_by_client(request, file->etag)) {
        http_response_put_head(out, NOT_MODIFIED, NULL, 0, extra_headers);
        return;
    }
    http_response_put_head(out, OK, file->content_type, file->content.len, extra_headers);
    if (!is_head) {
        *body = file->content;
    }
}
