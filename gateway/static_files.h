/* The files under the static directory, read once at start and served from memory. A request is
 * looked up in a table of known names: what is not in the table does not exist, so no spelling of a
 * path can reach a file outside. Symbolic links and hidden files are not served. */
#pragma once

#include "common/buffer.h"
#include "gateway/http_request.h"

struct static_files;

struct static_file {
    const char *path;         /* as requested, decoded: "/index.html" */
    const char *content_type; /* "text/html; charset=utf-8" */
    char etag[48];            /* a strong ETag with its quotes, from the content */
    struct slice content;
};

enum {
    STATIC_FILES_MAX = 1024,
    STATIC_FILES_TOTAL_MAX_BYTES = 64 * 1024 * 1024,
};

/* NULL: `directory` cannot be read or is beyond the bounds; the cause has been logged. */
struct static_files *static_files_load(const char *directory);
void static_files_free(struct static_files *files);

/* NULL: not found. "/" finds "/index.html". `path` as in the request, still percent-encoded. */
const struct static_file *static_files_find(const struct static_files *files, struct slice path);

/* Answers GET and HEAD: appends the response's head to `out`, and gives in *body what is to follow
 * (empty for HEAD and 304; points into `files`). Sends ETag, Content-Type, X-Content-Type-Options:
 * nosniff and Cache-Control: no-cache. 405 for other methods, 404 for what is not there. */
void static_files_respond(const struct static_files *files, const struct http_request *request,
                          struct buffer *out, struct slice *body);
