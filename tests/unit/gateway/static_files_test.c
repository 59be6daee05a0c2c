/* Static files, from a directory made for the test. */
#include "gateway/static_files.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char outside[64]; /* holds the directory, and a file that must not be served */
static char root[96];
static struct static_files *files;
static struct buffer out;
static struct slice body;

static void path_in(char *path, size_t size, const char *directory, const char *name)
{
    int len = snprintf(path, size, "%s/%s", directory, name);
    assert_true(len > 0 && (size_t)len < size);
}

static void write_file(const char *directory, const char *name, const char *content)
{
    char path[256];
    path_in(path, sizeof path, directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_directory(const char *name)
{
    char path[256];
    path_in(path, sizeof path, root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_link(const char *target, const char *name)
{
    char path[256];
    path_in(path, sizeof path, root, name);
    assert_int_equal(symlink(target, path), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static int make_root(void **state)
{
    (void)state;
    (void)snprintf(outside, sizeof outside, "/tmp/static_files_test_XXXXXX");
    if (mkdtemp(outside) == NULL) {
        return -1;
    }
    (void)snprintf(root, sizeof root, "%s/root", outside);
    assert_int_equal(mkdir(root, 0700), 0);
    write_file(outside, "secret.txt", "secret");
    buffer_init(&out, 4096);
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    buffer_fini(&out);
    static_files_free(files);
    files = NULL;
    return nftw(outside, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int make_site(void **state)
{
    assert_int_equal(make_root(state), 0);
    write_file(root, "index.html", "<p>hello");
    write_file(root, "empty.txt", "");
    write_file(root, "a b.txt", "spaced");
    write_file(root, ".hidden", "hidden");
    make_directory("lib");
    write_file(root, "lib/switchboard.js", "x");
    write_file(root, "lib/index.html", "lib");
    make_directory(".git");
    write_file(root, ".git/config", "hidden");
    make_link("../secret.txt", "link.txt");
    make_link("..", "up");
    char pipe_path[256];
    path_in(pipe_path, sizeof pipe_path, root, "pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    files = static_files_load(root);
    return files == NULL ? -1 : 0;
}

static void assert_found(const char *path, const char *content)
{
    const struct static_file *file = static_files_find(files, slice_from_string(path));
    if (file == NULL || !slice_equal_string(file->content, content)) {
        fail_msg("%s: %s", path, file == NULL ? "not found" : "another content");
    }
}

static void found(void **state)
{
    (void)state;
    assert_found("/", "<p>hello");
    assert_found("/index.html", "<p>hello");
    assert_found("/%69ndex%2Ehtml", "<p>hello");
    assert_found("/empty.txt", "");
    assert_found("/a%20b.txt", "spaced");
    assert_found("/lib/switchboard.js", "x");
}

static void not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",
        "index.html",
        "//",
        "//index.html",
        "/index.html/",
        "/INDEX.HTML",
        "/nothing",
        "/lib",
        "/lib/",
        "/lib/../index.html",
        "/./index.html",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/lib/../../secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/lib\\switchboard.js",
        "/%252e%252e/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/index.html%00",
        "/index.html%00.txt",
        "/%00",
        "%00",
        "/index.html%",
        "/index.html%2",
        "/%zz",
        "/a+b.txt",
        "/.hidden",
        "/%2ehidden",
        "/.git/config",
        "/link.txt",
        "/up/secret.txt",
        "/pipe",
        "/etc/passwd",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        if (static_files_find(files, slice_from_string(paths[i])) != NULL) {
            fail_msg("found: %s", paths[i]);
        }
    }
    char path[5000];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    assert_null(static_files_find(files, slice_of(path, sizeof path)));
    for (size_t i = 1; i < sizeof path; i++) {
        path[i] = '/';
    }
    assert_null(static_files_find(files, slice_of(path, sizeof path)));
}

/* Answers into `out` and `body`; the answer's head as a string. */
static const char *respond(const char *text)
{
    struct http_request request;
    struct http_refusal refusal;
    size_t head_bytes;
    assert_int_equal(http_request_parse(slice_from_string(text), &request, &head_bytes, &refusal),
                     PARSE_DONE);
    buffer_clear(&out);
    body = slice_from_string("untouched");
    static_files_respond(files, &request, &out, &body);
    assert_false(out.failed);
    buffer_put_u8(&out, '\0');
    return (const char *)buffer_slice(&out).data;
}

#define ETAG "\"f5593f9e64d2bfcec910a5306d894f226a51f4c7\""
#define FILE_HEADERS \
    "ETag: " ETAG "\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"
#define OK_HEAD                                                                          \
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html; charset=utf-8\r\n" \
    "Content-Length: 8\r\n" FILE_HEADERS "\r\n"
#define NOT_MODIFIED_HEAD "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n" FILE_HEADERS "\r\n"

static void get_and_head(void **state)
{
    (void)state;
    assert_string_equal(respond("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), OK_HEAD);
    assert_true(slice_equal_string(body, "<p>hello"));
    assert_string_equal(respond("GET /index.html?v=1 HTTP/1.1\r\nHost: a\r\n\r\n"), OK_HEAD);
    assert_true(slice_equal_string(body, "<p>hello"));
    assert_string_equal(respond("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), OK_HEAD);
    assert_int_equal(body.len, 0);
    assert_non_null(
        strstr(respond("GET /empty.txt HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\nContent-Length: 0\r\n"));
    assert_int_equal(body.len, 0);
}

static void conditional(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        bool is_held;
    } rows[] = {
        {"If-None-Match: " ETAG "\r\n", true},
        {"if-none-match: W/" ETAG "\r\n", true},
        {"If-None-Match: \"a\", W/\"b,c\" , " ETAG "\r\n", true},
        {"If-None-Match: \"a\"\r\nIf-None-Match: " ETAG "\r\n", true},
        {"If-None-Match: *\r\n", true},
        {"If-None-Match:\r\n", false},
        {"If-None-Match: W/\r\n", false},
        {"If-None-Match: \"a\"\r\n", false},
        {"If-None-Match: \"\"\r\n", false},
        {"If-None-Match: f5593f9e64d2bfcec910a5306d894f226a51f4c7\r\n", false},
        {"If-Match: " ETAG "\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].headers);
        assert_string_equal(respond(text), rows[i].is_held ? NOT_MODIFIED_HEAD : OK_HEAD);
        assert_int_equal(body.len, rows[i].is_held ? 0 : 8);
        (void)snprintf(text, sizeof text, "HEAD / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].headers);
        assert_string_equal(respond(text), rows[i].is_held ? NOT_MODIFIED_HEAD : OK_HEAD);
        assert_int_equal(body.len, 0);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *begin;
        bool has_body;
    } rows[] = {
        {"GET /no HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 ", true},
        {"GET /%2e%2e/secret.txt HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 ", true},
        {"HEAD /no HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 ", false},
        {"HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", false},
        {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 ", true},
        {"OPTIONS /no HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 ", true},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", true},
        {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 400 ", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", "HTTP/1.1 400 ", true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const char *answer = respond(rows[i].text);
        assert_memory_equal(answer, rows[i].begin, strlen(rows[i].begin));
        const char *end = strstr(answer, "\r\n\r\n");
        assert_non_null(end);
        assert_int_equal(strncmp(end + 4, "{\"error\":\"", 10) == 0, rows[i].has_body);
        assert_int_equal(end[4] != '\0', rows[i].has_body);
        assert_int_equal(body.len, 0);
    }
    assert_non_null(
        strstr(respond("PUT / HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\nAllow: GET, HEAD\r\n"));
}

static void content_types(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *content_type;
    } rows[] = {
        {"a.html", "text/html; charset=utf-8"},
        {"a.HTML", "text/html; charset=utf-8"},
        {"a.js", "text/javascript; charset=utf-8"},
        {"a.mjs", "text/javascript; charset=utf-8"},
        {"a.css", "text/css; charset=utf-8"},
        {"a.txt", "text/plain; charset=utf-8"},
        {"a.d.ts", "text/plain; charset=utf-8"},
        {"a.svg", "image/svg+xml"},
        {"a.png", "image/png"},
        {"a.ico", "image/x-icon"},
        {"a.json", "application/json"},
        {"a.js.map", "application/json"},
        {"a.webmanifest", "application/manifest+json"},
        {"a.wasm", "application/wasm"},
        {"a.ts", "application/octet-stream"},
        {"a", "application/octet-stream"},
        {"ahtml", "application/octet-stream"},
        {"a.html.exe", "application/octet-stream"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        write_file(root, rows[i].name, "x");
    }
    files = static_files_load(root);
    assert_non_null(files);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/%s", rows[i].name);
        const struct static_file *file = static_files_find(files, slice_from_string(path));
        assert_non_null(file);
        assert_string_equal(file->content_type, rows[i].content_type);
    }
}

static void empty_directory(void **state)
{
    (void)state;
    files = static_files_load(root);
    assert_non_null(files);
    assert_null(static_files_find(files, slice_from_string("/")));
}

static void unreadable(void **state)
{
    (void)state;
    char path[256];
    path_in(path, sizeof path, root, "nothing");
    assert_null(static_files_load(path));
    path_in(path, sizeof path, outside, "secret.txt");
    assert_null(static_files_load(path));
}

static void too_many(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATIC_FILES_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%zu", i);
        write_file(root, name, "");
    }
    files = static_files_load(root);
    assert_non_null(files);
    assert_found("/1023", "");
    write_file(root, "more", "");
    assert_null(static_files_load(root));
}

static void too_large(void **state)
{
    (void)state;
    write_file(root, "a", "x");
    write_file(root, "large", "");
    char path[256];
    path_in(path, sizeof path, root, "large");
    assert_int_equal(truncate(path, STATIC_FILES_TOTAL_MAX_BYTES), 0);
    assert_null(static_files_load(root));
}

static void nested_too_deep(void **state)
{
    (void)state;
    char name[128] = "d";
    for (size_t i = 0; i < 16; i++) {
        make_directory(name);
        size_t len = strlen(name);
        (void)snprintf(name + len, sizeof name - len, "/d");
    }
    files = static_files_load(root);
    assert_non_null(files);
    make_directory(name);
    assert_null(static_files_load(root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found, make_site, remove_root),
        cmocka_unit_test_setup_teardown(not_found, make_site, remove_root),
        cmocka_unit_test_setup_teardown(get_and_head, make_site, remove_root),
        cmocka_unit_test_setup_teardown(conditional, make_site, remove_root),
        cmocka_unit_test_setup_teardown(refused, make_site, remove_root),
        cmocka_unit_test_setup_teardown(content_types, make_root, remove_root),
        cmocka_unit_test_setup_teardown(empty_directory, make_root, remove_root),
        cmocka_unit_test_setup_teardown(unreadable, make_root, remove_root),
        cmocka_unit_test_setup_teardown(too_many, make_root, remove_root),
        cmocka_unit_test_setup_teardown(too_large, make_root, remove_root),
        cmocka_unit_test_setup_teardown(nested_too_deep, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
